//! The kind `run`: real processes.

use std::{path::Path, time::Duration};

use bellwire_core::{
    attempt::Outcome,
    id::{EndpointId, Id as _},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    net::unix::pipe::{OpenOptions, Receiver},
};

use crate::house::{House, endpoint, message, reason, response};

/// Runs a script of the shell's, which the test and no message has written.
async fn script(script: &str, mut more: Value, payload: &str) -> Outcome {
    let house = House::open().await;
    let mut argv = vec![json!("sh"), json!("-c"), json!(script), json!("sh")];
    argv.extend(more["args"].take().as_array().cloned().unwrap_or_default());
    more.as_object_mut().unwrap().remove("args");
    more["argv"] = argv.into();
    house.act(endpoint("run", &more), message(payload)).await
}

/// A pipe with a name: a command and all its children hold its other end, until all of them are gone.
fn fifo(folder: &Path) -> (String, BufReader<Receiver>) {
    fifo_named(folder, "held")
}

fn fifo_named(folder: &Path, name: &str) -> (String, BufReader<Receiver>) {
    let path = folder.join(name).display().to_string();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    let reader = OpenOptions::new().open_receiver(&path).unwrap();
    (path, BufReader::new(reader))
}

#[tokio::test]
async fn a_command_gets_its_arguments_one_by_one_and_its_output_is_kept() {
    let outcome = script(
        r#"printf '%s|' "$@"; echo out; echo err >&2"#,
        json!({"args": ["{{ host }}", ""]}),
        r#"{"host": "$(id) ; rm -rf / `x`"}"#,
    )
    .await;
    assert_eq!((reason(&outcome), outcome.status_code), ("", 0));
    assert_eq!(response(&outcome), "$(id) ; rm -rf / `x`||out\nerr\n");
    assert_eq!(outcome.url, "run:described");
}

#[tokio::test]
async fn a_command_sees_its_own_variables_and_no_others() {
    let outcome = script("env", json!({"env": {"HOST": "{{ host }}"}}), r#"{"host": "db1"}"#).await;
    let text = response(&outcome);
    let mut names: Vec<_> = text.lines().filter_map(|line| line.split('=').next()).collect();
    names.retain(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(name));
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "BELLWIRE_ATTEMPT",
            "BELLWIRE_ENDPOINT_ID",
            "BELLWIRE_EVENT_TYPE",
            "BELLWIRE_MESSAGE_ID",
            "BELLWIRE_RUN",
            "BELLWIRE_SOURCE",
            "HOME",
            "HOST",
            "LANG",
            "PATH",
        ]
    );
    assert!(
        text.contains("HOST=db1\n") && text.contains("BELLWIRE_ATTEMPT=1\n"),
        "{text}"
    );
}

#[tokio::test]
async fn a_command_works_where_it_is_told_to() {
    let house = House::open().await;
    let folder = house.folder.path().canonicalize().unwrap();
    let script = folder.join("where.sh");
    std::fs::write(&script, "#!/bin/sh\npwd\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let outcome = house
        .act(
            endpoint("run", &json!({"argv": ["./where.sh"], "cwd": folder})),
            message("{}"),
        )
        .await;
    assert_eq!(response(&outcome), format!("{}\n", folder.display()));
}

#[tokio::test]
async fn input_and_output_larger_than_any_pipe_do_not_wait_for_each_other() {
    let payload = json!({"text": "x".repeat(1_000_000)}).to_string();
    let outcome = script("cat; echo; echo end", json!({"stdin": "raw"}), &payload).await;
    assert_eq!((reason(&outcome), outcome.response.len()), ("", 4_096));
    assert!(response(&outcome).ends_with("x\"}\nend\n"));
    // One that reads nothing, or not all, is no failure.
    for body in ["exit 0", "head -c 10 >/dev/null; exec <&-; echo done"] {
        assert_eq!(
            reason(&script(body, json!({"stdin": "json"}), &payload).await),
            "",
            "{body}"
        );
    }
}

#[tokio::test]
async fn of_a_flood_of_output_the_end_is_kept() {
    let outcome = script(
        "head -c 20000000 /dev/zero | tr '\\0' x; echo end",
        json!({"output": 100}),
        "{}",
    )
    .await;
    assert_eq!((reason(&outcome), outcome.response.len()), ("", 100));
    assert!(response(&outcome).ends_with("xend\n"));
}

#[tokio::test]
async fn exit_codes_mean_what_the_settings_say() {
    for (body, settings, expected) in [
        ("exit 3", json!({}), "exit_status"),
        ("exit 3", json!({"ok": [0, 3]}), ""),
        ("exit 3", json!({"giveUpOn": [3]}), "exit_given_up"),
        ("exit 3", json!({"retryOn": [75]}), "exit_given_up"),
        ("exit 75", json!({"retryOn": [75]}), "exit_status"),
        ("kill -9 $$", json!({}), "killed_by_signal"),
    ] {
        let outcome = script(&format!("echo said; {body}"), settings.clone(), "{}").await;
        assert_eq!(reason(&outcome), expected, "{body} {settings}");
        if let Some(failure) = &outcome.failure {
            assert_eq!(response(&outcome), format!("{}\nsaid\n", failure.detail));
            assert_eq!(failure.is_final(), expected == "exit_given_up");
        }
    }
}

#[tokio::test]
async fn a_command_that_is_not_there_says_so() {
    let house = House::open().await;
    for argv in [
        json!(["/missing/command"]),
        json!(["no-such-command-anywhere"]),
        json!(["/"]),
    ] {
        let mut run = endpoint("run", &json!({"argv": argv}));
        run.id = EndpointId::from_number(u64::try_from(argv.to_string().len()).unwrap());
        let outcome = house.act(run, message("{}")).await;
        assert!(
            matches!(reason(&outcome), "command_not_found" | "settings_invalid"),
            "{argv}: {outcome:?}"
        );
    }
    let outcome = script("true", json!({"cwd": "/missing"}), "{}").await;
    assert_eq!(reason(&outcome), "command_failed");
}

#[tokio::test]
async fn a_command_that_hangs_is_killed_with_its_children_also_when_they_do_not_listen() {
    let folder = tempfile::tempdir().unwrap();
    let (path, mut held) = fifo(folder.path());
    // Deaf to SIGTERM, as are its children.
    let body = r#"trap "" TERM; exec 3>"$1"; sleep 1000 & echo $! >&3; echo begun; sleep 1000"#;
    let outcome = script(body, json!({"args": [path], "timeout": "200ms"}), "{}").await;
    assert_eq!(reason(&outcome), "timeout");
    assert!(response(&outcome).ends_with("begun\n"), "{}", response(&outcome));
    let mut child = String::new();
    held.read_line(&mut child).await.unwrap();
    assert!(child.trim().parse::<u32>().is_ok());
    assert_eq!(
        held.read_to_string(&mut child).await.unwrap(),
        0,
        "the end comes when nobody is left"
    );
}

#[tokio::test]
async fn a_child_with_a_session_of_its_own_is_killed_too_when_its_parents_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (path, mut held) = fifo(folder.path());
    // The middle one of the three ends at once, so that nothing but its mark tells whose child the last one is.
    let daemon = r#"setsid sh -c 'trap "" TERM; exec 3>"$1"; echo $$ >&3; sleep 1000' sh "$1" &"#;
    let body = format!(r#"(sh -c '{}' sh "$1"); sleep 1000"#, daemon.replace('\'', r"'\''"));
    let outcome = script(&body, json!({"args": [path], "timeout": "1s"}), "{}").await;
    assert_eq!(reason(&outcome), "timeout");
    let mut child = String::new();
    held.read_line(&mut child).await.unwrap();
    assert!(child.trim().parse::<u32>().is_ok(), "{child}");
    assert_eq!(held.read_to_string(&mut child).await.unwrap(), 0, "nobody is left");
}

#[tokio::test]
async fn what_a_command_leaves_running_may_go_on_writing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, mut held) = fifo(folder.path());
    let (go, reader) = fifo_named(folder.path(), "go");
    drop(reader);
    // It waits until the delivery is over, writes more than a pipe holds, and says that it lives.
    let body = r#"exec 3>"$1"; (read x <"$2"; head -c 200000 /dev/zero; echo alive >&3) & echo done"#;
    let house = House::open().await;
    let argv = json!(["sh", "-c", body, "sh", path, go]);
    let outcome = house
        .act(endpoint("run", &json!({ "argv": argv })), message("{}"))
        .await;
    assert_eq!((reason(&outcome), response(&outcome).as_str()), ("", "done\n"));
    tokio::task::spawn_blocking(move || std::fs::write(go, "go\n"))
        .await
        .unwrap()
        .unwrap();
    let mut said = String::new();
    held.read_line(&mut said).await.unwrap();
    assert_eq!(said, "alive\n");
}

#[tokio::test]
async fn an_argument_beyond_what_the_machine_takes_is_not_tried_again() {
    let payload = json!({"long": "x".repeat(200_000)}).to_string();
    let outcome = script("true", json!({"args": ["{{ long }}"]}), &payload).await;
    assert_eq!(reason(&outcome), "command_too_long", "{outcome:?}");
    assert!(outcome.failure.unwrap().is_final());
}

#[tokio::test]
async fn a_user_without_a_home_is_not_given_that_of_the_server() {
    // Only root can become a number that no user has.
    if nix::unistd::geteuid().is_root() {
        let outcome = script(r#"echo "[$HOME]""#, json!({"user": 54_321}), "{}").await;
        assert_eq!((reason(&outcome), response(&outcome).as_str()), ("", "[]\n"));
    }
}

#[tokio::test]
async fn a_command_that_listens_may_end_tidily_when_its_time_is_over() {
    let body = r#"trap "echo tidied; exit 0" TERM; sleep 1000 & wait"#;
    let outcome = script(body, json!({"timeout": "200ms"}), "{}").await;
    assert_eq!(reason(&outcome), "timeout");
    assert!(response(&outcome).ends_with("tidied\n"), "{}", response(&outcome));
}

#[tokio::test]
async fn a_command_is_killed_with_its_children_when_the_server_stops() {
    let folder = tempfile::tempdir().unwrap();
    let (path, mut held) = fifo(folder.path());
    let body = r#"trap "" TERM; exec 3>"$1"; sleep 1000 & echo $! >&3; sleep 1000"#;
    let mut child = String::new();
    {
        let running = script(body, json!({"args": [path]}), "{}");
        tokio::select! {
            outcome = running => panic!("it ended: {outcome:?}"),
            read = held.read_line(&mut child) => { read.unwrap(); }
        }
    }
    assert_eq!(
        held.read_to_string(&mut child).await.unwrap(),
        0,
        "the end comes when nobody is left"
    );
}

#[tokio::test]
async fn what_a_command_leaves_running_does_not_hold_up_its_delivery() {
    let folder = tempfile::tempdir().unwrap();
    let (path, mut held) = fifo(folder.path());
    let body = r#"exec 3>"$1"; (sleep 1000; echo never) & echo $! >&3; echo done"#;
    let outcome = script(body, json!({"args": [path], "timeout": "10s"}), "{}").await;
    assert_eq!((reason(&outcome), response(&outcome).as_str()), ("", "done\n"));
    assert!(outcome.duration < Duration::from_secs(5));
    let mut child = String::new();
    held.read_line(&mut child).await.unwrap();
    assert!(
        std::process::Command::new("kill")
            .arg(child.trim())
            .status()
            .unwrap()
            .success(),
        "it still runs"
    );
}

#[tokio::test]
async fn only_root_runs_commands_as_somebody_else() {
    let house = House::open().await;
    let run = endpoint("run", &json!({"argv": ["id", "-u"], "user": "nobody"}));
    let outcome = house.act(run, message("{}")).await;
    if nix::unistd::geteuid().is_root() {
        let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
        assert_eq!(response(&outcome), format!("{}\n", nobody.uid));
    } else {
        assert_eq!(reason(&outcome), "command_user_refused");
    }
    let run = endpoint("run", &json!({"argv": ["id"], "user": "no-such-user"}));
    let outcome = House::open().await.act(run, message("{}")).await;
    assert_eq!(reason(&outcome), "command_user_refused");
}
