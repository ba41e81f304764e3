//! What can happen in a step. Requests run as tasks of their own, so that a crash finds them under way.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bellwire_core::{
    delivery::{DeliveryKey, Trigger},
    id::{AppId, EndpointId, MessageId},
    message::{IdempotencyKey, NewMessage},
};
use bellwire_store::{
    AppendError, Clock as _, Store as _,
    directory::Incoming,
    query::{Requeue, Tending},
};
use bellwire_testkit::{Reply, Script, Verb};
use bytes::Bytes;
use tokio::time::sleep;

use crate::{
    changes,
    life::{Ground, Life, Standing, pick},
};

/// What messages are in order with. One in seven has no key.
const KEYS: [Option<&str>; 7] = [None, Some("a"), Some("a"), Some("a"), Some("b"), Some("b"), Some("c")];

/// Whether the process ends with this step.
pub enum Die {
    No,
    Crash,
    Stop(Duration),
}

/// The application of a publication, and the message it became.
type Publication = (AppId, Option<MessageId>);
/// An endpoint and how it stands by the answer; `None` when it was refused to be made.
type Answer = (EndpointId, Option<Standing>);

/// Publications that were not heard of, by their idempotency key: of which application, and the id once it was told.
#[derive(Default)]
pub struct Unanswered {
    keys: Arc<Mutex<BTreeMap<u64, Publication>>>,
    last: u64,
}

/// Endpoints with a change under way, and what was answered to those that ended.
#[derive(Default)]
pub struct Busy {
    pub under_way: Vec<EndpointId>,
    pub answered: Arc<Mutex<Vec<Answer>>>,
}

impl Busy {
    pub fn contains(&self, id: EndpointId) -> bool {
        self.under_way.contains(&id)
    }

    /// The process is gone: what was not answered may have happened or not.
    pub fn abandon(&mut self, ground: &mut Ground) {
        self.take_in(ground);
        ground.uncertain.append(&mut self.under_way);
    }

    /// Takes in what was answered meanwhile.
    pub fn take_in(&mut self, ground: &mut Ground) {
        let answered = std::mem::take(&mut *self.answered.lock().unwrap_or_else(PoisonError::into_inner));
        for (id, standing) in answered {
            self.under_way.retain(|other| *other != id);
            let Some(standing) = standing else { continue };
            match ground.endpoints.iter_mut().find(|known| known.id == id) {
                Some(known) => *known = standing,
                None => ground.endpoints.push(standing),
            }
        }
    }
}

/// One step: something happens, and time passes.
pub async fn step(life: &mut Life<'_>) -> Die {
    life.busy.take_in(life.ground);
    let mut die = Die::No;
    match life.ground.random.u32(0..100) {
        0..30 => publish(life),
        30..35 => publish_again(life),
        35..48 => changes::change_endpoint(life),
        48..51 => changes::put_new_endpoint(life),
        51..58 => resend(life),
        58..62 => tend(life),
        62..75 => change_receiver(life),
        75..80 => break_store(life),
        80..84 => heal_store(life),
        84..88 => jump(life),
        88..90 => expunge(life),
        90..94 => die = Die::Crash,
        94..97 => {
            die = Die::Stop(*pick(
                &mut life.ground.random,
                &[0, 500, 40_000].map(Duration::from_millis),
            ))
        }
        _ => {}
    }
    let span = match life.ground.random.u32(0..20) {
        0..6 => 0..=20,
        6..14 => 0..=4_000,
        14..18 => 0..=40_000,
        18 => 0..=180_000,
        _ => 0..=900_000,
    };
    let pause = Duration::from_millis(life.ground.random.u64(span));
    sleep(pause).await;
    life.busy.take_in(life.ground);
    die
}

// -- publishing --------------------------------------------------------------------------------------------------------

fn publish(life: &mut Life<'_>) {
    let most = if life.ground.crowded { 12 } else { 4 };
    for _ in 0..life.ground.random.u32(1..=most) {
        let app = life.ground.apps[life.ground.random.usize(0..2)];
        let unanswered = &mut life.ground.unanswered;
        unanswered.last += 1;
        let key = unanswered.last;
        unanswered
            .keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, (app, None));
        request(life, key, app);
    }
}

/// A client that heard nothing (or lost what it heard) asks again.
fn publish_again(life: &mut Life<'_>) {
    let known: Vec<_> = {
        let keys = life
            .ground
            .unanswered
            .keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        keys.iter().map(|(key, (app, _))| (*key, *app)).collect()
    };
    if !known.is_empty() {
        let (key, app) = *pick(&mut life.ground.random, &known);
        request(life, key, app);
    }
}

fn request(life: &mut Life<'_>, key: u64, app: AppId) {
    let (store, directory) = (Arc::clone(&life.ground.store), Arc::clone(&life.directory));
    let (oracle, keys) = (
        Arc::clone(&life.ground.oracle),
        Arc::clone(&life.ground.unanswered.keys),
    );
    let event_type = format!("type.{}", key % 3);
    let ordering_key = KEYS[usize::try_from(key % 7).unwrap_or_default()];
    let later = (key.is_multiple_of(11)).then(|| directory.now().plus(Duration::from_secs(20)));
    life.requests.spawn(async move {
        let routes = directory.routes(
            app,
            &Incoming {
                event_type: &event_type,
                channels: &[],
                ordering_key,
                payload: b"{}",
                inbound: None,
            },
        );
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&key.to_le_bytes());
        let now = directory.now();
        let message = NewMessage {
            app,
            event_type,
            event_id: key.is_multiple_of(5).then(|| format!("evt-{key}")),
            channels: Vec::new(),
            tags: Vec::new(),
            ordering_key: ordering_key.map(str::to_owned),
            payload: Bytes::from_static(b"{}"),
            payload_expires_at: now.plus(Duration::from_secs(90 * 86_400)),
            deliver_at: later,
            traceparent: None,
            content_type: None,
            inbound: None,
            routes: routes.clone(),
            idempotency: Some(IdempotencyKey {
                key: bytes,
                body: [0; 32],
            }),
        };
        match store.append(message).await {
            Ok(appended) => {
                let earlier = {
                    let mut keys = keys.lock().unwrap_or_else(PoisonError::into_inner);
                    keys.insert(key, (app, Some(appended.id))).and_then(|(_, id)| id)
                };
                oracle.note(&format!("accepted {} as {}", key, appended.id));
                if earlier.is_some_and(|earlier| earlier != appended.id) && !appended.repeated {
                    // A key is forgotten after half a day: with a jump of the clock, that comes soon.
                    oracle.note("the key was forgotten");
                }
                if !appended.repeated {
                    oracle.accepted(appended.id, routes);
                }
            }
            Err(error @ AppendError::IdempotencyMismatch) => oracle.broken(format!("{key}: {error}")),
            // After the key is forgotten, the event id still is not.
            Err(error) => oracle.note(&format!("refused {key}: {error}")),
        }
    });
}

// -- by hand -----------------------------------------------------------------------------------------------------------

fn resend(life: &mut Life<'_>) {
    let messages = life.ground.oracle.messages();
    let open: Vec<_> = life
        .ground
        .endpoints
        .iter()
        .filter(|known| !known.deleted && !known.disabled)
        .collect();
    if messages.is_empty() || open.is_empty() {
        return;
    }
    let mut batch = Vec::new();
    for _ in 0..life.ground.random.u32(1..=3) {
        // Often one of the youngest: it is out, or in line.
        let young = &messages[messages.len().saturating_sub(6)..];
        let among = if life.ground.random.bool() { young } else { &messages };
        let message = *pick(&mut life.ground.random, among);
        let endpoint = pick(&mut life.ground.random, &open).id;
        let due_at = life.ground.clock.now();
        batch.push(Requeue {
            message,
            endpoint,
            due_at,
            trigger: Trigger::Manual,
        });
        life.ground.oracle.resend_asked(DeliveryKey { message, endpoint });
    }
    let (store, oracle) = (Arc::clone(&life.ground.store), Arc::clone(&life.ground.oracle));
    life.requests.spawn(async move {
        let started = store.requeue(batch.clone()).await;
        oracle.note(&format!("resent {started:?} of {}", batch.len()));
    });
}

fn tending(life: &mut Life<'_>) -> Tending {
    let now = life.ground.clock.now();
    let later = now.plus(Duration::from_secs(life.ground.random.u64(0..60)));
    *pick(
        &mut life.ground.random,
        &[
            Tending::Unblock(now),
            Tending::Unblock(later),
            Tending::Skip,
            Tending::Discard,
        ],
    )
}

/// A person does something about a line, or all lines of an endpoint.
fn tend(life: &mut Life<'_>) {
    let known: Vec<_> = life.ground.endpoints.iter().filter(|known| !known.deleted).collect();
    if known.is_empty() {
        return;
    }
    let endpoint = pick(&mut life.ground.random, &known).id;
    let tending = tending(life);
    let key = pick(&mut life.ground.random, &[None, None, Some(""), Some("a"), Some("b")]).map(str::to_owned);
    life.ground.oracle.tended(endpoint, tending);
    let (store, oracle) = (Arc::clone(&life.ground.store), Arc::clone(&life.ground.oracle));
    life.requests.spawn(async move {
        let changed = store.tend_line(endpoint, key.clone(), tending).await;
        oracle.note(&format!("{tending:?} of {key:?} at {endpoint}: {changed:?}"));
    });
}

/// All lines of all endpoints are tended; answers how many deliveries that changed.
pub async fn tend_all(life: &mut Life<'_>) -> Result<u64, String> {
    let known: Vec<EndpointId> = life.ground.endpoints.iter().map(|known| known.id).collect();
    let mut changed = 0;
    for endpoint in known {
        let tending = tending(life);
        life.ground.oracle.tended(endpoint, tending);
        let tended = life.ground.store.tend_line(endpoint, None, tending).await;
        changed += tended.map_err(|error| error.to_string())?;
    }
    life.ground.oracle.note(&format!("all lines are tended: {changed}"));
    Ok(changed)
}

fn expunge(life: &mut Life<'_>) {
    let messages = life.ground.oracle.messages();
    if messages.is_empty() {
        return;
    }
    let id = *pick(&mut life.ground.random, &messages);
    life.ground.oracle.expunged(id);
    let store = Arc::clone(&life.ground.store);
    let apps = life.ground.apps.clone();
    life.requests.spawn(async move {
        for app in apps {
            let _ = store.expunge_payload(app, id).await;
        }
    });
}

// -- the world ---------------------------------------------------------------------------------------------------------

fn change_receiver(life: &mut Life<'_>) {
    let random = &mut life.ground.random;
    if life.ground.endpoints.is_empty() {
        return;
    }
    let endpoint = pick(random, &life.ground.endpoints).id;
    let seconds = Duration::from_secs(random.u64(0..200));
    let script = match random.u32(0..12) {
        0..3 => Script::healthy(),
        3 | 4 => Script {
            replies: vec![(1, Reply::Status(200)), (1, Reply::Status(500))],
            takes_ms: 1..=300,
        },
        5 => Script::always(Reply::Refused),
        6 => Script::always(Reply::Hangs),
        7 => Script {
            replies: vec![(1, Reply::RetryAfter(429, seconds)), (2, Reply::Status(204))],
            takes_ms: 5..=50,
        },
        8 => Script::always(Reply::Status(503)),
        9 => Script {
            replies: vec![(1, Reply::Status(410)), (3, Reply::Status(500))],
            takes_ms: 1..=100,
        },
        10 => Script {
            replies: vec![(1, Reply::Status(200))],
            takes_ms: 1_000..=20_000,
        },
        _ => Script {
            replies: vec![
                (3, Reply::Status(200)),
                (1, Reply::Status(400)),
                (1, Reply::Hangs),
                (1, Reply::Refused),
                (1, Reply::RetryAfter(503, seconds)),
                (1, Reply::Status(302)),
            ],
            takes_ms: 1..=5_000,
        },
    };
    life.ground.oracle.note(&format!("{endpoint} from now on: {script:?}"));
    life.ground.action.script(endpoint, script);
}

fn break_store(life: &mut Life<'_>) {
    let random = &mut life.ground.random;
    life.ground.oracle.disturb();
    if random.u32(0..3) == 0 {
        let latency = Duration::from_millis(random.u64(1..=200));
        life.ground.oracle.note(&format!("the store takes up to {latency:?}"));
        life.ground.faults.slow_down(latency);
        return;
    }
    let share = *pick(random, &[0.1, 0.5, 1.0]);
    let verbs = if random.bool() {
        &Verb::ALL[..]
    } else {
        std::slice::from_ref(pick(random, &Verb::ALL))
    };
    life.ground
        .oracle
        .note(&format!("the store fails in {share} of {verbs:?}"));
    for verb in verbs {
        life.ground.faults.fail(*verb, share);
    }
}

fn heal_store(life: &mut Life<'_>) {
    life.ground.oracle.note("the store heals");
    life.ground.oracle.disturb();
    life.ground.faults.heal();
}

fn jump(life: &mut Life<'_>) {
    let seconds = *pick(&mut life.ground.random, &[1, 60, 3_600, 86_400]);
    let by = Duration::from_secs(life.ground.random.u64(1..=seconds));
    let clock = &life.ground.clock;
    life.ground.jumped = true;
    if life.ground.random.bool() {
        clock.jump_forth(by);
        life.ground.oracle.note(&format!("the clock jumps forth by {by:?}"));
        life.ground.oracle.disturb();
    } else {
        let from = clock.now();
        clock.jump_back(by);
        life.ground.oracle.note(&format!("the clock jumps back by {by:?}"));
        life.ground.oracle.jumped_back(from);
    }
}
