//! Who a command has started, also those who left its process group: a process tree as `/proc` shows it.
//!
//! A process that got itself a session or a group of its own (`setsid`, a daemon) is found by its parents, and when these are gone by
//! a mark in its environment, which children inherit. Deliberately absent: a cgroup of its own for each command, which
//! a server that is not root may not make. What clears its environment *and* leaves its parents is therefore not found, nor what
//! runs as a user whose processes may not be looked at.

use std::{
    collections::{HashMap, HashSet},
    fs, process,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// The variable that marks a command and all it starts.
pub(super) const MARK: &str = "BELLWIRE_RUN";

/// How often it is looked for processes that were started while others were being killed.
const ROUNDS_MAX: usize = 8;

/// A command and its descendants.
#[derive(Debug)]
pub(super) struct Kin {
    root: Pid,
    /// The variable and its value as the environment has them.
    mark: Vec<u8>,
}

impl Kin {
    pub fn new(root: Pid, mark: &str) -> Self {
        Self {
            root,
            mark: format!("{MARK}={mark}").into_bytes(),
        }
    }

    /// All of them that are there now, but for the command itself.
    pub fn members(&self) -> HashSet<Pid> {
        let parents = parents();
        let is_kin = |pid: Pid| self.descends(pid, &parents) || self.is_marked(pid);
        let others = parents.keys().copied().filter(|pid| *pid != self.root && *pid != own());
        others.filter(|pid| is_kin(*pid)).collect()
    }

    /// Signals these, and what they have started meanwhile.
    pub fn signal(&self, members: HashSet<Pid>, signal: Signal) {
        let (mut signalled, mut next) = (HashSet::new(), members);
        for _ in 0..ROUNDS_MAX {
            if next.is_empty() {
                return;
            }
            for pid in &next {
                // An error means that it is gone, or somebody else's.
                let _ = kill(*pid, signal);
            }
            signalled.extend(next);
            next = self.members();
            next.retain(|pid| !signalled.contains(pid));
        }
    }

    fn descends(&self, pid: Pid, parents: &HashMap<Pid, Pid>) -> bool {
        // The table was read while processes came and went: it need not be a tree.
        let mut ancestor = pid;
        for _ in 0..parents.len() {
            match parents.get(&ancestor) {
                Some(parent) if *parent == self.root => return true,
                Some(parent) => ancestor = *parent,
                None => return false,
            }
        }
        false
    }

    fn is_marked(&self, pid: Pid) -> bool {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|pair| pair == self.mark)
    }
}

fn own() -> Pid {
    Pid::from_raw(i32::try_from(process::id()).unwrap_or_default())
}

/// Each process with its parent.
fn parents() -> HashMap<Pid, Pid> {
    let Ok(all) = fs::read_dir("/proc") else {
        return HashMap::new();
    };
    let pid = |text: &str| text.parse().ok().map(Pid::from_raw);
    all.filter_map(|entry| {
        let entry = entry.ok()?;
        let child = pid(entry.file_name().to_str()?)?;
        let status = fs::read(entry.path().join("stat")).ok()?;
        let status = String::from_utf8_lossy(&status);
        // `pid (name) state parent …` (proc(5)), where the name may hold anything.
        let parent = status.rsplit_once(')')?.1.split_whitespace().nth(1)?;
        Some((child, pid(parent)?))
    })
    .collect()
}
