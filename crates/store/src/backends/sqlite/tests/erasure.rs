//! What is erased cannot be read from the disk any more.

use std::time::Instant;

use bellwire_core::id::AttemptId;

use super::*;
use crate::query::{AttemptFilter, AttemptKey, Order, Page, Start};

const ALL: Page = Page {
    limit: 200,
    start: Start::First,
    order: Order::Descending,
};

/// The files of a folder that hold this text.
pub(super) fn holders(folder: &Path, text: &str) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let holds = |path: &std::path::PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    files
        .filter(holds)
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect()
}

/// A payload of this many bytes with the text in it from its start to its end.
fn payload(text: &str, bytes: usize) -> Bytes {
    Bytes::from(text.repeat(bytes / text.len() + 1))
}

async fn publish_of(f: &Fixture, app: AppId, text: &str, bytes: usize) -> MessageId {
    let mut one = message(&[(10, false)]);
    one.app = app;
    one.payload = payload(text, bytes);
    let id = f.store.append(one).await.unwrap().id;
    for work in f.received.take() {
        let mut settled = settlement(&work, Verdict::Failed);
        if let Some(outcome) = &mut settled.outcome {
            outcome.response = payload(&text.replace("CANARY", "ANSWER"), bytes.min(2_000));
        }
        f.store.settle(Arc::new(vec![settled])).await.unwrap();
    }
    id
}

/// One id of an attempt of a message.
async fn attempt_of(f: &Fixture, id: MessageId) -> AttemptId {
    let rows = f
        .store
        .attempts_of_message(app(), id, AttemptFilter::default(), ALL)
        .await;
    rows.unwrap().items[0].attempt.id
}

#[tokio::test]
async fn an_expunged_payload_and_answer_are_nowhere_on_the_disk() {
    let f = Fixture::new().await;
    let mut ids = Vec::new();
    for bytes in [40, 900, 60_000] {
        publish_of(&f, app(), "bystander", 300).await;
        ids.push(publish_of(&f, app(), "CANARY-ONE", bytes).await);
    }
    assert!(!holders(f.folder.path(), "CANARY-ONE").is_empty());
    for id in ids {
        assert_eq!(f.store.expunge_payload(app(), id).await, Ok(true));
        let key = AttemptKey {
            app: app(),
            message: id,
            attempt: attempt_of(&f, id).await,
        };
        assert_eq!(f.store.expunge_attempt(key).await, Ok(true));
    }
    // The log is emptied while the store is open; a checkpoint under way may put that off.
    let begun = Instant::now();
    while ["CANARY-ONE", "ANSWER-ONE"]
        .iter()
        .any(|text| !holders(f.folder.path(), text).is_empty())
    {
        assert!(begun.elapsed() < Duration::from_secs(20), "it stays there");
        f.store.write(|_| Ok(())).await.unwrap();
    }
    assert!(!holders(f.folder.path(), "bystander").is_empty());
    assert_eq!(f.proven().await, (0, 0, 6, 0));
    f.store.close().await;
    for text in ["CANARY-ONE", "ANSWER-ONE"] {
        assert_eq!(holders(f.folder.path(), text), Vec::<String>::new(), "{text}");
    }
}

#[tokio::test]
async fn an_erased_application_is_nowhere_on_the_disk() {
    let f = Fixture::new().await;
    let other = AppId::from_number(2);
    for at in 0..300 {
        publish_of(&f, app(), "CANARY-TWO", 20 + at * 7).await;
        publish_of(&f, other, "bystander", 20 + at * 5).await;
    }
    let mut erased = 0;
    loop {
        match f.store.erase_app(app(), 50).await.unwrap() {
            0 => break,
            more => erased += more,
        }
    }
    assert_eq!(erased, 300);
    f.proven().await;
    f.store.close().await;
    // Of answers, pieces may stay where inserting moved rows between pages; see docs/operating.md.
    assert_eq!(holders(f.folder.path(), "CANARY-TWO"), Vec::<String>::new());
    assert_eq!(holders(f.folder.path(), "bystander"), ["bellwire.db"]);
}

#[tokio::test]
async fn overwriting_ends_with_the_write_that_erases() {
    let f = Fixture::new().await;
    let secure = |tx: &mut super::super::tx::Tx<'_>| {
        Ok(tx
            .connection
            .query_row("PRAGMA secure_delete", [], |row| row.get::<_, i64>(0))?)
    };
    assert_eq!(f.store.write(secure).await, Ok(2));
    assert_eq!(f.store.erase(secure).await, Ok(1));
    assert_eq!(f.store.write(secure).await, Ok(2));
}
