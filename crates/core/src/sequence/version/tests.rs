use proptest::prelude::*;

use super::*;
use crate::time::Timestamp;

/// Each is older than the next.
fn ascending(versions: &[&str]) {
    for (at, older) in versions.iter().enumerate() {
        assert_eq!(compare(older, older), Ordering::Equal, "{older}");
        for newer in &versions[at + 1..] {
            assert_eq!(compare(older, newer), Ordering::Less, "{older} < {newer}");
            assert_eq!(compare(newer, older), Ordering::Greater, "{newer} > {older}");
        }
    }
}

/// All are equally new.
fn equal(versions: &[&str]) {
    for a in versions {
        for b in versions {
            assert_eq!(compare(a, b), Ordering::Equal, "{a} = {b}");
        }
    }
}

#[test]
fn times_are_compared_by_instant() {
    ascending(&[
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00Z",
        "2026-01-31T10:30:00+02:00",
        "2026-01-31T08:30:00.000000000000000000001Z",
        "2026-01-31T04:30:00.25-04:00",
        "2026-01-31T08:30:00.3Z",
        "2026-01-31T08:31Z",
        "9999-12-31T23:59:59.999Z",
    ]);
    equal(&[
        "2026-01-31T08:30:00Z",
        "2026-01-31t08:30:00z",
        "2026-01-31T08:30:00.000Z",
        "2026-01-31T10:30:00+02:00",
        "2026-01-31T10:30:00+0200",
        "2026-01-31T10:30:00+02",
        "2026-01-31 08:30:00",
        "2026-01-31 03:30:00 -0500",
        " 2026-01-31T08:30Z ",
    ]);
    equal(&["2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"]);
    equal(&["2024-02-29T12:00:00Z", "2024-02-29T12:00:00+00:00"]);
}

#[test]
fn numbers_are_compared_by_value_at_any_length() {
    ascending(&[
        "-100000000000000000000000000000000000000000",
        "-2.5",
        "-2.25",
        "0",
        "0.001",
        ".5",
        "9",
        "10",
        "10.00000000000000000000000000000001",
        "1700000000",
        "1700000000.25",
        "18446744073709551616",
        "100000000000000000000000000000000000000001",
    ]);
    equal(&["1.1", "1.10", "01.1", "+1.100"]);
    equal(&["0", "-0", "0.0", "00", "-.0"]);
    equal(&["7", "7.", "007"]);
}

#[test]
fn all_else_is_compared_in_natural_order() {
    ascending(&["", "1.2.3", "1.2.10", "1.10.0", "1.10.0-rc1", "2.0.0"]);
    ascending(&["v1.9", "v1.9a", "v1.10", "v1.10.1"]);
    ascending(&["2025-12-31", "2026-01-01", "2026-01-01T00:00:00Z"]);
    ascending(&["a", "a1", "a2", "a10", "ab", "ä"]);
    equal(&["v1.01", "v1.1"]);
    // A number and a word, a time and a number: as texts.
    ascending(&["9", "10", "10a", "a"]);
    ascending(&["1", "2026-01-31T08:30:00Z"]);
}

#[test]
fn what_is_nearly_a_time_or_a_number_is_text() {
    for text in [
        "2026-13-01T00:00:00Z",
        "2026-01-32T00:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T08:60:00Z",
        "2026-01-31T08:30:00.Z",
        "2026-01-31T08:30:00+2",
        "2026-01-31T08:30:00Zulu",
        "2026-01-3éT08:30:00Z",
        "20é6-01-31T08:30:00Z",
        "2026-01-31",
    ] {
        assert_eq!(Instant::read(text), None, "{text}");
    }
    for text in ["", "-", ".", "1e5", "1.2.3", "0x10", "١", "1 2"] {
        assert_eq!(Decimal::read(text), None, "{text}");
    }
}

fn version() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?[0-9]{0,3}(\\.[0-9]{1,2})?",
        "20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,3})?(Z|[+-]0[0-9]:00)",
        "v?[0-9]{1,2}(\\.[0-9]{1,2}){0,3}",
        "[0-9a-c.é ]{0,6}",
    ]
}

proptest! {
    #[test]
    fn either_way_round_says_the_same(a in version(), b in version()) {
        prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
        prop_assert_eq!(compare(&a, &a), Ordering::Equal);
    }

    #[test]
    fn integers_are_compared_as_integers(a in any::<i64>(), b in any::<i64>()) {
        prop_assert_eq!(compare(&a.to_string(), &b.to_string()), a.cmp(&b));
    }

    #[test]
    fn timestamps_are_compared_as_timestamps(a in 0i64..4_000_000_000_000_000, apart in -2_000_000i64..2_000_000) {
        let (a, b) = (Timestamp::from_micros(a), Timestamp::from_micros(a + apart));
        prop_assert_eq!(compare(&a.to_string(), &b.to_string()), a.cmp(&b));
    }

    #[test]
    fn natural_order_is_an_order(mut texts in prop::collection::vec("[0-9a-b.]{0,5}", 3)) {
        texts.sort_by(|a, b| natural(a, b));
        prop_assert!(natural(&texts[0], &texts[2]).is_le());
        prop_assert!(natural(&texts[0], &texts[1]).is_le() && natural(&texts[1], &texts[2]).is_le());
    }

    #[test]
    fn any_text_is_a_version(a in ".{0,40}", b in ".{0,40}") {
        prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
    }
}
