//! How fast the embedded store puts in order what sources bring: no HTTP, no signatures, only the store.
//!
//! `cargo run --release -p bellwire-store --example arrive -- [arrivals] [keys] [at once] [payload bytes]`
//!
//! Numbers of each key come shuffled within a window of what is at once under way, as they do from a sender that retries.
//! Prints arrivals per second, and for comparison what `append` does of the same messages. The folder is made in the present
//! directory, so that it is that disk which is measured.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bellwire_core::{
    id::{AppId, Id},
    message::NewMessage,
    seal::{Keyring, MainSecret},
};
use bellwire_store::{
    Arrival, ArrivalPlace, Clock, Store, SystemClock,
    backends::{self, OpenOptions},
    vault::Vault,
};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

struct Load {
    arrivals: u64,
    keys: u64,
    at_once: usize,
    payload: Bytes,
}

impl Load {
    fn from_args() -> Self {
        let mut numbers = std::env::args().skip(1).map(|text| text.parse().unwrap_or(1));
        let mut next = |default| numbers.next().unwrap_or(default);
        Self {
            arrivals: next(50_000),
            keys: next(1_000),
            at_once: next(256) as usize,
            payload: Bytes::from(vec![b'x'; next(1_000) as usize]),
        }
    }

    fn message(&self, app: u64, n: u64) -> NewMessage {
        NewMessage {
            app: AppId::from_number(app),
            event_type: "invoice.paid".to_owned(),
            event_id: Some(format!("evt-{n}")),
            channels: Vec::new(),
            tags: Vec::new(),
            ordering_key: None,
            payload: self.payload.clone(),
            payload_expires_at: SystemClock.now().plus(Duration::from_secs(90 * 86_400)),
            deliver_at: None,
            traceparent: None,
            content_type: None,
            inbound: None,
            routes: Vec::new(),
            idempotency: None,
        }
    }

    /// The `n`th that comes. Of each window of arrivals, the last comes first.
    fn arrival(&self, n: u64) -> Arrival {
        let window = 10 * self.keys;
        let first = n / window * window;
        let last = (first + window).min(self.arrivals) - 1;
        let n = last - (n - first);
        Arrival {
            message: self.message(1, n),
            key: format!("customer-{}", n % self.keys),
            place: ArrivalPlace::Sequence {
                number: n / self.keys,
                start: Some(0),
                wait: Duration::from_secs(3_600),
            },
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let load = Load::from_args();
    let folder = tempfile::tempdir_in(".")?;
    let vault = Vault::new(Keyring::new(MainSecret::from_bytes([3; 32])?));
    let options = OpenOptions::new(Arc::new(SystemClock), vault);
    let store: Arc<dyn Store> = backends::open(&format!("sqlite:{}", folder.path().display()), options).await?;

    let begun = Instant::now();
    stream::iter((0..load.arrivals).map(|n| store.arrive(load.arrival(n))))
        .buffer_unordered(load.at_once)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    print("arrive", load.arrivals, begun.elapsed());
    let report = store.check().await?;
    if (report.messages, report.held, report.problems.len()) != (load.arrivals, 0, 0) {
        return Err(format!("not all were accepted: {report:?}").into());
    }

    let begun = Instant::now();
    stream::iter((0..load.arrivals).map(|n| store.append(load.message(2, n))))
        .buffer_unordered(load.at_once)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    print("append", load.arrivals, begun.elapsed());
    store.close().await;
    Ok(())
}

fn print(what: &str, n: u64, took: Duration) {
    println!("{what}: {:.0} a second", n as f64 / took.as_secs_f64());
}
