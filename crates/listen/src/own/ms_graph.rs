//! Microsoft Graph: every notification in the body repeats the `clientState` that the subscription was made with.

use serde_json::Value;
use subtle::ConstantTimeEq as _;

use super::{Own, unchecked};
use crate::recipe::Proof;
use crate::refused::{Reason, Refused};
use crate::sign::SignError;

pub(crate) static MS_GRAPH: Own = Own {
    check: unchecked,
    prove: |verifier, seen, _| {
        let notifications = seen.json().and_then(|body| body.get("value")?.as_array());
        let notifications = notifications
            .filter(|list| !list.is_empty())
            .ok_or_else(|| Refused::missing("the list `value` in the JSON body"))?;
        let states: Option<Vec<&str>> = notifications
            .iter()
            .map(|notification| notification.get("clientState")?.as_str())
            .collect();
        let states = states.ok_or_else(|| Refused::missing("`clientState` in every notification"))?;
        let all = |secret: &String| {
            let secret = secret.trim().as_bytes();
            states.iter().all(|state| bool::from(state.as_bytes().ct_eq(secret)))
        };
        let key_index = verifier.settings.all("secret").iter().position(all);
        match key_index {
            Some(_) => Ok(Proof {
                key_index,
                signed_at: None,
                ..Proof::default()
            }),
            None => Err(Refused::new(
                Reason::Mismatch,
                "`clientState` is another one than in the settings; it is what the subscription was made with",
            )),
        }
    },
    sign: |draft| {
        let secret = draft.settings.get("secret").unwrap_or_default().trim().to_owned();
        let mut body = draft.json()?;
        let list = body.get_mut("value").and_then(Value::as_array_mut);
        let list = list.ok_or(SignError::Body(
            "a Graph notification is a JSON object with a list `value`",
        ))?;
        for notification in list.iter_mut().filter_map(Value::as_object_mut) {
            notification.insert("clientState".into(), secret.clone().into());
        }
        draft.body = body.to_string().into_bytes();
        Ok(())
    },
    recipe: None,
};
