//! Whether a server wrote something of a delivery that was no longer its own: read from the tables, when all is over.
//!
//! Each attempt is written once, by whoever owned the delivery, with its number. A server that was taken over from and yet had its
//! settlement accepted leaves a second attempt of the same number, or a second success.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

/// So many are told in words.
const TOLD: usize = 8;

/// What there is to say of each delivery that was written by two.
///
/// # Errors
/// When the database cannot be asked.
pub(crate) fn find(programs: &Path, folder: &Path, schema: &str) -> anyhow::Result<Vec<String>> {
    let ask = |sql: &str| psql(programs, folder, sql);
    let tables = ask(&format!(
        "SELECT relname FROM pg_class WHERE relnamespace = '{schema}'::regnamespace AND relkind = 'r' \
         AND relname ~ '^attempt_[0-9]+$'"
    ))?;
    let parts: Vec<String> = tables
        .lines()
        .map(|table| format!("SELECT msg, endpoint, number, ok FROM {schema}.{table}"))
        .collect();
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let all = parts.join(" UNION ALL ");
    let twice = ask(&format!(
        "SELECT format('try %s of message %s for endpoint %s was written %s times', number, msg, endpoint, count(*)) \
         FROM ({all}) AS attempt GROUP BY msg, endpoint, number HAVING count(*) > 1"
    ))?;
    let succeeded = ask(&format!(
        "SELECT format('message %s for endpoint %s succeeded %s times', msg, endpoint, count(*)) \
         FROM ({all}) AS attempt WHERE ok GROUP BY msg, endpoint HAVING count(*) > 1"
    ))?;
    Ok(twice.lines().chain(succeeded.lines()).map(str::to_owned).collect())
}

/// The first of them, and how many there are.
pub(crate) fn told(found: &[String]) -> String {
    let more = match found.len().saturating_sub(TOLD) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let first: Vec<&str> = found.iter().take(TOLD).map(String::as_str).collect();
    format!("{}{more}", first.join("; "))
}

fn psql(programs: &Path, folder: &Path, sql: &str) -> anyhow::Result<String> {
    let output = Command::new(programs.join("psql"))
        .args([
            "-qAt",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "bellwire",
            "-d",
            "postgres",
            "-h",
        ])
        .arg(folder)
        .args(["-c", sql])
        .stdin(Stdio::null())
        .output()
        .context("cannot run psql")?;
    ensure!(
        output.status.success(),
        "psql: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_told_and_the_rest_is_counted() {
        let found: Vec<String> = (0..10).map(|number| format!("m{number}")).collect();
        assert_eq!(told(&found), "m0; m1; m2; m3; m4; m5; m6; m7, and 2 more");
        assert_eq!(told(&found[..1]), "m0");
    }
}
