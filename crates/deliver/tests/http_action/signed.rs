//! What a receiver sees of order, HTTP message signatures and batches, on the wire.

use bellwire_core::{
    batch::BatchFormat,
    order::Place,
    sign::{
        TOLERANCE,
        http::{self, Request},
        kept,
    },
};

use super::*;

/// A request as it came.
struct Seen {
    target_uri: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} twice");
        value
    }

    fn verify(&self, key: &SigningKey) -> Result<http::HttpVerified, http::HttpMismatch> {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let request = Request {
            method: "POST",
            target_uri: &self.target_uri,
            headers: &headers,
        };
        http::verify(
            &request,
            self.body.as_bytes(),
            &[key.verifying()],
            NOW.secs(),
            Some(TOLERANCE),
        )
    }
}

/// Attempts a letter at a receiver that takes it: what it saw, and the outcome.
async fn sent(change: impl FnOnce(&mut Endpoint), works: &[Work], letter: Letter<'_>) -> (Seen, Outcome) {
    let seen = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&seen);
    let (address, _) = receiver(move |mut stream, _| {
        let keep = Arc::clone(&keep);
        async move {
            *keep.lock().unwrap() = read_request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let mut endpoint = endpoint(&format!("http://{address}/hook?x=1"));
    change(&mut endpoint);
    let outcome = attempt(&action(), endpoint, works, letter).await;
    assert_eq!(outcome.status_code, 204);
    let (head, body) = seen.lock().unwrap().take().unwrap();
    let headers: Vec<_> = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let target = head.split(' ').nth(1).unwrap();
    let target_uri = format!("http://{address}{target}");
    (
        Seen {
            target_uri,
            headers,
            body,
        },
        outcome,
    )
}

fn placed(number: u64, previous: Option<u64>, key: &str) -> Work {
    Work {
        place: Some(Arc::new(Place {
            key: Arc::from(key),
            sequence: number,
            previous,
        })),
        ..work(number)
    }
}

fn payload(work: &Work) -> Bytes {
    work.message.payload.clone().unwrap()
}

#[tokio::test]
async fn a_place_in_line_is_told_and_only_where_there_is_one() {
    let first = placed(5, Some(3), "Größe 7");
    let (seen, outcome) = sent(
        |_| {},
        std::slice::from_ref(&first),
        Letter::single(&first, payload(&first)),
    )
    .await;
    assert_eq!(seen.header("webhook-sequence"), Some("5"));
    assert_eq!(seen.header("webhook-previous-sequence"), Some("3"));
    assert_eq!(seen.header("webhook-ordering-key"), Some("Gr%C3%B6%C3%9Fe%207"));
    assert!(seen.header("signature").is_none() && seen.header("content-digest").is_none());
    let (signature, more) = kept(&outcome.signature);
    assert_eq!(Some(signature), seen.header("webhook-signature"));
    let expected = [
        ("webhook-sequence", "5"),
        ("webhook-previous-sequence", "3"),
        ("webhook-ordering-key", "Gr%C3%B6%C3%9Fe%207"),
    ];
    assert_eq!(more.collect::<Vec<_>>(), expected);

    let again = placed(5, None, "");
    let (seen, _) = sent(
        |_| {},
        std::slice::from_ref(&again),
        Letter::single(&again, payload(&again)),
    )
    .await;
    assert_eq!(seen.header("webhook-sequence"), Some("5"));
    assert!(seen.header("webhook-previous-sequence").is_none() && seen.header("webhook-ordering-key").is_none());

    let plain = work(5);
    let (seen, outcome) = sent(
        |_| {},
        std::slice::from_ref(&plain),
        Letter::single(&plain, payload(&plain)),
    )
    .await;
    assert!(seen.header("webhook-sequence").is_none());
    assert_eq!(Some(outcome.signature.as_str()), seen.header("webhook-signature"));
}

#[tokio::test]
async fn every_live_key_signs_the_request_as_it_was_sent() {
    let (new, old) = (
        SigningKey::generate_asymmetric([9; 32]).unwrap(),
        SigningKey::generate_symmetric([8; 24]),
    );
    let live = |key: &SigningKey, expires_at| LiveKey {
        key: key.clone(),
        expires_at,
    };
    let keys = vec![
        live(&new, None),
        live(&old, Some(NOW.plus(Duration::from_secs(60)))),
        live(&SigningKey::generate_symmetric([7; 24]), Some(NOW)),
    ];
    let change = |endpoint: &mut Endpoint| {
        endpoint.keys = keys;
        endpoint.http_signatures = true;
    };
    let mut text = placed(5, Some(3), "k");
    let message = Arc::make_mut(&mut text.message);
    message.content_type = Some("text/plain; charset=utf-8".to_owned());
    let (mut seen, outcome) = sent(
        change,
        std::slice::from_ref(&text),
        Letter::single(&text, payload(&text)),
    )
    .await;
    let first = seen.verify(&new).unwrap();
    assert_eq!((first.label.as_str(), first.algorithm), ("sig1", "ed25519"));
    assert_eq!(
        first.covered,
        [
            "@method",
            "@target-uri",
            "content-digest",
            "content-type",
            "webhook-id",
            "webhook-timestamp",
            "webhook-sequence",
            "webhook-previous-sequence",
            "webhook-ordering-key"
        ]
    );
    let second = seen.verify(&old).unwrap();
    assert_eq!((second.label.as_str(), second.algorithm), ("sig2", "hmac-sha256"));
    assert!(
        seen.verify(&SigningKey::generate_symmetric([7; 24])).is_err(),
        "a key at its end signs no more"
    );
    let (_, more) = kept(&outcome.signature);
    for (name, value) in more {
        assert_eq!(seen.header(name), Some(value), "what is kept is what was sent");
    }
    assert!(outcome.signature.contains("\nsignature-input: sig1=("));
    seen.headers.retain(|(name, _)| name != "webhook-previous-sequence");
    assert!(seen.verify(&new).is_err());
}

#[tokio::test]
async fn a_batch_is_one_signed_request() {
    let works = [placed(5, Some(3), "a"), placed(9, Some(8), "b")];
    let payloads: Vec<_> = works.iter().map(payload).collect();
    let pairs: Vec<_> = works.iter().zip(&payloads).collect();
    let letter = Letter::batch(&pairs, BatchFormat::Cloudevents, "").unwrap();
    let (seen, outcome) = sent(|endpoint| endpoint.http_signatures = true, &works, letter).await;
    let id = seen.header("webhook-id").unwrap();
    assert_eq!(id, works[0].message.id.to_string().replace("msg_", "batch_"));
    assert_eq!(seen.header("svix-id"), Some(id));
    assert_eq!(seen.header("content-type"), Some("application/cloudevents-batch+json"));
    assert!(seen.header("traceparent").is_none() && seen.header("webhook-sequence").is_none());
    assert_eq!(seen.body.matches(BODY).count(), 2, "the published bytes: {}", seen.body);
    let key = SigningKey::generate_symmetric([7; 24]);
    seen.verify(&key).unwrap();
    let headers = SignedHeaders::from_pairs(seen.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let received = Received {
        headers,
        body: seen.body.as_bytes(),
    };
    sign::verify(&received, &[key.verifying()], NOW.secs(), Some(TOLERANCE)).unwrap();
    let (_, more) = kept(&outcome.signature);
    let more: Vec<_> = more.map(|(name, _)| name).collect();
    assert_eq!(
        more,
        [
            "webhook-id",
            "content-type",
            "content-digest",
            "signature-input",
            "signature"
        ]
    );
}

#[tokio::test]
async fn every_attempt_is_signed_anew_on_a_connection_that_is_kept() {
    let (url, connections) = answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let action = action();
    let plain = work(1);
    for _ in 0..3 {
        let endpoint = Endpoint {
            http_signatures: true,
            ..endpoint(&url)
        };
        let outcome = attempt(
            &action,
            endpoint,
            std::slice::from_ref(&plain),
            Letter::single(&plain, payload(&plain)),
        )
        .await;
        assert!(
            outcome.signature.contains(";created=1766000000;"),
            "{}",
            outcome.signature
        );
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}
