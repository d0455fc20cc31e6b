//! What is kept of a key: its SHA-256, which is compared in constant time alone.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The SHA-256 of a key. There is no `==`, on purpose: how long one takes would tell how nearly a guess matched.
#[derive(Clone)]
pub(super) struct Digest([u8; 32]);

impl Digest {
    /// Of this material.
    pub(super) fn of(material: &[u8]) -> Self {
        Self(Sha256::digest(material).into())
    }

    /// The first 12 hex digits: enough to tell generations apart, of no use to an attacker.
    pub(super) fn fingerprint(&self) -> String {
        self.0.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl ConstantTimeEq for Digest {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of these two a type has is ambiguous once it can be compared with `==`, and this file no longer compiles.
    trait AmbiguousWithEq<Reason> {
        fn holds() {}
    }
    impl<T: ?Sized> AmbiguousWithEq<()> for T {}
    impl<T: ?Sized + PartialEq> AmbiguousWithEq<u8> for T {}

    #[test]
    fn digests_are_compared_in_constant_time_alone() {
        <Digest as AmbiguousWithEq<_>>::holds();
        let (one, other) = (Digest::of(b"a key"), Digest::of(b"another key"));
        assert!(bool::from(one.ct_eq(&Digest::of(b"a key"))) && !bool::from(one.ct_eq(&other)));
        assert_eq!(format!("{one:?}"), hex::encode(Sha256::digest(b"a key"))[..12]);
    }
}
