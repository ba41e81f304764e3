//! Webhooks come in: signed as GitHub signs them, each with a delivery id of its own, and answered when they are durable.
//!
//! What is measured is the way in alone: requests answered 2xx each second, and how long the answer takes. The URL may be another
//! program's (`--hook-url`), so that a peer is measured by the same generator.

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use ring::hmac;
use serde_json::{Value, json};

use super::Context;
use super::stage::{Reading, Stage, cpu};
use crate::api::Api;
use crate::mark::Template;
use crate::process::{self, Usage};
use crate::publish::{IdHeader, Pace, Publisher, Run, Slot, Target, Turns};
use crate::report::Figures;
use crate::sink::Sink;
use crate::verdict::Aim;

/// Who signs when nobody says.
const SECRET: &str = "a-secret-for-measuring-only";

/// Webhooks to a source of a server, or to `--hook-url`.
pub(super) async fn run(context: &Context<'_>, per_second: Option<u32>) -> anyhow::Result<Figures> {
    let mut figures = match &context.args.hook_url {
        Some(url) => of_url(context, url, per_second).await?,
        None => of_source(context, per_second).await?,
    };
    if context.args.load.quick {
        return Ok(figures);
    }
    match per_second {
        None => figures.judge(
            "accepts per second",
            Some(figures.publishes_per_s),
            Aim::AtLeast(15_000.0),
        ),
        Some(_) => figures.judge("answer p99, ms", figures.ack_ms.map(|p| p.p99), Aim::AtMost(3.0)),
    }
    Ok(figures)
}

async fn of_source(context: &Context<'_>, per_second: Option<u32>) -> anyhow::Result<Figures> {
    let secret = context.args.hook_secret.as_deref().unwrap_or(SECRET);
    let mut stage = Stage::open(context).await?;
    let source = stage.source(secret).await?;
    let path = stage.api.source_path(&source);
    let target = target(&stage.api, &path, context.args.hook_bytes, secret)?;
    let mut publisher = publisher(context, target, per_second).await?;
    warm_up(context, &mut publisher, per_second).await?;
    let before = stage.read();
    let run = publisher.run(pace(per_second), context.extent()).await?;
    let mut figures = figures(&run);
    stage.finish(&before, &mut figures).await;
    stage.close().await?;
    Ok(figures)
}

async fn of_url(context: &Context<'_>, url: &str, per_second: Option<u32>) -> anyhow::Result<Figures> {
    let secret = context
        .args
        .hook_secret
        .as_deref()
        .context("--hook-url needs the secret its webhooks are signed with; give --hook-secret")?;
    let api = Api::new(url, "").await?;
    let path = url
        .parse::<Uri>()?
        .path_and_query()
        .map_or("/".to_owned(), ToString::to_string);
    let target = target(&api, &path, context.args.hook_bytes, secret)?;
    let mut publisher = publisher(context, target, per_second).await?;
    let usage = || process::usage(&context.args.pid);
    let idle = usage();
    warm_up(context, &mut publisher, per_second).await?;
    let before = Reading::of(usage());
    let run = publisher.run(pace(per_second), context.extent()).await?;
    let mut figures = figures(&run);
    let after: Option<Usage> = usage();
    figures.cpu_s_per_1000 = cpu(&before, &Reading::of(after), figures.published);
    figures.rss_idle_mib = idle.map(|usage| usage.rss_mib);
    figures.rss_mib = after.map(|usage| usage.rss_mib);
    figures.rss_peak_mib = after.map(|usage| usage.rss_peak_mib);
    Ok(figures)
}

fn pace(per_second: Option<u32>) -> Pace {
    per_second.map_or(Pace::Full, Pace::PerSecond)
}

async fn warm_up(context: &Context<'_>, publisher: &mut Publisher, per_second: Option<u32>) -> anyhow::Result<()> {
    if let Some(extent) = context.warm_up() {
        publisher.run(pace(per_second), extent).await?;
    }
    Ok(())
}

async fn publisher(context: &Context<'_>, target: Target, per_second: Option<u32>) -> anyhow::Result<Publisher> {
    let connections = match per_second {
        None => context.args.connections,
        Some(_) => context.args.connections.min(16),
    };
    // Nothing arrives there: it lends its ledger of what was acknowledged.
    let sink = Sink::bind(context.clock, 1).await?;
    Publisher::connect(target, connections, sink.ledger().clone(), context.clock).await
}

/// What is posted: one body, signed once, and a delivery id of its own for each request, which GitHub does not sign.
fn target(api: &Api, path: &str, bytes: usize, secret: &str) -> anyhow::Result<Target> {
    let body = Bytes::from(push(bytes).to_string());
    let mut headers = HeaderMap::new();
    let host = api.headers().get(header::HOST).context("a target has a host")?;
    headers.insert(header::HOST, host.clone());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static("GitHub-Hookshot/0000000"));
    headers.insert(
        HeaderName::from_static("x-github-event"),
        HeaderValue::from_static("push"),
    );
    let signature = HeaderValue::from_str(&signature(secret, &body))?;
    headers.insert(HeaderName::from_static("x-hub-signature-256"), signature);
    let id = IdHeader {
        name: HeaderName::from_static("x-github-delivery"),
        prefix: format!("{}-", crate::server::random_hex()?),
    };
    Ok(Target {
        addresses: vec![api.address],
        headers,
        slots: vec![Slot {
            uri: path.parse()?,
            template: Template::fixed(body),
            id: Some(id),
        }],
        turns: Turns::Any,
    })
}

/// `X-Hub-Signature-256` (GitHub, "Validating webhook deliveries").
fn signature(secret: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, body);
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

/// The event `push`, with as many commits as make it about so many bytes.
fn push(bytes: usize) -> Value {
    let commit = |number: usize| {
        json!({
            "id": format!("{number:040x}"),
            "message": "Mend the door so that it closes by itself",
            "timestamp": "2026-11-02T09:15:00+01:00",
            "url": format!("https://github.com/example/house/commit/{number:040x}"),
            "author": {"name": "A Carpenter", "email": "carpenter@example.com", "username": "carpenter"},
            "added": ["doors/hinge.rs"], "removed": [], "modified": ["doors/mod.rs", "CHANGELOG.md"],
        })
    };
    let commit_bytes = commit(0).to_string().len() + 1;
    let bare = json!({
        "ref": "refs/heads/main",
        "before": format!("{:040x}", 1), "after": format!("{:040x}", 2),
        "repository": {"id": 1, "name": "house", "full_name": "example/house", "private": false,
            "html_url": "https://github.com/example/house", "default_branch": "main"},
        "pusher": {"name": "carpenter", "email": "carpenter@example.com"},
        "commits": [],
    });
    let mut event = bare;
    let count = bytes.saturating_sub(event.to_string().len()) / commit_bytes;
    event["commits"] = (0..count).map(commit).collect();
    event
}

fn figures(run: &Run) -> Figures {
    let mut notes = Vec::new();
    if let Some(error) = run.last_error.as_ref().filter(|_| run.errors + run.refused > 0) {
        notes.push(format!(
            "not every request was answered 2xx; the last answer was: {error}"
        ));
    }
    let mut figures = Figures {
        published: run.acknowledged,
        publishes_per_s: run.per_second(),
        ack_ms: run.ack.percentiles(),
        refused: run.refused,
        errors: run.errors,
        notes,
        ..Figures::default()
    };
    figures.note_extra("generator_late_p99_ms", run.lateness.percentiles().map(|late| late.p99));
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_documented_example() {
        // GitHub, "Testing the webhook payload validation".
        assert_eq!(
            signature("It's a Secret to Everybody", b"Hello, World!"),
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        );
    }

    #[test]
    fn a_push_has_about_the_size_asked_for() {
        for bytes in [1_000, 8_192, 65_536] {
            let length = push(bytes).to_string().len();
            assert!((bytes - 600..=bytes).contains(&length), "{bytes}: {length}");
        }
    }
}
