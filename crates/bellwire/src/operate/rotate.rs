//! `bellwire secrets rotate`: a new main secret, and everything sealed anew with it.

use clap::{Args, Subcommand};

use super::{failed, keys_of, open, place::must_be_there, with_config};
use crate::{
    cli::{Failure, Out},
    config::{Config, ConfigArgs},
    serve::{keys, private},
};

/// `secrets`.
#[derive(Subcommand)]
pub enum SecretsCommand {
    /// Replace the main secret and seal everything anew with it
    Rotate(RotateArgs),
}

/// `secrets rotate`.
#[derive(Args)]
pub struct RotateArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

const TWO_STEPS: &str = "the main secret is configured, so it is yours to replace: set main_secret to the new one, add the old one \
to previous_main_secrets, and restart the server (or run this again): everything is sealed anew. Then remove \
previous_main_secrets";

impl SecretsCommand {
    /// Rotates.
    ///
    /// # Errors
    /// When a running server has the store open, or something cannot be opened with the secrets at hand.
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        let Self::Rotate(RotateArgs { config }) = self;
        let said = with_config(&config, rotate)?;
        out.line(&said)
    }
}

pub(super) async fn rotate(config: Config) -> Result<String, Failure> {
    let configured = config.secrets.main_secret.is_some();
    if configured && config.secrets.previous.is_empty() && !keys::kept_file(&config.storage.data).exists() {
        return Err(Failure::Usage(TWO_STEPS.to_owned()));
    }
    must_be_there(&config)?;
    let old = keys_of(&config)?;
    // Proves that nobody has the store open and that everything opens with the secrets at hand, before anything changes.
    let store = open(&config, &old).await?;
    let nodes = store.nodes().await.map_err(failed);
    store.close().await;
    drop(store);
    // This command is one of them, where others may be.
    let others = nodes?.len().saturating_sub(1);
    if others > 0 {
        return Err(Failure::Failed(format!(
            "the store is in use by running servers ({others}); stop them first"
        )));
    }
    // An interrupted rotation is finished, not begun anew.
    if !configured && !old.is_being_replaced() {
        replace(&config).map_err(|error| Failure::Failed(format!("cannot replace the main secret: {error}")))?;
    }
    let new = keys_of(&config)?;
    let store = open(&config, &new).await?;
    let sealed = keys::reseal(&new, store.as_ref()).await.map_err(failed);
    store.close().await;
    let sealed = sealed?;
    let rest = if configured {
        "; previous_main_secrets can be removed now"
    } else {
        ""
    };
    Ok(format!(
        "sealed anew with main secret {}: {sealed}{rest}",
        new.ring.current.id()
    ))
}

/// Keeps a new secret, with the old one beside it until everything is sealed anew. A crash at any point leaves both.
pub(super) fn replace(config: &Config) -> std::io::Result<()> {
    let data = &config.storage.data;
    let (kept, replaced) = (keys::kept_file(data), keys::replaced_file(data));
    let text = keys::new_text().map_err(std::io::Error::other)?;
    let Some(old) = private::read_line(&kept)? else {
        return Err(std::io::ErrorKind::NotFound.into());
    };
    private::write_line(&replaced, &old)?;
    private::write_line(&kept, &text)
}
