//! Where the files are, who may read them, and that only one process writes them.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
};

use crate::error::OpenError;

const FILE_NAME: &str = "bellwire.db";

/// The database file that a URL's part behind `sqlite:` names: a file when it ends in `.db`, `.sqlite` or `.sqlite3` (or
/// is one), otherwise `bellwire.db` in that directory.
pub(super) fn database_path(rest: &str) -> PathBuf {
    let path = Path::new(rest.strip_prefix("//").unwrap_or(rest));
    let named_as_file = path
        .extension()
        .is_some_and(|end| ["db", "sqlite", "sqlite3"].iter().any(|known| end == *known));
    if path.is_file() || (named_as_file && !path.is_dir()) {
        path.to_owned()
    } else {
        path.join(FILE_NAME)
    }
}

/// A held lock; released when dropped, or when the process ends in whatever way.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    /// Said, and not left to the closing: a program that was just started may still have the file, and with it the lock, for a moment.
    fn drop(&mut self) {
        drop(self.0.unlock());
    }
}

/// Makes directory and file if they are missing, readable by their owner only, and takes the lock.
///
/// # Errors
/// `InUse` when another process holds it.
pub(super) fn prepare(database: &Path) -> Result<Lock, OpenError> {
    let failed = |what: &str, error: &dyn std::fmt::Display| OpenError::Failed {
        location: database.display().to_string(),
        detail: format!("{what}: {error}"),
    };
    if let Some(directory) = database.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder
            .create(directory)
            .map_err(|error| failed("cannot make the directory", &error))?;
    }
    let lock_path = database.with_extension("lock");
    let lock = open_private(&lock_path).map_err(|error| failed("cannot make the lock file", &error))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(database.display().to_string())),
        Err(TryLockError::Error(error)) => return Err(failed("cannot lock the lock file", &error)),
    }
    open_private(database).map_err(|error| failed("cannot open the file", &error))?;
    sync_directory(database);
    Ok(Lock(lock))
}

/// Makes the names of new files durable, and that of the directory they are in. Where a system cannot, it need not.
pub(super) fn sync_directory(file: &Path) {
    for directory in file
        .ancestors()
        .skip(1)
        .take(2)
        .filter(|directory| !directory.as_os_str().is_empty())
    {
        let _ = File::open(directory).and_then(|directory| directory.sync_all());
    }
}

/// Opens a file for writing, made for its owner only if it is missing. Leaves what is in it.
pub(super) fn open_private(path: &Path) -> std::io::Result<File> {
    private_options().create(true).open(path)
}

/// Makes a file for its owner only, which must not be there yet.
pub(super) fn create_private(path: &Path) -> std::io::Result<File> {
    private_options().create_new(true).open(path)
}

fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_directory_unless_it_ends_like_a_file() {
        assert_eq!(database_path("/no/such/dir"), Path::new("/no/such/dir/bellwire.db"));
        assert_eq!(database_path("///no/such/dir"), Path::new("/no/such/dir/bellwire.db"));
        assert_eq!(database_path("./data"), Path::new("./data/bellwire.db"));
        assert_eq!(
            database_path("/no/such/store.sqlite3"),
            Path::new("/no/such/store.sqlite3")
        );
    }

    #[cfg(unix)]
    #[test]
    fn what_is_made_is_for_its_owner_only_and_locked_once() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("data").join(FILE_NAME);
        let held = prepare(&database).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(database.parent().unwrap()), mode(&database)), (0o700, 0o600));
        assert!(matches!(prepare(&database), Err(OpenError::InUse(_))));
        drop(held);
        prepare(&database).unwrap();
    }
}
