//! What was given for which setting, and where: the file's keys, the environment's variables and the flags as one list.
//!
//! Everything becomes text here; what the text means is the setting's own business.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use toml::Value;

use super::{
    error::ConfigError,
    settings::{NONE, PREFIX, SETTINGS, Setting},
};

/// Where a value comes from. Later ones win over earlier ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// `--dev` chose it.
    Dev,
    /// A key of this file.
    File(PathBuf),
    /// This variable.
    Variable(String),
    /// This flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Dev => f.write_str("--dev"),
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(flag) => write!(f, "--{flag}"),
        }
    }
}

/// Values for one setting.
pub(super) struct Given {
    pub setting: &'static Setting,
    pub values: Vec<String>,
    pub origin: Origin,
}

/// Variables of ours that are no settings: the client commands', and the path of the file itself.
const NO_SETTINGS: [&str; 6] = ["APP", "CA_CERT", "CONFIG", "SECRET", "TOKEN", "URL"];

/// The keys of a file.
pub(super) fn from_file(file: &Path, text: &str) -> Result<Vec<Given>, ConfigError> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        ConfigError::Syntax {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            problem: error.message().to_owned(),
        }
    })?;
    let mut given = Vec::new();
    collect("", &table, file, &mut given)?;
    Ok(given)
}

fn collect(above: &str, table: &toml::Table, file: &Path, given: &mut Vec<Given>) -> Result<(), ConfigError> {
    for (name, value) in table {
        let key = if above.is_empty() {
            name.clone()
        } else {
            format!("{above}.{name}")
        };
        let setting = SETTINGS.iter().find(|setting| setting.key == key);
        match (setting, value) {
            (None, Value::Table(table)) if !table.is_empty() => collect(&key, table, file, given)?,
            (None, _) => {
                return Err(ConfigError::Unknown {
                    nearest: nearest(&key, SETTINGS.iter().map(|setting| setting.key.to_owned())),
                    origin: format!("{key} in {}", file.display()),
                });
            }
            (Some(setting), value) => {
                let origin = Origin::File(file.to_owned());
                let values = texts(setting, value).ok_or_else(|| ConfigError::Value {
                    setting: setting.key,
                    origin: origin.to_string(),
                    value: None,
                    problem: format!("it cannot be a {}; write {}", value.type_str(), setting.kind),
                })?;
                given.push(Given {
                    setting,
                    values,
                    origin,
                });
            }
        }
    }
    Ok(())
}

/// A TOML value as text; nothing for what no setting can be.
fn texts(setting: &Setting, value: &Value) -> Option<Vec<String>> {
    let scalar = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(truth) => Some(truth.to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    };
    match value {
        Value::Array(values) => values.iter().map(scalar).collect(),
        Value::String(text) => Some(split(setting, text)),
        value => scalar(value).map(|text| vec![text]),
    }
}

/// The values in one text: a list is written with commas, and `none` when it is empty.
fn split(setting: &Setting, text: &str) -> Vec<String> {
    if !setting.list {
        return vec![text.to_owned()];
    }
    if text == NONE {
        return Vec::new();
    }
    text.split(',')
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

/// The variables of the environment. An empty one counts as not there. The variable of a secret may end in `_FILE` and name
/// a file that holds it; `read` reads such a file.
pub(super) fn from_variables(
    variables: impl Iterator<Item = (OsString, OsString)>,
    read: impl Fn(&Path) -> std::io::Result<String>,
) -> Result<Vec<Given>, ConfigError> {
    let mut given: Vec<Given> = Vec::new();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
            continue;
        };
        if value.is_empty() || NO_SETTINGS.contains(&&name[PREFIX.len()..]) {
            continue;
        }
        let direct = SETTINGS.iter().find(|setting| setting.variable() == name);
        let by_file = || {
            let name = name.strip_suffix("_FILE")?;
            SETTINGS
                .iter()
                .find(|setting| setting.secret() && setting.variable() == name)
        };
        let origin = Origin::Variable(name.to_owned());
        let (setting, text) = if let Some(setting) = direct {
            let text = value.into_string().map_err(|_| ConfigError::Value {
                setting: setting.key,
                origin: origin.to_string(),
                value: None,
                problem: "it is not text (UTF-8)".to_owned(),
            })?;
            (setting, text)
        } else if let Some(setting) = by_file() {
            let file = PathBuf::from(value);
            let text = read(&file).map_err(|error| ConfigError::Unreadable(file, error))?;
            (setting, text.trim().to_owned())
        } else if is_service_link(name, &value) {
            continue;
        } else {
            return Err(ConfigError::Unknown {
                nearest: nearest(name, SETTINGS.iter().map(Setting::variable)),
                origin: name.to_owned(),
            });
        };
        if given.iter().any(|other| std::ptr::eq(other.setting, setting)) {
            let variable = setting.variable();
            return Err(ConfigError::Contradiction(format!(
                "{variable} and {variable}_FILE are both set; keep one"
            )));
        }
        given.push(Given {
            setting,
            values: split(setting, &text),
            origin,
        });
    }
    Ok(given)
}

/// Whether a variable was put there by Kubernetes, because a service in the namespace is called `bellwire` or `bellwire-…`.
fn is_service_link(name: &str, value: &OsString) -> bool {
    let address = value.to_str().is_some_and(|value| {
        ["tcp://", "udp://", "sctp://"]
            .iter()
            .any(|start| value.starts_with(start))
    });
    let part = ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| name.contains(protocol)) && name.contains("_PORT_");
    name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT") || address || part
}

/// Flags, by the place of their setting in the table.
pub(super) fn from_flags(flags: &[(usize, Vec<String>)]) -> Vec<Given> {
    let given = |(at, texts): &(usize, Vec<String>)| {
        let setting = &SETTINGS[*at];
        let values = texts.iter().flat_map(|text| split(setting, text)).collect();
        Given {
            setting,
            values,
            origin: Origin::Flag(setting.flag.unwrap_or(setting.key)),
        }
    };
    flags.iter().map(given).collect()
}

/// The known name that is most like this one, if one is like it at all.
fn nearest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let bound = (name.len() / 3).max(2);
    known
        .map(|known| (distance(name, &known), known))
        .filter(|(far, _)| *far <= bound)
        .min()
        .map(|(_, known)| known)
}

/// How many characters must be added, removed or changed to make one text of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_additions_removals_and_changes() {
        for (one, other, far) in [
            ("listen", "listen", 0),
            ("lisen", "listen", 1),
            ("listenn", "listen", 1),
            ("data", "date", 1),
            ("", "abc", 3),
        ] {
            assert_eq!(distance(one, other), far, "{one} {other}");
        }
    }

    #[test]
    fn what_kubernetes_puts_into_the_environment_is_no_setting() {
        let linked = |name: &str, value: &str| is_service_link(name, &OsString::from(value));
        assert!(linked("BELLWIRE_SERVICE_HOST", "10.0.0.1"));
        assert!(linked("BELLWIRE_WEB_SERVICE_PORT_HTTP", "80"));
        assert!(linked("BELLWIRE_PORT", "tcp://10.0.0.1:80"));
        assert!(linked("BELLWIRE_PORT_80_TCP_ADDR", "10.0.0.1"));
        assert!(!linked("BELLWIRE_LISEN", "127.0.0.1:80"));
    }
}
