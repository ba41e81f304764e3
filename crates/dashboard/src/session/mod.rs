//! Who is signed in: a token, sealed into a cookie.
//!
//! The server keeps nothing: every node with the main secret opens what another one sealed. A session holds the API token itself, so
//! that deleting the token ends the session with the next page. What is decided here is pure; the clock is handed in.

pub(crate) mod cookie;
pub(crate) mod limit;
pub(crate) mod same;

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bellwire_core::{
    seal::{Keyring, associated_data},
    time::Timestamp,
};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::shell::Kind;

/// A session ends when nobody looked at a page for so long…
pub(crate) const IDLE: Duration = Duration::from_secs(2 * 3_600);
/// …and so long after it began in any case.
pub(crate) const WHOLE: Duration = Duration::from_secs(12 * 3_600);
/// How often a cookie says anew when its session was last used.
const RENEWED: Duration = Duration::from_secs(60);

/// What the cookie holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    /// What forms of this session carry, so that no other site can send one in its name.
    csrf: [u8; 16],
    /// The API token; `None` before anybody signed in, when the session only guards the sign-in form.
    token: Option<String>,
    /// The one application, in the portal.
    app: Option<String>,
    began: i64,
    seen: i64,
}

/// How a session stands at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Good, and its cookie is recent.
    Fresh,
    /// Good; its cookie is to be written anew.
    Good,
    /// Over.
    Over,
}

impl Session {
    /// One that nobody has signed in to; `None` when the machine gives no randomness.
    pub fn begin(now: Timestamp) -> Option<Self> {
        let mut csrf = [0; 16];
        SystemRandom::new().fill(&mut csrf).ok()?;
        Some(Self {
            csrf,
            token: None,
            app: None,
            began: now.secs(),
            seen: now.secs(),
        })
    }

    /// A new one for somebody who showed a token: nothing of the one before is kept.
    pub fn signed_in(now: Timestamp, token: String, app: Option<String>) -> Option<Self> {
        Some(Self {
            token: Some(token),
            app,
            ..Self::begin(now)?
        })
    }

    /// The API token, where somebody is signed in.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The one application, in the portal.
    pub fn app(&self) -> Option<&str> {
        self.app.as_deref()
    }

    /// What the session's forms carry.
    pub fn csrf(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.csrf)
    }

    /// Whether a form carries it.
    pub fn is_own(&self, csrf: &str) -> bool {
        let sent = URL_SAFE_NO_PAD.decode(csrf).unwrap_or_default();
        self.csrf.as_slice().ct_eq(&sent).into()
    }

    /// How it stands.
    pub fn standing(&self, now: Timestamp) -> Standing {
        let since = |secs| now.since(Timestamp::from_secs(secs));
        if since(self.began) >= WHOLE || since(self.seen) >= IDLE {
            Standing::Over
        } else if since(self.seen) >= RENEWED {
            Standing::Good
        } else {
            Standing::Fresh
        }
    }

    /// The same, used now.
    pub fn seen(&self, now: Timestamp) -> Self {
        Self {
            seen: now.secs(),
            ..self.clone()
        }
    }

    /// As a cookie's value; `None` when it cannot be sealed.
    pub fn seal(&self, keyring: &Keyring, kind: Kind) -> Option<String> {
        let plain = serde_json::to_vec(self).ok()?;
        let mut nonce = [0; 24];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let sealed = keyring.seal(&plain, &place(kind), nonce).ok()?;
        Some(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// From a cookie's value; `None` when it is none of ours, or of the other side.
    pub fn open(text: &str, keyring: &Keyring, kind: Kind) -> Option<Self> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let plain = keyring.open(&sealed, &place(kind)).ok()?;
        serde_json::from_slice(&plain).ok()
    }
}

/// Where a session may be opened: on its own side only.
fn place(kind: Kind) -> Vec<u8> {
    associated_data(&["session", kind.cookie()])
}

#[cfg(test)]
mod tests {
    use bellwire_core::seal::MainSecret;

    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_766_000_000);

    fn keyring(byte: u8) -> Keyring {
        Keyring::new(MainSecret::from_bytes([byte; 32]).unwrap())
    }

    fn session() -> Session {
        Session::signed_in(NOON, "bw_admin_x".to_owned(), None).unwrap()
    }

    #[test]
    fn a_session_opens_with_its_secret_and_on_its_side_only() {
        let sealed = session().seal(&keyring(1), Kind::Operator).unwrap();
        assert!(!sealed.contains("bw_admin"));
        let opened = Session::open(&sealed, &keyring(1), Kind::Operator).unwrap();
        assert_eq!(opened.token(), Some("bw_admin_x"));
        assert!(Session::open(&sealed, &keyring(1), Kind::Portal).is_none());
        assert!(Session::open(&sealed, &keyring(2), Kind::Operator).is_none());
        assert!(Session::open(&sealed[1..], &keyring(1), Kind::Operator).is_none());
        assert!(Session::open("", &keyring(1), Kind::Operator).is_none());
    }

    #[test]
    fn a_session_ends_when_it_is_not_used_and_at_last_in_any_case() {
        let session = session();
        let after = |span: Duration| NOON.plus(span);
        assert_eq!(session.standing(NOON), Standing::Fresh);
        assert_eq!(session.standing(after(RENEWED)), Standing::Good);
        assert_eq!(session.standing(after(IDLE)), Standing::Over);
        let late = after(WHOLE - Duration::from_secs(1));
        assert_eq!(session.seen(late).standing(late), Standing::Fresh);
        assert_eq!(session.seen(after(WHOLE)).standing(after(WHOLE)), Standing::Over);
    }

    #[test]
    fn a_form_is_a_sessions_own_when_it_carries_its_text() {
        let (one, other) = (session(), session());
        assert!(one.is_own(&one.csrf()) && !one.is_own(&other.csrf()));
        assert!(!one.is_own("") && !one.is_own("%%%"));
    }
}
