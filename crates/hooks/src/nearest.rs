//! Did you mean …?

/// The known name that was probably meant: few letters away, compared without case, hyphens and underscores.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // `retries` is `retry`.
    let singular = name.strip_suffix("ies").map(|stem| format!("{stem}y"));
    let plain = plain(singular.as_deref().unwrap_or(name));
    let far = |other: &str| distance(&plain, &self::plain(other));
    let allowed = (plain.len() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|other| (far(other), other))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

/// A name as it is compared: `verify_token`, `verify-token` and `verifyToken` are one.
pub(crate) fn plain(name: &str) -> String {
    let letters = name.chars().filter(|c| !matches!(c, '_' | '-'));
    letters.flat_map(char::to_lowercase).take(64).collect()
}

/// How many letters must be put in, left out, changed or swapped with their neighbour.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![(0..=other.len()).collect::<Vec<usize>>()];
    for (at, letter) in one.iter().enumerate() {
        let mut row = vec![at + 1];
        for (beside, opposite) in other.iter().enumerate() {
            let above = &rows[at];
            let changed = above[beside] + usize::from(letter != opposite);
            let mut least = changed.min(above[beside + 1] + 1).min(row[beside] + 1);
            let swapped = at > 0 && beside > 0 && one[at - 1] == *opposite && *letter == other[beside - 1];
            if swapped {
                least = least.min(rows[at - 1][beside - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_probably_meant_is_found_and_nothing_else() {
        let known = ["for_each", "verify", "when", "max_in_flight"];
        for (given, meant) in [
            ("foreach", Some("for_each")),
            ("verfiy", Some("verify")),
            ("wehn", Some("when")),
            ("verifies", Some("verify")),
            ("maxInFlight", Some("max_in_flight")),
            ("unless", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, known), meant, "{given}");
        }
    }
}
