//! What can befall a disk, and be taken back: a small file system that is full, files that may not be written.
//!
//! Both need rights that not everybody has. Whether they work here is tried out first, so that a scenario is skipped by name
//! rather than failed.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

/// Size of the small file system.
const DISK_MIB: u32 = 96;
/// What is left free on it when publishing begins.
const LEFT_BYTES: u64 = 8 << 20;
const BLOCK: usize = 1 << 16;

/// Something that keeps the server from writing.
pub(crate) enum Trouble {
    /// The disk is full.
    Full(Disk),
    /// The store's files are immutable.
    Immutable(PathBuf),
}

impl Trouble {
    /// A full disk, mounted at `place`.
    pub(crate) fn full(place: &Path) -> anyhow::Result<Self> {
        Disk::mount(place).map(Trouble::Full)
    }

    /// Immutable files, in the folder that will be the server's; it is tried out in `scratch`.
    pub(crate) fn immutable(scratch: &Path, data: &Path) -> anyhow::Result<Self> {
        let probe = scratch.join("probe");
        let mut file = File::create(&probe)?;
        let set = chattr("+i", std::slice::from_ref(&probe));
        let written = file.write_all(b"x");
        let cleared = set.is_ok().then(|| chattr("-i", std::slice::from_ref(&probe)));
        fs::remove_file(&probe)?;
        set?;
        cleared.transpose()?;
        ensure!(
            written.is_err(),
            "an immutable file can still be written on this file system"
        );
        Ok(Trouble::Immutable(data.to_owned()))
    }

    /// Before publishing: a full disk gets its ballast, so that little is left.
    pub(crate) fn prepare(&self) -> anyhow::Result<()> {
        match self {
            Trouble::Full(disk) => disk.leave(LEFT_BYTES),
            Trouble::Immutable(_) => Ok(()),
        }
    }

    /// Strikes. The disk fills up by what is published from here on; files become immutable at once.
    pub(crate) fn begin(&self) -> anyhow::Result<()> {
        match self {
            Trouble::Full(disk) => disk.leave(LEFT_BYTES),
            Trouble::Immutable(data) => chattr("+i", &everything_in(data)?),
        }
    }

    /// Is over.
    pub(crate) fn end(&self) -> anyhow::Result<()> {
        match self {
            Trouble::Full(disk) => disk.free(),
            Trouble::Immutable(data) => chattr("-i", &everything_in(data)?),
        }
    }
}

impl Drop for Trouble {
    fn drop(&mut self) {
        if let Trouble::Immutable(_) = self {
            // Otherwise nobody could remove the folder.
            let _ = self.end();
        }
    }
}

/// A tmpfs with a ballast file; unmounted when dropped.
pub(crate) struct Disk {
    place: PathBuf,
}

impl Disk {
    fn mount(place: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(place)?;
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={DISK_MIB}m"), "bellwire-crash"])
            .arg(place);
        run(&mut mount)?;
        Ok(Self {
            place: place.to_owned(),
        })
    }

    fn ballast(&self) -> PathBuf {
        self.place.join("ballast")
    }

    /// Fills the disk but for so many bytes.
    fn leave(&self, bytes: u64) -> anyhow::Result<()> {
        let mut file = File::options().create(true).append(true).open(self.ballast())?;
        let block = vec![0_u8; BLOCK];
        while file.write_all(&block).is_ok() {}
        let size = file.metadata()?.len();
        file.set_len(size.saturating_sub(bytes))
            .context("cannot cut the ballast")
    }

    fn free(&self) -> anyhow::Result<()> {
        fs::remove_file(self.ballast()).context("cannot remove the ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("umount").arg(&self.place)) {
            eprintln!("{} is still mounted: {error:#}", self.place.display());
        }
    }
}

/// The folder and the files in it, and in its folders; without the store's index in shared memory (`-shm`). That one is only
/// ever written through a mapping, where the kernel answers a write to an immutable file with SIGBUS: no disk does that.
fn everything_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(everything_in(&entry.path())?);
        } else if !entry.file_name().as_encoded_bytes().ends_with(b"-shm") {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn chattr(change: &str, paths: &[PathBuf]) -> anyhow::Result<()> {
    run(Command::new("chattr").arg(change).args(paths))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        text.lines().next().unwrap_or_default()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_in_a_folder_is_found_with_the_folder_itself() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("inner")).unwrap();
        for name in ["inner/file", "db-shm"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let mut found = everything_in(folder.path()).unwrap();
        found.sort();
        let expected = ["", "inner", "inner/file"].map(|name| folder.path().join(name));
        assert_eq!(found.len(), 3);
        assert!(
            expected
                .iter()
                .all(|path| found.iter().any(|found| found.components().eq(path.components())))
        );
    }

    #[test]
    fn a_command_that_fails_says_why() {
        let error = run(Command::new("ls").arg("/no/such/folder")).unwrap_err().to_string();
        assert!(error.contains("/no/such/folder"), "{error}");
    }
}
