//! The file and what it refers to, read from this machine.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use bellwire_core::source::{CRON, MONITOR};
use bellwire_hooks::{Desired, File, Finding, Mark, Surroundings};

use super::HooksError;
use crate::config;

/// No file that is read here is longer; what is too long is said by who reads it.
const BYTES_MAX: u64 = 2 << 20;

/// What tells one state of a file from another; `None` where there is no file.
pub(super) type State = Option<[i64; 7]>;

/// What was read, and every file that was looked at, in the state that it had just before.
pub(super) struct Reading {
    pub desired: Result<Desired, HooksError>,
    pub seen: BTreeMap<PathBuf, State>,
}

/// Reads a hooks file, with the variables of this process and the files of this machine.
///
/// # Errors
/// [`HooksError`]: it cannot be read or used.
pub fn read(file: &Path) -> Result<Desired, HooksError> {
    read_noting(file).desired
}

/// As [`read`], on a thread that may wait for a disk.
pub(super) async fn in_background(file: PathBuf) -> Reading {
    let path = file.clone();
    let read = tokio::task::spawn_blocking(move || read_noting(&path));
    read.await.unwrap_or_else(|died| Reading {
        desired: Err(HooksError::Unreadable {
            file,
            error: io::Error::other(died),
        }),
        seen: BTreeMap::new(),
    })
}

fn read_noting(file: &Path) -> Reading {
    let seen = RefCell::new(BTreeMap::new());
    let bounded = |file: &Path| -> io::Result<Vec<u8>> {
        seen.borrow_mut().insert(file.to_owned(), state(file));
        let mut bytes = Vec::new();
        open(file)?.take(BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let desired = read_with(file, &bounded);
    Reading {
        desired,
        seen: seen.into_inner(),
    }
}

/// Opens a regular file. A pipe that nobody writes into would be waited for without end, and no file read any more.
fn open(file: &Path) -> io::Result<fs::File> {
    let opened = fs::OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(file)?;
    match opened.metadata()?.is_file() {
        true => Ok(opened),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no regular file, but a folder, a pipe or a device",
        )),
    }
}

fn read_with(file: &Path, bounded: &dyn Fn(&Path) -> io::Result<Vec<u8>>) -> Result<Desired, HooksError> {
    let refused = |findings| HooksError::Findings {
        file: file.to_owned(),
        findings,
    };
    let bytes = bounded(file).map_err(|error| HooksError::Unreadable {
        file: file.to_owned(),
        error,
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        refused(vec![not_text(before)])
    })?;
    let around = Surroundings {
        variable: &config::variable,
        file: bounded,
        folder: file.parent().unwrap_or(Path::new("")),
        source: &bring,
    };
    File::read(&text, &around).map_err(refused)
}

/// The state of a file now, links followed.
pub(super) fn state(file: &Path) -> State {
    let found = fs::metadata(file).ok()?;
    let (device, inode, size) = (
        found.dev().cast_signed(),
        found.ino().cast_signed(),
        found.size().cast_signed(),
    );
    let (changed, written) = ([found.ctime(), found.ctime_nsec()], [found.mtime(), found.mtime_nsec()]);
    Some([device, inode, size, changed[0], changed[1], written[0], written[1]])
}

/// Whether what brings messages by itself can do so.
fn bring(kind: &str, settings: &BTreeMap<String, Vec<String>>) -> Result<(), (String, String)> {
    let judged = match kind {
        CRON => bellwire_intake::cron::read(settings).map(drop),
        MONITOR => bellwire_intake::monitor::read(settings).map(drop),
        _ => Ok(()),
    };
    judged.map_err(|error| (error.setting, error.why))
}

fn not_text(before: &[u8]) -> Finding {
    let before = String::from_utf8_lossy(before);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Finding {
        at: Mark {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        },
        path: String::new(),
        what: "the file is not UTF-8 text".to_owned(),
        advice: "save it as UTF-8".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_pipe_is_refused_wherever_a_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let refused = read(&pipe).unwrap_err().to_string();
        assert!(
            refused.ends_with("it is no regular file, but a folder, a pipe or a device"),
            "{refused}"
        );

        let file = folder.path().join("hooks.yaml");
        let text = "connections: {m: {smtp: \"smtps://u:p@h\"}}\nhooks:\n  a:\n    verify: {github: \"${file:pipe}\"}\n    \
                    do: [{email: {via: m, to: a@b.c, subject: s, template: pipe}}]\n";
        fs::write(&file, text).unwrap();
        let findings = read(&file).unwrap_err().to_string();
        assert!(
            findings.contains(":4:22: hooks.a.verify.github: cannot read the file pipe: it is no regular"),
            "{findings}"
        );
        assert!(
            findings.contains("cannot read the template pipe: it is no regular file"),
            "{findings}"
        );
    }
}
