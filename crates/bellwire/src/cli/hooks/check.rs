//! `bellwire hooks check`.

use std::path::Path;

use bellwire_core::source::{CRON, MONITOR};
use bellwire_hooks::{Desired, Hook};
use serde_json::{Value, json};

use super::{counted, read};
use crate::cli::{exit::Failure, out::Out};

/// Says what a file asks for.
///
/// # Errors
/// A usage failure with everything that is wrong.
pub(super) fn run(file: &Path, out: &mut Out) -> Result<(), Failure> {
    let read = read(file);
    if out.is_json() {
        out.line(&as_json(file, &read).to_string())?;
    }
    let desired = read?;
    if out.is_json() {
        return Ok(());
    }
    for hook in &desired.hooks {
        let actions: Vec<String> = hook
            .actions
            .iter()
            .map(|action| format!("{} ({})", action.uid, action.url))
            .collect();
        let actions = if actions.is_empty() {
            "kept only".to_owned()
        } else {
            actions.join(", ")
        };
        let line = format!("{}: {} → {actions}", hook.name, origin(hook));
        out.line(&desired.veiled(&line))?;
    }
    let actions = desired.hooks.iter().map(|hook| hook.actions.len()).sum();
    out.line(&format!(
        "{}: {}, {}",
        file.display(),
        counted(desired.hooks.len(), "hook"),
        counted(actions, "action")
    ))
}

fn origin(hook: &Hook) -> String {
    match hook.kind.as_str() {
        CRON => format!(
            "cron `{}`",
            hook.settings
                .get("schedule")
                .and_then(|all| all.first())
                .map_or("", String::as_str)
        ),
        MONITOR => counted(hook.settings.get(MONITOR).map_or(0, Vec::len), "monitor"),
        kind => format!("POST /in/{} ({kind})", hook.name),
    }
}

fn as_json(file: &Path, read: &Result<Desired, crate::serve::hooks::HooksError>) -> Value {
    let hook = |hook: &Hook| {
        let actions = hook.actions.iter().map(|action| {
            json!({ "name": action.uid, "kind": &**action.kind(), "target": action.url, "when": action.workflow.filter })
        });
        json!({ "name": hook.name, "source": hook.kind, "actions": actions.collect::<Vec<_>>() })
    };
    match read {
        Ok(desired) => {
            let hooks: Vec<Value> = desired.hooks.iter().map(hook).collect();
            desired.veiled_json(json!({ "file": file, "ok": true, "hooks": hooks, "findings": [] }))
        }
        Err(error) => {
            let other = error.findings().is_empty().then(|| error.to_string());
            json!({ "file": file, "ok": false, "hooks": [], "findings": error.findings(), "error": other })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::Captured;

    fn checked(text: &str, json: bool) -> (Result<(), Failure>, Captured, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hooks.yaml");
        std::fs::write(&file, text).unwrap();
        let captured = Captured::default();
        let done = run(&file, &mut captured.out(json));
        (done, captured, folder)
    }

    const GOOD: &str = "hooks:\n  push: {verify: {github: canary-secret}, when: x, do: [{file: {path: a.jsonl}}]}\n  \
                        daily: {cron: \"@daily\", do: []}\n";

    #[test]
    fn a_good_file_is_told_in_a_line_for_each_hook() {
        let (done, captured, _folder) = checked(GOOD, false);
        done.unwrap();
        let text = captured.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..2],
            [
                "push: POST /in/push (github) → file-1 (file:a.jsonl)",
                "daily: cron `@daily` → kept only",
            ]
        );
        assert!(lines[2].ends_with("hooks.yaml: 2 hooks, 1 action"), "{text}");
        assert!(!text.contains("canary"));
    }

    #[test]
    fn what_a_reference_was_replaced_by_is_not_told() {
        let text = "hooks:\n  a:\n    verify: none\n    when: body.k == \"${file:secret}\"\n    \
                    do: [{http: {url: \"https://example.com/${file:secret}\"}}]\n";
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hooks.yaml");
        std::fs::write(&file, text).unwrap();
        std::fs::write(folder.path().join("secret"), "canary-0123").unwrap();
        for json in [false, true] {
            let captured = Captured::default();
            run(&file, &mut captured.out(json)).unwrap();
            let text = captured.text();
            assert!(!text.contains("canary"), "{text}");
            assert!(text.contains("https://example.com/${file:secret}"), "{text}");
        }
    }

    #[test]
    fn a_bad_file_ends_with_two_and_says_everything_as_compilers_do() {
        let (done, _, folder) = checked("hooks:\n  a: {verify: nobody, do: [{fiel: {}}]}\n", false);
        let failure = done.unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        let file = folder.path().join("hooks.yaml").display().to_string();
        let text = failure.to_string();
        assert!(
            text.starts_with(&format!(
                "{file}:2:15: hooks.a.verify: no provider or form is called `nobody`"
            )),
            "{text}"
        );
        assert!(text.contains(&format!("\n{file}:2:29: hooks.a.do[0].fiel: ")), "{text}");
    }

    #[test]
    fn programs_get_findings_with_line_and_column() {
        let (done, captured, _folder) = checked("hooks: {a: {verify: none}}", true);
        assert_eq!(done.unwrap_err().exit_code(), 2);
        let shown: Value = serde_json::from_str(&captured.text()).unwrap();
        assert_eq!(
            (
                &shown["ok"],
                &shown["findings"][0]["line"],
                &shown["findings"][0]["column"]
            ),
            (&json!(false), &json!(1), &json!(12))
        );
        let (done, captured, _folder) = checked(GOOD, true);
        done.unwrap();
        let shown: Value = serde_json::from_str(&captured.text()).unwrap();
        assert_eq!(shown["hooks"][0]["actions"][0]["target"], "file:a.jsonl");
    }
}
