//! One suite that every storage backend passes: what `bellwire_store::Store` promises, promise by promise.
//!
//! It knows nothing of any backend. A backend says how an empty store is made and what a crash leaves of it ([`Backend`]),
//! and gets one test per promise:
//!
//! ```text
//! bellwire_testkit::conformance!(MyBackend);
//! ```
//!
//! After every change the suite makes, the store must add up (`check`). What belongs to one backend alone (files, backups,
//! sealing, query plans) is tested beside that backend.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "these are tests, in a library so that they can be shared"
)]

pub mod append;
pub mod arrivals;
pub mod attempts;
mod bench;
mod brought;
pub mod cancel;
pub mod claim;
pub mod configuration;
pub mod counts;
pub mod crash;
pub mod deliveries;
pub mod eras;
pub mod lines;
pub mod looking;
pub mod messages;
pub mod numbers;
pub mod order;
mod pages;
pub mod requeue;
pub mod settle;
pub mod sources;
pub mod streams;
pub mod tasks;
pub mod upkeep;

use std::{future::Future, sync::Arc};

use bellwire_store::Store;

pub use self::bench::{Bench, Inbox};
use crate::clock::ManualClock;

/// A storage backend as the suite sees it: a place of its own with one store in it, removed when dropped.
pub trait Backend: Sized + Send {
    /// A new, empty store that goes by this clock.
    fn create(clock: Arc<ManualClock>) -> impl Future<Output = Self> + Send;

    /// The store.
    fn store(&self) -> Arc<dyn Store>;

    /// What a new process finds after this one was killed: the store is not closed first.
    fn crash(self) -> impl Future<Output = Self> + Send;
}

/// One `#[tokio::test]` per promise for a backend.
#[macro_export]
macro_rules! conformance {
    ($backend:ty) => {
        $crate::conformance_tests! { $backend;
            append {
                ids_grow_also_when_the_clock_goes_back
                a_message_is_durable_once_acknowledged
                the_same_idempotency_key_is_answered_with_the_first_message
                the_same_idempotency_key_with_another_body_is_refused
                racing_appends_with_one_idempotency_key_make_one_message
                an_event_id_is_taken_once_in_an_application
                racing_appends_with_one_event_id_make_one_message
                racing_appends_with_one_event_id_and_one_idempotency_key_are_all_answered
                a_due_delivery_is_handed_over_before_it_is_acknowledged
                a_stored_route_waits_in_the_store
                a_delivery_for_later_waits_until_its_time
                without_a_receiver_all_deliveries_wait_in_the_store
                a_repeated_publication_hands_nothing_over
                a_message_without_routes_is_kept
                many_concurrent_appends_are_all_kept
            }
            claim {
                the_earliest_due_comes_first
                what_is_not_due_is_not_given
                a_limit_is_kept_and_what_remains_is_told
                two_claims_never_give_the_same_delivery
                racing_claims_never_give_the_same_delivery
                one_endpoint_is_not_given_what_another_ones_is
                a_delivery_whose_message_is_gone_is_removed_silently
                an_expunged_payload_does_not_come_along
            }
            settle {
                success_ends_a_delivery
                failure_ends_a_delivery
                cancellation_ends_a_delivery_without_an_attempt
                a_retry_waits_for_its_time_and_counts_the_try
                parking_gives_a_delivery_back_without_counting_a_try
                an_attempt_is_kept_as_it_happened
                an_outcome_of_an_older_run_is_recorded_and_decides_nothing
                repeating_a_batch_changes_nothing
                a_repeated_batch_does_not_undo_what_followed
                notices_are_accepted_with_the_settlement_and_handed_over
                a_notice_names_an_attempt_that_is_kept_under_that_id
                health_is_kept_and_cleared
                a_batch_settles_many_deliveries_at_once
                a_settlement_for_a_message_that_is_gone_is_accepted
            }
            crash {
                what_was_handed_over_and_not_settled_waits_again
                what_was_claimed_and_not_settled_waits_again
                what_was_settled_does_not_come_back
                a_retry_keeps_its_time_and_its_tries
                ids_go_on_behind_the_last_one_also_when_the_clock_went_back
                what_was_acknowledged_before_several_crashes_adds_up
                a_head_that_was_out_is_the_head_again
                a_turn_that_was_given_stays_given
                lines_are_found_as_they_stood
            }
            numbers {
                numbers_are_given_by_key_and_endpoint
                one_message_joins_the_lines_of_several_endpoints
                what_is_not_accepted_takes_no_number
                racing_appends_are_numbered_without_gaps
                a_message_keeps_its_ordering_key
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
                a_receiver_is_told_what_was_skipped
                many_heads_settled_at_once_give_many_their_turn
                a_repeated_batch_moves_a_line_once
                a_notice_joins_its_line
                a_head_that_is_for_later_holds_its_line
                a_turn_waits_for_the_time_of_its_message
                deliveries_show_their_numbers
                a_message_that_is_gone_leaves_its_line
                a_receiver_never_sees_a_line_inverted
            }
            lines {
                a_blocked_line_waits_for_a_person
                a_delivery_in_no_line_blocks_nothing
                an_unblocked_head_starts_anew
                a_skipped_head_leaves_its_line
                a_discarded_line_is_empty
                discarding_leaves_alone_what_is_out
                one_line_is_tended_or_all_of_them
                a_line_that_is_not_blocked_is_neither_unblocked_nor_skipped
                lines_are_listed_by_key
                a_line_shows_how_it_stands
                a_line_is_known_as_long_as_its_endpoint
                what_waits_is_counted_and_told
            }
            eras {
                from_no_order_to_keys_nobody_waits_for_the_old_ones
                from_keys_to_no_order_the_old_lines_go_on
                from_keys_to_one_line_it_waits_for_all_keys
                from_one_line_to_keys_all_heads_wait_for_its_end
                back_again_nothing_is_inverted_and_numbers_go_on
                a_late_comer_of_an_older_era_overtakes_nobody
                a_blocked_line_of_an_older_era_holds_the_new_one
                a_discarded_line_of_an_older_era_lets_the_new_one_go
            }
            arrivals {
                what_follows_is_accepted_at_once
                what_comes_too_early_is_held_until_its_turn
                a_held_message_is_accepted_as_it_came
                without_a_start_the_least_of_the_first_wait_is_the_first
                a_wait_that_is_over_ends_in_a_gap
                a_wait_that_is_prolonged_ends_later
                who_waits_shorter_takes_those_before_it_along
                what_is_stale_is_kept_and_goes_nowhere
                an_event_id_is_taken_once
                an_event_that_comes_again_too_late_is_said_to_be_overtaken
                two_with_one_number_are_both_accepted
                an_event_that_was_published_meanwhile_is_not_accepted_twice
                idempotency_keys_of_arrivals_are_not_looked_at
                only_older_versions_are_stale
                a_stream_that_goes_over_to_another_rule_begins_anew
                streams_do_not_wait_for_each_other
                a_route_to_an_endpoint_that_is_gone_is_left_out
                what_has_its_turn_is_delivered_like_any_other
                a_held_message_whose_payload_expired_is_a_message_without_payload
            }
            streams {
                racing_arrivals_are_accepted_in_order
                a_turn_that_is_given_to_many_is_taken_by_all
                a_release_stops_at_its_limit_and_goes_on
                shuffled_and_repeated_arrivals_survive_crashes
                nobody_is_lost_however_waits_and_arrivals_fall
                numbers_may_be_as_large_as_they_come
                streams_are_listed_by_key
                a_stream_shows_how_it_stands
                a_stream_that_is_reset_begins_anew
                who_has_its_turn_is_told
                an_erased_application_leaves_no_stream
                an_unused_stream_is_forgotten_like_old_messages
            }
            sources {
                a_source_reads_back_as_it_was
                a_taken_uid_is_refused
                two_environments_may_use_one_uid
                refused_requests_read_back_after_a_crash
                of_each_source_the_newest_are_kept
                a_deleted_source_takes_what_it_refused_along
                the_numbers_of_refused_requests_are_remembered
            }
            requeue {
                an_ended_delivery_starts_anew
                a_delivery_that_waits_starts_anew
                a_delivery_in_flight_starts_anew_and_its_old_outcome_decides_nothing
                an_endpoint_that_the_message_was_not_routed_to_gets_it
                messages_that_are_gone_are_skipped
                a_start_for_later_waits_until_its_time
                a_new_start_survives_a_crash
                what_has_left_its_line_goes_outside_of_its_turn
                what_waits_behind_others_keeps_its_place
                a_head_that_starts_anew_stays_the_head
                the_head_of_a_blocked_line_opens_it
                a_message_that_was_never_in_line_takes_no_number
            }
            cancel {
                waiting_deliveries_are_cancelled_in_pieces
                leased_deliveries_are_left_alone
                only_the_endpoint_that_was_named_is_touched
                a_cancelled_delivery_is_neither_given_nor_counted_as_waiting
                lines_are_emptied_from_behind
                blocked_heads_leave_their_lines_as_they_are
                a_head_that_is_out_keeps_its_place
                the_lines_of_a_deleted_endpoint_are_emptied
            }
            configuration {
                everything_reads_back_after_a_crash
                the_largest_id_is_remembered_when_what_had_it_is_gone
                secrets_read_back_as_they_were
                an_endpoint_that_is_enabled_again_starts_without_its_failures
                a_taken_uid_is_refused_and_nothing_is_changed
                a_uid_is_free_again_after_its_owner_is_gone
                one_uid_may_be_used_in_two_places
                an_answer_is_kept_with_its_changes_until_it_expires
                an_answer_is_not_kept_when_its_changes_are_refused
                a_deleted_application_takes_its_endpoints_and_tokens_along
                deliveries_to_a_deleted_endpoint_can_be_cancelled
            }
            messages {
                pages_walk_forth_and_back_over_days
                filters_narrow
                filters_and_pages_go_together
                an_application_sees_its_own_messages_only
                payloads_come_only_when_asked_for
                an_expunged_payload_is_gone_for_good
                an_event_id_finds_its_message
            }
            attempts {
                pages_walk_forth_and_back_over_days
                filters_narrow
                an_application_sees_its_own_attempts_only
                an_attempt_comes_with_its_message
                an_expunged_answer_is_gone_for_good
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
            looking {
                samples_count_and_time_attempts_by_when_they_were_over
                a_sample_that_is_cut_is_projected
                a_lag_is_that_of_the_first_try_and_not_of_a_delay_that_was_asked_for
                failures_come_newest_first_of_each_endpoint
                a_message_is_found_by_its_id_whosever_it_is
                an_event_id_is_found_in_the_applications_that_are_asked
                a_text_is_found_in_payloads_and_answers
                a_scan_goes_on_where_it_stopped
                a_scan_narrows_by_endpoint_status_and_type
                a_scan_sees_only_the_applications_that_are_asked
                replay_candidates_tell_why_the_last_attempt_failed
                what_people_changed_is_kept_with_the_change
                what_people_changed_is_listed_by_conditions
                what_people_changed_long_ago_is_forgotten
            }
            tasks {
                a_task_is_kept_and_replaced
                a_task_that_has_ended_stays_as_it_ended
                tasks_are_listed_by_environment_and_status
                pages_walk_forth_and_back
            }
            upkeep {
                old_messages_are_forgotten_with_all_about_them
                old_attempts_are_forgotten_and_their_deliveries_stay
                expired_payloads_are_forgotten_and_their_messages_stay
                an_event_id_is_free_again_once_its_message_is_forgotten
                an_erased_application_leaves_nothing
                erasing_leaves_other_applications_alone
                a_closed_store_is_unavailable
                health_tells_what_waits
                the_store_adds_up_through_a_busy_day
            }
        }
    };
}

/// The part of [`conformance!`] that writes the tests.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_tests {
    ($backend:ty; $($part:ident { $($promise:ident)* })*) => {
        $(mod $part {
            #[allow(unused_imports, reason = "the backend's type may be written with a path")]
            use super::*;
            $(
                #[tokio::test]
                async fn $promise() {
                    $crate::conformance::$part::$promise(
                        $crate::conformance::Bench::<$backend>::new().await,
                    )
                    .await;
                }
            )*
        })*
    };
}
