//! The secrets that endpoints sign with, and whether a request is signed by the right one.

use anyhow::Context as _;
use bellwire_core::secret::VerifyingKey;
use bellwire_core::sign::{Received, SignedHeaders, TOLERANCE, verify};
use http::HeaderMap;

/// One for each endpoint of a run.
pub(crate) struct Secrets {
    texts: Vec<String>,
    keys: Vec<[VerifyingKey; 1]>,
}

impl Secrets {
    /// So many, always the same.
    pub(crate) fn make(endpoints: usize) -> anyhow::Result<Self> {
        let texts: Vec<String> = (0..endpoints).map(text).collect();
        let keys = texts.iter().map(|text| VerifyingKey::parse(text).map(|key| [key]));
        Ok(Self {
            keys: keys.collect::<Result<_, _>>().context("the receiver's secrets")?,
            texts,
        })
    }

    /// As the server is told them.
    pub(crate) fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Why the signature of a request to an endpoint does not verify, if it does not.
    pub(crate) fn unsigned(&self, endpoint: usize, headers: &HeaderMap, body: &[u8]) -> Option<String> {
        let keys = self.keys.get(endpoint)?;
        let pairs = headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let received = Received {
            headers: SignedHeaders::from_pairs(pairs),
            body,
        };
        let why = verify(&received, keys, unix_seconds(), Some(TOLERANCE)).err()?;
        Some(why.to_string())
    }
}

/// The secret of an endpoint: 24 bytes in base64.
fn text(number: usize) -> String {
    format!("whsec_{:A>32}", format!("crash{number}"))
}

/// Now, in seconds.
#[expect(
    clippy::disallowed_methods,
    reason = "timestamps of signatures are judged by the real clock, as a receiver does"
)]
pub(crate) fn unix_seconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
