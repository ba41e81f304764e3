//! `bellwire hooks apply`.

use std::path::{Path, PathBuf};

use bellwire_hooks::{Finding, Line};
use clap::Args;
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::counted;
use crate::{
    cli::{
        client::{Client, Query},
        exit::Failure,
        out::Out,
    },
    serve::hooks::{PATH, located},
};

/// `hooks apply`.
#[derive(Args)]
pub struct ApplyArgs {
    /// The hooks file; it must be the one that the server is configured with
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
}

/// What the server says about its file.
#[derive(Deserialize)]
struct Standing {
    file: PathBuf,
}

/// What the server did.
#[derive(Deserialize)]
struct Done {
    file: PathBuf,
    #[serde(default)]
    applied: bool,
    #[serde(default)]
    hooks: usize,
    changes: Vec<Line>,
    findings: Vec<Finding>,
    error: Option<String>,
}

impl ApplyArgs {
    /// Has the server read its file.
    ///
    /// # Errors
    /// When the server has no hooks file or another one, and a usage failure when the file cannot be used.
    pub(super) fn run(self, client: &Client, out: &mut Out) -> Result<(), Failure> {
        if let Some(file) = &self.file {
            let standing: Standing = client.get(PATH, &Query::default()).map_err(explained)?.json()?;
            if !is_same(file, &standing.file) {
                return Err(Failure::Usage(format!(
                    "the server at {} reads {}, not {}; its setting `hooks` names the file",
                    client.base(),
                    standing.file.display(),
                    file.display()
                )));
            }
        }
        let answer = client
            .write(Method::POST, PATH, &json!({ "dryRun": self.dry_run }))
            .map_err(explained)?;
        let done: Done = answer.json()?;
        if out.is_json() {
            out.raw(&answer.text)?;
        } else {
            for line in &done.changes {
                out.line(&line.to_string())?;
            }
        }
        if !done.findings.is_empty() {
            return Err(Failure::Located(located(&done.file, &done.findings)));
        }
        if let Some(error) = done.error {
            return Err(Failure::Failed(error));
        }
        let changes = match done.changes.len() {
            0 => "nothing to change".to_owned(),
            count => counted(count, "change"),
        };
        let how = if done.applied {
            "in force"
        } else {
            "checked; nothing was changed"
        };
        out.note(&format!(
            "{}: {changes}, {}; {how}",
            done.file.display(),
            counted(done.hooks, "hook")
        ));
        Ok(())
    }
}

fn explained(failure: Failure) -> Failure {
    match failure {
        Failure::Api(error) if error.status == 404 => Failure::Failed(
            "this server has no hooks file; name one with the setting `hooks` (BELLWIRE_HOOKS) and start it again"
                .to_owned(),
        ),
        other => other,
    }
}

/// Whether both lead to one file.
fn is_same(one: &Path, other: &Path) -> bool {
    let found = |path: &Path| {
        path.canonicalize()
            .or_else(|_| std::path::absolute(path))
            .unwrap_or_else(|_| path.to_owned())
    };
    found(one) == found(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{Captured, Scripted};

    fn applied(args: ApplyArgs, script: Vec<(u16, &str)>) -> (Result<(), Failure>, Captured, Vec<String>) {
        let server = Scripted::answering(script);
        let captured = Captured::default();
        let mut session = server.session(&captured, false);
        let done = args.run(&session.client, &mut session.out);
        let seen = server
            .seen()
            .into_iter()
            .map(|seen| format!("{} {}", seen.line, seen.body))
            .collect();
        (done, captured, seen)
    }

    #[test]
    fn what_would_change_is_told() {
        let answer = r#"{"file":"/etc/hooks.yaml","applied":false,"hooks":1,"changes":[{"what":"added","text":"source a (POST /in/a)"}],"findings":[]}"#;
        let args = ApplyArgs {
            file: None,
            dry_run: true,
        };
        let (done, captured, seen) = applied(args, vec![(200, answer)]);
        done.unwrap();
        assert_eq!(captured.text(), "+ source a (POST /in/a)\n");
        assert_eq!(
            captured.notes(),
            "/etc/hooks.yaml: 1 change, 1 hook; checked; nothing was changed\n"
        );
        assert_eq!(seen, [r#"POST /api/v1/admin/hooks {"dryRun":true}"#]);
    }

    #[test]
    fn another_file_than_the_servers_is_refused() {
        let args = ApplyArgs {
            file: Some("/tmp/other.yaml".into()),
            dry_run: false,
        };
        let (done, _, seen) = applied(args, vec![(200, r#"{"file":"/etc/hooks.yaml"}"#)]);
        let failure = done.unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert!(
            failure
                .to_string()
                .contains("reads /etc/hooks.yaml, not /tmp/other.yaml"),
            "{failure}"
        );
        assert_eq!(seen, ["GET /api/v1/admin/hooks "]);
    }

    #[test]
    fn findings_of_the_server_are_told_with_their_place() {
        let answer = r#"{"file":"/h.yaml","applied":false,"changes":[],"findings":[{"line":3,"column":7,"path":"hooks.a","what":"bad"}]}"#;
        let (done, ..) = applied(
            ApplyArgs {
                file: None,
                dry_run: false,
            },
            vec![(200, answer)],
        );
        let failure = done.unwrap_err();
        assert_eq!(
            (failure.exit_code(), failure.to_string().as_str()),
            (2, "/h.yaml:3:7: hooks.a: bad")
        );
    }

    #[test]
    fn a_server_without_a_hooks_file_says_how_to_have_one() {
        let answer = r#"{"code":"not_found","detail":"no such path"}"#;
        let (done, ..) = applied(
            ApplyArgs {
                file: None,
                dry_run: false,
            },
            vec![(404, answer)],
        );
        assert!(done.unwrap_err().to_string().contains("BELLWIRE_HOOKS"));
    }
}
