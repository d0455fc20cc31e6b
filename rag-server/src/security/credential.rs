//! Credentials as they stand in their folder at one moment.
//!
//! Guarantee: either every file that the configuration asks for is there and sound, or nothing is accepted; a half-written folder never is.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::{
    config::{ApiKey, Role},
    key_file::{self, MAX_KEY_BYTES},
    model::Tenant,
};

/// Fewest bytes of a key: 128 bits, if they are random.
pub const MIN_KEY_BYTES: usize = 16;

/// Which of the two valid values of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Generation {
    /// The newest one.
    Current,
    /// The one before it, valid while a rotation is under way.
    Previous,
}

impl Generation {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Current, Self::Previous];

    /// The end of the file's name, and a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Previous => "previous",
        }
    }
}

/// One accepted value of a credential; its material is not kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// `api-key.NAME` or `operator`.
    pub name: String,
    /// Current or previous.
    pub generation: Generation,
    /// What its holder may do; none for the operator's, which opens no route of the public API.
    pub role: Option<Role>,
    /// Whose documents its holder sees and writes.
    pub tenant: Tenant,
    digest: [u8; 32],
}

impl Credential {
    /// The first 12 hex digits of the SHA-256 of the material: enough to tell generations apart, of no use to an attacker.
    pub fn fingerprint(&self) -> String {
        self.digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.generation.as_str(), self.fingerprint())
    }
}

/// Why the credentials in a folder cannot be accepted. No variant holds material.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// A file is missing or cannot be read.
    #[error("the credential file {path} cannot be read: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// The key is too short to be safe, or too long for a header.
    #[error("the credential file {path} holds {bytes} bytes; a key has {MIN_KEY_BYTES} to {MAX_KEY_BYTES}")]
    Length {
        /// The file.
        path: PathBuf,
        /// What it holds.
        bytes: usize,
    },
    /// The key could not be sent in a header.
    #[error("the credential file {path} holds a byte that no header can carry; use letters, digits and signs of ASCII")]
    Unprintable {
        /// The file.
        path: PathBuf,
    },
    /// Two credentials have the same material, so nobody could tell their roles apart.
    #[error("the credentials {first} and {second} hold the same key; give each its own")]
    Shared {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
}

/// All accepted credentials.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    api_keys: Vec<Credential>,
    operator: Vec<Credential>,
}

impl Credentials {
    /// Reads the files of the configured keys, and the operator's if they are there.
    pub fn read(dir: &Path, keys: &[ApiKey]) -> Result<Self, CredentialError> {
        // A mounted Secret changes by swapping the link `..data`: following it once reads one state of all files.
        let dir = dir.join("..data").canonicalize().unwrap_or_else(|_| dir.to_owned());
        let mut read = Self::default();
        for key in keys {
            let name = format!("api-key.{}", key.name);
            // A name that could not be a tenant's was refused with the configuration.
            let tenant = key.tenant.as_deref().and_then(|name| name.parse().ok()).unwrap_or_default();
            read.api_keys.extend(generations(&dir, &name, (Some(key.role), tenant), true)?);
        }
        read.operator = generations(&dir, "operator", (None, Tenant::default()), false)?;
        read.distinct()?;
        Ok(read)
    }

    /// The API key with this material.
    pub fn api_key(&self, material: &[u8]) -> Option<&Credential> {
        find(&self.api_keys, material)
    }

    /// The operator's credential with this material.
    pub fn operator(&self, material: &[u8]) -> Option<&Credential> {
        find(&self.operator, material)
    }

    /// Whether anybody has to show a key.
    pub fn has_api_keys(&self) -> bool {
        !self.api_keys.is_empty()
    }

    /// Every accepted credential, the API keys first.
    pub fn iter(&self) -> impl Iterator<Item = &Credential> {
        self.api_keys.iter().chain(&self.operator)
    }

    fn distinct(&self) -> Result<(), CredentialError> {
        let mut seen = BTreeMap::new();
        for credential in self.iter() {
            match seen.insert(credential.digest, &credential.name) {
                Some(first) if *first != credential.name => {
                    return Err(CredentialError::Shared { first: first.clone(), second: credential.name.clone() });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Looks at every credential, so that the time tells nothing about which one matched, or how nearly.
fn find<'c>(credentials: &'c [Credential], material: &[u8]) -> Option<&'c Credential> {
    let digest: [u8; 32] = Sha256::digest(material).into();
    let mut found = u32::MAX;
    for (index, credential) in (0_u32..).zip(credentials) {
        let equal: Choice = credential.digest.ct_eq(&digest);
        found = u32::conditional_select(&found, &index, equal);
    }
    credentials.get(found as usize)
}

fn generations(
    dir: &Path,
    name: &str,
    (role, tenant): (Option<Role>, Tenant),
    required: bool,
) -> Result<Vec<Credential>, CredentialError> {
    let mut found: Vec<Credential> = Vec::new();
    for generation in Generation::ALL {
        let path = dir.join(format!("{name}.{}", generation.as_str()));
        let material = match key_file::material(&path) {
            Ok(material) => material,
            Err(e) if e.kind() == io::ErrorKind::NotFound && !(required && generation == Generation::Current) => {
                continue;
            }
            Err(e) => return Err(CredentialError::Unreadable { path, cause: e.to_string() }),
        };
        let digest = digest(&path, &material)?;
        if found.iter().all(|other| other.digest != digest) {
            found.push(Credential { name: name.to_owned(), generation, role, tenant: tenant.clone(), digest });
        }
    }
    Ok(found)
}

/// The digest of a file's key.
fn digest(path: &Path, material: &[u8]) -> Result<[u8; 32], CredentialError> {
    if !(MIN_KEY_BYTES..=MAX_KEY_BYTES).contains(&material.len()) {
        return Err(CredentialError::Length { path: path.to_owned(), bytes: material.len() });
    }
    if !key_file::is_printable(material) {
        return Err(CredentialError::Unprintable { path: path.to_owned() });
    }
    Ok(Sha256::digest(material).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "old-key-0123456789";
    const NEW: &str = "new-key-0123456789";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, material) in files {
            std::fs::write(dir.path().join(name), material).unwrap();
        }
        dir
    }

    fn keys() -> [ApiKey; 1] {
        [ApiKey { name: "a".to_owned(), role: Role::Writer, tenant: None }]
    }

    #[test]
    fn both_generations_are_valid_and_told_apart() {
        let dir = folder(&[
            ("api-key.a.current", NEW),
            ("api-key.a.previous", OLD),
            ("operator.current", "operator-key-0123"),
        ]);
        let read = Credentials::read(dir.path(), &keys()).unwrap();
        assert_eq!(read.api_key(NEW.as_bytes()).map(|c| c.generation), Some(Generation::Current));
        assert_eq!(read.api_key(OLD.as_bytes()).map(|c| c.generation), Some(Generation::Previous));
        assert_eq!(read.api_key(b"operator-key-0123"), None);
        assert_eq!(read.api_key(b""), None);
        assert_eq!(read.operator(b"operator-key-0123").map(|c| c.role), Some(None));
        assert_eq!(read.operator(NEW.as_bytes()), None);
    }

    #[test]
    fn a_fingerprint_is_the_beginning_of_the_hash_of_the_key_without_its_line_end() {
        let dir = folder(&[("api-key.a.current", "abcdefghijklmnop\n")]);
        let read = Credentials::read(dir.path(), &keys()).unwrap();
        let credential = read.api_key(b"abcdefghijklmnop").unwrap();
        assert_eq!(credential.fingerprint(), hex::encode(Sha256::digest(b"abcdefghijklmnop"))[..12]);
        assert_eq!(format!("{credential:?}"), format!("api-key.a current {}", credential.fingerprint()));
    }

    #[test]
    fn weak_missing_unprintable_and_shared_keys_are_refused() {
        let refused = |files: &[(&str, &str)]| Credentials::read(folder(files).path(), &keys()).unwrap_err();
        assert!(matches!(refused(&[]), CredentialError::Unreadable { .. }));
        assert!(matches!(refused(&[("api-key.a.previous", OLD)]), CredentialError::Unreadable { .. }));
        assert!(matches!(refused(&[("api-key.a.current", "")]), CredentialError::Length { bytes: 0, .. }));
        assert!(matches!(
            refused(&[("api-key.a.current", "only-15-bytes-x\n")]),
            CredentialError::Length { bytes: 15, .. }
        ));
        assert!(matches!(
            refused(&[("api-key.a.current", "two words, 16 bytes")]),
            CredentialError::Unprintable { .. }
        ));
        assert!(matches!(
            refused(&[("api-key.a.current", NEW), ("operator.current", NEW)]),
            CredentialError::Shared { .. }
        ));
    }
}
