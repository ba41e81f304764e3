//! What people are told about an endpoint without having asked: that its queue is old, that it fails often, that it suddenly gets
//! far more messages than usual. Each is raised once and cleared once.
//!
//! Pure: the scheduler keeps an [`Alarms`] and a [`Traffic`] for each lane, shows them what it sees once a second, and tells what
//! comes out. What is raised is forgotten with the process and raised anew by the next one.

use std::time::Duration;

use crate::time::Timestamp;

/// When alerts are raised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The delivery that waits longest has been due for longer than this; zero: off.
    pub queue_age: Duration,
    /// So large a share of the attempts of the last five minutes failed, from 0 to 1; zero: off.
    pub failure_rate: f64,
    /// Fewer attempts say nothing about a share.
    pub failure_attempts: u32,
    /// So many times the hour's average arrive within a minute; zero: off.
    pub spike: f64,
    /// Fewer messages in a minute are no spike.
    pub spike_messages: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue_age: Duration::from_secs(15 * 60),
            failure_rate: 0.5,
            failure_attempts: 20,
            spike: 10.0,
            spike_messages: 600,
        }
    }
}

/// What an alert is about, with the figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Alert {
    /// The delivery that waits longest has been due for so long; none waits when it is zero.
    QueueDelayed {
        /// For how long.
        age: Duration,
    },
    /// So many of the attempts of the last five minutes failed.
    FailureRateHigh {
        /// All of them.
        attempts: u32,
        /// Those that failed.
        failed: u32,
    },
    /// So many messages arrived within a minute.
    TrafficSpike {
        /// That many.
        messages: u32,
        /// A minute's average over the hour before.
        average: f64,
    },
}

/// What is seen of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// For how long the delivery that waits longest has been due; `None` when none is, or when it waits because somebody wants
    /// it to.
    pub queue_age: Option<Duration>,
    /// Attempts of the last five minutes that succeeded, and that failed.
    pub succeeded: u32,
    /// Those that failed.
    pub failed: u32,
    /// The messages of a minute just now, and of an average minute of the last hour; `None` while too little was seen.
    pub traffic: Option<(u32, f64)>,
}

/// What is raised for an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Alarms {
    queue: bool,
    failures: bool,
    spike: bool,
}

/// An alert is cleared below this share of what raises it, so that it does not come and go.
const CLEARED_BELOW: f64 = 0.5;

impl Alarms {
    /// Whether anything is raised.
    pub fn any(&self) -> bool {
        self.queue || self.failures || self.spike
    }

    /// Looks at an endpoint; answers what is to be told, `true` for raised and `false` for cleared. A failure rate is cleared by
    /// successes, not by silence.
    pub fn look(&mut self, seen: &Seen, settings: &Settings) -> impl Iterator<Item = (Alert, bool)> + use<> {
        let age = seen.queue_age.unwrap_or_default();
        let over = |raised: bool, value: f64, bound: f64| {
            bound > 0.0 && value >= bound * if raised { CLEARED_BELOW } else { 1.0 }
        };

        let queue = over(self.queue, age.as_secs_f64(), settings.queue_age.as_secs_f64());

        let attempts = seen.succeeded.saturating_add(seen.failed);
        let enough = attempts >= settings.failure_attempts.max(1);
        let share = f64::from(seen.failed) / f64::from(attempts.max(1));
        let high = over(self.failures, share, settings.failure_rate);
        let failures = settings.failure_rate > 0.0
            && if self.failures {
                high || seen.succeeded == 0
            } else {
                high && enough
            };

        let (messages, average) = seen.traffic.unwrap_or_default();
        let bound = (settings.spike * average).max(f64::from(settings.spike_messages));
        let spike = settings.spike > 0.0 && seen.traffic.is_some() && over(self.spike, f64::from(messages), bound);

        let told = [
            turned(&mut self.queue, queue, Alert::QueueDelayed { age }),
            turned(
                &mut self.failures,
                failures,
                Alert::FailureRateHigh {
                    attempts,
                    failed: seen.failed,
                },
            ),
            turned(&mut self.spike, spike, Alert::TrafficSpike { messages, average }),
        ];
        told.into_iter().flatten()
    }
}

fn turned(raised: &mut bool, now: bool, alert: Alert) -> Option<(Alert, bool)> {
    let before = std::mem::replace(raised, now);
    (before != now).then_some((alert, now))
}

/// So many minutes are averaged.
const HOUR: u16 = 60;
/// An average of fewer minutes says nothing.
const KNOWN: u16 = 15;

/// How many messages arrive per minute, and how many did in the hour before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Traffic {
    /// When this minute began.
    since: Timestamp,
    messages: u32,
    last: u32,
    average: f32,
    minutes: u16,
}

impl Traffic {
    /// Of an endpoint that got nothing since `quiet_since`.
    pub fn new(quiet_since: Timestamp, now: Timestamp) -> Self {
        let minutes = now.since(quiet_since).as_secs() / 60;
        Self {
            since: now,
            messages: 0,
            last: 0,
            average: 0.0,
            minutes: u16::try_from(minutes).unwrap_or(HOUR).min(HOUR),
        }
    }

    /// So many messages more arrived.
    pub fn arrived(&mut self, messages: u32) {
        self.messages = self.messages.saturating_add(messages);
    }

    /// Ends minutes that are over. After a clock was set back, the minute begins anew.
    pub fn tick(&mut self, now: Timestamp) {
        if now < self.since {
            self.since = now;
        }
        let mut over = (now.since(self.since).as_secs() / 60).min(u64::from(HOUR));
        if over > 0 {
            self.since = now;
        }
        while over > 0 {
            self.last = std::mem::take(&mut self.messages);
            self.minutes = (self.minutes + 1).min(HOUR);
            self.average += (self.last as f32 - self.average) / f32::from(self.minutes);
            over -= 1;
        }
    }

    /// The larger of this minute and the one before, so that nothing is over because a minute is, and an average minute of the
    /// last hour; `None` while too little is known.
    pub fn seen(&self) -> Option<(u32, f64)> {
        (self.minutes >= KNOWN).then(|| (self.messages.max(self.last), f64::from(self.average)))
    }
}

/// So many stretches of a minute are counted.
const MINUTES: usize = 5;

/// Attempts of the last five minutes, by how they ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lately {
    /// Which minute since the epoch the first place is.
    minute: u32,
    succeeded: [u32; MINUTES],
    failed: [u32; MINUTES],
}

impl Lately {
    /// So many more ended.
    pub fn ended(&mut self, succeeded: bool, n: u32, now: Timestamp) {
        self.tick(now);
        let counts = if succeeded {
            &mut self.succeeded
        } else {
            &mut self.failed
        };
        counts[0] = counts[0].saturating_add(n);
    }

    /// Forgets minutes that are over, and those that a clock which was set back has yet to come to.
    pub fn tick(&mut self, now: Timestamp) {
        let minute = u32::try_from(now.secs() / 60).unwrap_or(u32::MAX);
        if minute != self.minute {
            let passed = minute
                .checked_sub(self.minute)
                .map_or(MINUTES, |n| (n as usize).min(MINUTES));
            for counts in [&mut self.succeeded, &mut self.failed] {
                counts.rotate_right(passed);
                counts[..passed].fill(0);
            }
            self.minute = minute;
        }
    }

    /// How many succeeded, and how many failed.
    pub fn counts(&self) -> (u32, u32) {
        let sum = |counts: &[u32; MINUTES]| counts.iter().fold(0u32, |sum, n| sum.saturating_add(*n));
        (sum(&self.succeeded), sum(&self.failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Timestamp = Timestamp::from_secs(1_766_000_040);
    const CALM: Seen = Seen {
        queue_age: None,
        succeeded: 0,
        failed: 0,
        traffic: None,
    };

    fn told(alarms: &mut Alarms, seen: Seen) -> Vec<(Alert, bool)> {
        alarms.look(&seen, &Settings::default()).collect()
    }

    fn after(secs: u64) -> Timestamp {
        START.plus(Duration::from_secs(secs))
    }

    #[test]
    fn an_old_queue_is_told_once_and_cleared_when_it_is_half_as_old() {
        let mut alarms = Alarms::default();
        let aged = |minutes: u64| Seen {
            queue_age: Some(Duration::from_secs(minutes * 60)),
            ..CALM
        };
        assert!(told(&mut alarms, aged(14)).is_empty());
        let age = Duration::from_secs(900);
        assert_eq!(told(&mut alarms, aged(15)), [(Alert::QueueDelayed { age }, true)]);
        assert!(told(&mut alarms, aged(30)).is_empty() && told(&mut alarms, aged(8)).is_empty());
        assert!(alarms.any());
        let nothing = Duration::ZERO;
        assert_eq!(told(&mut alarms, CALM), [(Alert::QueueDelayed { age: nothing }, false)]);
        assert!(!alarms.any());
    }

    #[test]
    fn half_of_twenty_attempts_raise_and_successes_clear_but_silence_does_not() {
        let mut alarms = Alarms::default();
        let ended = |succeeded, failed| Seen {
            succeeded,
            failed,
            ..CALM
        };
        assert!(told(&mut alarms, ended(0, 19)).is_empty());
        assert!(told(&mut alarms, ended(11, 10)).is_empty());
        let alert = |attempts, failed| Alert::FailureRateHigh { attempts, failed };
        assert_eq!(told(&mut alarms, ended(10, 10)), [(alert(20, 10), true)]);
        assert!(told(&mut alarms, ended(0, 0)).is_empty());
        assert!(told(&mut alarms, ended(0, 3)).is_empty());
        assert_eq!(told(&mut alarms, ended(1, 0)), [(alert(1, 0), false)]);
    }

    #[test]
    fn ten_times_the_hours_average_is_a_spike_and_a_small_number_is_not() {
        let mut alarms = Alarms::default();
        let minute = |messages, average| Seen {
            traffic: Some((messages, average)),
            ..CALM
        };
        assert!(told(&mut alarms, minute(599, 1.0)).is_empty());
        assert!(told(&mut alarms, minute(999, 100.0)).is_empty());
        let alert = |messages, average| Alert::TrafficSpike { messages, average };
        assert_eq!(told(&mut alarms, minute(1_000, 100.0)), [(alert(1_000, 100.0), true)]);
        assert!(told(&mut alarms, minute(500, 100.0)).is_empty());
        assert_eq!(told(&mut alarms, minute(499, 100.0)), [(alert(499, 100.0), false)]);
    }

    #[test]
    fn nothing_is_raised_when_it_is_off() {
        let off = Settings {
            queue_age: Duration::ZERO,
            failure_rate: 0.0,
            spike: 0.0,
            ..Settings::default()
        };
        let worst = Seen {
            queue_age: Some(Duration::from_secs(86_400)),
            succeeded: 0,
            failed: 1_000,
            traffic: Some((1_000_000, 0.0)),
        };
        let mut alarms = Alarms::default();
        assert_eq!(alarms.look(&worst, &off).count(), 0);
    }

    #[test]
    fn an_average_is_told_after_a_quarter_of_an_hour_and_covers_an_hour() {
        let mut traffic = Traffic::new(START, START);
        for minute in 1..=120u64 {
            traffic.arrived(30);
            traffic.tick(after(minute * 60));
            assert_eq!(traffic.seen().is_some(), minute >= 15);
        }
        let (now, average) = traffic.seen().unwrap();
        assert!(now == 30 && (average - 30.0).abs() < 0.01, "{average}");
        // An endpoint that was quiet for as long as is known has an average of nothing.
        assert_eq!(Traffic::new(START, after(1_800)).seen(), Some((0, 0.0)));
    }

    #[test]
    fn attempts_count_for_five_minutes() {
        let mut lately = Lately::default();
        lately.ended(true, 2, START);
        lately.ended(false, 3, after(60));
        lately.tick(after(299));
        assert_eq!(lately.counts(), (2, 3));
        lately.tick(after(300));
        assert_eq!(lately.counts(), (0, 3));
        lately.tick(after(10_000));
        assert_eq!(lately.counts(), (0, 0));
    }

    proptest! {
        #[test]
        fn raised_and_cleared_alternate(
            looks in prop::collection::vec((0u64..2_000, 0u32..40, 0u32..40, 0u32..2_000, 0.0f64..200.0), 0..200),
        ) {
            let mut alarms = Alarms::default();
            let mut raised = [false; 3];
            for (age, succeeded, failed, messages, average) in looks {
                let seen = Seen {
                    queue_age: Some(Duration::from_secs(age)),
                    succeeded,
                    failed,
                    traffic: Some((messages, average)),
                };
                for (alert, state) in told(&mut alarms, seen) {
                    let kind = match alert {
                        Alert::QueueDelayed { .. } => 0,
                        Alert::FailureRateHigh { .. } => 1,
                        Alert::TrafficSpike { .. } => 2,
                    };
                    prop_assert_ne!(raised[kind], state);
                    raised[kind] = state;
                }
                prop_assert_eq!(alarms.any(), raised.contains(&true));
            }
        }

        #[test]
        fn counts_survive_any_clock(steps in prop::collection::vec((-1_000_000i64..1_000_000, any::<bool>(), 0u32..10), 0..100)) {
            let (mut lately, mut traffic, mut now) = (Lately::default(), Traffic::new(START, START), START);
            let mut total = 0;
            for (secs, succeeded, n) in steps {
                now = Timestamp::from_micros(now.micros() + secs * 1_000_000);
                lately.ended(succeeded, n, now);
                traffic.arrived(n);
                traffic.tick(now);
                total += n;
                let (good, bad) = lately.counts();
                prop_assert!(good + bad >= n && good + bad <= total);
                prop_assert!(traffic.seen().is_none_or(|(_, average)| average.is_finite() && average >= 0.0));
            }
        }
    }
}
