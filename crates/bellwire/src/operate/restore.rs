//! `bellwire restore`: puts a backup in the place of the store.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bellwire_store::{Clock as _, SystemClock};
use clap::Args;
use serde_json::json;

use super::{
    keys_of,
    migrate::opens_and_adds_up,
    place::{BESIDE, appended, database_file, is_in_use},
    with_config,
};
use crate::{
    cli::{Failure, Out},
    config::{Config, ConfigArgs},
    serve::{keys, private},
};

/// `restore`.
#[derive(Args)]
pub struct RestoreArgs {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Move a store that is there aside
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// What was done.
pub(super) struct Restored {
    /// Where the store is.
    pub to: PathBuf,
    /// Where the one that was there is now.
    pub aside: Option<PathBuf>,
}

impl RestoreArgs {
    /// Restores, and proves that what was restored opens and adds up.
    ///
    /// # Errors
    /// When a store is there, a server has it open, or the backup cannot be used; then everything is as it was before.
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        let Self { file, force, config } = self;
        let Restored { to, aside } = with_config(&config, async |config| restore(&config, &file, force).await)?;
        let aside = aside.map(|aside| aside.display().to_string());
        if out.is_json() {
            return out.line(&json!({ "store": to.display().to_string(), "aside": aside }).to_string());
        }
        out.line(&format!("restored to {}", to.display()))?;
        match aside {
            Some(aside) => out.line(&format!("what was there is now {aside}")),
            None => Ok(()),
        }
    }
}

pub(super) async fn restore(config: &Config, backup: &Path, force: bool) -> Result<Restored, Failure> {
    let data = &config.storage.data;
    let to = database_file(config)?;
    if !backup.is_file() {
        return Err(Failure::Usage(format!("there is no backup at {}", backup.display())));
    }
    if config.secrets.main_secret.is_none() && !keys::kept_file(data).exists() {
        return Err(Failure::Usage(format!(
            "the backup's secrets cannot be opened without its main secret: put the file main-secret of its server into {}, or \
             set main_secret",
            data.display()
        )));
    }
    if is_in_use(&to) {
        return Err(Failure::Failed(format!(
            "the store at {} is in use by a running server; stop it first",
            to.display()
        )));
    }
    if to.exists() && !force {
        return Err(Failure::Usage(format!(
            "there is a store at {} already; --force moves it aside",
            to.display()
        )));
    }
    let keys = keys_of(config)?;
    let aside = to
        .exists()
        .then(|| appended(&to, &format!(".before-restore-{}", SystemClock.now().secs())));
    let cannot = |what: &str, error: io::Error| Failure::Failed(format!("cannot {what}: {error}"));
    if let Some(aside) = &aside {
        move_all(&to, aside).map_err(|error| cannot("move the store aside", error))?;
    }
    let restored = match put(backup, &to) {
        Err(error) => Err(cannot("copy the backup", error)),
        Ok(()) => opens_and_adds_up(&to, &keys).await,
    };
    if let Err(failure) = restored {
        remove_all(&to);
        if let Some(aside) = &aside {
            move_all(aside, &to).map_err(|error| cannot(&format!("move {} back", aside.display()), error))?;
        }
        return Err(failure);
    }
    Ok(Restored { to, aside })
}

fn put(backup: &Path, to: &Path) -> io::Result<()> {
    if let Some(directory) = to.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        private::make_directory(directory)?;
    }
    let beside = appended(to, ".restoring");
    private::copy(backup, &beside)?;
    private::rename(&beside, to)
}

fn move_all(from: &Path, to: &Path) -> io::Result<()> {
    for end in BESIDE {
        if appended(from, end).exists() {
            private::rename(&appended(from, end), &appended(to, end))?;
        }
    }
    private::rename(from, to)
}

/// Removes what was put there; that it was not there at all is as good.
fn remove_all(at: &Path) {
    for file in BESIDE.iter().map(|end| appended(at, end)).chain([at.to_owned()]) {
        let _ = fs::remove_file(file);
    }
}
