//! The certificates of one cluster, made with the `openssl` program: an authority, the API server's certificate, the
//! front proxy's (for aggregated APIs), and the key that signs service-account tokens.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Days. Longer than any test, shorter than anybody's memory of where the files went.
const VALIDITY: &str = "30";

/// Creates all files in `folder`; `names` are what the API server's certificate is valid for, in openssl's notation.
pub(crate) fn create(folder: &Path, names: &str) -> Result<()> {
    authority(folder)?;
    signed(folder, "apiserver", &format!("subjectAltName={names}"))?;
    signed(folder, "front-proxy", "extendedKeyUsage=clientAuth")?;
    openssl(
        folder,
        &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "service-account.key"],
    )?;
    openssl(folder, &["pkey", "-in", "service-account.key", "-pubout", "-out", "service-account.pub"])
}

fn authority(folder: &Path) -> Result<()> {
    let key = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let rest = ["-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ragops-cluster", "-days", VALIDITY];
    openssl(folder, &[&key[..], &rest[..]].concat())
}

fn signed(folder: &Path, name: &str, extension: &str) -> Result<()> {
    let (key, request, certificate) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.crt"));
    let extensions = format!("{name}.ext");
    std::fs::write(folder.join(&extensions), format!("{extension}\n"))?;
    let subject = format!("/CN={name}");
    let new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    openssl(folder, &[&new[..], &["-keyout", &key, "-out", &request, "-subj", &subject]].concat())?;
    let sign = ["x509", "-req", "-in", &request, "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"];
    openssl(folder, &[&sign[..], &["-out", &certificate, "-days", VALIDITY, "-extfile", &extensions]].concat())
}

fn openssl(folder: &Path, arguments: &[&str]) -> Result<()> {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().context("cannot run openssl")?;
    if !output.status.success() {
        bail!("openssl {} failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// A key and a self-signed certificate for a double that must speak TLS; nobody verifies it.
pub(crate) fn self_signed(folder: &Path, name: &str) -> Result<()> {
    let key = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let (key_file, certificate) = (format!("{name}.key"), format!("{name}.crt"));
    let subject = format!("/CN={name}");
    let rest = ["-keyout", &key_file, "-out", &certificate, "-subj", &subject, "-days", VALIDITY];
    openssl(folder, &[&key[..], &rest[..]].concat())
}
