//! How two texts differ, line by line. Pure.

use serde_json::Value;

/// Lines of a text that are compared; behind them both are taken to differ.
const LINES_MAX: usize = 400;

/// Lines that are gone (`-`), new (`+`) and the same (a space before them). JSON is compared as it is laid out for people.
pub(super) fn difference(before: &str, after: &str) -> String {
    let (before, after) = (laid_out(before), laid_out(after));
    let (old, new): (Vec<&str>, Vec<&str>) = (
        before.lines().take(LINES_MAX).collect(),
        after.lines().take(LINES_MAX).collect(),
    );
    // `common[i][j]`: how many lines the ends of both, from there on, have in common in the same order.
    let mut common = vec![vec![0_u16; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = match old[i] == new[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let mut lines = String::new();
    let mut put = |sign: char, line: &str| {
        lines.push(sign);
        lines.push(' ');
        lines.push_str(line);
        lines.push('\n');
    };
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            put(' ', old[i]);
            (i, j) = (i + 1, j + 1);
        } else if i < old.len() && (j == new.len() || common[i + 1][j] >= common[i][j + 1]) {
            put('-', old[i]);
            i += 1;
        } else {
            put('+', new[j]);
            j += 1;
        }
    }
    lines
}

fn laid_out(text: &str) -> String {
    let json = serde_json::from_str::<Value>(text).and_then(|value| serde_json::to_string_pretty(&value));
    json.unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_differ_are_told_line_by_line() {
        let told = difference(r#"{"a":1,"b":2}"#, r#"{"a":1,"b":3}"#);
        assert_eq!(told, "  {\n    \"a\": 1,\n-   \"b\": 2\n+   \"b\": 3\n  }\n");
    }

    #[test]
    fn texts_that_are_no_json_are_compared_as_they_are() {
        assert_eq!(difference("one\ntwo", "two\nthree"), "- one\n  two\n+ three\n");
        assert_eq!(difference("", "new"), "+ new\n");
        assert_eq!(difference("same", "same"), "  same\n");
    }
}
