//! The kind `run`: a command on this machine, its arguments passed one by one and never through a shell.

use std::{borrow::Cow, collections::BTreeMap, path::PathBuf, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Value, json};

use crate::{
    Compiled, Event, PlanError, Problem,
    settings::{HIDDEN, hide, read},
    text::{Text, Time},
};

/// The kind.
pub const NAME: &str = "run";

/// How long a command may take, when nobody says.
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest that a command may take.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(3_600);
/// How many bytes of a command's output are kept, when nobody says.
pub const OUTPUT: usize = 4_096;
/// The most bytes of output that are kept.
pub const OUTPUT_MAX: usize = 65_536;

/// What the variables begin with that we set.
const OURS: &str = "BELLWIRE_";

/// The settings as they are written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Form {
    /// The command and its arguments. The command is a path (`./page.sh` begins in `cwd`) or a name that is looked for in
    /// `PATH`. Each argument is a template, and stays one argument whatever the message says.
    argv: Vec<Text>,
    /// What the command reads: `raw` (the payload as it came), `json` (the payload as JSON), `none`, or a template. `none` when
    /// left out.
    #[serde(default)]
    stdin: Stdin,
    /// Variables besides `PATH`, `HOME`, `LANG` and those of ours.
    #[serde(default)]
    env: BTreeMap<String, Text>,
    /// The working directory; that of the server when left out.
    cwd: Option<PathBuf>,
    /// As whom it runs: a name or a number. Only a server that runs as root may say so.
    user: Option<User>,
    /// How long it may take, at most 1 h; 30 s when left out, or the endpoint's own timeout.
    timeout: Option<Time>,
    /// How many bytes of the end of its output are kept; 4,096 when left out, at most 65,536.
    output: Option<usize>,
    /// The exit codes that are a success; 0 when left out.
    #[serde(default)]
    ok: Vec<i32>,
    /// The exit codes after which it is tried again; all that are no success when left out.
    #[serde(default)]
    retry_on: Vec<i32>,
    /// The exit codes after which it is not tried again.
    #[serde(default)]
    give_up_on: Vec<i32>,
}

/// What a command reads.
#[derive(Debug, Default)]
enum Stdin {
    #[default]
    None,
    Raw,
    Json,
    Text(Text),
}

impl<'de> Deserialize<'de> for Stdin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(match text.as_str() {
            "none" => Self::None,
            "raw" => Self::Raw,
            "json" => Self::Json,
            _ => Self::Text(Text::compile(&text, bellwire_template::Escape::None).map_err(D::Error::custom)?),
        })
    }
}

impl JsonSchema for Stdin {
    fn schema_name() -> Cow<'static, str> {
        "Stdin".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["raw", "json", "none"] })
    }
}

/// A user of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum User {
    /// By number.
    Id(u32),
    /// By name.
    Name(String),
}

/// The settings, compiled.
#[derive(Debug)]
pub struct Settings {
    /// The working directory.
    pub cwd: Option<PathBuf>,
    /// As whom it runs.
    pub user: Option<User>,
    /// How long it may take, if it says.
    pub timeout: Option<Duration>,
    /// How many bytes of its output are kept.
    pub output: usize,
    argv: Vec<Text>,
    stdin: Stdin,
    env: BTreeMap<String, Text>,
    ok: Vec<i32>,
    retry_on: Vec<i32>,
    give_up_on: Vec<i32>,
}

/// The command that is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The command and its arguments.
    pub argv: Vec<String>,
    /// What it reads.
    pub stdin: Vec<u8>,
    /// Its variables, besides those of the machine.
    pub env: Vec<(String, String)>,
}

/// What an exit code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It is done.
    Ok,
    /// Another try may help.
    Retry,
    /// Another try would not help.
    GiveUp,
}

impl Settings {
    /// What is run: the same for all messages.
    pub fn command(&self) -> &str {
        self.argv.first().map(Text::source).unwrap_or_default()
    }

    /// What an exit code means.
    pub fn exit(&self, code: i32) -> Exit {
        let ok = if self.ok.is_empty() {
            code == 0
        } else {
            self.ok.contains(&code)
        };
        if ok {
            Exit::Ok
        } else if self.give_up_on.contains(&code) || !(self.retry_on.is_empty() || self.retry_on.contains(&code)) {
            Exit::GiveUp
        } else {
            Exit::Retry
        }
    }

    /// The command for a message.
    ///
    /// # Errors
    /// A template does not render, or what it renders cannot be an argument.
    pub fn plan(&self, event: &Event<'_>) -> Result<Plan, PlanError> {
        let scope = event.scope();
        let rendered = |setting: String, text: &Text| {
            let text = text.render(&setting, &scope)?.into_owned();
            if text.contains('\0') {
                return Err(PlanError::new(
                    setting,
                    "has a NUL, which ends an argument; nothing was run",
                ));
            }
            Ok(text)
        };
        let argv = self.argv.iter().enumerate();
        let argv = argv.map(|(at, text)| rendered(format!("argv.{at}"), text));
        let argv = argv.collect::<Result<Vec<_>, _>>()?;
        let mut env = vec![
            ("BELLWIRE_MESSAGE_ID".to_owned(), event.id.to_owned()),
            ("BELLWIRE_EVENT_TYPE".to_owned(), event.event_type.to_owned()),
            ("BELLWIRE_ENDPOINT_ID".to_owned(), event.endpoint.to_owned()),
            ("BELLWIRE_ATTEMPT".to_owned(), event.attempt.to_string()),
            ("BELLWIRE_SOURCE".to_owned(), event.source.to_owned()),
        ];
        for (name, text) in &self.env {
            env.push((name.clone(), rendered(format!("env.{name}"), text)?));
        }
        let stdin = match &self.stdin {
            Stdin::None => Vec::new(),
            Stdin::Raw => event.payload.to_vec(),
            Stdin::Json => event.json.to_vec(),
            Stdin::Text(text) => text.render("stdin", &scope)?.into_owned().into_bytes(),
        };
        Ok(Plan { argv, stdin, env })
    }
}

impl Compiled for Settings {
    type Form = Form;

    fn read(settings: &Value) -> Result<Self, Problem> {
        let form: Form = read(settings)?;
        let Some(command) = form.argv.first() else {
            return Err(Problem::at(
                ["argv"],
                "name the command, then its arguments: `[/opt/page.sh, \"{{ id }}\"]`",
            ));
        };
        if !command.is_constant() {
            return Err(Problem::at(
                ["argv", "0"],
                "the command is the same for all messages: a message must not choose what runs",
            ));
        }
        let name = command.source();
        if name.is_empty() || name.ends_with('/') {
            return Err(Problem::at(
                ["argv", "0"],
                "write a path, or a name to look for in PATH",
            ));
        }
        if let Some(at) = form
            .argv
            .iter()
            .position(|text| text.is_constant() && text.source().contains('\0'))
        {
            return Err(Problem::at(["argv", &at.to_string()], "an argument cannot hold a NUL"));
        }
        for name in form.env.keys() {
            let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if name.is_empty() || !is_name || name.starts_with(|c: char| c.is_ascii_digit()) {
                let what = "a variable's name has letters, digits and `_`, and does not begin with a digit";
                return Err(Problem::at(["env", name], what));
            }
            if name.starts_with(OURS) {
                return Err(Problem::at(
                    ["env", name],
                    format!("variables that begin with `{OURS}` are set by the server"),
                ));
            }
        }
        let timeout = form.timeout.map(|time| time.0);
        if let Some(timeout) = timeout
            && (timeout.is_zero() || timeout > TIMEOUT_MAX)
        {
            return Err(Problem::at(
                ["timeout"],
                "write more than 0 s and at most 1 h; start longer work and let it go",
            ));
        }
        let output = form.output.unwrap_or(OUTPUT);
        if output > OUTPUT_MAX {
            return Err(Problem::at(
                ["output"],
                format!("at most {OUTPUT_MAX} bytes of output are kept"),
            ));
        }
        let listed = [
            ("ok", &form.ok),
            ("retryOn", &form.retry_on),
            ("giveUpOn", &form.give_up_on),
        ];
        for (at, (member, codes)) in listed.iter().enumerate() {
            if let Some(code) = codes.iter().find(|code| !(0..256).contains(*code)) {
                return Err(Problem::at([member], format!("{code} is no exit code; write 0 to 255")));
            }
            for (other, others) in &listed[at + 1..] {
                if let Some(code) = codes.iter().find(|code| others.contains(code)) {
                    return Err(Problem::at(
                        [other],
                        format!("{code} is in `{member}` already: it can mean one thing"),
                    ));
                }
            }
        }
        Ok(Self {
            cwd: form.cwd,
            user: form.user,
            timeout,
            output,
            argv: form.argv,
            stdin: form.stdin,
            env: form.env,
            ok: form.ok,
            retry_on: form.retry_on,
            give_up_on: form.give_up_on,
        })
    }

    fn hide(shown: &mut Value) {
        hide(shown, &["env", "*"]);
    }

    fn target(&self) -> String {
        format!("run:{}", self.command())
    }

    fn preview(&self, event: &Event<'_>) -> Result<Value, PlanError> {
        let plan = self.plan(event)?;
        // What a variable is called says nothing about what it holds: `DSN`, `GITHUB_PAT`.
        let env = plan.env.iter().map(|(name, value)| {
            let hidden = self.env.contains_key(name);
            (name.clone(), Value::from(if hidden { HIDDEN } else { value }))
        });
        let env: serde_json::Map<_, _> = env.collect();
        Ok(json!({"argv": plan.argv, "stdin": String::from_utf8_lossy(&plan.stdin), "env": env, "cwd": self.cwd}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::event;

    const PAYLOAD: &str = r#"{"host": "db1; rm -rf / $(x) `y` 'z'", "nul": "a\u0000b", "list": ["a", "b"]}"#;

    fn plan(settings: Value) -> Result<Plan, PlanError> {
        Settings::read(&settings).unwrap().plan(&event(PAYLOAD))
    }

    #[test]
    fn an_argument_stays_one_argument_whatever_the_message_says() {
        let plan = plan(json!({"argv": ["/bin/page", "{{ host }}", "{{ list }}", ""]})).unwrap();
        assert_eq!(
            plan.argv,
            ["/bin/page", "db1; rm -rf / $(x) `y` 'z'", "[\"a\",\"b\"]", ""]
        );
        assert!(plan.stdin.is_empty());
        let error = self::plan(json!({"argv": ["x", "{{ nul }}"]})).unwrap_err();
        assert!(error.setting == "argv.1" && error.message.contains("NUL"), "{error}");
    }

    #[test]
    fn a_command_reads_the_payload_as_it_came_as_json_or_what_a_template_makes() {
        let event = Event {
            payload: b"<a/>",
            json: b"{\"a\":null}",
            ..event(PAYLOAD)
        };
        for (stdin, read) in [
            ("raw", "<a/>"),
            ("json", "{\"a\":null}"),
            ("none", ""),
            ("{{ type }}\n", "invoice.paid\n"),
        ] {
            let settings = Settings::read(&json!({"argv": ["cat"], "stdin": stdin})).unwrap();
            assert_eq!(settings.plan(&event).unwrap().stdin, read.as_bytes(), "{stdin}");
        }
    }

    #[test]
    fn a_command_is_told_what_it_is_about() {
        let plan = plan(json!({"argv": ["env"], "env": {"HOST": "{{ host }}"}})).unwrap();
        let value = |name: &str| {
            plan.env
                .iter()
                .find(|(own, _)| own == name)
                .map(|(_, value)| value.as_str())
        };
        assert_eq!(value("BELLWIRE_MESSAGE_ID"), Some("msg_1"));
        assert_eq!(value("BELLWIRE_ATTEMPT"), Some("1"));
        assert_eq!(value("HOST"), Some("db1; rm -rf / $(x) `y` 'z'"));
    }

    #[test]
    fn exit_codes_mean_what_the_settings_say() {
        let exits = |more: Value| {
            let mut settings = json!({"argv": ["x"]});
            settings
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            let settings = Settings::read(&settings).unwrap();
            [0, 1, 75].map(|code| settings.exit(code))
        };
        assert_eq!(exits(json!({})), [Exit::Ok, Exit::Retry, Exit::Retry]);
        assert_eq!(exits(json!({"ok": [0, 1]})), [Exit::Ok, Exit::Ok, Exit::Retry]);
        assert_eq!(exits(json!({"retryOn": [75]})), [Exit::Ok, Exit::GiveUp, Exit::Retry]);
        assert_eq!(exits(json!({"giveUpOn": [1]})), [Exit::Ok, Exit::GiveUp, Exit::Retry]);
        assert_eq!(exits(json!({"ok": [1]})), [Exit::Retry, Exit::Ok, Exit::Retry]);
    }

    #[test]
    fn settings_that_cannot_work_are_refused_with_their_place() {
        for (settings, path, says) in [
            (json!({"argv": []}), "argv", "name the command"),
            (json!({"argv": "rm -rf /"}), "argv", "a list is needed"),
            (
                json!({"argv": ["x"], "ok": ["abc"]}),
                "ok.0",
                "a whole number is needed",
            ),
            (json!({"argv": ["{{ cmd }}"]}), "argv.0", "must not choose"),
            (json!({"argv": [""]}), "argv.0", "PATH"),
            (json!({"argv": ["x", "{{ a"]}), "argv.1", "line 1"),
            (
                json!({"argv": ["x"], "env": {"BELLWIRE_X": "1"}}),
                "env.BELLWIRE_X",
                "set by the server",
            ),
            (json!({"argv": ["x"], "env": {"A=B": "1"}}), "env.A=B", "letters"),
            (json!({"argv": ["x"], "timeout": "2h"}), "timeout", "1 h"),
            (json!({"argv": ["x"], "output": 70_000}), "output", "65536"),
            (json!({"argv": ["x"], "ok": [256]}), "ok", "256"),
            (
                json!({"argv": ["x"], "ok": [3], "giveUpOn": [3]}),
                "giveUpOn",
                "one thing",
            ),
            (json!({"argv": ["x"], "shell": true}), "shell", "there is no"),
        ] {
            let problem = Settings::read(&settings).unwrap_err();
            assert_eq!(problem.path.join("."), path, "{settings}: {problem}");
            assert!(problem.message.contains(says), "{settings}: {problem}");
        }
    }

    #[test]
    fn what_variables_hold_is_not_shown_whatever_they_are_called() {
        let settings = json!({"argv": ["x", "test"], "env": {"API_TOKEN": "CANARY", "DSN": "CANARY {{ type }}"}});
        let kind = crate::by_name("run").unwrap();
        let shown = (kind.shown)(&settings).to_string();
        let preview = (kind.preview)(&settings, &event("{}")).unwrap().to_string();
        assert!(!shown.contains("CANARY") && shown.contains("test"), "{shown}");
        assert!(!preview.contains("CANARY") && preview.contains("msg_1"), "{preview}");
    }
}
