//! Credentials as they stand in their folder at one moment.
//!
//! Guarantee: what is accepted is what is there and sound. A file that is missing or damaged costs its own key and no other one, and nothing of an earlier moment stays.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use subtle::{ConditionallySelectable, ConstantTimeEq};

use super::{Principal, Via, digest::Digest};
use crate::{
    config::{ApiKey, Role},
    key_file::{self, MAX_KEY_BYTES},
    model::{Subject, Tenant},
};

/// Fewest bytes of a key: 128 bits, if they are random.
pub const MIN_KEY_BYTES: usize = 16;

/// The name of the operator's credential.
const OPERATOR: &str = "operator";

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
#[derive(Clone)]
pub struct Credential {
    /// `api-key.NAME` or `operator`.
    pub name: String,
    /// Current or previous.
    pub generation: Generation,
    holder: Holder,
    digest: Digest,
}

/// Whom a credential is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Holder {
    /// A client of the public API.
    Client { subject: Subject, tenant: Tenant, role: Role },
    /// The operator, which opens no route of the public API.
    Operator,
}

impl Credential {
    /// The first 12 hex digits of the SHA-256 of the material.
    pub fn fingerprint(&self) -> String {
        self.digest.fingerprint()
    }

    /// Who shows it; nobody of the public API, if it is the operator's.
    fn principal(&self) -> Option<Principal> {
        match &self.holder {
            Holder::Client { subject, tenant, role } => Some(Principal {
                subject: subject.clone(),
                tenant: tenant.clone(),
                role: *role,
                via: Via::Key { credential: self.name.clone(), generation: self.generation },
            }),
            Holder::Operator => None,
        }
    }

    /// Whether it is the same value for the same holder.
    fn is(&self, other: &Self) -> bool {
        (&self.name, self.generation, &self.holder) == (&other.name, other.generation, &other.holder)
            && bool::from(self.digest.ct_eq(&other.digest))
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.generation.as_str(), self.fingerprint())
    }
}

/// Why a credential in a folder is not accepted. No variant holds material.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// A client is configured and has no file.
    #[error("the credential file {path} is missing, so its client has no key")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be read.
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

/// All accepted credentials, the API keys first.
#[derive(Debug, Clone, Default)]
pub struct Credentials(Vec<Credential>);

impl Credentials {
    /// Reads the files of the configured keys, and the operator's if they are there; with them, why a key is not accepted.
    pub fn read(dir: &Path, keys: &[ApiKey]) -> (Self, Vec<CredentialError>) {
        // A mounted Secret changes by swapping the link `..data`: following it once reads one state of all files.
        let dir = dir.join("..data").canonicalize().unwrap_or_else(|_| dir.to_owned());
        let mut reading = Reading { dir: &dir, found: Vec::new(), refused: Vec::new() };
        for key in keys {
            // A name that could not be a tenant's was refused with the configuration.
            let tenant = key.tenant.as_deref().and_then(|name| name.parse().ok()).unwrap_or_default();
            let holder = Holder::Client { subject: Subject::key(&key.name), tenant, role: key.role };
            reading.generations(&format!("api-key.{}", key.name), &holder);
        }
        reading.generations(OPERATOR, &Holder::Operator);
        reading.drop_shared();
        (Self(reading.found), reading.refused)
    }

    /// The client's credential with this material, and who shows it.
    pub fn client(&self, material: &[u8]) -> Option<(&Credential, Principal)> {
        let credential = self.find(material)?;
        Some((credential, credential.principal()?))
    }

    /// The operator's credential with this material.
    pub fn operator(&self, material: &[u8]) -> Option<&Credential> {
        self.find(material).filter(|credential| credential.holder == Holder::Operator)
    }

    /// Every accepted credential.
    pub fn iter(&self) -> impl Iterator<Item = &Credential> {
        self.0.iter()
    }

    /// Whether these are the same credentials.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(one, other)| one.is(other))
    }

    /// Looks at every credential, so that the time tells nothing about which one matched, or how nearly.
    fn find(&self, material: &[u8]) -> Option<&Credential> {
        let digest = Digest::of(material);
        let mut found = u32::MAX;
        for (index, credential) in (0_u32..).zip(&self.0) {
            found = u32::conditional_select(&found, &index, credential.digest.ct_eq(&digest));
        }
        self.0.get(found as usize)
    }
}

/// The file of one value of a credential.
fn file(dir: &Path, name: &str, generation: Generation) -> PathBuf {
    dir.join(format!("{name}.{}", generation.as_str()))
}

/// The file of the operator's key, for whoever asks a server in its name.
pub fn operator_key_file(dir: &Path) -> PathBuf {
    file(dir, OPERATOR, Generation::Current)
}

/// A folder that is being read.
struct Reading<'d> {
    dir: &'d Path,
    found: Vec<Credential>,
    refused: Vec<CredentialError>,
}

impl Reading<'_> {
    /// Both generations of a credential, each by itself. An older one may be missing, and so may the operator's.
    fn generations(&mut self, name: &str, holder: &Holder) {
        for generation in Generation::ALL {
            let path = file(self.dir, name, generation);
            let is_needed = generation == Generation::Current && *holder != Holder::Operator;
            let read = match key_file::material(&path) {
                Ok(material) => digest(&path, &material),
                Err(e) if e.kind() == io::ErrorKind::NotFound && !is_needed => continue,
                Err(e) if e.kind() == io::ErrorKind::NotFound => Err(CredentialError::Missing { path }),
                Err(e) => Err(CredentialError::Unreadable { path, cause: e.to_string() }),
            };
            match read {
                Ok(digest) if self.found.iter().any(|other| other.name == name && same(&other.digest, &digest)) => {}
                Ok(digest) => {
                    let (name, holder) = (name.to_owned(), holder.clone());
                    self.found.push(Credential { name, generation, holder, digest });
                }
                Err(error) => self.refused.push(error),
            }
        }
    }

    /// Nobody could tell who shows a key that two hold: it opens nothing.
    fn drop_shared(&mut self) {
        let found = std::mem::take(&mut self.found);
        for one in &found {
            match found.iter().find(|other| other.name != one.name && same(&other.digest, &one.digest)) {
                Some(other) => {
                    let (first, second) = (one.name.clone(), other.name.clone());
                    self.refused.push(CredentialError::Shared { first, second });
                }
                None => self.found.push(one.clone()),
            }
        }
    }
}

fn same(one: &Digest, other: &Digest) -> bool {
    one.ct_eq(other).into()
}

/// The digest of a file's key.
fn digest(path: &Path, material: &[u8]) -> Result<Digest, CredentialError> {
    if !(MIN_KEY_BYTES..=MAX_KEY_BYTES).contains(&material.len()) {
        return Err(CredentialError::Length { path: path.to_owned(), bytes: material.len() });
    }
    if !key_file::is_printable(material) {
        return Err(CredentialError::Unprintable { path: path.to_owned() });
    }
    Ok(Digest::of(material))
}

#[cfg(test)]
mod tests {
    use sha2::Digest as _;

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

    fn principal(read: &Credentials, material: &str) -> Option<Principal> {
        read.client(material.as_bytes()).map(|(_, principal)| principal)
    }

    fn role(read: &Credentials, material: &str) -> Option<Role> {
        principal(read, material).map(|principal| principal.role)
    }

    #[test]
    fn both_generations_are_valid_and_told_apart() {
        let dir = folder(&[
            ("api-key.a.current", NEW),
            ("api-key.a.previous", OLD),
            ("operator.current", "operator-key-0123"),
        ]);
        let (read, refused) = Credentials::read(dir.path(), &keys());
        assert_eq!(refused, []);
        for (material, generation) in [(NEW, Generation::Current), (OLD, Generation::Previous)] {
            let principal = principal(&read, material).unwrap();
            assert_eq!(principal.via, Via::Key { credential: "api-key.a".to_owned(), generation });
            assert_eq!((principal.subject, principal.role), (Subject::key("a"), Role::Writer));
            assert!(read.operator(material.as_bytes()).is_none());
        }
        assert!(read.operator(b"operator-key-0123").is_some());
        assert_eq!(principal(&read, "operator-key-0123"), None);
        assert_eq!(principal(&read, ""), None);
    }

    #[test]
    fn a_fingerprint_is_the_beginning_of_the_hash_of_the_key_without_its_line_end() {
        let dir = folder(&[("api-key.a.current", "abcdefghijklmnop\n")]);
        let (read, _) = Credentials::read(dir.path(), &keys());
        assert!(principal(&read, "abcdefghijklmnop").is_some());
        let credential = read.iter().next().unwrap();
        assert_eq!(credential.fingerprint(), hex::encode(sha2::Sha256::digest(b"abcdefghijklmnop"))[..12]);
        assert_eq!(format!("{credential:?}"), format!("api-key.a current {}", credential.fingerprint()));
    }

    #[test]
    fn a_weak_missing_or_unprintable_key_is_refused_and_its_other_generation_is_not() {
        let read = |current: &[(&str, &str)]| {
            let files: Vec<_> = current.iter().copied().chain([("api-key.a.previous", OLD)]).collect();
            let (read, mut refused) = Credentials::read(folder(&files).path(), &keys());
            assert_eq!((role(&read, OLD), read.iter().count()), (Some(Role::Writer), 1));
            assert_eq!(refused.len(), 1);
            refused.remove(0)
        };
        assert!(matches!(read(&[]), CredentialError::Missing { .. }));
        assert!(matches!(read(&[("api-key.a.current", "")]), CredentialError::Length { bytes: 0, .. }));
        let short = [("api-key.a.current", "only-15-bytes-x\n")];
        assert!(matches!(read(&short), CredentialError::Length { bytes: 15, .. }));
        let blank = [("api-key.a.current", "two words, 16 bytes")];
        assert!(matches!(read(&blank), CredentialError::Unprintable { .. }));
    }

    #[test]
    fn a_key_that_two_hold_opens_nothing_and_costs_no_third_one() {
        let third = ApiKey { name: "b".to_owned(), role: Role::Reader, tenant: None };
        let dir = folder(&[("api-key.a.current", NEW), ("api-key.b.current", OLD), ("operator.current", NEW)]);
        let (read, refused) = Credentials::read(dir.path(), &[&keys()[..], &[third]].concat());
        assert_eq!((role(&read, NEW), role(&read, OLD)), (None, Some(Role::Reader)));
        assert!(read.operator(NEW.as_bytes()).is_none());
        assert!(refused.iter().all(|error| matches!(error, CredentialError::Shared { .. })), "{refused:?}");
        assert_eq!(refused.len(), 2);
    }
}
