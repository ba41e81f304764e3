//! Opening, closing, copying.

use super::*;
use crate::backends::{self, sqlite::schema};

fn options(secret: u8) -> OpenOptions {
    OpenOptions::new(TestClock::at(NOON), vault(secret))
}

#[tokio::test]
async fn a_second_opening_is_refused_until_the_first_is_closed() {
    let f = Fixture::new().await;
    assert!(matches!(
        open(f.folder.path(), &f.clock).await,
        Err(OpenError::InUse(_))
    ));
    f.store.close().await;
    open(f.folder.path(), &f.clock).await.unwrap();
}

#[tokio::test]
async fn a_store_is_let_go_of_when_it_is_dropped() {
    let Fixture {
        folder, clock, store, ..
    } = Fixture::new().await;
    drop(store);
    open(folder.path(), &clock).await.unwrap();
}

#[tokio::test]
async fn a_store_of_a_newer_program_is_left_alone() {
    let f = Fixture::new().await;
    f.store.close().await;
    let path = f.folder.path().join("bellwire.db");
    rusqlite::Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 1_000)
        .unwrap();
    let refused = open(f.folder.path(), &f.clock).await;
    assert!(
        matches!(
            refused,
            Err(OpenError::TooNew { found: 1_000, known, .. }) if known == schema::newest_version()
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn another_programs_database_and_a_file_that_is_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.db");
    let connection = rusqlite::Connection::open(&other).unwrap();
    connection
        .execute_batch("CREATE TABLE t (a); PRAGMA user_version = 1;")
        .unwrap();
    drop(connection);
    let garbage = folder.path().join("garbage.db");
    std::fs::write(&garbage, vec![b'x'; 10_000]).unwrap();
    for path in [other, garbage] {
        let refused = Sqlite::open(path.to_str().unwrap(), options(7)).await;
        assert!(matches!(refused, Err(OpenError::Failed { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn another_main_secret_is_told_when_the_store_is_opened() {
    let f = Fixture::new().await;
    f.store.close().await;
    let location = f.folder.path().to_str().unwrap();
    let refused = Sqlite::open(location, options(8)).await;
    assert!(
        matches!(&refused, Err(OpenError::Sealed(why)) if why.contains("main_secret")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn the_table_of_backends_knows_its_schemes() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("x").display());
    let store = backends::open(&url, options(7)).await.unwrap();
    store.close().await;
    assert!(folder.path().join("x/bellwire.db").exists());
    let refused = backends::open("oracle://me:secret@db", options(7))
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        refused.contains("oracle") && refused.contains("sqlite:") && !refused.contains("secret"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_backup_is_a_store_and_does_not_overwrite() {
    let f = Fixture::new().await;
    let (_, work) = f.publish(&[(10, false), (11, false)]).await;
    f.settle(&work[0], Verdict::Succeeded).await;
    let copy = tempfile::tempdir().unwrap();
    let to = copy.path().join("bellwire.db");
    f.store.backup(&to).await.unwrap();
    assert!(f.store.backup(&to).await.is_err());
    let restored = open(copy.path(), &f.clock).await.unwrap();
    let report = restored.check().await.unwrap();
    assert_eq!((report.counts.succeeded, report.counts.pending), (1, 1));
    assert_eq!(restored.health().await.waiting, 1);
}
