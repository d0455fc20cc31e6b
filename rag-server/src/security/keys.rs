//! Follows the folder of credentials while the server runs.
//!
//! Flow: `refresh` is called every second; the keys that are there and sound are those that are accepted from then on, and one that is not is said once.
//! Guarantee: a key whose fingerprint is denied opens nothing, from the moment at which that is known and whatever the folder holds.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use super::{Authenticator, Credential, CredentialError, Credentials, Principal, Unauthenticated, Uses, uses::Used};
use crate::config::{ApiKey, Auth};

/// The credentials that are accepted now.
#[derive(Debug)]
pub struct Keys {
    dir: Option<PathBuf>,
    configured: Vec<ApiKey>,
    seen: RwLock<Arc<Seen>>,
    used: Used,
    /// Fingerprints that open nothing.
    denied: watch::Receiver<Arc<BTreeSet<String>>>,
}

/// The folder as it was found last.
#[derive(Debug, Default)]
struct Seen {
    accepted: Arc<Credentials>,
    refused: Vec<CredentialError>,
}

impl Keys {
    /// Reads the credentials for the first time; without a folder nobody needs a key.
    pub fn open(auth: &Auth) -> Self {
        let configured = auth.api_keys.clone();
        let dir = auth.credentials_dir.clone();
        // Nothing is denied where nobody can deny anything.
        let denied = watch::channel(Arc::default()).1;
        let keys = Self { dir, configured, seen: RwLock::default(), used: Used::default(), denied };
        keys.refresh();
        keys
    }

    /// The same keys without those whose fingerprints are denied, now or later.
    #[must_use]
    pub fn without(self, denied: watch::Receiver<Arc<BTreeSet<String>>>) -> Self {
        Self { denied, ..self }
    }

    /// Whether the key with this fingerprint opens nothing, whatever the folder holds.
    pub fn is_denied(&self, fingerprint: &str) -> bool {
        self.denied.borrow().contains(fingerprint)
    }

    /// Whether nobody needs a key, because none is configured. A key whose file is missing opens nothing, and never everything.
    pub fn needs_none(&self) -> bool {
        self.configured.is_empty()
    }

    /// What is accepted now, those among it that are denied included.
    pub fn accepted(&self) -> Arc<Credentials> {
        Arc::clone(&self.seen().accepted)
    }

    /// The operator's credential with this material; that it was found and is not denied is a use of it.
    pub fn operator(&self, material: &[u8]) -> Result<Credential, Unauthenticated> {
        let credential = self.accepted().operator(material).cloned().ok_or(Unauthenticated::Unknown)?;
        self.used_unless_denied(&credential)?;
        Ok(credential)
    }

    fn used_unless_denied(&self, credential: &Credential) -> Result<(), Unauthenticated> {
        if self.is_denied(&credential.fingerprint()) {
            return Err(Unauthenticated::Denied);
        }
        self.used.note(credential, Timestamp::now());
        Ok(())
    }

    /// How often this value of a credential was accepted since the process began, and when last.
    pub fn uses(&self, credential: &Credential) -> Uses {
        self.used.of(credential)
    }

    /// The keys that are configured and not accepted, and why.
    pub fn refused(&self) -> Vec<CredentialError> {
        self.seen().refused.clone()
    }

    /// Looks at the folder, and accepts what is there now.
    pub fn refresh(&self) {
        let Some(dir) = &self.dir else { return };
        let (read, refused) = Credentials::read(dir, &self.configured);
        let before = self.seen();
        let are_others = !read.is(&before.accepted);
        let accepted = if are_others { Arc::new(read) } else { Arc::clone(&before.accepted) };
        let seen = Arc::new(Seen { accepted, refused });
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&seen);
        // What the log says holds already.
        for error in seen.refused.iter().filter(|error| !before.refused.contains(error)) {
            tracing::warn!("a credential is not accepted: {error}");
        }
        if are_others {
            tracing::info!(credentials = ?seen.accepted, "other credentials are accepted");
        }
    }

    fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.seen.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Authenticator for Keys {
    async fn authenticate(&self, shown: Option<&[u8]>) -> Result<Principal, Unauthenticated> {
        if self.needs_none() {
            return Ok(Principal::anonymous());
        }
        let material = shown.ok_or(Unauthenticated::Missing)?;
        let accepted = self.accepted();
        let (credential, principal) = accepted.client(material).ok_or(Unauthenticated::Unknown)?;
        self.used_unless_denied(credential)?;
        Ok(principal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Role,
        security::{CredentialError, Generation},
    };

    const FIRST: &str = "first-key-0123456789";
    const SECOND: &str = "second-key-0123456789";
    const OTHER: &str = "other-key-0123456789";

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

    fn auth(dir: &std::path::Path) -> Auth {
        let key = |name: &str| ApiKey { name: name.to_owned(), role: Role::Reader, tenant: None };
        Auth { credentials_dir: Some(dir.to_owned()), api_keys: vec![key("a"), key("b")] }
    }

    async fn opens(keys: &Keys, material: &str) -> bool {
        keys.authenticate(Some(material.as_bytes())).await.is_ok()
    }

    #[tokio::test]
    async fn a_swapped_secret_is_taken_over_and_both_generations_open() {
        let dir = tempfile::tempdir().unwrap();
        mount(dir.path(), "..1", &[("api-key.a.current", FIRST), ("api-key.b.current", OTHER)]);
        let keys = Keys::open(&auth(dir.path()));
        assert!(opens(&keys, FIRST).await && !opens(&keys, SECOND).await);

        let both = [("api-key.a.current", SECOND), ("api-key.a.previous", FIRST), ("api-key.b.current", OTHER)];
        mount(dir.path(), "..2", &both);
        keys.refresh();
        assert!(opens(&keys, FIRST).await && opens(&keys, SECOND).await && opens(&keys, OTHER).await);

        mount(dir.path(), "..3", &[("api-key.a.current", SECOND), ("api-key.b.current", OTHER)]);
        keys.refresh();
        assert!(!opens(&keys, FIRST).await && opens(&keys, SECOND).await);
        assert_eq!(keys.refused(), []);
    }

    #[tokio::test]
    async fn a_damaged_key_costs_that_key_alone_and_never_keeps_a_revoked_one() {
        let dir = tempfile::tempdir().unwrap();
        mount(dir.path(), "..1", &[("api-key.a.current", FIRST), ("api-key.b.current", OTHER)]);
        let keys = Keys::open(&auth(dir.path()));
        // The key of a is revoked in the same change that damages the one of b.
        mount(dir.path(), "..2", &[("api-key.a.current", SECOND), ("api-key.b.current", "short")]);
        keys.refresh();
        assert!(!opens(&keys, FIRST).await && opens(&keys, SECOND).await);
        assert!(!opens(&keys, OTHER).await && !opens(&keys, "short").await);
        assert!(matches!(&keys.refused()[..], [CredentialError::Length { .. }]));
    }

    #[tokio::test]
    async fn a_client_without_a_file_has_no_key_also_at_the_start_and_others_go_on() {
        let dir = tempfile::tempdir().unwrap();
        mount(dir.path(), "..1", &[("api-key.b.current", OTHER)]);
        let keys = Keys::open(&auth(dir.path()));
        assert!(opens(&keys, OTHER).await && !opens(&keys, FIRST).await);
        assert!(matches!(&keys.refused()[..], [CredentialError::Missing { .. }]));
        mount(dir.path(), "..2", &[("api-key.a.current", FIRST)]);
        keys.refresh();
        assert!(opens(&keys, FIRST).await && !opens(&keys, OTHER).await);
    }

    /// Generation and uses of each accepted value of a credential.
    fn counted(keys: &Keys, name: &str) -> Vec<(Generation, Uses)> {
        let accepted = keys.accepted();
        let of_name = accepted.iter().filter(|credential| credential.name == name);
        of_name.map(|credential| (credential.generation, keys.uses(credential))).collect()
    }

    #[tokio::test]
    async fn a_value_keeps_its_uses_when_the_next_one_comes_and_when_its_file_is_away_for_a_moment() {
        let dir = tempfile::tempdir().unwrap();
        mount(dir.path(), "..1", &[("api-key.a.current", FIRST), ("api-key.b.current", OTHER)]);
        let keys = Keys::open(&auth(dir.path()));
        let began = Timestamp::now();
        assert!(opens(&keys, FIRST).await && opens(&keys, FIRST).await && !opens(&keys, "a wrong key 0123").await);
        let [(Generation::Current, Uses { count: 2, last: Some(last) })] = counted(&keys, "api-key.a")[..] else {
            panic!("{:?}", counted(&keys, "api-key.a"))
        };
        assert!((began..=Timestamp::now()).contains(&last), "{last}");
        assert_eq!(counted(&keys, "api-key.b"), [(Generation::Current, Uses::default())]);

        let both = [("api-key.a.current", SECOND), ("api-key.a.previous", FIRST), ("api-key.b.current", OTHER)];
        mount(dir.path(), "..2", &both);
        keys.refresh();
        let old = (Generation::Previous, Uses { count: 2, last: Some(last) });
        assert_eq!(counted(&keys, "api-key.a"), [(Generation::Current, Uses::default()), old]);

        mount(dir.path(), "..3", &[("api-key.a.current", SECOND), ("api-key.b.current", OTHER)]);
        keys.refresh();
        assert_eq!(counted(&keys, "api-key.a"), [(Generation::Current, Uses::default())]);
        mount(dir.path(), "..4", &both);
        keys.refresh();
        assert_eq!(counted(&keys, "api-key.a")[1], old, "what was used never looks unused");
    }

    #[test]
    fn the_operators_credential_is_used_by_who_shows_it_and_by_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        mount(dir.path(), "..1", &[("operator.current", OTHER), ("api-key.a.current", FIRST)]);
        let keys = Keys::open(&auth(dir.path()));
        assert!(keys.operator(FIRST.as_bytes()).is_err() && keys.operator(b"").is_err());
        assert_eq!(counted(&keys, "operator"), [(Generation::Current, Uses::default())]);
        assert!(keys.operator(OTHER.as_bytes()).is_ok());
        assert_eq!(counted(&keys, "operator")[0].1.count, 1);
        assert_eq!(counted(&keys, "api-key.a")[0].1.count, 0);
    }

    #[tokio::test]
    async fn a_denied_key_opens_nothing_from_then_on_and_that_is_no_use_of_it() {
        let dir = tempfile::tempdir().unwrap();
        mount(dir.path(), "..1", &[("api-key.a.current", FIRST), ("operator.current", OTHER)]);
        let (deny, denied) = watch::channel(Arc::default());
        let keys = Keys::open(&auth(dir.path())).without(denied);
        assert!(opens(&keys, FIRST).await && keys.operator(OTHER.as_bytes()).is_ok());
        let accepted = keys.accepted();
        let fingerprints = accepted.iter().map(Credential::fingerprint);
        deny.send_replace(Arc::new(fingerprints.collect::<BTreeSet<_>>()));
        assert_eq!(keys.authenticate(Some(FIRST.as_bytes())).await, Err(Unauthenticated::Denied));
        assert_eq!(keys.operator(OTHER.as_bytes()).unwrap_err(), Unauthenticated::Denied);
        keys.refresh();
        assert!(!opens(&keys, FIRST).await, "the folder does not bring it back");
        assert_eq!((counted(&keys, "api-key.a")[0].1.count, counted(&keys, "operator")[0].1.count), (1, 1));
    }

    #[tokio::test]
    async fn a_folder_without_any_key_opens_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::open(&auth(&dir.path().join("nowhere")));
        assert_eq!(keys.authenticate(None).await, Err(Unauthenticated::Missing));
        assert_eq!(keys.authenticate(Some(b"")).await, Err(Unauthenticated::Unknown));
        assert_eq!(keys.refused().len(), 2);
        assert_eq!(Keys::open(&Auth::default()).authenticate(None).await, Ok(Principal::anonymous()));
    }
}
