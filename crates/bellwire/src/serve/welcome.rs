//! The first start's greeting: the admin token, shown this once, and lines to paste that lead to something to look at.

use std::path::Path;

use bellwire_core::address::check_url;

use crate::config::Config;

/// Where `bellwire receive` listens.
const RECEIVER: &str = "http://127.0.0.1:8090/";

/// The greeting. `program` is how this program was called, `url` what it can be reached by from this machine.
pub(super) fn text(program: &str, url: &str, token: &str, config: &Config) -> String {
    let program = quoted(program);
    let default = Config::default();
    // Where the command line looks by itself it need not be told.
    let known_url = url == format!("http://{}", default.http.listen);
    let known_data = config.storage.data == default.storage.data;
    let mut settings = Vec::new();
    if !known_url {
        settings.push(format!("BELLWIRE_URL={url}"));
    }
    let data = config.storage.data.display().to_string();
    match (config.dev, known_data) {
        (true, true) => {}
        (true, false) => settings.push(format!("BELLWIRE_DATA={}", quoted(&data))),
        (false, _) => settings.push(format!("BELLWIRE_TOKEN={token}")),
    }
    let export = match settings.is_empty() {
        true => String::new(),
        false => format!("    export {}\n", settings.join(" ")),
    };
    let kept = match config.dev {
        true => format!(
            "The admin token, also in {}:",
            Path::new(&data).join("admin-token").display()
        ),
        false => "The admin token, shown this once:".to_owned(),
    };
    let steps = match calls_this_machine(config) {
        true => format!(
            "To see a message arrive, in a second terminal in this folder:\n\n{export}    \
             {program} app create Demo --uid demo\n    \
             {program} endpoint create {RECEIVER} --app demo --uid here\n    \
             {program} receive --secret \"$({program} endpoint secret here --app demo)\"\n\n\
             and in a third:\n\n{export}    \
             {program} send invoice.paid --app demo --data '{{\"id\": 1}}' --wait\n"
        ),
        false => format!(
            "To make an application, and a token for the program that publishes:\n\n{export}    \
             {program} app create Demo --uid demo\n    \
             {program} token create publisher --scope publish\n"
        ),
    };
    let dashboard = dashboard(url, token);
    format!("{kept}\n\n    {token}\n\nThe dashboard, signed in:\n\n    {dashboard}\n\n{steps}")
}

/// A link that signs in to the dashboard. The token stands behind `#`, which browsers keep to themselves.
pub(super) fn dashboard(url: &str, token: &str) -> String {
    format!("{url}/sign-in#token={token}")
}

/// Whether endpoints may be where `bellwire receive` listens.
fn calls_this_machine(config: &Config) -> bool {
    check_url(RECEIVER, &config.calls.policy).is_ok()
}

/// A word as a shell reads it (POSIX, section 2.2.2).
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::{cli::Cli, config::loopback};

    fn development() -> Config {
        let mut config = Config {
            dev: true,
            ..Config::default()
        };
        config.calls.policy.allow_private = loopback();
        config
    }

    /// The lines that are there to be pasted.
    fn pasted(text: &str) -> Vec<&str> {
        text.lines().filter_map(|line| line.strip_prefix("    ")).collect()
    }

    #[test]
    fn the_lines_are_commands_of_this_program_as_it_was_called() {
        for config in [development(), Config::default()] {
            let text = text("target/release/bellwire", "http://127.0.0.1:8071", "TOKEN", &config);
            let lines = pasted(&text);
            let commands: Vec<_> = lines
                .iter()
                .filter(|line| line.starts_with("target/release/bellwire "))
                .collect();
            assert!(commands.len() >= 2, "{text}");
            for line in commands {
                // As a shell would split them, as far as these need it.
                let line = line.replace(
                    "\"$(target/release/bellwire endpoint secret here --app demo)\"",
                    "whsec_x",
                );
                let words = line.replace("'{\"id\": 1}'", "{}");
                if let Err(error) = Cli::try_parse_from(words.split(' ')) {
                    panic!("{line}: {error}");
                }
            }
        }
    }

    #[test]
    fn a_development_server_where_the_command_line_looks_needs_nothing_exported() {
        let text = text("bellwire", "http://127.0.0.1:8071", "TOKEN", &development());
        assert!(!text.contains("export"), "{text}");
        assert!(text.contains("bellwire-data/admin-token"), "{text}");
        assert!(
            text.contains("bellwire receive --secret") && text.contains("--wait"),
            "{text}"
        );
    }

    #[test]
    fn another_place_is_exported_in_each_terminal() {
        let mut config = development();
        config.storage.data = "/srv/my bell".into();
        let text = text("bellwire", "http://127.0.0.1:9", "TOKEN", &config);
        let export = "    export BELLWIRE_URL=http://127.0.0.1:9 BELLWIRE_DATA='/srv/my bell'\n";
        assert_eq!(text.matches(export).count(), 2, "{text}");
    }

    #[test]
    fn a_server_that_may_not_call_this_machine_does_not_suggest_it() {
        let text = text("bellwire", "http://127.0.0.1:8071", "TOKEN", &Config::default());
        assert!(text.contains("export BELLWIRE_TOKEN=TOKEN\n"), "{text}");
        assert!(
            !text.contains("127.0.0.1:8090") && text.contains("token create"),
            "{text}"
        );
    }

    #[test]
    fn words_with_spaces_and_quotes_are_quoted() {
        assert_eq!(quoted("target/release/bellwire"), "target/release/bellwire");
        assert_eq!(quoted("/a b/it's"), r"'/a b/it'\''s'");
    }
}
