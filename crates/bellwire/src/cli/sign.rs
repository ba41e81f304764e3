//! `bellwire sign`: the headers that a sender would add to a body, offline.

use bellwire_core::{
    id::{IdGenerator, MessageId},
    secret::SigningKey,
    sign::{http, signature_header},
    time::Timestamp,
};
use clap::Args;

use super::{
    exit::Failure,
    input,
    out::Out,
    provider::{self, ProviderArgs},
    verify, when,
};

/// `sign`.
#[derive(Args)]
pub struct SignArgs {
    /// The signing secret (whsec_… or whsk_…; with --provider that provider's key) or @file; repeat to sign with several
    #[arg(
        long,
        required_unless_present = "provider",
        env = "BELLWIRE_SECRET",
        hide_env_values = true
    )]
    pub(super) secret: Vec<String>,
    /// The message's id; made when not given
    #[arg(long)]
    pub(super) id: Option<String>,
    /// When it is signed: seconds since 1970 or RFC 3339; now when not given
    #[arg(long, value_parser = timestamp)]
    pub(super) timestamp: Option<i64>,
    /// The URL that will be called: adds HTTP message signatures (RFC 9421) of a POST to it; some providers sign it, too
    #[arg(long, value_name = "URL", value_parser = verify::called_url)]
    pub(super) called: Option<String>,
    /// A further header of the request, printed and covered by them when it is one they cover: content-type, webhook-sequence
    /// and its like; repeat for each
    #[arg(long, value_name = "NAME: VALUE", value_parser = input::header, requires = "called")]
    pub(super) header: Vec<(String, String)>,
    /// The body: the text, @file, or - for standard input; signed byte for byte
    #[arg(long)]
    pub(super) data: String,
    #[command(flatten)]
    pub(super) of: ProviderArgs,
    /// For providers that sign with a key pair: the private key, PKCS #8 in PEM, or @file
    #[arg(long, value_name = "KEY", requires = "provider")]
    pub(super) private_key: Option<String>,
    /// The event type, for providers that send it in a header
    #[arg(long, value_name = "TYPE", requires = "provider")]
    pub(super) event_type: Option<String>,
}

/// For clap: seconds since 1970, or RFC 3339.
///
/// # Errors
/// Says how it is written.
pub fn timestamp(text: &str) -> Result<i64, String> {
    let seconds = text
        .parse::<i64>()
        .ok()
        .or_else(|| text.parse::<Timestamp>().ok().map(Timestamp::secs));
    seconds.ok_or_else(|| format!("`{text}` is neither seconds since 1970 nor RFC 3339 (2026-01-31T09:30:00Z)"))
}

impl SignArgs {
    /// Prints the headers, as `name: value` lines or one JSON object.
    ///
    /// # Errors
    /// A usage failure when a secret or the body cannot be read.
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        if let Some(name) = &self.of.provider {
            let kinds = self.header.iter().filter(|(name, _)| name == "content-type");
            let kind = kinds.map(|(_, value)| value.as_str()).next_back();
            let made = provider::Made {
                url: self.called.as_deref(),
                content_type: kind.unwrap_or("application/json"),
                body: &input::bytes(&self.data)?,
                at_secs: self.timestamp.unwrap_or_else(|| when::now().secs()),
                id: self.id.as_deref(),
                event_type: self.event_type.as_deref(),
                private_key: self.private_key.as_deref().map(input::text).transpose()?,
            };
            return provider::signed(&self.of, name, &self.secret, &made, out);
        }
        let called = self
            .called
            .as_deref()
            .map(verify::target_uri)
            .transpose()
            .map_err(Failure::Usage)?;
        let keys = self
            .secret
            .iter()
            .map(|secret| SigningKey::parse(input::text(secret)?.trim()).map_err(Failure::usage))
            .collect::<Result<Vec<_>, Failure>>()?;
        let body = input::bytes(&self.data)?;
        let id = self
            .id
            .unwrap_or_else(|| IdGenerator::new(0, 0).next::<MessageId>(when::now()).to_string());
        let timestamp = self.timestamp.unwrap_or_else(|| when::now().secs());
        let keys: Vec<_> = keys.iter().collect();
        let signature = signature_header(&keys, &id, timestamp, &body);
        let mut headers = vec![
            ("webhook-id".to_owned(), id),
            ("webhook-timestamp".to_owned(), timestamp.to_string()),
            ("webhook-signature".to_owned(), signature),
        ];
        if let Some(url) = &called {
            headers.extend(self.header);
            // Whoever posts a body says what it is, and a receiver wants that covered.
            if !headers.iter().any(|(name, _)| name == "content-type") {
                headers.push(("content-type".to_owned(), "application/json".to_owned()));
            }
            headers.push((http::CONTENT_DIGEST.to_owned(), http::content_digest(&body)));
            let pairs: Vec<_> = headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let request = http::Request {
                method: "POST",
                target_uri: url,
                headers: &pairs,
            };
            let signed = http::sign(&request, &keys, "bellwire-sign", timestamp);
            headers.push((http::SIGNATURE_INPUT.to_owned(), signed.input));
            headers.push((http::SIGNATURE.to_owned(), signed.signature));
        }
        if out.is_json() {
            let object: serde_json::Map<_, _> = headers.into_iter().map(|(name, value)| (name, value.into())).collect();
            return out.line(&serde_json::Value::Object(object).to_string());
        }
        headers
            .iter()
            .try_for_each(|(name, value)| out.line(&format!("{name}: {value}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::Captured;

    fn args(secrets: &[&str]) -> SignArgs {
        SignArgs {
            secret: secrets.iter().map(|secret| (*secret).to_owned()).collect(),
            id: Some("msg_p5jXN8AQM9LWM0D4loKWxJek".into()),
            timestamp: Some(1_614_265_330),
            called: None,
            header: Vec::new(),
            data: r#"{"test": 2432232314}"#.into(),
            of: ProviderArgs::default(),
            private_key: None,
            event_type: None,
        }
    }

    #[test]
    fn the_headers_are_those_of_the_reference_libraries() {
        let captured = Captured::default();
        args(&["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
            .run(&mut captured.out(false))
            .unwrap();
        let expected = "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\nwebhook-timestamp: 1614265330\n\
                        webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\n";
        assert_eq!(captured.text(), expected);
    }

    #[test]
    fn told_what_will_be_called_the_request_itself_is_signed_too() {
        let captured = Captured::default();
        let called = SignArgs {
            called: Some("https://example.com/".into()),
            header: vec![input::header("Webhook-Sequence: 5").unwrap()],
            ..args(&["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
        };
        called.run(&mut captured.out(true)).unwrap();
        let shown: serde_json::Value = serde_json::from_str(&captured.text()).unwrap();
        let input = shown["signature-input"].as_str().unwrap();
        assert!(
            input.starts_with("sig1=(\"@method\" \"@target-uri\" \"content-digest\" \"content-type\""),
            "{input}"
        );
        assert!(
            input.contains("\"webhook-sequence\");created=1614265330;keyid=\"bellwire-sign."),
            "{input}"
        );
        assert_eq!(shown["webhook-sequence"], "5");
        assert!(shown["content-digest"].as_str().unwrap().starts_with("sha-256=:"));
    }

    #[test]
    fn a_bad_secret_is_usage_and_is_not_repeated() {
        let failure = args(&["whsec_short-hunter2"])
            .run(&mut Captured::default().out(false))
            .unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert!(!failure.to_string().contains("hunter2"), "{failure}");
    }

    #[test]
    fn timestamps_are_seconds_or_rfc_3339() {
        assert_eq!(timestamp("1614265330"), Ok(1_614_265_330));
        assert_eq!(timestamp("2021-02-25T15:02:10Z"), Ok(1_614_265_330));
        assert!(timestamp("today").is_err());
    }
}
