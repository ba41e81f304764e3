//! GitLab: a plain token in `X-Gitlab-Token`, or, with a signing token, Standard Webhooks.

use super::{Own, token};
use crate::settings::SettingsError;
use crate::{sign, standard};

const PLACES: &[(&str, &str)] = &[("x-gitlab-token", "")];

pub(crate) static GITLAB: Own = Own {
    check: |settings| match (settings.get("secret"), settings.get("signingToken")) {
        (None, None) => Err(SettingsError::Missing {
            provider: "gitlab",
            name: "secret",
            about: "the webhook's secret token, or `signingToken`",
        }),
        _ => Ok(()),
    },
    prove: |verifier, seen, any_age| {
        // A signing token is the stronger proof: where there is one, the plain token does not do.
        if verifier.settings.get("signingToken").is_some() {
            standard::prove(&verifier.keys, seen, any_age)
        } else {
            token::prove(verifier.settings.all("secret"), PLACES, seen)
        }
    },
    sign: |draft| {
        if draft.settings.get("signingToken").is_some() {
            return sign::standard(draft);
        }
        let token = draft.settings.get("secret").unwrap_or_default().trim().to_owned();
        draft.set_header("x-gitlab-token", token);
        Ok(())
    },
    recipe: None,
};
