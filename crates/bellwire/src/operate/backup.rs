//! `bellwire backup`: a consistent copy of the store, from a running server or from the store itself.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{
    failed, keys_of, open,
    place::{existing_file, is_in_use},
    with_config,
};
use crate::{
    cli::{Client, Failure, Globals, Out},
    config::{Config, ConfigArgs},
    serve::{
        backup::{INSTANCE, PATH},
        presence::{self, Presence},
    },
};

/// `backup`.
#[derive(Args)]
pub struct BackupArgs {
    /// Where the copy goes; nothing may be there yet
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Who makes the copy.
pub(super) enum From {
    /// This process: nobody had the store open, and the copy is made.
    Store,
    /// This server has it open.
    Server(Presence),
}

impl BackupArgs {
    /// Makes the copy. When a server has the store open it is asked for one, with `--token`, where it says beside the store that it listens; publishing goes on
    /// meanwhile.
    ///
    /// # Errors
    /// When something is at the path already, or the copy cannot be made.
    pub fn run(self, globals: &Globals, out: &mut Out) -> Result<(), Failure> {
        let Self { file, config } = self;
        if file.exists() {
            return Err(Failure::Usage(format!(
                "there is something at {} already; name another file",
                file.display()
            )));
        }
        let (from, data_dir) = with_config(&config, async |config| {
            let from = copy(&config, &file).await?;
            Ok((from, config.storage.data))
        })?;
        if let From::Server(server) = from {
            let globals = Globals {
                url: server.url,
                // A development server's token lies where its store is.
                data_dir,
                ..globals.clone()
            };
            Client::new(&globals)?.download(PATH, (INSTANCE, &server.instance), &file)?;
        }
        if out.is_json() {
            return out.line(&json!({ "backup": file.display().to_string() }).to_string());
        }
        out.line(&format!("backed up to {}", file.display()))?;
        out.note("it opens with this server's main secret only: keep a copy of that as well, in another place");
        Ok(())
    }
}

pub(super) async fn copy(config: &Config, to: &Path) -> Result<From, Failure> {
    let database = existing_file(config)?;
    if is_in_use(&database) {
        let server = presence::read(&database).map_err(failed)?;
        return server.map(From::Server).ok_or_else(|| {
            Failure::Failed(format!(
                "the store at {} is in use, and no server says that it serves it: another command has it open, or a server \
                 is just starting or stopping; try again in a moment",
                database.display()
            ))
        });
    }
    let store = open(config, &keys_of(config)?).await?;
    let copied = store.backup(to).await.map_err(failed);
    store.close().await;
    copied.map(|()| From::Store)
}
