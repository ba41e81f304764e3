//! `bellwire config` and `bellwire openapi`: what is in force, and what the API is.

use clap::Args;

use crate::{
    cli::{Failure, Out},
    config::{self, ConfigArgs},
};

/// `config`.
#[derive(Args)]
pub struct ConfigCommand {
    #[command(flatten)]
    config: ConfigArgs,
}

impl ConfigCommand {
    /// Prints the settings in force and where each comes from; secrets are not shown.
    ///
    /// # Errors
    /// When the configuration is refused.
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        let loaded = config::load(&self.config).map_err(Failure::usage)?;
        out.raw(&config::show(&loaded, out.is_json()))
    }
}

/// Prints the OpenAPI document.
///
/// # Errors
/// When standard output cannot be written.
pub fn openapi(out: &mut Out) -> Result<(), Failure> {
    out.raw(&format!("{:#}\n", bellwire_api::openapi()))
}
