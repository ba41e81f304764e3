//! Background tasks: work that outlives a request, with progress that people can watch and stop.

use serde::{Deserialize, Serialize};

use crate::{
    delivery::DeliveryState,
    endpoint::Endpoint,
    event_type::filter_covers,
    id::{AppId, EndpointId, EnvironmentId, TaskId},
    message::Message,
    route,
    time::Timestamp,
};

/// A piece of background work and how far it has come. Survives restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Whose it is.
    pub environment: EnvironmentId,
    /// What it does.
    pub job: Job,
    /// Where it stands.
    pub status: TaskStatus,
    /// Things looked at so far.
    pub seen: u64,
    /// Things done so far (deliveries made due, rows removed…).
    pub done: u64,
    /// Where to go on after a restart: the number of the last id that was handled.
    pub cursor: u64,
    /// What went wrong, when something did.
    pub error: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last made progress.
    pub updated_at: Timestamp,
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// At work, or waiting for its turn.
    Running,
    /// Everything is done.
    Finished,
    /// It could not go on; `error` says why.
    Failed,
    /// Somebody stopped it: what it had done stays done.
    Cancelled,
}

/// What a background task does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Job {
    /// Makes deliveries of one endpoint due again.
    Replay {
        /// The application.
        app: AppId,
        /// The endpoint.
        endpoint: EndpointId,
        /// Which deliveries.
        which: ReplayWhich,
        /// Messages accepted from then on…
        since: Timestamp,
        /// …and before then.
        until: Timestamp,
    },
    /// Removes everything that belonged to a deleted application.
    EraseApp {
        /// The application.
        app: AppId,
    },
    /// Statistics: computed when they were asked for and kept here to be fetched. Nothing is left to do.
    Report {
        /// About what.
        about: ReportAbout,
        /// What came out, as it is answered.
        data: serde_json::Map<String, serde_json::Value>,
    },
}

/// What statistics are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportAbout {
    /// How much each application sent.
    AppUsage,
    /// Which event types each application subscribes to.
    EventTypes,
}

/// Which messages a replay takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "which")]
pub enum ReplayWhich {
    /// Those whose delivery failed or was cancelled (`recover`).
    Failed,
    /// Of those, the ones whose last attempt failed by this reason (`recover` with `failure`).
    FailedBy {
        /// The reason's stable name, as `timeout_headers`.
        reason: String,
    },
    /// Those that match the endpoint now and were never attempted there (`replay-missing`).
    Missing,
    /// Those that match these conditions, whatever became of them (`bulk-replay`).
    Matching {
        /// Of these event types (filter entries); `None` is all.
        event_types: Option<Vec<String>>,
        /// On this channel.
        channel: Option<String>,
        /// With this tag.
        tag: Option<String>,
        /// Whose delivery stands so.
        state: Option<ReplayState>,
        /// Whose last answer was of this class: 0 for none, 100 to 500.
        status_class: Option<u16>,
        /// Whose last attempt failed by this reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// A delivery's state as a replay's condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayState {
    /// Delivered.
    Succeeded,
    /// Waiting or under way.
    Pending,
    /// Given up.
    Failed,
    /// Cancelled.
    Cancelled,
}

impl ReplayState {
    /// Whether a delivery that stands so is meant. One that is under way is still pending.
    pub fn is(self, state: DeliveryState) -> bool {
        match self {
            Self::Succeeded => state == DeliveryState::Succeeded,
            Self::Pending => matches!(state, DeliveryState::Pending | DeliveryState::Sending),
            Self::Failed => state == DeliveryState::Failed,
            Self::Cancelled => state == DeliveryState::Cancelled,
        }
    }
}

/// How a message stands at the endpoint of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing<'a> {
    /// Its delivery's state; `None` when it has no delivery there.
    pub state: Option<DeliveryState>,
    /// The status code of the last attempt there, 0 without an answer; `None` when there was no attempt.
    pub last_status_code: Option<u16>,
    /// Why the last attempt there failed; `None` when it did not, or when there was none.
    pub last_failure: Option<&'a str>,
}

/// Whether a replay to `endpoint` takes this message: the one answer for the replay itself and for a dry run of it.
///
/// Never takes a message whose payload has expired at `now`: there is nothing left to send. Whether the message lies in the
/// replay's span of time is the caller's question.
pub fn selects(
    which: &ReplayWhich,
    endpoint: &Endpoint,
    message: &Message,
    standing: Standing<'_>,
    now: Timestamp,
) -> bool {
    if message.payload_expires_at <= now {
        return false;
    }
    let matches_now = || route::verdict(endpoint, &message.event_type, &message.channels) == route::Verdict::Matched;
    let was_given_up = || matches!(standing.state, Some(DeliveryState::Failed | DeliveryState::Cancelled));
    match which {
        ReplayWhich::Failed => was_given_up(),
        ReplayWhich::FailedBy { reason } => was_given_up() && standing.last_failure == Some(reason),
        ReplayWhich::Missing => {
            let never_tried = standing.last_status_code.is_none();
            never_tried && matches!(standing.state, None | Some(DeliveryState::Cancelled)) && matches_now()
        }
        ReplayWhich::Matching {
            event_types,
            channel,
            tag,
            state,
            status_class,
            reason,
        } => {
            let covered = |wanted: &Vec<String>| wanted.iter().any(|entry| filter_covers(entry, &message.event_type));
            let class = standing.last_status_code.unwrap_or(0) / 100 * 100;
            event_types.as_ref().is_none_or(covered)
                && channel.as_ref().is_none_or(|channel| message.channels.contains(channel))
                && tag.as_ref().is_none_or(|tag| message.tags.contains(tag))
                && state.is_none_or(|wanted| standing.state.is_some_and(|state| wanted.is(state)))
                && status_class.is_none_or(|wanted| wanted == class)
                && (reason.is_none() || reason.as_deref() == standing.last_failure)
                // What never went there goes there only if the endpoint wants it.
                && (standing.state.is_some() || matches_now())
        }
    }
}

/// Whether [`selects`] took a message because the endpoint would get such a message now. What an endpoint's filter says of it is
/// not known there; whoever can evaluate it asks further.
pub fn asks_the_filter(which: &ReplayWhich, standing: Standing<'_>) -> bool {
    match which {
        ReplayWhich::Failed | ReplayWhich::FailedBy { .. } => false,
        ReplayWhich::Missing => true,
        ReplayWhich::Matching { .. } => standing.state.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        endpoint::{Disabled, DisabledReason},
        id::{Id as _, MessageId},
    };

    const NOON: Timestamp = Timestamp::from_secs(1_766_000_000);

    fn endpoint(event_types: Option<&[&str]>) -> Endpoint {
        Endpoint {
            id: EndpointId::from_number(2),
            app: AppId::from_number(1),
            uid: None,
            url: "https://example.com/".to_owned(),
            description: String::new(),
            disabled: None,
            paused: false,
            event_types: event_types.map(|all| all.iter().map(|&one| one.to_owned()).collect()),
            channels: None,
            throttle_rate: None,
            metadata: Default::default(),
            headers: Default::default(),
            keys: Vec::new(),
            retry_schedule: None,
            timeout: None,
            max_in_flight: None,
            order: Default::default(),
            batch: None,
            http_signatures: false,
            action: Default::default(),
            workflow: Default::default(),
            created_at: NOON,
            updated_at: NOON,
        }
    }

    fn message(event_type: &str) -> Message {
        Message {
            id: MessageId::from_number(3),
            app: AppId::from_number(1),
            event_type: event_type.to_owned(),
            event_id: None,
            channels: vec!["eu".to_owned()],
            tags: vec!["blue".to_owned()],
            ordering_key: None,
            payload: None,
            payload_expires_at: NOON.plus(std::time::Duration::from_secs(1)),
            deliver_at: None,
            traceparent: None,
            content_type: None,
            inbound: None,
            created_at: NOON,
        }
    }

    fn stands(state: DeliveryState, last_status_code: Option<u16>) -> Standing<'static> {
        Standing {
            state: Some(state),
            last_status_code,
            last_failure: (last_status_code == Some(503)).then_some("status_503"),
        }
    }

    #[test]
    fn recovering_takes_what_failed_or_was_cancelled_whatever_the_filter_says_now() {
        let takes = |standing| {
            selects(
                &ReplayWhich::Failed,
                &endpoint(Some(&["b"])),
                &message("a"),
                standing,
                NOON,
            )
        };
        assert!(takes(stands(DeliveryState::Failed, Some(500))));
        assert!(takes(stands(DeliveryState::Cancelled, None)));
        assert!(!takes(stands(DeliveryState::Pending, Some(500))));
        assert!(!takes(stands(DeliveryState::Succeeded, Some(200))));
        assert!(!takes(Standing::default()));
    }

    #[test]
    fn recovering_by_reason_takes_what_last_failed_so_and_nothing_else() {
        let takes = |reason: &str, standing| {
            let which = ReplayWhich::FailedBy {
                reason: reason.to_owned(),
            };
            selects(&which, &endpoint(None), &message("a"), standing, NOON)
        };
        assert!(takes("status_503", stands(DeliveryState::Failed, Some(503))));
        assert!(!takes("timeout_headers", stands(DeliveryState::Failed, Some(503))));
        assert!(!takes("status_503", stands(DeliveryState::Pending, Some(503))));
        assert!(!takes("status_503", stands(DeliveryState::Cancelled, None)));
    }

    #[test]
    fn missing_is_what_matches_now_and_was_never_attempted() {
        let takes = |event_type, standing| {
            selects(
                &ReplayWhich::Missing,
                &endpoint(Some(&["a.*"])),
                &message(event_type),
                standing,
                NOON,
            )
        };
        assert!(takes("a.b", Standing::default()));
        assert!(takes("a.b", stands(DeliveryState::Cancelled, None)));
        assert!(!takes("b", Standing::default()), "the endpoint does not want it");
        assert!(!takes("a.b", stands(DeliveryState::Pending, None)), "it is on its way");
        assert!(
            !takes("a.b", stands(DeliveryState::Cancelled, Some(0))),
            "it was attempted, without an answer"
        );
        let disabled = Disabled {
            since: NOON,
            reason: DisabledReason::Requested,
        };
        let disabled = Endpoint {
            disabled: Some(disabled),
            ..endpoint(None)
        };
        assert!(!selects(
            &ReplayWhich::Missing,
            &disabled,
            &message("a"),
            Standing::default(),
            NOON
        ));
    }

    /// Conditions of which at most one is set, written as `name=value`.
    fn matching(condition: &str) -> ReplayWhich {
        let (name, value) = condition.split_once('=').unwrap_or_default();
        let given = |wanted: &str| (name == wanted).then(|| value.to_owned());
        ReplayWhich::Matching {
            event_types: given("type").map(|entry| vec![entry]),
            channel: given("channel"),
            tag: given("tag"),
            state: given("state").map(|_| match value {
                "failed" => ReplayState::Failed,
                "pending" => ReplayState::Pending,
                other => panic!("{other} is not used here"),
            }),
            status_class: given("class").map(|class| class.parse().unwrap()),
            reason: given("reason"),
        }
    }

    #[test]
    fn each_condition_narrows() {
        let takes = |condition, standing| {
            selects(
                &matching(condition),
                &endpoint(Some(&["a.*"])),
                &message("a.b"),
                standing,
                NOON,
            )
        };
        let failed = stands(DeliveryState::Failed, Some(503));
        for met in [
            "",
            "type=a.*",
            "type=a.b",
            "channel=eu",
            "tag=blue",
            "state=failed",
            "class=500",
            "reason=status_503",
        ] {
            assert!(takes(met, failed), "{met}");
        }
        for unmet in [
            "type=c",
            "type=a",
            "channel=us",
            "tag=red",
            "state=pending",
            "class=400",
            "class=0",
            "reason=timeout_headers",
        ] {
            assert!(!takes(unmet, failed), "{unmet}");
        }
        assert!(takes("state=pending", stands(DeliveryState::Sending, None)));
        assert!(takes("class=0", stands(DeliveryState::Failed, Some(0))));
    }

    #[test]
    fn what_never_went_to_an_endpoint_goes_there_only_if_the_endpoint_wants_it() {
        let takes = |wanted| {
            selects(
                &matching(""),
                &endpoint(Some(&[wanted])),
                &message("a.b"),
                Standing::default(),
                NOON,
            )
        };
        assert!(takes("a.*"));
        assert!(!takes("c"));
    }

    #[test]
    fn a_message_whose_payload_has_expired_is_never_taken() {
        let mut expired = message("a");
        expired.payload_expires_at = NOON;
        let standing = stands(DeliveryState::Failed, Some(500));
        assert!(!selects(
            &ReplayWhich::Failed,
            &endpoint(None),
            &expired,
            standing,
            NOON
        ));
    }
}
