//! Who goes along: which of the deliveries at hand one request carries. Pure.

use bellwire_core::{
    batch::{self, BatchSettings, Filling},
    delivery::Work,
};
use bytes::Bytes;

use crate::action::Letter;

/// What becomes of one delivery in this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// It is carried.
    Sent,
    /// Its payload is gone: it ends without being sent.
    Expired,
    /// It does not go together with those that are carried.
    Later,
}

/// Says for each delivery what becomes of it, and what is sent; nothing when every payload is gone.
///
/// The first that has a payload is always carried. The others join it as [`Filling`] says, at an endpoint that wants batches;
/// one that is not JSON goes alone and as it is.
pub(super) fn shares<'a>(
    works: &'a [Work],
    settings: Option<BatchSettings>,
    server: &str,
) -> (Vec<Share>, Option<Letter<'a>>) {
    let mut filling = Filling::default();
    let mut single = None;
    let mut together: Vec<(&Work, &Bytes)> = Vec::new();
    let shares = works
        .iter()
        .map(|work| {
            let Some(payload) = &work.message.payload else {
                return Share::Expired;
            };
            if single.is_some() {
                return Share::Later;
            }
            let joins = settings.filter(|_| !batch::goes_alone(&work.message) && batch::is_json(payload));
            match joins {
                Some(settings) if filling.fits(settings, &work.message) => {
                    filling.add(&work.message);
                    together.push((work, payload));
                    Share::Sent
                }
                None if together.is_empty() => {
                    single = Some((work, payload));
                    Share::Sent
                }
                _ => Share::Later,
            }
        })
        .collect();
    let letter = match (single, settings) {
        (Some((work, payload)), _) => Some(Letter::single(work, payload.clone())),
        (None, Some(settings)) => Letter::batch(&together, settings.format, server),
        (None, None) => None,
    };
    (shares, letter)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bellwire_core::{
        batch::{BYTES_MAX, BatchFormat},
        time::span::Span,
    };

    use super::{super::tests::work, Share::*, *};

    const SETTINGS: BatchSettings = BatchSettings {
        messages_max: 3,
        wait: Span(Duration::ZERO),
        format: BatchFormat::Json,
    };

    #[test]
    fn a_single_delivery_is_its_message_as_published() {
        let works = [work(5, Some("{ }"), None)];
        let (shares, letter) = shares(&works, None, "");
        let letter = letter.unwrap();
        assert_eq!(
            (shares, letter.id, letter.content_type),
            (vec![Sent], works[0].message.id.to_string(), "application/json")
        );
        assert_eq!((letter.body.as_ref(), letter.place.unwrap().sequence), (&b"{ }"[..], 5));
        assert!(letter.traceparent.is_some());
    }

    #[test]
    fn a_batch_leaves_out_what_expired_and_what_does_not_fit() {
        let works = [
            work(1, None, None),
            work(2, Some("{}"), None),
            work(3, Some("raw"), Some("text/plain")),
            work(4, Some("{},{}"), None),
            work(5, Some("[]"), None),
            work(6, Some("1"), None),
            work(7, Some("2"), None),
        ];
        let (shares, letter) = shares(&works, Some(SETTINGS), "");
        assert_eq!(shares, [Expired, Sent, Later, Later, Sent, Sent, Later]);
        let letter = letter.unwrap();
        assert_eq!(letter.id, batch::id(works[1].message.id));
        assert!(letter.place.is_none() && letter.traceparent.is_none());
        let found: serde_json::Value = serde_json::from_slice(&letter.body).unwrap();
        let sequences: Vec<_> = found
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["sequence"].as_u64().unwrap())
            .collect();
        assert_eq!(sequences, [2, 5, 6]);
    }

    #[test]
    fn a_message_alone_at_a_batching_endpoint_is_a_batch_of_one_with_its_trace() {
        let works = [work(1, Some("{}"), None)];
        let (_, letter) = shares(&works, Some(SETTINGS), "");
        let letter = letter.unwrap();
        assert!(letter.id.starts_with("batch_") && letter.body.starts_with(b"[{") && letter.traceparent.is_some());
    }

    #[test]
    fn what_is_not_json_goes_alone_and_as_it_is() {
        for (text, content_type) in [("raw", Some("text/plain")), ("{},{}", None)] {
            let works = [work(1, Some(text), content_type), work(2, Some("{}"), None)];
            let (shares, letter) = shares(&works, Some(SETTINGS), "");
            let letter = letter.unwrap();
            assert_eq!((shares, letter.body.as_ref()), (vec![Sent, Later], text.as_bytes()));
            assert_eq!(letter.id, works[0].message.id.to_string());
        }
    }

    #[test]
    fn when_batches_are_no_longer_wanted_the_first_goes_alone() {
        let works = [work(1, Some("{}"), None), work(2, Some("{}"), None)];
        let (shares, letter) = shares(&works, None, "");
        assert_eq!((shares, letter.unwrap().body.as_ref()), (vec![Sent, Later], &b"{}"[..]));
    }

    #[test]
    fn a_batch_stays_within_its_bytes_and_nothing_is_sent_of_nothing() {
        let large = "1".repeat(BYTES_MAX - 1);
        let works = [
            work(1, Some(&large), None),
            work(2, Some("22"), None),
            work(3, Some("3"), None),
        ];
        assert_eq!(shares(&works, Some(SETTINGS), "").0, [Sent, Later, Sent]);
        let works = [work(1, None, None)];
        let (shares, letter) = shares(&works, Some(SETTINGS), "");
        assert!(shares == [Expired] && letter.is_none());
    }
}
