//! What happened, as lines: printed when a seed is replayed, hashed to compare two runs.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// The lines of one run.
pub struct Trace {
    prints: bool,
    hasher: DefaultHasher,
}

impl Trace {
    pub fn new(prints: bool) -> Self {
        Self {
            prints,
            hasher: DefaultHasher::new(),
        }
    }

    /// One more line, at so much time since the beginning.
    pub fn line(&mut self, passed: std::time::Duration, text: &str) {
        passed.hash(&mut self.hasher);
        text.hash(&mut self.hasher);
        if self.prints {
            println!("{:>12.3}  {text}", passed.as_secs_f64());
        }
    }

    /// What stands for the whole history.
    pub fn digest(&self) -> u64 {
        self.hasher.finish()
    }
}
