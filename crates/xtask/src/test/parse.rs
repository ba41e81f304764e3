//! Counts out of what test programs print. Pure text in, [`Counts`] out.

use super::outcome::Counts;

/// `test result:` lines of libtest, summed over every test binary and the doc tests. Ignored tests count as skipped.
pub(super) fn cargo(output: &str) -> Counts {
    let mut counts = Counts::default();
    for line in output.lines().filter(|line| line.starts_with("test result: ")) {
        for piece in line.split(['.', ';']) {
            let mut words = piece.split_whitespace();
            let (Some(Ok(count)), Some(what)) = (words.next().map(str::parse::<u32>), words.next()) else {
                continue;
            };
            match what {
                "passed" => counts.passed += count,
                "failed" => counts.failed += count,
                "ignored" => counts.skipped += count,
                _ => {}
            }
        }
    }
    counts
}

/// The `testsuite` elements of a JUnit file, as pytest writes it. Errors (in a fixture, say) count as failed.
pub(super) fn junit(xml: &str) -> Counts {
    let mut counts = Counts::default();
    for element in xml.split("<testsuite ").skip(1) {
        let element = element.split('>').next().unwrap_or_default();
        let number = |name: &str| {
            let value = element.split_once(&format!("{name}=\""))?.1.split('"').next()?;
            value.parse::<u32>().ok()
        };
        let failed = number("errors").unwrap_or(0) + number("failures").unwrap_or(0);
        let skipped = number("skipped").unwrap_or(0);
        let passed = number("tests").unwrap_or(0).saturating_sub(failed + skipped);
        counts += Counts {
            passed,
            failed,
            skipped,
        };
    }
    counts
}

/// The closing comments of node's TAP report, from the last `# tests 9` on: comments before it are what tests printed.
/// Cancelled tests count as failed, todo as skipped.
pub(super) fn tap(output: &str) -> Counts {
    let mut counts = Counts::default();
    let closing = output.rfind("\n# tests ").map_or("", |at| &output[at..]);
    for line in closing.lines() {
        let mut words = line.strip_prefix("# ").unwrap_or_default().split(' ');
        let (Some(what), Some(Ok(count)), None) = (words.next(), words.next().map(str::parse::<u32>), words.next())
        else {
            continue;
        };
        match what {
            "pass" => counts.passed = count,
            "fail" | "cancelled" => counts.failed += count,
            "skipped" | "todo" => counts.skipped += count,
            _ => {}
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_results_are_summed_over_binaries() {
        let output = "\
running 2 tests
test a ... ok
test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.01s
test result: FAILED. 10 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 12.31s
   Doc-tests bellwire_core
test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.50s
";
        assert_eq!(
            cargo(output),
            Counts {
                passed: 17,
                failed: 3,
                skipped: 1
            }
        );
        assert_eq!(cargo("error: could not compile"), Counts::default());
    }

    #[test]
    fn junit_counts_errors_as_failures_and_skips_apart() {
        let xml = r#"<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest"
            errors="1" failures="2" skipped="3" tests="20" time="1.5"><testcase tests="9"/></testsuite></testsuites>"#;
        assert_eq!(
            junit(&xml.replace('\n', " ")),
            Counts {
                passed: 14,
                failed: 3,
                skipped: 3
            }
        );
        assert_eq!(junit(""), Counts::default());
    }

    #[test]
    fn tap_comments_are_counted_and_a_tests_own_are_not() {
        let output = "\
TAP version 13
# Subtest: publishes
ok 1 - publishes
# pass the parcel
# fail 7
1..4
# tests 9
# suites 0
# pass 4
# fail 1
# cancelled 2
# skipped 1
# todo 1
# duration_ms 55.1
";
        assert_eq!(
            tap(output),
            Counts {
                passed: 4,
                failed: 3,
                skipped: 2
            }
        );
    }
}
