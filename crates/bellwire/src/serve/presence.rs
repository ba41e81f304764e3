//! Says beside a store which server has it open, for commands on this machine that would rather ask than guess.
//!
//! The file is there while the server runs and for its owner only. A server that was killed leaves it behind; by then nobody
//! has the store open, and whoever looks asks that first. The instance is a random name of this run: a server that does not
//! answer to it is another one.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

use super::{private, reachable};

/// A server that has a store open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Where it can be reached from this machine.
    pub url: String,
    /// The name of this run.
    pub instance: String,
}

/// Where the server that has this database open says so.
pub fn file(database: &Path) -> PathBuf {
    database.with_extension("server")
}

/// What the server beside this database said; nothing when there is none.
///
/// # Errors
/// Those of the file system, and when it is something else.
pub fn read(database: &Path) -> io::Result<Option<Presence>> {
    let line = private::read_line(&file(database))?;
    line.map(|line| serde_json::from_str(&line).map_err(io::Error::other))
        .transpose()
}

/// A name for this run; nothing when the machine gives no random bytes.
pub(super) fn instance() -> Option<String> {
    let mut bytes = [0_u8; 16];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The file, removed when it is dropped.
pub(super) struct Announced(Option<PathBuf>);

/// Says that the server listening there has this database open. When that cannot be written the server runs all the same.
pub(super) fn announce(database: Option<PathBuf>, address: SocketAddr, instance: &str) -> Announced {
    let Some(database) = database else {
        return Announced(None);
    };
    let presence = Presence {
        url: format!("http://{}", reachable(address)),
        instance: instance.to_owned(),
    };
    let file = file(&database);
    let written = serde_json::to_string(&presence)
        .map_err(io::Error::other)
        .and_then(|line| private::write_line(&file, &line));
    if let Err(error) = written {
        tracing::warn!(%error, file = %file.display(), "`bellwire backup` will not find this server");
        return Announced(None);
    }
    Announced(Some(file))
}

impl Drop for Announced {
    fn drop(&mut self) {
        if let Some(file) = self.0.take() {
            let _ = private::remove(&file);
        }
    }
}
