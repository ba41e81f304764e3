//! A secret sent as it is in a header: says who sent it, not what.

use subtle::ConstantTimeEq as _;

use crate::recipe::Proof;
use crate::refused::{Reason, Refused};
use crate::request::Seen;

/// Compares what stands in the first of `places` (header and prefix) that is there with every secret.
pub(crate) fn prove(secrets: &[String], places: &[(&str, &str)], seen: &Seen<'_>) -> Result<Proof, Refused> {
    let mut present = None;
    for (header, prefix) in places {
        let Some(value) = seen.header(header)? else { continue };
        match strip(value, prefix) {
            Some(token) => return compare(secrets, token, header),
            None => present = Some((header, prefix)),
        }
    }
    Err(match present {
        Some((header, prefix)) => Refused::malformed(format!("header {header} does not start with `{prefix}`")),
        None => {
            let names: Vec<_> = places.iter().map(|(header, _)| *header).collect();
            Refused::missing(format!("header {}", names.join(" or ")))
        }
    })
}

/// An authentication scheme is written in any case (RFC 9110, section 11.1); other prefixes are exact.
fn strip<'a>(value: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = value.split_at_checked(prefix.len())?;
    let scheme = prefix.ends_with(' ');
    (head == prefix || scheme && head.eq_ignore_ascii_case(prefix)).then_some(rest)
}

pub(crate) fn compare(secrets: &[String], token: &str, what: &str) -> Result<Proof, Refused> {
    let same = |a: &str, b: &str| bool::from(a.as_bytes().ct_eq(b.as_bytes()));
    let key_index = secrets.iter().position(|secret| same(secret.trim(), token));
    match key_index {
        Some(_) => Ok(Proof {
            key_index,
            signed_at: None,
            ..Proof::default()
        }),
        None => Err(Refused::new(
            Reason::Mismatch,
            format!("{what} holds another secret than the settings; copy it from the provider again"),
        )),
    }
}

/// The form `token`: a header that the settings name.
pub(crate) static TOKEN: super::Own = super::Own {
    check: super::unchecked,
    prove: |verifier, seen, _| {
        let header = verifier.settings.get("header").unwrap_or_default().trim();
        prove(verifier.settings.all("secret"), &[(header, "")], seen)
    },
    sign: |draft| {
        let secret = draft.settings.get("secret").unwrap_or_default().trim().to_owned();
        let header = draft.settings.get("header").unwrap_or_default().trim().to_owned();
        draft.set_header(&header, secret);
        Ok(())
    },
    recipe: None,
};
