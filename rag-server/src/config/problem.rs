//! What is wrong with a configuration, and where it was said.

use std::fmt;

/// Where a setting was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In a file, at a line counted from 1.
    File {
        /// The file as the caller named it.
        name: String,
        /// The line.
        line: usize,
    },
    /// In an environment variable.
    Environment(String),
    /// By a flag of the command line.
    Flag(String),
    /// Nowhere: the problem is what is missing.
    Absent(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line } => write!(f, "{name} line {line}"),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Absent(what) => f.write_str(what),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it was said.
    pub origin: Origin,
    /// What was found, what is allowed, and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)
    }
}

/// Everything that is wrong with a configuration; never empty. One line for each problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// The problems in the order of the file's lines, then all others as they came; none is no `Problems`.
    pub(super) fn in_order(mut problems: Vec<Problem>) -> Result<(), Self> {
        problems.sort_by_key(|problem| match problem.origin {
            Origin::File { line, .. } => line,
            Origin::Environment(_) | Origin::Flag(_) | Origin::Absent(_) => usize::MAX,
        });
        if problems.is_empty() { Ok(()) } else { Err(Self(problems)) }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}
