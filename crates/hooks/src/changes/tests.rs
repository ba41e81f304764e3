use std::{io, path::Path, sync::Arc};

use bellwire_core::{
    app::Environment,
    endpoint::{Disabled, DisabledReason},
    id::SourceId,
    order::Ordering,
    seal::{Keyring, MainSecret},
};
use bellwire_store::{Clock, backends, vault::Vault};

use super::*;
use crate::{File, Surroundings};

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_766_000_000)
    }
}

struct World {
    directory: Directory,
    environment: EnvironmentId,
    _data: tempfile::TempDir,
}

const FILE: &str = "hooks:
  one:
    verify: {github: first-secret}
    do:
      - file: {path: a.jsonl}
      - {file: {path: b.jsonl}, name: keep}
  two:
    verify: none
    order: {by: body.id, version: body.v}
    do: [{run: {argv: [echo, x]}}]
";

fn desired(text: &str) -> Desired {
    let around = Surroundings {
        variable: &|_| None,
        file: &|_| Err(io::ErrorKind::NotFound.into()),
        folder: Path::new("/"),
        source: &|_, _| Ok(()),
    };
    File::read(text, &around).unwrap()
}

impl World {
    async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let ring = Keyring::new(MainSecret::parse("0123456789012345678901234567890123456789").unwrap());
        let options = backends::OpenOptions::new(Arc::new(Noon), Vault::new(ring));
        let url = format!("sqlite:{}", data.path().display());
        let store = backends::open(&url, options).await.unwrap();
        let directory = Directory::open(store, Arc::new(Noon)).await.unwrap();
        let environment = Environment {
            id: directory.new_id(),
            name: "default".to_owned(),
            validate_payloads: false,
            created_at: directory.now(),
            updated_at: directory.now(),
        };
        let id = environment.id;
        directory
            .commit(vec![Change::PutEnvironment(environment)], None)
            .await
            .unwrap();
        Self {
            directory,
            environment: id,
            _data: data,
        }
    }

    fn plan(&self, text: &str) -> Result<Changes, ChangesError> {
        desired(text).changes(Standing {
            directory: &self.directory,
            environment: self.environment,
            random: &|| Some([7; 32]),
        })
    }

    /// Puts a file in force; answers what changed.
    async fn apply(&self, text: &str) -> Vec<String> {
        let changes = self.plan(text).unwrap();
        self.directory.commit(changes.changes, None).await.unwrap();
        changes.lines.iter().map(ToString::to_string).collect()
    }

    fn source(&self, name: &str) -> Arc<Source> {
        self.directory.source(self.environment, name).unwrap()
    }

    fn endpoint(&self, hook: &str, uid: &str) -> bellwire_core::endpoint::Endpoint {
        let app = self.source(hook).app;
        self.directory.endpoint(app, uid).unwrap().endpoint.clone()
    }
}

#[tokio::test]
async fn a_file_makes_sources_and_endpoints_and_a_second_time_nothing() {
    let world = World::new().await;
    assert_eq!(
        world.apply(FILE).await,
        [
            "+ source one (POST /in/one)",
            "+ endpoint one/file-1 (file:a.jsonl)",
            "+ endpoint one/keep (file:b.jsonl)",
            "+ source two (POST /in/two)",
            "+ endpoint two/run-1 (run:echo)",
        ]
    );
    let source = world.source("one");
    assert!(source.managed && source.token.len() >= 32, "{source:?}");
    assert_eq!(world.directory.app_by_id(source.app).unwrap().kind, AppKind::Source);
    let endpoint = world.endpoint("one", "keep");
    assert!(endpoint.action.trusted && endpoint.keys.len() == 1);
    assert_eq!(world.endpoint("two", "run-1").order.ordering, Ordering::Key);
    let again = world.plan(FILE).unwrap();
    assert!(again.changes.is_empty() && again.lines.is_empty());
}

#[tokio::test]
async fn what_did_not_change_is_not_touched() {
    let world = World::new().await;
    world.apply(FILE).await;
    let (source, keep) = (world.source("one"), world.endpoint("one", "keep"));
    let changed = FILE
        .replace("a.jsonl", "c.jsonl")
        .replace("first-secret", "second-secret");
    let plan = world.plan(&changed).unwrap();
    assert_eq!(plan.changes.len(), 2);
    assert_eq!(
        world.apply(&changed).await,
        ["~ source one: settings", "~ endpoint one/file-1: target, settings",]
    );
    let after = world.source("one");
    assert_eq!(
        (after.id, &after.token, after.app),
        (source.id, &source.token, source.app)
    );
    assert_eq!(world.endpoint("one", "keep").id, keep.id);
}

#[tokio::test]
async fn a_hook_that_comes_back_has_its_history_again() {
    let world = World::new().await;
    world.apply(FILE).await;
    let app = world.source("one").app;
    let lines = world.apply("hooks: {}").await;
    assert_eq!(
        lines,
        [
            format!("- source one (its messages stay in {app})"),
            format!("- source two (its messages stay in {})", desired_app(&world, "two")),
        ]
    );
    assert!(world.directory.source(world.environment, "one").is_none());
    assert!(world.directory.endpoints(app, ALL).items.is_empty());
    assert!(world.directory.app_by_id(app).is_some());
    world.apply(FILE).await;
    assert_eq!(world.source("one").app, app);
}

fn desired_app(world: &World, hook: &str) -> AppId {
    let apps = world.directory.source_apps(world.environment);
    apps.iter().find(|app| app.metadata[HOOK] == hook).unwrap().id
}

#[tokio::test]
async fn a_change_of_order_begins_a_new_era() {
    let world = World::new().await;
    world.apply(FILE).await;
    let era = world.endpoint("two", "run-1").order.era;
    let without = FILE.replace("    order: {by: body.id, version: body.v}\n", "");
    assert_eq!(
        world.apply(&without).await,
        ["~ source two: order", "~ endpoint two/run-1: order"]
    );
    let after = world.endpoint("two", "run-1").order;
    assert_eq!((after.ordering, after.era), (Ordering::None, era + 1));
}

#[tokio::test]
async fn an_endpoint_that_failed_too_long_is_enabled_by_a_change_and_not_by_a_restart() {
    let world = World::new().await;
    world.apply(FILE).await;
    let disable = |reason| {
        let mut endpoint = world.endpoint("one", "keep");
        endpoint.disabled = Some(Disabled {
            since: world.directory.now(),
            reason,
        });
        endpoint.throttle_rate = Some(5);
        vec![Change::PutEndpoint(Box::new(endpoint))]
    };
    world
        .directory
        .commit(disable(DisabledReason::Failing), None)
        .await
        .unwrap();
    assert!(world.apply(FILE).await.is_empty());
    let mended = FILE.replace("b.jsonl", "d.jsonl");
    assert_eq!(
        world.apply(&mended).await,
        ["~ endpoint one/keep: target, settings, enabled"]
    );
    let after = world.endpoint("one", "keep");
    assert_eq!(
        (after.disabled, after.throttle_rate),
        (None, Some(5)),
        "what the file cannot say stays"
    );
    // Or by saying so and taking it back.
    world
        .directory
        .commit(disable(DisabledReason::Failing), None)
        .await
        .unwrap();
    let off = mended.replace("name: keep", "name: keep, disabled: true");
    assert_eq!(world.apply(&off).await, ["~ endpoint one/keep: disabled"]);
    assert_eq!(world.apply(&mended).await, ["~ endpoint one/keep: enabled"]);
}

#[tokio::test]
async fn a_name_that_the_api_gave_away_is_a_finding_and_changes_nothing() {
    let world = World::new().await;
    world.apply("hooks: {one: {verify: none, do: []}}").await;
    let mut theirs = Source::clone(&world.source("one"));
    theirs.managed = false;
    world
        .directory
        .commit(vec![Change::PutSource(Box::new(theirs))], None)
        .await
        .unwrap();
    let Err(ChangesError::Findings(findings)) = world.plan(FILE) else {
        panic!()
    };
    assert_eq!(
        findings[0].to_string(),
        "2:3: hooks.one: a source that was made through the API has this name already; name the hook otherwise, or delete that source"
    );
    assert!(
        world.plan("hooks: {}").unwrap().changes.is_empty(),
        "what the API made is the API's"
    );
}

#[tokio::test]
async fn a_secret_that_a_handshake_brought_stays() {
    let world = World::new().await;
    let file = "hooks: {tasks: {verify: {asana: {armed: true}}, do: []}}";
    world.apply(file).await;
    let mut kept = Source::clone(&world.source("tasks"));
    kept.settings.insert("secret".to_owned(), vec!["brought".to_owned()]);
    kept.settings.insert("armed".to_owned(), vec!["false".to_owned()]);
    world
        .directory
        .commit(vec![Change::PutSource(Box::new(kept))], None)
        .await
        .unwrap();
    assert!(world.apply(file).await.is_empty());
    let ordered = "hooks: {tasks: {verify: {asana: {armed: true}}, for_each: body.events, do: []}}";
    assert_eq!(world.apply(ordered).await, ["~ source tasks: for_each"]);
    assert_eq!(world.source("tasks").settings["secret"], ["brought"]);
}

#[tokio::test]
async fn a_time_until_which_a_source_is_armed_is_what_the_file_says() {
    let world = World::new().await;
    let file = |until: &str| format!("hooks: {{tasks: {{verify: {{asana: {{armed: \"{until}\"}}}}, do: []}}}}");
    let first = file("2026-01-31T09:00:00Z");
    world.apply(&first).await;
    let mut kept = Source::clone(&world.source("tasks"));
    kept.settings.insert("secret".to_owned(), vec!["brought".to_owned()]);
    world
        .directory
        .commit(vec![Change::PutSource(Box::new(kept))], None)
        .await
        .unwrap();
    assert!(world.apply(&first).await.is_empty());
    let again = file("2026-02-28T09:00:00Z");
    assert_eq!(world.apply(&again).await, ["~ source tasks: settings"]);
    let settings = &world.source("tasks").settings;
    assert_eq!(
        (&settings["secret"][0][..], &settings["armed"][0][..]),
        ("brought", "2026-02-28T09:00:00Z")
    );
}

#[tokio::test]
async fn an_application_that_was_deleted_is_made_anew() {
    let world = World::new().await;
    world.apply(FILE).await;
    let (id, app): (SourceId, AppId) = (world.source("one").id, world.source("one").app);
    world
        .directory
        .commit(vec![Change::DeleteApp(app)], None)
        .await
        .unwrap();
    assert_eq!(
        world.apply(FILE).await,
        [
            "~ source one: application",
            "+ endpoint one/file-1 (file:a.jsonl)",
            "+ endpoint one/keep (file:b.jsonl)",
        ]
    );
    let after = world.source("one");
    assert!(after.id == id && after.app != app);
}
