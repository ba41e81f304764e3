//! A sample request for every row: settings, keys and a body that the provider's scheme can carry.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bellwire_core::time::Timestamp;
use bellwire_listen::{
    Fetched, Form, Provider, Reason, Refused, Request, Settings, SignError, Signed, Signing, Trusted, Verifier, sign,
};
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use ring::rand::SystemRandom;

pub const AT: Timestamp = Timestamp::from_secs(1_700_000_000);
pub const URL: &str = "https://example.com/in/source?a=b";
const RSA: &str = include_str!("../data/rsa.pem");

/// Everything that one row's tests need.
pub struct Sample {
    pub provider: &'static Provider,
    pub settings: Settings,
    pub body: Vec<u8>,
    pub private_key: Option<String>,
    pub certificate: Option<String>,
    pub content_type: &'static str,
}

impl Sample {
    pub fn of(provider: &'static Provider) -> Self {
        let (settings, private_key) = settings(provider);
        let pinned = ["paypal", "aws-sns"].contains(&provider.name);
        let certificate = pinned.then(|| {
            let pair = KeyPair::from_pem(RSA).unwrap();
            CertificateParams::new(vec!["example.com".into()])
                .unwrap()
                .self_signed(&pair)
                .unwrap()
                .pem()
        });
        let form = provider.name == "twilio";
        Self {
            provider,
            settings,
            body: body(provider.name).as_bytes().to_vec(),
            private_key: private_key.or_else(|| pinned.then(|| RSA.to_owned())),
            certificate,
            content_type: if form {
                "application/x-www-form-urlencoded"
            } else {
                "application/json"
            },
        }
    }

    pub fn sign(&self) -> Result<Signed, SignError> {
        self.sign_body(&self.body, AT)
    }

    pub fn sign_body(&self, body: &[u8], at: Timestamp) -> Result<Signed, SignError> {
        let signing = Signing {
            method: "POST",
            url: URL,
            content_type: self.content_type,
            body,
            at,
            id: Some("evt-1"),
            event_type: Some("thing.made"),
            private_key: self.private_key.as_deref(),
            random: &SystemRandom::new(),
        };
        sign(self.provider, &self.settings, &signing)
    }

    pub fn verifier(&self) -> Verifier {
        Verifier::new(self.provider, self.settings.clone()).unwrap()
    }

    /// Verifies as a server would, fetching what is asked for.
    pub fn verify(&self, verifier: &Verifier, signed: &Signed, now: Timestamp) -> Result<Trusted, Refused> {
        let headers = pairs(signed);
        let request = Request {
            received_at: now,
            ..request(signed, &headers)
        };
        match verifier.verify(&request) {
            Err(Refused {
                reason: Reason::Fetch,
                fetch: Some(url),
                ..
            }) => {
                let certificate = self.certificate.clone().expect("no certificate was expected");
                let fetched = Fetched {
                    url: &url,
                    body: certificate.as_bytes(),
                };
                verifier.verify(&Request {
                    fetched: Some(fetched),
                    ..request
                })
            }
            verdict => verdict,
        }
    }
}

pub fn pairs(signed: &Signed) -> Vec<(&str, &str)> {
    let headers = signed.headers.iter();
    headers.map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

pub fn request<'a>(signed: &'a Signed, headers: &'a [(&'a str, &'a str)]) -> Request<'a> {
    Request {
        method: &signed.method,
        url: &signed.url,
        headers,
        body: &signed.body,
        received_at: AT,
        peer: Some("192.0.2.7".parse().unwrap()),
        fetched: None,
    }
}

fn body(name: &str) -> &'static str {
    match name {
        "twilio" => "MessageSid=SM1&Body=hello+world&From=%2B1555&Body=again",
        "ms-graph" => r#"{"value":[{"id":"1","changeType":"created"},{"id":"2","changeType":"deleted"}]}"#,
        "adyen" => {
            r#"{"live":"false","notificationItems":[{"NotificationRequestItem":{"pspReference":"7914073381342284",
               "merchantAccountCode":"Acme","merchantReference":"order-1","amount":{"value":1130,"currency":"EUR"},
               "eventCode":"AUTHORISATION","success":"true"}}]}"#
        }
        "aws-sns" => r#"{"Type":"Notification","Message":"hello\nworld","Subject":"greeting"}"#,
        _ => r#"{"id":"evt_1","type":"thing.made","created_at":"2023-11-14T22:13:20Z","n":1.10,"text":"naïve ✓"}"#,
    }
}

/// A value for every setting, and the private key of a public one.
fn settings(provider: &'static Provider) -> (Settings, Option<String>) {
    let mut settings = Settings::new();
    let mut private = None;
    for setting in provider.settings {
        let value = match (provider.name, setting.name) {
            ("gitlab", "signingToken") | ("jwt", "secret") => continue,
            (_, "header") if provider.name == "jwt" => continue,
            (_, "header") => "x-signature".to_owned(),
            (_, "content") => "{id}.{ts}.{body}".to_owned(),
            (_, "ts") => "header:x-ts".to_owned(),
            (_, "id") => "header:x-id".to_owned(),
            (_, "prefix") => "sha256=".to_owned(),
            (_, "cidr") => "192.0.2.0/24".to_owned(),
            (_, "webhookId") => "4JH86294D6297924G".to_owned(),
            (_, "issuer" | "audience" | "user" | "pass" | "clientId") => "me".to_owned(),
            (_, "secret" | "publicKey" | "signingToken" | "jwk") => {
                let (public, pair) = key(setting.form);
                private = private.or(pair);
                public
            }
            _ => continue,
        };
        settings.add(setting.name, value);
    }
    (settings, private)
}

fn key(form: Form) -> (String, Option<String>) {
    match form {
        Form::Plain | Form::Text | Form::Ascii => ("sec_ret0123456789".into(), None),
        Form::Hex => (
            "44782def547aaa06c910c43932b1eb0c71fc68d9d0c057550c48ec2acf6ba056".into(),
            None,
        ),
        Form::Standard => ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into(), None),
        Form::Ed25519 => {
            let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
            (STANDARD.encode(pair.der_bytes()), Some(pair.serialize_pem()))
        }
        Form::P256 => {
            let pair = KeyPair::generate().unwrap();
            (
                STANDARD.encode(pair.subject_public_key_info()),
                Some(pair.serialize_pem()),
            )
        }
        Form::Rsa => (KeyPair::from_pem(RSA).unwrap().public_key_pem(), Some(RSA.to_owned())),
        Form::Jwk => {
            let pair = KeyPair::generate().unwrap();
            let point = pair.der_bytes();
            let coordinate = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
            let (x, y) = (coordinate(1..33), coordinate(33..65));
            (
                format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#),
                Some(pair.serialize_pem()),
            )
        }
    }
}
