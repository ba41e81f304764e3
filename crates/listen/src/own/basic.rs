//! HTTP Basic authentication (RFC 7617).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Own, token, unchecked};
use crate::refused::Refused;
use crate::sign::Draft;

pub(crate) static BASIC: Own = Own {
    check: unchecked,
    prove: |verifier, seen, _| {
        let value = seen
            .header("authorization")?
            .ok_or_else(|| Refused::missing("header authorization"))?;
        let encoded = value
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
            .and_then(|(_, encoded)| STANDARD.decode(encoded.trim()).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| Refused::malformed("header authorization is not `Basic` and base64 of user:password"))?;
        token::compare(&pairs(&verifier.settings), &encoded, "header authorization")
    },
    sign: |draft: &mut Draft<'_>| {
        let pair = pairs(draft.settings).into_iter().next().unwrap_or_default();
        draft.set_header("authorization", format!("Basic {}", STANDARD.encode(pair)));
        Ok(())
    },
    recipe: None,
};

fn pairs(settings: &crate::Settings) -> Vec<String> {
    let user = settings.get("user").unwrap_or_default().trim();
    let passwords = settings.all("pass");
    passwords.iter().map(|pass| format!("{user}:{}", pass.trim())).collect()
}
