//! What an encrypted manifest looks like from outside: what may be known of a snapshot without its key.
//!
//! The names of its parts stand outside, so that whoever removes snapshots needs no key; whoever may list the archive sees those names anyway.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    FORMAT, Manifest, Name, SnapshotError,
    encryption::{Identities, Recipients},
    manifest::{is_that_of, unreadable},
};

/// The line of an encrypted manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Envelope {
    format: u32,
    name: Name,
    pub(super) began: Timestamp,
    /// Fingerprints of the recipients.
    pub(super) recipients: Vec<String>,
    pub(super) parts: Vec<Piece>,
    /// The manifest's line, as an age file in base64.
    encrypted: String,
}

/// A part, as its object shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Piece {
    pub(super) name: String,
    pub(super) bytes: u64,
}

impl Envelope {
    /// The envelope of a manifest.
    pub(super) fn of(manifest: &Manifest, recipients: &Recipients) -> Result<Self, SnapshotError> {
        let encrypted = recipients.encrypt(&manifest.line()?).map_err(|cause| unreadable(&manifest.name, cause))?;
        Ok(Self {
            format: FORMAT,
            name: manifest.name.clone(),
            began: manifest.began,
            recipients: recipients.fingerprints().to_vec(),
            parts: pieces(manifest),
            encrypted: STANDARD.encode(encrypted),
        })
    }

    pub(super) fn line(&self) -> Result<Vec<u8>, SnapshotError> {
        serde_json::to_vec(self).map_err(|e| unreadable(&self.name, e.to_string()))
    }

    /// What the line of a snapshot's manifest says, if it is encrypted.
    pub(super) fn of_line(name: &Name, line: &[u8]) -> Result<Self, SnapshotError> {
        let envelope: Self = serde_json::from_slice(line).map_err(|e| unreadable(name, e.to_string()))?;
        is_that_of(&envelope.name, name)?;
        Ok(envelope)
    }

    /// Whether one of these identities is that of a recipient.
    pub(super) fn is_for(&self, identities: &Identities) -> bool {
        identities.fingerprints().iter().any(|fingerprint| self.recipients.contains(fingerprint))
    }

    /// The manifest inside, which must say the same as the envelope.
    pub(super) fn open(&self, identities: &Identities) -> Result<Manifest, SnapshotError> {
        let encrypted = STANDARD.decode(&self.encrypted).map_err(|e| unreadable(&self.name, e.to_string()))?;
        let line = identities.decrypt(&encrypted).map_err(|cause| unreadable(&self.name, format!("it {cause}")))?;
        let manifest = Manifest::of_line(&self.name, &line)?;
        if manifest.began != self.began || pieces(&manifest) != self.parts {
            let cause = "what is encrypted in it says something else than what is not".to_owned();
            return Err(unreadable(&self.name, cause));
        }
        Ok(manifest)
    }
}

fn pieces(manifest: &Manifest) -> Vec<Piece> {
    manifest.all_parts().map(|part| Piece { name: part.called().to_owned(), bytes: part.bytes }).collect()
}
