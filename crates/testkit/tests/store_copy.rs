//! An installation that was copied keeps every promise: each crash of the suite is followed by a copy into the other kind of store, on
//! which it goes on. From a file to PostgreSQL, and back, and so on.
//!
//! These are the promises that a crash is a part of: what is found afterwards is what was copied.
//! Not all of them, one for each thing that is kept: a copy out of PostgreSQL waits until a node that died is known to be gone.

#![expect(clippy::unwrap_used, reason = "all of it is a test")]

#[path = "../../store/src/backends/postgres/tests/server.rs"]
mod server;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
    mpsc,
};

use bellwire_core::seal::{Keyring, MainSecret};
use bellwire_store::{
    Clock, CopyError, OpenError, Store,
    backends::{self, Copied, CopyStep, OpenOptions},
    vault::Vault,
};
use bellwire_testkit::{
    ManualClock,
    conformance::{Backend, Bench},
};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinSet};

use self::server::{server, url};

/// Where an installation is at the moment.
enum Place {
    File(TempDir),
    Schema(String),
}

impl Place {
    fn file() -> Self {
        Self::File(tempfile::tempdir().unwrap())
    }

    fn schema() -> Self {
        static SCHEMAS: AtomicU32 = AtomicU32::new(0);
        Self::Schema(format!("copy{}", SCHEMAS.fetch_add(1, Ordering::Relaxed)))
    }

    fn url(&self) -> String {
        match self {
            Self::File(folder) => format!("sqlite:{}", folder.path().display()),
            Self::Schema(schema) => url(server().folder(), "bellwire", schema),
        }
    }

    /// An empty one of the other kind.
    fn other(&self) -> Self {
        match self {
            Self::File(_) => Self::schema(),
            Self::Schema(_) => Self::file(),
        }
    }
}

fn options(clock: &Arc<ManualClock>, secret: u8) -> OpenOptions {
    let secret = MainSecret::from_bytes([secret; 32]).unwrap();
    let now = Arc::clone(clock) as Arc<dyn Clock>;
    OpenOptions::new(now, Vault::new(Keyring::new(secret)))
}

/// An installation that moves.
struct Moving {
    place: Place,
    clock: Arc<ManualClock>,
    store: Arc<dyn Store>,
}

impl Moving {
    async fn open(place: Place, clock: Arc<ManualClock>) -> Self {
        let store = backends::open(&place.url(), options(&clock, 3)).await.unwrap();
        Self { place, clock, store }
    }
}

impl Backend for Moving {
    async fn create(clock: Arc<ManualClock>) -> Self {
        Self::open(Place::file(), clock).await
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    async fn crash(self) -> Self {
        let Self { place, clock, store } = self;
        // Not closed, so that the copy brings back what was out; unless somebody else has it as well.
        if Arc::strong_count(&store) > 1 {
            store.close().await;
        }
        drop(store);
        let to = place.other();
        let copied = backends::copy(&place.url(), &to.url(), options(&clock, 3), &mut |_| {})
            .await
            .unwrap();
        assert_eq!(copied.report.problems, Vec::<String>::new());
        Self::open(to, clock).await
    }
}

bellwire_testkit::conformance_tests! { Moving;
    append {
        a_message_is_durable_once_acknowledged
        the_same_idempotency_key_is_answered_with_the_first_message
        an_event_id_is_taken_once_in_an_application
        a_message_without_routes_is_kept
        many_concurrent_appends_are_all_kept
    }
    claim {
        a_delivery_whose_message_is_gone_is_removed_silently
    }
    settle {
        an_attempt_is_kept_as_it_happened
        notices_are_accepted_with_the_settlement_and_handed_over
        health_is_kept_and_cleared
        a_batch_settles_many_deliveries_at_once
    }
    crash {
        what_was_handed_over_and_not_settled_waits_again
        what_was_claimed_and_not_settled_waits_again
        ids_go_on_behind_the_last_one_also_when_the_clock_went_back
        a_head_that_was_out_is_the_head_again
        a_turn_that_was_given_stays_given
        lines_are_found_as_they_stood
    }
    numbers {
        numbers_are_given_by_key_and_endpoint
        racing_appends_are_numbered_without_gaps
        a_message_keeps_its_ordering_key
    }
    order {
        a_receiver_is_told_what_was_skipped
        a_message_that_is_gone_leaves_its_line
    }
    lines {
        a_blocked_line_waits_for_a_person
        an_unblocked_head_starts_anew
        a_skipped_head_leaves_its_line
        a_discarded_line_is_empty
        lines_are_listed_by_key
        a_line_is_known_as_long_as_its_endpoint
        what_waits_is_counted_and_told
    }
    eras {
        from_keys_to_one_line_it_waits_for_all_keys
    }
    arrivals {
        a_held_message_is_accepted_as_it_came
        without_a_start_the_least_of_the_first_wait_is_the_first
        a_wait_that_is_prolonged_ends_later
        what_is_stale_is_kept_and_goes_nowhere
        an_event_id_is_taken_once
    }
    streams {
        a_turn_that_is_given_to_many_is_taken_by_all
        streams_are_listed_by_key
        a_stream_shows_how_it_stands
        a_stream_that_is_reset_begins_anew
    }
    sources {
        a_source_reads_back_as_it_was
        refused_requests_read_back_after_a_crash
        a_deleted_source_takes_what_it_refused_along
        the_numbers_of_refused_requests_are_remembered
    }
    requeue {
        a_new_start_survives_a_crash
        what_has_left_its_line_goes_outside_of_its_turn
        a_head_that_starts_anew_stays_the_head
    }
    cancel {
        waiting_deliveries_are_cancelled_in_pieces
        lines_are_emptied_from_behind
        blocked_heads_leave_their_lines_as_they_are
        the_lines_of_a_deleted_endpoint_are_emptied
    }
    configuration {
        everything_reads_back_after_a_crash
        secrets_read_back_as_they_were
        an_answer_is_kept_with_its_changes_until_it_expires
        a_deleted_application_takes_its_endpoints_and_tokens_along
        deliveries_to_a_deleted_endpoint_can_be_cancelled
        the_largest_id_is_remembered_when_what_had_it_is_gone
    }
    messages {
        an_expunged_payload_is_gone_for_good
        an_event_id_finds_its_message
    }
    attempts {
        an_expunged_answer_is_gone_for_good
    }
    tasks {
        a_task_is_kept_and_replaced
        a_task_that_has_ended_stays_as_it_ended
    }
    upkeep {
        old_messages_are_forgotten_with_all_about_them
        old_attempts_are_forgotten_and_their_deliveries_stay
        expired_payloads_are_forgotten_and_their_messages_stay
        an_erased_application_leaves_nothing
        a_closed_store_is_unavailable
    }
}

/// A store with a message that waits.
async fn with_a_message() -> (Bench<Moving>, String) {
    let bench = Bench::<Moving>::new().await;
    let endpoint = bench.endpoint().await;
    bench.publish(&[endpoint]).await;
    let from = bench.backend().place.url();
    (bench, from)
}

#[tokio::test]
async fn a_store_that_is_in_use_is_not_copied() {
    let (bench, from) = with_a_message().await;
    let to = Place::schema();
    let refused = backends::copy(&from, &to.url(), options(&bench.backend().clock, 3), &mut |_| {}).await;
    assert!(
        matches!(refused, Err(CopyError::Open(OpenError::InUse(_)))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_copy_wants_an_empty_store_and_the_same_main_secret() {
    let (bench, from) = with_a_message().await;
    let clock = Arc::clone(&bench.backend().clock);
    bench.store().close().await;
    let copy =
        async |from: &str, to: &str, secret| backends::copy(from, to, options(&clock, secret), &mut |_| {}).await;
    let to = Place::schema();
    let refused = copy(&from, &to.url(), 4).await;
    assert!(
        matches!(refused, Err(CopyError::Open(OpenError::Sealed(_)))),
        "{refused:?}"
    );
    let nothing = copy(&Place::schema().url(), &to.url(), 3).await;
    assert!(matches!(nothing, Err(CopyError::NotThere(_))), "{nothing:?}");
    let copied = copy(&from, &to.url(), 3).await.unwrap();
    assert_eq!((copied.report.messages, copied.report.counts.pending), (1, 1));
    assert!(
        copied.rows.contains(&("message", 1)) && copied.rows.contains(&("due", 1)),
        "{copied:?}"
    );
    let again = copy(&from, &to.url(), 3).await;
    assert!(matches!(again, Err(CopyError::NotEmpty { .. })), "{again:?}");
}

#[tokio::test]
async fn a_copy_that_was_broken_off_is_opened_by_nobody_and_begins_anew() {
    let (bench, from) = with_a_message().await;
    let clock = Arc::clone(&bench.backend().clock);
    bench.store().close().await;
    for to in [Place::schema(), Place::file()] {
        // It ends when all rows are over and nothing is proven yet, as when its process is killed.
        let (source, target, given) = (from.clone(), to.url(), options(&clock, 3));
        let mut copying = JoinSet::new();
        copying.spawn(async move {
            let mut told = |step| assert!(step != CopyStep::Comparing, "broken off");
            backends::copy(&source, &target, given, &mut told).await
        });
        assert!(copying.join_next().await.unwrap().is_err());
        let refused = backends::open(&to.url(), options(&clock, 3)).await.err();
        assert!(matches!(refused, Some(OpenError::Unfinished(_))), "{refused:?}");
        let copied = backends::copy(&from, &to.url(), options(&clock, 3), &mut |_| {})
            .await
            .unwrap();
        assert!(copied.began_anew);
        let store = backends::open(&to.url(), options(&clock, 3)).await.unwrap();
        assert_eq!(store.check().await.unwrap(), copied.report);
        store.close().await;
    }
}

/// Copies, and stands still at the first step until it is told how to go on: whether to live.
struct Standing {
    copying: JoinSet<Result<Copied, CopyError>>,
    lives: mpsc::Sender<bool>,
}

impl Standing {
    async fn begin(from: &str, to: &str, given: OpenOptions) -> Self {
        let (source, target) = (from.to_owned(), to.to_owned());
        let (stands, at_it) = oneshot::channel();
        let (lives, told) = mpsc::channel();
        let mut copying = JoinSet::new();
        copying.spawn(async move {
            let mut stands = Some(stands);
            let mut step = move |_| {
                if let Some(stands) = stands.take() {
                    stands.send(()).unwrap();
                    let lives = tokio::task::block_in_place(|| told.recv());
                    assert_eq!(lives, Ok(true), "as when its process is killed");
                }
            };
            backends::copy(&source, &target, given, &mut step).await
        });
        at_it.await.unwrap();
        Self { copying, lives }
    }

    /// How it ended; `None` when it died.
    async fn end(mut self, lives: bool) -> Option<Copied> {
        self.lives.send(lives).unwrap();
        let ended = self.copying.join_next().await.unwrap();
        ended.ok().map(Result::unwrap)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_joins_a_store_while_it_is_copied() {
    let (bench, file) = with_a_message().await;
    let clock = Arc::clone(&bench.backend().clock);
    bench.store().close().await;
    let (from, to) = (Place::schema().url(), Place::schema().url());
    backends::copy(&file, &from, options(&clock, 3), &mut |_| {})
        .await
        .unwrap();
    let refused_at = async |url: &str| {
        let refused = backends::open(url, options(&clock, 3)).await.err();
        assert!(matches!(refused, Some(OpenError::Held(_))), "{refused:?}");
        let told = refused.unwrap().to_string();
        assert!(told.contains("wait for its end"), "{told}");
    };

    let standing = Standing::begin(&from, &to, options(&clock, 3)).await;
    for url in [&from, &to] {
        refused_at(url).await;
    }
    let further = backends::copy(&from, &Place::schema().url(), options(&clock, 3), &mut |_| {}).await;
    assert!(
        matches!(further, Err(CopyError::Open(OpenError::Held(_)))),
        "{further:?}"
    );
    assert_eq!(standing.end(false).await.map(|copied| copied.report), None);
    // What died holds nothing: a server starts there once it is certain that it is gone.
    let store = backends::open(&from, options(&clock, 3)).await.unwrap();
    store.close().await;

    let standing = Standing::begin(&from, &to, options(&clock, 3)).await;
    refused_at(&from).await;
    let copied = standing.end(true).await.unwrap();
    for url in [&from, &to] {
        let store = backends::open(url, options(&clock, 3)).await.unwrap();
        assert_eq!(store.check().await.unwrap(), copied.report);
        store.close().await;
    }
}
