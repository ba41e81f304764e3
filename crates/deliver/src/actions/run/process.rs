//! A process and its children, from their start to their end.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use bellwire_core::attempt::Failure;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, ChildStdin},
    time::{Instant, sleep_until, timeout},
};

use super::{
    kin::{Kin, MARK},
    output::Output,
    user::Identity,
};

/// How long a command whose time is over has between being asked to end (SIGTERM) and being made to (SIGKILL).
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// How long output is waited for that a child of a command which has ended may still write.
const DRAIN: Duration = Duration::from_millis(250);

/// What is run.
#[derive(Debug)]
pub(super) struct Command {
    pub program: PathBuf,
    pub arguments: Vec<String>,
    /// All of its variables: it sees no others.
    pub env: BTreeMap<String, String>,
    pub cwd: Option<PathBuf>,
    pub user: Option<Identity>,
    pub stdin: Vec<u8>,
    pub output_max: usize,
}

/// How it ended.
#[derive(Debug)]
pub(super) enum Ended {
    Exited(ExitStatus),
    /// It was killed, and so was all it had started.
    TimedOut,
}

/// Runs a command until it ends or its time is over. Whoever drops this kills it with its children. Answers the last of its output,
/// and the output itself while somebody may still write to it.
pub(super) async fn run(command: Command, time: Duration) -> Result<(Ended, Vec<u8>, Option<Output>), Failure> {
    let deadline = Instant::now() + time;
    let program = command.program.display().to_string();
    let failed = |error: io::Error| Failure {
        reason: match error.kind() {
            // It has a bound of its own for each argument and variable, and one for all together (execve(2), E2BIG).
            io::ErrorKind::ArgumentListTooLong => "command_too_long",
            _ => "command_failed",
        },
        detail: format!("`{program}` cannot be run: {error}"),
    };
    if let Some(folder) = command.cwd.as_ref().filter(|folder| !folder.is_dir()) {
        let why = format!("its working directory {} is no folder", folder.display());
        return Err(failed(io::Error::other(why)));
    }
    let Started {
        mut child,
        mut input,
        mut output,
        mut group,
    } = start(command).map_err(failed)?;
    let ended = loop {
        tokio::select! {
            status = child.wait() => break Ended::Exited(status.map_err(failed)?),
            () = input.next(), if input.is_open() => {}
            () = output.next(), if output.is_open() => {}
            () = sleep_until(deadline) => break Ended::TimedOut,
        }
    };
    match ended {
        // What it left running on purpose goes on.
        Ended::Exited(_) => group.has_ended(),
        Ended::TimedOut => {
            group.signal(Signal::SIGTERM);
            let _ = timeout(GRACE, async { tokio::join!(child.wait(), output.finish()) }).await;
            group.signal(Signal::SIGKILL);
            let _ = child.wait().await;
            group.has_ended();
        }
    }
    let _ = timeout(DRAIN, output.finish()).await;
    let tail = output.take_tail();
    Ok((ended, tail, output.is_open().then_some(output)))
}

struct Started {
    child: Child,
    input: Input,
    output: Output,
    group: Group,
}

fn start(command: Command) -> io::Result<Started> {
    let (reader, writer) = io::pipe()?;
    let output = Output::new(reader, command.output_max)?;
    let mark = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
    let mut process = tokio::process::Command::new(&command.program);
    process
        .args(&command.arguments)
        .env_clear()
        .envs(&command.env)
        .env(MARK, &mark)
        .stdin(if command.stdin.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .kill_on_drop(true);
    if let Some(folder) = &command.cwd {
        process.current_dir(folder);
    }
    if let Some(user) = &command.user {
        process.uid(user.uid).gid(user.gid);
    }
    let mut child = process.spawn()?;
    let group = Group::of(&child, &mark);
    // It holds our ends of the pipes, which would never be at their end.
    drop(process);
    let input = Input {
        pipe: child.stdin.take(),
        bytes: command.stdin,
        written: 0,
    };
    Ok(Started {
        child,
        input,
        output,
        group,
    })
}

/// What a command reads, written as fast as it reads. One that stops reading is let be.
struct Input {
    pipe: Option<ChildStdin>,
    bytes: Vec<u8>,
    written: usize,
}

impl Input {
    fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    /// Writes some. Nothing is written twice when it is dropped while it waits.
    async fn next(&mut self) {
        let Some(pipe) = &mut self.pipe else { return };
        match pipe.write(&self.bytes[self.written..]).await {
            Ok(more) if more > 0 => self.written += more,
            _ => self.written = self.bytes.len(),
        }
        if self.written == self.bytes.len() {
            self.pipe = None;
        }
    }
}

/// A command and all it started, as a process group and as a tree.
struct Group(Option<(Pid, Kin)>);

impl Group {
    /// The group that the command was put into: it has its number.
    fn of(child: &Child, mark: &str) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        Self(id.map(|id| (id, Kin::new(id, mark))))
    }

    fn signal(&self, signal: Signal) {
        if let Some((group, kin)) = &self.0 {
            // Before the command is gone: nobody knows its children's children by it afterwards.
            let members = kin.members();
            // An error means that nobody is left.
            let _ = killpg(*group, signal);
            kin.signal(members, signal);
        }
    }

    /// The command has ended: its number may be given to another.
    fn has_ended(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}
