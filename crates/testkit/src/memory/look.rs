//! Looking through many things at once: samples, failures, searches, and what people changed.

use bellwire_core::{
    delivery::Trigger,
    id::{AppId, EnvironmentId, Id as _, MessageId},
    message::Message,
};
use bellwire_store::{
    audit::{AuditEntry, AuditFilter},
    query::{Page, Rows},
    scan::{Hit, Scan, Scanned},
    survey::{Counted, FailedAttempt, FailureQuery, Sample, SampleQuery, Timing},
};

use super::{
    lists::{is_about, is_within, page_of},
    state::{State, shown},
};

impl State {
    pub fn sample_attempts(&self, query: &SampleQuery) -> Vec<Sample> {
        let mut samples = vec![Sample::default(); query.n];
        for endpoint in &query.endpoints {
            for (at, sample) in samples.iter_mut().enumerate() {
                let (begin, end) = (query.begin(at), query.begin(at + 1));
                let within = self.attempts.values().filter(|attempt| {
                    let over = attempt.id.created_at();
                    attempt.endpoint == *endpoint && begin <= over && over < end
                });
                let counted: Vec<_> = within.clone().take(query.counted).collect();
                let Some(last) = counted.last() else { continue };
                let counted = Counted {
                    attempts: counted.len() as u64,
                    failed: counted.iter().filter(|attempt| attempt.failure.is_some()).count() as u64,
                    reached: last.id.created_at(),
                };
                sample.add(counted, query.counted, begin, end);
                sample.timings.extend(within.take(query.timed).map(|attempt| {
                    let accepted = attempt.message.created_at();
                    let message = self.messages.get(&attempt.message);
                    let asked = message.and_then(|kept| kept.message.deliver_at).unwrap_or(accepted);
                    let is_first = attempt.number == 1 && attempt.trigger == Trigger::Scheduled;
                    Timing {
                        answer: attempt.duration,
                        lag: is_first.then(|| attempt.at.since(accepted.max(asked))),
                    }
                }));
            }
        }
        samples
    }

    pub fn failed_attempts(&self, query: &FailureQuery) -> Vec<FailedAttempt> {
        let of = |endpoint| {
            self.attempts
                .values()
                .rev()
                .filter(move |attempt| attempt.endpoint == endpoint)
                .filter(|attempt| query.since <= attempt.id.created_at() && attempt.id.created_at() < query.until)
                .filter_map(|attempt| {
                    Some(FailedAttempt {
                        endpoint: attempt.endpoint,
                        message: attempt.message,
                        attempt: attempt.id,
                        reason: attempt.failure.clone()?,
                        status_code: attempt.status_code,
                        last: attempt.last,
                    })
                })
                .take(query.per_endpoint)
        };
        query.endpoints.iter().flat_map(|endpoint| of(*endpoint)).collect()
    }

    pub fn find_message(&self, id: MessageId) -> Option<Message> {
        self.messages.get(&id).map(|kept| shown(&kept.message, false))
    }

    pub fn find_event_id(&self, apps: &[AppId], event_id: &str) -> Vec<Message> {
        let ids = apps.iter().filter_map(|app| self.message_by_event_id(*app, event_id));
        ids.filter_map(|id| self.find_message(id)).collect()
    }

    pub fn scan(&self, scan: &Scan) -> Scanned {
        let mut scanned = Scanned::default();
        let mut read = 0;
        let alone = match scan.apps[..] {
            [] => {
                scanned.done = true;
                return scanned;
            }
            [app] => Some(app),
            _ => None,
        };
        for kept in self.messages.values().rev() {
            let message = &kept.message;
            let number = message.id.number();
            let is_below = scan.below.is_none_or(|below| number < below);
            if !is_below || alone.is_some_and(|app| message.app != app) || !is_within(&scan.filter, message.created_at)
            {
                continue;
            }
            scanned.seen += 1;
            scanned.reached = Some(number);
            if scan.is_of(message.app) && is_about(&scan.filter, message) {
                let attempts = self.attempts.values().filter(|attempt| attempt.message == message.id);
                let attempts: Vec<_> = attempts.cloned().collect();
                let routed = scan.endpoint.is_some_and(|endpoint| kept.routed.contains(&endpoint));
                let payload = message.payload.as_deref().filter(|_| scan.reads_payloads());
                read += payload.map_or(0, <[u8]>::len);
                if scan.reads_attempts() {
                    read += attempts.iter().map(|attempt| attempt.response.len()).sum::<usize>();
                }
                if let Some(found) = scan.judge(message, payload, &attempts, routed) {
                    let message = shown(message, false);
                    scanned.hits.push(Hit { message, found });
                }
            }
            if scanned.seen >= scan.rows as u64 || read >= scan.bytes || scanned.hits.len() >= scan.hits {
                return scanned;
            }
        }
        scanned.done = true;
        scanned
    }

    pub fn audit_rows(&self, environment: EnvironmentId, filter: &AuditFilter, page: Page) -> Rows<AuditEntry> {
        let fitting = self.audit.values();
        let fitting = fitting.filter(|entry| entry.environment == environment && filter.takes(entry));
        page_of(fitting.cloned(), |entry| entry.id.number(), page)
    }
}
