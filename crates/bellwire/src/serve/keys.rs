//! The main secret: configured, or made on the first start and kept in the data directory.
//!
//! A kept secret that is being replaced lies beside the new one until everything is sealed anew, so that a crash in between
//! loses nothing. Called by the server and by the operator's commands; rotation itself is in `operate::rotate`.

use std::path::{Path, PathBuf};

use bellwire_core::seal::{Keyring, MainSecret, SealError};
use bellwire_store::{Store, StoreError};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::private;
use crate::config::Config;

/// Why there is no main secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file it is kept in.
    #[error("{what} {file}: {error}", file = .file.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// Which file.
        file: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// It cannot be one.
    #[error("{place}: {error}")]
    Unfit {
        /// Where it stands.
        place: String,
        /// What is wrong with it.
        error: SealError,
    },
    /// The machine gives no randomness.
    #[error("the machine gives no random bytes; set main_secret yourself")]
    NoRandomness,
}

/// The keyring, and what is left to do for it.
#[derive(Debug)]
pub struct Keys {
    /// Seals and opens.
    pub ring: Keyring,
    /// The file of a kept secret that was replaced: to be removed once everything is sealed anew.
    pub replaced: Option<PathBuf>,
}

impl Keys {
    /// Whether a kept secret was replaced, and not everything may be sealed anew yet.
    pub fn is_being_replaced(&self) -> bool {
        self.replaced.is_some()
            && self
                .ring
                .previous
                .iter()
                .any(|previous| previous.id() != self.ring.current.id())
    }
}

/// Where a secret that was made is kept.
pub fn kept_file(data: &Path) -> PathBuf {
    data.join("main-secret")
}

/// Where a kept secret lies while it is being replaced.
pub fn replaced_file(data: &Path) -> PathBuf {
    data.join("main-secret.replaced")
}

/// The keyring of this configuration. Makes and keeps a main secret when there is none.
///
/// # Errors
/// [`KeyError`].
pub fn load(config: &Config) -> Result<Keys, KeyError> {
    let data = &config.storage.data;
    let (kept_in, replaced_in) = (kept_file(data), replaced_file(data));
    let kept = read(&kept_in)?;
    let replaced = read(&replaced_in)?;
    let configured = config.secrets.main_secret.as_ref();
    let current = match (configured, &kept) {
        (Some(secret), _) => parse(secret.expose(), || "main_secret".to_owned())?,
        (None, Some(text)) => parse(text, || kept_in.display().to_string())?,
        (None, None) => make(data, &kept_in)?,
    };
    let mut ring = Keyring::new(current);
    for secret in &config.secrets.previous {
        ring.previous
            .push(parse(secret.expose(), || "previous_main_secrets".to_owned())?);
    }
    // Whoever configures a secret after the first start still has things sealed with the one that was kept.
    if let (Some(_), Some(text)) = (configured, &kept) {
        ring.previous.push(parse(text, || kept_in.display().to_string())?);
    }
    if let Some(text) = &replaced {
        ring.previous.push(parse(text, || replaced_in.display().to_string())?);
    }
    Ok(Keys {
        ring,
        replaced: replaced.map(|_| replaced_in),
    })
}

/// Seals anew what was sealed with a secret of before, and forgets the kept one that was replaced. Returns how many were
/// sealed.
///
/// # Errors
/// Those of the store, and of the file.
pub async fn reseal(keys: &Keys, store: &dyn Store) -> Result<u64, StoreError> {
    if keys.ring.previous.is_empty() {
        return Ok(0);
    }
    let sealed = store.reseal().await?;
    if sealed > 0 {
        tracing::info!(sealed, main_secret = %keys.ring.current.id(), "secrets were sealed anew with the current main secret");
    }
    if let Some(file) = &keys.replaced {
        let failed = |error| StoreError::Unavailable(format!("cannot remove {}: {error}", file.display()));
        private::remove(file).map_err(failed)?;
    }
    Ok(sealed)
}

/// A new main secret's text.
///
/// # Errors
/// When the machine gives no randomness.
pub fn new_text() -> Result<String, KeyError> {
    let mut entropy = [0; 32];
    SystemRandom::new()
        .fill(&mut entropy)
        .map_err(|_| KeyError::NoRandomness)?;
    Ok(MainSecret::new_text(entropy))
}

fn make(data: &Path, file: &Path) -> Result<MainSecret, KeyError> {
    let text = new_text()?;
    let failed = |what, file: &Path| {
        let file = file.to_owned();
        move |error| KeyError::File { what, file, error }
    };
    private::make_directory(data).map_err(failed("cannot make the directory", data))?;
    private::write_line(file, &text).map_err(failed("cannot write the main secret to", file))?;
    parse(&text, || file.display().to_string())
}

fn read(file: &Path) -> Result<Option<String>, KeyError> {
    private::read_line(file).map_err(|error| KeyError::File {
        what: "cannot read the main secret from",
        file: file.to_owned(),
        error,
    })
}

fn parse(text: &str, place: impl Fn() -> String) -> Result<MainSecret, KeyError> {
    MainSecret::parse(text).map_err(|error| KeyError::Unfit { place: place(), error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Hidden;

    fn config(data: &Path, main: Option<&str>) -> Config {
        let mut config = Config::default();
        config.storage.data = data.to_owned();
        config.secrets.main_secret = main.map(Hidden::new);
        config
    }

    const ONE: &str = "one-one-one-one-one-one-one-one-one";

    #[test]
    fn a_secret_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let first = load(&config(folder.path(), None)).unwrap();
        let second = load(&config(folder.path(), None)).unwrap();
        assert_eq!(first.ring.current.id(), second.ring.current.id());
        assert!(second.ring.previous.is_empty() && second.replaced.is_none());
    }

    #[test]
    fn a_configured_secret_is_current_and_the_kept_one_still_opens() {
        let folder = tempfile::tempdir().unwrap();
        let kept = load(&config(folder.path(), None)).unwrap().ring.current.id();
        let keys = load(&config(folder.path(), Some(ONE))).unwrap();
        assert_eq!(keys.ring.current.id(), MainSecret::parse(ONE).unwrap().id());
        assert_eq!(
            keys.ring.previous.iter().map(MainSecret::id).collect::<Vec<_>>(),
            [kept]
        );
    }

    #[test]
    fn with_a_configured_secret_nothing_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        load(&config(folder.path(), Some(ONE))).unwrap();
        assert!(!kept_file(folder.path()).exists());
    }

    #[test]
    fn a_rotation_that_was_interrupted_leaves_both_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let old = load(&config(folder.path(), None)).unwrap().ring.current.id();
        std::fs::rename(kept_file(folder.path()), replaced_file(folder.path())).unwrap();
        let keys = load(&config(folder.path(), None)).unwrap();
        assert_ne!(keys.ring.current.id(), old);
        assert_eq!(keys.ring.previous[0].id(), old);
        assert_eq!(keys.replaced, Some(replaced_file(folder.path())));
    }

    #[test]
    fn an_unfit_secret_is_named_by_its_place() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(kept_file(folder.path()), "canary\n").unwrap();
        let refusal = load(&config(folder.path(), None)).unwrap_err().to_string();
        assert!(
            refusal.contains("main-secret") && refusal.contains('6') && !refusal.contains("canary"),
            "{refusal}"
        );
    }
}
