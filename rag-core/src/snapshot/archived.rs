//! An archive with what its snapshots are signed, encrypted and read with.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    Manifest, Name, PartRef, Seal, SigningKey, SnapshotError,
    encryption::{Encryption, Naming, Recipients},
    envelope::Envelope,
    manifest, part,
};
use crate::ports::Archive;

/// Bytes of an object that is a part, at most: one that is full, and what encryption adds. Whoever can write to the archive must not choose how much memory is taken.
const MOST_OBJECT: u64 = 64 * 1024 * 1024;

/// Where snapshots are, and what is needed to write and to read them.
#[derive(Clone)]
pub struct Archived {
    /// Where they are.
    pub archive: Arc<dyn Archive>,
    /// What manifests are signed with, and must be, if they are.
    pub key: Option<SigningKey>,
    /// What they are encrypted and decrypted with, if they are.
    pub encryption: Encryption,
}

/// What is known of a snapshot, with its key or without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// Its name.
    pub name: Name,
    /// When it began.
    pub began: Timestamp,
    /// Bytes of its parts.
    pub bytes: u64,
    /// All of it; none where it is encrypted and the key is not here.
    pub manifest: Option<Manifest>,
    /// What its parts are called.
    pub(super) parts: Vec<String>,
    /// Fingerprints of the recipients that it is encrypted for.
    recipients: Vec<String>,
}

impl Archived {
    /// An archive whose snapshots are neither signed nor encrypted.
    pub fn plain(archive: Arc<dyn Archive>) -> Self {
        Self { archive, key: None, encryption: Encryption::default() }
    }

    /// The manifest of a snapshot. With a signing key, only one that was signed with it.
    pub async fn read(&self, name: &Name) -> Result<Manifest, SnapshotError> {
        let outline = self.outline(name).await?;
        outline.manifest.ok_or_else(|| SnapshotError::NoKey {
            name: outline.name,
            recipients: outline.recipients,
            identities: self.encryption.identities.as_ref().map(|is| is.fingerprints().to_vec()).unwrap_or_default(),
        })
    }

    /// What can be known of a snapshot here. With a signing key, only of one that was signed with it.
    pub async fn outline(&self, name: &Name) -> Result<Outline, SnapshotError> {
        let object = self.archive.get(&name.object()).await?.ok_or_else(|| SnapshotError::Unknown(name.clone()))?;
        let (line, encrypted) = manifest::line_of(name, &object, self.key.as_ref())?;
        let seal = Seal { sha256: part::sha256(&object), signed: self.key.is_some(), encrypted };
        if !encrypted {
            let manifest = Manifest { seal, ..Manifest::of_line(name, line.as_bytes())? };
            let parts = manifest.all_parts().map(|part| part.called().to_owned()).collect();
            let (name, began, bytes) = (manifest.name.clone(), manifest.began, manifest.bytes());
            return Ok(Outline { name, began, bytes, manifest: Some(manifest), parts, recipients: Vec::new() });
        }
        let envelope = Envelope::of_line(name, line.as_bytes())?;
        let identities = self.encryption.identities.as_ref().filter(|identities| envelope.is_for(identities));
        let manifest = identities.map(|identities| envelope.open(identities)).transpose()?;
        Ok(Outline {
            name: name.clone(),
            began: envelope.began,
            bytes: envelope.parts.iter().fold(0, |bytes, part| bytes.saturating_add(part.bytes)),
            manifest: manifest.map(|manifest| Manifest { seal, ..manifest }),
            parts: envelope.parts.into_iter().map(|part| part.name).collect(),
            recipients: envelope.recipients,
        })
    }

    /// The object of a manifest, and the manifest with what is known of it then.
    pub(super) fn sealed(&self, manifest: Manifest) -> Result<(Manifest, Vec<u8>), SnapshotError> {
        let recipients = self.encryption.recipients.as_ref();
        let line = match recipients {
            Some(recipients) => Envelope::of(&manifest, recipients)?.line()?,
            None => manifest.line()?,
        };
        let object = manifest::object(line, self.key.as_ref());
        let seal = Seal { sha256: part::sha256(&object), signed: self.key.is_some(), encrypted: recipients.is_some() };
        Ok((Manifest { seal, ..manifest }, object))
    }

    /// Whom new parts are encrypted for, and how they are called then. Where there is neither an identity nor a signing key, nothing secret is left that another run has, too: then no part of it is found again.
    pub(super) fn naming(&self) -> Option<(&Recipients, Naming)> {
        let recipients = self.encryption.recipients.as_ref()?;
        let secret = self.encryption.identities.as_ref().and_then(|identities| identities.secret());
        let secret = secret.or_else(|| self.key.as_ref().map(SigningKey::naming)).unwrap_or_else(rand::random);
        Some((recipients, recipients.naming(&secret)))
    }

    /// What is inside a part of a snapshot, still compressed; it is what the manifest says, or refused.
    pub(super) async fn packed(&self, manifest: &Manifest, part: &PartRef) -> Result<Vec<u8>, SnapshotError> {
        let object = self.object(manifest, part).await?;
        self.unsealed(manifest, part, object)
    }

    /// What is inside the object of a part, still compressed; it is what the manifest says, or refused.
    pub(super) fn unsealed(
        &self,
        manifest: &Manifest,
        part: &PartRef,
        object: Vec<u8>,
    ) -> Result<Vec<u8>, SnapshotError> {
        let damaged = |cause| damaged(manifest, part, cause);
        let packed = match (&part.name, &self.encryption.identities) {
            (None, _) => object,
            (Some(_), Some(identities)) => identities.decrypt(&object).map_err(damaged)?,
            // Its manifest was not encrypted, or it could not have been read.
            (Some(_), None) => return Err(damaged("is encrypted, and its manifest is not".to_owned())),
        };
        if part::sha256(&packed) == part.sha256 {
            return Ok(packed);
        }
        Err(damaged(match part.name {
            None => "has another hash than its name".to_owned(),
            Some(_) => "holds something else than what the manifest says".to_owned(),
        }))
    }

    /// The object of a part, of the size that the manifest says.
    pub(super) async fn object(&self, manifest: &Manifest, part: &PartRef) -> Result<Vec<u8>, SnapshotError> {
        let missing = || SnapshotError::Missing { name: manifest.name.clone(), part: part.called().to_owned() };
        let name = part::object_name(part.called());
        // Its size first, before it is in memory.
        let size = self.archive.size(&name).await?.ok_or_else(missing)?;
        if size != part.bytes {
            return Err(damaged(manifest, part, format!("has {size} bytes in the place of {}", part.bytes)));
        }
        if size > MOST_OBJECT {
            return Err(damaged(manifest, part, format!("has {size} bytes, which no part has")));
        }
        self.archive.get(&name).await?.ok_or_else(missing)
    }
}

pub(super) fn damaged(manifest: &Manifest, part: &PartRef, cause: String) -> SnapshotError {
    SnapshotError::Damaged { name: manifest.name.clone(), part: part.called().to_owned(), cause }
}
