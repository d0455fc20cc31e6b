//! What the log tells, as it is written in the live settings.

use serde::{Deserialize, Serialize};

/// The levels, from nothing to everything.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A level, or levels by module: `debug`, or `rag_server=debug,warn`.
///
/// A name alone, which the filter of the log itself would take for a module, is refused: `inof` would silence everything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LogFilter(String);

impl LogFilter {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<LogFilter> for String {
    fn from(LogFilter(text): LogFilter) -> Self {
        text
    }
}

impl TryFrom<String> for LogFilter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.split(',').find(|directive| !is_directive(directive.trim())) {
            None => Ok(Self(text)),
            Some(wrong) => Err(format!(
                "log is {text:?}, and {wrong:?} in it is no level; write one of {}, or MODULE=LEVEL, several of them with commas between, such as \"rag_server=debug,warn\"",
                LEVELS.join(", ")
            )),
        }
    }
}

fn is_directive(text: &str) -> bool {
    let is_level = |text: &str| LEVELS.contains(&text);
    let is_module =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:".contains(&byte));
    text.split_once('=').map_or_else(|| is_level(text), |(module, level)| is_module(module) && is_level(level))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_taken_and_a_word_that_would_silence_the_rest_is_not() {
        for good in ["debug", "rag_server=debug,warn", "off", "rag_core::retrieve=trace, info"] {
            assert_eq!(LogFilter::try_from(good.to_owned()).map(String::from).as_deref(), Ok(good));
        }
        for nonsense in
            ["inof", "", "debug,", "rag_server", "rag_server=loud", "=debug", "[span{x=1}]=debug", "a b=info"]
        {
            let told = LogFilter::try_from(nonsense.to_owned()).unwrap_err();
            assert!(told.starts_with("log is ") && told.contains("MODULE=LEVEL"), "{told}");
        }
    }
}
