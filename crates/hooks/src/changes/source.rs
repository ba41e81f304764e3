//! The source of a hook: made, and compared with the one in force.

use std::collections::BTreeMap;

use bellwire_core::{
    id::AppId,
    source::{CRON, MONITOR, Source, new_token},
    time::Timestamp,
};

use super::Standing;
use crate::Hook;

/// The setting that a provider's handshake brings, and the one that lets it.
const SECRET: &str = "secret";
const ARMED: &str = "armed";

/// What people call it: its name, and how it is reached.
pub(super) fn named(hook: &Hook) -> String {
    match hook.kind.as_str() {
        CRON | MONITOR => format!("{} ({})", hook.name, hook.kind),
        _ => format!("{} (POST /in/{})", hook.name, hook.name),
    }
}

/// A new one.
pub(super) fn new(hook: &Hook, app: AppId, token: [u8; 32], standing: Standing<'_>, now: Timestamp) -> Source {
    Source {
        id: standing.directory.new_id(),
        environment: standing.environment,
        app,
        uid: Some(hook.name.clone()),
        name: hook.name.clone(),
        kind: hook.kind.clone(),
        token: new_token(&token),
        former_tokens: Vec::new(),
        settings: hook.settings.clone(),
        rules: hook.rules.clone(),
        managed: true,
        metadata: BTreeMap::new(),
        created_at: now,
        updated_at: now,
    }
}

/// The one in force as the hook wants it, and what changes; nothing when it is so already.
pub(super) fn changed(known: &Source, hook: &Hook, app: AppId, now: Timestamp) -> Option<(Source, Vec<&'static str>)> {
    let settings = settings(known, hook);
    let mut names = Vec::new();
    let differs = [
        (known.app != app, "application"),
        (known.kind != hook.kind, "provider"),
        (known.settings != settings, "settings"),
        (known.rules.for_each != hook.rules.for_each, "for_each"),
        (known.rules.event_type != hook.rules.event_type, "event_type"),
        (known.rules.dedupe != hook.rules.dedupe, "dedupe"),
        (known.rules.order != hook.rules.order, "order"),
    ];
    names.extend(
        differs
            .into_iter()
            .filter(|(differs, _)| *differs)
            .map(|(_, name)| name),
    );
    if names.is_empty() {
        return None;
    }
    let changed = Source {
        app,
        kind: hook.kind.clone(),
        settings,
        rules: hook.rules.clone(),
        updated_at: now,
        ..known.clone()
    };
    Some((changed, names))
}

/// The settings that the hook wants. A secret that a handshake brought is not in the file, and stays.
fn settings(known: &Source, hook: &Hook) -> BTreeMap<String, Vec<String>> {
    let mut settings = hook.settings.clone();
    let waits = settings.contains_key(ARMED) && !settings.contains_key(SECRET) && known.kind == hook.kind;
    if waits && let Some(secret) = known.settings.get(SECRET) {
        settings.insert(SECRET.to_owned(), secret.clone());
        // `true` is used up by the first handshake; a time stands until it has come.
        if settings
            .get(ARMED)
            .is_some_and(|armed| armed.iter().any(|one| one == "true"))
        {
            match known.settings.get(ARMED) {
                Some(armed) => settings.insert(ARMED.to_owned(), armed.clone()),
                None => settings.remove(ARMED),
            };
        }
    }
    settings
}
