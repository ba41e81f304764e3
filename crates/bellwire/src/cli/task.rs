//! `bellwire task`: background tasks, and following one to its end.

use std::{io::IsTerminal as _, time::Duration};

use clap::{Subcommand, ValueEnum};
use serde_json::Value;

use super::{
    Session,
    client::{Answer, PageArgs, Query, path},
    exit::Failure,
    interrupt::Interrupt,
    out::{Column, cell},
    pretty,
};

/// How often a task is asked how far it has come.
const POLL: Duration = Duration::from_millis(500);

/// What to do with background tasks.
#[derive(Subcommand)]
pub enum TaskCommand {
    /// List the background tasks
    List {
        /// Only those that stand so
        #[arg(long)]
        status: Option<Status>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show a background task
    Get {
        /// Its id
        task: String,
        /// Stay until it has ended
        #[arg(long)]
        watch: bool,
    },
    /// Stop a background task; what it has done stays done
    Cancel {
        /// Its id
        task: String,
    },
}

/// A task's state to filter by.
#[derive(Clone, Copy, ValueEnum)]
pub enum Status {
    /// At work
    Running,
    /// Done
    Finished,
    /// It could not go on
    Failed,
}

const COLUMNS: &[Column] = &[
    Column {
        title: "ID",
        show: |item| cell(item, "id"),
    },
    Column {
        title: "TASK",
        show: |item| cell(item, "task"),
    },
    Column {
        title: "STATUS",
        show: |item| cell(item, "status"),
    },
    Column {
        title: "PROGRESS",
        show: progress,
    },
    Column {
        title: "UPDATED",
        show: |item| cell(item, "updatedAt"),
    },
];

impl TaskCommand {
    /// Does it.
    ///
    /// # Errors
    /// Those of the request; with `--watch`, that the task failed.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Session { client, out } = session;
        match self {
            Self::List { status, page } => {
                let status = status.and_then(|status| Some(status.to_possible_value()?.get_name().to_owned()));
                let query = Query::default().maybe("status", status);
                client.list(out, &path(&["background-task"]), query, &page, COLUMNS)
            }
            Self::Get { task, watch } => {
                let answer = client.get(&path(&["background-task", &task]), &Query::default())?;
                if watch {
                    follow(session, &answer, &mut Interrupt::listen()?)
                } else {
                    out.record(&answer.text)
                }
            }
            Self::Cancel { task } => cancel(session, &task),
        }
    }
}

fn cancel(session: &mut Session, task: &str) -> Result<(), Failure> {
    let answer = session
        .client
        .delete(&path(&["background-task", task]), &Query::default())?;
    if session.out.is_json() && !answer.text.is_empty() {
        return session.out.raw(&answer.text);
    }
    session
        .out
        .note(&format!("cancelled {task}; what it has done stays done"));
    Ok(())
}

/// The numbers a task reports, as they come: `seen 1200, done 400`.
fn progress(task: &Value) -> String {
    let members = task.get("data").and_then(Value::as_object).into_iter().flatten();
    let shown: Vec<String> = members
        .filter(|(_, value)| value.is_number())
        .map(|(name, value)| format!("{} {value}", pretty::line(name, 30)))
        .collect();
    shown.join(", ")
}

/// Shows how the task that `answer` describes comes on until it has ended. Ctrl-C leaves it running, and offers to
/// cancel it when somebody is there to answer.
///
/// # Errors
/// [`Failure::Failed`] when the task failed or was cancelled, [`Failure::Interrupted`] on Ctrl-C.
pub fn follow(session: &mut Session, answer: &Answer, interrupt: &mut Interrupt) -> Result<(), Failure> {
    let first: Value = answer.json()?;
    let id = cell(&first, "id");
    if id.is_empty() {
        return Err(Failure::Failed("the server's answer names no task".into()));
    }
    let at = path(&["background-task", &id]);
    let mut shown = String::new();
    loop {
        let answer = session.client.get(&at, &Query::default())?;
        let task: Value = answer.json()?;
        let line = format!(
            "{id}: {}",
            [cell(&task, "status"), progress(&task)].join(" ").trim_end()
        );
        if line != shown {
            session.out.note(&line);
            shown = line;
        }
        match cell(&task, "status").as_str() {
            "finished" => {
                return if session.out.is_json() {
                    session.out.raw(&answer.text)
                } else {
                    Ok(())
                };
            }
            "running" | "pending" | "queued" => {}
            ended => {
                let why =
                    ["error", "detail"].map(|name| task.get("data").map(|data| cell(data, name)).unwrap_or_default());
                let why = why
                    .into_iter()
                    .find(|text| !text.is_empty())
                    .map(|text| format!(": {text}"))
                    .unwrap_or_default();
                return Err(Failure::Failed(format!("the task {id} ended as {ended}{why}")));
            }
        }
        if interrupt.within(POLL) {
            return Err(interrupted(session, &id, interrupt));
        }
    }
}

/// What Ctrl-C does: the task goes on unless the user says otherwise.
fn interrupted(session: &mut Session, id: &str, interrupt: &Interrupt) -> Failure {
    if std::io::stdin().is_terminal() {
        interrupt.next_is_last();
        session.out.note("cancel the task as well? [y/N]");
        let mut answer = String::new();
        let asked = std::io::stdin().read_line(&mut answer);
        if asked.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
            return match cancel(session, id) {
                Ok(()) => Failure::Interrupted,
                Err(failure) => failure,
            };
        }
    }
    session
        .out
        .note(&format!("{id} goes on; stop it with: bellwire task cancel {id}"));
    Failure::Interrupted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{Captured, Scripted};

    const STARTED: &str = r#"{"id":"qtask_1","status":"running","task":"endpoint.recover"}"#;
    const HALF: &str = r#"{"id":"qtask_1","status":"running","data":{"done":40,"seen":100}}"#;

    fn started() -> Answer {
        Answer {
            status: 202,
            text: STARTED.into(),
        }
    }

    #[test]
    fn a_task_is_followed_to_its_end() {
        let done = r#"{"id":"qtask_1","status":"finished","data":{"done":90,"seen":200}}"#;
        let server = Scripted::answering(vec![(200, HALF), (200, HALF), (200, done)]);
        let captured = Captured::default();
        let mut session = server.session(&captured, false);
        follow(&mut session, &started(), &mut Interrupt::scripted(&[false, false])).unwrap();
        assert_eq!(
            captured.notes(),
            "qtask_1: running done 40, seen 100\nqtask_1: finished done 90, seen 200\n"
        );
        assert_eq!(server.seen()[0].line, "GET /api/v1/background-task/qtask_1");
    }

    #[test]
    fn a_failed_task_fails_the_command_with_its_reason() {
        let failed = r#"{"id":"qtask_1","status":"failed","data":{"error":"the endpoint was deleted"}}"#;
        let server = Scripted::answering(vec![(200, failed)]);
        let mut session = server.session(&Captured::default(), false);
        let failure = follow(&mut session, &started(), &mut Interrupt::scripted(&[])).unwrap_err();
        assert_eq!(failure.exit_code(), 1);
        assert_eq!(
            failure.to_string(),
            "the task qtask_1 ended as failed: the endpoint was deleted"
        );
    }

    #[test]
    fn cancelling_is_a_delete() {
        let server = Scripted::answering(vec![(204, "")]);
        let captured = Captured::default();
        TaskCommand::Cancel { task: "qtask_1".into() }
            .run(&mut server.session(&captured, false))
            .unwrap();
        assert_eq!(server.seen()[0].line, "DELETE /api/v1/background-task/qtask_1");
        assert!(captured.notes().contains("cancelled qtask_1"));
    }
}
