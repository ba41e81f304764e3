//! How much waits: for whom, told when it changes and when somebody is attached.

use super::{
    reading::{endpoint, environment, tenant},
    *,
};
use crate::{Directory, contract::Change, query::Backlog};

#[tokio::test]
async fn what_waits_is_told_after_each_commit_that_changed_it_and_never_otherwise() {
    let f = Fixture::new().await;
    let (_, work) = f.publish(&[(10, false)]).await;
    f.settle(&work[0], Verdict::Succeeded).await;
    assert_eq!(f.received.told(10), None, "a first try that succeeds waits nowhere");
    f.publish(&[(10, true), (11, true)]).await;
    f.publish(&[(10, true)]).await;
    assert_eq!((f.received.told(10), f.received.told(11)), (Some(2), Some(1)));
    for _ in 0..3 {
        f.publish_in("a", 0).await;
    }
    assert_eq!(f.received.told(10), Some(5));
    assert_eq!(f.store.health().await.waiting, 6);
    assert_eq!(f.store.cancel(ep(10), 100).await, Ok(4));
    // The head is out; until it is settled its place is there.
    assert_eq!((f.received.told(10), f.store.health().await.waiting), (Some(1), 2));
    f.proven().await;
}

#[tokio::test]
async fn whoever_is_attached_is_told_all_of_it_also_after_a_crash() {
    let f = Fixture::new().await;
    f.publish(&[(10, true), (11, false), (12, false)]).await;
    let crashed = f.after_crash().await;
    let received = Arc::new(Received::default());
    crashed.store.attach(Arc::clone(&received) as Arc<dyn Handoff>);
    assert_eq!(
        (received.told(10), received.told(11), received.told(12)),
        (Some(1), Some(1), Some(1))
    );
    crashed.store.close().await;
    let store = open(crashed.folder.path(), &f.clock).await.unwrap();
    let received = Arc::new(Received::default());
    store.attach(Arc::clone(&received) as Arc<dyn Handoff>);
    assert_eq!(received.told(12), Some(1));
    assert_eq!(store.health().await.waiting, 3);
}

#[tokio::test]
async fn what_a_refused_write_would_have_changed_is_not_counted() {
    let f = Fixture::new().await;
    f.publish(&[(10, true)]).await;
    let refused = f.store.write(|tx| {
        super::super::hand::cancel(tx, 10, 1)?;
        Err::<(), _>(crate::StoreError::NotFound("it").into())
    });
    assert!(refused.await.is_err());
    assert_eq!((f.received.told(10), f.claim(10).await.len()), (Some(1), 1));
    f.proven().await;
}

#[tokio::test]
async fn the_backlog_says_since_when_it_waits() {
    let f = Fixture::new().await;
    assert_eq!(f.store.backlog(ep(10)).await, Ok(Backlog::default()));
    let (_, work) = f.publish(&[(10, false)]).await;
    let later = NOON.plus(DAY);
    f.settle(&work[0], Verdict::RetryAt(later)).await;
    let expected = Backlog {
        waiting: 1,
        oldest_due: Some(later),
        blocked_lines: 0,
    };
    assert_eq!(f.store.backlog(ep(10)).await, Ok(expected));
}

/// Tells a directory.
struct ToDirectory(Arc<Directory>);

impl Handoff for ToDirectory {
    fn fresh(&self, _: Vec<Work>) {}

    fn stored(&self, _: LaneHead) {}

    fn waiting(&self, counts: &[(EndpointId, u64)]) {
        self.0.note_waiting(counts);
    }
}

#[tokio::test]
async fn what_waits_for_an_endpoint_that_is_removed_is_in_no_total_any_more() {
    let f = Fixture::new().await;
    let directory = Directory::open(
        Arc::clone(&f.store) as Arc<dyn Store>,
        Arc::clone(&f.clock) as Arc<dyn Clock>,
    );
    let directory = Arc::new(directory.await.unwrap());
    f.store.attach(Arc::new(ToDirectory(Arc::clone(&directory))));
    let mut second = endpoint();
    (second.id, second.uid) = (ep(11), None);
    let changes = vec![
        Change::PutEnvironment(environment()),
        Change::PutApp(tenant()),
        Change::PutEndpoint(Box::new(endpoint())),
        Change::PutEndpoint(Box::new(second)),
    ];
    directory.commit(changes, None).await.unwrap();
    f.store.append(message(&[(10, true), (11, true)])).await.unwrap();
    f.store.append(message(&[(11, true), (99, true)])).await.unwrap();
    assert_eq!((directory.waiting(), directory.waiting_of(app())), (3, 3));
    directory
        .commit(vec![Change::DeleteEndpoint(ep(11))], None)
        .await
        .unwrap();
    assert_eq!((directory.waiting(), directory.waiting_of(app())), (1, 1));
    // It is told of the endpoint all the same, and passes over it.
    assert_eq!(f.store.cancel(ep(11), 1).await, Ok(1));
    assert_eq!(directory.waiting(), 1);
    directory.commit(vec![Change::DeleteApp(app())], None).await.unwrap();
    assert_eq!((directory.waiting(), directory.waiting_of(app())), (0, 0));
}
