//! The source kind `cron`: a schedule that publishes.
//!
//! A message's event id is the time it is for, so it is published once, whoever fires it and however often. After a restart
//! the last time that was missed within [`MISSED`] is made up for; what lies further back is not. A time that was due before its
//! source changed is fired as the source was then; whether a schedule is the one that fired before a restart is seen in its last message.

pub mod schedule;

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry as Known},
    sync::Arc,
    time::Duration,
};

use bellwire_core::{
    id::SourceId,
    source::{Source, SourceRules},
    time::Timestamp,
};
use bellwire_store::{
    Directory, Store, StoreError,
    query::{MessageFilter, Order, Page, Start},
};
use bytes::Bytes;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use self::schedule::Schedule;
use crate::{
    accept::{Acceptance, Origin},
    decode,
    judge::{self, Coming},
};

/// The kind's name.
pub const KIND: &str = "cron";
/// How far back a time that was missed is made up for.
pub const MISSED: Duration = Duration::from_secs(600);
/// What the event ids of its messages begin with; the time follows.
const EVENT_ID: &str = "cron/";
/// How often it is looked what is due.
const TICK: Duration = Duration::from_secs(1);
/// A clock that goes back by more is a jump: everything is looked at anew.
const JUMP: Duration = Duration::from_secs(60);

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{setting}`: {why}")]
pub struct SettingError {
    /// Which.
    pub setting: String,
    /// What is wrong, and what to do.
    pub why: String,
}

impl SettingError {
    pub(crate) fn new(setting: &str, why: impl ToString) -> Self {
        Self {
            setting: setting.to_owned(),
            why: why.to_string(),
        }
    }
}

/// What a source of this kind does.
#[derive(Debug, Clone)]
pub struct Plan {
    /// When.
    pub schedule: Schedule,
    text: String,
    zone: String,
    payload: Option<Bytes>,
    content_type: String,
}

/// Reads settings: `schedule`, and `timezone`, `payload`, `contentType` where given.
///
/// # Errors
/// [`SettingError`].
pub fn read(settings: &BTreeMap<String, Vec<String>>) -> Result<Plan, SettingError> {
    let known = ["schedule", "timezone", "payload", "contentType"];
    if let Some(name) = settings.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(SettingError::new(
            name,
            format!("there is no such setting; there are {}", known.join(", ")),
        ));
    }
    let get = |name: &str| settings.get(name).and_then(|values| values.first()).map(String::as_str);
    let text = get("schedule")
        .ok_or_else(|| SettingError::new("schedule", "it is missing; write one such as `0 9 * * mon-fri`"))?;
    let zone = get("timezone").unwrap_or("UTC");
    let schedule = Schedule::parse(text, zone).map_err(|error| SettingError::new("schedule", error))?;
    let content_type = get("contentType").unwrap_or("application/json").to_owned();
    let payload = get("payload").map(|payload| Bytes::from(payload.to_owned()));
    if let Some(payload) = &payload {
        decode::json(&content_type, payload).map_err(|error| SettingError::new("payload", error))?;
    }
    Ok(Plan {
        schedule,
        text: text.trim().to_owned(),
        zone: zone.to_owned(),
        payload,
        content_type,
    })
}

impl Plan {
    /// Why there is a message, in words.
    fn verdict(&self, due: Timestamp) -> String {
        let zone = match self.zone.as_str() {
            "UTC" => String::new(),
            zone => format!(" in {zone}"),
        };
        format!("the schedule `{}`{zone} was due at {due}", self.text)
    }

    /// Whether it has the same times.
    fn is_as_often(&self, other: &Self) -> bool {
        (&self.text, &self.zone) == (&other.text, &other.zone)
    }

    /// The message for a time that is due. Without a payload of its own it says which time that is.
    fn message(&self, rules: &SourceRules, due: Timestamp) -> Coming {
        let made = || Bytes::from(json!({ "schedule": self.text, "time": due }).to_string());
        let payload = self.payload.clone().unwrap_or_else(made);
        let json = decode::json(&self.content_type, &payload).unwrap_or_else(|_| Bytes::from_static(b"null"));
        Coming {
            event_type: judge::event_type(rules, KIND, &json),
            event_id: Some(format!("{EVENT_ID}{due}")),
            ordering_key: None,
            place: None,
            content_type: Some(self.content_type.clone()),
            payload,
            json,
            item: None,
            attributes: Vec::new(),
            note: None,
            set_aside: false,
        }
    }
}

/// Fires schedules.
pub(crate) struct Cron {
    store: Arc<dyn Store>,
    directory: Arc<Directory>,
    acceptance: Arc<Acceptance>,
}

/// A source and what is next of it.
struct Entry {
    source: Arc<Source>,
    plan: Option<Plan>,
    /// Nothing is due up to then any more.
    done: Timestamp,
    next: Option<Timestamp>,
}

impl Cron {
    pub fn new(store: Arc<dyn Store>, directory: Arc<Directory>, acceptance: Arc<Acceptance>) -> Self {
        Self {
            store,
            directory,
            acceptance,
        }
    }

    /// Fires until stopped. Of servers that share a store one does.
    pub async fn run(&self, stop: &CancellationToken) {
        let mut entries = HashMap::new();
        let mut before = Timestamp::MIN;
        loop {
            let now = self.directory.now();
            if before.since(now) > JUMP {
                entries.clear();
            }
            before = now;
            match self.store.lead() {
                Some(_lead) => self.round(&mut entries, now).await,
                // Whoever fires them meanwhile leaves messages to go on from.
                None => entries.clear(),
            }
            if stop.run_until_cancelled(tokio::time::sleep(TICK)).await.is_none() {
                return;
            }
        }
    }

    async fn round(&self, entries: &mut HashMap<SourceId, Entry>, now: Timestamp) {
        let sources = self.directory.all_sources();
        let ours: Vec<_> = sources.into_iter().filter(|source| source.kind == KIND).collect();
        if entries.len() > ours.len() {
            entries.retain(|id, _| ours.iter().any(|source| source.id == *id));
        }
        for source in ours {
            if let Err(error) = self.look_at(entries, &source, now).await {
                tracing::warn!(source = %source.id, %error, "a schedule waits for the store");
            }
        }
    }

    async fn look_at(
        &self,
        entries: &mut HashMap<SourceId, Entry>,
        source: &Arc<Source>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let entry = match entries.entry(source.id) {
            Known::Occupied(known) if Arc::ptr_eq(&known.get().source, source) => known.into_mut(),
            Known::Occupied(known) => {
                let known = known.into_mut();
                self.fire(known, source.updated_at.min(now)).await?;
                *known = known.changed(Arc::clone(source), now);
                known
            }
            Known::Vacant(place) => {
                let plan = plan(source);
                let done = match &plan {
                    Some(plan) => self.last_fired(source, plan, now).await?,
                    None => None,
                };
                // What was due before there was such a schedule was not missed.
                let done = done.unwrap_or(source.updated_at.min(now)).max(now.minus(MISSED));
                place.insert(Entry::new(Arc::clone(source), plan, done))
            }
        };
        self.fire(entry, now).await
    }

    /// Fires what is due by then.
    async fn fire(&self, entry: &mut Entry, by: Timestamp) -> Result<(), StoreError> {
        let Some((plan, due)) = entry.due(by) else {
            return Ok(());
        };
        let origin = Origin {
            method: String::new(),
            target: String::new(),
            headers: Vec::new(),
            peer: None,
            verdict: plan.verdict(due),
        };
        let message = plan.message(&entry.source.rules, due);
        self.acceptance.all(&entry.source, origin, vec![message]).await?;
        entry.fired(by);
        Ok(())
    }

    /// The last time for which the source fired, when that was by this very schedule.
    async fn last_fired(&self, source: &Source, plan: &Plan, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let newest = Page {
            limit: 1,
            start: Start::First,
            order: Order::Descending,
        };
        let rows = self
            .store
            .messages(source.app, MessageFilter::default(), newest, false)
            .await?;
        let fired = rows.items.first().and_then(|message| {
            let due = message.event_id.as_deref()?.strip_prefix(EVENT_ID)?;
            let due: Timestamp = due.parse().ok()?;
            (message.inbound.as_ref()?.verdict == plan.verdict(due)).then_some(due.min(now))
        });
        Ok(fired)
    }
}

/// What the source says; nothing when it cannot be used.
fn plan(source: &Source) -> Option<Plan> {
    read(&source.settings)
        .inspect_err(|error| {
            tracing::error!(source = %source.id, %error, "a schedule cannot be used; change the source's settings");
        })
        .ok()
}

impl Entry {
    fn new(source: Arc<Source>, plan: Option<Plan>, done: Timestamp) -> Self {
        let next = plan.as_ref().and_then(|plan| plan.schedule.next(done));
        Self {
            source,
            plan,
            done,
            next,
        }
    }

    /// The entry of a source that changed. The times of a new schedule count from then on.
    fn changed(&self, source: Arc<Source>, now: Timestamp) -> Self {
        let plan = plan(&source);
        let same = matches!((&self.plan, &plan), (Some(before), Some(plan)) if before.is_as_often(plan));
        let done = if same { self.done } else { source.updated_at.min(now) };
        Self::new(source, plan, done)
    }

    /// The time that is due; of several the last.
    fn due(&self, now: Timestamp) -> Option<(&Plan, Timestamp)> {
        let plan = self.plan.as_ref()?;
        let next = self.next.filter(|next| *next <= now)?;
        let from = self.done.max(now.minus(MISSED));
        Some((plan, plan.schedule.last(from, now).unwrap_or(next)))
    }

    fn fired(&mut self, now: Timestamp) {
        self.done = now;
        self.next = self.plan.as_ref().and_then(|plan| plan.schedule.next(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, Vec<String>> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]))
            .collect()
    }

    #[test]
    fn settings_are_read_and_what_is_wrong_is_named() {
        assert!(read(&settings(&[("schedule", "@daily"), ("payload", "{\"a\":1}")])).is_ok());
        for (pairs, name) in [
            (vec![], "schedule"),
            (vec![("schedule", "x")], "schedule"),
            (vec![("schedule", "@daily"), ("payload", "{")], "payload"),
            (vec![("schedule", "@daily"), ("every", "5m")], "every"),
        ] {
            assert_eq!(read(&settings(&pairs)).unwrap_err().setting, name);
        }
    }

    #[test]
    fn a_message_says_which_time_it_is_for() {
        let plan = read(&settings(&[("schedule", "0 9 * * *")])).unwrap();
        let message = plan.message(&SourceRules::default(), Timestamp::from_secs(1_769_850_000));
        assert_eq!(message.event_id.as_deref(), Some("cron/2026-01-31T09:00:00.000000Z"));
        assert_eq!(message.event_type, "cron");
        assert_eq!(
            message.payload,
            r#"{"schedule":"0 9 * * *","time":"2026-01-31T09:00:00.000000Z"}"#
        );
    }
}
