//! The database server is killed and started again under load: what was acknowledged is there, and is delivered.

#![expect(clippy::unwrap_used, reason = "all of it is a test")]

#[path = "../../store/src/backends/postgres/tests/server.rs"]
mod server;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bellwire_core::{
    id::MessageId,
    seal::{Keyring, MainSecret},
};
use bellwire_store::{
    AppendError, Clock, Store, StoreError, Verdict,
    backends::{self, OpenOptions},
    vault::Vault,
};
use bellwire_testkit::{
    ManualClock,
    conformance::{Backend, Bench},
};
use futures_util::future::join_all;
use tokio::time::sleep;

use self::server::{DURABLE, Server, own_server, url};

const ROUNDS: usize = 20;
const PUBLISHERS: usize = 6;
const LOAD: Duration = Duration::from_millis(250);

struct Durable {
    server: Arc<Mutex<Server>>,
    store: Arc<dyn Store>,
}

impl Backend for Durable {
    async fn create(clock: Arc<ManualClock>) -> Self {
        let server = own_server(DURABLE);
        let secret = MainSecret::from_bytes([3; 32]).unwrap();
        let options = OpenOptions::new(clock as Arc<dyn Clock>, Vault::new(Keyring::new(secret)));
        let store = backends::open(&url(server.folder(), "bellwire", "bellwire"), options)
            .await
            .unwrap();
        Self {
            server: Arc::new(Mutex::new(server)),
            store,
        }
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    async fn crash(self) -> Self {
        unreachable!("this test kills the server, not us")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_under_load_loses_nothing_that_was_acknowledged() {
    let bench = Bench::<Durable>::new().await;
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    let is_over = AtomicBool::new(false);
    let acknowledged: Mutex<Vec<MessageId>> = Mutex::default();
    let publishers = (0..PUBLISHERS).map(async |_| {
        while !is_over.load(Ordering::Relaxed) {
            match bench.store().append(bench.message(&[endpoint])).await {
                Ok(appended) => acknowledged.lock().unwrap().push(appended.id),
                Err(AppendError::Store(StoreError::Unavailable(_))) => sleep(Duration::from_millis(10)).await,
                Err(other) => panic!("{other}"),
            }
        }
    });
    let settler = async {
        loop {
            let work = inbox.take();
            if work.is_empty() && is_over.load(Ordering::Relaxed) {
                return;
            }
            let batch = work
                .iter()
                .map(|work| bench.settlement(work, Verdict::Succeeded, Some(200)));
            let batch = Arc::new(batch.collect::<Vec<_>>());
            while bench.store().settle(Arc::clone(&batch)).await.is_err() {
                sleep(Duration::from_millis(10)).await;
            }
            sleep(Duration::from_millis(2)).await;
        }
    };
    let killer = async {
        for _ in 0..ROUNDS {
            sleep(LOAD).await;
            let server = Arc::clone(&bench.backend().server);
            tokio::task::spawn_blocking(move || server.lock().unwrap().crash())
                .await
                .unwrap();
        }
        // Until publishing works again.
        let so_far = acknowledged.lock().unwrap().len();
        while acknowledged.lock().unwrap().len() == so_far {
            sleep(Duration::from_millis(10)).await;
        }
        is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(join_all(publishers), settler, killer);
    let acknowledged = acknowledged.into_inner().unwrap();
    let report = bench.sound().await;
    assert_eq!(report.counts.pending, 0, "all of it is delivered: {report:?}");
    assert!(report.messages >= acknowledged.len() as u64);
    for id in &acknowledged {
        let found = bench.store().message(bench.app, *id, true).await.unwrap();
        assert!(found.is_some_and(|message| message.payload.is_some()), "{id} is lost");
        assert_eq!(bench.attempts(*id).await.len(), 1, "{id} has one attempt");
    }
}
