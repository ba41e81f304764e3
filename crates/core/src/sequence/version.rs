//! Which of two versions is newer.
//!
//! A version is text that the sender put into its message: a time, a number, or anything that grows. Two versions of one
//! stream are compared
//!
//! 1. as times, when both are RFC 3339 date-times: by instant, in any zone and to any number of decimals. A space or `t` may
//!    stand in the place of `T`, seconds may be left out, an offset may be written without its colon or its minutes, and a
//!    time without a zone is taken to be UTC;
//! 2. as numbers, when both are integers or decimals (`-12`, `1700000000.25`), of any length: `1.10` equals `1.1`;
//! 3. otherwise in natural order: from left to right, stretches of digits by their value and all else character by
//!    character, so that `v1.9` is older than `v1.10`. That knows nothing of pre-releases (`1.0-rc1` is newer than `1.0`)
//!    and exponents (`1e9`).
//!
//! Versions that compare as equal are equally new, however they are written.

use std::cmp::Ordering;

/// The longest version, in bytes of UTF-8, that a source takes.
pub const VERSION_BYTES_MAX: usize = 256;

/// Whether `a` is older than (`Less`), as new as, or newer than `b`. Surrounding white space does not count.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim(), b.trim());
    if let (Some(a), Some(b)) = (Instant::read(a), Instant::read(b)) {
        return a.cmp(&b);
    }
    if let (Some(a), Some(b)) = (Decimal::read(a), Decimal::read(b)) {
        return a.cmp(&b);
    }
    natural(a, b)
}

/// A point in time. Fractions of a second are the digits behind the point, without trailing zeros.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Instant<'a> {
    seconds: i64,
    fraction: &'a str,
}

impl<'a> Instant<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let mut rest = Reader(text);
        let year = rest.digits(4)?;
        rest.one_of(&['-'])?;
        let month = rest.digits_within(2, 1..=12)?;
        rest.one_of(&['-'])?;
        let day = rest.digits_within(2, 1..=31)?;
        rest.one_of(&['T', 't', ' '])?;
        let hour = rest.digits_within(2, 0..=23)?;
        rest.one_of(&[':'])?;
        let minute = rest.digits_within(2, 0..=59)?;
        let (mut second, mut fraction) = (0, "");
        if rest.one_of(&[':']).is_some() {
            // A leap second is the one after it.
            second = rest.digits_within(2, 0..=60)?;
            if rest.one_of(&['.', ',']).is_some() {
                fraction = rest.all_digits()?.trim_end_matches('0');
            }
        }
        let offset = rest.offset()?;
        let days = days_since_epoch(year, month, day);
        Some(Self {
            seconds: days * 86_400 + hour * 3_600 + minute * 60 + second - offset,
            fraction,
        })
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March have the odd day at their end.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    fn one_of(&mut self, wanted: &[char]) -> Option<char> {
        let found = self.0.chars().next().filter(|c| wanted.contains(c))?;
        self.0 = &self.0[found.len_utf8()..];
        Some(found)
    }

    fn all_digits(&mut self) -> Option<&'a str> {
        let (digits, rest) = split_digits(self.0);
        self.0 = rest;
        (!digits.is_empty()).then_some(digits)
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let digits = self.0.get(..count)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        self.0 = &self.0[count..];
        digits.parse().ok()
    }

    fn digits_within(&mut self, count: usize, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        self.digits(count).filter(|value| range.contains(value))
    }

    /// Seconds east of UTC, up to the text's end.
    fn offset(&mut self) -> Option<i64> {
        // Behind white space too: `2026-01-31 09:30:00 +0200`.
        self.0 = self.0.trim_start();
        let seconds = match self.one_of(&['Z', 'z', '+', '-']) {
            None | Some('Z' | 'z') => 0,
            Some(sign) => {
                let hours = self.digits_within(2, 0..=23)?;
                let minutes = if self.0.is_empty() {
                    0
                } else {
                    let _ = self.one_of(&[':']);
                    self.digits_within(2, 0..=59)?
                };
                let span = hours * 3_600 + minutes * 60;
                if sign == '+' { span } else { -span }
            }
        };
        self.0.is_empty().then_some(seconds)
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// A number of any length: its digits before the point without leading zeros, and those behind it without trailing ones.
#[derive(Debug, PartialEq, Eq)]
struct Decimal<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
}

impl<'a> Decimal<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, rest) = split_digits(digits);
        let fraction = match rest.strip_prefix('.') {
            Some(behind) => behind,
            None if rest.is_empty() => "",
            None => return None,
        };
        if !fraction.bytes().all(|byte| byte.is_ascii_digit()) || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        Some(Self {
            // There is one zero.
            negative: negative && !(whole.is_empty() && fraction.is_empty()),
            whole,
            fraction,
        })
    }

    fn cmp(&self, other: &Self) -> Ordering {
        let size = || by_value(self.whole, other.whole).then_with(|| self.fraction.cmp(other.fraction));
        match (self.negative, other.negative) {
            (false, false) => size(),
            (true, true) => size().reverse(),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

/// Compares digits without leading zeros by the number they mean.
fn by_value(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Natural order: stretches of digits by their value, all else character by character.
fn natural(mut a: &str, mut b: &str) -> Ordering {
    loop {
        let (digits_a, rest_a) = split_digits(a);
        let (digits_b, rest_b) = split_digits(b);
        if !digits_a.is_empty() && !digits_b.is_empty() {
            let ordering = by_value(digits_a.trim_start_matches('0'), digits_b.trim_start_matches('0'));
            if ordering.is_ne() {
                return ordering;
            }
            (a, b) = (rest_a, rest_b);
            continue;
        }
        let (mut chars_a, mut chars_b) = (a.chars(), b.chars());
        match (chars_a.next(), chars_b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(one), Some(other)) if one != other => return one.cmp(&other),
            _ => (a, b) = (chars_a.as_str(), chars_b.as_str()),
        }
    }
}

#[cfg(test)]
mod tests;
