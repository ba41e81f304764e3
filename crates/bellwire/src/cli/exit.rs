//! How a command ends: every failure has an exit code and a text for people.
//!
//! Called by every command; only [`super::run`] turns a [`Failure`] into an exit code. Nothing here prints.

use std::io;

use super::client::ApiError;

/// The table of exit codes, shown under `--help` and in the man page.
pub const EXIT_CODES: &str = "\
Exit codes:
  0    it worked
  1    the request failed: the server answered an error, or what was waited for did not succeed
  2    usage: an option or a file is wrong; nothing was sent
  3    the server could not be reached
  4    verification failed: a signature does not match
  130  interrupted";

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// An option, a file or standard input is not what it must be; nothing was sent.
    #[error("{0}")]
    Usage(String),
    /// A file is not what it must be: each line begins with its name and the place that is wrong.
    #[error("{0}")]
    Located(String),
    /// The server answered an error.
    #[error("{0}")]
    Api(#[from] ApiError),
    /// No server answered there.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        /// The server's base URL.
        url: String,
        /// What went wrong on the way.
        reason: String,
    },
    /// The request was accepted, but what was waited for did not succeed.
    #[error("{0}")]
    Failed(String),
    /// A signature does not match; the text says why.
    #[error("{0}")]
    Unverified(String),
    /// The user interrupted.
    #[error("interrupted")]
    Interrupted,
    /// Standard output could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// The process's exit code, as [`EXIT_CODES`] documents it.
    pub fn exit_code(&self) -> u8 {
        match self {
            // Whoever read our output has seen enough (`bellwire tail | head`).
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Api(_) | Self::Failed(_) | Self::Output(_) => 1,
            Self::Usage(_) | Self::Located(_) => 2,
            Self::Unreachable { .. } => 3,
            Self::Unverified(_) => 4,
            Self::Interrupted => 130,
        }
    }

    /// A usage failure from anything that can be written.
    pub fn usage(text: impl ToString) -> Self {
        Self::Usage(text.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api_error() -> ApiError {
        ApiError::decode(404, r#"{"code":"not_found","detail":"no such application"}"#)
    }

    #[test]
    fn every_failure_has_its_documented_code() {
        let unreachable = Failure::Unreachable {
            url: "http://h".into(),
            reason: "refused".into(),
        };
        let codes = [
            (Failure::from(api_error()), 1),
            (Failure::Failed("a delivery failed".into()), 1),
            (Failure::usage("bad"), 2),
            (Failure::Located("hooks.yaml:1:1: bad".into()), 2),
            (unreachable, 3),
            (Failure::Unverified("no".into()), 4),
            (Failure::Interrupted, 130),
        ];
        for (failure, code) in codes {
            assert_eq!(failure.exit_code(), code, "{failure}");
            assert!(EXIT_CODES.contains(&format!("\n  {code} ")), "{code} is not documented");
        }
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        assert_eq!(Failure::Output(io::ErrorKind::BrokenPipe.into()).exit_code(), 0);
        assert_eq!(Failure::Output(io::ErrorKind::StorageFull.into()).exit_code(), 1);
    }
}
