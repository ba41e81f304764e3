//! AWS SNS: the signature and the address of its certificate stand in the body, over some of its fields in a fixed order.

use serde_json::Value;

use super::{Own, certificate, unchecked};
use crate::encoding::Encoding;
use crate::handshake;
use crate::key::Algorithm;
use crate::recipe::{Proof, Unit};
use crate::refused::{Reason, Refused};
use crate::request::Seen;
use crate::sign::SignError;
use crate::verify::Verifier;

const NOTIFICATION: &[&str] = &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"];
const CONTROL: &[&str] = &[
    "Message",
    "MessageId",
    "SubscribeURL",
    "Timestamp",
    "Token",
    "TopicArn",
    "Type",
];

pub(crate) static AWS_SNS: Own = Own {
    check: unchecked,
    prove: |verifier, seen, _| {
        let body = seen
            .json()
            .ok_or_else(|| Refused::malformed("the body is not JSON; SNS signs fields of a JSON object"))?;
        let field = |name: &str| {
            body.get(name)
                .and_then(Value::as_str)
                .ok_or_else(|| Refused::missing(format!("`{name}` in the JSON body")))
        };
        let topics = verifier.settings.all("topicArn");
        let topic = field("TopicArn")?;
        if !topics.is_empty() && !topics.iter().any(|known| known.trim() == topic) {
            return Err(Refused::new(
                Reason::Mismatch,
                "the message is of another topic than `topicArn` in the settings",
            ));
        }
        let algorithm = match field("SignatureVersion")? {
            "1" => Algorithm::RsaSha1,
            "2" => Algorithm::RsaSha256,
            _ => return Err(Refused::malformed("`SignatureVersion` is neither 1 nor 2")),
        };
        let signature = Encoding::Base64
            .decode(field("Signature")?)
            .ok_or_else(|| Refused::malformed("`Signature` is not base64"))?;
        let url = field("SigningCertURL")?;
        if !url.split(['?', '#']).next().is_some_and(|path| path.ends_with(".pem")) {
            return Err(Refused::new(
                Reason::Certificate,
                "`SigningCertURL` does not name a .pem file",
            ));
        }
        let key = certificate::key(seen, url, pinned)?;
        let content =
            content(body).ok_or_else(|| Refused::malformed("a signed field is no text, or `Type` is unknown"))?;
        if !algorithm.matches(&key, &vec![content.into_bytes().into()], &[signature]) {
            return Err(Refused::mismatch());
        }
        Ok(Proof {
            key_index: None,
            signed_at: Unit::Rfc3339.read(field("Timestamp")?).ok(),
            ..Proof::default()
        })
    },
    sign: |draft| {
        let mut body = draft.json()?;
        let object = body
            .as_object_mut()
            .ok_or(SignError::Body("an SNS message is a JSON object"))?;
        let time = Unit::Rfc3339.write(draft.signing.at);
        let id = draft.id("sns");
        let region = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-test.pem";
        for (name, value) in [
            ("Type", "Notification"),
            ("MessageId", id.as_str()),
            ("TopicArn", "arn:aws:sns:us-east-1:123456789012:test"),
            ("Message", ""),
            ("Timestamp", time.as_str()),
            ("SignatureVersion", "2"),
            ("SigningCertURL", region),
        ] {
            object.entry(name).or_insert_with(|| value.into());
        }
        let content = content(&body).ok_or(SignError::Body("the signed fields are texts"))?;
        let signature = draft.private_sign(Algorithm::RsaSha256, &vec![content.into_bytes().into()])?;
        body["Signature"] = Encoding::Base64.encode(&signature).into();
        draft.body = body.to_string().into_bytes();
        Ok(())
    },
    recipe: None,
};

/// `sns.eu-west-1.amazonaws.com`, and `.com.cn`.
fn pinned(host: &str) -> bool {
    let Some(rest) = host.strip_prefix("sns.") else {
        return false;
    };
    let rest = rest.strip_suffix(".cn").unwrap_or(rest);
    rest.strip_suffix(".amazonaws.com").is_some_and(|region| {
        region.len() >= 3 && region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

/// `Key\nValue\n` of the signed fields, which stand in the order of their names; `Subject` only when there is one.
fn content(body: &Value) -> Option<String> {
    let fields = match body.get("Type")?.as_str()? {
        "Notification" => NOTIFICATION,
        "SubscriptionConfirmation" | "UnsubscribeConfirmation" => CONTROL,
        _ => return None,
    };
    let mut content = String::new();
    for name in fields {
        match body.get(name) {
            Some(Value::String(text)) => {
                for part in [name, "\n", text, "\n"] {
                    content.push_str(part);
                }
            }
            None | Some(Value::Null) if *name == "Subject" => {}
            _ => return None,
        }
    }
    Some(content)
}

/// The address that confirms a subscription, when this message asks for it; or why it is not to be visited. Anybody can have SNS
/// ask for a subscription to a topic of theirs: only those that the settings name are confirmed unasked.
pub(crate) fn confirm(verifier: &Verifier, seen: &Seen<'_>) -> (Option<String>, Option<&'static str>) {
    let is_sns = verifier.provider.name == "aws-sns";
    if !is_sns || seen.json_text("/Type").as_deref() != Some("SubscriptionConfirmation") {
        return (None, None);
    }
    if verifier.settings.all("topicArn").is_empty() && !handshake::armed(verifier, seen) {
        let words =
            "the subscription is not confirmed: name its topic in `topicArn`, or set `armed`, and have SNS ask again";
        return (None, Some(words));
    }
    let url = seen.json_text("/SubscribeURL");
    match url.filter(|url| certificate::check_url(url, pinned).is_ok()) {
        Some(url) => (Some(url), None),
        None => (
            None,
            Some("the subscription is not confirmed: `SubscribeURL` is none of SNS"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hosts_of_sns_are_asked() {
        for host in ["sns.us-east-1.amazonaws.com", "sns.cn-north-1.amazonaws.com.cn"] {
            assert!(pinned(host), "{host}");
        }
        for host in [
            "sns.amazonaws.com",
            "sns.evil.example",
            "s3.us-east-1.amazonaws.com",
            "sns.a.b.amazonaws.com",
            "sns.us-east-1.amazonaws.com.evil.example",
        ] {
            assert!(!pinned(host), "{host}");
        }
    }
}
