//! `bellwire app`: applications.

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Map, Value, json};

use super::{
    Session,
    client::{PageArgs, Query, path},
    exit::Failure,
    input,
    out::{Column, cell},
    when::{self, When},
};

/// What to do with applications.
#[derive(Subcommand)]
pub enum AppCommand {
    /// List the applications
    List(PageArgs),
    /// Show an application
    Get {
        /// Its id or uid
        app: String,
    },
    /// Create an application
    Create {
        /// Its name
        name: String,
        /// Answer the existing one when the uid is taken
        #[arg(long)]
        if_missing: bool,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change an application: only what is named
    Update {
        /// Its id or uid
        app: String,
        /// Its new name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        fields: Fields,
    },
    /// Delete an application with its endpoints and messages
    Delete {
        /// Its id or uid
        app: String,
    },
    /// Count the attempts of an application over time
    Stats(StatsArgs),
    /// Make a link with which the application's owner manages its endpoints
    Portal {
        /// Its id or uid
        app: String,
    },
}

/// What an application has besides its name.
#[derive(Args, Default)]
pub struct Fields {
    /// Your own id for it, usable wherever its id is
    #[arg(long)]
    uid: Option<String>,
    /// Messages a second at most, over all its endpoints
    #[arg(long, value_name = "PER_SECOND")]
    rate_limit: Option<u16>,
    /// Messages a second that may be published to it, more are refused; 0 for the server's setting
    #[arg(long, value_name = "PER_SECOND")]
    publish_rate: Option<u32>,
    /// A note of yours; repeat for more
    #[arg(long, value_name = "KEY=VALUE", value_parser = input::pair)]
    metadata: Vec<(String, String)>,
    /// Further fields as a JSON object: the text, @file, or - for standard input
    #[arg(long, value_name = "JSON")]
    body: Option<String>,
}

/// `app stats`.
#[derive(Args)]
pub struct StatsArgs {
    /// Its id or uid
    app: String,
    /// From when: a span back from now (2h, 7d) or RFC 3339
    #[arg(long, value_name = "WHEN")]
    since: Option<When>,
    /// Until when
    #[arg(long, value_name = "WHEN")]
    until: Option<When>,
    /// How long one step is
    #[arg(long)]
    period: Option<Period>,
    /// Only these event types
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    event_type: Vec<String>,
}

/// The step of a statistic.
#[derive(Clone, Copy, ValueEnum)]
enum Period {
    /// Five minutes.
    #[value(name = "5m")]
    FiveMinutes,
    /// An hour.
    #[value(name = "1h")]
    OneHour,
    /// A day.
    #[value(name = "1d")]
    OneDay,
}

impl Fields {
    fn body(&self, name: Option<&str>) -> Result<Map<String, Value>, Failure> {
        let mut body = input::object(self.body.as_deref())?;
        if let Some(name) = name {
            body.insert("name".into(), json!(name));
        }
        if let Some(uid) = &self.uid {
            body.insert("uid".into(), json!(uid));
        }
        if let Some(limit) = self.rate_limit {
            body.insert("throttleRate".into(), json!(limit));
        }
        if let Some(rate) = self.publish_rate {
            // None a second would be nothing at all: 0 takes the application's own rate away.
            body.insert("publishRate".into(), if rate == 0 { Value::Null } else { json!(rate) });
        }
        if !self.metadata.is_empty() {
            body.insert("metadata".into(), input::pairs_object(&self.metadata));
        }
        Ok(body)
    }
}

const COLUMNS: &[Column] = &[
    Column {
        title: "ID",
        show: |item| cell(item, "id"),
    },
    Column {
        title: "UID",
        show: |item| cell(item, "uid"),
    },
    Column {
        title: "NAME",
        show: |item| cell(item, "name"),
    },
    Column {
        title: "RATE LIMIT",
        show: |item| cell(item, "throttleRate"),
    },
    Column {
        title: "CREATED",
        show: |item| cell(item, "createdAt"),
    },
];

impl AppCommand {
    /// Does it.
    ///
    /// # Errors
    /// Those of the request.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Session { client, out } = session;
        let none = Query::default();
        match self {
            Self::List(page) => client.list(out, &path(&["app"]), none, &page, COLUMNS),
            Self::Get { app } => out.record(&client.get(&path(&["app", &app]), &none)?.text),
            Self::Create {
                name,
                if_missing,
                fields,
            } => {
                let query = none.maybe("get_if_exists", if_missing.then_some(true));
                let path = query.after(&path(&["app"]));
                let answer = client.write(Method::POST, &path, &fields.body(Some(&name))?)?;
                if answer.status == 200 {
                    out.note("it existed already and was not changed");
                }
                out.record(&answer.text)
            }
            Self::Update { app, name, fields } => {
                let body = fields.body(name.as_deref())?;
                if body.is_empty() {
                    return Err(Failure::usage("nothing to change; name at least one option"));
                }
                out.record(&client.write(Method::PATCH, &path(&["app", &app]), &body)?.text)
            }
            Self::Delete { app } => {
                client.delete(&path(&["app", &app]), &none)?;
                out.note(&format!("deleted {app}"));
                Ok(())
            }
            Self::Stats(args) => args.run(session),
            Self::Portal { app } => {
                let answer = client.write(Method::POST, &path(&["auth", "app-portal-access", &app]), &json!({}))?;
                out.record(&answer.text)
            }
        }
    }
}

impl StatsArgs {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        let now = when::now();
        let period = self.period.map(|period| match period {
            Period::FiveMinutes => "FiveMinutes",
            Period::OneHour => "OneHour",
            Period::OneDay => "OneDay",
        });
        let query = Query::default()
            .maybe("startDate", self.since.map(|since| since.at(now)))
            .maybe("endDate", self.until.map(|until| until.at(now)))
            .maybe("period", period)
            .list("event_types", &self.event_type);
        let answer = session
            .client
            .get(&path(&["stats", "app", &self.app, "attempt"]), &query)?;
        if session.out.is_json() {
            return session.out.raw(&answer.text);
        }
        let stats: Value = answer.json()?;
        session.out.line(&totals(&stats))
    }
}

/// One line: the sums over all steps and the range they cover.
fn totals(stats: &Value) -> String {
    let sum = |name: &str| -> i64 {
        let counts = stats.pointer(&format!("/data/{name}")).and_then(Value::as_array);
        counts
            .map(|counts| counts.iter().filter_map(Value::as_i64).sum())
            .unwrap_or(0)
    };
    format!(
        "{} succeeded, {} failed, {} cancelled; from {} to {}",
        sum("successCount"),
        sum("failureCount"),
        sum("canceledCount"),
        cell(stats, "startDate"),
        cell(stats, "endDate"),
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{
        Cli, Command,
        testing::{Captured, Scripted},
    };

    fn parsed(line: &[&str]) -> AppCommand {
        match Cli::try_parse_from([&["bellwire", "app"], line].concat())
            .unwrap()
            .command
        {
            Command::App(command) => command,
            _ => unreachable!(),
        }
    }

    #[test]
    fn options_become_fields_and_win_over_the_body() {
        let server = Scripted::answering(vec![(200, r#"{"id":"app_1","uid":"u","name":"N"}"#)]);
        let captured = Captured::default();
        let line = [
            "create",
            "N",
            "--if-missing",
            "--uid",
            "u",
            "--metadata",
            "a=1",
            "--body",
            r#"{"name":"x","extra":true}"#,
        ];
        parsed(&line).run(&mut server.session(&captured, false)).unwrap();
        assert_eq!(captured.text(), "id    app_1\nuid   u\nname  N\n");
        let seen = server.seen().remove(0);
        assert_eq!(seen.line, "POST /api/v1/app?get_if_exists=true");
        assert_eq!(seen.body, r#"{"extra":true,"metadata":{"a":"1"},"name":"N","uid":"u"}"#);
    }

    #[test]
    fn an_update_of_nothing_sends_nothing() {
        let captured = Captured::default();
        let mut session = crate::cli::testing::session("http://127.0.0.1:9", &captured, false);
        assert_eq!(parsed(&["update", "a"]).run(&mut session).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn stats_are_summed_over_the_range() {
        let answer = r#"{"startDate":"2026-01-01T00:00:00Z","endDate":"2026-01-02T00:00:00Z","period":"OneHour",
                         "data":{"successCount":[1,2],"failureCount":[0,1],"canceledCount":null}}"#;
        let server = Scripted::answering(vec![(200, answer)]);
        let captured = Captured::default();
        let line = [
            "stats",
            "a",
            "--since",
            "2026-01-01T00:00:00Z",
            "--period",
            "1h",
            "--event-type",
            "x.y,z",
        ];
        parsed(&line).run(&mut server.session(&captured, false)).unwrap();
        let expected = "3 succeeded, 1 failed, 0 cancelled; from 2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z\n";
        assert_eq!(captured.text(), expected);
        let line = server.seen().remove(0).line;
        assert!(line.contains("startDate=2026-01-01T00%3A00%3A00"), "{line}");
        assert!(line.ends_with("&period=OneHour&event_types=x.y%2Cz"), "{line}");
    }
}
