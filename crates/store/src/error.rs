//! What can go wrong at the seam, named by what the caller can do about it.

use bellwire_core::id::MessageId;

/// Why the store did not do what it was asked to. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Try again later: the disk is full, the database is away… Nothing was acknowledged.
    #[error("the store cannot be used right now: {0}")]
    Unavailable(String),
    /// The thing is not there (any more).
    #[error("{0} was not found")]
    NotFound(&'static str),
    /// A name that must be unique is taken.
    #[error("{what} `{value}` is taken")]
    Conflict {
        /// What kind of name.
        what: &'static str,
        /// The name.
        value: String,
    },
    /// Something is there that must not be: a defect, in the store's file or in the program. Somebody should look.
    #[error("the store is inconsistent: {0}")]
    Corrupt(String),
}

/// Why a message was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The application already has a message with this event id.
    #[error("the event id `{event_id}` was used before, by message {existing}")]
    EventIdTaken {
        /// The event id.
        event_id: String,
        /// The message that has it.
        existing: MessageId,
        /// A later message of its key was accepted since (see [`crate::Store::arrive`]): what the event was about has moved on.
        overtaken: bool,
    },
    /// The idempotency key was used before with another body.
    #[error("this idempotency key was used before with another request body")]
    IdempotencyMismatch,
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No backend answers to the URL's scheme.
    #[error("no store for `{0}`; known are {1}")]
    UnknownScheme(String, String),
    /// It was made by a newer version of the program.
    #[error(
        "the store at {location} has schema version {found}, made by a newer bellwire; this one knows up to {known}: upgrade bellwire, or restore a backup"
    )]
    TooNew {
        /// Where it is.
        location: String,
        /// Its schema version.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// Another process has it open.
    #[error("the store at {0} is in use by another process; stop that one first")]
    InUse(String),
    /// The secrets in it were sealed with a main secret that is not the configured one.
    #[error("the secrets in the store cannot be opened: {0}")]
    Sealed(String),
    /// It is the target of a copy that was begun and has not ended.
    #[error(
        "the store at {0} is the target of a copy that was not finished: run `bellwire store copy` again, which begins anew there"
    )]
    Unfinished(String),
    /// It is one end of a copy that is under way.
    #[error(
        "the store at {0} is held by a `bellwire store copy` that is under way: wait for its end, then start servers on the store that was \
         copied into; or end the copy, then start them here"
    )]
    Held(String),
    /// Anything else, with what failed and where.
    #[error("cannot open the store at {location}: {detail}")]
    Failed {
        /// Where it is.
        location: String,
        /// What failed.
        detail: String,
    },
}

/// Why an installation was not copied. The source is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// One of the stores could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is nothing to copy.
    #[error("there is no store at {0}")]
    NotThere(String),
    /// The target holds something.
    #[error(
        "the store at {location} is not empty: it has rows in `{table}`; copy into a new one (another file, or another `schema`)"
    )]
    NotEmpty {
        /// Where it is.
        location: String,
        /// A table that has rows.
        table: &'static str,
    },
    /// What is in the source contradicts itself.
    #[error("the store at {location} does not add up, so it is not copied: {problem}; see `bellwire check`")]
    Unsound {
        /// Where it is.
        location: String,
        /// The first thing found.
        problem: String,
    },
    /// The target is not what the source is.
    #[error("the copy is not what it was made from, and will not be opened: {0}")]
    Differs(String),
    /// A store could not go on.
    #[error("the copy was broken off: {0}; run it again, it begins anew")]
    Store(#[from] StoreError),
}
