//! Who may do what: credentials from files, compared in constant time, two generations valid at once.
//!
//! Key material is hashed as soon as it is read; after that only digests and fingerprints exist. Nothing here knows HTTP.

mod credential;
mod digest;
mod keys;
mod principal;
mod uses;

pub use credential::{Credential, CredentialError, Credentials, Generation, MIN_KEY_BYTES, operator_key_file};
pub use keys::Keys;
pub use principal::{Authenticator, Principal, Unauthenticated, Via};
pub use uses::Uses;
