//! The kind `email`: hands a letter to a mail server.
//!
//! A letter is handed over at least once: when the server's last word is lost, the next attempt sends it again, with the same
//! `Message-ID`.

mod dialog;
mod session;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bellwire_action::{
    Compiled as _,
    email::{Letter, Settings},
};
use bellwire_core::{
    attempt::Failure,
    endpoint::Endpoint,
    time::{Timestamp, format_span},
};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use self::session::Session;
use super::{
    dispatch::ActionParts,
    executor::{Effect, Executor, Task, Undone, unusable},
    pool::Pool,
};
use crate::guard::Guard;

/// So many sessions one endpoint has at once; mail servers allow one sender few.
const SESSIONS_MAX: usize = 4;

/// Sends one endpoint's letters.
struct EmailAction {
    settings: Settings,
    guard: Arc<Guard>,
    sessions: Pool<Session>,
}

pub(super) fn make(
    parts: &Arc<ActionParts>,
    endpoint: &Endpoint,
    settings: &Value,
) -> Result<Arc<dyn Executor>, Failure> {
    let settings = Settings::read(settings).map_err(|problem| unusable(&problem))?;
    Ok(Arc::new(EmailAction::new(settings, Arc::clone(parts.guard(endpoint)))))
}

#[async_trait]
impl Executor for EmailAction {
    async fn carry_out(&self, task: &Task<'_>) -> Result<Effect, Undone> {
        let letter = self.settings.plan(&task.event)?;
        let begin = || task.begin();
        let said = self.send(&letter, task.started_at, task.timeout, &begin).await?;
        Ok(Effect::done(said))
    }

    /// The time is ours to keep: only here it is known how far a letter had come.
    fn grace(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn sweep(&self, unused: Duration) {
        self.sessions.sweep(unused);
    }
}

impl EmailAction {
    fn new(settings: Settings, guard: Arc<Guard>) -> Self {
        Self {
            settings,
            guard,
            sessions: Pool::new(SESSIONS_MAX),
        }
    }

    /// Sends a letter; what the server said to it.
    async fn send(
        &self,
        letter: &Letter,
        date: Timestamp,
        timeout: Duration,
        begin: &(dyn Fn() -> Result<(), Undone> + Sync),
    ) -> Result<String, Undone> {
        let mail = letter.write(date)?;
        let deadline = Instant::now() + timeout;
        let late = |what: &str| Failure {
            reason: "smtp_timeout",
            detail: format!("{what} within {}", format_span(timeout)),
        };
        let not_ready = "the mail server was not ready for a letter";
        let slot = timeout_at(deadline, self.sessions.slot()).await;
        let _slot = slot.map_err(|_| late(not_ready))?;
        let session = timeout_at(deadline, self.session()).await;
        let mut session = session.unwrap_or_else(|_| Err(late(not_ready)))?;
        if let Err(undone) = begin() {
            self.sessions.put(session);
            return Err(undone);
        }
        let sent = timeout_at(deadline, session.send(&mail)).await;
        let sent = sent.unwrap_or_else(|_| Err(late("the mail server did not take the letter, or did not say so,")));
        if !matches!(&sent, Err(failure) if matches!(failure.reason, "smtp_failed" | "smtp_timeout")) {
            self.sessions.put(session);
        }
        Ok(sent?)
    }

    /// A session that was kept and is still good, or a new one.
    async fn session(&self) -> Result<Session, Failure> {
        while let Some(mut kept) = self.sessions.take() {
            if kept.is_alive().await {
                return Ok(kept);
            }
        }
        Session::open(self.settings.server(), &self.guard).await
    }
}
