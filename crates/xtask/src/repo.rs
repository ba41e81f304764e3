//! The checkout: where it is and which files belong to it.
//!
//! Everything else in xtask names files by their path from the root, with `/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// The repository's root folder.
#[derive(Clone, Debug)]
pub(crate) struct Repo {
    root: PathBuf,
}

impl Repo {
    /// The checkout that this xtask was built from.
    pub(crate) fn find() -> Self {
        let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = crate_dir.ancestors().nth(2).unwrap_or(crate_dir);
        Self { root: root.to_owned() }
    }

    /// The root folder, absolute.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The absolute form of a path from the root.
    pub(crate) fn path(&self, from_root: &str) -> PathBuf {
        self.root.join(from_root)
    }

    /// Cargo's target folder: everything xtask installs or writes aside goes below it.
    pub(crate) fn target(&self) -> PathBuf {
        match std::env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => self.root.join(dir),
            None => self.root.join("target"),
        }
    }

    /// Every file of the repository, sorted: what git tracks and what it would track (new, not ignored).
    ///
    /// # Errors
    /// When git is missing or this is not a checkout.
    pub(crate) fn files(&self) -> Result<Vec<String>> {
        let output = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&self.root)
            .output()
            .context("could not run git; install it to check the repository's files")?;
        anyhow::ensure!(
            output.status.success(),
            "git ls-files: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let mut files: Vec<String> = String::from_utf8_lossy(&output.stdout)
            .split('\0')
            .filter(|path| !path.is_empty() && self.root.join(path).is_file())
            .map(str::to_owned)
            .collect();
        files.sort_unstable();
        files.dedup();
        Ok(files)
    }

    /// The text of a file, or `None` when it is not UTF-8 text.
    pub(crate) fn text(&self, from_root: &str) -> Result<Option<String>> {
        let bytes = std::fs::read(self.path(from_root)).with_context(|| format!("could not read {from_root}"))?;
        Ok(String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')))
    }
}

/// Whether `path` matches `pattern`, where `*` stands for anything but `/` and `**` for anything.
pub(crate) fn glob(pattern: &str, path: &str) -> bool {
    if let Some(rest) = pattern.strip_prefix("**") {
        return path
            .char_indices()
            .map(|(at, _)| at)
            .chain([path.len()])
            .any(|at| glob(rest, &path[at..]));
    }
    if let Some(rest) = pattern.strip_prefix('*') {
        let segment = path.find('/').unwrap_or(path.len());
        return path
            .char_indices()
            .map(|(at, _)| at)
            .chain([path.len()])
            .take_while(|at| *at <= segment)
            .any(|at| glob(rest, &path[at..]));
    }
    match (pattern.chars().next(), path.chars().next()) {
        (None, None) => true,
        (Some(a), Some(b)) if a == b => glob(&pattern[a.len_utf8()..], &path[b.len_utf8()..]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_within_one_folder_and_two_do_not() {
        assert!(glob("crates/*/src/lib.rs", "crates/core/src/lib.rs"));
        assert!(!glob("crates/*/lib.rs", "crates/core/src/lib.rs"));
        assert!(glob("crates/**/lib.rs", "crates/core/src/lib.rs"));
        assert!(glob("crates/**", "crates/core/src/lib.rs"));
        assert!(!glob("crates/core/**", "crates/corella/src/lib.rs"));
        assert!(glob("**/tests.rs", "crates/core/src/tests.rs"));
        assert!(!glob("crates/core", "crates/core/src"));
        assert!(glob("*.md", "README.md"));
    }

    #[test]
    fn the_checkout_contains_this_file() {
        let files = Repo::find().files().expect("the list of files");
        assert!(files.iter().any(|path| path == "crates/xtask/src/repo.rs"), "{files:?}");
    }
}
