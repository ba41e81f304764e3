//! Files that have grown too long: past 500 lines, ask which second noun moved in; past 700, it has to move out.

use crate::tidy::Finding;
use crate::tidy::tree::Tree;

const LINES_WARN: usize = 500;
const LINES_MAX: usize = 700;

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let long = |(path, text): (&str, &str)| {
        let lines = text.lines().count();
        let say =
            format!("{lines} lines: split it where its second noun begins (at most {LINES_MAX}, better {LINES_WARN})");
        if lines > LINES_MAX {
            Some(Finding::error(path, 0, say))
        } else if lines > LINES_WARN {
            Some(Finding::warning(path, 0, say))
        } else {
            None
        }
    };
    tree.matching("crates/*/src/**.rs").filter_map(long).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::Severity;

    #[test]
    fn five_hundred_lines_warn_and_seven_hundred_fail() {
        let severity = |lines: usize| {
            let text = "x\n".repeat(lines);
            check(&Tree::of(&[("crates/core/src/a/b.rs", text.as_str())]))
                .first()
                .map(|finding| finding.severity)
        };
        assert_eq!(severity(500), None);
        assert_eq!(severity(501), Some(Severity::Warning));
        assert_eq!(severity(700), Some(Severity::Warning));
        assert_eq!(severity(701), Some(Severity::Error));
    }

    #[test]
    fn tests_of_the_whole_binary_may_be_long() {
        let text = "x\n".repeat(900);
        assert!(check(&Tree::of(&[("crates/core/tests/a.rs", text.as_str())])).is_empty());
    }
}
