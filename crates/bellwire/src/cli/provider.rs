//! `bellwire verify --provider` and `bellwire sign --provider`: the webhooks of others, offline.
//!
//! Called by [`super::verify`] and [`super::sign`]. What a provider does is the table of `listen`; here are the options and what
//! is printed.

use bellwire_core::time::Timestamp;
use bellwire_listen::{
    Fetched, Provider, Reason, Refused, Request, Settings, Signed, Signing, Trusted, Verifier, providers, sign,
};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde_json::json;

use super::{exit::Failure, input, out::Out, pretty, when};

/// Which provider, and what it needs.
#[derive(Args, Default)]
pub struct ProviderArgs {
    /// The provider whose webhook it is: stripe, github, twilio and many more, or a generic form such as hmac
    /// (docs/providers.md)
    #[arg(long, value_name = "NAME", value_parser = one_of(names()), hide_possible_values = true)]
    pub(super) provider: Option<String>,
    /// A setting of the provider beside its secret, the value as text or @file; repeat for each, and for several values
    #[arg(long, value_name = "NAME=VALUE", value_parser = input::pair, requires = "provider")]
    pub(super) setting: Vec<(String, String)>,
}

/// Every name and alias.
pub(super) fn names() -> Vec<&'static str> {
    providers::all()
        .flat_map(|provider| provider.aliases.iter().chain([&provider.name]).copied())
        .collect()
}

/// For clap: one of these names; whoever asks for a monitor is told where monitors are.
pub(super) fn one_of(names: Vec<&'static str>) -> impl TypedValueParser<Value = String> {
    const MONITOR: &str = "monitor";
    let monitor = PossibleValue::new(MONITOR).hide(true);
    let all = names.into_iter().map(PossibleValue::new).chain([monitor]);
    PossibleValuesParser::new(all).try_map(|name| match name.as_str() {
        MONITOR => {
            Err("monitors are written in the hooks file, under `monitors` (docs/hooks.md); nobody signs what they say")
        }
        _ => Ok(name),
    })
}

impl ProviderArgs {
    /// The row, and the settings of `--setting` and `--secret`; the latter is the provider's key, whatever its name.
    ///
    /// # Errors
    /// A usage failure when a file cannot be read.
    fn read(&self, name: &str, secrets: &[String]) -> Result<(&'static Provider, Settings), Failure> {
        let provider = providers::by_name(name).map_err(Failure::usage)?;
        let mut settings = Settings::new();
        // A secret of the environment is not meant for a provider that has none.
        if let Some(key) = provider.settings.first() {
            for secret in secrets {
                settings.add(key.name, input::text(secret)?);
            }
        }
        for (name, value) in &self.setting {
            let text = if value == "-" {
                value.clone()
            } else {
                input::text(value)?
            };
            settings.add(name, text);
        }
        Ok((provider, settings))
    }
}

/// A request to verify.
pub struct Asked<'a> {
    pub(super) method: &'a str,
    pub(super) url: Option<&'a str>,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a [u8],
    pub(super) now_secs: i64,
    pub(super) any_age: bool,
    /// Secrets worth naming.
    pub(super) others: Vec<String>,
    /// The certificate that the request points at, where it does.
    pub(super) certificate: Option<Vec<u8>>,
}

/// Prints the verdict.
///
/// # Errors
/// [`Failure::Unverified`] with the reason; a usage failure when the settings do not fit the provider.
pub fn verify(
    args: &ProviderArgs,
    name: &str,
    secrets: &[String],
    asked: &Asked<'_>,
    out: &mut Out,
) -> Result<(), Failure> {
    let (provider, settings) = args.read(name, secrets)?;
    let verifier = Verifier::new(provider, settings).map_err(Failure::usage)?;
    let url = need_url(provider, asked.url)?;
    let request = Request {
        method: asked.method,
        url,
        headers: asked.headers,
        body: asked.body,
        received_at: Timestamp::from_secs(asked.now_secs),
        peer: None,
        fetched: None,
    };
    let mut verdict = verifier.explain(&request, &asked.others, asked.any_age);
    if let (Err(Refused { fetch: Some(url), .. }), Some(certificate)) = (&verdict, &asked.certificate) {
        let fetched = Fetched { url, body: certificate };
        let request = Request {
            fetched: Some(fetched),
            ..request
        };
        verdict = verifier.explain(&request, &asked.others, asked.any_age);
    }
    if out.is_json() {
        out.line(&verdict_json(provider, &verdict).to_string())?;
    }
    match verdict {
        Ok(_) if out.is_json() => Ok(()),
        Ok(trusted) => out.line(&matched(provider, &trusted)),
        Err(refused) if refused.reason == Reason::Fetch => Err(Failure::Unverified(format!(
            "{}; download it and pass it with --certificate FILE",
            pretty::line(&refused.words, 300)
        ))),
        Err(refused) => Err(Failure::Unverified(refused.words)),
    }
}

/// For people: `valid (GitHub, covers the whole body, event push, id 72d3…)`.
fn matched(provider: &Provider, trusted: &Trusted) -> String {
    let mut text = format!("valid ({}, covers {}", provider.title, trusted.covers);
    // A provider's event type and id are a stranger's text, of any length.
    for (what, value) in [("event", &trusted.event_type), ("id", &trusted.id)] {
        if let Some(value) = value {
            text.push_str(&format!(", {what} {}", pretty::line(value, 60)));
        }
    }
    if let Some(at) = trusted.signed_at {
        text.push_str(&format!(", signed {}", when::short(&at.to_string())));
    }
    text + ")"
}

fn verdict_json(provider: &Provider, verdict: &Result<Trusted, Refused>) -> serde_json::Value {
    match verdict {
        Ok(trusted) => json!({
            "verdict": "valid",
            "provider": provider.name,
            "covers": trusted.covers.to_string(),
            "eventType": trusted.event_type,
            "id": trusted.id,
            "order": { "by": trusted.order.by, "version": trusted.order.version },
            "key": trusted.key_index,
            "timestamp": trusted.signed_at.map(Timestamp::secs),
            "confirm": trusted.confirm,
            "unconfirmed": trusted.unconfirmed,
        }),
        Err(refused) => json!({
            "verdict": "invalid",
            "provider": provider.name,
            "reason": refused.reason.name(),
            "words": refused.words,
            "fetch": refused.fetch,
        }),
    }
}

fn need_url<'a>(provider: &Provider, url: Option<&'a str>) -> Result<&'a str, Failure> {
    match url {
        None if provider.needs_url() => Err(Failure::Usage(format!(
            "{} signs the URL it calls; say it with --called URL",
            provider.title
        ))),
        url => Ok(url.unwrap_or_default()),
    }
}

/// What is to be signed.
pub struct Made<'a> {
    pub(super) url: Option<&'a str>,
    pub(super) content_type: &'a str,
    pub(super) body: &'a [u8],
    pub(super) at_secs: i64,
    pub(super) id: Option<&'a str>,
    pub(super) event_type: Option<&'a str>,
    pub(super) private_key: Option<String>,
}

/// Prints the request that the provider would send: headers as `name: value` lines, and URL and body where signing changed them.
///
/// # Errors
/// A usage failure when the settings or the body do not fit the provider.
pub fn signed(
    args: &ProviderArgs,
    name: &str,
    secrets: &[String],
    made: &Made<'_>,
    out: &mut Out,
) -> Result<(), Failure> {
    let (provider, settings) = args.read(name, secrets)?;
    let signing = Signing {
        method: "POST",
        url: need_url(provider, made.url)?,
        content_type: made.content_type,
        body: made.body,
        at: Timestamp::from_secs(made.at_secs),
        id: made.id,
        event_type: made.event_type,
        private_key: made.private_key.as_deref(),
        random: &ring::rand::SystemRandom::new(),
    };
    let signed: Signed = sign(provider, &settings, &signing).map_err(Failure::usage)?;
    let body = String::from_utf8_lossy(&signed.body);
    if out.is_json() {
        let headers: serde_json::Map<_, _> = signed
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        let shown = json!({ "method": signed.method, "url": signed.url, "headers": headers, "body": body });
        return out.line(&shown.to_string());
    }
    for (name, value) in &signed.headers {
        out.line(&format!("{name}: {value}"))?;
    }
    if Some(signed.url.as_str()) != made.url && !signed.url.is_empty() {
        out.note(&format!("call it as {}", signed.url));
    }
    if signed.body != made.body {
        out.note("the signature stands in the body, which follows the headers");
        out.line(&format!("\n{body}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::Captured;

    const AT: i64 = 1_614_265_330;

    fn args(settings: &[(&str, &str)]) -> ProviderArgs {
        let setting = settings.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        ProviderArgs {
            provider: None,
            setting: setting.collect(),
        }
    }

    /// What `bellwire sign --provider` prints, as JSON.
    fn made(name: &str, settings: &[(&str, &str)]) -> serde_json::Value {
        let captured = Captured::default();
        let made = Made {
            url: Some("https://example.com/in/x"),
            content_type: "application/json",
            body: br#"{"type":"made","id":7}"#,
            at_secs: AT,
            id: Some("evt_1"),
            event_type: Some("push"),
            private_key: None,
        };
        signed(
            &args(settings),
            name,
            &["hunter2".into()],
            &made,
            &mut captured.out(true),
        )
        .unwrap();
        serde_json::from_str(&captured.text()).unwrap()
    }

    fn judge(name: &str, settings: &[(&str, &str)], secrets: &[&str], json: bool) -> (Result<(), Failure>, String) {
        let made = made(name, settings);
        let headers = made["headers"].as_object().unwrap();
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
            .collect();
        let asked = Asked {
            method: "POST",
            url: made["url"].as_str(),
            headers: &headers,
            body: made["body"].as_str().unwrap().as_bytes(),
            now_secs: AT,
            any_age: false,
            others: vec!["hunter2".into()],
            certificate: None,
        };
        let secrets: Vec<String> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
        let captured = Captured::default();
        let done = verify(&args(settings), name, &secrets, &asked, &mut captured.out(json));
        (done, captured.text())
    }

    #[test]
    fn the_webhooks_of_providers_are_verified_as_they_sign_them() {
        let custom = [("header", "x-sig"), ("content", "{ts}.{body}"), ("ts", "header:x-ts")];
        for (name, settings, said) in [
            (
                "github",
                &[][..],
                "valid (GitHub, covers the whole body, event push, id evt_1)",
            ),
            (
                "stripe",
                &[],
                "valid (Stripe, covers the whole body, event made, id 7, signed 2021-02-25",
            ),
            ("twilio", &[], "valid (Twilio, covers the whole body"),
            ("telegram", &[], "valid (Telegram, covers the sender, not the body"),
            ("hmac", &custom, "valid (Any HMAC, covers the whole body"),
        ] {
            let (done, text) = judge(name, settings, &["hunter2"], false);
            done.unwrap();
            assert!(text.starts_with(said), "{name}: {text}");
        }
    }

    #[test]
    fn a_webhook_that_does_not_verify_says_why_to_people_and_programs() {
        let (done, text) = judge("github", &[], &["new"], true);
        let failure = done.unwrap_err();
        assert_eq!(failure.exit_code(), 4);
        assert!(
            failure.to_string().contains("an old secret, the first of those given"),
            "{failure}"
        );
        let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&shown["verdict"], &shown["reason"]),
            (&json!("invalid"), &json!("old-secret"))
        );
        assert!(!text.contains("hunter2"));
    }

    #[test]
    fn what_a_provider_needs_is_asked_for() {
        let failure = judge("github", &[], &[], false).0.unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert!(failure.to_string().contains("needs the setting `secret`"), "{failure}");
        let twilio = providers::by_name("twilio").unwrap();
        assert!(need_url(twilio, None).unwrap_err().to_string().contains("--called URL"));
        assert!(need_url(providers::by_name("github").unwrap(), None).is_ok());
    }
}
