//! `bellwire verify`: whether a signature matches, offline, and why when it does not.

use std::time::Duration;

use bellwire_core::{
    secret::VerifyingKey,
    sign::{
        Mismatch, Received, SignedHeaders, TOLERANCE, Verified, explain,
        http::{self, HttpMismatch, HttpVerified},
    },
};
use clap::Args;
use serde_json::json;

use super::{
    exit::Failure,
    input,
    out::Out,
    provider::{self, ProviderArgs},
    sign, when,
};

/// `verify`.
#[derive(Args)]
pub struct VerifyArgs {
    /// A secret the signature may be of (whsec_…, whsk_…, or the public key whpk_…; with --provider that provider's key) or
    /// @file; repeat for more
    #[arg(
        long,
        required_unless_present = "provider",
        env = "BELLWIRE_SECRET",
        hide_env_values = true
    )]
    secret: Vec<String>,
    /// A secret that is not valid but worth naming when it matches, such as one rotated away
    #[arg(long, value_name = "SECRET")]
    other_secret: Vec<String>,
    /// A header of the request; repeat for each
    #[arg(long, value_name = "NAME: VALUE", value_parser = input::header)]
    header: Vec<(String, String)>,
    /// A file with the headers, one `name: value` a line
    #[arg(long, value_name = "FILE")]
    headers_file: Option<String>,
    /// The URL that was called: checks the HTTP message signatures (RFC 9421), which cover it; some providers sign it, too
    #[arg(long, value_name = "URL", value_parser = called_url)]
    called: Option<String>,
    /// The method of the request, for HTTP message signatures
    #[arg(long, value_name = "METHOD", default_value = "POST", requires = "called")]
    method: String,
    /// The raw body: the text, @file, or - for standard input
    #[arg(long)]
    data: String,
    /// How old or new the signature may be
    #[arg(long, value_name = "SPAN", value_parser = when::span, conflicts_with_all = ["any_age", "provider"])]
    tolerance: Option<Duration>,
    /// Do not judge its age: for a request kept on file
    #[arg(long)]
    any_age: bool,
    /// Judge as if it were this time: seconds since 1970 or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = sign::timestamp)]
    now: Option<i64>,
    #[command(flatten)]
    of: ProviderArgs,
    /// A file with the certificate that the request points at (PayPal, AWS SNS)
    #[arg(long, value_name = "FILE", requires = "provider")]
    certificate: Option<String>,
}

impl VerifyArgs {
    /// Prints the verdict.
    ///
    /// # Errors
    /// [`Failure::Unverified`] with the reason; a usage failure when an input cannot be read.
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        let mut headers = self.header;
        if let Some(path) = &self.headers_file {
            headers.extend(input::headers(&input::text(&format!("@{path}"))?)?);
        }
        let body = input::bytes(&self.data)?;
        let pairs: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let has = |names: &[&str]| pairs.iter().any(|(name, _)| names.contains(name));
        let now = self.now.unwrap_or_else(|| when::now().secs());
        if let Some(name) = &self.of.provider {
            let others: Result<_, Failure> = self.other_secret.iter().map(|secret| input::text(secret)).collect();
            let certificate = self.certificate.map(|path| input::bytes(&format!("@{path}")));
            let asked = provider::Asked {
                method: &self.method,
                url: self.called.as_deref(),
                headers: &pairs,
                body: &body,
                now_secs: now,
                any_age: self.any_age,
                others: others?,
                certificate: certificate.transpose()?,
            };
            return provider::verify(&self.of, name, &self.secret, &asked, out);
        }
        let (valid, others) = (keys(&self.secret)?, keys(&self.other_secret)?);
        let called = self
            .called
            .as_deref()
            .map(target_uri)
            .transpose()
            .map_err(Failure::Usage)?;
        let tolerance = if self.any_age {
            None
        } else {
            Some(self.tolerance.unwrap_or(TOLERANCE))
        };
        let http = called.as_ref().map(|url| {
            let request = http::Request {
                method: &self.method,
                target_uri: url,
                headers: &pairs,
            };
            http::explain(&request, &body, &valid, &others, now, tolerance)
        });
        // A request may have HTTP message signatures alone; then they alone are judged.
        let verdict = (http.is_none() || has(&["webhook-signature", "svix-signature"])).then(|| {
            let received = Received {
                headers: SignedHeaders::from_pairs(pairs.iter().copied()),
                body: &body,
            };
            explain(&received, &valid, &others, now, tolerance)
        });
        if http.is_none() && has(&[http::SIGNATURE_INPUT]) {
            out.note("the HTTP message signatures are not checked without --called URL");
        }
        show(out, verdict, http)
    }
}

/// Prints what was judged.
fn show(
    out: &mut Out,
    verdict: Option<Result<Verified, Mismatch>>,
    http: Option<Result<HttpVerified, HttpMismatch>>,
) -> Result<(), Failure> {
    if out.is_json() {
        let mut shown = verdict.as_ref().map_or_else(|| json!({}), verdict_json);
        if let Some(http) = &http {
            shown["http"] = http_json(http);
        }
        out.line(&shown.to_string())?;
    }
    match verdict {
        Some(Ok(verified)) if !out.is_json() => out.line(&matched(&verified))?,
        Some(Err(mismatch)) => return Err(Failure::Unverified(mismatch.to_string())),
        _ => {}
    }
    match http {
        Some(Ok(verified)) if !out.is_json() => out.line(&matched_http(&verified)),
        Some(Err(mismatch)) => Err(Failure::Unverified(format!("HTTP message signature: {mismatch}"))),
        _ => Ok(()),
    }
}

/// For clap: a URL, kept as it is written, since some providers sign it so.
///
/// # Errors
/// Says what is wrong with it.
pub fn called_url(text: &str) -> Result<String, String> {
    target_uri(text).map(|_| text.to_owned())
}

/// A URL as it is sent and signed as `@target-uri`, without user and fragment.
///
/// # Errors
/// Says what is wrong with it.
pub fn target_uri(text: &str) -> Result<String, String> {
    let wrong = |why: &str| format!("`{text}` is not an http or https URL: {why}");
    let mut url = url::Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("another scheme"));
    }
    url.set_fragment(None);
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    cleared.map_err(|()| wrong("no host"))?;
    Ok(url.into())
}

/// The keys of `--secret`: each the text or `@file`.
///
/// # Errors
/// A usage failure that does not repeat the secret.
pub fn keys(secrets: &[String]) -> Result<Vec<VerifyingKey>, Failure> {
    secrets
        .iter()
        .map(|secret| VerifyingKey::parse(input::text(secret)?.trim()).map_err(Failure::usage))
        .collect()
}

/// A match for people: `valid (v1, webhook-* headers, signed 2026-…)`.
pub fn matched(verified: &Verified) -> String {
    let signed = bellwire_core::time::Timestamp::from_secs(verified.timestamp_secs).to_string();
    let [id, ..] = verified.family.names();
    let family = id.trim_end_matches("id");
    format!(
        "valid ({}, {family}* headers, signed {})",
        verified.version,
        when::short(&signed)
    )
}

/// A verdict for programs.
pub fn verdict_json(verdict: &Result<Verified, Mismatch>) -> serde_json::Value {
    match verdict {
        Ok(verified) => {
            json!({ "verdict": "valid", "version": verified.version, "timestamp": verified.timestamp_secs })
        }
        Err(mismatch) => json!({ "verdict": "invalid", "reason": mismatch.to_string() }),
    }
}

/// A match of HTTP message signatures for people: `valid (sig1, hmac-sha256 over 9 parts, created 2026-…)`.
pub fn matched_http(verified: &HttpVerified) -> String {
    let created = bellwire_core::time::Timestamp::from_secs(verified.created_secs).to_string();
    format!(
        "valid ({}, {} over {} parts of the request, created {})",
        // A stranger may call a signature what it likes, of any length.
        super::pretty::line(&verified.label, 40),
        verified.algorithm,
        verified.covered.len(),
        when::short(&created)
    )
}

/// A verdict on HTTP message signatures for programs.
pub fn http_json(verdict: &Result<HttpVerified, HttpMismatch>) -> serde_json::Value {
    match verdict {
        Ok(verified) => json!({
            "verdict": "valid",
            "label": verified.label,
            "algorithm": verified.algorithm,
            "created": verified.created_secs,
            "covered": verified.covered,
        }),
        Err(mismatch) => json!({ "verdict": "invalid", "reason": mismatch.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::Captured;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn args(data: &str) -> VerifyArgs {
        let headers = [
            "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp: 1614265330",
            "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ];
        VerifyArgs {
            secret: vec![SECRET.into()],
            other_secret: Vec::new(),
            header: headers.iter().map(|header| input::header(header).unwrap()).collect(),
            headers_file: None,
            called: None,
            method: "POST".into(),
            data: data.into(),
            tolerance: None,
            any_age: false,
            now: Some(1_614_265_400),
            of: ProviderArgs::default(),
            certificate: None,
        }
    }

    #[test]
    fn a_signature_of_the_reference_library_is_valid() {
        let captured = Captured::default();
        args(r#"{"test": 2432232314}"#).run(&mut captured.out(false)).unwrap();
        assert_eq!(
            captured.text(),
            "valid (v1, webhook-* headers, signed 2021-02-25T15:02:10Z)\n"
        );
    }

    #[test]
    fn a_body_that_was_re_serialised_is_named_as_such() {
        let captured = Captured::default();
        let failure = args(r#"{"test":2432232314}"#).run(&mut captured.out(true)).unwrap_err();
        assert_eq!(failure.exit_code(), 4);
        assert!(
            failure.to_string().contains("same JSON written differently"),
            "{failure}"
        );
        let shown: serde_json::Value = serde_json::from_str(&captured.text()).unwrap();
        assert_eq!(shown["verdict"], "invalid");
    }

    #[test]
    fn age_is_judged_unless_told_not_to() {
        let body = r#"{"test": 2432232314}"#;
        let old = VerifyArgs {
            now: Some(1_614_275_330),
            ..args(body)
        };
        let failure = old.run(&mut Captured::default().out(false)).unwrap_err();
        assert!(failure.to_string().contains("old"), "{failure}");
        let kept = VerifyArgs {
            now: Some(1_614_275_330),
            any_age: true,
            ..args(body)
        };
        kept.run(&mut Captured::default().out(false)).unwrap();
    }

    #[test]
    fn headers_may_come_from_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("headers");
        let head = "POST /hook HTTP/1.1\r\nWebhook-Id: msg_p5jXN8AQM9LWM0D4loKWxJek\r\nWebhook-Timestamp: 1614265330\r\n\
                    Webhook-Signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\r\n";
        std::fs::write(&file, head).unwrap();
        let args = VerifyArgs {
            header: Vec::new(),
            headers_file: Some(file.display().to_string()),
            ..args(r#"{"test": 2432232314}"#)
        };
        args.run(&mut Captured::default().out(false)).unwrap();
    }

    #[test]
    fn a_secret_rotated_away_is_recognised() {
        let args = VerifyArgs {
            secret: vec!["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".into()],
            other_secret: vec![SECRET.into()],
            ..args(r#"{"test": 2432232314}"#)
        };
        let failure = args.run(&mut Captured::default().out(false)).unwrap_err();
        assert!(failure.to_string().contains("another key"), "{failure}");
    }

    /// A request as `bellwire sign --called` writes it.
    fn signed_request(url: &str) -> VerifyArgs {
        let captured = Captured::default();
        let signing = sign::SignArgs {
            secret: vec![SECRET.into()],
            id: Some("msg_1".into()),
            timestamp: Some(1_614_265_330),
            called: Some(target_uri(url).unwrap()),
            header: vec![input::header("webhook-sequence: 5").unwrap()],
            data: "{}".into(),
            of: ProviderArgs::default(),
            private_key: None,
            event_type: None,
        };
        signing.run(&mut captured.out(false)).unwrap();
        VerifyArgs {
            header: input::headers(&captured.text()).unwrap(),
            called: Some(target_uri(url).unwrap()),
            ..args("{}")
        }
    }

    #[test]
    fn http_message_signatures_are_checked_for_the_url_that_was_called() {
        let captured = Captured::default();
        signed_request("https://example.com/hook")
            .run(&mut captured.out(false))
            .unwrap();
        let text = captured.text();
        assert!(
            text.contains("valid (sig1, hmac-sha256 over 7 parts of the request, created 2021-02-25"),
            "{text}"
        );
        let elsewhere = VerifyArgs {
            called: Some(target_uri("http://example.com/hook").unwrap()),
            ..signed_request("https://example.com/hook")
        };
        let failure = elsewhere.run(&mut captured.out(true)).unwrap_err();
        assert_eq!(failure.exit_code(), 4);
        assert!(
            failure.to_string().contains("made for https://example.com/hook"),
            "{failure}"
        );
        let captured = Captured::default();
        let unchecked = VerifyArgs {
            called: None,
            ..signed_request("https://example.com/hook")
        };
        unchecked.run(&mut captured.out(false)).unwrap();
        assert!(
            captured.notes().contains("not checked without --called"),
            "{}",
            captured.notes()
        );
    }

    #[test]
    fn http_message_signatures_serve_alone() {
        let mut alone = signed_request("https://example.com/");
        alone.header.retain(|(name, _)| name != "webhook-signature");
        let captured = Captured::default();
        alone.run(&mut captured.out(true)).unwrap();
        let shown: serde_json::Value = serde_json::from_str(&captured.text()).unwrap();
        assert_eq!(
            (&shown["http"]["verdict"], &shown["verdict"]),
            (&json!("valid"), &json!(null))
        );
    }

    #[test]
    fn the_url_is_taken_as_it_is_sent() {
        assert_eq!(
            target_uri("HTTPS://Me:pw@Example.com:443#x").as_deref(),
            Ok("https://example.com/")
        );
        assert!(target_uri("ftp://example.com/").is_err() && target_uri("example.com").is_err());
    }
}
