//! `…/endpoint/{endpoint_id}/backtest`: what a change would have done to past messages, before it is saved.
//!
//! Nothing is kept and nothing is sent. The endpoint as it is and as it would be judge the same messages by the same code that
//! routes and transforms; what differs is decided by [`judge`], which is pure.

mod judge;
mod lines;

use std::sync::Arc;

use bellwire_core::{id::MessageId, time::Timestamp};
use bellwire_store::{
    directory::EndpointEntry,
    query::{MessageFilter, Order, Page, Start},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::judge::{Compared, compare};
use super::settings::EndpointPatch;
use crate::{
    auth::Access,
    call::{Call, Reply},
    error::ApiError,
    field::Time,
    operation::{Operation, Repetition, post},
    problem::Problem,
    query::NoQuery,
};

/// Messages when nothing is asked, and at most.
const LAST: (usize, u64) = (200, 1_000);
/// Messages that are read at once, with their payloads.
const CHUNK: usize = 50;
/// Rows of an answer.
const ROWS_MAX: usize = 100;
/// Bodies of an answer when nothing is asked, and at most.
const BODIES: (usize, u64) = (3, 20);

pub(super) fn operations() -> Vec<Operation> {
    vec![
        post(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/backtest",
            "backtest_endpoint",
            Access::READ_APP,
        )
        .summary("Try a change of an endpoint on past messages")
        .about(
            "What the changed endpoint would have done with the application's last messages (200, or as asked up to 1,000): which it \
             would get or no longer get, and why, and how what is sent would differ. Nothing is saved, nothing is sent.",
        )
        .statuses(&[200])
        .repetition(Repetition::Harmless)
        .to(backtest),
    ]
}

/// What to try.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BacktestIn {
    /// What would change: as in a PATCH of the endpoint.
    change: EndpointPatch,
    /// On so many messages, the newest: 1 to 1,000, 200 when left out.
    #[schemars(range(min = 1, max = 1_000))]
    last: Option<u64>,
    /// Only on messages accepted then or later.
    since: Option<Time>,
    /// How many of the bodies that differ are shown: 0 to 20, 3 when left out.
    #[schemars(range(min = 0, max = 20))]
    bodies: Option<u64>,
}

/// What the change would have done.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct BacktestOut {
    /// Messages looked at.
    seen: u64,
    /// When the oldest of them was accepted.
    #[schemars(with = "Option<Time>")]
    from: Option<Timestamp>,
    /// When the newest of them was accepted.
    #[schemars(with = "Option<Time>")]
    to: Option<Timestamp>,
    /// How many the endpoint as it is wants.
    matched_before: u64,
    /// How many the changed one would want.
    matched_after: u64,
    /// How many only the changed one would want.
    gained: u64,
    /// How many it would no longer want.
    lost: u64,
    /// Of those that both want, for how many something else would be sent.
    bodies_changed: u64,
    /// For how many of those that the changed one wants its transformation would fail.
    failed: u64,
    /// How many could not be judged, because their payload is gone.
    unknown: u64,
    /// Those that differ or fail, newest first; 100 at most.
    rows: Vec<RowOut>,
}

/// A message that the change makes a difference to.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "BacktestRowOut")]
struct RowOut {
    #[schemars(with = "String")]
    msg_id: MessageId,
    event_type: String,
    #[schemars(with = "Time")]
    timestamp: Timestamp,
    /// Whether the endpoint as it is wants it.
    before: bool,
    /// Whether the changed one would.
    after: bool,
    /// Why, in words.
    because: String,
    /// What would be sent; of a few rows only.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<BodyOut>,
}

/// What is sent, before and after.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BacktestBodyOut")]
struct BodyOut {
    before: String,
    /// Why there is none, when the transformation fails.
    after: String,
    /// Lines that are gone (`-`), new (`+`) and the same (a space).
    difference: String,
}

async fn backtest(Call { cx, body, .. }: Call<NoQuery, BacktestIn>) -> Result<Reply<BacktestOut>, ApiError> {
    let app = cx.app()?;
    let before = cx.endpoint(&app)?;
    let last = bounded(body.last, LAST, 1, "last")?;
    let bodies = bounded(body.bodies, BODIES, 0, "bodies")?;
    let mut endpoint = before.endpoint.clone();
    body.change.apply(&cx.server, &mut endpoint)?;
    let after = EndpointEntry::new(endpoint, before.environment, Arc::clone(&before.lane));
    let filter = MessageFilter {
        after: body.since.map(|Time(since)| since),
        ..MessageFilter::default()
    };
    let mut tally = Tally {
        bodies_left: bodies,
        out: BacktestOut::default(),
    };
    let mut start = Start::First;
    while (tally.out.seen as usize) < last {
        let page = Page {
            limit: CHUNK.min(last - tally.out.seen as usize),
            start,
            order: Order::Descending,
        };
        let rows = cx.server.store.messages(app.id, filter.clone(), page, true).await?;
        for message in &rows.items {
            tally.add(message.id, &message.event_type, compare(&before, &after, message));
        }
        match rows.items.last() {
            Some(last) if rows.more => start = Start::After(bellwire_core::id::Id::number(last.id)),
            _ => break,
        }
    }
    Reply::ok(&tally.out)
}

fn bounded(asked: Option<u64>, (default, most): (usize, u64), least: u64, name: &str) -> Result<usize, ApiError> {
    match asked {
        None => Ok(default),
        Some(n) if (least..=most).contains(&n) => Ok(n as usize),
        Some(n) => {
            let msg = format!("{n} is out of bounds; give {least} to {most}");
            Err(ApiError::invalid(Problem::body([name], msg)))
        }
    }
}

/// What was compared so far.
struct Tally {
    bodies_left: usize,
    out: BacktestOut,
}

impl Tally {
    fn add(&mut self, id: MessageId, event_type: &str, compared: Compared) {
        let at = bellwire_core::id::Id::created_at(id);
        let out = &mut self.out;
        out.seen += 1;
        out.from = Some(at);
        out.to = out.to.or(Some(at));
        let Some(judged) = compared.judged else {
            out.unknown += 1;
            return;
        };
        out.matched_before += u64::from(judged.before);
        out.matched_after += u64::from(judged.after);
        out.gained += u64::from(judged.after && !judged.before);
        out.lost += u64::from(judged.before && !judged.after);
        out.failed += u64::from(judged.failed);
        let differs = judged.bodies.is_some();
        out.bodies_changed += u64::from(differs && !judged.failed);
        if (judged.before == judged.after && !differs) || out.rows.len() == ROWS_MAX {
            return;
        }
        let bodies = judged.bodies.filter(|_| self.bodies_left > 0);
        self.bodies_left -= usize::from(bodies.is_some());
        out.rows.push(RowOut {
            msg_id: id,
            event_type: event_type.to_owned(),
            timestamp: at,
            before: judged.before,
            after: judged.after,
            because: judged.because,
            body: bodies.map(|(before, after)| BodyOut {
                difference: lines::difference(&before, &after),
                before,
                after,
            }),
        });
    }
}
