//! The file and what it refers to, read from this machine.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use bellwire_core::source::{CRON, MONITOR};
use bellwire_hooks::{Desired, File, Finding, Mark, Surroundings};

use super::HooksError;
use crate::config;

/// No file that is read here is longer; what is too long is said by who reads it.
const BYTES_MAX: u64 = 2 << 20;

/// A file that cannot be used, and the files that it refers to as far as it could be read.
#[derive(Debug)]
pub struct Rejected {
    /// Why not.
    pub error: HooksError,
    /// The files.
    pub files: BTreeSet<PathBuf>,
}

/// Reads a hooks file, with the variables of this process and the files of this machine.
///
/// # Errors
/// [`Rejected`]: it cannot be read or used.
pub fn read(file: &Path) -> Result<Desired, Rejected> {
    let rejected = |error| Rejected {
        error,
        files: BTreeSet::new(),
    };
    let bytes = bounded(file).map_err(|error| {
        rejected(HooksError::Unreadable {
            file: file.to_owned(),
            error,
        })
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        rejected(HooksError::Findings {
            file: file.to_owned(),
            findings: vec![not_text(before)],
        })
    })?;
    let around = Surroundings {
        variable: &config::variable,
        file: &bounded,
        folder: file.parent().unwrap_or(Path::new("")),
        source: &bring,
    };
    File::read(&text, &around).map_err(|rejected| Rejected {
        error: HooksError::Findings {
            file: file.to_owned(),
            findings: rejected.findings,
        },
        files: rejected.files,
    })
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

/// As [`read`], on a thread that may wait for a disk.
pub(super) async fn in_background(file: PathBuf) -> Result<Desired, Rejected> {
    let path = file.clone();
    tokio::task::spawn_blocking(move || read(&path)).await.unwrap_or_else(|died| {
        Err(Rejected {
            error: HooksError::Unreadable {
                file,
                error: io::Error::other(died),
            },
            files: BTreeSet::new(),
        })
    })
}

fn bounded(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(file)?.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
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
