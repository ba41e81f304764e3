//! Changes of endpoints: made, disabled, enabled, paused, resumed, put in another order, deleted; and when the oracle must take each for granted.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use bellwire_core::{
    endpoint::{Disabled, DisabledReason, Endpoint, LiveKey},
    id::AppId,
    order::{OnExhausted, OrderSettings, Ordering},
    secret::SigningKey,
};
use bellwire_store::{Change, Directory, StoreError};

use crate::life::{Ground, Life, Standing, pick};

/// Any order, by the publisher's key where it goes by keys.
fn reorder(random: &mut fastrand::Rng, order: &mut OrderSettings) {
    let ordering = *pick(
        random,
        &[Ordering::None, Ordering::Key, Ordering::Key, Ordering::Endpoint],
    );
    let on_exhausted = *pick(random, &[OnExhausted::Skip, OnExhausted::Block]);
    order.change_to(ordering, on_exhausted, None);
}

fn new_endpoint(ground: &mut Ground, directory: &Directory, app: AppId) -> Endpoint {
    let now = directory.now();
    let random = &mut ground.random;
    let mut order = OrderSettings::default();
    reorder(random, &mut order);
    let waits: Option<&[u64]> = *pick(random, &[None, None, None, Some(&[1, 10, 60][..]), Some(&[20, 20])]);
    Endpoint {
        id: directory.new_id(),
        app,
        uid: None,
        url: "https://receiver.example/".to_owned(),
        description: String::new(),
        disabled: None,
        paused: false,
        event_types: (random.u32(0..4) == 0).then(|| vec!["type.1".to_owned()]),
        channels: None,
        throttle_rate: *pick(random, &[None, None, None, None, Some(1), Some(20)]),
        metadata: BTreeMap::new(),
        headers: BTreeMap::new(),
        keys: vec![LiveKey {
            key: SigningKey::generate_symmetric([7; 24]),
            expires_at: None,
        }],
        retry_schedule: waits.map(|waits| waits.iter().copied().map(Duration::from_secs).collect()),
        timeout: (random.u32(0..4) == 0).then(|| Duration::from_secs(3)),
        max_in_flight: *pick(random, &[None, None, Some(1), Some(3)]),
        order,
        batch: None,
        http_signatures: false,
        action: Default::default(),
        workflow: Default::default(),
        created_at: now,
        updated_at: now,
    }
}

/// Those that are there from the beginning, one of them for operational events.
pub async fn create_endpoints(life: &mut Life<'_>) -> Result<(), String> {
    let n = life.ground.random.u32(2..=4);
    for at in 0..=n {
        let app = if at == n {
            life.ground.apps[2]
        } else {
            life.ground.apps[at as usize % 2]
        };
        let mut endpoint = new_endpoint(life.ground, &life.directory, app);
        if at == n {
            endpoint.event_types = None;
        }
        let (schedule, limit) = (life.ground.schedule_of(&endpoint), life.ground.limit_of(&endpoint));
        life.ground.oracle.endpoint(&endpoint, schedule, limit);
        let standing = Standing {
            id: endpoint.id,
            disabled: false,
            paused: false,
            deleted: false,
        };
        let made = life
            .directory
            .commit(vec![Change::PutEndpoint(Box::new(endpoint))], None)
            .await;
        made.map_err(|error| error.to_string())?;
        life.ground.endpoints.push(standing);
    }
    Ok(())
}

pub fn put_new_endpoint(life: &mut Life<'_>) {
    let app = life.ground.apps[life.ground.random.usize(0..2)];
    let endpoint = new_endpoint(life.ground, &life.directory, app);
    if life.ground.oracle.knows(endpoint.id) {
        // Its first putting failed, and the clock went back before a restart: nobody has heard of it.
        life.ground
            .oracle
            .note(&format!("{} is given a second time", endpoint.id));
        return;
    }
    let (schedule, limit) = (life.ground.schedule_of(&endpoint), life.ground.limit_of(&endpoint));
    life.ground.oracle.endpoint(&endpoint, schedule, limit);
    let standing = Standing {
        id: endpoint.id,
        disabled: false,
        paused: false,
        deleted: false,
    };
    let directory = Arc::clone(&life.directory);
    let id = endpoint.id;
    life.busy.under_way.push(id);
    let answered = Arc::clone(&life.busy.answered);
    life.requests.spawn(async move {
        let made = directory
            .commit(vec![Change::PutEndpoint(Box::new(endpoint))], None)
            .await;
        answered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((id, made.is_ok().then_some(standing)));
    });
}

pub fn change_endpoint(life: &mut Life<'_>) {
    let idle: Vec<_> = life
        .ground
        .endpoints
        .iter()
        .filter(|known| !known.deleted && !life.busy.contains(known.id))
        .cloned()
        .collect();
    if idle.is_empty() {
        return;
    }
    let before = pick(&mut life.ground.random, &idle).clone();
    let mut after = before.clone();
    let mut reorders = false;
    match life.ground.random.u32(0..if life.ground.crowded { 48 } else { 24 }) {
        0..7 => after.disabled = !before.disabled,
        7..14 => after.paused = !before.paused,
        14..20 | 24.. => reorders = true,
        20..22 => {}
        22..24 => after.deleted = true,
    }
    put_endpoint(life, before, after, reorders);
}

/// Asks for a change of an endpoint, and tells the oracle when it must be in force.
fn put_endpoint(life: &mut Life<'_>, before: Standing, after: Standing, reorders: bool) {
    let id = before.id;
    let mut random = life.ground.random.fork();
    let (directory, oracle) = (Arc::clone(&life.directory), Arc::clone(&life.ground.oracle));
    let answered = Arc::clone(&life.busy.answered);
    life.busy.under_way.push(id);
    let opens = before.disabled && !after.disabled;
    // From the moment it is asked for, attempts may begin again; until it is answered, they still may.
    let blocked_before = before.disabled || before.paused;
    let blocked_after = after.disabled || after.paused || after.deleted;
    oracle.settings(id, blocked_before && blocked_after, after.disabled || after.deleted);
    life.requests.spawn(async move {
        if opens {
            oracle.forgiven(id);
        }
        let build = || {
            let Some(entry) = directory.endpoint_by_id(id) else {
                return Err(StoreError::NotFound("the endpoint"));
            };
            if after.deleted {
                return Ok(vec![Change::DeleteEndpoint(id)]);
            }
            let mut endpoint = entry.endpoint.clone();
            let now = directory.now();
            if after.disabled != before.disabled {
                let requested = Disabled {
                    since: now,
                    reason: DisabledReason::Requested,
                };
                endpoint.disabled = after.disabled.then_some(requested);
            }
            endpoint.paused = after.paused;
            if reorders {
                reorder(&mut random, &mut endpoint.order);
            }
            endpoint.updated_at = now;
            Ok(vec![Change::PutEndpoint(Box::new(endpoint))])
        };
        let done = directory.commit_with(None, build).await;
        oracle.note(&format!("{before:?} to {after:?}: {done:?}"));
        let standing = if done.is_ok() { after } else { before };
        // The scheduler may have disabled it in between: that is seen after the step.
        oracle.settings(
            id,
            standing.disabled || standing.paused || standing.deleted,
            standing.disabled,
        );
        answered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((id, Some(standing)));
    });
}

/// Everything that is paused goes on.
pub async fn resume_all(life: &mut Life<'_>) -> Result<(), String> {
    let paused: Vec<_> = life
        .ground
        .endpoints
        .iter()
        .filter(|known| known.paused && !known.deleted)
        .cloned()
        .collect();
    for before in paused {
        let after = Standing {
            paused: false,
            ..before.clone()
        };
        put_endpoint(life, before, after, false);
    }
    life.answered().await;
    Ok(())
}
