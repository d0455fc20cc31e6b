//! Writes kubeconfig files. JSON is YAML, so one writer is enough.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// How somebody reaches the API server.
#[derive(Debug)]
pub(crate) struct Access<'a> {
    pub(crate) url: &'a str,
    /// PEM; absent for a plain-text proxy.
    pub(crate) authority: Option<&'a str>,
    pub(crate) token: &'a str,
    /// The user and groups to act as.
    pub(crate) acting: Option<(&'a str, &'a [&'a str])>,
}

impl Access<'_> {
    fn document(&self) -> Value {
        let mut cluster = json!({"server": self.url});
        if let Some(pem) = self.authority {
            cluster["certificate-authority-data"] = json!(base64(pem.as_bytes()));
        }
        let mut user = json!({"token": self.token});
        if let Some((name, groups)) = self.acting {
            user["as"] = json!(name);
            user["as-groups"] = json!(groups);
        }
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "ragops", "cluster": cluster}],
            "users": [{"name": "user", "user": user}],
            "contexts": [{"name": "ragops", "context": {"cluster": "ragops", "user": "user"}}],
            "current-context": "ragops",
        })
    }

    /// The document, for a client in this process.
    pub(crate) fn parsed(&self) -> Result<kube::config::Kubeconfig> {
        Ok(serde_json::from_value(self.document())?)
    }

    /// Writes the file, readable by its owner alone: it holds a token.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        private(path, serde_json::to_string_pretty(&self.document())?.as_bytes())
    }
}

/// Writes a file that only its owner reads.
pub(crate) fn private(path: &Path, content: &[u8]) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(content)?;
    Ok(())
}

/// Standard alphabet with padding; too little to take a crate for.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let padded = [group[0], *group.get(1).unwrap_or(&0), *group.get(2).unwrap_or(&0)];
        let bits = u32::from_be_bytes([0, padded[0], padded[1], padded[2]]);
        for position in 0..4 {
            let index = (bits >> (18 - 6 * position)) & 63;
            text.push(if position <= group.len() { char::from(ALPHABET[index as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_pads_every_length() {
        for (plain, encoded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }
}
