//! Words that may stand only in certain places: the invariants of ARCHITECTURE.md, checked by name.
//!
//! A rule is a row in [`RULES`]; an exception is a row in its `except`, with the reason.

use crate::repo::glob;
use crate::rust_source::RustSource;
use crate::tidy::Finding;
use crate::tidy::tree::Tree;

struct Rule {
    /// Files it is about.
    within: &'static [&'static str],
    /// Files it is not about after all, and why.
    except: &'static [(&'static str, &'static str)],
    scope: Scope,
    ban: Ban,
    /// What to do instead.
    advice: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Code that ships.
    Product,
    /// Test files and `#[cfg(test)]` modules.
    Tests,
    Both,
}

enum Ban {
    /// Any of these in code.
    Code(&'static [&'static str]),
    /// A string that reads like SQL.
    Sql,
}

const RULES: &[Rule] = &[
    Rule {
        within: &["crates/**"],
        except: &[
            ("crates/store/**", "the one room for SQL of ours"),
            ("crates/action/src/sql/query.rs", "writes the SQL of the action `sql`"),
            (
                "crates/deliver/src/actions/sql/**",
                "keeps that action's table of what was done",
            ),
            (
                "crates/crash/src/inbound/effects.rs",
                "reads what actions wrote into a file of its own",
            ),
            (
                "crates/crash/src/nodes/stale.rs",
                "looks, from outside, whether a server wrote what was no longer its own",
            ),
            ("crates/xtask/**", "names the words it looks for"),
        ],
        scope: Scope::Product,
        ban: Ban::Sql,
        advice: "SQL lives only in crates/store: add a verb to the Store trait",
    },
    Rule {
        within: &["crates/api/src/**"],
        except: &[
            ("crates/api/src/error.rs", "turns errors into status codes"),
            ("crates/api/src/error/**", "turns errors into status codes"),
            (
                "crates/api/src/operations.rs",
                "the table that says what each operation answers",
            ),
            (
                "crates/api/src/operations/**",
                "the table that says what each operation answers",
            ),
        ],
        scope: Scope::Product,
        ban: Ban::Code(&["StatusCode::"]),
        advice: "return an error of api/error.rs, or let the table of operations say the status",
    },
    Rule {
        within: &["crates/**"],
        except: &[
            ("crates/bellwire/**", "the only crate that reads the environment"),
            ("crates/xtask/**", "a tool of the repository, not of the product"),
        ],
        scope: Scope::Product,
        ban: Ban::Code(&["env::var", "env::{var"]),
        advice: "only crates/bellwire reads the environment; take the value as a setting",
    },
    Rule {
        within: &[
            "crates/core/**",
            "crates/store/**",
            "crates/deliver/**",
            "crates/api/**",
            "crates/tasks/**",
        ],
        except: &[
            (
                "crates/deliver/src/guard/**",
                "checks every address before it connects, and again after",
            ),
            (
                "crates/store/src/backends/postgres/connection.rs",
                "connects to the operator's own database, wherever that is",
            ),
        ],
        scope: Scope::Product,
        ban: Ban::Code(&["TcpStream::connect", "TcpSocket::", "client::legacy"]),
        advice: "connections out are made by deliver's guard, or nothing keeps them from a private address",
    },
    Rule {
        within: &["**"],
        except: &[
            (
                "crates/bench/tests/fake/**",
                "a stand-in server's wait before its next try, not a test's",
            ),
            (
                "crates/testkit/src/clock.rs",
                "the simulated clock: a sleep by it takes no time",
            ),
            ("crates/testkit/tests/simulation/**", "lives by the simulated clock"),
            ("crates/testkit/tests/load.rs", "lives by the simulated clock"),
            (
                "crates/testkit/tests/postgres_failure.rs",
                "asks until a database server of another process is back: it gives no signal",
            ),
            (
                "crates/testkit/tests/postgres/house.rs",
                "asks several nodes until they have come to an end among themselves: that is in a database of another process",
            ),
            (
                "crates/testkit/tests/postgres_outage.rs",
                "kills a database server of another process under load, and asks until it is back",
            ),
            (
                "tests/sdk/rust/src/wait.rs",
                "asks a server of another process until it is so: the API has no signal",
            ),
        ],
        scope: Scope::Tests,
        ban: Ban::Code(&["thread::sleep", "time::sleep", "time::{sleep"]),
        advice: "a test waits for a signal (a channel, a Notify, the simulated clock), never for time to pass",
    },
    Rule {
        within: &["**"],
        except: &[],
        scope: Scope::Both,
        ban: Ban::Code(&["#[ignore"]),
        advice: "an ignored test is no test: make it run everywhere, or move it to a part of `cargo xtask test`",
    },
];

/// Rust files that are tests from the first line to the last.
const TEST_FILES: &[&str] = &[
    "crates/*/tests/**",
    "crates/**/tests.rs",
    "crates/**/tests/**",
    "tests/**",
];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, source) in tree.rust() {
        let about = |rule: &&Rule| {
            rule.within.iter().any(|pattern| glob(pattern, path))
                && !rule.except.iter().any(|(pattern, _)| glob(pattern, path))
        };
        for rule in RULES.iter().filter(about) {
            let hits = match rule.ban {
                Ban::Code(words) => code_hits(source, words),
                Ban::Sql => sql_hits(source),
            };
            let all_tests = TEST_FILES.iter().any(|pattern| glob(pattern, path));
            for (line, word) in hits {
                let in_tests = all_tests || source.is_test_line(line);
                let counts = match rule.scope {
                    Scope::Product => !in_tests,
                    Scope::Tests => in_tests,
                    Scope::Both => true,
                };
                if counts {
                    findings.push(Finding::error(path, line, format!("`{word}` here: {}", rule.advice)));
                }
            }
        }
    }
    findings
}

fn code_hits(source: &RustSource, words: &[&'static str]) -> Vec<(usize, &'static str)> {
    let mut hits = Vec::new();
    for (at, line) in source.code.lines().enumerate() {
        hits.extend(
            words
                .iter()
                .find(|word| stands_alone(line, word))
                .map(|word| (at + 1, *word)),
        );
    }
    hits
}

/// Whether `word` occurs in `line` and is not the tail of a longer name.
fn stands_alone(line: &str, word: &str) -> bool {
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

fn sql_hits(source: &RustSource) -> Vec<(usize, &'static str)> {
    source
        .strings
        .iter()
        .filter_map(|literal| Some((literal.line, sql(&literal.text)?)))
        .collect()
}

/// The statement that a string literal holds, if it does.
fn sql(literal: &str) -> Option<&'static str> {
    // An escape such as \n would otherwise glue its letter to the next word.
    let text = literal.replace("\\n", " ").replace("\\t", " ");
    let words: Vec<&str> = text
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
        .collect();
    let pair = |first: &str, second: &str| words.windows(2).any(|two| two == [first, second]);
    if words.contains(&"SELECT") {
        Some("SELECT")
    } else if pair("INSERT", "INTO") || pair("INSERT", "OR") {
        Some("INSERT INTO")
    } else if pair("DELETE", "FROM") {
        Some("DELETE FROM")
    } else if words
        .iter()
        .position(|word| *word == "UPDATE")
        .is_some_and(|at| words[at..].contains(&"SET"))
    {
        Some("UPDATE … SET")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of `path` that some rule objects to.
    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&Tree::of(&[(path, text)]))
            .iter()
            .map(|finding| finding.line)
            .collect()
    }

    #[test]
    fn sql_is_refused_outside_the_store_and_its_tests() {
        let text = "fn a() {\n  q(\"UPDATE x\\n SET y = 1\");\n}\n";
        assert_eq!(lines("crates/api/src/routes/app.rs", text), [2]);
        assert_eq!(lines("crates/store/src/sqlite/queue.rs", text), [0; 0]);
        assert_eq!(lines("crates/api/tests/app.rs", text), [0; 0]);
        assert_eq!(
            lines(
                "crates/api/src/x.rs",
                "// SELECT\nfn a() {}\n#[cfg(test)]\nmod tests {\n \"SELECT 1\"\n}\n"
            ),
            [0; 0]
        );
    }

    #[test]
    fn only_statements_are_sql() {
        assert_eq!(sql("\\nSELECT a FROM b"), Some("SELECT"));
        assert_eq!(sql("insert and UPDATE your settings"), None);
        assert_eq!(sql("INSERT OR IGNORE INTO t"), Some("INSERT INTO"));
        assert_eq!(sql("DELETE /api/v1/app"), None);
        assert_eq!(sql("please SELECTED"), None);
    }

    #[test]
    fn status_codes_of_the_api_come_from_two_places() {
        let text = "fn a() { StatusCode::OK }";
        assert_eq!(lines("crates/api/src/routes/app.rs", text), [1]);
        assert_eq!(lines("crates/api/src/error.rs", text), [0; 0]);
        assert_eq!(lines("crates/deliver/src/actions/http.rs", text), [0; 0]);
        assert_eq!(lines("crates/api/src/auth.rs", "use a::MyStatusCode::X;"), [0; 0]);
    }

    #[test]
    fn the_environment_is_read_by_the_binary_only() {
        let text = "fn a() { std::env::var(\"X\") }\nconst V: &str = env!(\"CARGO_PKG_VERSION\");";
        assert_eq!(lines("crates/deliver/src/lib.rs", text), [1]);
        assert_eq!(lines("crates/bellwire/src/config/env.rs", text), [0; 0]);
    }

    #[test]
    fn connections_out_are_made_by_the_guard() {
        let text = "async fn a() { TcpStream::connect(b).await }\n#[cfg(test)]\nmod tests {\n fn t() { TcpStream::connect(b) }\n}";
        assert_eq!(lines("crates/deliver/src/actions/http.rs", text), [1]);
        assert_eq!(lines("crates/deliver/src/guard/connect.rs", text), [0; 0]);
        assert_eq!(lines("crates/bench/src/wire.rs", text), [0; 0]);
    }

    #[test]
    fn tests_do_not_sleep_but_a_program_may() {
        let text = "fn wait() { std::thread::sleep(d) }\n#[cfg(test)]\nmod tests {\n  fn t() { tokio::time::sleep(d).await }\n}";
        assert_eq!(lines("crates/bench/src/run.rs", text), [4]);
        assert_eq!(lines("crates/bench/tests/run.rs", text), [1, 4]);
        assert_eq!(
            lines(
                "crates/bench/src/b.rs",
                "#[cfg(test)]\nmod tests {\n// time::sleep is banned\n}"
            ),
            [0; 0]
        );
    }

    #[test]
    fn ignored_tests_are_refused() {
        assert_eq!(
            lines("crates/core/src/a.rs", "#[test]\n#[ignore = \"slow\"]\nfn t() {}"),
            [2]
        );
    }
}
