//! Access tokens: their claims, their confirmation, and the JWTs that they are or stand for.

pub(crate) mod active_token;
pub(crate) mod claims;
pub(crate) mod confirmation;
pub(crate) mod jwt_access_token;
pub(crate) mod kinds;
pub(crate) mod named_claim;
pub(crate) mod phantom_token;
