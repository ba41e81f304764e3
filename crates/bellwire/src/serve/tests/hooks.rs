//! The hooks file of a running server.

use std::path::PathBuf;

use super::*;
use crate::serve::hooks::PATH;

/// A server with a hooks file in a folder of its own.
struct World {
    data: tempfile::TempDir,
    folder: tempfile::TempDir,
}

const ONE: &str = "hooks:\n  one: {verify: {github: canary-secret}, do: [{file: {path: a.jsonl}}]}\n";
const TWO: &str =
    "hooks:\n  one: {verify: {github: canary-secret}, do: [{file: {path: a.jsonl}}]}\n  two: {verify: none, do: []}\n";
const BAD: &str = "hooks:\n  one: {verify: nobody, do: []}\n";

impl World {
    fn new(text: &str) -> Self {
        let world = Self {
            data: tempfile::tempdir().unwrap(),
            folder: tempfile::tempdir().unwrap(),
        };
        world.write(text);
        world
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("hooks.yaml")
    }

    /// As editors do: a new file in the old one's place.
    fn write(&self, text: &str) {
        let new = self.folder.path().join("hooks.yaml.new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.file()).unwrap();
    }

    fn config(&self) -> Config {
        let mut config = config(self.data.path());
        config.listener.hooks = Some(self.file());
        config
    }

    async fn serve(&self) -> Running {
        serve(self.config()).await.unwrap()
    }
}

/// The names of the sources that there are.
async fn sources(server: &Running, token: &str) -> Vec<String> {
    let all = ask(server.address, "GET", "/ingest/api/v1/source", token, None)
        .await
        .json();
    let names = all["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| source["uid"].as_str().unwrap().to_owned());
    names.collect()
}

#[tokio::test]
async fn what_the_file_says_is_in_force_when_a_server_has_started() {
    let world = World::new(ONE);
    let server = world.serve().await;
    let token = token(&server);
    assert_eq!(sources(&server, &token).await, ["one"]);
    let standing = ask(server.address, "GET", PATH, &token, None).await.json();
    assert_eq!((&standing["hooks"], &standing["inForce"]), (&json!(1), &json!(true)));
    let metrics = ask(server.address, "GET", "/metrics", &token, None).await.text();
    assert!(metrics.contains("bellwire_hooks_file_in_force 1.0"), "{metrics}");
    assert_eq!(ask(server.address, "GET", PATH, "nobody", None).await.0, 401);
    assert_eq!(stop(server).await, Ending::Graceful);
}

#[tokio::test]
async fn a_file_that_changes_is_read_again_without_being_told() {
    let world = World::new(ONE);
    let server = world.serve().await;
    let token = token(&server);
    let mut readings = server.hooks.as_ref().unwrap().readings();
    readings.mark_unchanged();
    world.write(TWO);
    tokio::time::timeout(Duration::from_secs(30), readings.changed())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(sources(&server, &token).await, ["one", "two"]);
    // A signal does it at once, and what is the same changes nothing.
    server.hooks.as_ref().unwrap().reload();
    readings.changed().await.unwrap();
    assert_eq!(readings.borrow().applied, 3);
    stop(server).await;
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_says_where_it_is_wrong() {
    let world = World::new(TWO);
    let server = world.serve().await;
    let token = token(&server);
    world.write(BAD);
    let done = ask(server.address, "POST", PATH, &token, Some(json!({}))).await.json();
    assert_eq!(
        (
            &done["applied"],
            &done["findings"][0]["line"],
            &done["findings"][0]["column"]
        ),
        (&json!(false), &json!(2), &json!(17))
    );
    assert_eq!(sources(&server, &token).await, ["one", "two"]);
    let standing = ask(server.address, "GET", PATH, &token, None).await.json();
    assert_eq!((&standing["hooks"], &standing["inForce"]), (&json!(2), &json!(false)));
    assert!(!standing.to_string().contains("canary"), "{standing}");
    world.write(ONE);
    let done = ask(server.address, "POST", PATH, &token, Some(json!({}))).await.json();
    assert_eq!(done["applied"], true);
    assert_eq!(sources(&server, &token).await, ["one"]);
    stop(server).await;
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_an_operator_has_applied_is_in_the_log() {
    let world = World::new(ONE);
    let server = world.serve().await;
    let token = token(&server);
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    for (text, says) in [
        (TWO, "hooks: + source two"),
        (BAD, "hooks: 2:17: hooks.one.verify: no provider"),
    ] {
        world.write(text);
        ask(server.address, "POST", PATH, &token, Some(json!({}))).await;
        let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(logged.contains(says), "{logged}");
    }
    stop(server).await;
}

#[tokio::test]
async fn a_dry_run_says_what_would_change_and_changes_nothing() {
    let world = World::new(ONE);
    let server = world.serve().await;
    let token = token(&server);
    world.write(TWO);
    let plan = ask(server.address, "POST", PATH, &token, Some(json!({"dryRun": true})))
        .await
        .json();
    assert_eq!(
        plan["changes"],
        json!([{"what": "added", "text": "source two (POST /in/two)"}])
    );
    assert_eq!(plan["applied"], false);
    stop(server).await;
}

#[tokio::test]
async fn a_server_does_not_start_with_a_bad_file_and_starts_again_with_what_it_had() {
    let world = World::new(ONE);
    let server = world.serve().await;
    let token = token(&server);
    stop(server).await;
    world.write(BAD);
    let refused = serve(world.config()).await.map(drop).unwrap_err().to_string();
    assert!(
        refused.starts_with(&format!(
            "{}:2:17: hooks.one.verify: no provider",
            world.file().display()
        )),
        "{refused}"
    );
    // Without the setting nothing is lost.
    let server = serve(config(world.data.path())).await.unwrap();
    assert_eq!(sources(&server, &token).await, ["one"]);
    assert_eq!(ask(server.address, "GET", PATH, &token, None).await.0, 404);
    stop(server).await;
}
