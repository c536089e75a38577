//! The code that targets share: a gateway with its simulated servers, signing keys, and inputs that a person can read.
//!
//! The parsers of the core are private, so targets drive its engine as a proxy does and judge the outcome. Each target judges by its own
//! reading of the input, which is as plain as possible and shares no code with the core. What has to hold for every target is asserted in
//! [`Gateway::request`].

mod gateway;
mod input;
mod shared;
mod signer;

pub use gateway::{
    Ending, Fixed, Gateway, NOW, assert_callout, assert_reply, authorization, is_field_value, request,
};
pub use input::{Choice, lines, parts};
pub use shared::Store;
pub use signer::{Key, SECRET, Signed, claims_of, expand, header_of, key_set, publishes};
