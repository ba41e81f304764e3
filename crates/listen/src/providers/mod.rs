//! The table of providers.
//!
//! Rows are grouped by what they prove with; a further provider is a row in one of the groups, and a file in `own` when no
//! recipe says what it does. Names are lower case with hyphens; the source types of the API are names or aliases.

mod asymmetric;
mod body;
mod generic;
mod placed;
mod standard;
mod timed;
mod tokens;

use crate::provider::Provider;
use crate::settings::SettingsError;

/// The groups, in the order of documentation.
static GROUPS: &[&[Provider]] = &[
    standard::ROWS,
    body::ROWS,
    timed::ROWS,
    placed::ROWS,
    asymmetric::ROWS,
    tokens::ROWS,
    generic::ROWS,
];

/// Every provider.
pub fn all() -> impl Iterator<Item = &'static Provider> {
    GROUPS.iter().copied().flatten()
}

/// The provider of that name or alias, in any case.
///
/// # Errors
/// [`SettingsError::Provider`] when there is none.
pub fn by_name(name: &str) -> Result<&'static Provider, SettingsError> {
    let is = |known: &str| known.eq_ignore_ascii_case(name.trim());
    all()
        .find(|provider| is(provider.name) || provider.aliases.iter().any(|alias| is(alias)))
        .ok_or_else(|| SettingsError::Provider(crate::refused::shorten(name)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::provider::Scheme;
    use crate::template;

    #[test]
    fn names_and_aliases_are_unique_and_well_formed() {
        let mut seen = BTreeSet::new();
        for provider in all() {
            for name in provider.aliases.iter().chain([&provider.name]) {
                assert!(seen.insert(*name), "{name} twice");
                assert!(
                    name.bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                    "{name}"
                );
                assert_eq!(by_name(&name.to_uppercase()).unwrap().name, provider.name);
            }
        }
        assert!(by_name("nobody").is_err());
    }

    #[test]
    fn every_row_is_described_and_its_recipe_is_lawful() {
        for provider in all() {
            assert!(
                !provider.title.is_empty() && !provider.about.is_empty() && !provider.source.is_empty(),
                "{}",
                provider.name
            );
            let names: BTreeSet<_> = provider.settings.iter().map(|setting| setting.name).collect();
            assert_eq!(names.len(), provider.settings.len(), "{}", provider.name);
            if let Scheme::Signed(recipe) = provider.scheme {
                assert!(!recipe.signature.is_empty(), "{}", provider.name);
                assert!(provider.settings[0].required, "{}", provider.name);
                // Mailgun signs no body, and says so.
                if provider.covers == crate::Covers::Body {
                    assert_eq!(template::check(recipe.content), Ok(()), "{}", provider.name);
                }
                assert!(
                    !template::uses(recipe.content, "ts") || recipe.time.is_some(),
                    "{}",
                    provider.name
                );
                assert!(
                    !template::uses(recipe.content, "id") || recipe.id.is_some(),
                    "{}",
                    provider.name
                );
            }
        }
    }

    #[test]
    fn every_source_type_of_the_api_has_a_row() {
        let types = "generic-webhook adobe-sign beehiiv brex checkbook clerk docusign easypost github guesty hubspot \
                     incident-io lithic merge meta nango nash openclaw orum-io panda-doc port-io pleo psi-fi replicate resend \
                     rutter safebase sardine segment shopify slack stripe stych svix zoom tailscale telnyx vapi open-ai \
                     render veriff airwallex vgs";
        for name in types.split_whitespace() {
            assert!(by_name(name).is_ok(), "{name}");
        }
    }
}
