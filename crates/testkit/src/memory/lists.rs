//! Pages, look-ups and counts.

use std::{ops::Range, sync::Arc, time::Duration};

use bellwire_core::{
    attempt::Attempt,
    delivery::DeliveryState,
    id::{AppId, EndpointId, EnvironmentId, Id, MessageId},
    message::Message,
    task::{Task, TaskStatus},
    time::Timestamp,
};
use bellwire_store::query::{
    AttemptCounts, AttemptFilter, AttemptKey, AttemptRow, DeliveryCounts, DeliveryRow, EndpointMessage, MessageFilter,
    Order, Page, ReplayCandidate, Rows, Start,
};

use super::state::{State, all_of, shown};

/// The page of rows that come in ascending order of their number.
pub(super) fn page_of<T>(rows: impl Iterator<Item = T>, number: impl Fn(&T) -> u64, page: Page) -> Rows<T> {
    let mut listed: Vec<T> = rows.collect();
    if page.order == Order::Descending {
        listed.reverse();
    }
    let at = |mark: u64| listed.iter().position(|row| number(row) == mark);
    // A mark that is not among the rows stands where it would stand.
    let place = |mark: u64| match page.order {
        Order::Ascending => listed.iter().take_while(|row| number(row) < mark).count(),
        Order::Descending => listed.iter().take_while(|row| number(row) > mark).count(),
    };
    let (from, to) = match page.start {
        Start::First => (0, page.limit.min(listed.len())),
        Start::After(mark) => {
            let from = place(mark) + usize::from(at(mark).is_some());
            (from, (from + page.limit).min(listed.len()))
        }
        Start::Before(mark) => {
            let to = place(mark);
            (to.saturating_sub(page.limit), to)
        }
    };
    let more = if matches!(page.start, Start::Before(_)) {
        from > 0
    } else {
        to < listed.len()
    };
    Rows {
        items: listed.drain(from..to).collect(),
        more,
    }
}

pub(super) fn is_within(filter: &MessageFilter, at: Timestamp) -> bool {
    filter.before.is_none_or(|before| at < before) && filter.after.is_none_or(|after| at >= after)
}

pub(super) fn is_about(filter: &MessageFilter, message: &Message) -> bool {
    filter
        .channel
        .as_ref()
        .is_none_or(|channel| message.channels.contains(channel))
        && filter.tag.as_ref().is_none_or(|tag| message.tags.contains(tag))
        && (filter.event_types.is_empty() || filter.event_types.contains(&message.event_type))
}

fn matches_attempt(filter: &AttemptFilter, attempt: &Attempt) -> bool {
    let stands = match filter.state {
        None => true,
        Some(DeliveryState::Succeeded) => attempt.failure.is_none(),
        Some(DeliveryState::Failed) => attempt.failure.is_some(),
        Some(_) => false,
    };
    stands
        && filter.endpoint.is_none_or(|endpoint| attempt.endpoint == endpoint)
        && filter
            .status_class
            .is_none_or(|class| attempt.status_code / 100 * 100 == class)
        && is_within(&filter.message, attempt.at)
}

fn count(counts: &mut DeliveryCounts, state: DeliveryState) {
    match state {
        DeliveryState::Pending | DeliveryState::Sending => counts.pending += 1,
        DeliveryState::Succeeded => counts.succeeded += 1,
        DeliveryState::Failed => counts.failed += 1,
        DeliveryState::Cancelled => counts.cancelled += 1,
    }
}

/// How these deliveries stand.
pub(super) fn counts_of(states: impl Iterator<Item = DeliveryState>) -> DeliveryCounts {
    let mut counts = DeliveryCounts::default();
    states.for_each(|state| count(&mut counts, state));
    counts
}

impl State {
    fn of_app(&self, app: AppId, id: MessageId) -> Option<&Arc<Message>> {
        self.messages
            .get(&id)
            .map(|kept| &kept.message)
            .filter(|message| message.app == app)
    }

    pub fn message(&self, app: AppId, id: MessageId, with_payload: bool) -> Option<Message> {
        self.of_app(app, id).map(|message| shown(message, with_payload))
    }

    pub fn message_by_event_id(&self, app: AppId, event_id: &str) -> Option<MessageId> {
        self.event_ids.get(&(app, event_id.to_owned())).copied()
    }

    pub fn messages(&self, app: AppId, filter: &MessageFilter, page: Page, with_payload: bool) -> Rows<Message> {
        let rows = self
            .messages
            .values()
            .map(|kept| &kept.message)
            .filter(|message| message.app == app && is_about(filter, message) && is_within(filter, message.created_at))
            .map(|message| shown(message, with_payload));
        page_of(rows, |message| message.id.number(), page)
    }

    pub fn expunge_payload(&mut self, app: AppId, id: MessageId) -> bool {
        match self.messages.get_mut(&id).filter(|kept| kept.message.app == app) {
            Some(kept) => {
                Arc::make_mut(&mut kept.message).payload = None;
                true
            }
            None => false,
        }
    }

    pub fn deliveries(&self, app: AppId, id: MessageId, page: Page) -> Rows<DeliveryRow> {
        if self.of_app(app, id).is_none() {
            return Rows::EMPTY;
        }
        let of_message = self.deliveries.iter().filter(|((_, message), _)| *message == id);
        let rows = of_message.map(|((endpoint, message), delivery)| self.row(*endpoint, *message, delivery));
        page_of(rows, |row| row.endpoint.number(), page)
    }

    pub fn endpoint_messages(
        &self,
        app: AppId,
        endpoint: EndpointId,
        filter: &MessageFilter,
        state: Option<DeliveryState>,
        page: Page,
        with_payload: bool,
    ) -> Rows<EndpointMessage> {
        let rows = self
            .deliveries
            .range(all_of(endpoint))
            .filter_map(|((_, id), delivery)| {
                let message = self.of_app(app, *id)?;
                let wanted = state.is_none_or(|state| delivery.state == state)
                    && is_about(filter, message)
                    && is_within(filter, message.created_at);
                wanted.then(|| EndpointMessage {
                    message: shown(message, with_payload),
                    delivery: self.row(endpoint, *id, delivery),
                })
            });
        page_of(rows, |row| row.message.id.number(), page)
    }

    fn attempt_row(&self, attempt: &Attempt, with_payload: bool) -> AttemptRow {
        let message = self
            .of_app(attempt.app, attempt.message)
            .map(|message| shown(message, with_payload));
        AttemptRow {
            attempt: attempt.clone(),
            message,
        }
    }

    pub fn attempts(
        &self,
        app: AppId,
        filter: &AttemptFilter,
        page: Page,
        with_payload: bool,
        wanted: impl Fn(&Attempt) -> bool,
    ) -> Rows<AttemptRow> {
        let rows = self
            .attempts
            .values()
            .filter(|attempt| attempt.app == app && wanted(attempt) && matches_attempt(filter, attempt))
            .map(|attempt| self.attempt_row(attempt, with_payload))
            .filter(|row| {
                row.message
                    .as_ref()
                    .is_some_and(|message| is_about(&filter.message, message))
            });
        page_of(rows, |row| row.attempt.id.number(), page)
    }

    pub fn attempt(&self, key: AttemptKey) -> Option<AttemptRow> {
        let attempt = self.attempts.get(&key.attempt)?;
        (attempt.app == key.app && attempt.message == key.message).then(|| self.attempt_row(attempt, false))
    }

    pub fn expunge_attempt(&mut self, key: AttemptKey) -> bool {
        match self
            .attempts
            .get_mut(&key.attempt)
            .filter(|found| found.app == key.app && found.message == key.message)
        {
            Some(attempt) => {
                attempt.response = bytes::Bytes::new();
                attempt.response_headers.clear();
                true
            }
            None => false,
        }
    }

    pub fn delivery_counts(&self, endpoint: EndpointId, since: Timestamp, until: Timestamp) -> DeliveryCounts {
        counts_of(
            self.deliveries
                .range(all_of(endpoint))
                .filter(|((_, id), _)| {
                    let accepted = self.messages.get(id).map(|kept| kept.message.created_at);
                    accepted.is_some_and(|at| since <= at && at < until)
                })
                .map(|(_, delivery)| delivery.state),
        )
    }

    pub fn attempt_counts(
        &self,
        endpoints: &[EndpointId],
        event_types: &[String],
        since: Timestamp,
        bucket: Duration,
        n: usize,
    ) -> Vec<AttemptCounts> {
        let mut counts = vec![AttemptCounts::default(); n];
        for attempt in self
            .attempts
            .values()
            .filter(|a| endpoints.contains(&a.endpoint) && a.at >= since)
        {
            let event_type = self.messages.get(&attempt.message).map(|kept| &kept.message.event_type);
            if !event_types.is_empty() && !event_type.is_some_and(|name| event_types.contains(name)) {
                continue;
            }
            let index = attempt
                .at
                .since(since)
                .as_micros()
                .checked_div(bucket.as_micros())
                .unwrap_or(0);
            let Some(counted) = usize::try_from(index).ok().and_then(|index| counts.get_mut(index)) else {
                continue;
            };
            match attempt.failure {
                None => counted.succeeded += 1,
                Some(_) => counted.failed += 1,
            }
        }
        counts
    }

    pub fn replay_candidates(
        &self,
        app: AppId,
        endpoint: EndpointId,
        accepted: Range<Timestamp>,
        after: u64,
        limit: usize,
    ) -> Rows<ReplayCandidate> {
        let rows = self
            .messages
            .values()
            .map(|kept| &kept.message)
            .filter(|message| message.app == app && accepted.contains(&message.created_at))
            .map(|message| {
                let mut attempts = self.attempts.values();
                let last = attempts.rfind(|attempt| attempt.message == message.id && attempt.endpoint == endpoint);
                ReplayCandidate {
                    message: shown(message, false),
                    delivery: self
                        .deliveries
                        .get(&(endpoint, message.id))
                        .map(|found| self.row(endpoint, message.id, found)),
                    last_status_code: last.map(|attempt| attempt.status_code),
                    last_failure: last.and_then(|attempt| attempt.failure.clone()),
                }
            });
        let page = Page {
            limit,
            start: Start::After(after),
            order: Order::Ascending,
        };
        page_of(rows, |row| row.message.id.number(), page)
    }

    pub fn task_rows(&self, environment: Option<EnvironmentId>, status: Option<TaskStatus>, page: Page) -> Rows<Task> {
        let rows = self.tasks.values().filter(|task| {
            environment.is_none_or(|environment| task.environment == environment)
                && status.is_none_or(|status| task.status == status)
        });
        page_of(rows.cloned(), |task| task.id.number(), page)
    }
}
