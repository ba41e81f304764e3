//! Adyen: every item of the body carries a signature of eight of its own fields.

use serde_json::Value;

use super::{Own, unchecked};
use crate::encoding::Encoding;
use crate::key::{Algorithm, Key};
use crate::recipe::Proof;
use crate::refused::Refused;
use crate::request::scalar;
use crate::sign::SignError;

const FIELDS: [&str; 8] = [
    "/pspReference",
    "/originalReference",
    "/merchantAccountCode",
    "/merchantReference",
    "/amount/value",
    "/amount/currency",
    "/eventCode",
    "/success",
];

pub(crate) static ADYEN: Own = Own {
    check: unchecked,
    prove: |verifier, seen, _| {
        let items = seen.json().and_then(|body| body.get("notificationItems")?.as_array());
        let items = items
            .filter(|items| !items.is_empty())
            .ok_or_else(|| Refused::missing("the list `notificationItems` in the JSON body"))?;
        let mut key_index = None;
        for item in items {
            let item = item.get("NotificationRequestItem").unwrap_or(item);
            let text = item
                .pointer("/additionalData/hmacSignature")
                .and_then(Value::as_str)
                .ok_or_else(|| Refused::missing("`additionalData.hmacSignature` in every item"))?;
            let signature = Encoding::Base64
                .decode(text)
                .ok_or_else(|| Refused::malformed("`hmacSignature` is not base64"))?;
            let content = vec![content(item).into()];
            let signed = [signature];
            let matches = |key: &Key| Algorithm::HmacSha256.matches(key.bytes(), &content, &signed);
            let found = verifier.keys.iter().position(matches).ok_or_else(Refused::mismatch)?;
            key_index.get_or_insert(found);
        }
        Ok(Proof {
            key_index,
            signed_at: None,
            ..Proof::default()
        })
    },
    sign: |draft| {
        let key = draft.shared_key()?.to_vec();
        let mut body = draft.json()?;
        let items = body.get_mut("notificationItems").and_then(Value::as_array_mut);
        let items = items.ok_or(SignError::Body(
            "an Adyen webhook is a JSON object with a list `notificationItems`",
        ))?;
        for item in items {
            let item = match item.get_mut("NotificationRequestItem") {
                Some(_) => &mut item["NotificationRequestItem"],
                None => item,
            };
            let content = vec![content(item).into()];
            let tag = Algorithm::HmacSha256.tag(&key, &content).unwrap_or_default();
            let item = item
                .as_object_mut()
                .ok_or(SignError::Body("an item is a JSON object"))?;
            let data = item
                .entry("additionalData")
                .or_insert_with(|| Value::Object(Default::default()));
            let data = data
                .as_object_mut()
                .ok_or(SignError::Body("`additionalData` is an object"))?;
            data.insert("hmacSignature".into(), Encoding::Base64.encode(&tag).into());
        }
        draft.body = body.to_string().into_bytes();
        Ok(())
    },
    recipe: None,
};

/// The eight fields; absent ones are empty.
fn content(item: &Value) -> Vec<u8> {
    let fields = FIELDS.map(|pointer| item.pointer(pointer).and_then(scalar).unwrap_or_default());
    fields.join(":").into_bytes()
}
