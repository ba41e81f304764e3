//! How often and how soon a task that died is started anew. Pure: the time is passed in.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// So many deaths within [`WINDOW`] are too many.
const TOO_MANY: usize = 6;
const WINDOW: Duration = Duration::from_secs(60);
/// The wait after the first death; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The deaths of one task.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    deaths: VecDeque<Instant>,
}

impl Restarts {
    /// The task died. Answers how long to wait before it is started anew; `None` when it is hopeless.
    pub fn after_death(&mut self, now: Instant) -> Option<Duration> {
        self.deaths.push_back(now);
        while self
            .deaths
            .front()
            .is_some_and(|death| now.duration_since(*death) >= WINDOW)
        {
            self.deaths.pop_front();
        }
        let recent = self.deaths.len();
        (recent < TOO_MANY).then(|| FIRST_WAIT * (1 << (recent - 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_until_it_is_hopeless_and_old_deaths_are_forgiven() {
        let begin = Instant::now();
        let mut restarts = Restarts::default();
        let waits: Vec<_> = (0..6)
            .map(|n| restarts.after_death(begin + Duration::from_secs(n)))
            .collect();
        let millis: Vec<_> = waits.iter().flatten().map(Duration::as_millis).collect();
        assert_eq!(millis, [100, 200, 400, 800, 1_600]);
        assert_eq!(waits[5], None);
        assert_eq!(restarts.after_death(begin + Duration::from_secs(120)), Some(FIRST_WAIT));
    }
}
