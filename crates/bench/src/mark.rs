//! What makes each message its own: a mark at a fixed place of an otherwise prebuilt payload.
//!
//! The mark holds the time from which latency counts and a sequence number for the ledger, as digits of fixed width, so that the publisher
//! stamps it by overwriting 29 bytes and the receiver reads it without parsing JSON. The payload around it is an ordinary JSON document
//! (an invoice with lines), not one long string: servers that parse or scan payloads pay what they pay in life.

use bytes::{Bytes, BytesMut};

const T_DIGITS: usize = 16;
const SEQ_DIGITS: usize = 12;
const MARK_BYTES: usize = T_DIGITS + 1 + SEQ_DIGITS;
const HEAD: &[u8] = b"{\"bw\":\"";
const KEY: &[u8] = b"\"bw\":";

/// When a message was (or should have been) published, and which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Microseconds on the bench's clock: the sending, or the scheduled time when the pace is fixed.
    pub t_us: u64,
    /// The message's number in the ledger.
    pub seq: u64,
}

impl Mark {
    /// Reads the mark of a received payload. The usual place is tried first; a server that re-serialises payloads (moves keys, adds
    /// spaces) is found by a search.
    #[must_use]
    pub fn find(payload: &[u8]) -> Option<Mark> {
        match payload.strip_prefix(HEAD) {
            Some(rest) => Self::parse(rest),
            None => {
                let at = payload.windows(KEY.len()).position(|window| window == KEY)?;
                let rest = payload.get(at + KEY.len()..)?.trim_ascii_start();
                Self::parse(rest.strip_prefix(b"\"")?)
            }
        }
    }

    fn parse(text: &[u8]) -> Option<Mark> {
        let text = text.get(..MARK_BYTES)?;
        let (t, rest) = text.split_at(T_DIGITS);
        let (dot, seq) = rest.split_at(1);
        (dot == b".").then_some(())?;
        Some(Mark {
            t_us: parse_digits(t)?,
            seq: parse_digits(seq)?,
        })
    }

    fn write(self, place: &mut [u8]) {
        let (t, rest) = place.split_at_mut(T_DIGITS);
        write_digits(self.t_us, t);
        if let Some((dot, seq)) = rest.split_first_mut() {
            *dot = b'.';
            write_digits(self.seq, seq);
        }
    }
}

fn parse_digits(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |value, digit| match digit {
        b'0'..=b'9' => Some(value * 10 + u64::from(digit - b'0')),
        _ => None,
    })
}

fn write_digits(mut value: u64, place: &mut [u8]) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// A prebuilt request body with the place where the mark goes.
#[derive(Clone, Debug)]
pub struct Template {
    bytes: Bytes,
    /// `None` in a body that is the same for all.
    mark_at: Option<usize>,
}

impl Template {
    /// A bare payload of exactly `payload_bytes` (at least as many as the smallest document needs, about 90).
    #[must_use]
    pub fn payload(payload_bytes: usize) -> Self {
        Self {
            bytes: payload(payload_bytes).into(),
            mark_at: Some(HEAD.len()),
        }
    }

    /// A body that bears no mark: what tells its messages apart is elsewhere in the request.
    #[must_use]
    pub fn fixed(bytes: Bytes) -> Self {
        Self { bytes, mark_at: None }
    }

    /// The body of `POST …/msg`: an event type (ASCII, no quotes) and such a payload.
    #[must_use]
    pub fn message(event_type: &str, payload_bytes: usize) -> Self {
        Self::message_with(event_type, "", payload_bytes)
    }

    /// The same with further members of the message, as JSON text that ends with a comma: `"channels":["a"],`.
    #[must_use]
    pub fn message_with(event_type: &str, members: &str, payload_bytes: usize) -> Self {
        let mut bytes = format!("{{\"eventType\":\"{event_type}\",{members}\"payload\":").into_bytes();
        let mark_at = bytes.len() + HEAD.len();
        bytes.extend_from_slice(&payload(payload_bytes));
        bytes.push(b'}');
        Self {
            bytes: bytes.into(),
            mark_at: Some(mark_at),
        }
    }

    /// A copy that carries `mark`. `buffer` keeps its allocation from call to call once the earlier copy has been dropped.
    pub fn stamp(&self, mark: Mark, buffer: &mut BytesMut) -> Bytes {
        let Some(mark_at) = self.mark_at else {
            return self.bytes.clone();
        };
        buffer.clear();
        buffer.reserve(self.bytes.len());
        buffer.extend_from_slice(&self.bytes);
        if let Some(place) = buffer.get_mut(mark_at..mark_at + MARK_BYTES) {
            mark.write(place);
        }
        buffer.split().freeze()
    }
}

fn payload(size: usize) -> Vec<u8> {
    const MIDDLE: &[u8] = b"\",\"customer\":\"cus_4242\",\"lines\":[";
    const PAD: &[u8] = b"],\"pad\":\"";
    const TAIL: &[u8] = b"\"}";
    let mut bytes = Vec::with_capacity(size);
    bytes.extend_from_slice(HEAD);
    bytes.resize(HEAD.len() + MARK_BYTES, b'0');
    bytes.extend_from_slice(MIDDLE);
    for line in 0.. {
        let comma = if line == 0 { "" } else { "," };
        let text =
            format!("{comma}{{\"sku\":\"SKU-{line:05}\",\"quantity\":3,\"amount\":\"19.90\",\"currency\":\"EUR\"}}");
        if bytes.len() + text.len() + PAD.len() + TAIL.len() > size {
            break;
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes.extend_from_slice(PAD);
    let padding = size.saturating_sub(bytes.len() + TAIL.len());
    bytes.resize(bytes.len() + padding, b'x');
    bytes.extend_from_slice(TAIL);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark = Mark {
        t_us: 1_234_567,
        seq: 42,
    };

    #[test]
    fn payload_has_the_size_asked_for_and_is_json() {
        for size in [128, 256, 1_000, 1_024, 65_536] {
            let body = Template::payload(size).stamp(MARK, &mut BytesMut::new());
            assert_eq!(body.len(), size);
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(json["bw"], "0000000001234567.000000000042");
        }
    }

    #[test]
    fn a_size_too_small_gives_the_smallest_document() {
        let body = Template::payload(1).stamp(MARK, &mut BytesMut::new());
        assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
        assert_eq!(Mark::find(&body), Some(MARK));
    }

    #[test]
    fn mark_is_read_back_from_payload_and_from_what_a_server_re_serialised() {
        let mut buffer = BytesMut::new();
        let body = Template::message("invoice.paid", 300).stamp(MARK, &mut buffer);
        let message: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(message["eventType"], "invoice.paid");
        let payload = serde_json::to_vec(&message["payload"]).unwrap();
        assert_eq!(Mark::find(&payload), Some(MARK));
        let pretty = br#"{ "a": 1, "bw": "0000000001234567.000000000042" }"#;
        assert_eq!(Mark::find(pretty), Some(MARK));
    }

    #[test]
    fn a_message_carries_its_further_members() {
        let template = Template::message_with("invoice.paid", "\"channels\":[\"lane-3\"],", 300);
        let body = template.stamp(MARK, &mut BytesMut::new());
        let message: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(message["channels"], serde_json::json!(["lane-3"]));
        assert_eq!(message["payload"]["bw"], "0000000001234567.000000000042");
    }

    #[test]
    fn what_bears_no_mark_is_not_taken_for_one() {
        for text in [
            "",
            "{}",
            "{\"bw\":\"",
            "{\"bw\":\"0000000001234567_000000000042\"}",
            "{\"bw\":12}",
        ] {
            assert_eq!(Mark::find(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Mark::find(b"{\"bw\":\"000000000123456x.000000000042\"}"), None);
    }

    #[test]
    fn a_fixed_body_stays_as_it_is_and_is_not_copied() {
        let body = Bytes::from_static(b"{}");
        let stamped = Template::fixed(body.clone()).stamp(MARK, &mut BytesMut::new());
        assert_eq!((stamped.as_ptr(), &stamped), (body.as_ptr(), &body));
    }

    #[test]
    fn stamping_again_after_the_copy_is_gone_reuses_the_allocation() {
        let template = Template::payload(1_024);
        let mut buffer = BytesMut::new();
        let first = template.stamp(MARK, &mut buffer);
        let address = first.as_ptr();
        drop(first);
        let second = template.stamp(Mark { seq: 43, ..MARK }, &mut buffer);
        assert_eq!(second.as_ptr(), address);
    }
}
