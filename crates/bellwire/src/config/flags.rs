//! The command line's share: `--config`, `--dev` and a flag for every setting that is no secret, made from the table.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::settings::SETTINGS;

/// Where the configuration comes from, and what overrides it.
#[derive(Args, Debug, Clone, Default)]
pub struct ConfigArgs {
    /// The configuration file [default: bellwire.toml, if there is one]
    #[arg(long, env = "BELLWIRE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// For your own machine: endpoints may be on it, logs are for people, and the admin token is kept for the CLI
    #[arg(long)]
    pub dev: bool,
    /// Settings.
    #[command(flatten)]
    pub flags: Flags,
}

/// Flags of settings: the setting's place in the table and what was given.
#[derive(Debug, Clone, Default)]
pub struct Flags(pub(super) Vec<(usize, Vec<String>)>);

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let command = command.next_help_heading("Settings (also in bellwire.toml and as BELLWIRE_… variables)");
        SETTINGS.iter().fold(command, |command, setting| {
            let Some(flag) = setting.flag else { return command };
            let default = if setting.default.is_empty() {
                String::new()
            } else {
                format!(" [default: {}]", setting.default)
            };
            let special = if setting.special.is_empty() {
                String::new()
            } else {
                format!(" [{}]", setting.special.replace('`', ""))
            };
            let arg = Arg::new(setting.key)
                .long(flag)
                .value_name("VALUE")
                .help(format!(
                    "{}{default}{special}",
                    setting.meaning.replace('`', "").trim_end_matches('.')
                ))
                .hide_short_help(!FAMILIAR.contains(&setting.key));
            let arg = match (setting.kind, setting.list) {
                ("true or false", _) => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
                (_, true) => arg.action(ArgAction::Append),
                _ => arg,
            };
            // What the client's commands call it as well, because `send` has another `--data`.
            let arg = match setting.key {
                "data" => arg.visible_alias("data-dir"),
                _ => arg,
            };
            command.arg(arg)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// What `-h` shows; `--help` shows them all.
const FAMILIAR: [&str; 4] = ["listen", "data", "allow_private", "log.level"];

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = SETTINGS
            .iter()
            .enumerate()
            .filter(|(_, setting)| setting.flag.is_some())
            .filter_map(|(at, setting)| {
                let values = matches.get_many::<String>(setting.key)?;
                Some((at, values.cloned().collect()))
            });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
