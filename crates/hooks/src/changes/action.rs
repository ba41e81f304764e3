//! The endpoint of an action: made, and compared with the one in force.

use std::collections::BTreeMap;

use bellwire_core::{
    endpoint::{Disabled, DisabledReason, Endpoint, LiveKey},
    id::{AppId, EndpointId},
    order::{OnExhausted, OrderSettings},
    sign::SCHEMES,
    time::Timestamp,
};

use crate::HookAction;

/// A new one; `None` when no key can be made of the random bytes.
pub(super) fn new(
    wanted: &HookAction,
    app: AppId,
    id: EndpointId,
    random: [u8; 32],
    now: Timestamp,
) -> Option<Endpoint> {
    let key = SCHEMES[0].generate(random).ok()?;
    let mut order = OrderSettings::default();
    order.change_to(wanted.ordering, OnExhausted::default(), None);
    Some(Endpoint {
        id,
        app,
        uid: Some(wanted.uid.clone()),
        url: wanted.url.clone(),
        description: String::new(),
        disabled: disabled(None, wanted, false, now),
        paused: wanted.paused,
        event_types: None,
        channels: None,
        throttle_rate: None,
        metadata: BTreeMap::new(),
        headers: BTreeMap::new(),
        keys: vec![LiveKey { key, expires_at: None }],
        retry_schedule: wanted.retry_schedule.clone(),
        timeout: wanted.timeout,
        max_in_flight: wanted.max_in_flight,
        order,
        batch: None,
        http_signatures: false,
        action: wanted.action.clone(),
        workflow: wanted.workflow.clone(),
        created_at: now,
        updated_at: now,
    })
}

/// The one in force as the file wants it, and what changes; nothing when it is so already. What the file cannot say (its
/// keys) stays as it is.
pub(super) fn changed(known: &Endpoint, wanted: &HookAction, now: Timestamp) -> Option<(Endpoint, Vec<&'static str>)> {
    let mut order = known.order.clone();
    order.change_to(wanted.ordering, known.order.on_exhausted, None);
    let (was, is) = (&known.workflow, &wanted.workflow);
    let differs = [
        (known.action.kind != wanted.action.kind, "kind"),
        (known.url != wanted.url, "target"),
        (known.action.settings != wanted.action.settings, "settings"),
        (known.action.hidden != wanted.action.hidden, "what is hidden"),
        (known.action.trusted != wanted.action.trusted, "trust"),
        (was.filter != is.filter, "when"),
        (was.transformation != is.transformation, "transformation"),
        (was.format != is.format, "format"),
        (was.throttle != is.throttle, "throttle"),
        (known.retry_schedule != wanted.retry_schedule, "retry"),
        (known.timeout != wanted.timeout, "timeout"),
        (known.max_in_flight != wanted.max_in_flight, "max_in_flight"),
        (known.order != order, "order"),
        (known.paused != wanted.paused, "paused"),
    ];
    let mut names: Vec<_> = differs
        .into_iter()
        .filter(|(differs, _)| *differs)
        .map(|(_, name)| name)
        .collect();
    let disabled = disabled(known.disabled, wanted, !names.is_empty(), now);
    if known.disabled != disabled {
        names.push(if disabled.is_some() { "disabled" } else { "enabled" });
    }
    if names.is_empty() {
        return None;
    }
    let changed = Endpoint {
        url: wanted.url.clone(),
        paused: wanted.paused,
        disabled,
        retry_schedule: wanted.retry_schedule.clone(),
        timeout: wanted.timeout,
        max_in_flight: wanted.max_in_flight,
        order,
        action: wanted.action.clone(),
        workflow: wanted.workflow.clone(),
        updated_at: now,
        ..known.clone()
    };
    Some((changed, names))
}

/// Whether it is disabled from now on. One that was disabled because it failed stays so until somebody changes it, or says
/// `disabled: true` and takes it back: a restart is no repair.
fn disabled(was: Option<Disabled>, wanted: &HookAction, is_mended: bool, now: Timestamp) -> Option<Disabled> {
    if wanted.disabled {
        return Some(Disabled {
            since: was.map_or(now, |was| was.since),
            reason: DisabledReason::Requested,
        });
    }
    was.filter(|was| was.reason != DisabledReason::Requested && !is_mended)
}
