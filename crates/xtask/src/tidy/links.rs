//! Links between the pages of the repository: each must lead to a file, a folder or a heading that exists.
//!
//! Links to the outside are not followed: a test does not depend on somebody else's server.

use crate::tidy::Finding;
use crate::tidy::tree::Tree;

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.matching("**.md") {
        for (line, target) in links(text) {
            if let Some(problem) = problem(tree, path, &target) {
                findings.push(Finding::error(path, line, format!("link `{target}` {problem}")));
            }
        }
    }
    findings
}

fn problem(tree: &Tree, page: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target
        .split_once('#')
        .map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let file = if file.is_empty() {
        Some(page.to_owned())
    } else {
        resolve(page, file)
    };
    let Some(file) = file else {
        return Some("leads out of the repository".to_owned());
    };
    if !file.is_empty() && !tree.has(&file) {
        return Some(format!("leads nowhere: there is no {file}"));
    }
    let text = tree.text(&file).filter(|_| file.ends_with(".md"))?;
    let anchor = anchor?;
    (!headings(text).iter().any(|slug| slug == anchor)).then(|| format!("leads nowhere: {file} has no such heading"))
}

/// The path from the root that a link on `page` means; `None` when it climbs past the root.
fn resolve(page: &str, link: &str) -> Option<String> {
    let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
    let (start, link) = link.strip_prefix('/').map_or((folder, link), |absolute| ("", absolute));
    let mut parts: Vec<&str> = start.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The lines of a page outside fenced code, numbered from 1, with inline code blanked.
fn prose(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut fence: Option<&str> = None;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) => return Some((at + 1, without_code(line))),
            _ => {}
        }
        None
    })
}

fn without_code(line: &str) -> String {
    let pieces: Vec<&str> = line.split('`').collect();
    // An odd last piece follows a backtick that nothing closes: it is prose.
    let keep = |at: usize| at.is_multiple_of(2) || at + 1 == pieces.len();
    pieces
        .iter()
        .enumerate()
        .map(|(at, piece)| if keep(at) { *piece } else { "code" })
        .collect()
}

/// Targets of `[text](target)` and of `[name]: target`, with their lines.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        for (at, _) in line.match_indices("](") {
            let rest = &line[at + 2..];
            found.push((number, rest.split([')', ' ']).next().unwrap_or(rest).to_owned()));
        }
        if let Some((_, target)) = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
            found.push((number, target.split(' ').next().unwrap_or(target).to_owned()));
        }
    }
    found
        .iter_mut()
        .for_each(|(_, target)| *target = target.trim_matches(['<', '>']).to_owned());
    found
}

/// The anchors of a page's headings, as the usual renderers make them.
fn headings(text: &str) -> Vec<String> {
    let mut slugs: Vec<String> = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        let title = line.trim_start_matches('#');
        if fenced || title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let slug = slug(title.trim());
        let again = slugs
            .iter()
            .filter(|other| {
                **other == slug
                    || other
                        .strip_prefix(&format!("{slug}-"))
                        .is_some_and(|n| n.parse::<u32>().is_ok())
            })
            .count();
        slugs.push(if again == 0 { slug } else { format!("{slug}-{again}") });
    }
    slugs
}

fn slug(title: &str) -> String {
    let mut shown = String::new();
    let mut in_target = false;
    let mut previous = ' ';
    for c in title.chars() {
        in_target |= previous == ']' && c == '(';
        if !in_target {
            shown.push(c);
        }
        in_target &= c != ')';
        previous = c;
    }
    shown
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(page: &str) -> Vec<String> {
        let other = "# The house\n## `serve` & co.\n## Twice\n## Twice\n```\n# no heading\n```\n";
        check(&Tree::of(&[
            ("docs/a.md", page),
            ("docs/b.md", other),
            ("crates/core/src/lib.rs", ""),
        ]))
        .iter()
        .map(ToString::to_string)
        .collect()
    }

    #[test]
    fn links_that_lead_somewhere_are_fine() {
        let page = "[b](b.md) [up](../docs/b.md#the-house) [root](/docs/b.md) [c](b.md#serve--co) [d](b.md#twice-1)\n\
            [folder](../crates/core) [web](https://example.com/x.md) [mail](mailto:a@b.c) [t](b.md \"title\")\n\
            # Here\n[here](#here)\n[ref]: b.md\n";
        assert_eq!(problems(page), [""; 0]);
    }

    #[test]
    fn links_that_lead_nowhere_are_errors_with_their_line() {
        let found = problems("ok\n[x](c.md)\n[y](b.md#no-heading)\n[z](../../etc)\n[w](#nope)\n[r]: gone.md\n");
        assert_eq!(found.len(), 5, "{found:?}");
        for (at, found) in found.iter().enumerate() {
            assert!(found.starts_with(&format!("error: docs/a.md:{}", at + 2)), "{found}");
        }
    }

    #[test]
    fn code_holds_no_links() {
        assert_eq!(problems("`[x](c.md)`\n```sh\n[x](c.md)\n```\n"), [""; 0]);
        assert_eq!(problems("a ` b [x](c.md)").len(), 1);
    }
}
