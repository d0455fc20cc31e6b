//! Parts and manifests as age files: encrypted for recipients, read with an identity.
//!
//! An age file says nothing of who wrote it, since whoever knows a recipient can encrypt for it: that a part is what was taken is told by its hash in the manifest, and that the manifest is, by its signature.

use std::{fmt, io::Read as _};

use age::{secrecy::ExposeSecret as _, x25519};
use sha2::{Digest as _, Sha256};

/// Separates the names of parts from any other use of an identity.
const NAMING: &str = "ragops.dev 2026-11-28 names of encrypted snapshot parts";
/// Digits of a fingerprint, as everywhere.
const FINGERPRINT: usize = 12;
/// What an age file is larger than what is inside, at most, for each recipient and for the rest of its header: twice what it is today.
const OVERHEAD: u64 = 1024;
/// An age file has a tag of 16 bytes for each 64 KiB.
const PIECE: u64 = 64 * 1024 / 16;
/// Keys of a file: more are a mistake, and each makes every part larger.
const MOST_KEYS: usize = 16;

/// Why a text holds no keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// There is none.
    #[error("holds no line that begins with {0}")]
    None(&'static str),
    /// There are many.
    #[error("holds more than {MOST_KEYS} keys")]
    TooMany,
    /// A line is none. It is not repeated.
    #[error("holds no X25519 key of age in line {0}; others, such as those of plugins or SSH, are not read")]
    Line(usize),
}

/// Whom snapshots are encrypted for.
#[derive(Clone)]
pub struct Recipients {
    keys: Vec<x25519::Recipient>,
    fingerprints: Vec<String>,
}

/// What encrypted snapshots are read with.
#[derive(Clone)]
pub struct Identities {
    keys: Vec<x25519::Identity>,
    fingerprints: Vec<String>,
}

/// What an archive's snapshots are encrypted and read with: neither, where they are not.
#[derive(Debug, Clone, Default)]
pub struct Encryption {
    /// Whom new ones are encrypted for.
    pub recipients: Option<Recipients>,
    /// What old ones are read with.
    pub identities: Option<Identities>,
}

impl Encryption {
    /// Whether what is written with these keys can be read with them, so that whoever is to read it back need not write first to find out.
    pub fn reads_what_it_writes(&self) -> bool {
        let Some(recipients) = &self.recipients else { return true };
        let identities = self.identities.as_ref().map(Identities::fingerprints).unwrap_or_default();
        identities.iter().any(|fingerprint| recipients.fingerprints().contains(fingerprint))
    }
}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recipients").field(&self.fingerprints).finish()
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identities").field(&self.fingerprints).finish()
    }
}

impl Recipients {
    /// The recipients of a text: a line each, `age1...`; empty lines and those that begin with `#` do not count.
    pub fn parse(text: &str) -> Result<Self, InvalidKeys> {
        let mut keys: Vec<x25519::Recipient> = keys(text, "age1")?;
        keys.sort_by_key(ToString::to_string);
        let fingerprints = keys.iter().map(fingerprint).collect();
        Ok(Self { keys, fingerprints })
    }

    /// The fingerprints, of which a manifest tells.
    pub fn fingerprints(&self) -> &[String] {
        &self.fingerprints
    }

    pub(super) fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, String> {
        use std::io::Write as _;
        let failed = |error: &dyn fmt::Display| format!("cannot be encrypted: {error}");
        let recipients = self.keys.iter().map(|key| key as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients).map_err(|e| failed(&e))?;
        let mut encrypted = Vec::with_capacity(plain.len() + plain.len() / 1024);
        let mut writer = encryptor.wrap_output(&mut encrypted).map_err(|e| failed(&e))?;
        writer.write_all(plain).map_err(|e| failed(&e))?;
        writer.finish().map_err(|e| failed(&e))?;
        Ok(encrypted)
    }

    /// Whether an object of so many bytes can be what so many bytes become.
    pub(super) fn fits(&self, object: u64, plain: u64) -> bool {
        let most = plain + plain / PIECE + OVERHEAD * (self.keys.len() as u64 + 1);
        (plain..=most).contains(&object)
    }

    /// What the names of parts are made with, out of something that is secret. Other recipients make other names: what was encrypted for one cannot be relied on by another.
    pub(super) fn naming(&self, secret: &[u8; 32]) -> Naming {
        let keys: Vec<String> = self.keys.iter().map(ToString::to_string).collect();
        Naming(*blake3::keyed_hash(secret, keys.join("\n").as_bytes()).as_bytes())
    }
}

impl Identities {
    /// The identities of a text: a line each, `AGE-SECRET-KEY-1...`; empty lines and those that begin with `#` do not count.
    pub fn parse(text: &str) -> Result<Self, InvalidKeys> {
        let keys: Vec<x25519::Identity> = keys(text, "AGE-SECRET-KEY-1")?;
        let fingerprints = keys.iter().map(|key| fingerprint(&key.to_public())).collect();
        Ok(Self { keys, fingerprints })
    }

    /// The fingerprints of their recipients.
    pub fn fingerprints(&self) -> &[String] {
        &self.fingerprints
    }

    /// What is inside an age file of so many bytes at most, or what is wrong with it, as the end of a sentence.
    pub(super) fn decrypt(&self, encrypted: &[u8]) -> Result<Vec<u8>, String> {
        let damaged = |error: &dyn fmt::Display| format!("cannot be decrypted: {error}");
        let decryptor = age::Decryptor::new_buffered(encrypted).map_err(|e| damaged(&e))?;
        let identities = self.keys.iter().map(|key| key as &dyn age::Identity);
        let mut reader = decryptor.decrypt(identities).map_err(|e| damaged(&e))?;
        let mut plain = Vec::with_capacity(encrypted.len());
        reader.read_to_end(&mut plain).map_err(|e| damaged(&e))?;
        Ok(plain)
    }

    /// A secret that whoever has these identities makes again.
    pub(super) fn secret(&self) -> Option<[u8; 32]> {
        let first = self.keys.first()?.to_string();
        Some(blake3::derive_key(NAMING, first.expose_secret().as_bytes()))
    }
}

/// Names encrypted parts: the same content has the same name, and without the secret nobody can tell which content has it.
#[derive(Clone)]
pub(super) struct Naming([u8; 32]);

impl Naming {
    /// The name of a part by the hash of what is inside.
    pub(super) fn name(&self, sha256: &str) -> String {
        blake3::keyed_hash(&self.0, sha256.as_bytes()).to_hex().to_string()
    }
}

/// A recipient's fingerprint.
fn fingerprint(recipient: &x25519::Recipient) -> String {
    let mut digits = hex::encode(Sha256::digest(recipient.to_string()));
    digits.truncate(FINGERPRINT);
    digits
}

fn keys<K: std::str::FromStr>(text: &str, begins: &'static str) -> Result<Vec<K>, InvalidKeys> {
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let keys: Result<Vec<K>, _> =
        lines.map(|(number, line)| line.parse().map_err(|_| InvalidKeys::Line(number + 1))).collect();
    match keys? {
        none if none.is_empty() => Err(InvalidKeys::None(begins)),
        many if many.len() > MOST_KEYS => Err(InvalidKeys::TooMany),
        keys => Ok(keys),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_line_by_line_and_what_is_none_is_not_repeated() {
        let identity = x25519::Identity::generate();
        let (secret, public) = (identity.to_string(), identity.to_public().to_string());
        let recipients = Recipients::parse(&format!("# ours\n\n{public}\r\n")).unwrap();
        let identities = Identities::parse(&format!("# created\n{}\n", secret.expose_secret())).unwrap();
        assert_eq!(recipients.fingerprints(), identities.fingerprints());
        assert!(recipients.fingerprints()[0].len() == FINGERPRINT);
        let shown = format!("{recipients:?} {identities:?}");
        assert!(!shown.contains(&public) && !shown.contains(secret.expose_secret()), "{shown}");
        assert_eq!(Recipients::parse("# none\n").unwrap_err(), InvalidKeys::None("age1"));
        let mistaken = Recipients::parse(&format!("{public}\n{}", secret.expose_secret())).unwrap_err();
        assert_eq!(mistaken, InvalidKeys::Line(2));
        assert!(!mistaken.to_string().contains(secret.expose_secret()));
        assert_eq!(Recipients::parse(&format!("{public}\n").repeat(17)).unwrap_err(), InvalidKeys::TooMany);
    }

    #[test]
    fn what_is_encrypted_has_a_size_that_fits_and_any_byte_of_it_counts() {
        let (one, two) = (x25519::Identity::generate(), x25519::Identity::generate());
        let recipients = Recipients::parse(&format!("{}\n{}", one.to_public(), two.to_public())).unwrap();
        let identities = Identities::parse(two.to_string().expose_secret()).unwrap();
        for length in [0, 1, 65_535, 65_536, 200_000] {
            let plain: Vec<u8> = (0..=255).cycle().take(length).collect();
            let encrypted = recipients.encrypt(&plain).unwrap();
            assert!(recipients.fits(encrypted.len() as u64, plain.len() as u64), "{length}: {}", encrypted.len());
            assert_eq!(identities.decrypt(&encrypted).as_deref(), Ok(plain.as_slice()));
        }
        let encrypted = recipients.encrypt(b"Soup is served at noon.").unwrap();
        for at in 0..encrypted.len() {
            let mut flipped = encrypted.clone();
            flipped[at] ^= 1;
            assert!(identities.decrypt(&flipped).is_err(), "byte {at} of {}", encrypted.len());
        }
        for cut in 0..encrypted.len() {
            assert!(identities.decrypt(&encrypted[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn keys_that_do_not_belong_together_are_told_before_anything_is_written() {
        let (one, two) = (x25519::Identity::generate(), x25519::Identity::generate());
        let recipients = Some(Recipients::parse(&one.to_public().to_string()).unwrap());
        let identities = |of: &x25519::Identity| Some(Identities::parse(of.to_string().expose_secret()).unwrap());
        let reads = |identities| Encryption { recipients: recipients.clone(), identities }.reads_what_it_writes();
        assert!(reads(identities(&one)) && !reads(identities(&two)) && !reads(None));
        assert!(Encryption { recipients: None, identities: identities(&two) }.reads_what_it_writes());
    }

    #[test]
    fn names_of_parts_depend_on_the_secret_and_on_whom_they_are_for() {
        let (one, two) = (x25519::Identity::generate(), x25519::Identity::generate());
        let identities = |of: &x25519::Identity| Identities::parse(of.to_string().expose_secret()).unwrap();
        let for_one = Recipients::parse(&one.to_public().to_string()).unwrap();
        let [first, second] = [one.to_public(), two.to_public()].map(|key| key.to_string());
        let for_both = Recipients::parse(&format!("{first}\n{second}")).unwrap();
        let turned = Recipients::parse(&format!("{second}\n{first}")).unwrap();
        let secret = identities(&one).secret().unwrap();
        let name = |recipients: &Recipients, secret: &[u8; 32]| recipients.naming(secret).name("ab12");
        assert_eq!(name(&for_one, &secret), name(&for_one, &identities(&one).secret().unwrap()));
        assert_eq!(name(&for_both, &secret), name(&turned, &secret), "their order does not matter");
        assert_ne!(name(&for_one, &secret), name(&for_both, &secret));
        assert_ne!(name(&for_one, &secret), name(&for_one, &identities(&two).secret().unwrap()));
    }
}
