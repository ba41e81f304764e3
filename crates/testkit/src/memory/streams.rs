//! What sources bring, in its turn, and what they refuse.

use std::{collections::BTreeMap, fmt::Display, sync::Arc};

use bellwire_core::{
    id::{AppId, SourceId},
    message::NewMessage,
    sequence::{Judged, Lateness, Stream},
    time::Timestamp,
};
use bellwire_store::{
    AppendError, Appended, Arrival, ArrivalPlace, Arrived, Freed, Released,
    query::{Page, REFUSED_MAX, RefusedRequest, Rows, StreamQuery, StreamRow},
};

use super::{Told, lists::page_of, state::State};

/// A stream: its application and its key.
pub(super) type Name = (AppId, String);

/// A number, and which it is of those that came with it.
pub(super) type HeldPlace = (u64, u64);

/// A stream and what is held in it.
#[derive(Debug, Clone, Default)]
pub(super) struct KeptStream {
    pub stream: Stream,
    pub held: BTreeMap<HeldPlace, Held>,
    pub used_at: Timestamp,
}

/// A message that is held.
#[derive(Debug, Clone)]
pub(super) struct Held {
    message: NewMessage,
    pub came_at: Timestamp,
    pub until: Timestamp,
    missing: Option<u64>,
}

/// Behind what is noted already.
fn note(message: &mut NewMessage, what: &impl Display) {
    if let Some(inbound) = &mut message.inbound {
        let inbound = Arc::make_mut(inbound);
        inbound.note = Some(match inbound.note.take() {
            Some(note) => format!("{note}; {what}"),
            None => what.to_string(),
        });
    }
}

impl State {
    pub fn arrive(&mut self, arrival: Arrival, now: Timestamp, told: &mut Told) -> Result<Arrived, AppendError> {
        let Arrival {
            mut message,
            key,
            place,
        } = arrival;
        message.idempotency = None;
        if let Some(event_id) = &message.event_id {
            if let Some(existing) = self.event_ids.get(&(message.app, event_id.clone())) {
                return Err(AppendError::EventIdTaken {
                    event_id: event_id.clone(),
                    existing: *existing,
                    overtaken: self.would_be_stale(&(message.app, key), &place),
                });
            }
            if let Some(until) = self.held_until(message.app, event_id) {
                return Ok(Arrived::Held { until });
            }
        }
        let name = (message.app, key);
        let mut kept = self.streams.remove(&name).unwrap_or_default();
        kept.used_at = now;
        let arrived = match place {
            ArrivalPlace::Version(version) => match kept.stream.judge_version(&version) {
                Ok(()) => {
                    kept.stream.accept_version(version);
                    let appended = self.append(message, now, told);
                    appended.map(|appended| Arrived::Accepted {
                        appended,
                        freed: Vec::new(),
                    })
                }
                Err(why) => self.append_stale(message, &why, now, told),
            },
            ArrivalPlace::Sequence { number, start, wait } => {
                let least_held = kept.held.keys().next().map(|(number, _)| *number);
                match kept.stream.judge_number(number, start, least_held) {
                    Judged::Accept => {
                        kept.stream.accept_number(number);
                        let appended = self.append(message, now, told);
                        let (_, freed) = self.accept_held(&mut kept, None, usize::MAX, now, told);
                        appended.map(|appended| Arrived::Accepted { appended, freed })
                    }
                    Judged::Stale(why) => self.append_stale(message, &why, now, told),
                    Judged::Hold { missing } => {
                        let until = now.plus(wait);
                        self.came += 1;
                        let place = (number, self.came);
                        if let Some(event_id) = message.event_id.clone() {
                            self.held_ids.insert((message.app, event_id), (name.clone(), place));
                        }
                        let held = Held {
                            message,
                            came_at: now,
                            until,
                            missing,
                        };
                        kept.held.insert(place, held);
                        Ok(Arrived::Held { until })
                    }
                }
            }
        };
        self.streams.insert(name, kept);
        arrived
    }

    fn would_be_stale(&self, name: &Name, place: &ArrivalPlace) -> bool {
        let kept = self.streams.get(name).cloned().unwrap_or_default();
        match place {
            ArrivalPlace::Version(version) => kept.stream.judge_version(version).is_err(),
            ArrivalPlace::Sequence { number, start, .. } => {
                let least_held = kept.held.keys().next().map(|(number, _)| *number);
                let judged = { kept.stream }.judge_number(*number, *start, least_held);
                matches!(judged, Judged::Stale(_))
            }
        }
    }

    fn append_stale(
        &mut self,
        mut message: NewMessage,
        why: &impl Display,
        now: Timestamp,
        told: &mut Told,
    ) -> Result<Arrived, AppendError> {
        message.routes.clear();
        note(&mut message, why);
        self.append(message, now, told).map(Arrived::Stale)
    }

    fn held_until(&self, app: AppId, event_id: &str) -> Option<Timestamp> {
        let (name, place) = self.held_ids.get(&(app, event_id.to_owned()))?;
        self.streams.get(name)?.held.get(place).map(|held| held.until)
    }

    fn forget_held_id(&mut self, message: &NewMessage) {
        if let Some(event_id) = &message.event_id {
            self.held_ids.remove(&(message.app, event_id.clone()));
        }
    }

    /// Accepts those that have their turn. Answers how many were no longer held, and those of them that were accepted.
    fn accept_held(
        &mut self,
        kept: &mut KeptStream,
        over: Option<u64>,
        limit: usize,
        now: Timestamp,
        told: &mut Told,
    ) -> (usize, Vec<Freed>) {
        let (mut given, mut freed) = (0, Vec::new());
        while let Some(mut first) = kept.held.first_entry() {
            let number = first.key().0;
            if given == limit {
                if kept.stream.follows(number) {
                    let held = first.get_mut();
                    held.until = held.until.min(held.came_at);
                }
                break;
            }
            let Some(turn) = kept.stream.turn(number, over) else {
                break;
            };
            let Held {
                mut message,
                came_at,
                missing,
                ..
            } = first.remove();
            self.forget_held_id(&message);
            let lateness = Lateness {
                waited: now.since(came_at),
                missing,
                gap: turn.gap,
            };
            note(&mut message, &lateness);
            message
                .routes
                .retain(|route| self.endpoints.contains_key(&route.endpoint));
            given += 1;
            let (app, event_type, endpoints) = (message.app, message.event_type.clone(), message.routes.len());
            if let Ok(Appended { id, .. }) = self.append(message, now, told) {
                freed.push(Freed {
                    app,
                    id,
                    event_type,
                    endpoints,
                });
            }
        }
        (given, freed)
    }

    pub fn release(&mut self, until: Timestamp, limit: usize, now: Timestamp, told: &mut Told) -> Released {
        let mut released = Released::default();
        let mut left = limit;
        let names: Vec<Name> = self.streams.keys().cloned().collect();
        for name in names {
            let Some(mut kept) = self.streams.remove(&name) else {
                continue;
            };
            let over = kept.held.iter().rev().find(|(_, held)| held.until <= until);
            if let Some(over) = over.map(|((number, _), _)| *number) {
                kept.used_at = now;
                let (given, freed) = self.accept_held(&mut kept, Some(over), left, now, told);
                left -= given;
                released.freed.extend(freed);
            }
            self.streams.insert(name, kept);
        }
        let held = self.streams.values().flat_map(|kept| kept.held.values());
        released.next = held.map(|held| held.until).min();
        released
    }

    pub fn reset_stream(&mut self, app: AppId, key: String, now: Timestamp, told: &mut Told) -> Option<Vec<Freed>> {
        let mut kept = self.streams.remove(&(app, key))?;
        let (_, freed) = self.accept_held(&mut kept, Some(u64::MAX), usize::MAX, now, told);
        Some(freed)
    }

    pub fn prolong(&mut self, app: AppId, until: Timestamp) -> u64 {
        let of_app = self.streams.iter_mut().filter(|((of, _), _)| *of == app);
        let waits = |held: &&mut Held| held.until < until && held.until > held.came_at;
        let mut changed = 0;
        for held in of_app.flat_map(|(_, kept)| kept.held.values_mut()).filter(waits) {
            held.until = until;
            changed += 1;
        }
        changed
    }

    pub fn stream_rows(&self, app: AppId, query: &StreamQuery) -> Rows<StreamRow> {
        let mut wanted = self.streams.iter().filter(|((of, key), kept)| {
            *of == app
                && query.key.as_ref().is_none_or(|wanted| wanted == key)
                && query.after.as_ref().is_none_or(|after| key > after)
                && (!query.held || !kept.held.is_empty())
        });
        let row = |((_, key), kept): (&Name, &KeptStream)| StreamRow {
            key: key.clone(),
            last: kept
                .stream
                .last
                .map(|last| last.to_string())
                .or_else(|| kept.stream.version.clone()),
            held: kept.held.len() as u64,
            until: kept.held.values().map(|held| held.until).min(),
            gaps: kept.stream.gaps.clone(),
        };
        Rows {
            items: wanted.by_ref().take(query.limit).map(row).collect(),
            more: wanted.next().is_some(),
        }
    }

    /// Forgets up to `limit` held messages of an application; with the last of them, its streams. Answers how many.
    pub fn erase_streams(&mut self, app: AppId, limit: usize) -> usize {
        let mut erased = 0;
        for (_, kept) in self.streams.iter_mut().filter(|((of, _), _)| *of == app) {
            while erased < limit
                && let Some((_, held)) = kept.held.pop_first()
            {
                if let Some(event_id) = held.message.event_id {
                    self.held_ids.remove(&(app, event_id));
                }
                erased += 1;
            }
        }
        if erased < limit {
            self.streams.retain(|(of, _), _| *of != app);
        }
        erased
    }

    /// Forgets the streams to which nothing came since then.
    pub fn forget_unused_streams(&mut self, before: Timestamp) {
        self.streams
            .retain(|_, kept| !kept.held.is_empty() || kept.used_at.day() >= before.day());
    }

    pub fn check_streams(&self, problems: &mut Vec<String>) {
        for ((app, key), kept) in &self.streams {
            let Some(((number, _), first)) = kept.held.first_key_value() else {
                continue;
            };
            if kept.stream.follows(*number) && first.until > first.came_at {
                problems.push(format!(
                    "{number} of the stream \"{key}\" of {app} has its turn and is held"
                ));
            }
        }
    }

    pub fn refuse(&mut self, batch: Vec<RefusedRequest>) {
        for request in batch {
            self.largest_put = self.largest_put.max(request.number);
            if !self.sources.contains_key(&request.source) {
                continue;
            }
            let of_source = self.refused.entry(request.source).or_default();
            of_source.insert(request.number, request);
            while of_source.len() > REFUSED_MAX {
                of_source.pop_first();
            }
        }
    }

    pub fn refused(&self, source: SourceId, page: Page) -> Rows<RefusedRequest> {
        let of_source = self.refused.get(&source).into_iter().flatten();
        page_of(
            of_source.map(|(_, request)| request.clone()),
            |request| request.number,
            page,
        )
    }
}
