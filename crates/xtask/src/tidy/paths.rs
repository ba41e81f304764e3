//! Paths of somebody's own machine, which have no business in the repository.

use crate::tidy::Finding;
use crate::tidy::tree::Tree;

/// Where a checkout tends to be; put together here so that this file does not find itself.
const FOLDERS: [&str; 3] = [concat!("/", "work/"), concat!("/", "root/"), concat!("/", "Users/")];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.matching("**") {
        for (at, line) in text.lines().enumerate() {
            if let Some(folder) = FOLDERS.iter().find(|folder| starts_a_path(line, folder)) {
                findings.push(Finding::error(
                    path,
                    at + 1,
                    format!("`{folder}…` is a path of one machine; make it relative"),
                ));
            }
        }
    }
    findings
}

/// Whether `folder` stands in `line` as the beginning of a path, not inside a longer one or a URL.
fn starts_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_-./~}>)*".contains(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_one_machine_is_found_wherever_it_begins() {
        let text = ["ok", &format!("cd {}x", FOLDERS[0]), &format!("a=\"{}y\"", FOLDERS[1])].join("\n");
        let lines: Vec<usize> = check(&Tree::of(&[("notes.md", text.as_str())]))
            .iter()
            .map(|finding| finding.line)
            .collect();
        assert_eq!(lines, [2, 3]);
    }

    #[test]
    fn a_folder_of_that_name_deeper_in_a_path_is_none() {
        for before in ["target", "https://example.com", "$DIR", "${DIR}", ".", "<data>"] {
            assert!(
                !starts_a_path(&format!("{before}{}x", FOLDERS[0]), FOLDERS[0]),
                "{before}"
            );
        }
    }
}
