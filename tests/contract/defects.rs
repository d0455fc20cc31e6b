//! The page that names the tests which keep known faults away stays true: each test that it names is there.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const HEADINGS: [&str; 3] =
    ["## Defects that others had", "## What would go wrong in the operator", "## What would go wrong in the server"];

/// The names in the last column of the table below a heading of the page.
fn named<'p>(page: &'p str, heading: &str) -> Vec<&'p str> {
    let rows = page.split_once(heading).unwrap().1.lines().skip_while(|line| !line.starts_with('|')).skip(2);
    let cells = rows.take_while(|line| line.starts_with('|')).map(|row| row.trim_end_matches([' ', '|']));
    cells.flat_map(|row| row.rsplit('|').next().unwrap().split('`').skip(1).step_by(2)).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The tests of a source: functions below an attribute that makes them one, and clauses of a suite that its list names.
fn tests_of(source: &str) -> BTreeSet<&str> {
    let (mut tests, mut is_test) = (BTreeSet::new(), false);
    for line in source.lines().map(str::trim) {
        let name = line.split_once("fn ").map(|(_, rest)| rest.split(['(', '<']).next().unwrap());
        match name {
            Some(name) if is_test || source.contains(&format!("\n            {name},\n")) => drop(tests.insert(name)),
            _ => {}
        }
        is_test = if line.starts_with("#[") { is_test || line.contains("test") } else { false };
    }
    tests
}

#[test]
fn every_test_that_the_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/development.md")).unwrap();
    let mut files = Vec::new();
    for folder in ["operator", "rag-core", "rag-server", "tests"] {
        sources(&root.join(folder), &mut files);
    }
    let sources: Vec<_> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let tests: BTreeSet<_> = sources.iter().flat_map(|source| tests_of(source)).collect();
    for heading in HEADINGS {
        let named = named(&page, heading);
        assert!(named.len() >= 20, "only {named:?} was found below {heading}");
        let missing: Vec<_> = named.iter().filter(|name| !tests.contains(*name)).collect();
        assert!(missing.is_empty(), "docs/development.md names tests that are not there: {missing:?}");
    }
}

#[test]
fn a_function_that_is_no_test_does_not_count() {
    let source = "#[tokio::test(flavor = \"x\")]\nasync fn a() {}\nfn b() {}\n#[test]\n#[cfg(unix)]\nfn c() {}\n";
    let suite = "pub(crate) async fn d<S: Storage>() {}\n        list!(\n            d,\n        );\nfn e() {}\n";
    assert_eq!(tests_of(source), BTreeSet::from(["a", "c"]));
    assert_eq!(tests_of(suite), BTreeSet::from(["d"]));
}
