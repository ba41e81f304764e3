//! Running other programs: shown, streamed, and with the answer kept.
//!
//! Nothing here knows what is being run; the parts of the test suite and the installers call it.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, ensure};

/// What a streamed program left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
}

/// The command as a person would type it: the program without its folder, arguments with spaces quoted.
pub(crate) fn show(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words = vec![
        program
            .file_name()
            .unwrap_or(program.as_os_str())
            .to_string_lossy()
            .into_owned(),
    ];
    for arg in command.get_args() {
        let arg = arg.to_string_lossy();
        words.push(if arg.is_empty() || arg.contains(' ') {
            format!("'{arg}'")
        } else {
            arg.into_owned()
        });
    }
    words.join(" ")
}

/// Says which command runs next.
pub(crate) fn announce(command: &Command) {
    println!("$ {}", show(command));
    // A pipe (CI's log) would otherwise show the program's own output first.
    drop(std::io::stdout().flush());
}

/// Runs a command with its output on the terminal.
///
/// # Errors
/// When it does not start, or ends with anything but success.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    announce(command);
    let status = command
        .status()
        .with_context(|| format!("could not start `{}`", show(command)))?;
    ensure!(status.success(), "`{}` ended with {status}", show(command));
    Ok(())
}

/// Runs a command, passing its stdout on line by line while keeping it. Stderr goes straight to the terminal.
///
/// # Errors
/// When it does not start or cannot be read; a failing exit status is the caller's to judge.
pub(crate) fn stream(command: &mut Command) -> Result<Finished> {
    announce(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("could not start `{}`", show(command)))?;
    let mut stdout = String::new();
    if let Some(pipe) = child.stdout.take() {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader
            .read_until(b'\n', &mut line)
            .context("could not read a program's output")?
            > 0
        {
            let text = String::from_utf8_lossy(&line);
            print!("{text}");
            stdout.push_str(&text);
            line.clear();
        }
    }
    let status = child.wait().context("could not wait for a program")?;
    Ok(Finished { status, stdout })
}

/// Runs a command quietly and answers its stdout.
///
/// # Errors
/// When it does not start or fails; the message carries its stderr.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("could not start `{}`", show(command)))?;
    ensure!(
        output.status.success(),
        "`{}` ended with {}: {}",
        show(command),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    String::from_utf8(output.stdout).with_context(|| format!("`{}` did not print UTF-8", show(command)))
}

/// Whether the command runs and succeeds; prints nothing.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// `cargo`, the one that runs us, in the folder `root`.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    // What `cargo run` has set for us. Build scripts that watch these (ring's does) would see them change between a
    // build of ours and one from the command line, and compile everything above them again.
    for (name, _) in std::env::vars_os() {
        if is_about_us(&name.to_string_lossy()) {
            command.env_remove(name);
        }
    }
    command
}

/// Whether cargo sets the variable to tell a program about its own package.
fn is_about_us(variable: &str) -> bool {
    [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_NAME",
        "CARGO_PRIMARY_PACKAGE",
    ]
    .iter()
    .any(|prefix| variable.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streamed_program_keeps_its_output_and_its_failure() {
        let done = stream(Command::new("sh").args(["-c", "echo one; echo two; exit 3"])).expect("sh runs");
        assert_eq!(done.stdout, "one\ntwo\n");
        assert_eq!(done.status.code(), Some(3));
    }

    #[test]
    fn a_failing_program_is_an_error_that_carries_its_stderr() {
        let error = capture(Command::new("sh").args(["-c", "echo broken >&2; exit 1"])).expect_err("it fails");
        assert!(error.to_string().contains("broken"), "{error}");
    }

    #[test]
    fn an_inner_cargo_is_not_told_about_this_package() {
        let cargo = cargo(Path::new("."));
        let removed = |name: &str| cargo.get_envs().any(|(key, value)| key == name && value.is_none());
        assert!(removed("CARGO_PKG_NAME") && removed("CARGO_MANIFEST_DIR"));
        assert!(
            !is_about_us("CARGO_TARGET_DIR") && !is_about_us("CARGO_PROFILE_DEV_DEBUG") && !is_about_us("CARGO_HOME")
        );
    }

    #[test]
    fn a_program_that_does_not_exist_does_not_succeed() {
        assert!(!succeeds(&mut Command::new("bellwire-no-such-program")));
    }
}
