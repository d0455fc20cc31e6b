//! Who wrote a manifest: a keyed hash over its bytes. Parts need none, since the manifest holds their hashes.

use std::fmt;

/// Separates this use of a key from any other.
const CONTEXT: &str = "ragops.dev 2026-11-28 signature of snapshot manifests";

/// Separates what names of encrypted parts are made with from signatures.
const NAMING: &str = "ragops.dev 2026-11-28 names of encrypted snapshot parts by the signing key";

/// Separates signatures of evidence from those of manifests: neither is taken for the other.
const EVIDENCE: &str = "ragops.dev 2026-11-28 signature of evidence about snapshots by the signing key";

/// What manifests are signed with.
#[derive(Clone)]
pub struct SigningKey([u8; 32]);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl SigningKey {
    /// The key that is derived from a secret, which should have 32 random bytes or more.
    pub fn new(secret: &str) -> Self {
        Self(blake3::derive_key(CONTEXT, secret.as_bytes()))
    }

    /// A secret that whoever has this key makes again, for the names of encrypted parts.
    pub(super) fn naming(&self) -> [u8; 32] {
        blake3::derive_key(NAMING, &self.0)
    }

    /// What evidence is signed with.
    pub(super) fn of_evidence(&self) -> Self {
        Self(blake3::derive_key(EVIDENCE, &self.0))
    }

    /// The signature of these bytes, in hex.
    pub(super) fn sign(&self, bytes: &[u8]) -> String {
        blake3::keyed_hash(&self.0, bytes).to_hex().to_string()
    }

    /// Whether a signature in hex is that of these bytes; in constant time.
    pub(super) fn verifies(&self, bytes: &[u8], signature: &str) -> bool {
        // The comparison of two hashes takes the same time whatever they are.
        blake3::Hash::from_hex(signature).is_ok_and(|signature| blake3::keyed_hash(&self.0, bytes) == signature)
    }
}
