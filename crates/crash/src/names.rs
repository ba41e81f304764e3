//! Which message has which id: one message one id, and one id one message.

use std::collections::HashMap;

/// The ids that the server gave, by message and back.
#[derive(Default)]
pub(crate) struct Names {
    seqs: HashMap<Box<str>, u64>,
    ids: Vec<Option<Box<str>>>,
}

impl Names {
    /// Remembers that a message has this id.
    ///
    /// # Errors
    /// In words, when it has another one already or the id is another's.
    pub(crate) fn name(&mut self, seq: u64, id: &str) -> Result<(), String> {
        let at = usize::try_from(seq).unwrap_or(usize::MAX);
        if self.ids.len() <= at {
            self.ids.resize(at + 1, None);
        }
        match self.ids.get_mut(at) {
            Some(Some(known)) if **known == *id => return Ok(()),
            Some(Some(known)) => return Err(format!("message {seq} is both {known} and {id}")),
            Some(none) => *none = Some(id.into()),
            None => {}
        }
        match self.seqs.insert(id.into(), seq) {
            Some(other) => Err(format!("{id} is both message {other} and message {seq}")),
            None => Ok(()),
        }
    }

    /// The id of a message, if it is known.
    pub(crate) fn id(&self, seq: u64) -> Option<&str> {
        self.ids.get(usize::try_from(seq).ok()?)?.as_deref()
    }

    /// The message with this id.
    pub(crate) fn seq(&self, id: &str) -> Option<u64> {
        self.seqs.get(id).copied()
    }
}
