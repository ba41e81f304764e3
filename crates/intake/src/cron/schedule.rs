//! Schedules as cron writes them: `*/5 9-17 * * mon-fri`, `@daily`.
//!
//! Five fields: minute, hour, day of the month, month, day of the week (0 and 7 are Sunday). As in every cron, a day that is
//! limited both ways is one that fits either. Where clocks are put forward, what falls into the gap is due right after it;
//! where they are put back, what names an hour is due once, and what is due every hour goes on by the minute.

use bellwire_core::time::Timestamp;
use jiff::{
    civil::{Date, DateTime},
    tz::TimeZone,
};

/// The times at which something is due.
#[derive(Debug, Clone)]
pub struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Both the day of the month and the day of the week are limited: one of them is enough.
    either_day: bool,
    zone: TimeZone,
}

/// A schedule that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScheduleError(String);

/// A field: its name, bounds, and the names of its values.
struct Field {
    name: &'static str,
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const MONTHS: &[&str] = &[
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const FIELDS: [Field; 5] = [
    Field {
        name: "minute",
        min: 0,
        max: 59,
        names: &[],
    },
    Field {
        name: "hour",
        min: 0,
        max: 23,
        names: &[],
    },
    Field {
        name: "day of the month",
        min: 1,
        max: 31,
        names: &[],
    },
    Field {
        name: "month",
        min: 1,
        max: 12,
        names: MONTHS,
    },
    Field {
        name: "day of the week",
        min: 0,
        max: 7,
        names: WEEKDAYS,
    },
];

const SHORT: &[(&str, &str)] = &[
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// 29 February comes after eight years at the latest.
const DAYS_MAX: usize = 8 * 366 + 1;
const MINUTE_MICROS: i64 = 60_000_000;

impl Schedule {
    /// Reads a schedule for a time zone: `UTC`, or a name such as `Europe/Berlin` that this machine knows.
    ///
    /// # Errors
    /// [`ScheduleError`], with the field and what it may be.
    pub fn parse(text: &str, zone: &str) -> Result<Self, ScheduleError> {
        let zone = if zone.eq_ignore_ascii_case("utc") {
            TimeZone::UTC
        } else {
            TimeZone::get(zone).map_err(|_| {
                let what = "is no time zone that this machine knows; write UTC or a name such as Europe/Berlin";
                ScheduleError(format!("`{zone}` {what}, and see that tzdata is installed"))
            })?
        };
        let text = text.trim();
        let full = SHORT.iter().find(|(short, _)| text.eq_ignore_ascii_case(short));
        let fields: Vec<&str> = full.map_or(text, |(_, full)| full).split_whitespace().collect();
        let Ok(fields) = <[&str; 5]>::try_from(fields) else {
            let what = "a schedule has five fields (minute, hour, day of the month, month, day of the week), or is @hourly, \
                        @daily, @weekly, @monthly or @yearly";
            return Err(ScheduleError(format!("`{text}` is no schedule: {what}")));
        };
        let mut bits = [0; 5];
        for ((bits, field), text) in bits.iter_mut().zip(&FIELDS).zip(fields) {
            *bits = field.read(text)?;
        }
        let [minutes, hours, days, months, weekdays] = bits;
        let limited = |text: &str| !text.starts_with(['*', '?']);
        let schedule = Self {
            minutes,
            hours,
            days,
            months,
            // 7 is Sunday, too.
            weekdays: weekdays & 0x7f | weekdays >> 7,
            either_day: limited(fields[2]) && limited(fields[4]),
            zone,
        };
        match schedule.next(Timestamp::from_secs(1_704_067_200)) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError(format!("`{text}` is no schedule: there is no such day"))),
        }
    }

    /// The first time after that.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        if self.hours.count_ones() == 24 {
            self.next_by_the_minute(after)
        } else {
            self.next_by_the_clock(after)
        }
    }

    /// The last time after `after`, up to `until`.
    pub fn last(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let times = std::iter::successors(self.next(after), |at| self.next(*at));
        times.take_while(|at| *at <= until).last()
    }

    /// Every hour counts: time runs on whatever the clocks show.
    fn next_by_the_minute(&self, after: Timestamp) -> Option<Timestamp> {
        let mut at = Timestamp::from_micros((after.micros() / MINUTE_MICROS + 1) * MINUTE_MICROS);
        for _ in 0..DAYS_MAX {
            let now = self.local(at)?;
            if self.has_day(now.date()) {
                if self.minutes >> now.minute() & 1 == 1 {
                    return Some(at);
                }
                at = Timestamp::from_micros(at.micros() + MINUTE_MICROS);
                let rest = u32::try_from(now.minute()).ok()? + 1;
                let ahead = i64::from((self.minutes >> rest).trailing_zeros().min(60 - rest));
                at = Timestamp::from_micros(at.micros() + ahead * MINUTE_MICROS);
                continue;
            }
            let tomorrow = now.date().tomorrow().ok()?;
            at = self
                .global(tomorrow.at(0, 0, 0, 0))?
                .max(Timestamp::from_micros(at.micros() + MINUTE_MICROS));
        }
        None
    }

    /// Hours are named: each time on the clock is due once.
    fn next_by_the_clock(&self, after: Timestamp) -> Option<Timestamp> {
        let from = self.local(after)?;
        let mut date = from.date();
        for _ in 0..DAYS_MAX {
            if self.has_day(date) {
                for (hour, minute) in self.times() {
                    let at = self.global(date.at(hour, minute, 0, 0))?;
                    if at > after {
                        return Some(at);
                    }
                }
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn times(&self) -> impl Iterator<Item = (i8, i8)> {
        let set = |bits: u64, max: i8| (0..=max).filter(move |n| bits >> n & 1 == 1);
        let minutes = self.minutes;
        set(self.hours, 23).flat_map(move |hour| set(minutes, 59).map(move |minute| (hour, minute)))
    }

    fn has_day(&self, date: Date) -> bool {
        let has = |bits: u64, n: i8| bits >> n & 1 == 1;
        let (day, weekday) = (
            has(self.days, date.day()),
            has(self.weekdays, date.weekday().to_sunday_zero_offset()),
        );
        let fits = if self.either_day {
            day || weekday
        } else {
            day && weekday
        };
        fits && has(self.months, date.month())
    }

    fn local(&self, at: Timestamp) -> Option<DateTime> {
        let at = jiff::Timestamp::from_microsecond(at.micros()).ok()?;
        Some(self.zone.to_datetime(at))
    }

    fn global(&self, at: DateTime) -> Option<Timestamp> {
        let at = self.zone.to_ambiguous_timestamp(at).compatible().ok()?;
        Some(Timestamp::from_micros(at.as_microsecond()))
    }
}

impl Field {
    /// The values that a field names, as bits.
    fn read(&self, text: &str) -> Result<u64, ScheduleError> {
        let mut bits = 0;
        for entry in text.split(',') {
            let (range, step) = match entry.split_once('/') {
                Some((range, step)) => (
                    range,
                    step.parse()
                        .ok()
                        .filter(|step| *step > 0)
                        .ok_or_else(|| self.wrong(entry))?,
                ),
                None => (entry, 1),
            };
            let (first, last) = match range.split_once('-') {
                _ if range == "*" || range == "?" => (self.min, self.max.min(if self.max == 7 { 6 } else { self.max })),
                Some((first, last)) => (self.value(first, entry)?, self.value(last, entry)?),
                None => {
                    let first = self.value(range, entry)?;
                    (first, if entry.contains('/') { self.max } else { first })
                }
            };
            if first > last {
                return Err(self.wrong(entry));
            }
            for value in (first..=last).step_by(step) {
                bits |= 1 << value;
            }
        }
        Ok(bits)
    }

    fn value(&self, text: &str, entry: &str) -> Result<u32, ScheduleError> {
        let named = self.names.iter().position(|name| text.eq_ignore_ascii_case(name));
        let value = match named.and_then(|at| u32::try_from(at).ok()) {
            Some(at) => Some(at + self.min),
            None => text.parse().ok(),
        };
        value
            .filter(|value| (self.min..=self.max).contains(value))
            .ok_or_else(|| self.wrong(entry))
    }

    fn wrong(&self, entry: &str) -> ScheduleError {
        let entry: String = entry.chars().take(40).collect();
        let names = match self.names {
            [] => String::new(),
            [first, .., last] => format!(", or {first} to {last}"),
            [only] => format!(", or {only}"),
        };
        ScheduleError(format!(
            "`{entry}` is no {}: write {} to {}{names}, `*`, a range such as {}-{}, a list, or steps such as */2",
            self.name,
            self.min,
            self.max,
            self.min,
            self.min + 2
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nexts(schedule: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::parse(schedule, zone).unwrap();
        let mut at: Timestamp = after.parse().unwrap();
        let mut found = Vec::new();
        for _ in 0..count {
            at = schedule.next(at).unwrap();
            found.push(at.to_string()[..16].to_owned());
        }
        found
    }

    #[test]
    fn schedules_are_read_as_cron_reads_them() {
        let after = "2026-01-30T23:58:30Z";
        for (schedule, expected) in [
            ("* * * * *", ["2026-01-30T23:59", "2026-01-31T00:00"]),
            ("*/15 * * * *", ["2026-01-31T00:00", "2026-01-31T00:15"]),
            ("5/20 * * * *", ["2026-01-31T00:05", "2026-01-31T00:25"]),
            ("0 9-17/4 * * mon-fri", ["2026-02-02T09:00", "2026-02-02T13:00"]),
            ("30 4 1,15 * 5", ["2026-02-01T04:30", "2026-02-06T04:30"]),
            ("0 0 29 2 *", ["2028-02-29T00:00", "2032-02-29T00:00"]),
            ("0 12 * * 7", ["2026-02-01T12:00", "2026-02-08T12:00"]),
            ("0 12 * * sun", ["2026-02-01T12:00", "2026-02-08T12:00"]),
            ("0 0 1 */6 *", ["2026-07-01T00:00", "2027-01-01T00:00"]),
            ("@hourly", ["2026-01-31T00:00", "2026-01-31T01:00"]),
            ("@weekly", ["2026-02-01T00:00", "2026-02-08T00:00"]),
            ("@yearly", ["2027-01-01T00:00", "2028-01-01T00:00"]),
            ("59 23 * * *", ["2026-01-30T23:59", "2026-01-31T23:59"]),
        ] {
            assert_eq!(nexts(schedule, "UTC", after, 2), expected, "{schedule}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_said_with_its_field() {
        for (schedule, words) in [
            ("* * * *", "five fields"),
            ("60 * * * *", "minute"),
            ("* 24 * * *", "hour"),
            ("* * 0 * *", "day of the month"),
            ("* * * jam *", "jan to dec"),
            ("* * * * mon-sun", "day of the week"),
            ("*/0 * * * *", "minute"),
            ("5-1 * * * *", "minute"),
            ("0 0 30 2 *", "no such day"),
            ("@reboot", "five fields"),
        ] {
            let error = Schedule::parse(schedule, "UTC").unwrap_err().to_string();
            assert!(error.contains(words), "{schedule}: {error}");
        }
        assert!(
            Schedule::parse("@daily", "Mars/Olympus")
                .unwrap_err()
                .to_string()
                .contains("tzdata")
        );
    }

    #[test]
    fn the_last_time_within_a_span_is_found() {
        let schedule = Schedule::parse("*/5 * * * *", "UTC").unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let last = schedule.last(at("2026-01-31T09:00:00Z"), at("2026-01-31T09:12:00Z"));
        assert_eq!(last, Some(at("2026-01-31T09:10:00Z")));
        assert_eq!(
            schedule.last(at("2026-01-31T09:00:00Z"), at("2026-01-31T09:04:59Z")),
            None
        );
    }

    /// The last Sundays of March and October 2026, 2:00 and 3:00 in Berlin.
    #[test]
    fn where_clocks_change_nothing_is_lost_or_done_twice() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let in_berlin = |schedule: &str, after: &str, count: usize| {
            let schedule = Schedule {
                zone: zone.clone(),
                ..Schedule::parse(schedule, "UTC").unwrap()
            };
            let mut at: Timestamp = after.parse().unwrap();
            let mut found = Vec::new();
            for _ in 0..count {
                at = schedule.next(at).unwrap();
                found.push(at.to_string()[..16].to_owned());
            }
            found
        };
        // 2:30 does not exist on 29 March: it is due when the clocks show 3:30.
        let spring = in_berlin("30 2 * * *", "2026-03-28T12:00:00Z", 2);
        assert_eq!(spring, ["2026-03-29T01:30", "2026-03-30T00:30"]);
        // 2:30 comes twice on 25 October: it is due at the first.
        let autumn = in_berlin("30 2 * * *", "2026-10-24T12:00:00Z", 2);
        assert_eq!(autumn, ["2026-10-25T00:30", "2026-10-26T01:30"]);
        let hourly = in_berlin("0 * * * *", "2026-10-24T23:30:00Z", 4);
        assert_eq!(
            hourly,
            [
                "2026-10-25T00:00",
                "2026-10-25T01:00",
                "2026-10-25T02:00",
                "2026-10-25T03:00"
            ]
        );
    }
}
