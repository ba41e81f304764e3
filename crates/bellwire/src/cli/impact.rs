//! `bellwire impact`: what breaks if this is rotated, disabled or deleted. Nothing is changed.

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::{
    Session,
    client::{Query, path, source_path},
    exit::Failure,
    out::{Tone, cell},
    pretty,
};

/// `impact`.
#[derive(Args)]
pub struct ImpactArgs {
    /// What kind of thing it is
    kind: Kind,
    /// Its id, uid or name
    name: String,
    /// What would be done
    #[arg(long, value_name = "VERB", default_value = "delete")]
    verb: Verb,
    /// The application that owns the endpoint
    #[arg(long, env = "BELLWIRE_APP", required_if_eq("kind", "endpoint"))]
    app: Option<String>,
}

/// What there is an answer for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// An endpoint.
    Endpoint,
    /// An application.
    App,
    /// An event type.
    EventType,
    /// A source.
    Source,
    /// A token.
    Token,
}

/// What would be done.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Verb {
    /// A new secret, URL or token in the place of the old one.
    Rotate,
    /// Switched off.
    Disable,
    /// Removed.
    Delete,
}

impl ImpactArgs {
    /// Asks and shows.
    ///
    /// # Errors
    /// Those of the request.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Session { client, out } = session;
        let verb = match self.verb {
            Verb::Rotate => "rotate",
            Verb::Disable => "disable",
            Verb::Delete => "delete",
        };
        let query = Query::default().with("verb", verb);
        let answer = client.get(&self.path(), &query)?;
        if out.is_json() {
            return out.raw(&answer.text);
        }
        let found: Value = answer.json()?;
        let breaks = found["breaks"].as_array().map(Vec::as_slice).unwrap_or_default();
        if breaks.is_empty() {
            out.line("nothing breaks")?;
        }
        for one in breaks {
            let kind = out.tint(Tone::Warn, &format!("{:<10}", cell(one, "kind")));
            let words = one["words"].as_str().unwrap_or_default();
            let name = pretty::line(one["name"].as_str().unwrap_or_default(), 80);
            let of = if name.is_empty() {
                String::new()
            } else {
                format!("{name}: ")
            };
            out.line(&format!("{kind}  {of}{}", pretty::line(words, 1_000)))?;
        }
        match found["undo"].as_str() {
            Some(undo) => out.line(&format!("to take it back: {}", pretty::line(undo, 400))),
            None if breaks.is_empty() => Ok(()),
            None => out.line("it cannot be taken back"),
        }
    }

    fn path(&self) -> String {
        let app = self.app.as_deref().unwrap_or_default();
        match self.kind {
            Kind::Endpoint => path(&["app", app, "endpoint", &self.name, "impact"]),
            Kind::App => path(&["app", &self.name, "impact"]),
            Kind::EventType => path(&["event-type", &self.name, "impact"]),
            Kind::Source => source_path(&[&self.name, "impact"]),
            Kind::Token => path(&["token", &self.name, "impact"]),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::{
        Cli, Command,
        testing::{Captured, Scripted},
    };

    fn run(line: &[&str], answer: &str) -> (String, String) {
        let Command::Impact(args) = Cli::try_parse_from([&["bellwire", "impact"], line].concat())
            .unwrap()
            .command
        else {
            unreachable!()
        };
        let server = Scripted::answering(vec![(200, answer)]);
        let captured = Captured::default();
        args.run(&mut server.session(&captured, false)).unwrap();
        (captured.text(), server.seen()[0].line.clone())
    }

    #[test]
    fn what_breaks_is_listed_and_how_to_take_it_back() {
        let answer = r#"{"verb":"rotate","pending":0,"harmless":false,"undo":"rotate again",
            "breaks":[{"kind":"receiver","id":"ep_1","name":"https://a/","words":"refuses everything"}]}"#;
        let (text, asked) = run(&["endpoint", "ep_1", "--app", "acme", "--verb", "rotate"], answer);
        assert_eq!(
            text,
            "receiver    https://a/: refuses everything\nto take it back: rotate again\n"
        );
        assert_eq!(asked, "GET /api/v1/app/acme/endpoint/ep_1/impact?verb=rotate");
    }

    #[test]
    fn each_kind_of_thing_is_asked_where_it_lives() {
        let nothing = r#"{"breaks":[],"undo":null}"#;
        for (line, expected) in [
            (&["app", "acme"][..], "/api/v1/app/acme/impact"),
            (&["event-type", "a.b"], "/api/v1/event-type/a.b/impact"),
            (&["source", "github"], "/ingest/api/v1/source/github/impact"),
            (&["token", "tok_1"], "/api/v1/token/tok_1/impact"),
        ] {
            let (text, asked) = run(line, nothing);
            assert_eq!(asked, format!("GET {expected}?verb=delete"));
            assert_eq!(text, "nothing breaks\n");
        }
        assert!(Cli::try_parse_from(["bellwire", "impact", "endpoint", "ep_1"]).is_err());
    }
}
