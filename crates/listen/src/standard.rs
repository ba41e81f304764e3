//! Standard Webhooks and Svix, whose verification lives in core: what its verdicts are here.

use bellwire_core::secret::VerifyingKey;
use bellwire_core::sign::{self, Cause, Family, Malformed, Mismatch, Received, SignedHeaders, TOLERANCE};
use bellwire_core::time::Timestamp;

use crate::key::Key;
use crate::recipe::{Proof, ProvenId};
use crate::refused::{Reason, Refused};
use crate::request::Seen;

fn keys(keys: &[Key]) -> Vec<VerifyingKey> {
    keys.iter()
        .filter_map(|key| match key {
            Key::Standard(key) => Some(key.clone()),
            _ => None,
        })
        .collect()
}

fn received<'a>(seen: &Seen<'a>) -> Received<'a> {
    Received {
        headers: SignedHeaders::from_pairs(seen.request.headers.iter().copied()),
        body: seen.request.body,
    }
}

pub(crate) fn prove(live: &[Key], seen: &Seen<'_>, any_age: bool) -> Result<Proof, Refused> {
    let tolerance = (!any_age).then_some(TOLERANCE);
    let now = seen.request.received_at.secs();
    let received = received(seen);
    judged(&received, sign::verify(&received, &keys(live), now, tolerance))
}

/// Like [`prove`], and when it fails, why.
pub(crate) fn explain(live: &[Key], others: &[Key], seen: &Seen<'_>, any_age: bool) -> Result<Proof, Refused> {
    let tolerance = (!any_age).then_some(TOLERANCE);
    let now = seen.request.received_at.secs();
    let received = received(seen);
    let verdict = sign::explain(&received, &keys(live), &keys(others), now, tolerance);
    judged(&received, verdict)
}

fn judged(received: &Received<'_>, verdict: Result<sign::Verified, Mismatch>) -> Result<Proof, Refused> {
    match verdict {
        Ok(verified) => Ok(Proof {
            key_index: Some(verified.key),
            signed_at: Some(Timestamp::from_secs(verified.timestamp_secs)),
            id: signed_id(received, verified.family),
        }),
        Err(mismatch) => Err(Refused::new(reason(&mismatch), mismatch.to_string())),
    }
}

/// The id of the headers that were verified: the other family's may be anybody's.
fn signed_id(received: &Received<'_>, family: Family) -> Option<ProvenId> {
    let set = match family {
        Family::Webhook => &received.headers.webhook,
        Family::Svix => &received.headers.svix,
    };
    set.id.map(|id| ProvenId {
        text: id.to_owned(),
        is_signed: true,
    })
}

fn reason(mismatch: &Mismatch) -> Reason {
    match mismatch {
        Mismatch::NoKey => Reason::Settings,
        // The sender chose the version: whoever sends it, the settings are not to blame.
        Mismatch::KeyKind { .. } => Reason::OtherContent,
        Mismatch::MissingHeader { .. } => Reason::Missing,
        Mismatch::TooOld { .. } | Mismatch::TooNew { .. } => Reason::Clock,
        Mismatch::Signature(Cause::OtherKey { .. }) => Reason::OldSecret,
        Mismatch::Signature(Cause::SecretNotDecoded { .. }) => Reason::SecretForm,
        Mismatch::Signature(Cause::Body(_)) => Reason::BodyChanged,
        Mismatch::Signature(Cause::Unknown) => Reason::Mismatch,
        Mismatch::Signature(_) => Reason::OtherContent,
        Mismatch::Malformed(Malformed::Hexadecimal(_) | Malformed::UrlSafe(_)) => Reason::WrongEncoding,
        _ => Reason::MalformedHeader,
    }
}
