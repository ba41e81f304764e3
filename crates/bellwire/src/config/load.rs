//! From files, variables and flags to the configuration in force.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    Config, LogFormat,
    error::ConfigError,
    flags::ConfigArgs,
    given::{Given, Origin, from_file, from_flags, from_variables},
    loopback,
    settings::SETTINGS,
    show,
};

/// The file that is read when none is named.
const FILE: &str = "bellwire.toml";

/// A configuration, and where each setting comes from.
#[derive(Debug)]
pub struct Loaded {
    /// What is in force.
    pub config: Config,
    /// Where each setting of the table comes from.
    pub(super) origins: Vec<Origin>,
}

/// Loads the configuration: the file, the process's environment, the flags.
///
/// # Errors
/// [`ConfigError`], in words for the operator.
pub fn load(args: &ConfigArgs) -> Result<Loaded, ConfigError> {
    let file = match &args.config {
        Some(file) => Some((
            file.clone(),
            fs::read_to_string(file).map_err(|e| ConfigError::Unreadable(file.clone(), e))?,
        )),
        None => match fs::read_to_string(FILE) {
            Ok(text) => Some((PathBuf::from(FILE), text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(ConfigError::Unreadable(FILE.into(), error)),
        },
    };
    let file = file.as_ref().map(|(file, text)| (file.as_path(), text.as_str()));
    let mut loaded = merge(args, file, std::env::vars_os(), |file| fs::read_to_string(file))?;
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    loaded.config.inherited = variables
        .filter(|(name, _)| INHERITED.contains(&name.as_str()))
        .collect();
    loaded.config.in_force = show::in_force(&loaded);
    Ok(loaded)
}

/// What commands see of the server's own environment.
const INHERITED: &[&str] = &["HOME", "LANG", "PATH"];

/// The configuration from its sources, each winning over the ones before: defaults, `--dev`, file, variables, flags.
fn merge(
    args: &ConfigArgs,
    file: Option<(&Path, &str)>,
    variables: impl Iterator<Item = (OsString, OsString)>,
    read: impl Fn(&Path) -> io::Result<String>,
) -> Result<Loaded, ConfigError> {
    let mut loaded = Loaded {
        config: Config::default(),
        origins: vec![Origin::Default; SETTINGS.len()],
    };
    if args.dev {
        loaded.config.dev = true;
        loaded.config.calls.policy.allow_private = loopback();
        loaded.config.telemetry.format = LogFormat::Human;
        for (setting, origin) in SETTINGS.iter().zip(&mut loaded.origins) {
            if ["allow_private", "log.format"].contains(&setting.key) {
                *origin = Origin::Dev;
            }
        }
    }
    let mut given = Vec::new();
    if let Some((file, text)) = file {
        given.extend(from_file(file, text)?);
    }
    given.extend(from_variables(variables, read)?);
    given.extend(from_flags(&args.flags.0));
    given.into_iter().try_for_each(|given| apply(&mut loaded, given))?;
    agree(&loaded)?;
    Ok(loaded)
}

/// A lower bound above its upper one is refused: whichever of the two won, the other would be ignored.
fn agree(loaded: &Loaded) -> Result<(), ConfigError> {
    let delivery = &loaded.config.delivery;
    let bounds = [
        (
            "in_flight_min",
            "in_flight_per_endpoint",
            usize::from(delivery.in_flight_min) <= delivery.in_flight_per_endpoint,
        ),
        (
            "breaker_probe_min",
            "breaker_probe_max",
            delivery.breaker.probe_min <= delivery.breaker.probe_max,
        ),
    ];
    let Some((low, high, _)) = bounds.into_iter().find(|(_, _, fits)| !fits) else {
        return Ok(());
    };
    let stands = |key| {
        let known = SETTINGS
            .iter()
            .zip(&loaded.origins)
            .find(|(setting, _)| setting.key == key);
        let (value, origin) = known
            .map(|(setting, origin)| ((setting.get)(&loaded.config).join(", "), origin))
            .unzip();
        let origin = match origin {
            None | Some(Origin::Default) => "by default".to_owned(),
            Some(origin) => format!("from {origin}"),
        };
        format!("{key} ({}, {origin})", value.unwrap_or_default())
    };
    let (lower, upper) = (stands(low), stands(high));
    Err(ConfigError::Contradiction(format!(
        "{lower} is more than {upper}: lower the one or raise the other"
    )))
}

fn apply(loaded: &mut Loaded, given: Given) -> Result<(), ConfigError> {
    let Given {
        setting,
        values,
        origin,
    } = given;
    let texts: Vec<_> = values.iter().map(String::as_str).collect();
    (setting.set)(&mut loaded.config, &texts).map_err(|problem| ConfigError::Value {
        setting: setting.key,
        origin: origin.to_string(),
        value: (!setting.hides_value()).then(|| values.join(", ")),
        problem,
    })?;
    if let Some(at) = SETTINGS.iter().position(|other| std::ptr::eq(other, setting)) {
        loaded.origins[at] = origin;
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    /// A configuration from texts: a file, `NAME=value` pairs and a command line.
    pub fn loaded(file: &str, variables: &[(&str, &str)], line: &[&str]) -> Result<Loaded, ConfigError> {
        let command = ConfigArgs::augment_args(clap::Command::new("test")).no_binary_name(true);
        let matches = command.try_get_matches_from(line).unwrap();
        let args = ConfigArgs::from_arg_matches(&matches).unwrap();
        let variables = variables
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let secret_file = |file: &Path| match file.to_str() {
            Some("/run/secrets/token") => Ok(format!("{CANARY}\n")),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        merge(&args, Some((Path::new("bellwire.toml"), file)), variables, secret_file)
    }

    pub const CANARY: &str = "canary-canary-canary-canary-canary";

    fn refused(file: &str, variables: &[(&str, &str)], line: &[&str]) -> String {
        loaded(file, variables, line).unwrap_err().to_string()
    }

    fn origin(loaded: &Loaded, key: &str) -> Origin {
        loaded.origins[SETTINGS.iter().position(|setting| setting.key == key).unwrap()].clone()
    }

    #[test]
    fn flags_win_over_variables_over_the_file_over_defaults() {
        let file = "listen = '127.0.0.1:1'\nworkers = 2\nin_flight = 7\n[timeouts]\nattempt = 4\n";
        let variables = [
            ("BELLWIRE_LISTEN", "127.0.0.1:2"),
            ("BELLWIRE_WORKERS", "3"),
            ("PATH", "/bin"),
            ("BELLWIRE_DATA", ""),
        ];
        let loaded = loaded(file, &variables, &["--listen", "127.0.0.1:3"]).unwrap();
        let config = &loaded.config;
        assert_eq!(config.http.listen.port(), 3);
        assert_eq!((config.process.workers, config.delivery.in_flight), (Some(3), 7));
        assert_eq!(config.delivery.timeout, Duration::from_secs(4));
        assert_eq!(origin(&loaded, "listen"), Origin::Flag("listen"));
        assert_eq!(
            origin(&loaded, "workers"),
            Origin::Variable("BELLWIRE_WORKERS".to_owned())
        );
        assert_eq!(
            origin(&loaded, "timeouts.attempt"),
            Origin::File("bellwire.toml".into())
        );
        assert_eq!(
            origin(&loaded, "data"),
            Origin::Default,
            "an empty variable says nothing"
        );
    }

    #[test]
    fn lists_are_arrays_in_the_file_and_commas_elsewhere() {
        for loaded in [
            loaded("allow_private = ['10.0.0.0/8', '::1']", &[], &[]),
            loaded("allow_private = '10.0.0.0/8,::1'", &[], &[]),
            loaded("", &[("BELLWIRE_ALLOW_PRIVATE", "10.0.0.0/8, ::1")], &[]),
            loaded("", &[], &["--allow-private", "10.0.0.0/8,::1"]),
            loaded("", &[], &["--allow-private", "10.0.0.0/8", "--allow-private", "::1"]),
        ] {
            assert_eq!(loaded.unwrap().config.calls.policy.allow_private.len(), 2);
        }
        for loaded in [
            loaded("retry_schedule = []", &[], &[]),
            loaded("", &[("BELLWIRE_RETRY_SCHEDULE", "none")], &[]),
        ] {
            assert!(loaded.unwrap().config.delivery.retry_schedule.is_empty());
        }
    }

    #[test]
    fn dev_opens_this_machine_unless_somebody_says_otherwise() {
        let dev = loaded("", &[], &["--dev"]).unwrap();
        assert!(dev.config.dev && dev.config.calls.policy.allow_private == loopback());
        assert_eq!(
            (dev.config.telemetry.format, origin(&dev, "log.format")),
            (LogFormat::Human, Origin::Dev)
        );
        let said = loaded("allow_private = []\nlog.format = 'json'", &[], &["--dev"]).unwrap();
        assert!(said.config.calls.policy.allow_private.is_empty());
        assert_eq!(said.config.telemetry.format, LogFormat::Json);
    }

    #[test]
    fn a_flag_that_is_a_question_needs_no_answer() {
        assert!(
            loaded("", &[], &["--https-only"])
                .unwrap()
                .config
                .calls
                .policy
                .https_only
        );
        assert!(
            !loaded("https_only = true", &[], &["--https-only=false"])
                .unwrap()
                .config
                .calls
                .policy
                .https_only
        );
    }

    #[test]
    fn unknown_names_are_refused_with_the_nearest_known_one() {
        assert_eq!(
            refused("lisen = 'x'", &[], &[]),
            "lisen in bellwire.toml is no setting; did you mean listen?"
        );
        assert!(refused("[timeout]\nattempt = 3", &[], &[]).ends_with("did you mean timeouts.attempt?"));
        assert!(refused("[timeouts]\natempt = 3", &[], &[]).contains("timeouts.atempt in bellwire.toml"));
        let variable = refused("", &[("BELLWIRE_ALOW_PRIVATE", "x")], &[]);
        assert_eq!(
            variable,
            "BELLWIRE_ALOW_PRIVATE is no setting; did you mean BELLWIRE_ALLOW_PRIVATE?"
        );
        assert!(refused("zebra = 1", &[], &[]).ends_with("`bellwire config` lists them all"));
        assert!(
            loaded(
                "",
                &[
                    ("BELLWIRE_TOKEN", "x"),
                    ("BELLWIRE_URL", "x"),
                    ("BELLWIRE_PORT", "tcp://1.1.1.1:1")
                ],
                &[]
            )
            .is_ok()
        );
    }

    #[test]
    fn a_bad_value_is_named_with_its_setting_and_what_to_write() {
        assert_eq!(
            refused("", &[("BELLWIRE_LISTEN", "8071")], &[]),
            "listen from BELLWIRE_LISTEN is `8071`: write an address and a port, such as 127.0.0.1:8071 or [::]:8071"
        );
        assert!(refused("https_only = 'maybe'", &[], &[]).ends_with("is `maybe`: write true or false"));
        assert!(refused("[timeouts]\nattempt = '31s'", &[], &[]).contains("write a duration from 100ms to 30s"));
        assert!(refused("allow_private = ['10.0.0.7/8']", &[], &[]).contains("write 10.0.0.0/8"));
        assert!(refused("listen = { port = 1 }", &[], &[]).contains("cannot be a table; write address and port"));
        assert!(refused("", &[], &["--log-level", "inof"]).contains("write a level"));
    }

    #[test]
    fn bounds_that_contradict_each_other_are_named_with_where_they_stand() {
        assert_eq!(
            refused("in_flight_min = 64", &[], &[]),
            "in_flight_min (64, from bellwire.toml) is more than in_flight_per_endpoint (32, by default): lower the one or \
             raise the other"
        );
        assert_eq!(
            refused(
                "breaker_probe_min = '2s'",
                &[("BELLWIRE_BREAKER_PROBE_MAX", "500ms")],
                &[]
            ),
            "breaker_probe_min (2s, from bellwire.toml) is more than breaker_probe_max (500ms, from \
             BELLWIRE_BREAKER_PROBE_MAX): lower the one or raise the other"
        );
        for file in [
            "in_flight_min = 32",
            "in_flight_min = 64\nin_flight_per_endpoint = 64",
            "breaker_probe_min = '1m'",
        ] {
            assert!(loaded(file, &[], &[]).is_ok(), "{file}");
        }
    }

    #[test]
    fn no_refusal_repeats_a_secret() {
        let short = "canary-too-short";
        let url = format!("http://u:{CANARY}@");
        for refusal in [
            refused(&format!("admin_token = '{short}'"), &[], &[]),
            refused(&format!("admin_token = '{CANARY} {CANARY}'"), &[], &[]),
            refused(&format!("main_secret = ['{CANARY}', '{CANARY}']"), &[], &[]),
            refused(&format!("previous_main_secrets = ['{CANARY}', '{short}']"), &[], &[]),
            refused(&format!("admin_token = '{CANARY}"), &[], &[]),
            refused(&format!("main_secret = {{ a = '{CANARY}' }}"), &[], &[]),
            refused("", &[("BELLWIRE_MAIN_SECRET", short)], &[]),
            refused("", &[("BELLWIRE_PROXY", &url)], &[]),
            refused(
                "",
                &[
                    ("BELLWIRE_ADMIN_TOKEN", CANARY),
                    ("BELLWIRE_ADMIN_TOKEN_FILE", "/run/secrets/token"),
                ],
                &[],
            ),
        ] {
            assert!(!refusal.contains("canary"), "{refusal}");
        }
    }

    #[test]
    fn a_secret_may_lie_in_a_file_that_a_variable_names() {
        let config = loaded("", &[("BELLWIRE_ADMIN_TOKEN_FILE", "/run/secrets/token")], &[])
            .unwrap()
            .config;
        assert_eq!(config.secrets.admin_token.unwrap().expose(), CANARY);
        assert!(refused("", &[("BELLWIRE_ADMIN_TOKEN_FILE", "/nowhere")], &[]).contains("cannot read /nowhere"));
        assert!(refused("", &[("BELLWIRE_LISTEN_FILE", "/nowhere")], &[]).contains("is no setting"));
    }

    #[test]
    fn a_file_that_is_not_toml_is_refused_with_the_line() {
        assert!(refused("listen = '127.0.0.1:1'\nworkers = =\n", &[], &[]).starts_with("bellwire.toml, line 2: "));
    }
}
