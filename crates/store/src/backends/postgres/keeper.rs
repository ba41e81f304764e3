//! Says every second that this node is alive, keeps its session, hears what others say, and says what there is to be said.
//!
//! All of it goes over one connection of its own, so that it never waits for anybody who reads or writes.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bellwire_core::id::{EndpointId, Id as _};
use tokio::time::{sleep, timeout};

use super::{
    argument::args,
    cluster::Cluster,
    columns::{key, number},
    connection::{Connection, Listener, Server},
    fault::Fault,
    node::lock,
    shared::Shared,
    word::Word,
};
use crate::contract::LaneHead;

/// How often a node is heard of.
const BEAT: Duration = Duration::from_secs(1);
/// How often it asks for the configuration's version.
const LOOK: Duration = Duration::from_millis(200);
/// A question that is not answered within so long is as good as lost.
const PATIENCE: Duration = Duration::from_secs(3);

/// The keeper.
pub(super) struct Keeper {
    pub server: Server,
    pub shared: Arc<Shared>,
    pub cluster: Arc<Cluster>,
}

/// Another process has this node's place.
struct Ousted;

impl Keeper {
    /// Until it is aborted, or another process has taken the node's place.
    pub async fn run(self) {
        tokio::select! {
            Ousted = self.live() => {}
            () = self.speak() => {}
        }
        self.shared.fence();
        self.cluster.oust();
        tracing::error!(
            "another process has taken this node's place; nothing is written any more: this one begins anew"
        );
    }

    async fn live(&self) -> Ousted {
        let mut beaten_at: Option<Instant> = None;
        let mut echo = 0;
        loop {
            let asked = Instant::now();
            let reports = beaten_at.is_none_or(|at| at.elapsed() >= BEAT);
            match timeout(PATIENCE, self.ask(reports)).await {
                Ok(Ok(Some(()))) if reports => {
                    beaten_at = Some(asked);
                    self.cluster.gate.was_alive(asked);
                    echo += 1;
                    self.cluster.say(Word::Echo(echo));
                }
                Ok(Ok(Some(()))) => {}
                Ok(Ok(None)) => return Ousted,
                Ok(Err(fault)) => {
                    tracing::debug!(?fault, "the node could not say that it is alive");
                    self.cluster.set_connection(None);
                    // Without a session others take the place sooner.
                    self.cluster.gate.close();
                    beaten_at = None;
                }
                Err(_) => {
                    self.cluster.set_connection(None);
                    self.cluster.gate.close();
                    beaten_at = None;
                }
            }
            tokio::select! {
                () = sleep(LOOK.saturating_sub(asked.elapsed())) => {}
                () = self.cluster.reports.notified() => beaten_at = None,
            }
        }
    }

    /// Says that this node is alive, when it is time, and asks for the configuration's version. `None` when the place is
    /// another's.
    async fn ask(&self, beats: bool) -> Result<Option<()>, Fault> {
        let connection = self.connection().await?;
        let schema = &self.server.address.schema;
        let cluster = &self.cluster;
        let in_force = cluster.in_force();
        if beats {
            // What is lost of it when the database fails is said again a second later.
            let sql = format!(
                "WITH quickly AS (SELECT set_config('synchronous_commit', 'off', true)) \
                 UPDATE {schema}.member SET renewed_at = clock_timestamp(), backend = pg_backend_pid(), version = $3 \
                 FROM quickly WHERE number = $1 AND epoch = $2"
            );
            let version = in_force.map(key);
            let own = cluster.own;
            if connection.execute(&sql, args![own.number, own.epoch, version]).await? == 0 {
                return Ok(None);
            }
            if in_force.is_some() && !cluster.is_alone() {
                cluster.say(Word::InForce);
            }
        }
        let asked = Instant::now();
        let sql = format!("SELECT value FROM {schema}.meta WHERE key = 'configuration'");
        let version = connection.row(&sql, &[]).await?.map_or(0, |row| number(row.get(0)));
        cluster.has_version(version);
        if in_force.is_none_or(|in_force| in_force >= version) {
            cluster.gate.was_current(asked);
        }
        Ok(Some(()))
    }

    async fn connection(&self) -> Result<Arc<Connection>, Fault> {
        if let Some(kept) = self.cluster.connection() {
            return Ok(kept);
        }
        self.cluster.gate.close();
        let connection = open_session(&self.server, &self.shared, &self.cluster).await?;
        // Our own former session may still hold it; the epoch decides, not the lock.
        lock(&connection, &self.server.address.schema, self.cluster.own.number).await?;
        let connection = Arc::new(connection);
        self.cluster.set_connection(Some(Arc::clone(&connection)));
        // What was said meanwhile was not heard.
        self.cluster.looks.notify_one();
        self.cluster.moves.notify_one();
        Ok(connection)
    }

    /// Says what there is to be said, whatever gathered at once.
    async fn speak(&self) {
        let channel = channel(&self.server.address.schema);
        loop {
            self.cluster.speaks.notified().await;
            // Without a connection it is lost: others find out by looking.
            let texts = self.cluster.take_unsaid();
            let Some(connection) = self.cluster.connection().filter(|_| !texts.is_empty()) else {
                continue;
            };
            let words = texts.len() as u64;
            match timeout(PATIENCE, notify(&connection, &channel, texts)).await {
                Ok(Ok(())) => {
                    self.cluster.counted.said.fetch_add(words, Ordering::Relaxed);
                }
                said => tracing::debug!(?said, "nothing could be said to the other nodes"),
            }
        }
    }
}

/// Says one word at once.
pub(super) async fn say(connection: &Connection, schema: &str, word: &Word) -> Result<(), Fault> {
    notify(connection, &channel(schema), vec![word.write()]).await
}

async fn notify(connection: &Connection, channel: &str, texts: Vec<String>) -> Result<(), Fault> {
    let sql = "SELECT pg_notify($1, said) FROM unnest($2) AS said";
    connection.rows(sql, args![channel, texts]).await.map(drop)
}

fn channel(schema: &str) -> String {
    format!("bellwire_{schema}")
}

/// A connection that hears what others say.
pub(super) async fn open_session(
    server: &Server,
    shared: &Arc<Shared>,
    cluster: &Arc<Cluster>,
) -> Result<Connection, Fault> {
    let connection = server.connect_hearing(Some(listener(shared, cluster))).await?;
    connection
        .batch(&format!("LISTEN {}", channel(&server.address.schema)))
        .await?;
    Ok(connection)
}

fn listener(shared: &Arc<Shared>, cluster: &Arc<Cluster>) -> Listener {
    let (shared, cluster) = (Arc::clone(shared), Arc::clone(cluster));
    Arc::new(move |text| {
        cluster.counted.heard.fetch_add(1, Ordering::Relaxed);
        hear(text, &shared, &cluster);
    })
}

fn hear(text: &str, shared: &Shared, cluster: &Cluster) {
    match Word::read(text) {
        Some(Word::Waits(heads)) => {
            let Some(handoff) = shared.handoff() else { return };
            for (endpoint, due_at) in heads {
                if cluster.owned.serves(endpoint) {
                    handoff.stored(LaneHead {
                        endpoint: EndpointId::from_number(endpoint),
                        due_at,
                    });
                }
            }
        }
        Some(Word::Look) => cluster.looks.notify_one(),
        Some(Word::Version(version)) => cluster.has_version(version),
        Some(Word::InForce) => cluster.confirms.notify_waiters(),
        Some(Word::Moved) => cluster.moves.notify_one(),
        Some(Word::Wish) => cluster.wishes.notify_waiters(),
        Some(Word::Echo(_)) => cluster.heard(),
        None => {}
    }
}
