//! Packs files into a container image archive without any container tool: one layer over an empty root, in the form that
//! `docker save` writes and `ctr images import` reads. The same input gives the same bytes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

/// What an image holds and runs.
#[derive(Clone, Debug)]
pub struct Image {
    /// Name and tag, such as `ragops/rag-server:0.1.0`.
    pub name: String,
    /// The program and its fixed arguments.
    pub entrypoint: Vec<String>,
    /// A numeric user, because a pod that must not run as root is not believed a name.
    pub user: u32,
    /// Environment as `KEY=value`.
    pub environment: Vec<String>,
    /// What lies in it.
    pub items: Vec<Item>,
}

/// One thing in an image; paths inside are absolute.
#[derive(Clone, Debug)]
pub enum Item {
    /// A file, executable if it is so here.
    File {
        /// On this machine.
        from: PathBuf,
        /// In the image.
        to: PathBuf,
    },
    /// A folder with everything in it.
    Tree {
        /// On this machine.
        from: PathBuf,
        /// In the image.
        to: PathBuf,
    },
    /// An empty folder that the image's user may write to.
    Folder {
        /// In the image.
        to: PathBuf,
    },
}

impl Image {
    /// Writes the archive; it appears whole or not at all.
    ///
    /// # Errors
    /// When a source is missing or the archive cannot be written.
    pub fn write(&self, archive: &Path) -> Result<()> {
        let folder = archive.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let layer = tempfile::NamedTempFile::new_in(folder)?;
        let digest = self.write_layer(layer.as_file())?;
        let config = self.config(&digest).to_string();
        let config_name = format!("{}.json", hex::encode(Sha256::digest(config.as_bytes())));
        let layer_name = format!("{digest}.tar");
        let manifest = json!([{"Config": config_name, "RepoTags": [self.name], "Layers": [layer_name]}]).to_string();

        let whole = tempfile::NamedTempFile::new_in(folder)?;
        let mut tar = Builder::new(io::BufWriter::new(whole.as_file()));
        bytes(&mut tar, "manifest.json", manifest.as_bytes())?;
        bytes(&mut tar, &config_name, config.as_bytes())?;
        let mut header = header(EntryType::Regular, 0o644, 0);
        header.set_size(layer.as_file().metadata()?.len());
        tar.append_data(&mut header, &layer_name, File::open(layer.path())?)?;
        tar.into_inner()?.flush()?;
        whole.persist(archive).with_context(|| format!("cannot write {}", archive.display()))?;
        Ok(())
    }

    fn config(&self, layer: &str) -> serde_json::Value {
        json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Entrypoint": self.entrypoint,
                "User": self.user.to_string(),
                "Env": self.environment,
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer}")]},
            "history": [{"created_by": "ragops"}],
        })
    }

    /// Returns the digest of what was written.
    fn write_layer(&self, file: &File) -> Result<String> {
        let mut tar = Builder::new(Hashing { inner: io::BufWriter::new(file), digest: Sha256::new() });
        for item in &self.items {
            match item {
                Item::File { from, to } => add_file(&mut tar, from, to)?,
                Item::Tree { from, to } => add_tree(&mut tar, from, to)?,
                Item::Folder { to } => {
                    let mut header = header(EntryType::Directory, 0o755, self.user);
                    tar.append_data(&mut header, inside(to)?, io::empty())?;
                }
            }
        }
        let mut hashing = tar.into_inner()?;
        hashing.flush()?;
        Ok(hex::encode(hashing.digest.finalize()))
    }
}

fn add_file<W: Write>(tar: &mut Builder<W>, from: &Path, to: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let file = File::open(from).with_context(|| format!("cannot read {}", from.display()))?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        bail!("{} is not a file", from.display());
    }
    let mode = if metadata.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
    let mut header = header(EntryType::Regular, mode, 0);
    header.set_size(metadata.len());
    // A file that grows while it is read must not shift what follows.
    tar.append_data(&mut header, inside(to)?, file.take(metadata.len()))?;
    Ok(())
}

fn add_tree<W: Write>(tar: &mut Builder<W>, from: &Path, to: &Path) -> Result<()> {
    let mut header = header(EntryType::Directory, 0o755, 0);
    tar.append_data(&mut header, inside(to)?, io::empty())?;
    let entries = std::fs::read_dir(from).with_context(|| format!("cannot read the folder {}", from.display()))?;
    let mut entries = entries.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        // Links are followed: an image must not point out of itself.
        if path.is_dir() {
            add_tree(tar, &path, &target)?;
        } else {
            add_file(tar, &path, &target)?;
        }
    }
    Ok(())
}

fn inside(path: &Path) -> Result<&Path> {
    let relative = path.strip_prefix("/").with_context(|| format!("{} is not absolute", path.display()))?;
    if relative.components().any(|part| part == std::path::Component::ParentDir) {
        bail!("{} leaves the image", path.display());
    }
    Ok(relative)
}

fn bytes<W: Write>(tar: &mut Builder<W>, name: &str, content: &[u8]) -> Result<()> {
    let mut header = header(EntryType::Regular, 0o644, 0);
    header.set_size(u64::try_from(content.len())?);
    tar.append_data(&mut header, name, content)?;
    Ok(())
}

/// Times and owners' names are left out, so that equal content is an equal archive.
fn header(kind: EntryType, mode: u32, user: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(user.into());
    header.set_gid(user.into());
    header.set_mtime(0);
    header.set_size(0);
    header
}

struct Hashing<W> {
    inner: W,
    digest: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.digest.update(&buffer[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn entries(archive: &[u8]) -> BTreeMap<String, (u32, u64, Vec<u8>)> {
        let mut all = BTreeMap::new();
        for entry in tar::Archive::new(archive).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            all.insert(name, (entry.header().mode().unwrap(), entry.header().uid().unwrap(), content));
        }
        all
    }

    fn example(folder: &Path) -> Image {
        let program = folder.join("program");
        std::fs::write(&program, "code").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        std::fs::create_dir_all(folder.join("model/deep")).unwrap();
        std::fs::write(folder.join("model/deep/weights"), "weights").unwrap();
        Image {
            name: "example/app:1".into(),
            entrypoint: vec!["/bin/app".into()],
            user: 65532,
            environment: Vec::new(),
            items: vec![
                Item::File { from: program, to: "/bin/app".into() },
                Item::Tree { from: folder.join("model"), to: "/model".into() },
                Item::Folder { to: "/data".into() },
            ],
        }
    }

    #[test]
    fn the_layer_is_what_the_config_says_and_holds_every_item() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("app.tar");
        example(folder.path()).write(&archive).unwrap();

        let outer = entries(&std::fs::read(&archive).unwrap());
        let manifest: serde_json::Value = serde_json::from_slice(&outer["manifest.json"].2).unwrap();
        assert_eq!(manifest[0]["RepoTags"][0], "example/app:1");
        let layer = &outer[manifest[0]["Layers"][0].as_str().unwrap()].2;
        let config: serde_json::Value =
            serde_json::from_slice(&outer[manifest[0]["Config"].as_str().unwrap()].2).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", hex::encode(Sha256::digest(layer))));
        assert_eq!(config["config"]["User"], "65532");

        let inner = entries(layer);
        assert_eq!(inner["bin/app"], (0o755, 0, b"code".to_vec()));
        assert_eq!(inner["model/deep/weights"], (0o644, 0, b"weights".to_vec()));
        assert_eq!((inner["data"].0, inner["data"].1), (0o755, 65532));
    }

    #[test]
    fn equal_content_gives_equal_archives() {
        let folder = tempfile::tempdir().unwrap();
        let image = example(folder.path());
        let (first, second) = (folder.path().join("1.tar"), folder.path().join("2.tar"));
        image.write(&first).unwrap();
        image.write(&second).unwrap();
        assert_eq!(std::fs::read(first).unwrap(), std::fs::read(second).unwrap());
    }

    #[test]
    fn a_missing_file_and_a_path_out_of_the_image_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut image = example(folder.path());
        image.items = vec![Item::File { from: folder.path().join("absent"), to: "/bin/app".into() }];
        let error = format!("{:#}", image.write(&folder.path().join("x.tar")).unwrap_err());
        assert!(error.contains("absent"), "{error}");
        image.items = vec![Item::Folder { to: "/../etc".into() }];
        let error = format!("{:#}", image.write(&folder.path().join("x.tar")).unwrap_err());
        assert!(error.contains("leaves the image"), "{error}");
        assert!(!folder.path().join("x.tar").exists());
    }
}
