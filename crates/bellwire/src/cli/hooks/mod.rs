//! `bellwire hooks`: the hooks file, checked and tried offline, and a server's file read again.
//!
//! One file a command: [`check`], [`try_out`] and [`apply`]. `check` and `test` read the file as a server would, with the variables
//! and files of where they run, and do nothing. What they show has nothing secret in it.

mod apply;
mod check;
mod try_out;

use std::path::PathBuf;

use bellwire_hooks::schema::schema;
use clap::{Args, Subcommand};

use super::{Client, Globals, exit::Failure, out::Out};
use crate::serve::hooks::read;

/// What to do with a hooks file.
#[derive(Subcommand)]
pub enum HooksCommand {
    /// Say what is wrong with a file, with line and column, or what it asks for; offline
    Check(FileArg),
    /// Show what a request would do, step by step, without doing it; offline
    #[command(override_usage = "bellwire hooks test [OPTIONS] [FILE] <HOOK> <FIXTURE>")]
    Test(Box<try_out::TestArgs>),
    /// Have a server read its file now, and say what changes
    Apply(apply::ApplyArgs),
    /// Print the JSON Schema of the file, for editors
    Schema,
}

/// The file that is meant.
#[derive(Args)]
pub struct FileArg {
    /// The hooks file
    #[arg(value_name = "FILE", default_value = FILE)]
    pub file: PathBuf,
}

/// The file that is meant where none is named.
const FILE: &str = "hooks.yaml";

impl HooksCommand {
    /// Does it.
    ///
    /// # Errors
    /// A usage failure when the file is wrong; those of the command.
    pub fn run(self, globals: &Globals, mut out: Out) -> Result<(), Failure> {
        match self {
            Self::Check(FileArg { file }) => check::run(&file, &mut out),
            Self::Test(args) => args.run(&mut out),
            Self::Apply(args) => args.run(&Client::new(globals)?, &mut out),
            Self::Schema => {
                let schema =
                    serde_json::to_string_pretty(&schema()).map_err(|error| Failure::Failed(error.to_string()))?;
                out.line(&schema)
            }
        }
    }
}

/// How often something is there: `1 hook`, `2 hooks`.
fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
