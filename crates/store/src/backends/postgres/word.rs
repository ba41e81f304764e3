//! What nodes say to each other through the database (`NOTIFY`): short, and never needed. Whoever misses a word finds out by
//! looking.

use std::{collections::HashMap, fmt::Write as _};

use bellwire_core::time::Timestamp;

/// A notification may be so long; PostgreSQL takes 7,999 bytes.
const BYTES_MAX: usize = 7_800;
/// So many endpoints are named; more are as good as all.
const NAMED_MAX: usize = 1_500;

/// One word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// Something waits for these endpoints, and since or until when.
    Waits(Vec<(u64, Timestamp)>),
    /// Something waits for many endpoints: everybody looks.
    Look,
    /// The configuration has this version.
    Version(u64),
    /// This node has this version in force.
    InForce,
    /// A node came or went, or gave shards up.
    Moved,
    /// Somebody asks for something that an owner has to do, or it was done.
    Wish,
    /// Nothing: this node hears what it says itself.
    Echo(u64),
}

impl Word {
    /// As it is sent.
    pub fn write(&self) -> String {
        match self {
            Self::Waits(heads) => {
                let mut text = "w".to_owned();
                for (endpoint, due_at) in heads {
                    let _ = write!(text, "{endpoint:x},{:x};", due_at.micros());
                }
                text
            }
            Self::Look => "l".to_owned(),
            Self::Version(version) => format!("v{version}"),
            Self::InForce => "f".to_owned(),
            Self::Moved => "m".to_owned(),
            Self::Wish => "i".to_owned(),
            Self::Echo(number) => format!("e{number}"),
        }
    }

    /// As it is heard; `None` when it is of a later version of the program.
    pub fn read(text: &str) -> Option<Self> {
        let rest = text.get(1..)?;
        match text.as_bytes().first()? {
            b'w' => {
                let heads = rest.split_terminator(';').map(|head| {
                    let (endpoint, due_at) = head.split_once(',')?;
                    let due_at = i64::from_str_radix(due_at, 16).ok()?;
                    Some((u64::from_str_radix(endpoint, 16).ok()?, Timestamp::from_micros(due_at)))
                });
                heads.collect::<Option<_>>().map(Self::Waits)
            }
            b'l' => Some(Self::Look),
            b'v' => rest.parse().ok().map(Self::Version),
            b'f' => Some(Self::InForce),
            b'm' => Some(Self::Moved),
            b'i' => Some(Self::Wish),
            b'e' => rest.parse().ok().map(Self::Echo),
            _ => None,
        }
    }
}

/// What is to be said when the way is free: many commits share it.
#[derive(Debug, Default)]
pub(super) struct Unsaid {
    waits: HashMap<u64, Timestamp>,
    others: Vec<Word>,
}

impl Unsaid {
    /// Something waits for an endpoint.
    pub fn waits(&mut self, endpoint: u64, due_at: Timestamp) {
        if self.waits.len() <= NAMED_MAX {
            let head = self.waits.entry(endpoint).or_insert(due_at);
            *head = due_at.min(*head);
        }
    }

    /// Anything else, once.
    pub fn say(&mut self, word: Word) {
        if !self.others.contains(&word) {
            self.others.push(word);
        }
    }

    /// What is to be sent now.
    pub fn take(&mut self) -> Vec<String> {
        let mut texts: Vec<String> = self.others.drain(..).map(|word| word.write()).collect();
        let waits = std::mem::take(&mut self.waits);
        if waits.len() > NAMED_MAX {
            texts.push(Word::Look.write());
            return texts;
        }
        let heads: Vec<(u64, Timestamp)> = waits.into_iter().collect();
        // An endpoint and a time are 34 bytes at most.
        texts.extend(heads.chunks(BYTES_MAX / 34).map(|heads| Word::Waits(heads.to_vec()).write()));
        texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_what_is_heard() {
        let at = Timestamp::from_micros(1_764_500_000_000_001);
        for word in [
            Word::Waits(vec![(u64::MAX >> 1, at), (7, Timestamp::from_micros(0))]),
            Word::Look,
            Word::Version(12),
            Word::InForce,
            Word::Moved,
            Word::Wish,
            Word::Echo(3),
        ] {
            assert_eq!(Word::read(&word.write()), Some(word));
        }
        assert_eq!(Word::read("z9"), None);
        assert_eq!(Word::read(""), None);
        assert_eq!(Word::read("wx"), None);
    }

    #[test]
    fn commits_share_a_word_and_too_many_endpoints_are_as_good_as_all() {
        let mut unsaid = Unsaid::default();
        let time = Timestamp::from_micros;
        unsaid.waits(1, time(9));
        unsaid.waits(1, time(5));
        unsaid.waits(1, time(7));
        unsaid.say(Word::Moved);
        unsaid.say(Word::Moved);
        assert_eq!(unsaid.take(), ["m".to_owned(), Word::Waits(vec![(1, time(5))]).write()]);
        assert!(unsaid.take().is_empty());
        for endpoint in 0..1_000 {
            unsaid.waits(u64::MAX - endpoint, time(i64::MAX));
        }
        let texts = unsaid.take();
        assert!(texts.len() > 1 && texts.iter().all(|text| text.len() < 8_000));
        for endpoint in 0..2_000 {
            unsaid.waits(endpoint, time(1));
        }
        assert_eq!(unsaid.take(), ["l"]);
    }
}
