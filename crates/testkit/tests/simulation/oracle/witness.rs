//! What the oracle sees: each attempt as it is asked for, begins and ends, and what stands in the way of others meanwhile.

use std::{collections::BTreeMap, time::Duration};

use bellwire_core::{
    delivery::DeliveryKey,
    id::{AppId, EndpointId},
    limit::Signal,
};
use bellwire_testkit::{Begun, Ended, Witness};

use super::{Book, Oracle, Trial, load::SLOW_START};

/// An application holds at most so many times as many slots as are free.
const APP_SHARE: usize = 3;

impl Witness for Oracle {
    fn asked(&self, key: DeliveryKey) {
        let (now, endpoint) = (self.clock.passed(), key.endpoint);
        let mut book = self.book();
        // How it stood until now; that this one is under way hinders those after it.
        book.note_hindered(now);
        book.asked.insert(key, now);
        book.in_flight += 1;
        let (settings, disturbed) = (book.breaker, book.disturbed);
        let known = book.endpoints.get_mut(&endpoint);
        let wrong = known.and_then(|known| {
            known.in_flight += 1;
            known.load.asked(key, now, disturbed, settings)
        });
        if let Some(wrong) = wrong {
            self.violated(
                &mut book,
                format!("an attempt of {} at {endpoint} {wrong}", key.message),
            );
        }
    }

    fn withheld(&self, key: DeliveryKey) {
        self.left(key.endpoint);
        if let Some(known) = self.book().endpoints.get_mut(&key.endpoint) {
            known.load.withheld(key, self.clock.passed());
        }
        self.note(&format!("{} withheld at {}", key.message, key.endpoint));
    }

    fn begun(&self, begun: &Begun) {
        let passed = self.clock.passed();
        let (run, number) = (begun.progress.run, begun.progress.tries + 1);
        let DeliveryKey { message, endpoint } = begun.key;
        self.note(&format!("attempt {run}.{number} of {message} at {endpoint}"));
        let mut book = self.book();
        book.attempts += 1;
        let name = format!("attempt {run}.{number} of {message} at {endpoint}");
        let mut found = Vec::new();
        if book.endpoints.get(&endpoint).is_none_or(|known| known.blocked) {
            found.push(format!("{name} begins after it was answered that nothing would"));
        }
        if book
            .accepted
            .get(&message)
            .is_some_and(|routes| !routes.iter().any(|route| route.endpoint == endpoint))
            && !book.resends.contains_key(&begun.key)
        {
            found.push(format!("{name} goes where the message was not routed to"));
        }
        let life = book.life;
        for earlier in book.trials.get(&begun.key).into_iter().flatten() {
            if earlier.life == life && earlier.ended.is_none() {
                found.push(format!(
                    "{name} begins while {}.{} is under way",
                    earlier.run, earlier.number
                ));
            }
            if earlier.run > run && !earlier.excused {
                found.push(format!("{name} begins after a newer run {}", earlier.run));
            }
            let repeats = earlier.run == run && earlier.number >= number;
            let delivered = earlier.run == run && matches!(earlier.ended, Some((_, true, _)));
            if (repeats || delivered) && !earlier.excused {
                found.push(format!("{name} is a duplicate of {}.{}", earlier.run, earlier.number));
            }
        }
        let started = book.asked.get(&begun.key).copied().unwrap_or(passed);
        let trial = Trial {
            run,
            number,
            life,
            in_turn: begun.place.as_ref().is_some_and(|place| place.previous.is_some()),
            started,
            ended: None,
            ended_passed: passed,
            excused: false,
        };
        found.extend(self.judge_wait(&book, begun, started));
        found.extend(self.judge_turn(&book, begun));
        book.trials.entry(begun.key).or_default().push(trial);
        for violation in found {
            self.violated(&mut book, violation);
        }
    }

    fn ended(&self, ended: &Ended) {
        let passed = self.clock.passed();
        let Begun { key, progress, .. } = ended.begun;
        let outcome = &ended.outcome;
        self.note(&format!(
            "answer {} to {}.{} of {} at {}",
            outcome.status_code,
            progress.run,
            progress.tries + 1,
            key.message,
            key.endpoint
        ));
        self.left(key.endpoint);
        let mut book = self.book();
        let life = book.life;
        let succeeded = outcome.failure.is_none();
        if let Some(trial) = book
            .trials
            .get_mut(&key)
            .and_then(|trials| trials.iter_mut().rev().find(|trial| trial.life == life))
        {
            trial.ended = Some((outcome.ended_at(), succeeded, outcome.retry_after));
            trial.ended_passed = passed;
        }
        let (breaker, disable_after) = (book.breaker, book.disable_after);
        if let Some(known) = book.endpoints.get_mut(&key.endpoint) {
            known.gone_answered |= outcome.status_code == 410;
            known.failing_since = if succeeded {
                None
            } else {
                known.failing_since.or(Some(passed))
            };
            if let Some(since) = known.failing_since {
                known.failed_for = passed - since;
            }
            if succeeded {
                if known.load.succeeded(outcome.duration, known.limit, breaker) {
                    known.slow_until = passed + SLOW_START;
                }
            } else {
                // One that disables the endpoint is told only when that is written.
                let sure = outcome.status_code != 410 && known.failed_for + SLOW_START < disable_after;
                known.load.failed(key, Signal::of(outcome), sure, breaker, passed);
            }
            if matches!(outcome.status_code, 429 | 502 | 503 | 504) {
                // It asked for a rest, of at most a minute.
                known.hindered = known.hindered.max(passed + Duration::from_secs(60));
            }
        }
    }
}

impl Oracle {
    fn left(&self, endpoint: EndpointId) {
        let now = self.clock.passed();
        let mut book = self.book();
        book.note_hindered(now);
        book.in_flight -= 1;
        if let Some(known) = book.endpoints.get_mut(&endpoint) {
            known.in_flight -= 1;
        }
    }
}

impl Book {
    /// Slots are used up; or an endpoint has reached its limit, or its share: as many slots as are free; or its application
    /// has.
    fn note_hindered(&mut self, now: Duration) {
        let free = self.in_flight_limit.saturating_sub(self.in_flight);
        if free == 0 {
            self.disturbed = now;
        }
        let mut by_app = BTreeMap::<AppId, usize>::new();
        for known in self.endpoints.values() {
            *by_app.entry(known.app).or_default() += known.in_flight;
        }
        let settings = self.breaker;
        for known in self.endpoints.values_mut() {
            let of_app = by_app.get(&known.app).copied().unwrap_or(0);
            let full = known.in_flight >= known.load.limit(known.limit).min(free) || of_app >= free * APP_SHARE;
            if full || known.load.may_be_open(settings) || known.slow_until > now {
                known.hindered = known.hindered.max(now);
            }
        }
    }
}
