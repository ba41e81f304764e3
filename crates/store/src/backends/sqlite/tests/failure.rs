//! Disks that are full.

use std::sync::Arc;

use super::*;
use crate::error::{AppendError, StoreError};

/// Lets the file have no more pages than it has; or as many as it likes.
async fn limit_pages(store: &Sqlite, limited: bool) {
    let result = store.write(move |tx| {
        let pages: i64 = tx.connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        let limit = if limited { pages } else { 1 << 30 };
        tx.connection
            .query_row(&format!("PRAGMA max_page_count = {limit}"), [], |_| Ok(()))?;
        Ok(())
    });
    result.await.unwrap();
}

fn large() -> NewMessage {
    let mut message = message(&[(10, false)]);
    message.payload = Bytes::from(vec![b' '; 100_000]);
    message
}

#[tokio::test]
async fn a_full_disk_is_answered_unavailable_and_recovers_by_itself() {
    let f = Fixture::new().await;
    let (_, work) = f.publish(&[(10, false), (11, false)]).await;
    limit_pages(&f.store, true).await;

    let settled = Arc::new(vec![settlement(&work[0], Verdict::Succeeded)]);
    let (append, settle) = tokio::join!(f.store.append(large()), f.store.settle(settled.clone()));
    assert!(
        matches!(append, Err(AppendError::Store(StoreError::Unavailable(_)))),
        "{append:?}"
    );
    assert!(f.received.take().is_empty());
    assert!(f.store.health().await.unwritable.unwrap().contains("full"));
    // The settlement shared the failed commit, or came after it: repeating it is safe in both cases.
    if settle.is_err() {
        let _ = f.store.settle(settled.clone()).await;
    }

    limit_pages(&f.store, false).await;
    assert_eq!(f.store.health().await.unwritable, None);
    f.store.append(large()).await.unwrap();
    assert_eq!(f.received.take().len(), 1);
    f.settle(&work[1], Verdict::Failed).await;
    let report = f.store.check().await.unwrap();
    assert_eq!((report.messages, report.problems), (2, Vec::new()));
}

#[tokio::test]
async fn nothing_of_a_failed_commit_is_there_and_its_day_can_be_made_later() {
    let f = Fixture::new().await;
    limit_pages(&f.store, true).await;
    let refused: Vec<_> = (0..20).map(|_| f.store.append(large())).collect();
    assert!(futures_util::future::join_all(refused).await.iter().all(Result::is_err));
    let crashed = f.after_crash().await;
    assert_eq!(crashed.store.check().await.unwrap().messages, 0);
    limit_pages(&f.store, false).await;
    f.publish(&[(10, false)]).await;
    assert_eq!(f.proven().await, (0, 1, 0, 0));
}

#[tokio::test]
async fn a_panic_in_a_write_fails_that_commit_only() {
    let f = Fixture::new().await;
    let answer = f
        .store
        .write(|_| -> Result<(), super::super::fault::Fault> { panic!("a defect, on purpose") })
        .await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    f.publish(&[(10, false)]).await;
    assert_eq!(
        (f.proven().await, f.store.health().await.unwritable),
        ((0, 1, 0, 0), None)
    );
}

#[tokio::test]
async fn a_write_that_is_refused_is_undone_alone() {
    let f = Fixture::new().await;
    let refused = f.store.write(|tx| {
        tx.connection
            .execute("INSERT INTO due VALUES (1, 2, 3, 0, 0, 0, NULL, NULL, NULL)", [])?;
        Err::<(), _>(StoreError::NotFound("it").into())
    });
    let (refused, fine) = tokio::join!(refused, f.store.append(message(&[(10, true)])));
    assert_eq!((refused, fine.is_ok()), (Err(StoreError::NotFound("it")), true));
    assert_eq!(f.proven().await, (0, 1, 0, 0));
}
