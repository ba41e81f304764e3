//! `--data`: where a development server on this machine keeps its data, and so its token.
//!
//! One spelling for every command. The operator's commands have it among their settings, and there the configuration reads it;
//! the client's commands are given it here. Where `--data` is a payload (`send`, `endpoint test`) the directory is `--data-dir`,
//! which every other command understands as well. Commands that talk to no server take no directory.

use std::{ffi::OsString, path::PathBuf};

use clap::{Arg, ArgMatches, Command, CommandFactory as _, FromArgMatches as _};

use super::Cli;

/// The option's id in a client's command.
const DATA: &str = "data_dir";
/// The spelling that is never a payload.
const LONG: &str = "data-dir";
/// Commands that neither talk to a server nor open a store.
const NEITHER: [&str; 7] = ["receive", "sign", "verify", "bench", "openapi", "completions", "man"];

/// Where it is when nobody says so.
pub fn default_data() -> PathBuf {
    PathBuf::from("bellwire-data")
}

/// The description of the command line, with `--data` where it belongs.
pub fn command() -> Command {
    with_data(Cli::command())
}

/// Reads a command line.
///
/// # Errors
/// What clap says about it; help and version are errors, too.
pub fn read(line: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let matches = command().try_get_matches_from(line)?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    if let Ok(Some(data)) = leaf(&matches).try_get_one::<PathBuf>(DATA) {
        cli.globals.data_dir.clone_from(data);
    }
    Ok(cli)
}

fn leaf(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, below)| leaf(below))
}

fn with_data(command: Command) -> Command {
    if command.has_subcommands() {
        let names: Vec<String> = command
            .get_subcommands()
            .map(|below| below.get_name().to_owned())
            .collect();
        let wanted = names.iter().filter(|name| !NEITHER.contains(&name.as_str()));
        return wanted.fold(command, |command, name| command.mut_subcommand(name, with_data));
    }
    let has = |long: &str| {
        let mut longs = command
            .get_arguments()
            .flat_map(|arg| arg.get_long_and_visible_aliases().unwrap_or_default());
        longs.any(|known| known == long)
    };
    // The settings have it already.
    if has(LONG) {
        return command;
    }
    let arg = Arg::new(DATA)
        .env("BELLWIRE_DATA")
        .value_name("DIR")
        .value_parser(clap::value_parser!(PathBuf))
        .help("Where a development server on this machine keeps its data [default: bellwire-data]")
        .help_heading("Global options")
        .hide_short_help(true);
    let arg = match has("data") {
        true => arg.long(LONG),
        false => arg.long("data").visible_alias(LONG),
    };
    command.arg(arg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(line: &str) -> Result<PathBuf, clap::Error> {
        let cli = read(line.split(' ').map(OsString::from))?;
        Ok(cli.globals.data_dir)
    }

    fn leaves(command: &Command, path: &str, found: &mut Vec<String>) {
        let path = format!("{path}{}{}", if path.is_empty() { "" } else { " " }, command.get_name());
        if !command.has_subcommands() {
            found.push(path);
            return;
        }
        command.get_subcommands().for_each(|below| leaves(below, &path, found));
    }

    #[test]
    fn the_description_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn clients_commands_take_one_spelling_and_its_alias() {
        for line in [
            "bellwire app list --data /srv/b",
            "bellwire app list --data-dir /srv/b",
            "bellwire tail --data /srv/b",
            "bellwire send a.b --app a --data {} --data-dir /srv/b",
            "bellwire endpoint test e --app a --data {} --data-dir /srv/b",
        ] {
            assert_eq!(data(line).unwrap(), PathBuf::from("/srv/b"), "{line}");
        }
        assert_eq!(data("bellwire app list").unwrap(), default_data());
        assert_eq!(data("bellwire send a.b --app a --data {}").unwrap(), default_data());
    }

    #[test]
    fn every_command_that_can_use_a_directory_takes_it_and_the_others_refuse_it() {
        let mut all = Vec::new();
        leaves(&command(), "", &mut all);
        assert!(all.len() > 40, "{all:?}");
        for path in all {
            let takes = |option: &str| {
                let line = path.split(' ').map(OsString::from);
                let error = read(line.chain([option.into(), "x".into(), "--help".into()]));
                // Help comes before what is missing, and after what is not known.
                error
                    .err()
                    .is_some_and(|error| error.kind() == clap::error::ErrorKind::DisplayHelp)
            };
            let offline = NEITHER.iter().any(|name| path == format!("bellwire {name}"));
            if path == "bellwire bench" {
                continue; // It reads its own options.
            }
            let payload = ["bellwire sign", "bellwire verify"].contains(&path.as_str());
            let expected = (!offline || payload, !offline);
            assert_eq!((takes("--data"), takes("--data-dir")), expected, "{path}");
        }
    }

    #[test]
    fn before_the_command_it_is_refused_and_not_ignored() {
        assert!(data("bellwire --data /srv/b app list").is_err());
        assert!(data("bellwire openapi --data /srv/b").is_err());
    }

    #[test]
    fn the_operators_commands_pass_either_spelling_to_the_configuration() {
        for option in ["--data", "--data-dir"] {
            let line = ["bellwire", "check", option, "/srv/b"].map(OsString::from);
            let super::super::Command::Check(check) = read(line).unwrap().command else {
                unreachable!()
            };
            let config = crate::config::load(check.config()).unwrap().config;
            assert_eq!(config.storage.data, PathBuf::from("/srv/b"));
        }
    }
}
