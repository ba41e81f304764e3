//! The store in PostgreSQL behind PgBouncer in transaction mode: each transaction may have another session.
//!
//! These are the promises without a crash. A process that dies behind a pooler is known to be dead when it was silent for seven seconds,
//! because its lock stays with the pooler's session: so one crash is enough here.

#![expect(clippy::unwrap_used, reason = "all of it is a test")]

#[path = "postgres/bouncer.rs"]
mod bouncer;
#[path = "../../store/src/backends/postgres/tests/server.rs"]
mod server;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use bellwire_core::seal::{Keyring, MainSecret};
use bellwire_store::{
    Clock, Store,
    backends::{self, OpenOptions},
    query::SHARDS,
    vault::Vault,
};
use bellwire_testkit::{
    ManualClock,
    conformance::{Backend, Bench},
};

use self::{bouncer::bouncer, server::url};

struct Pooled {
    schema: String,
    clock: Arc<ManualClock>,
    store: Arc<dyn Store>,
}

impl Pooled {
    async fn open(schema: String, clock: Arc<ManualClock>) -> Self {
        let secret = MainSecret::from_bytes([3; 32]).unwrap();
        let now = Arc::clone(&clock) as Arc<dyn Clock>;
        let options = OpenOptions::new(now, Vault::new(Keyring::new(secret)));
        let store = backends::open(&url(bouncer().folder(), "bellwire", &schema), options)
            .await
            .unwrap();
        Self { schema, clock, store }
    }

    /// Whether it serves all endpoints.
    async fn has_all(&self) -> bool {
        let nodes = self.store.nodes().await.unwrap();
        nodes.iter().any(|node| node.is_self && node.shards == SHARDS)
    }
}

impl Backend for Pooled {
    async fn create(clock: Arc<ManualClock>) -> Self {
        static SCHEMAS: AtomicU32 = AtomicU32::new(0);
        let schema = format!("pooled{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
        Self::open(schema, clock).await
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    async fn crash(self) -> Self {
        let (schema, clock) = (self.schema.clone(), Arc::clone(&self.clock));
        drop(self);
        let next = Self::open(schema, clock).await;
        // It takes part at once, and has what the dead one had once that was silent for long enough.
        while !next.has_all().await {}
        next
    }
}

bellwire_testkit::conformance_tests! { Pooled;
    append {
        ids_grow_also_when_the_clock_goes_back
        the_same_idempotency_key_with_another_body_is_refused
        racing_appends_with_one_idempotency_key_make_one_message
        racing_appends_with_one_event_id_make_one_message
        racing_appends_with_one_event_id_and_one_idempotency_key_are_all_answered
        a_due_delivery_is_handed_over_before_it_is_acknowledged
        a_stored_route_waits_in_the_store
        a_delivery_for_later_waits_until_its_time
        without_a_receiver_all_deliveries_wait_in_the_store
        a_repeated_publication_hands_nothing_over
    }
    claim {
        the_earliest_due_comes_first
        what_is_not_due_is_not_given
        a_limit_is_kept_and_what_remains_is_told
        two_claims_never_give_the_same_delivery
        racing_claims_never_give_the_same_delivery
        one_endpoint_is_not_given_what_another_ones_is
        an_expunged_payload_does_not_come_along
    }
    settle {
        success_ends_a_delivery
        failure_ends_a_delivery
        cancellation_ends_a_delivery_without_an_attempt
        a_retry_waits_for_its_time_and_counts_the_try
        parking_gives_a_delivery_back_without_counting_a_try
        an_outcome_of_an_older_run_is_recorded_and_decides_nothing
        repeating_a_batch_changes_nothing
        a_repeated_batch_does_not_undo_what_followed
        a_notice_names_an_attempt_that_is_kept_under_that_id
        a_settlement_for_a_message_that_is_gone_is_accepted
    }
    numbers {
        one_message_joins_the_lines_of_several_endpoints
        what_is_not_accepted_takes_no_number
    }
    order {
        only_the_head_of_a_line_is_handed_over
        only_the_head_of_a_line_is_claimed
        keys_go_in_parallel
        messages_without_a_line_wait_for_nobody
        a_stored_head_waits_in_the_store_and_is_told
        a_retry_keeps_the_others_waiting
        the_end_of_a_head_gives_the_next_one_its_turn_and_tells_it
        a_line_that_ran_empty_goes_on_with_the_next_number
        many_heads_settled_at_once_give_many_their_turn
        a_repeated_batch_moves_a_line_once
        a_notice_joins_its_line
        a_head_that_is_for_later_holds_its_line
        a_turn_waits_for_the_time_of_its_message
        deliveries_show_their_numbers
    }
    lines {
        a_delivery_in_no_line_blocks_nothing
        discarding_leaves_alone_what_is_out
        one_line_is_tended_or_all_of_them
        a_line_that_is_not_blocked_is_neither_unblocked_nor_skipped
        a_line_shows_how_it_stands
    }
    eras {
        from_no_order_to_keys_nobody_waits_for_the_old_ones
        from_keys_to_no_order_the_old_lines_go_on
        from_one_line_to_keys_all_heads_wait_for_its_end
        a_late_comer_of_an_older_era_overtakes_nobody
        a_blocked_line_of_an_older_era_holds_the_new_one
        a_discarded_line_of_an_older_era_lets_the_new_one_go
    }
    arrivals {
        who_waits_shorter_takes_those_before_it_along
        an_event_that_was_published_meanwhile_is_not_accepted_twice
        idempotency_keys_of_arrivals_are_not_looked_at
        a_stream_that_goes_over_to_another_rule_begins_anew
        streams_do_not_wait_for_each_other
        a_route_to_an_endpoint_that_is_gone_is_left_out
        what_has_its_turn_is_delivered_like_any_other
        a_held_message_whose_payload_expired_is_a_message_without_payload
    }
    streams {
        numbers_may_be_as_large_as_they_come
    }
    sources {
        a_taken_uid_is_refused
        two_environments_may_use_one_uid
        of_each_source_the_newest_are_kept
    }
    requeue {
        an_ended_delivery_starts_anew
        a_delivery_that_waits_starts_anew
        a_delivery_in_flight_starts_anew_and_its_old_outcome_decides_nothing
        an_endpoint_that_the_message_was_not_routed_to_gets_it
        messages_that_are_gone_are_skipped
        a_start_for_later_waits_until_its_time
        what_waits_behind_others_keeps_its_place
        the_head_of_a_blocked_line_opens_it
        a_message_that_was_never_in_line_takes_no_number
    }
    cancel {
        leased_deliveries_are_left_alone
        only_the_endpoint_that_was_named_is_touched
        a_cancelled_delivery_is_neither_given_nor_counted_as_waiting
        a_head_that_is_out_keeps_its_place
    }
    configuration {
        an_endpoint_that_is_enabled_again_starts_without_its_failures
        a_taken_uid_is_refused_and_nothing_is_changed
        a_uid_is_free_again_after_its_owner_is_gone
        one_uid_may_be_used_in_two_places
        an_answer_is_not_kept_when_its_changes_are_refused
    }
    messages {
        pages_walk_forth_and_back_over_days
        filters_narrow
        filters_and_pages_go_together
        an_application_sees_its_own_messages_only
        payloads_come_only_when_asked_for
    }
    attempts {
        pages_walk_forth_and_back_over_days
        filters_narrow
        an_application_sees_its_own_attempts_only
        an_attempt_comes_with_its_message
    }
    deliveries {
        a_message_lists_its_deliveries_by_endpoint
        an_endpoint_lists_its_messages_over_days
        an_endpoint_lists_its_messages_by_state
        an_endpoint_lists_its_messages_by_condition
        what_is_in_flight_is_pending
    }
    counts {
        deliveries_are_counted_by_state_and_time
        attempts_are_counted_in_buckets
        replay_candidates_come_oldest_first_with_how_they_stand
        replay_candidates_are_paged
    }
    tasks {
        tasks_are_listed_by_environment_and_status
        pages_walk_forth_and_back
    }
    upkeep {
        an_event_id_is_free_again_once_its_message_is_forgotten
        erasing_leaves_other_applications_alone
        health_tells_what_waits
    }
    crash {
        what_was_handed_over_and_not_settled_waits_again
    }
}

#[tokio::test]
async fn many_stores_share_a_few_sessions() {
    let benches = [(); 4].map(|()| Bench::<Pooled>::new());
    for bench in futures_util::future::join_all(benches).await {
        let endpoint = bench.endpoint().await;
        bench.publish(&[endpoint]).await;
        assert_eq!(bench.claim(endpoint, 10).await.work.len(), 1);
    }
}
