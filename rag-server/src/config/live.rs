//! What may change while the server runs: the content of the live file, followed by looking at it every second.
//!
//! A damaged file changes nothing: what was accepted before stays, and a warning says so once. What the file sets wins: administrators may refuse writes where it does not, and never take them where it refuses them.
//! Guarantee: what holds is on one channel, written in one place; a further source is merged there, and whoever follows the channel need not know of it.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{
    LogFilter, layers,
    problem::{Origin, Problem, Problems},
    shape::{self, Shape},
    walk::Origins,
};
use crate::{model::MicroUsd, ports::Sight};

/// What may change while the server runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Live {
    /// Questions are answered, writes are refused.
    pub read_only: bool,
    /// What the log tells: a level (off, error, warn, info, debug or trace), or levels by module such as "rag_server=debug,warn". Without it, what the server began with. RAG_LOG of the environment wins.
    #[schemars(with = "Option<String>", extend("maxLength" = 500, "minLength" = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogFilter>,
    /// How much answers may cost.
    pub budget: Budget,
}

/// How much answers may cost, and the embedding and reranking for them and for documents, by the prices of the providers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// In a calendar month, UTC, by all servers of this corpus together.
    #[schemars(with = "Option<f64>", range(min = 0.0, max = 1_000_000_000.0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monthly_usd: Option<MicroUsd>,
    /// In a calendar day, UTC.
    #[schemars(with = "Option<f64>", range(min = 0.0, max = 1_000_000_000.0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily_usd: Option<MicroUsd>,
    /// Percents of a limit that are told once, as a metric and in the log, when they are spent.
    #[schemars(length(max = 10), inner(range(min = 1, max = 100)))]
    pub alert_percents: Vec<u8>,
    /// What happens when a limit is reached: Extractive answers with sentences of the documents, Refuse with 402.
    #[schemars(extend("enum" = ["Extractive", "Refuse"]), with = "String")]
    pub on_limit: OnLimit,
    /// Percent of a limit from which on the cheapest provider is called first, and the others in the order of their prices. Without it they are called in the order in which they are configured.
    #[schemars(range(min = 1, max = 100))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefer_cheaper_percent: Option<u8>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            monthly_usd: None,
            daily_usd: None,
            alert_percents: vec![50, 80, 100],
            on_limit: OnLimit::default(),
            prefer_cheaper_percent: None,
        }
    }
}

/// What happens when a limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OnLimit {
    /// An answer made of sentences of the documents, which says so.
    #[default]
    Extractive,
    /// No answer.
    Refuse,
}

impl Live {
    /// The JSON schema of the live file.
    pub fn schema() -> serde_json::Value {
        shape::schema::<Self>()
    }

    /// Reads the bytes of a live file; `origin` is how problems name it.
    pub fn from_toml(bytes: &[u8], origin: &str) -> Result<Self, Problems> {
        let schema = Self::schema();
        let mut problems = Vec::new();
        let table = layers::read(Shape::new(&schema), origin, bytes, &mut Origins::new(), &mut problems)?;
        Problems::in_order(problems)?;
        table.try_into().map_err(|e: toml::de::Error| {
            Problem { origin: Origin::Absent(origin.to_owned()), message: e.message().to_owned() }.into()
        })
    }
}

/// What holds now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LiveState {
    /// The values.
    pub live: Live,
    /// SHA-256 of the file's exact bytes, in hex; none before a file was accepted.
    pub sha256: Option<String>,
    /// Who refuses writes.
    pub read_only_by: ReadOnlyBy,
}

/// Who refuses writes. They are taken while nobody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadOnlyBy {
    /// The live file.
    pub live_file: bool,
    /// An administrator, for all servers.
    pub administrator: bool,
    /// A restore that is at work, for all servers, until it is done.
    pub restore: bool,
}

/// What holds now, on a channel: whoever needs it looks at it, or waits until it changes.
#[derive(Debug)]
pub struct LiveSettings {
    file: Option<Mutex<LiveFile>>,
    sight: Arc<Sight>,
    sources: Mutex<Sources>,
    holds: watch::Sender<Arc<LiveState>>,
}

/// What is merged into what holds.
#[derive(Debug, Default)]
struct Sources {
    /// What the file says, and its hash.
    file: Option<(Live, String)>,
    administrators_read_only: bool,
    restore_read_only: bool,
}

impl Sources {
    fn merged(&self) -> LiveState {
        let (live, sha256) = self.file.clone().map_or((Live::default(), None), |(live, sha256)| (live, Some(sha256)));
        let (administrator, restore) = (self.administrators_read_only, self.restore_read_only);
        let read_only = live.read_only || administrator || restore;
        let read_only_by = ReadOnlyBy { live_file: live.read_only, administrator, restore };
        LiveState { live: Live { read_only, ..live }, sha256, read_only_by }
    }
}

/// The live file, and which of its contents was dealt with last.
#[derive(Debug)]
struct LiveFile {
    path: PathBuf,
    /// Hash of the bytes that were refused last, so that a warning comes once.
    refused: Option<String>,
}

impl LiveSettings {
    /// What the file at `path` says, and the defaults until it could be accepted; without a file they hold for ever.
    pub fn new(path: Option<PathBuf>) -> Self {
        let file = path.map(|path| Mutex::new(LiveFile { path, refused: None }));
        let (sources, holds) = (Mutex::default(), watch::Sender::default());
        let settings = Self { file, sight: Sight::new("live settings"), sources, holds };
        settings.refresh();
        settings
    }

    /// What holds now.
    pub fn state(&self) -> Arc<LiveState> {
        Arc::clone(&self.holds.borrow())
    }

    /// What holds, and every change of it.
    pub fn follow(&self) -> watch::Receiver<Arc<LiveState>> {
        self.holds.subscribe()
    }

    /// Whether what the file says is what holds; nothing where no file is followed.
    pub fn sight(&self) -> Option<&Arc<Sight>> {
        self.file.as_ref().map(|_| &self.sight)
    }

    /// Administrators refuse writes from now on, or do not.
    pub fn set_administrators_read_only(&self, on: bool) {
        self.merge(|sources| sources.administrators_read_only = on);
    }

    /// A restore refuses writes from now on, or does not.
    pub fn set_restore_read_only(&self, on: bool) {
        self.merge(|sources| sources.restore_read_only = on);
    }

    /// Changes one source, and what holds where that makes a difference.
    fn merge(&self, change: impl FnOnce(&mut Sources)) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut sources);
        let merged = sources.merged();
        self.holds.send_if_modified(|holds| {
            let differs = **holds != merged;
            if differs {
                *holds = Arc::new(merged);
            }
            differs
        });
    }

    /// Looks at the file, and takes over what it says if it changed and can be accepted.
    pub fn refresh(&self) {
        let Some(file) = &self.file else { return };
        let looked = file.lock().unwrap_or_else(PoisonError::into_inner).look(self.state().sha256.as_deref());
        match looked {
            Ok(changed) => {
                self.sight.answered(Timestamp::now());
                if let Some((live, sha256)) = changed {
                    // Before they hold: the level of the log is one of them, and may let this through no more.
                    tracing::info!(read_only = live.read_only, sha256, "live settings accepted");
                    self.merge(|sources| sources.file = Some((live, sha256)));
                }
            }
            Err(cause) => self.sight.failed(cause, Timestamp::now()),
        }
    }
}

impl LiveFile {
    /// What the file says, if that is other than what holds; or why it cannot be accepted, by class.
    fn look(&mut self, holds: Option<&str>) -> Result<Option<(Live, String)>, &'static str> {
        let path = self.path.display().to_string();
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(e) => {
                self.refuse(e.to_string(), || format!("{path} cannot be read: {e}"));
                return Err("unreadable");
            }
        };
        let sha256 = layers::sha256(&bytes);
        if holds == Some(&sha256) {
            self.refused = None;
            return Ok(None);
        }
        match Live::from_toml(&bytes, &path) {
            Ok(live) => {
                self.refused = None;
                Ok(Some((live, sha256)))
            }
            Err(problems) => {
                self.refuse(sha256, || problems.to_string());
                Err("damaged")
            }
        }
    }

    fn refuse(&mut self, what: String, message: impl FnOnce() -> String) {
        if self.refused.as_ref() != Some(&what) {
            tracing::warn!("live settings stay as they were: {}", message());
            self.refused = Some(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_read_in_dollars_and_checked() {
        let read = |text: &str| Live::from_toml(text.as_bytes(), "live.toml").map_err(|problems| problems.to_string());
        let budget = read(
            "[budget]\nmonthly_usd = 200\ndaily_usd = 0.5\nalert_percents = [90]\non_limit = \"Refuse\"\nprefer_cheaper_percent = 80\n",
        );
        let expected = Budget {
            monthly_usd: Some(MicroUsd(200_000_000)),
            daily_usd: Some(MicroUsd(500_000)),
            alert_percents: vec![90],
            on_limit: OnLimit::Refuse,
            prefer_cheaper_percent: Some(80),
        };
        assert_eq!(budget.map(|live| live.budget), Ok(expected));
        assert_eq!(read(""), Ok(Live::default()));
        for wrong in [
            "monthly_usd = -1",
            "alert_percents = [0]",
            "alert_percents = [101]",
            "on_limit = \"Stop\"",
            "weekly_usd = 1",
            "prefer_cheaper_percent = 101",
        ] {
            assert!(read(&format!("[budget]\n{wrong}\n")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_damaged_live_file_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("live.toml");
        let live = LiveSettings::new(Some(path.clone()));
        assert_eq!(*live.state(), LiveState::default());
        std::fs::write(&path, "read_only = true\n").unwrap();
        live.refresh();
        let accepted = live.state();
        assert!(accepted.live.read_only);
        assert_eq!(accepted.sha256, Some(layers::sha256(b"read_only = true\n")));
        for damaged in ["read_only = \"yes\"", "readonly = true", "read_only ="] {
            std::fs::write(&path, damaged).unwrap();
            live.refresh();
            assert_eq!(live.state(), accepted, "{damaged}");
            let seen = live.sight().unwrap().last_seen().unwrap();
            assert_eq!((seen.reachable, seen.cause.as_deref()), (false, Some("damaged")), "{damaged}");
        }
        std::fs::remove_file(&path).unwrap();
        live.refresh();
        assert_eq!(live.state(), accepted);
        std::fs::write(&path, "").unwrap();
        live.refresh();
        assert!(!live.state().live.read_only);
    }

    #[test]
    fn what_the_file_sets_wins_over_administrators_and_they_refuse_where_it_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("live.toml");
        let live = LiveSettings::new(Some(path.clone()));
        for (file, administrator, expected) in
            [(true, false, true), (true, true, true), (false, true, true), (false, false, false)]
        {
            std::fs::write(&path, format!("read_only = {file}\n")).unwrap();
            live.refresh();
            live.set_administrators_read_only(administrator);
            let state = live.state();
            assert_eq!(state.live.read_only, expected, "file {file}, administrator {administrator}");
            assert_eq!(state.read_only_by, ReadOnlyBy { live_file: file, administrator, restore: false });
            live.set_restore_read_only(true);
            assert!(live.state().live.read_only && live.state().read_only_by.restore);
            live.set_restore_read_only(false);
            assert_eq!(live.state(), state);
        }
        assert!(LiveSettings::new(None).state().read_only_by == ReadOnlyBy::default());
    }

    #[test]
    fn a_file_that_nobody_configured_is_no_part() {
        assert!(LiveSettings::new(None).sight().is_none());
    }

    #[tokio::test]
    async fn whoever_follows_is_woken_by_a_change_and_by_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("live.toml");
        std::fs::write(&path, "").unwrap();
        let live = LiveSettings::new(Some(path.clone()));
        let mut followed = live.follow();
        for unchanged in ["", "read_only = 1"] {
            std::fs::write(&path, unchanged).unwrap();
            live.refresh();
            assert!(!followed.has_changed().unwrap(), "{unchanged:?}");
        }
        let woken = tokio::spawn(async move {
            followed.changed().await.unwrap();
            followed.borrow_and_update().live.read_only
        });
        std::fs::write(&path, "read_only = true").unwrap();
        live.refresh();
        assert!(woken.await.unwrap());
    }
}
