//! The questions a provider asks before it sends events, and the answers.
//!
//! A question that is signed is answered only when the signature is right; one that is not gives nothing away but what the
//! sender wrote itself, or what only the secret's holder can make.

use bellwire_core::time::Timestamp;
use ring::hmac;
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

use crate::encoding::Encoding;
use crate::request::{Request, Seen};
use crate::verify::Verifier;

/// The setting that lets a handshake bring a secret.
pub const ARMED: &str = "armed";

/// What to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// A secret that this request brought and that must be kept as this setting (Asana, Notion). Only when the settings have
    /// `armed`: a stranger must not be able to set one.
    pub keep: Option<(&'static str, String)>,
}

impl Answer {
    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self {
            status,
            headers: vec![
                ("content-type".into(), "text/plain; charset=utf-8".into()),
                // What is echoed is a stranger's text: no browser may take it for a page.
                ("x-content-type-options".into(), "nosniff".into()),
            ],
            body: body.as_bytes().to_vec(),
            keep: None,
        }
    }

    fn json(body: &Value) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type".into(), "application/json".into())],
            body: body.to_string().into_bytes(),
            keep: None,
        }
    }

    fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// The handshakes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handshake {
    SlackUrlVerification,
    ZoomUrlValidation,
    XCrc,
    MetaChallenge,
    DropboxChallenge,
    GraphValidationToken,
    DiscordPing,
    OktaChallenge,
    TrelloHead,
    AsanaSecret,
    NotionToken,
    AdobeClientId,
    CloudEvents,
}

/// The challenges that are echoed are short; what is longer is no challenge.
const CHALLENGE_BYTES_MAX: usize = 1024;

/// The answer to a handshake, or none when this request is no handshake of this provider: then it is an event to verify.
#[must_use]
pub fn handshake(verifier: &Verifier, request: &Request<'_>) -> Option<Answer> {
    let seen = Seen::new(*request);
    verifier
        .provider
        .handshakes
        .iter()
        .find_map(|handshake| handshake.answer(verifier, &seen))
}

impl Handshake {
    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::SlackUrlVerification => "signed POST `url_verification`: echoes the challenge",
            Self::ZoomUrlValidation => "signed POST `endpoint.url_validation`: answers with the token's HMAC",
            Self::XCrc => "GET `crc_token`: answers with the token's HMAC",
            Self::MetaChallenge => "GET `hub.challenge`: echoes it when the verify token is right",
            Self::DropboxChallenge => "GET `challenge`: echoes it",
            Self::GraphValidationToken => "POST `?validationToken=`: echoes it",
            Self::DiscordPing => "signed ping: of interactions (type 1) answers type 1, of webhook events (type 0) 204",
            Self::OktaChallenge => "GET `X-Okta-Verification-Challenge`: echoes it",
            Self::TrelloHead => "HEAD: 200",
            Self::AsanaSecret => "POST `X-Hook-Secret`: echoes and keeps it, only while `armed`",
            Self::NotionToken => "POST `verification_token`: keeps it, only while `armed`",
            Self::AdobeClientId => "GET `X-AdobeSign-ClientId`: echoes it when it is the client's id",
            Self::CloudEvents => "OPTIONS `WebHook-Request-Origin`: allows it (CloudEvents)",
        }
    }

    fn answer(self, verifier: &Verifier, seen: &Seen<'_>) -> Option<Answer> {
        let method = seen.request.method;
        let header = |name: &str| seen.header(name).ok().flatten();
        let short = |text: &String| !text.is_empty() && text.len() <= CHALLENGE_BYTES_MAX;
        let json = |pointer: &str| seen.json_text(pointer).filter(short);
        let query = |name: &str| seen.query(name).filter(short);
        let signed = || verifier.prove(seen, false).is_ok();
        let tag = |index: usize, text: &str| {
            let key = verifier.keys.get(index)?;
            let key = hmac::Key::new(hmac::HMAC_SHA256, key.bytes());
            Some(hmac::sign(&key, text.as_bytes()))
        };
        let (get, post) = (method == "GET", method == "POST");
        match self {
            Self::SlackUrlVerification if post && json("/type")? == "url_verification" => {
                let challenge = json("/challenge")?;
                signed().then(|| Answer::text(200, &challenge))
            }
            Self::ZoomUrlValidation if post && json("/event")? == "endpoint.url_validation" => {
                let token = json("/payload/plainToken")?;
                // Of several secrets, the one that signed the question is the one that the answer is compared with.
                let index = verifier.prove(seen, false).ok()?.key_index?;
                let encrypted = Encoding::Hex.encode(tag(index, &token)?.as_ref());
                Some(Answer::json(
                    &json!({ "plainToken": token, "encryptedToken": encrypted }),
                ))
            }
            Self::XCrc if get => {
                let token = query("crc_token")?;
                // X signs its events with the same key: whoever could have JSON signed here could forge them.
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_+/=.".contains(&byte);
                if !token.bytes().all(plain) {
                    return Some(Answer::text(400, "this is no token of a challenge"));
                }
                // Nothing in the question says which of several secrets it is about: an app has one, the newest.
                let token = Encoding::Base64.encode(tag(0, &token)?.as_ref());
                Some(Answer::json(&json!({ "response_token": format!("sha256={token}") })))
            }
            Self::MetaChallenge if get && query("hub.mode")? == "subscribe" => {
                let challenge = query("hub.challenge")?;
                let given = query("hub.verify_token")?;
                let expected = verifier.settings.all("verifyToken");
                if expected.is_empty() {
                    return None;
                }
                let is_given = |token: &String| bool::from(given.as_bytes().ct_eq(token.trim().as_bytes()));
                let right = expected.iter().any(is_given);
                Some(if right {
                    Answer::text(200, &challenge)
                } else {
                    Answer::text(403, "the verify token is another one")
                })
            }
            Self::DropboxChallenge if get => Some(Answer::text(200, &query("challenge")?)),
            Self::GraphValidationToken if post => Some(Answer::text(200, &query("validationToken")?)),
            // Type 1 is the ping of interactions, and every event of webhook events.
            Self::DiscordPing if post && seen.json()?.get("event").is_none() => match json("/type")?.as_str() {
                "0" => signed().then(|| Answer::text(204, "")),
                "1" => signed().then(|| Answer::json(&json!({ "type": 1 }))),
                _ => None,
            },
            Self::OktaChallenge if get => {
                let challenge = header("x-okta-verification-challenge")?;
                Some(Answer::json(&json!({ "verification": challenge })))
            }
            Self::TrelloHead if method == "HEAD" => Some(Answer::text(200, "")),
            Self::AsanaSecret if post => {
                let secret = header("x-hook-secret")?;
                Some(if armed(verifier, seen) {
                    Answer {
                        keep: Some(("secret", secret.to_owned())),
                        ..Answer::text(200, "").with_header("x-hook-secret", secret)
                    }
                } else {
                    Answer::text(403, "this source is not armed for a handshake")
                })
            }
            Self::NotionToken if post && header("x-notion-signature").is_none() => {
                let token = json("/verification_token")?;
                Some(if armed(verifier, seen) {
                    Answer {
                        keep: Some(("secret", token)),
                        ..Answer::text(200, "")
                    }
                } else {
                    Answer::text(403, "this source is not armed for a handshake")
                })
            }
            Self::AdobeClientId if get => {
                let given = header("x-adobesign-clientid")?;
                signed().then(|| Answer::text(200, "").with_header("x-adobesign-clientid", given))
            }
            Self::CloudEvents if method == "OPTIONS" => {
                let origin = header("webhook-request-origin")?;
                let allowed = verifier.settings.all("allowedOrigin");
                if !allowed.is_empty() && !allowed.iter().any(|one| one.trim() == origin) {
                    return Some(Answer::text(403, "this origin is not allowed"));
                }
                Some(
                    Answer::text(200, "")
                        .with_header("webhook-allowed-origin", origin)
                        .with_header("webhook-allowed-rate", "*")
                        .with_header("allow", "POST, OPTIONS"),
                )
            }
            _ => None,
        }
    }
}

pub(crate) fn armed(verifier: &Verifier, seen: &Seen<'_>) -> bool {
    is_armed(verifier.settings.get(ARMED), seen.request.received_at)
}

/// Whether a handshake may bring a secret at this time: the setting [`ARMED`] is `true`, or a time that has not come.
#[must_use]
pub fn is_armed(setting: Option<&str>, now: Timestamp) -> bool {
    match setting {
        Some("true") => true,
        Some(until) => until.parse::<Timestamp>().is_ok_and(|until| now < until),
        None => false,
    }
}
