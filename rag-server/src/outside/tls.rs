//! What clients share that speak TLS: the one provider of cryptography, and files of CA certificates.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use jiff::Timestamp;
use x509_parser::pem::Pem;

/// What of a file of certificates is read at most, in bytes: all CAs of a system are a quarter of it.
const MAX_CERTIFICATES_BYTES: u64 = 1 << 20;

/// How a certificate begins in PEM.
const BEGINS: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// What it is called there.
const LABEL: &str = "CERTIFICATE";

/// Why there are no certificates, or when they expire is not known. It is the end of a sentence that names the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoCertificates {
    /// There is no such file, which is right where it may be left out.
    #[error("is not there")]
    NoFile,
    /// It is there, and cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// It was read.
    #[error("holds no certificate in PEM")]
    Absent,
    /// What is called a certificate in it is none.
    #[error("holds a certificate that cannot be read")]
    Damaged,
}

impl From<io::Error> for NoCertificates {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NoFile,
            _ => Self::Unreadable(error.to_string()),
        }
    }
}

/// Chooses the provider of cryptography for every client of this process that does not name its own. Two are in the graph, so that none is chosen by itself, and such a client would panic.
///
/// One that was chosen before stays.
pub fn choose_cryptography() {
    let _chosen_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// The bytes of a file that is to hold certificates in PEM; of a longer one, the first of them.
pub fn read_pem(path: &Path) -> io::Result<Vec<u8>> {
    let mut pem = Vec::new();
    File::open(path)?.take(MAX_CERTIFICATES_BYTES).read_to_end(&mut pem)?;
    Ok(pem)
}

/// The same of one that holds a certificate.
pub fn certificates(path: &Path) -> Result<Vec<u8>, NoCertificates> {
    let pem = read_pem(path)?;
    if !pem.windows(BEGINS.len()).any(|window| window == BEGINS) {
        return Err(NoCertificates::Absent);
    }
    Ok(pem)
}

/// When the first of the certificates of a file in PEM expires.
pub fn first_expiry(path: &Path) -> Result<Timestamp, NoCertificates> {
    let pem = certificates(path)?;
    let mut first = None::<Timestamp>;
    for block in Pem::iter_from_buffer(&pem) {
        let block = block.map_err(|_| NoCertificates::Damaged)?;
        if block.label != LABEL {
            continue;
        }
        let certificate = block.parse_x509().map_err(|_| NoCertificates::Damaged)?;
        let expires = Timestamp::from_second(certificate.validity().not_after.timestamp());
        // The end of 9999, which is how "never" is written, is later than can be said.
        let expires = expires.unwrap_or(Timestamp::MAX);
        first = Some(first.map_or(expires, |first| first.min(expires)));
    }
    first.ok_or(NoCertificates::Absent)
}
