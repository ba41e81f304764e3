//! What a chunk of work led to, and the task after it.

use bellwire_core::{
    task::{Task, TaskStatus},
    time::Timestamp,
};

/// What a chunk led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Things were looked at, and some of them done.
    Worked {
        /// How many were looked at.
        seen: u64,
        /// How many were done.
        done: u64,
        /// Where to go on.
        cursor: u64,
        /// Whether more may be left.
        more: bool,
    },
    /// The task cannot go on, for this reason.
    Failed(String),
}

/// The task after a chunk.
pub(crate) fn after(task: &Task, step: Step, now: Timestamp) -> Task {
    let mut task = Task {
        updated_at: now,
        ..task.clone()
    };
    match step {
        Step::Worked {
            seen,
            done,
            cursor,
            more,
        } => {
            task.seen += seen;
            task.done += done;
            task.cursor = cursor.max(task.cursor);
            if !more {
                task.status = TaskStatus::Finished;
            }
        }
        Step::Failed(why) => {
            task.status = TaskStatus::Failed;
            task.error = Some(why);
        }
    }
    task
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwire_core::{
        id::{AppId, EnvironmentId, Id as _, TaskId},
        task::Job,
    };

    fn task() -> Task {
        Task {
            id: TaskId::from_number(1),
            environment: EnvironmentId::from_number(1),
            job: Job::EraseApp {
                app: AppId::from_number(1),
            },
            status: TaskStatus::Running,
            seen: 10,
            done: 5,
            cursor: 7,
            error: None,
            created_at: Timestamp::MIN,
            updated_at: Timestamp::MIN,
        }
    }

    #[test]
    fn progress_adds_up_and_never_goes_back() {
        let now = Timestamp::from_secs(9);
        let next = after(
            &task(),
            Step::Worked {
                seen: 3,
                done: 2,
                cursor: 6,
                more: true,
            },
            now,
        );
        assert_eq!((next.seen, next.done, next.cursor, next.updated_at), (13, 7, 7, now));
        assert_eq!(next.status, TaskStatus::Running);
        let last = after(
            &next,
            Step::Worked {
                seen: 0,
                done: 0,
                cursor: 9,
                more: false,
            },
            now,
        );
        assert_eq!((last.status, last.cursor), (TaskStatus::Finished, 9));
    }

    #[test]
    fn a_failure_says_why_and_keeps_what_was_done() {
        let failed = after(
            &task(),
            Step::Failed("the endpoint was deleted".to_owned()),
            Timestamp::MIN,
        );
        assert_eq!((failed.status, failed.done), (TaskStatus::Failed, 5));
        assert_eq!(failed.error.as_deref(), Some("the endpoint was deleted"));
    }
}
