//! The files of a folder: which are documents, which cannot be, and which are nobody's.

use std::path::Path;

use super::{failure::FailureReason, source::Source};
use crate::model::DocumentId;

/// One file that was found, or why it cannot be one.
pub type Found = Result<Source, (String, FailureReason)>;

/// What a program leaves beside documents, and nobody wrote to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nobodys {
    /// Its name begins with a dot.
    Hidden,
    /// Says who has a document open: `~$plan.docx`, `.~lock.plan.odt#`.
    Lock,
    /// Half written, or what was there before: `plan.docx.tmp`, `notes.md~`.
    Scratch,
    /// Of the system: `Thumbs.db`, `desktop.ini`, `__MACOSX`.
    System,
    /// A folder of other people's programs: `node_modules`, `__pycache__`.
    Packages,
}

/// Ends of names, small.
const SCRATCH: [&[u8]; 9] = [b"~", b".tmp", b".temp", b".swp", b".swo", b".bak", b".part", b".partial", b".crdownload"];
/// Names, small.
const SYSTEM: [&[u8]; 8] = [
    b"thumbs.db",
    b"ehthumbs.db",
    b"desktop.ini",
    b"$recycle.bin",
    b"system volume information",
    b"__macosx",
    b"lost+found",
    b"@eadir",
];
/// Names of folders, small.
const PACKAGES: [&[u8]; 3] = [b"node_modules", b"bower_components", b"__pycache__"];

impl Nobodys {
    /// What a file or folder of this name is; none for one that may be a document, or hold some.
    fn of(name: &[u8], is_folder: bool) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let is_lock = name.starts_with(b"~$") || name.starts_with(b".~lock.") && name.ends_with(b"#");
        let is_scratch =
            name.starts_with(b"#") && name.ends_with(b"#") || SCRATCH.iter().any(|end| name.ends_with(end));
        match &*name {
            _ if is_lock && !is_folder => Some(Self::Lock),
            [b'.', ..] => Some(Self::Hidden),
            _ if is_scratch && !is_folder => Some(Self::Scratch),
            name if SYSTEM.contains(&name) => Some(Self::System),
            name if PACKAGES.contains(&name) && is_folder => Some(Self::Packages),
            _ => None,
        }
    }

    /// The kind in words, of so many.
    pub fn words(self, count: usize) -> String {
        let plural = if count == 1 { "" } else { "s" };
        match self {
            Self::Hidden => format!("{count} hidden"),
            Self::Lock => format!("{count} lock file{plural} of open documents"),
            Self::Scratch => format!("{count} temporary or backup file{plural}"),
            Self::System => format!("{count} of the system"),
            Self::Packages => format!("{count} folder{plural} of packages"),
        }
    }
}

/// The files at and below `root`, in an order that depends on their names alone. Links are followed. What is nobody's is passed over, with all that is in it, and `over` hears of it; the root itself never is.
///
/// The id of a document is its path below the folder, with `/` between the parts; a file that is named itself keeps its file name.
pub fn walk<F: FnMut(Nobodys)>(root: &Path, mut over: F) -> impl Iterator<Item = Found> + use<F> {
    let root = root.to_owned();
    let mut entries = walkdir::WalkDir::new(&root).follow_links(true).sort_by_file_name().into_iter();
    std::iter::from_fn(move || {
        loop {
            let entry = match entries.next()? {
                Ok(entry) => entry,
                Err(error) => match nobodys(&error) {
                    Some(kind) => {
                        over(kind);
                        continue;
                    }
                    None => return Some(Err(broken(&root, &error))),
                },
            };
            let is_folder = entry.file_type().is_dir();
            let kind = Nobodys::of(entry.file_name().as_encoded_bytes(), is_folder).filter(|_| entry.depth() > 0);
            match (kind, is_folder) {
                (Some(kind), _) => {
                    over(kind);
                    if is_folder {
                        entries.skip_current_dir();
                    }
                }
                (None, true) => {}
                (None, false) => return Some(found(&root, entry.path())),
            }
        }
    })
}

/// What a place is that could not be looked at: a link that leads nowhere may be nobody's, too.
fn nobodys(error: &walkdir::Error) -> Option<Nobodys> {
    let name = error.path().filter(|_| error.depth() > 0)?.file_name()?;
    Nobodys::of(name.as_encoded_bytes(), false)
}

fn found(root: &Path, path: &Path) -> Found {
    let shown = below(root, path).to_string_lossy().into_owned();
    let source = match below(root, path).to_str() {
        None => Err(FailureReason::BadName { cause: "its name is not UTF-8".to_owned() }),
        Some(name) => {
            let name = name.replace(std::path::MAIN_SEPARATOR, "/");
            DocumentId::try_from(name).map_err(FailureReason::from)
        }
    };
    source.and_then(|id| Source::file(id, path.to_owned())).map_err(|reason| (shown, reason))
}

fn broken(root: &Path, error: &walkdir::Error) -> (String, FailureReason) {
    let path = error.path().unwrap_or(root);
    let reason = match (error.loop_ancestor(), error.io_error()) {
        (Some(target), _) => FailureReason::SymlinkLoop { target: target.display().to_string() },
        (None, Some(io)) if io.kind() == std::io::ErrorKind::NotFound && path.is_symlink() => {
            FailureReason::Unreadable { cause: "the link leads nowhere".to_owned() }
        }
        (None, Some(io)) => FailureReason::of_io(io),
        (None, None) => FailureReason::Unreadable { cause: error.to_string() },
    };
    (below(root, path).display().to_string(), reason)
}

/// The path below the root; the file name where the path is the root itself.
fn below<'p>(root: &Path, path: &'p Path) -> &'p Path {
    match path.strip_prefix(root) {
        Ok(rest) if !rest.as_os_str().is_empty() => rest,
        _ => path.file_name().map_or(path, Path::new),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn write(root: &Path, names: &[&str]) {
        for name in names {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "text").unwrap();
        }
    }

    fn looked_at(root: &Path) -> (Vec<String>, BTreeMap<Nobodys, usize>) {
        let mut over = BTreeMap::new();
        let found = walk(root, |kind| *over.entry(kind).or_default() += 1);
        let names = found.map(|found| found.map_or_else(|(name, _)| format!("!{name}"), |source| source.id.into()));
        (names.collect(), over)
    }

    #[test]
    fn what_programs_leave_beside_documents_is_passed_over_and_counted_by_kind() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let locks = ["~$ndbook.docx", "sub/~$Plan.XLSX", ".~lock.plan.odt#"];
        let hidden = [".DS_Store", ".git/HEAD", ".git/hooks/a.md", ".env.md"];
        let scratch = ["a.md~", "a.md.bak", "b.docx.TMP", "#a.md#", "c.txt.swp", "d.pdf.crdownload"];
        let system = ["Thumbs.db", "sub/desktop.ini", "__MACOSX/a.md", "$RECYCLE.BIN/b.md"];
        let packages = ["node_modules/x/README.md", "sub/node_modules/y.md", "lib/__pycache__/z.txt"];
        for names in [&locks[..], &hidden, &scratch, &system, &packages] {
            write(root, names);
        }
        // A folder is asked for its name alone, and a name that only looks alike is a document's.
        let documents = ["backup~/kept.md", "node_modules.md", "notes.tmp/kept.md", "tmp.md", "~approx.md"];
        write(root, &documents);
        let (names, over) = looked_at(root);
        assert_eq!(names, documents);
        let expected = [
            (Nobodys::Hidden, 3),
            (Nobodys::Lock, 3),
            (Nobodys::Scratch, 6),
            (Nobodys::System, 4),
            (Nobodys::Packages, 3),
        ];
        assert_eq!(over, expected.into());
    }

    #[test]
    fn whoever_names_it_itself_means_it() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &["node_modules/README.md", "~$open.md"]);
        assert_eq!(looked_at(&folder.path().join("node_modules")).0, ["README.md"]);
        assert_eq!(looked_at(&folder.path().join("~$open.md")), (vec!["~$open.md".to_owned()], BTreeMap::new()));
    }

    #[test]
    fn a_link_that_leads_nowhere_is_no_failure_where_it_is_nobodys() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".#a.md", "b.md"] {
            std::os::unix::fs::symlink("nowhere", folder.path().join(name)).unwrap();
        }
        assert_eq!(looked_at(folder.path()), (vec!["!b.md".to_owned()], [(Nobodys::Hidden, 1)].into()));
    }

    #[test]
    fn kinds_are_told_in_words() {
        assert_eq!(Nobodys::Lock.words(1), "1 lock file of open documents");
        assert_eq!(Nobodys::Packages.words(2), "2 folders of packages");
    }
}
