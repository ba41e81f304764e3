//! The commands that handle the store, on real stores.

use std::path::Path;

use bellwire_core::{
    app::Environment,
    id::{EnvironmentId, Id as _},
    time::Timestamp,
};
use bellwire_store::Change;

use super::{backup, migrate, restore, rotate, *};
use crate::config::Hidden;

fn config(data: &Path) -> Config {
    let mut config = Config::default();
    config.storage.data = data.to_owned();
    config
}

/// Makes a store with one environment of this name.
async fn store_with(config: &Config, name: &str) {
    let store = open(config, &keys_of(config).unwrap()).await.unwrap();
    let id = EnvironmentId::from_number(1);
    let environment = Environment {
        id,
        name: name.to_owned(),
        validate_payloads: false,
        created_at: Timestamp::MIN,
        updated_at: Timestamp::MIN,
    };
    store
        .apply(vec![Change::PutEnvironment(environment)], None)
        .await
        .unwrap();
    store.close().await;
}

async fn name_in(config: &Config) -> String {
    let store = open(config, &keys_of(config).unwrap()).await.unwrap();
    let name = store.configuration().await.unwrap().environments[0].name.clone();
    store.close().await;
    name
}

#[tokio::test]
async fn a_backup_restores_and_what_was_there_is_moved_aside() {
    let folder = tempfile::tempdir().unwrap();
    let (config, file) = (config(&folder.path().join("data")), folder.path().join("copy.db"));
    store_with(&config, "before").await;
    backup::copy(&config, &file).await.unwrap();
    store_with(&config, "after").await;
    let refused = restore::restore(&config, &file, false).await.err().unwrap();
    assert!(matches!(refused, Failure::Usage(_)), "{refused}");
    assert_eq!(name_in(&config).await, "after");
    let restored = restore::restore(&config, &file, true).await.unwrap();
    assert_eq!(name_in(&config).await, "before");
    assert!(restored.aside.unwrap().is_file());
}

#[tokio::test]
async fn a_backup_that_cannot_be_used_leaves_everything_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (config, file) = (config(&folder.path().join("data")), folder.path().join("copy.db"));
    store_with(&config, "mine").await;
    std::fs::write(&file, "this is no database, however long it may be".repeat(100)).unwrap();
    assert!(restore::restore(&config, &file, true).await.is_err());
    assert_eq!(name_in(&config).await, "mine");
}

#[tokio::test]
async fn a_restore_wants_the_main_secret_first() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (config(&folder.path().join("one")), config(&folder.path().join("other")));
    let file = folder.path().join("copy.db");
    store_with(&one, "mine").await;
    backup::copy(&one, &file).await.unwrap();
    let refused = restore::restore(&other, &file, false).await.err().unwrap().to_string();
    assert!(refused.contains("main-secret"), "{refused}");
    assert!(!other.storage.data.exists(), "nothing was made");
}

#[tokio::test]
async fn commands_on_a_store_that_is_not_there_make_none() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder.path().join("data"));
    assert!(matches!(migrate::migrate(&config, true).await, Err(Failure::Usage(_))));
    assert!(matches!(migrate::migrate(&config, false).await, Err(Failure::Usage(_))));
    assert!(matches!(
        backup::copy(&config, &folder.path().join("copy.db")).await,
        Err(Failure::Usage(_))
    ));
    assert!(matches!(rotate::rotate(config).await, Err(Failure::Usage(_))));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_rehearsal_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder.path().join("data"));
    store_with(&config, "mine").await;
    let names = || {
        let mut names: Vec<_> = std::fs::read_dir(&config.storage.data)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let before = names();
    migrate::migrate(&config, true).await.unwrap();
    assert_eq!(names(), before);
}

#[tokio::test]
async fn a_store_in_use_is_noticed_where_the_store_says_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder.path().join("data"));
    let store = open(&config, &keys_of(&config).unwrap()).await.unwrap();
    assert!(place::is_in_use(&place::existing_file(&config).unwrap()));
    store.close().await;
    assert!(!place::is_in_use(&place::existing_file(&config).unwrap()));
}

#[tokio::test]
async fn rotation_replaces_the_kept_secret_and_finishes_what_was_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder.path().join("data"));
    store_with(&config, "mine").await;
    let current = || keys_of(&config).unwrap().ring.current.id();
    let first = current();
    rotate::rotate(config.clone()).await.unwrap();
    let second = current();
    assert_ne!(first, second);
    assert_eq!(name_in(&config).await, "mine");
    assert!(!keys::replaced_file(&config.storage.data).exists());

    // As a crash leaves it between the new secret and the sealing.
    rotate::replace(&config).unwrap();
    let third = current();
    assert_ne!(second, third);
    rotate::rotate(config.clone()).await.unwrap();
    assert_eq!(current(), third, "it was finished, not begun anew");
    assert!(!keys::replaced_file(&config.storage.data).exists());
    assert_eq!(name_in(&config).await, "mine");
}

#[tokio::test]
async fn a_configured_secret_is_rotated_in_two_steps() {
    let folder = tempfile::tempdir().unwrap();
    let with = |main: &str, previous: &[&str]| {
        let mut config = config(&folder.path().join("data"));
        config.secrets.main_secret = Some(Hidden::new(main));
        config.secrets.previous = previous.iter().map(|secret| Hidden::new(*secret)).collect();
        config
    };
    let (old, new) = (
        "old-old-old-old-old-old-old-old-old-old",
        "new-new-new-new-new-new-new-new-new-new",
    );
    store_with(&with(old, &[]), "mine").await;
    let explained = rotate::rotate(with(old, &[])).await.unwrap_err().to_string();
    assert!(explained.contains("previous_main_secrets"), "{explained}");
    let said = rotate::rotate(with(new, &[old])).await.unwrap();
    assert!(said.contains("previous_main_secrets can be removed"), "{said}");
    assert_eq!(name_in(&with(new, &[])).await, "mine");
}

#[tokio::test]
async fn a_backup_asks_the_server_that_has_the_store_open_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let serving = |name: &str| {
        let mut config = config(&folder.path().join(name));
        config.http.listen = ([127, 0, 0, 1], 0).into();
        config
    };
    let (mine, others) = (serving("mine"), serving("others"));
    let server = crate::serve::serve(mine.clone()).await.unwrap();
    let other = crate::serve::serve(others.clone()).await.unwrap();
    let token = server.new_token.as_ref().unwrap().expose().to_owned();
    let other_token = other.new_token.as_ref().unwrap().expose().to_owned();
    let file = folder.path().join("copy.db");
    let download = |token: String, url: String, instance: String| {
        let file = file.clone();
        async move {
            let ask = move || {
                use clap::Parser as _;
                let line = ["bellwire", "--url", &url, "--token", &token, "app", "list"];
                let globals = crate::cli::Cli::try_parse_from(line).unwrap().globals;
                let header = (crate::serve::backup::INSTANCE, instance.as_str());
                crate::cli::Client::new(&globals)?.download(crate::serve::backup::PATH, header, &file)
            };
            tokio::task::spawn_blocking(ask).await.unwrap()
        }
    };

    // Another server, although the token is good there, gives nothing.
    let backup::From::Server(found) = backup::copy(&mine, &file).await.unwrap() else {
        panic!("a store in use is copied by its server");
    };
    assert_eq!(found.url, format!("http://{}", server.address));
    let elsewhere = format!("http://{}", other.address);
    let refused = download(other_token, elsewhere, found.instance.clone())
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("not the one"), "{refused}");
    assert!(!file.exists());
    download(token, found.url, found.instance).await.unwrap();
    assert!(file.is_file());

    for server in [server, other] {
        server.stop.gracefully.cancel();
        server.wait().await;
    }
    assert!(!folder.path().join("mine/bellwire.server").exists());
    // In use by something that is no server.
    let store = open(&mine, &keys_of(&mine).unwrap()).await.unwrap();
    let refused = backup::copy(&mine, &folder.path().join("again.db"))
        .await
        .err()
        .unwrap();
    assert!(refused.to_string().contains("no server says"), "{refused}");
    store.close().await;
}
