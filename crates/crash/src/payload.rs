//! What is published: messages that are a pure function of the run's seed and their number.
//!
//! The receiver makes the expected bytes again and compares all of them, so that "unchanged" is not a matter of a hash. The
//! payloads are written the way a re-serialising server would not write them: spaces, numbers with more digits than a float
//! holds, escapes that need not be, keys in no order.

use bytes::Bytes;
use fastrand::Rng;

const HEAD: &str = "{\"seq\":";
/// Characters of the filler; some take an escape, some several bytes.
const LETTERS: &[&str] = &[
    "a", "Z", "0", " ", "é", "漢", "😀", "\\u00e9", "\\/", "\\\"", "\\n", "<", "&",
];

/// The two event types; an endpoint may want only one of them.
pub(crate) const EVENT_TYPES: [&str; 2] = ["crash.first", "crash.second"];

/// What tells the server that two publications are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// Nothing: it may be published once only.
    None,
    /// The header `idempotency-key`.
    Header,
    /// The field `eventId`.
    EventId,
    /// Both.
    Both,
}

impl Key {
    pub(crate) fn header(self) -> bool {
        matches!(self, Key::Header | Key::Both)
    }

    pub(crate) fn event_id(self) -> bool {
        matches!(self, Key::EventId | Key::Both)
    }
}

/// How a run's messages are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Messages {
    pub(crate) seed: u64,
    /// Rough size of a payload; each has a size of its own between an eighth and twice this.
    pub(crate) payload_bytes: usize,
}

impl Messages {
    /// Which of [`EVENT_TYPES`] a message is.
    pub(crate) fn event_type(seq: u64) -> usize {
        usize::from(seq.is_multiple_of(3))
    }

    /// How it may be repeated: half of the messages may.
    pub(crate) fn key(self, seq: u64) -> Key {
        match self.rng(seq, 1).u8(0..8) {
            0 | 1 => Key::Header,
            2 => Key::EventId,
            3 => Key::Both,
            _ => Key::None,
        }
    }

    /// The value of its key, unique to the run.
    pub(crate) fn key_text(self, seq: u64) -> String {
        format!("crash-{:x}-{seq}", self.seed)
    }

    /// The payload, byte for byte as it must arrive.
    pub(crate) fn payload(self, seq: u64) -> Vec<u8> {
        let mut rng = self.rng(seq, 2);
        let size = rng.usize(self.payload_bytes / 8..=self.payload_bytes.saturating_mul(2));
        let mut text = format!(
            "{HEAD}{seq}, \"z\": 1.10,\"amount\":{}e2 ,\"big\":1234567890123456789{},\"a\":[-0, 1.0,{{ }}],\"text\":\"",
            rng.u16(..),
            rng.u64(..),
        );
        while text.len() < size {
            text.push_str(LETTERS.get(rng.usize(..LETTERS.len())).copied().unwrap_or("x"));
        }
        text.push_str("\", \"empty\":\"\" }");
        text.into_bytes()
    }

    /// The body of the publishing request.
    pub(crate) fn request(self, seq: u64) -> Bytes {
        let mut body = format!("{{\"eventType\":\"{}\",", EVENT_TYPES[Self::event_type(seq)]).into_bytes();
        if self.key(seq).event_id() {
            body.extend_from_slice(format!("\"eventId\":\"{}\",", self.key_text(seq)).as_bytes());
        }
        body.extend_from_slice(b"\"payload\":");
        body.extend_from_slice(&self.payload(seq));
        body.push(b'}');
        body.into()
    }

    /// The number of the message whose payload this is (or was, before something changed it).
    pub(crate) fn seq_of(payload: &[u8]) -> Option<u64> {
        let rest = payload.strip_prefix(HEAD.as_bytes())?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(rest.get(..digits)?).ok()?.parse().ok()
    }

    /// What is drawn for a message, one stream for each purpose (1 and 2 are its key and its payload).
    pub(crate) fn rng(self, seq: u64, purpose: u64) -> Rng {
        // Neighbouring seeds give related streams; the odd factor spreads them.
        Rng::with_seed((self.seed ^ (purpose << 60)).wrapping_add(seq.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGES: Messages = Messages {
        seed: 7,
        payload_bytes: 1_000,
    };

    #[test]
    fn payload_is_json_knows_its_number_and_is_the_same_each_time() {
        for seq in [0, 1, 2, 999, u64::from(u32::MAX)] {
            let payload = MESSAGES.payload(seq);
            let json: serde_json::Value = serde_json::from_slice(&payload).unwrap();
            assert_eq!(json["seq"], seq);
            assert_eq!(Messages::seq_of(&payload), Some(seq));
            assert_eq!(MESSAGES.payload(seq), payload);
        }
        assert_ne!(MESSAGES.payload(1)[10..], MESSAGES.payload(2)[10..]);
        assert_ne!(Messages { seed: 8, ..MESSAGES }.payload(1), MESSAGES.payload(1));
    }

    #[test]
    fn a_server_that_serialises_anew_would_be_noticed() {
        let payload = MESSAGES.payload(3);
        let json: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_ne!(serde_json::to_vec(&json).unwrap(), payload);
    }

    #[test]
    fn request_holds_the_payload_as_it_is_and_the_event_id_of_those_that_have_one() {
        let mut kinds = [0; 2];
        for seq in 0..64 {
            let request = MESSAGES.request(seq);
            let payload = MESSAGES.payload(seq);
            assert!(request.windows(payload.len()).any(|window| window == payload));
            let json: serde_json::Value = serde_json::from_slice(&request).unwrap();
            assert_eq!(json["eventType"], EVENT_TYPES[Messages::event_type(seq)]);
            assert_eq!(json.get("eventId").is_some(), MESSAGES.key(seq).event_id());
            kinds[usize::from(MESSAGES.key(seq) == Key::None)] += 1;
        }
        assert!(kinds.iter().all(|count| *count > 8), "{kinds:?}");
    }

    #[test]
    fn what_is_not_ours_has_no_number() {
        for text in ["", "{}", "{\"seq\":", "{\"seq\":x}", "{ \"seq\":1}"] {
            assert_eq!(Messages::seq_of(text.as_bytes()), None, "{text}");
        }
    }
}
