//! The headers of an attempt: what was sent, put together again from what is kept, and what came back.

use std::collections::BTreeMap;

use bellwire_core::{attempt::Attempt, endpoint::Endpoint, headers::is_sensitive, message::Message, sign::kept};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    auth::Access,
    call::{Call, Reply},
    error::ApiError,
    operation::{Operation, get},
    state::SentHeaders,
};

/// Stands for a value that is not shown.
const REDACTED: &str = "[redacted]";

pub(super) fn operations() -> Vec<Operation> {
    let at = "/api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/headers";
    vec![
        get(at, "v1.message-attempt.get-headers", Access::READ_APP)
            .summary("Get the headers of an attempt")
            .about(
                "The sent headers are put together from the message, what the attempt keeps of them (signatures, order, a \
                 batch's id) and the endpoint's custom headers as they are now. Values that may be secret are redacted.",
            )
            .to(show),
    ]
}

/// The headers of an attempt, both ways.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct MessageAttemptHeadersOut {
    /// What was sent.
    sent_headers: BTreeMap<String, String>,
    /// What came back, in its order; null when nothing is kept.
    #[schemars(with = "Option<Vec<[String; 2]>>")]
    response_headers: Option<Vec<(String, String)>>,
    /// The names of the headers whose values are redacted.
    sensitive: Vec<String>,
}

async fn show(Call { cx, .. }: Call) -> Result<Reply<MessageAttemptHeadersOut>, ApiError> {
    let found = cx.server.store.attempt(super::key_of(&cx).await?).await?;
    let row = found.ok_or_else(|| ApiError::not_found("attempt", cx.param("attempt_id")))?;
    let entry = cx.server.directory.endpoint_by_id(row.attempt.endpoint);
    let endpoint = entry.as_ref().map(|entry| &entry.endpoint);
    Reply::ok(&headers(
        &row.attempt,
        row.message.as_ref(),
        endpoint,
        &cx.server.sent_headers,
    ))
}

/// What was sent and what came back; an endpoint that is gone, and a message that has expired, leave out what they set.
fn headers(
    attempt: &Attempt,
    message: Option<&Message>,
    endpoint: Option<&Endpoint>,
    sent: &SentHeaders,
) -> MessageAttemptHeadersOut {
    let mut sensitive = Vec::new();
    let mut shown = |name: &str, value: &str| {
        if !is_sensitive(name, value) {
            return value.to_owned();
        }
        if !sensitive.iter().any(|known: &String| known.eq_ignore_ascii_case(name)) {
            sensitive.push(name.to_owned());
        }
        REDACTED.to_owned()
    };
    let mut sent_headers = BTreeMap::new();
    let content_type = message
        .and_then(|message| message.content_type.as_deref())
        .unwrap_or("application/json");
    sent_headers.insert("content-type".to_owned(), content_type.to_owned());
    sent_headers.insert("user-agent".to_owned(), sent.user_agent.clone());
    for (name, value) in endpoint.into_iter().flat_map(|endpoint| &endpoint.headers) {
        // An endpoint may set its own user agent, whatever the case it writes it in.
        sent_headers.retain(|known, _| !known.eq_ignore_ascii_case(name));
        sent_headers.insert(name.clone(), shown(name, value));
    }
    // An attempt that ended before it was signed sent nothing of these.
    let (signature, more) = kept(&attempt.signature);
    let more: BTreeMap<&str, &str> = more.collect();
    if !signature.is_empty() {
        // In a batch, the id is the batch's.
        let id = more.get("webhook-id").map(|id| (*id).to_owned());
        let values = [
            id.unwrap_or_else(|| attempt.message.to_string()),
            attempt.at.secs().to_string(),
            signature.to_owned(),
        ];
        let prefixes: &[&str] = if sent.svix { &["webhook", "svix"] } else { &["webhook"] };
        for prefix in prefixes {
            for (name, value) in ["id", "timestamp", "signature"].iter().zip(&values) {
                sent_headers.insert(format!("{prefix}-{name}"), value.clone());
            }
        }
        // Signatures prove something and open nothing: they are shown, as `webhook-signature` is.
        let more = more
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        sent_headers.extend(more);
    }
    let answered = attempt.response_headers.iter();
    let response_headers: Vec<_> = answered
        .map(|(name, value)| (name.clone(), shown(name, value)))
        .collect();
    let response_headers = Some(response_headers).filter(|headers| !headers.is_empty());
    MessageAttemptHeadersOut {
        sent_headers,
        response_headers,
        sensitive,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bellwire_core::{
        delivery::Trigger,
        id::{AppId, AttemptId, EndpointId, Id as _, MessageId},
        time::Timestamp,
    };
    use bytes::Bytes;

    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_766_000_000);

    fn attempt(signature: &str) -> Attempt {
        Attempt {
            id: AttemptId::from_number(4),
            app: AppId::from_number(1),
            message: MessageId::from_number(2),
            endpoint: EndpointId::from_number(3),
            trigger: Trigger::Scheduled,
            number: 1,
            at: NOON,
            duration: Duration::ZERO,
            url: "https://example.com/".to_owned(),
            status_code: 500,
            failure: Some("status_500".to_owned()),
            response: Bytes::new(),
            response_headers: vec![
                ("set-cookie".to_owned(), "a=b".to_owned()),
                ("x".to_owned(), "y".to_owned()),
            ],
            signature: signature.to_owned(),
            last: false,
        }
    }

    fn endpoint(headers: &[(&str, &str)]) -> Endpoint {
        Endpoint {
            id: EndpointId::from_number(3),
            app: AppId::from_number(1),
            uid: None,
            url: "https://example.com/".to_owned(),
            description: String::new(),
            disabled: None,
            paused: false,
            event_types: None,
            channels: None,
            throttle_rate: None,
            metadata: BTreeMap::new(),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
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

    fn sent(svix: bool) -> SentHeaders {
        SentHeaders {
            user_agent: "Bellwire/1".to_owned(),
            svix,
        }
    }

    #[test]
    fn sent_headers_are_those_of_the_signed_request() {
        let found = headers(
            &attempt("v1,abc"),
            None,
            Some(&endpoint(&[("X-Team", "blue")])),
            &sent(true),
        );
        let id = MessageId::from_number(2).to_string();
        let expected = [
            ("X-Team", "blue"),
            ("content-type", "application/json"),
            ("svix-id", &id),
            ("svix-signature", "v1,abc"),
            ("svix-timestamp", "1766000000"),
            ("user-agent", "Bellwire/1"),
            ("webhook-id", &id),
            ("webhook-signature", "v1,abc"),
            ("webhook-timestamp", "1766000000"),
        ];
        let found: Vec<_> = found
            .sent_headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn secret_values_are_redacted_and_named_both_ways() {
        let custom = endpoint(&[("Authorization", "Bearer abc"), ("User-Agent", "Acme")]);
        let found = headers(&attempt("v1,abc"), None, Some(&custom), &sent(false));
        assert_eq!(found.sent_headers["Authorization"], REDACTED);
        assert_eq!(found.sent_headers["User-Agent"], "Acme");
        assert!(!found.sent_headers.contains_key("user-agent") && !found.sent_headers.contains_key("svix-id"));
        assert_eq!(found.sensitive, ["Authorization", "set-cookie"]);
        let answered = found.response_headers.unwrap();
        assert_eq!(answered[0], ("set-cookie".to_owned(), REDACTED.to_owned()));
        assert_eq!(answered[1], ("x".to_owned(), "y".to_owned()));
    }

    #[test]
    fn what_was_sent_out_of_the_ordinary_is_shown_as_it_was_sent() {
        let more = [
            ("webhook-id", "batch_1"),
            ("content-type", "application/cloudevents-batch+json"),
            ("signature-input", "sig1=()"),
        ];
        let kept = bellwire_core::sign::keep("v1,abc", more);
        let found = headers(&attempt(&kept), None, None, &sent(true)).sent_headers;
        for (name, value) in more
            .iter()
            .chain(&[("svix-id", "batch_1"), ("webhook-signature", "v1,abc")])
        {
            assert_eq!(found[*name], *value, "{name}");
        }
        let kept = bellwire_core::sign::keep("v1,abc", [("webhook-sequence", "5")]);
        let found = headers(&attempt(&kept), None, None, &sent(true)).sent_headers;
        assert_eq!(found["webhook-sequence"], "5");
        assert_eq!(found["webhook-id"], MessageId::from_number(2).to_string());
    }

    #[test]
    fn what_was_never_signed_was_never_sent() {
        let found = headers(&attempt(""), None, None, &sent(true));
        assert!(
            !found
                .sent_headers
                .keys()
                .any(|name| name.starts_with("webhook-") || name.starts_with("svix-"))
        );
    }
}
