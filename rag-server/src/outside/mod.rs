//! Calls of other servers and services, whoever makes them: the client, the key, the certificates, the wait that is asked for, and the body that is sent back.
//!
//! Guarantees: a redirect is not followed, so a key goes nowhere else; a key is read at each call and marked so that nothing prints it; what is sent back is bounded in memory; a wait that is asked for is bounded, so that no header switches a service off.

mod body;
mod rest;
mod service;
mod tls;
mod wait;

pub use self::{
    body::{ErrorView, Unread, bounded, bounded_pieces},
    rest::Rest,
    service::{NotAnswered, Refusal, Service, bearer, client, header, innermost},
    tls::{NoCertificates, certificates, choose_cryptography, first_expiry, read_pem},
    wait::{LONGEST, duration, retry_after},
};
