//! States as they are shown: by a colour, a word and a shape, so that none of the three is needed.

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    /// The class that gives colour and shape.
    pub class: &'static str,
    /// The word.
    pub word: &'static str,
}

const fn state(class: &'static str, word: &'static str) -> State {
    State { class, word }
}

/// All is well.
pub(crate) const HEALTHY: State = state("good", "healthy");

/// A delivery or an attempt, by the API's `statusText`.
pub(crate) fn of_delivery(text: &str) -> State {
    match text {
        "success" => state("good", "succeeded"),
        "pending" => state("wait", "pending"),
        "sending" => state("busy", "sending"),
        "fail" => state("bad", "failed"),
        "canceled" => state("off", "cancelled"),
        _ => state("off", "not sent"),
    }
}

/// A background task.
pub(crate) fn of_task(text: &str) -> State {
    match text {
        "running" => state("busy", "running"),
        "finished" => state("good", "finished"),
        _ => state("bad", "failed"),
    }
}

/// An endpoint.
pub(crate) fn of_endpoint(disabled: bool, paused: bool, failing: bool) -> State {
    match (disabled, paused, failing) {
        (true, ..) => state("off", "disabled"),
        (_, true, _) => state("wait", "paused"),
        (.., true) => state("bad", "failing"),
        _ => HEALTHY,
    }
}

/// An explanation: whether anything went wrong is in its reason.
pub(crate) fn of_reason(reason: &str, status: Option<&str>) -> State {
    match status {
        Some("fail") => of_delivery("fail"),
        Some(status) => match reason {
            "retrying" => state("bad", "retrying"),
            "line_blocked" | "parked" => state("bad", "waiting"),
            "delivered" => of_delivery("success"),
            _ => of_delivery(status),
        },
        None => of_delivery(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_switched_off_is_not_called_failing() {
        assert_eq!(of_endpoint(true, true, true).word, "disabled");
        assert_eq!(of_endpoint(false, true, true).word, "paused");
        assert_eq!(of_endpoint(false, false, true).word, "failing");
        assert_eq!(of_endpoint(false, false, false), HEALTHY);
    }

    #[test]
    fn a_delivery_that_is_retried_is_shown_as_such() {
        assert_eq!(of_reason("retrying", Some("pending")).class, "bad");
        assert_eq!(of_reason("scheduled", Some("pending")).class, "wait");
        assert_eq!(of_reason("filter", None).word, "not sent");
    }
}
