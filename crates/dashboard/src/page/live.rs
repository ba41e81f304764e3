//! What happens, as it happens.
//!
//! The stream is the API's tail, handed on. What comes faster than anybody can read is left out here, before it reaches the network, and
//! the page is told how much.

use std::collections::VecDeque;

use askama::Template;
use axum::{body::Body, response::Response};
use bellwire_core::time::Timestamp;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::Method;

use crate::{
    Now,
    answer::Answer,
    frame::{Frame, Section},
    link::query,
    read::{List, name::Application},
    visit::Visit,
};

/// Events that a page is shown in a second.
const EVENTS_A_SECOND: u32 = 20;
/// The longest event that is waited for, in bytes.
const EVENT_MAX: usize = 1 << 20;

#[derive(Template)]
#[template(path = "live.html")]
struct Live {
    frame: Frame,
    apps: Vec<Application>,
    app: String,
    endpoint: String,
    failed: bool,
    stream: String,
}

fn asked(visit: &Visit) -> String {
    let failed = if visit.asks("failed") == "true" { "true" } else { "" };
    query([
        ("app", visit.asks("app")),
        ("endpoint", visit.asks("endpoint")),
        ("failed", failed),
    ])
}

pub(crate) async fn show(visit: Visit) -> Answer {
    let apps: Option<List<Application>> = visit.find("/api/v1/app?limit=250").await?;
    let stream = visit.guest.path(&format!("/live/event{}", asked(&visit)));
    visit.page(&Live {
        frame: visit.frame(Section::Live, "Live"),
        apps: apps.unwrap_or_default().data,
        app: visit.asks("app").to_owned(),
        endpoint: visit.asks("endpoint").to_owned(),
        failed: visit.asks("failed") == "true",
        stream,
    })
}

pub(crate) async fn events(visit: Visit) -> Answer {
    let path = format!("/api/v1/tail{}", asked(&visit));
    let response = visit.ask(Method::GET, &path, None).await;
    let (parts, body) = response.map_err(|failure| visit.refuse(&failure))?.into_parts();
    let thinned = Thinned {
        now: visit.guest.shell.now.clone(),
        sampler: Sampler::default(),
        whole: Vec::new(),
        ready: VecDeque::new(),
    };
    let frames = body.into_data_stream();
    let stream = stream::unfold((frames, thinned), |(mut frames, mut thinned)| async move {
        loop {
            if let Some(ready) = thinned.ready.pop_front() {
                return Some((Ok::<_, axum::Error>(ready), (frames, thinned)));
            }
            match frames.next().await? {
                Ok(bytes) => thinned.take(&bytes),
                Err(error) => return Some((Err(error), (frames, thinned))),
            }
        }
    });
    Ok(Response::from_parts(parts, Body::from_stream(stream)))
}

/// A stream of events of which some are left out.
struct Thinned {
    now: Now,
    sampler: Sampler,
    /// The beginning of an event.
    whole: Vec<u8>,
    ready: VecDeque<Bytes>,
}

impl Thinned {
    fn take(&mut self, bytes: &[u8]) {
        self.whole.extend_from_slice(bytes);
        while let Some(end) = self.whole.windows(2).position(|pair| pair == b"\n\n") {
            let event: Vec<u8> = self.whole.drain(..end + 2).collect();
            // Comments keep the connection alive; they are no events.
            let passes = event.starts_with(b":") || self.sampler.passes((self.now)());
            if passes {
                if let Some(left_out) = self.sampler.left_out() {
                    let told = format!("event: sampled\ndata: {{\"leftOut\":{left_out}}}\n\n");
                    self.ready.push_back(Bytes::from(told));
                }
                self.ready.push_back(Bytes::from(event));
            }
        }
        if self.whole.len() > EVENT_MAX {
            self.whole.clear();
        }
    }
}

/// Decides which events are shown.
#[derive(Debug, Default)]
struct Sampler {
    second: i64,
    shown: u32,
    left_out: u64,
}

impl Sampler {
    fn passes(&mut self, now: Timestamp) -> bool {
        if now.secs() != self.second {
            self.second = now.secs();
            self.shown = 0;
        }
        if self.shown >= EVENTS_A_SECOND {
            self.left_out += 1;
            return false;
        }
        self.shown += 1;
        true
    }

    /// How many were left out since this was asked last.
    fn left_out(&mut self) -> Option<u64> {
        Some(std::mem::take(&mut self.left_out)).filter(|left_out| *left_out > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_766_000_000);

    #[test]
    fn what_comes_too_fast_is_left_out_and_counted() {
        let mut sampler = Sampler::default();
        let shown = (0..100).filter(|_| sampler.passes(NOON)).count();
        assert_eq!(shown, EVENTS_A_SECOND as usize);
        assert!(sampler.passes(NOON.plus(std::time::Duration::from_secs(1))));
        assert_eq!(sampler.left_out(), Some(80));
        assert_eq!(sampler.left_out(), None);
    }

    #[test]
    fn events_are_put_together_and_comments_always_pass() {
        let mut thinned = Thinned {
            now: Arc::new(|| NOON),
            sampler: Sampler {
                second: NOON.secs(),
                shown: EVENTS_A_SECOND - 1,
                left_out: 0,
            },
            whole: Vec::new(),
            ready: VecDeque::new(),
        };
        thinned.take(b"event: a\nda");
        assert!(thinned.ready.is_empty());
        thinned.take(b"ta: 1\n\nevent: b\ndata: 2\n\n:\n\n");
        let ready: Vec<_> = thinned
            .ready
            .iter()
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            .collect();
        assert_eq!(
            ready,
            [
                "event: a\ndata: 1\n\n",
                "event: sampled\ndata: {\"leftOut\":1}\n\n",
                ":\n\n"
            ]
        );
    }
}
