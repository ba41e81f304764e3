//! The database is away, full, read-only, or breaks off in the middle: nothing that was acknowledged is lost, nothing is
//! acknowledged that was not done, and no restart is needed.

#![expect(clippy::unwrap_used, reason = "all of it is a test")]

#[path = "postgres/relay.rs"]
mod relay;
#[path = "../../store/src/backends/postgres/tests/server.rs"]
mod server;

use std::{sync::Arc, time::Duration};

use bellwire_core::seal::{Keyring, MainSecret};
use bellwire_store::{
    AppendError, Clock, Store, StoreError, Verdict,
    backends::{self, OpenOptions},
    vault::Vault,
};
use bellwire_testkit::{
    ManualClock,
    conformance::{Backend, Bench},
};

use self::{
    relay::{Relay, Trick},
    server::{server, url},
};

/// A store of a user of its own, over a way of its own.
struct Shop<const NAME: char> {
    store: Arc<dyn Store>,
    relay: Relay,
}

fn user<const NAME: char>() -> String {
    format!("shop_{NAME}")
}

async fn open(url: &str, clock: Arc<ManualClock>) -> Arc<dyn Store> {
    let secret = MainSecret::from_bytes([3; 32]).unwrap();
    let clock = clock as Arc<dyn Clock>;
    let options = OpenOptions::new(clock, Vault::new(Keyring::new(secret)));
    backends::open(url, options).await.unwrap()
}

impl<const NAME: char> Backend for Shop<NAME> {
    async fn create(clock: Arc<ManualClock>) -> Self {
        let user = user::<NAME>();
        server().run(&format!("CREATE ROLE {user} LOGIN"));
        server().run(&format!("CREATE SCHEMA {user} AUTHORIZATION {user}"));
        let relay = Relay::to(server().folder());
        let store = open(&url(relay.folder(), &user, &user), clock).await;
        Self { store, relay }
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    async fn crash(self) -> Self {
        unreachable!("these tests kill no process")
    }
}

/// Ends every connection of the shop.
fn throw_out<const NAME: char>() {
    let user = user::<NAME>();
    server().run(&format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{user}'"
    ));
}

fn unavailable<T: std::fmt::Debug>(answer: Result<T, AppendError>) -> String {
    match answer {
        Err(AppendError::Store(StoreError::Unavailable(why))) => why,
        other => panic!("it is unavailable: {other:?}"),
    }
}

/// Until publishing works again; nobody starts anything anew.
async fn recovers<B: Backend>(bench: &Bench<B>, message: impl Fn() -> bellwire_core::message::NewMessage) {
    for _ in 0..200 {
        match bench.store().append(message()).await {
            Ok(_) => return,
            Err(error) => drop(unavailable::<()>(Err(error))),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it works again when the database is back");
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_found_out() {
    let bench = Bench::<Shop<'a'>>::new().await;
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    bench.backend().relay.play(Trick::LoseAnswer);
    let mut new = bench.message(&[endpoint]);
    new.event_id = Some("evt-1".to_owned());
    let appended = bench.store().append(new).await.unwrap();
    let work = inbox.take();
    assert_eq!(work.len(), 1, "it is handed over once");
    assert_eq!(work[0].message.id, appended.id);
    bench.backend().relay.play(Trick::LoseAnswer);
    let settlement = bench.settlement(&work[0], Verdict::Succeeded, Some(200));
    bench.store().settle(Arc::new(vec![settlement])).await.unwrap();
    assert_eq!(bench.attempts(appended.id).await.len(), 1);
    assert_eq!(bench.sound().await.counts.succeeded, 1);
}

#[tokio::test]
async fn a_commit_that_never_arrived_is_refused_and_leaves_nothing() {
    let bench = Bench::<Shop<'b'>>::new().await;
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    bench.backend().relay.play(Trick::LoseCommit);
    let mut new = bench.message(&[endpoint]);
    new.event_id = Some("evt-1".to_owned());
    unavailable(bench.store().append(new.clone()).await);
    assert!(inbox.take().is_empty());
    let appended = bench.store().append(new).await.unwrap();
    assert!(!appended.repeated, "its event id was not taken");
    assert_eq!(bench.sound().await.messages, 1);
    // A claim is given back, and a settlement that did not arrive is made when it is repeated.
    let work = inbox.take().remove(0);
    let settlement = bench.settlement(&work, Verdict::Succeeded, Some(200));
    bench.backend().relay.play(Trick::LoseCommit);
    let batch = Arc::new(vec![settlement]);
    assert!(bench.store().settle(Arc::clone(&batch)).await.is_err());
    bench.store().settle(batch).await.unwrap();
    assert_eq!(bench.attempts(appended.id).await.len(), 1);
    assert_eq!(bench.sound().await.counts.succeeded, 1);
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_is_found_out() {
    let bench = Bench::<Shop<'c'>>::new().await;
    let endpoint = bench.endpoint().await;
    bench.publish(&[endpoint]).await;
    bench.backend().relay.play(Trick::LoseAnswer);
    assert_eq!(bench.store().cancel(endpoint, 10).await, Ok(1));
    assert_eq!(bench.sound().await.counts.cancelled, 1);
    assert_eq!(bench.store().health().await.waiting, 0);
}

#[tokio::test]
async fn without_the_database_publishing_is_refused_and_what_is_out_is_settled_when_it_is_back() {
    let mut bench = Bench::<Shop<'d'>>::new().await;
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    bench.publish(&[endpoint]).await;
    let work = inbox.take().remove(0);
    bench.backend_mut().relay.cut().await;
    for _ in 0..3 {
        unavailable(bench.store().append(bench.message(&[endpoint])).await);
    }
    let settlement = Arc::new(vec![bench.settlement(&work, Verdict::Succeeded, Some(200))]);
    assert!(bench.store().settle(Arc::clone(&settlement)).await.is_err());
    assert!(bench.store().lanes().await.is_err());
    let why = bench.store().health().await.unwritable.unwrap();
    assert!(why.contains("cannot connect to PostgreSQL"), "{why}");
    bench.backend_mut().relay.mend();
    recovers(&bench, || bench.message(&[endpoint])).await;
    bench.store().settle(settlement).await.unwrap();
    let report = bench.sound().await;
    assert_eq!((report.messages, report.counts.succeeded), (2, 1));
    assert_eq!(bench.store().health().await.unwritable, None);
}

#[tokio::test]
async fn a_database_that_is_read_only_refuses_until_it_is_not() {
    let bench = Bench::<Shop<'e'>>::new().await;
    server().run(&format!(
        "ALTER ROLE {} SET default_transaction_read_only = on",
        user::<'e'>()
    ));
    throw_out::<'e'>();
    let _ = bench.store().append(bench.message(&[])).await;
    let why = unavailable(bench.store().append(bench.message(&[])).await);
    assert!(why.contains("read-only") && why.contains("standby"), "{why}");
    server().run(&format!(
        "ALTER ROLE {} RESET default_transaction_read_only",
        user::<'e'>()
    ));
    throw_out::<'e'>();
    recovers(&bench, || bench.message(&[])).await;
    assert_eq!(bench.sound().await.messages, 1);
}

#[tokio::test]
async fn a_database_without_a_connection_to_spare_refuses_until_it_has_one() {
    let bench = Bench::<Shop<'f'>>::new().await;
    server().run(&format!("ALTER ROLE {} CONNECTION LIMIT 0", user::<'f'>()));
    throw_out::<'f'>();
    let _ = bench.store().append(bench.message(&[])).await;
    let why = unavailable(bench.store().append(bench.message(&[])).await);
    assert!(why.contains("too many connections"), "{why}");
    server().run(&format!("ALTER ROLE {} CONNECTION LIMIT -1", user::<'f'>()));
    recovers(&bench, || bench.message(&[])).await;
    assert_eq!(bench.sound().await.messages, 1);
}

#[tokio::test]
async fn whoever_lost_its_place_writes_nothing_any_more() {
    let bench = Bench::<Shop<'g'>>::new().await;
    bench.publish(&[]).await;
    server().run(&format!("UPDATE {}.node SET epoch = epoch + 1", user::<'g'>()));
    for _ in 0..2 {
        let why = unavailable(bench.store().append(bench.message(&[])).await);
        assert!(why.contains("taken"), "{why}");
    }
    assert!(bench.store().apply(Vec::new(), None).await.is_err());
    assert!(bench.store().health().await.unwritable.is_some());
    assert_eq!(bench.sound().await.messages, 1, "what is stored can still be read");
}

/// Opens the shop's store once more, as another process.
async fn join<const NAME: char>(bench: &Bench<Shop<NAME>>) -> Arc<dyn Store> {
    let url = url(server().folder(), &user::<NAME>(), &user::<NAME>());
    open(&url, Arc::clone(&bench.clock)).await
}

/// Until a process has an endpoint. Whoever is gone is replaced within ten seconds.
async fn serves(store: &Arc<dyn Store>, endpoint: bellwire_core::id::EndpointId) {
    let has_it = async {
        while !store.serves(endpoint) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), has_it).await.unwrap();
}

#[tokio::test]
async fn two_processes_are_two_nodes() {
    let bench = Bench::<Shop<'h'>>::new().await;
    let second = join(&bench).await;
    assert_eq!((bench.store().node(), second.node()), (0, 1));
    let first = bench.publish(&[]).await;
    let other = second.append(bench.message(&[])).await.unwrap().id;
    assert_ne!(first, other);
    assert_eq!(bench.sound().await.messages, 2);
}

#[tokio::test]
async fn another_process_takes_over_when_one_is_gone() {
    let mut bench = Bench::<Shop<'j'>>::new().await;
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    let id = bench.publish(&[endpoint]).await;
    assert_eq!(inbox.take().len(), 1);
    let second = join(&bench).await;
    bench.publish(&[]).await;
    bench.backend_mut().relay.cut().await;
    serves(&second, endpoint).await;
    let heads = second.lanes().await.unwrap();
    assert_eq!(heads.len(), 1, "what was out waits again");
    let request = bellwire_store::ClaimRequest {
        endpoint,
        now: bench.now(),
        limit: 10,
    };
    assert_eq!(second.claim(request).await.unwrap().work[0].message.id, id);
    bench.backend_mut().relay.mend();
    for _ in 0..3 {
        unavailable(bench.store().append(bench.message(&[])).await);
    }
    bench.store().ousted().await;
    assert!(bench.store().health().await.unwritable.unwrap().contains("taken"));
    assert_eq!(second.check().await.unwrap().messages, 2);
}

#[tokio::test]
async fn a_process_that_hangs_in_the_middle_of_a_write_is_replaced_and_writes_nothing_any_more() {
    let mut bench = Bench::<Shop<'k'>>::new().await;
    let endpoint = bench.endpoint().await;
    bench.publish(&[endpoint]).await;
    let mut stale = bench.message(&[endpoint]);
    stale.event_id = Some("stale".to_owned());
    // Looking the event id up is a way of its own, so that the transaction is under way when all stands still.
    bench.backend().relay.play(Trick::Hang);
    let store = bench.store();
    let mut writing = tokio::task::JoinSet::new();
    writing.spawn(async move { store.append(stale).await });
    let second = join(&bench).await;
    serves(&second, endpoint).await;
    second.append(bench.message(&[endpoint])).await.unwrap();
    let relay = &mut bench.backend_mut().relay;
    relay.cut().await;
    relay.mend();
    unavailable(writing.join_next().await.unwrap().unwrap());
    unavailable(bench.store().append(bench.message(&[])).await);
    let report = second.check().await.unwrap();
    assert_eq!((report.messages, report.problems), (2, Vec::new()));
}

#[tokio::test]
async fn another_main_secret_is_told_when_it_is_opened() {
    let bench = Bench::<Shop<'i'>>::new().await;
    let user = user::<'i'>();
    bench.store().close().await;
    let secret = MainSecret::from_bytes([4; 32]).unwrap();
    let clock = Arc::clone(&bench.clock) as Arc<dyn Clock>;
    let options = OpenOptions::new(clock, Vault::new(Keyring::new(secret)));
    let refused = backends::open(&url(server().folder(), &user, &user), options).await;
    let why = refused.err().unwrap().to_string();
    assert!(why.contains("secrets in the store cannot be opened"), "{why}");
}
