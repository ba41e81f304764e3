//! scratch
use bellwire_core::{
    id::{AppId, EndpointId, Id},
    message::{NewMessage, Route},
    seal::{Keyring, MainSecret},
};
use bellwire_store::{
    ClaimRequest, Clock, SystemClock,
    backends::{self, OpenOptions},
    vault::Vault,
};
use bytes::Bytes;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir_in(".").unwrap();
    let url = format!("sqlite:{}", folder.path().display());
    let vault = || Vault::new(Keyring::new(MainSecret::from_bytes([1; 32]).unwrap()));
    let store = backends::open(&url, OpenOptions::new(Arc::new(SystemClock), vault()))
        .await
        .unwrap();
    let payload = Bytes::from("x".repeat(1000));
    let n: u64 = std::env::args().nth(1).unwrap().parse().unwrap();
    let begun = Instant::now();
    let mut set = tokio::task::JoinSet::new();
    for p in 0..256u64 {
        let store = Arc::clone(&store);
        let payload = payload.clone();
        set.spawn(async move {
            for i in 0..n / 256 {
                let e = (p * 7919 + i * 104729) % 1000;
                store
                    .append(NewMessage {
                        app: AppId::from_number(1),
                        event_type: "a.b".into(),
                        event_id: None,
                        channels: vec![],
                        tags: vec![],
                        payload: payload.clone(),
                        payload_expires_at: SystemClock.now().plus(Duration::from_secs(86400 * 30)),
                        deliver_at: None,
                        traceparent: None,
                        content_type: None,
                        routes: (0..4)
                            .map(|k| Route {
                                endpoint: EndpointId::from_number(e * 4 + k + 1),
                                stored: true,
                            })
                            .collect(),
                        idempotency: None,
                    })
                    .await
                    .unwrap();
                if p == 0 && i % (n / 256 / 8) == 0 {
                    println!("{} of {}: {:?}", i * 256, n, begun.elapsed());
                }
            }
        });
    }
    while set.join_next().await.is_some() {}
    let h = store.health().await;
    println!(
        "appended {} waiting {} in {:?}, {} MB",
        n,
        h.waiting,
        begun.elapsed(),
        h.bytes >> 20
    );
    let t = Instant::now();
    println!("lanes {} {:?}", store.lanes().await.unwrap().len(), t.elapsed());
    let t = Instant::now();
    store.health().await;
    println!("health {:?}", t.elapsed());
    drop(store);
    let t = Instant::now();
    let store = backends::open(&url, OpenOptions::new(Arc::new(SystemClock), vault()))
        .await
        .unwrap();
    println!("open {:?}", t.elapsed());
    let t = Instant::now();
    println!("lanes {} {:?}", store.lanes().await.unwrap().len(), t.elapsed());
    let t = Instant::now();
    let c = store
        .claim(ClaimRequest {
            endpoint: EndpointId::from_number(5),
            now: SystemClock.now(),
            limit: 500,
        })
        .await
        .unwrap();
    println!("claim {} {:?}", c.work.len(), t.elapsed());
    for (name, f) in [("check", 0), ("cancel", 1)] {
        let t = Instant::now();
        if f == 0 {
            println!("{:?}", store.check().await.unwrap());
        } else {
            println!("{:?}", store.cancel(EndpointId::from_number(9), 2000).await);
        }
        println!("{name} {:?}", t.elapsed());
    }
    let t = Instant::now();
    println!(
        "{:?} {:?}",
        store
            .retain(bellwire_store::query::Cutoffs {
                messages: SystemClock.now().plus(Duration::from_secs(86400 * 3)),
                attempts: SystemClock.now(),
                payloads: SystemClock.now().plus(Duration::from_secs(86400 * 60))
            })
            .await,
        t.elapsed()
    );
    store.close().await;
}
