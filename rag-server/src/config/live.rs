//! What may change while the server runs: the content of the live file, followed by looking at it every second.
//!
//! A damaged file changes nothing: what was accepted before stays, and a warning says so once.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    layers,
    problem::{Origin, Problem, Problems},
    shape::{self, Shape},
    walk::Origins,
};
use crate::model::MicroUsd;

/// What may change while the server runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Live {
    /// Questions are answered, writes are refused.
    pub read_only: bool,
    /// How much answers may cost.
    pub budget: Budget,
}

/// How much answers may cost, by the prices of the providers.
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
}

impl Default for Budget {
    fn default() -> Self {
        Self { monthly_usd: None, daily_usd: None, alert_percents: vec![50, 80, 100], on_limit: OnLimit::default() }
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
    /// Reads the bytes of a live file; `origin` is how problems name it.
    pub fn from_toml(bytes: &[u8], origin: &str) -> Result<Self, Problems> {
        let schema = shape::schema::<Self>();
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
}

/// Follows the live file.
#[derive(Debug)]
pub struct LiveFile {
    path: Option<PathBuf>,
    state: RwLock<Arc<LiveState>>,
    /// Hash of the bytes that were refused last, so that a warning comes once.
    refused: RwLock<Option<String>>,
}

impl LiveFile {
    /// Follows the file at `path`; without one the defaults hold for ever.
    pub fn new(path: Option<PathBuf>) -> Self {
        Self { path, state: RwLock::default(), refused: RwLock::default() }
    }

    /// What holds now.
    pub fn state(&self) -> Arc<LiveState> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the file, and takes over what it says if it changed and can be accepted.
    pub fn refresh(&self) {
        let Some(path) = &self.path else { return };
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) => return self.refuse(e.to_string(), || format!("{} cannot be read: {e}", path.display())),
        };
        let sha256 = layers::sha256(&bytes);
        if self.state().sha256.as_ref() == Some(&sha256) {
            return;
        }
        match Live::from_toml(&bytes, &path.display().to_string()) {
            Ok(live) => {
                tracing::info!(read_only = live.read_only, sha256, "live settings accepted");
                let state = Arc::new(LiveState { live, sha256: Some(sha256) });
                *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
                *self.refused.write().unwrap_or_else(PoisonError::into_inner) = None;
            }
            Err(problems) => self.refuse(sha256, || problems.to_string()),
        }
    }

    fn refuse(&self, what: String, message: impl FnOnce() -> String) {
        let mut refused = self.refused.write().unwrap_or_else(PoisonError::into_inner);
        if refused.as_ref() != Some(&what) {
            tracing::warn!("live settings stay as they were: {}", message());
            *refused = Some(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_read_in_dollars_and_checked() {
        let read = |text: &str| Live::from_toml(text.as_bytes(), "live.toml").map_err(|problems| problems.to_string());
        let budget =
            read("[budget]\nmonthly_usd = 200\ndaily_usd = 0.5\nalert_percents = [90]\non_limit = \"Refuse\"\n");
        let expected = Budget {
            monthly_usd: Some(MicroUsd(200_000_000)),
            daily_usd: Some(MicroUsd(500_000)),
            alert_percents: vec![90],
            on_limit: OnLimit::Refuse,
        };
        assert_eq!(budget.map(|live| live.budget), Ok(expected));
        assert_eq!(read(""), Ok(Live::default()));
        for wrong in [
            "monthly_usd = -1",
            "alert_percents = [0]",
            "alert_percents = [101]",
            "on_limit = \"Stop\"",
            "weekly_usd = 1",
        ] {
            assert!(read(&format!("[budget]\n{wrong}\n")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_damaged_live_file_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("live.toml");
        let live = LiveFile::new(Some(path.clone()));
        live.refresh();
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
        }
        std::fs::remove_file(&path).unwrap();
        live.refresh();
        assert_eq!(live.state(), accepted);
        std::fs::write(&path, "").unwrap();
        live.refresh();
        assert!(!live.state().live.read_only);
    }
}
