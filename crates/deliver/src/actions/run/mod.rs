//! The kind `run`: a command with arguments, in a process group of its own, killed with all its children when its time is over.
//!
//! Never a shell: what a message says is an argument, a variable or input. What the command writes is read to its end, and the
//! last of it kept. Deliberately absent: limits of memory and CPU, which the service manager sets for the server and all it
//! starts.

mod kin;
mod output;
mod process;
mod user;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bellwire_action::{
    Compiled as _, Problem,
    run::{Exit, Settings, TIMEOUT},
};
use bellwire_core::{attempt::Failure, endpoint::Endpoint, time::format_span};
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::Semaphore;

use self::{
    output::Output,
    process::{Command, Ended},
};
use super::{
    dispatch::ActionParts,
    executor::{Effect, Executor, Task, Undone, unusable},
};

/// Where commands are looked for, when the server was not told.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// So many commands of one endpoint may leave something running whose output is read, and thrown away, until it ends. What further
/// ones leave running has nobody to write to.
const LEFT_MAX: usize = 64;

/// Runs commands.
struct RunAction {
    settings: Settings,
    /// How long one may take.
    timeout: Duration,
    /// Where they work. Absolute: they are looked for from somewhere else than they start in.
    cwd: Option<PathBuf>,
    /// See [`LEFT_MAX`].
    left: Arc<Semaphore>,
    parts: Arc<ActionParts>,
}

pub(super) fn make(
    parts: &Arc<ActionParts>,
    endpoint: &Endpoint,
    settings: &Value,
) -> Result<Arc<dyn Executor>, Failure> {
    let settings = Settings::read(settings).map_err(|problem| unusable(&problem))?;
    let cwd = settings.cwd.as_ref().map(std::path::absolute).transpose();
    Ok(Arc::new(RunAction {
        cwd: cwd.map_err(|error| unusable(&Problem::at(["cwd"], error.to_string())))?,
        timeout: settings.timeout.or(endpoint.timeout).unwrap_or(TIMEOUT),
        settings,
        left: Arc::new(Semaphore::new(LEFT_MAX)),
        parts: Arc::clone(parts),
    }))
}

#[async_trait]
impl Executor for RunAction {
    async fn carry_out(&self, task: &Task<'_>) -> Result<Effect, Undone> {
        let plan = self.settings.plan(&task.event)?;
        let mut env = self.parts.variables.clone();
        env.entry("PATH".to_owned()).or_insert_with(|| PATH.to_owned());
        let user = match &self.settings.user {
            None => None,
            Some(user) => Some(user::find(user.clone()).await?),
        };
        if let Some(user) = &user {
            // The server's own is not the user's.
            env.remove("HOME");
            env.extend(user.home.clone().map(|home| ("HOME".to_owned(), home)));
        }
        env.extend(plan.env);
        let command = Command {
            program: find(self.settings.command(), &env, self.cwd.as_deref())?,
            arguments: plan.argv.into_iter().skip(1).collect(),
            env,
            cwd: self.cwd.clone(),
            user,
            stdin: plan.stdin,
            output_max: self.settings.output,
        };
        task.begin()?;
        let (ended, output, open) = process::run(command, task.timeout).await?;
        if let Some(open) = open {
            self.read_on(open);
        }
        let failure = match ended {
            Ended::Exited(status) => self.judge(status),
            Ended::TimedOut => Some(Failure {
                reason: "timeout",
                detail: format!(
                    "the command did not end within {}; it was killed with its children. Raise the action's `timeout` if \
                     it may take longer",
                    format_span(task.timeout)
                ),
            }),
        };
        let response = match &failure {
            // Its own words say more than ours; both are shown.
            Some(failure) => Bytes::from([failure.detail.as_bytes(), b"\n", &output].concat()),
            None => Bytes::from(output),
        };
        Ok(Effect {
            failure,
            response,
            ..Effect::default()
        })
    }

    fn timeout(&self, _endpoint: Duration) -> Duration {
        self.timeout
    }

    fn grace(&self) -> Duration {
        process::GRACE * 2
    }
}

impl RunAction {
    /// Reads what somebody writes whom a command has left running: it would die of writing to nobody (SIGPIPE).
    fn read_on(&self, mut output: Output) {
        if let Ok(permit) = Arc::clone(&self.left).try_acquire_owned() {
            self.parts.tasks.spawn(async move {
                output.finish().await;
                drop(permit);
            });
        }
    }

    fn judge(&self, status: ExitStatus) -> Option<Failure> {
        let Some(code) = status.code() else {
            let signal = status.signal().unwrap_or_default();
            return Some(Failure {
                reason: "killed_by_signal",
                detail: format!("the command was killed by signal {signal}"),
            });
        };
        match self.settings.exit(code) {
            Exit::Ok => None,
            Exit::Retry => Some(Failure {
                reason: "exit_status",
                detail: format!("the command ended with exit status {code}"),
            }),
            Exit::GiveUp => Some(Failure {
                reason: "exit_given_up",
                detail: format!("the command ended with exit status {code}, after which it is not tried again"),
            }),
        }
    }
}

/// Where the command is: a path begins in the working directory, a name is looked for in `PATH`.
fn find(name: &str, env: &BTreeMap<String, String>, cwd: Option<&Path>) -> Result<PathBuf, Failure> {
    let runs = |path: &PathBuf| fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0);
    if name.contains('/') {
        let path = cwd.map_or_else(|| PathBuf::from(name), |cwd| cwd.join(name));
        return match fs::metadata(&path) {
            Ok(found) if found.is_file() => Ok(path),
            Ok(_) => Err(not_found(name, "it is no file")),
            Err(error) => Err(not_found(name, &error.to_string())),
        };
    }
    let path = env.get("PATH").map(OsStr::new).unwrap_or_default();
    let found = std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(runs);
    found.ok_or_else(|| not_found(name, &format!("it is in no folder of {}", path.display())))
}

fn not_found(name: &str, why: &str) -> Failure {
    Failure {
        reason: "command_not_found",
        detail: format!("`{name}` cannot be run: {why}"),
    }
}
