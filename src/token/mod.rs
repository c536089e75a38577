//! What is said of access tokens: their claims, to whom they are bound, and the JWTs that they are or stand for.

pub(crate) mod active_token;
pub(crate) mod claims;
pub(crate) mod confirmation;
pub(crate) mod jwt_access_token;
pub(crate) mod named_claim;
pub(crate) mod phantom_token;
