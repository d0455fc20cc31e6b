//! The two files of the model: where they are looked for, and whether they are the right ones.
//!
//! Other bytes than the expected ones are refused: another model under the same name would silently spoil a collection.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

/// File name of the weights.
const MODEL: &str = "model.onnx";

/// File name of the tokenizer.
const TOKENIZER: &str = "tokenizer.json";

/// SHA-256 of the weights; the same stands in `model/fetch.sh`.
const MODEL_SHA256: &str = "023ac5cda662ab45a06411cd6fa7097d356e746234f90761f81a202ecb5a714e";

/// SHA-256 of the tokenizer; the same stands in `model/fetch.sh`.
const TOKENIZER_SHA256: &str = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037";

/// Names the model's folder where the configuration does not.
const ENV: &str = "RAG_MODEL_DIR";

/// Where images have the model.
const BAKED_IN: &str = "/model";

/// Why the model cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// No folder has it.
    #[error(
        "the embedding model is missing: no {file} in {}; run `make model`, or name its folder with embedding.local.path or RAG_MODEL_DIR",
        list(.folders)
    )]
    Missing {
        /// Which file.
        file: &'static str,
        /// Where it was looked for.
        folders: Vec<PathBuf>,
    },
    /// A file is there, with other bytes.
    #[error("the embedding model is damaged: {} has SHA-256 {found}, expected {expected}; remove it and run `make model`", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Its checksum.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A file is there and cannot be read.
    #[error("the embedding model cannot be read: {}: {cause}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// The bytes are right and the runtime still refuses them.
    #[error("the embedding model in {} cannot be started: {cause}", .folder.display())]
    Unusable {
        /// The folder.
        folder: PathBuf,
        /// What the runtime said.
        cause: String,
    },
}

fn list(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The bytes of both files, verified.
pub(super) struct Files {
    pub(super) model: Vec<u8>,
    pub(super) tokenizer: Vec<u8>,
}

/// The folder with the model: the configured one and no other, otherwise the first of `$RAG_MODEL_DIR` (which stands alone, too), `./model`, the user's data folder and `/model` that has it.
pub fn folder(configured: Option<&Path>) -> Result<PathBuf, ModelError> {
    first_with_model(candidates(configured, |name| env::var_os(name).filter(|value| !value.is_empty())))
}

fn candidates(configured: Option<&Path>, env: impl Fn(&str) -> Option<std::ffi::OsString>) -> Vec<PathBuf> {
    if let Some(only) = configured.map(Path::to_owned).or_else(|| env(ENV).map(PathBuf::from)) {
        return vec![only];
    }
    let data = env("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| env("HOME").map(|home| Path::new(&home).join(".local").join("share")));
    let mut folders = vec![PathBuf::from("model")];
    folders.extend(data.map(|data| data.join("rag-server").join("model")));
    folders.push(PathBuf::from(BAKED_IN));
    folders
}

fn first_with_model(folders: Vec<PathBuf>) -> Result<PathBuf, ModelError> {
    match folders.iter().find(|folder| folder.join(MODEL).exists()) {
        Some(folder) => Ok(folder.clone()),
        None => Err(ModelError::Missing { file: MODEL, folders }),
    }
}

/// Reads and verifies both files.
pub(super) fn read(folder: &Path) -> Result<Files, ModelError> {
    Ok(Files {
        model: verified(folder, MODEL, MODEL_SHA256)?,
        tokenizer: verified(folder, TOKENIZER, TOKENIZER_SHA256)?,
    })
}

fn verified(folder: &Path, file: &'static str, expected: &'static str) -> Result<Vec<u8>, ModelError> {
    let path = folder.join(file);
    let bytes = fs::read(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ModelError::Missing { file, folders: vec![folder.to_owned()] },
        _ => ModelError::Unreadable { path: path.clone(), cause: error.to_string() },
    })?;
    let found = hex::encode(Sha256::digest(&bytes));
    if found == expected { Ok(bytes) } else { Err(ModelError::Damaged { path, found, expected }) }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn names(configured: Option<&str>, set: &[(&str, &str)]) -> Vec<String> {
        let env = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        candidates(configured.map(Path::new), env).iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn a_folder_that_somebody_named_is_the_only_one_searched() {
        let set = [("RAG_MODEL_DIR", "/e"), ("HOME", "/home/a")];
        assert_eq!(names(Some("/c"), &set), ["/c"]);
        assert_eq!(names(None, &set), ["/e"]);
    }

    #[test]
    fn without_a_name_the_working_folder_comes_before_the_users_and_the_images() {
        assert_eq!(names(None, &[("HOME", "/home/a")]), ["model", "/home/a/.local/share/rag-server/model", "/model"]);
        assert_eq!(names(None, &[("XDG_DATA_HOME", "/d")]), ["model", "/d/rag-server/model", "/model"]);
    }

    #[test]
    fn a_missing_model_is_one_sentence_that_names_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let error = first_with_model(vec![folder.path().to_owned()]).unwrap_err().to_string();
        assert!(error.contains("no model.onnx in") && error.contains("make model"), "{error}");
        assert!(error.contains(&folder.path().display().to_string()) && !error.contains('\n'), "{error}");
    }

    #[test]
    fn a_damaged_file_is_named_with_both_checksums() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(MODEL), b"truncated").unwrap();
        let error = read(folder.path()).err().unwrap().to_string();
        assert!(error.contains("model.onnx has SHA-256") && error.contains(MODEL_SHA256), "{error}");
        assert!(error.contains("make model"), "{error}");
    }

    #[test]
    fn a_model_without_its_tokenizer_says_so() {
        let error = verified(Path::new("/nowhere"), TOKENIZER, TOKENIZER_SHA256).unwrap_err().to_string();
        assert!(error.contains("no tokenizer.json in /nowhere"), "{error}");
    }
}
