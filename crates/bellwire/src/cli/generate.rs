//! `bellwire completions` and `bellwire man`: made from the description of the command line itself.

use std::{fs, path::PathBuf};

use clap::Args;
use clap_complete::Shell;

use super::{exit::Failure, out::Out};

/// `completions`.
#[derive(Args)]
pub struct CompletionsArgs {
    /// The shell they are for
    shell: Shell,
}

/// `man`.
#[derive(Args)]
pub struct ManArgs {
    /// Write a page for every command into this folder instead
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl CompletionsArgs {
    /// Prints the script.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn run(self, mut command: clap::Command, out: &mut Out) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "bellwire", &mut script);
        out.raw(&String::from_utf8_lossy(&script))
    }
}

impl ManArgs {
    /// Prints the page, or writes one for each command.
    ///
    /// # Errors
    /// When standard output or the folder cannot be written.
    pub fn run(self, command: clap::Command, out: &mut Out) -> Result<(), Failure> {
        let Some(dir) = self.dir else {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            return out.raw(&String::from_utf8_lossy(&page));
        };
        fs::create_dir_all(&dir)
            .and_then(|()| clap_mangen::generate_to(command, &dir))
            .map_err(|error| Failure::Failed(format!("cannot write into `{}`: {error}", dir.display())))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::{Cli, testing::Captured};

    #[test]
    fn completions_know_the_commands_in_every_shell() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
            let captured = Captured::default();
            CompletionsArgs { shell }
                .run(Cli::command(), &mut captured.out(false))
                .unwrap();
            assert!(captured.text().contains("event-type"), "{shell}");
        }
    }

    #[test]
    fn the_man_page_documents_exit_codes_and_every_command_has_its_own() {
        let captured = Captured::default();
        ManArgs { dir: None }
            .run(Cli::command(), &mut captured.out(false))
            .unwrap();
        assert!(captured.text().contains("interrupted"));
        let dir = tempfile::tempdir().unwrap();
        ManArgs {
            dir: Some(dir.path().to_owned()),
        }
        .run(Cli::command(), &mut captured.out(false))
        .unwrap();
        assert!(dir.path().join("bellwire-endpoint-rotate.1").exists());
    }
}
