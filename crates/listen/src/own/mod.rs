//! Schemes that are really a provider's own, and the generic forms. One file each.

pub(crate) mod adyen;
pub(crate) mod aws_sns;
pub(crate) mod basic;
pub(crate) mod bearer_jwt;
mod certificate;
pub(crate) mod generic;
pub(crate) mod gitlab;
pub(crate) mod ip;
pub(crate) mod ms_graph;
pub(crate) mod none;
pub(crate) mod paypal;
pub(crate) mod plaid;
pub(crate) mod token;
pub(crate) mod twilio;

use crate::recipe::{Proof, Recipe, Time};
use crate::refused::Refused;
use crate::request::Seen;
use crate::settings::{Settings, SettingsError};
use crate::sign::{Draft, SignError};
use crate::verify::Verifier;

/// Reads a recipe out of settings.
pub(crate) type MakeRecipe = fn(&Settings) -> Result<generic::Custom<'_>, SettingsError>;

/// What a scheme of its own does.
#[derive(Debug)]
pub(crate) struct Own {
    /// Refuses settings that no setting's form can refuse alone.
    pub(crate) check: fn(&Settings) -> Result<(), SettingsError>,
    /// Whether the request is the provider's; the flag leaves its age unjudged.
    pub(crate) prove: fn(&Verifier, &Seen<'_>, bool) -> Result<Proof, Refused>,
    /// Signs a draft as the provider would.
    pub(crate) sign: fn(&mut Draft<'_>) -> Result<(), SignError>,
    /// For schemes that are a recipe after all, made from settings: so that mistakes can be explained.
    pub(crate) recipe: Option<MakeRecipe>,
}

/// Nothing beyond what the forms of the settings say.
pub(crate) fn unchecked(_: &Settings) -> Result<(), SettingsError> {
    Ok(())
}

/// A row's recipe with the tolerance that a person set, for rows that have such a setting.
pub(crate) fn with_tolerance<'a>(recipe: Recipe<'a>, settings: &Settings) -> Recipe<'a> {
    let set = settings
        .get("timestampGraceSeconds")
        .and_then(|text| text.trim().parse().ok());
    match (recipe.time, set) {
        (Some(time), Some(secs)) => Recipe {
            time: Some(Time {
                tolerance_secs: Some(secs),
                ..time
            }),
            ..recipe
        },
        _ => recipe,
    }
}
