//! The same request twice is done once: `idempotency-key` on POST.
//!
//! The first answer is kept for 12 hours and given again to the same key with the same body; another body is refused. Where
//! a request changes the configuration, answer and change are one transaction ([`crate::call::Context::commit`]); publishing
//! has it inside `Store::append`. Refused and failed requests are not remembered.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bellwire_core::{id::EnvironmentId, message::IdempotencyKey};
use http::HeaderMap;
use ring::digest::{Context, SHA256, digest};
use tokio::sync::watch;

use crate::{
    error::{ApiError, IDEMPOTENCY_IN_FLIGHT},
    problem::Problem,
};

/// How long an answer is remembered.
pub const REMEMBERED: Duration = Duration::from_secs(12 * 3_600);
/// Longest key, in bytes.
const KEY_MAX: usize = 256;
/// How long a repetition waits for the first request before it is refused: clients repeat after a broken connection, and the
/// first one may still be under way.
const WAIT_MAX: Duration = Duration::from_secs(3);

/// The client's promise, if it makes one.
///
/// # Errors
/// `validation_failed` for a key that is empty, too long or not printable.
pub fn read(
    headers: &HeaderMap,
    environment: EnvironmentId,
    path: &str,
    body: &[u8],
) -> Result<Option<IdempotencyKey>, ApiError> {
    let Some(header) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = header.to_str().unwrap_or_default();
    if key.is_empty() || key.len() > KEY_MAX {
        let problem = Problem::header(
            "idempotency-key",
            format!("write 1 to {KEY_MAX} printable ASCII characters"),
        );
        return Err(ApiError::invalid(problem));
    }
    let mut context = Context::new(&SHA256);
    let environment = environment.to_string();
    for part in [environment.as_str(), "POST", path.trim_end_matches('/'), key] {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part.as_bytes());
    }
    Ok(Some(IdempotencyKey {
        key: bytes(context.finish().as_ref()),
        body: bytes(digest(&SHA256, body).as_ref()),
    }))
}

fn bytes(hash: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash);
    bytes
}

/// The requests with a key that are being worked on.
#[derive(Debug, Default)]
pub struct InFlight(Mutex<HashMap<[u8; 32], watch::Receiver<()>>>);

/// The right to work on a request; given back when dropped.
#[derive(Debug)]
pub struct Turn<'a> {
    all: &'a InFlight,
    key: [u8; 32],
    _ends: watch::Sender<()>,
}

impl InFlight {
    /// Waits until no other request with this key is being worked on.
    ///
    /// # Errors
    /// `idempotency_in_flight` when that takes too long.
    pub async fn turn(&self, key: [u8; 32]) -> Result<Turn<'_>, ApiError> {
        let wait = async {
            loop {
                match self.try_turn(key) {
                    Ok(turn) => return turn,
                    // Ends, with an error, when the sender is dropped.
                    Err(mut other) => drop(other.changed().await),
                }
            }
        };
        let busy = |_| {
            let detail = "a request with this idempotency key is still being worked on; send it again in a moment";
            ApiError::new(&IDEMPOTENCY_IN_FLIGHT, detail)
        };
        tokio::time::timeout(WAIT_MAX, wait).await.map_err(busy)
    }

    fn try_turn(&self, key: [u8; 32]) -> Result<Turn<'_>, watch::Receiver<()>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = all.get(&key) {
            return Err(other.clone());
        }
        let (ends, receiver) = watch::channel(());
        all.insert(key, receiver);
        Ok(Turn {
            all: self,
            key,
            _ends: ends,
        })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.all
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwire_core::id::Id as _;
    use http::HeaderValue;

    fn key_of(key: &str, environment: u64, path: &str, body: &str) -> Result<Option<IdempotencyKey>, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert("idempotency-key", HeaderValue::from_str(key).unwrap());
        read(&headers, EnvironmentId::from_number(environment), path, body.as_bytes())
    }

    #[test]
    fn key_path_and_environment_make_the_key_and_the_body_its_own_hash() {
        let first = key_of("k", 1, "/a", "x").unwrap().unwrap();
        assert_eq!(key_of("k", 1, "/a/", "x").unwrap().unwrap(), first);
        for (key, environment, path) in [("l", 1, "/a"), ("k", 2, "/a"), ("k", 1, "/b"), ("a", 1, "/k")] {
            assert_ne!(key_of(key, environment, path, "x").unwrap().unwrap().key, first.key);
        }
        let other = key_of("k", 1, "/a", "y").unwrap().unwrap();
        assert!(other.key == first.key && other.body != first.body);
        assert_eq!(
            read(&HeaderMap::new(), EnvironmentId::from_number(1), "/a", b"").unwrap(),
            None
        );
    }

    #[test]
    fn keys_are_bounded() {
        assert!(key_of(&"k".repeat(256), 1, "/a", "").is_ok());
        assert_eq!(key_of(&"k".repeat(257), 1, "/a", "").unwrap_err().code().status, 422);
        assert_eq!(key_of("", 1, "/a", "").unwrap_err().code().status, 422);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_request_waits_for_the_first_and_not_for_ever() {
        let all = InFlight::default();
        let first = all.turn([1; 32]).await.unwrap();
        assert!(all.turn([2; 32]).await.is_ok(), "another key does not wait");
        assert_eq!(all.turn([1; 32]).await.unwrap_err().code(), &IDEMPOTENCY_IN_FLIGHT);
        let second = all.turn([1; 32]);
        let ((), second) = tokio::join!(async { drop(first) }, second);
        assert!(second.is_ok());
    }
}
