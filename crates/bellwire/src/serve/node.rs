//! A server among others that share its store: what they see it by, what they change, and that one has taken its place.

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bellwire_store::{Directory, Store};

use crate::supervise::{OnPanic, Stage, Stop, Supervisor};

/// Where Linux keeps the machine's name.
const NAME: &str = "/proc/sys/kernel/hostname";

/// What others see this server by: its machine's name and its port.
pub(super) fn host(address: SocketAddr) -> String {
    let name = fs::read_to_string(NAME).unwrap_or_default();
    match name.trim() {
        "" => address.to_string(),
        name => format!("{name}:{}", address.port()),
    }
}

/// Takes over what other servers change, until the last attempt was begun; and stops this one at once when another has taken
/// its place. Answers whether that was the reason.
pub(super) fn follow(
    supervisor: &mut Supervisor,
    store: &Arc<dyn Store>,
    directory: &Arc<Directory>,
    stop: &Stop,
) -> Arc<AtomicBool> {
    let directory = Arc::clone(directory);
    supervisor.spawn(Stage::Delivery, "configuration", OnPanic::Restart, move |stop| {
        let directory = Arc::clone(&directory);
        async move {
            let _ = stop.run_until_cancelled(directory.follow()).await;
        }
    });
    let ousted = Arc::<AtomicBool>::default();
    let (store, told, now) = (Arc::clone(store), Arc::clone(&ousted), stop.now.clone());
    supervisor.spawn(Stage::Telemetry, "node", OnPanic::Restart, move |stop| {
        let (store, told, now) = (Arc::clone(&store), Arc::clone(&told), now.clone());
        async move {
            if stop.run_until_cancelled(store.ousted()).await.is_some() {
                told.store(true, Ordering::Relaxed);
                // Nothing that is under way can be written any more.
                now.cancel();
                stop.cancelled().await;
            }
        }
    });
    ousted
}
