//! A file that says which processes use what lies beside it: one alone, or several together.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
};

/// Which others may hold the file as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    /// Nobody.
    None,
    /// Everybody who says the same.
    Same,
}

/// A file that this process holds, until it is let go of or dropped.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    company: Company,
}

impl Lock {
    /// Takes the file, making it if need be; none while somebody holds it whose company or whom this one excludes.
    pub(super) fn take(path: &Path, company: Company) -> io::Result<Option<Self>> {
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        let taken = match company {
            Company::None => file.try_lock(),
            Company::Same => file.try_lock_shared(),
        };
        match taken {
            Ok(()) => Ok(Some(Self { file, company })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Whether nobody else can hold it.
    pub(super) fn is_exclusive(&self) -> bool {
        self.company == Company::None
    }

    /// Lets others take it.
    pub(super) fn let_go(&self) {
        // Closing the file is not enough: a process that is being started just now has a copy of it for a moment. A failure leaves the lock to the end of this process.
        let _held_until_exit = self.file.unlock();
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.let_go();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alone_or_several_together() {
        let folder = tempfile::tempdir().unwrap();
        let take = |company| Lock::take(&folder.path().join("lock"), company).unwrap();
        let alone = take(Company::None).unwrap();
        assert!(alone.is_exclusive() && take(Company::None).is_none() && take(Company::Same).is_none());
        drop(alone);
        let (one, other) = (take(Company::Same).unwrap(), take(Company::Same).unwrap());
        assert!(!one.is_exclusive() && take(Company::None).is_none());
        one.let_go();
        assert!(take(Company::None).is_none());
        drop(other);
        assert!(take(Company::None).is_some());
    }

    #[test]
    fn a_file_is_free_although_a_copy_of_it_is_open_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = Lock::take(&path, Company::None).unwrap().unwrap();
        // What a process holds between its start and its program.
        let _copy = first.file.try_clone().unwrap();
        drop(first);
        assert!(Lock::take(&path, Company::None).unwrap().is_some());
    }
}
