//! A part of a folder, as a folder of links: what is ingested when a run is bounded.

use std::{fs, io, os::unix::fs::symlink, path::Path};

use tempfile::TempDir;

use crate::bench::files;

/// At most so many files of the folder, spread evenly over it, under the same names.
pub(super) fn of(folder: &Path, limit: usize) -> io::Result<TempDir> {
    let part = tempfile::tempdir()?;
    let files = files::below(folder)?;
    let step = files.len().div_ceil(limit.max(1)).max(1);
    for file in files.iter().step_by(step) {
        let Ok(name) = file.strip_prefix(folder) else { continue };
        let link = part.path().join(name);
        if let Some(parent) = link.parent() {
            fs::create_dir_all(parent)?;
        }
        symlink(file, link)?;
    }
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_spread_over_the_folder_and_keeps_the_names() {
        let whole = tempfile::tempdir().unwrap();
        for number in 0..10 {
            let folder = whole.path().join(format!("{}", number / 5));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(format!("{number}.txt")), "text").unwrap();
        }
        fs::write(whole.path().join(".hidden"), "").unwrap();
        let part = of(whole.path(), 4).unwrap();
        let names = |folder: &Path| {
            let files = files::below(folder).unwrap();
            files.iter().map(|file| file.strip_prefix(folder).unwrap().display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(part.path()), ["0/0.txt", "0/3.txt", "1/6.txt", "1/9.txt"]);
        assert_eq!(names(whole.path()).len(), 10);
    }
}
