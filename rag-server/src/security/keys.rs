//! Follows the folder of credentials while the server runs.
//!
//! Flow: `refresh` is called every second; what changed and is sound is taken over at once, what is damaged leaves everything as it was and is said once.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use super::{CredentialError, Credentials};
use crate::config::{ApiKey, Auth};

/// The credentials that are accepted now.
#[derive(Debug)]
pub struct Keys {
    dir: Option<PathBuf>,
    configured: Vec<ApiKey>,
    accepted: RwLock<Arc<Credentials>>,
    damage: RwLock<Option<CredentialError>>,
}

impl Keys {
    /// Reads the credentials for the first time; without a folder nobody needs a key.
    pub fn open(auth: &Auth) -> Result<Self, CredentialError> {
        let accepted = match &auth.credentials_dir {
            Some(dir) => Credentials::read(dir, &auth.api_keys)?,
            None => Credentials::default(),
        };
        Ok(Self {
            dir: auth.credentials_dir.clone(),
            configured: auth.api_keys.clone(),
            accepted: RwLock::new(Arc::new(accepted)),
            damage: RwLock::default(),
        })
    }

    /// What is accepted now.
    pub fn accepted(&self) -> Arc<Credentials> {
        Arc::clone(&self.accepted.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why the folder as it is now was not taken over.
    pub fn damage(&self) -> Option<CredentialError> {
        self.damage.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at the folder, and takes over what changed if it is sound.
    pub fn refresh(&self) {
        let Some(dir) = &self.dir else { return };
        let read = Credentials::read(dir, &self.configured);
        let damage = read.as_ref().err().cloned();
        let before = std::mem::replace(&mut *self.damage.write().unwrap_or_else(PoisonError::into_inner), damage);
        match read {
            Ok(read) if *self.accepted() == read => {}
            Ok(read) => {
                tracing::info!(credentials = ?read, "credentials changed");
                *self.accepted.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
            }
            Err(damage) if before.as_ref() == Some(&damage) => {}
            Err(damage) => tracing::warn!("credentials stay as they were: {damage}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Role;

    /// Swaps the folder's content the way a mounted Secret does.
    fn mount(dir: &std::path::Path, version: &str, files: &[(&str, &str)]) {
        let data = dir.join(version);
        std::fs::create_dir(&data).unwrap();
        for (name, material) in files {
            std::fs::write(data.join(name), material).unwrap();
        }
        std::os::unix::fs::symlink(version, dir.join("..data_tmp")).unwrap();
        std::fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
    }

    #[test]
    fn a_swapped_secret_is_taken_over_and_a_damaged_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        mount(dir.path(), "..1", &[("api-key.a.current", "first-key-0123456789")]);
        let auth = Auth {
            credentials_dir: Some(dir.path().to_owned()),
            api_keys: vec![ApiKey { name: "a".to_owned(), role: Role::Reader, tenant: None }],
        };
        let keys = Keys::open(&auth).unwrap();
        assert!(keys.accepted().api_key(b"first-key-0123456789").is_some());

        let both = [("api-key.a.current", "second-key-0123456789"), ("api-key.a.previous", "first-key-0123456789")];
        mount(dir.path(), "..2", &both);
        keys.refresh();
        assert!(keys.accepted().api_key(b"first-key-0123456789").is_some());
        assert!(keys.accepted().api_key(b"second-key-0123456789").is_some());

        mount(dir.path(), "..3", &[("api-key.a.current", "short")]);
        keys.refresh();
        assert!(keys.accepted().api_key(b"second-key-0123456789").is_some());
        assert!(matches!(keys.damage(), Some(CredentialError::Length { .. })));

        mount(dir.path(), "..4", &[("api-key.a.current", "second-key-0123456789")]);
        keys.refresh();
        assert_eq!(keys.damage(), None);
        assert!(keys.accepted().api_key(b"first-key-0123456789").is_none());
    }
}
