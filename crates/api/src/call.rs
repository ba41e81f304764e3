//! One request as a handler sees it.
//!
//! A [`Call`] has been authenticated, and its query and body read. It looks up what the path names (and only what the caller
//! may see: everything else is 404), and commits changes together with the answer.

use std::sync::{Arc, Mutex, PoisonError};

use bellwire_core::{
    app::{App, AppKind},
    id::{AppId, EnvironmentId, MessageId},
    message::IdempotencyKey,
    source::Source,
};
use bellwire_store::{
    Change, StoredAnswer,
    audit::Subject,
    directory::{Edit, EndpointEntry},
    operational::OperationalEvent,
};
use http::HeaderMap;
use serde::Serialize;

use crate::{
    audit::Peer,
    auth::Caller,
    error::{APP_OF_SOURCE, ApiError},
    extract::NoBody,
    idempotency::REMEMBERED,
    pressure::Publishing,
    query::NoQuery,
    state::Server,
};

pub(crate) use crate::reply::{EmptyResponse, Nothing, Outcome, Reply};

/// What the name of a source's application begins with, instead of its id. No uid has a colon.
const OF_SOURCE: &str = "source:";

/// A request that may be answered. Handlers take it apart: `Call { cx, query, body }`.
pub(crate) struct Call<Q = NoQuery, B = NoBody> {
    /// Everything but query and body.
    pub cx: Context,
    /// The query's parameters.
    pub query: Q,
    /// The body.
    pub body: B,
}

/// Who asks, about what, and what it takes to answer.
pub(crate) struct Context {
    /// The state.
    pub server: Arc<Server>,
    /// Who asks; `None` only where no token is asked for.
    pub caller: Option<Caller>,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The client's promise that a repetition is one.
    pub idempotency: Option<IdempotencyKey>,
    /// The operation's statuses of success, from the table.
    pub statuses: &'static [u16],
    /// Which operation of the table it is.
    pub operation: &'static str,
    /// From where it was asked, where that is known.
    pub peer: Option<Peer>,
    /// Path parameters.
    pub params: Vec<(String, String)>,
    /// The answer shows a secret: it is kept sealed.
    pub shows_secret: bool,
    /// Its place among the publications under way, where it is one.
    pub publishing: Option<Publishing>,
    /// Held by operations that change what there is: from the first look to the commit, nobody else changes anything.
    pub edit: Mutex<Option<Edit>>,
}

impl Context {
    /// Who asks.
    ///
    /// # Errors
    /// Never where the operation asks for a token.
    pub fn caller(&self) -> Result<Caller, ApiError> {
        self.caller
            .ok_or_else(|| ApiError::internal("an operation without a caller asked who calls"))
    }

    /// The caller's environment.
    ///
    /// # Errors
    /// Never where the operation asks for a token.
    pub fn environment(&self) -> Result<EnvironmentId, ApiError> {
        Ok(self.caller()?.environment)
    }

    /// A path parameter.
    pub fn param(&self, name: &str) -> &str {
        self.params
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value)
    }

    /// The application that the path names by id or uid.
    ///
    /// # Errors
    /// `not_found`, also for one that the caller may not see.
    pub fn app(&self) -> Result<Arc<App>, ApiError> {
        let name = self.param("app_id");
        self.find_app(name)?
            .ok_or_else(|| ApiError::not_found("application", name))
    }

    /// An application by id or uid, if there is one and the caller may see it.
    pub fn find_app(&self, name: &str) -> Result<Option<Arc<App>>, ApiError> {
        Ok(self.server.find_app(self.caller()?, name))
    }

    /// The application that the path names, unless it is a source's: that is the source's to change.
    ///
    /// # Errors
    /// `not_found`, `app_of_source`.
    pub fn tenant(&self) -> Result<Arc<App>, ApiError> {
        let app = self.app()?;
        self.not_of_source(&app).map(|()| app)
    }

    /// Refuses an application that belongs to a source.
    ///
    /// # Errors
    /// `app_of_source`.
    pub fn not_of_source(&self, app: &App) -> Result<(), ApiError> {
        if app.kind != AppKind::Source {
            return Ok(());
        }
        let source = self.server.directory.source_of(app.id);
        let source = source.map_or_else(String::new, |source| format!(" `{}`", source.id));
        let detail = format!(
            "application `{}` belongs to the source{source}; use the source instead",
            app.id
        );
        Err(ApiError::new(&APP_OF_SOURCE, detail))
    }

    /// The source that the path names by id or uid.
    ///
    /// # Errors
    /// `not_found`.
    pub fn source(&self) -> Result<Arc<Source>, ApiError> {
        let name = self.param("source_id");
        let found = self.server.directory.source(self.environment()?, name);
        found.ok_or_else(|| ApiError::not_found("source", name))
    }

    /// The application of the source that the path names.
    ///
    /// # Errors
    /// `not_found`.
    pub fn app_of_source(&self) -> Result<Arc<App>, ApiError> {
        let source = self.source()?;
        let app = self.server.directory.app_by_id(source.app);
        // Deleted a moment ago, both at once.
        app.ok_or_else(|| ApiError::not_found("source", self.param("source_id")))
    }

    /// Refuses to change what the hooks file says: the application of a source that is kept there, and its endpoints.
    ///
    /// # Errors
    /// `source_managed`.
    pub fn not_managed(&self, app: &App) -> Result<(), ApiError> {
        match self.server.directory.source_of(app.id) {
            Some(source) if source.managed => Err(ApiError::managed(&source)),
            _ => Ok(()),
        }
    }

    /// The application's endpoint that the path names by id or uid.
    ///
    /// # Errors
    /// `not_found`.
    pub fn endpoint(&self, app: &App) -> Result<Arc<EndpointEntry>, ApiError> {
        let name = self.param("endpoint_id");
        self.server
            .directory
            .endpoint(app.id, name)
            .ok_or_else(|| ApiError::not_found("endpoint", name))
    }

    /// The application's message that the path names by id or event id. That an id is one does not mean that there is a
    /// message with it.
    ///
    /// # Errors
    /// `not_found`, and those of the store.
    pub async fn message_id(&self, app: &App) -> Result<MessageId, ApiError> {
        let name = self.param("msg_id");
        if let Ok(id) = name.parse() {
            return Ok(id);
        }
        let found = self.server.store.message_by_event_id(app.id, name).await?;
        found.ok_or_else(|| ApiError::not_found("message", name))
    }

    /// Makes changes and answers with this success of the operation's, both in one transaction when the client gave an idempotency key.
    ///
    /// # Errors
    /// Those of the directory; nothing is changed then.
    pub async fn commit<O: Serialize>(
        &self,
        changes: Vec<Change>,
        outcome: Outcome,
        answer: &O,
    ) -> Result<Reply<O>, ApiError> {
        let reply = Reply::json(outcome, answer)?;
        self.write(changes, self.stored(&reply)?).await?;
        Ok(reply.kept())
    }

    /// As [`Self::commit`], for operations that answer nothing.
    ///
    /// # Errors
    /// Those of the directory; nothing is changed then.
    pub async fn commit_silently(&self, changes: Vec<Change>) -> Result<Reply<Nothing>, ApiError> {
        let reply = Reply::nothing();
        self.write(changes, self.stored(&reply)?).await?;
        Ok(reply.kept())
    }

    fn stored<O>(&self, reply: &Reply<O>) -> Result<Option<StoredAnswer>, ApiError> {
        let Some(key) = self.idempotency else { return Ok(None) };
        let Some(body) = reply.unstored() else { return Ok(None) };
        let status = reply.status(self.statuses);
        self.server.remember(key, status, body, self.shows_secret).map(Some)
    }

    async fn write(&self, mut changes: Vec<Change>, answer: Option<StoredAnswer>) -> Result<(), ApiError> {
        changes.extend(self.note_of(&changes));
        let edit = self.edit.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.server.write(edit, changes, answer).await
    }

    /// Notes in the audit log that somebody did something which is no change of the configuration, or saw a secret.
    ///
    /// # Errors
    /// Those of the store: then whatever it was must not be done, or shown.
    pub async fn note(&self, app: AppId, about: Vec<Subject>) -> Result<(), ApiError> {
        let entry = self.entry(Some(app), about, Vec::new())?;
        self.server.commit(vec![Change::Note(Box::new(entry))], None).await
    }

    /// Tells the environment's owner what happened to an endpoint, if they listen. The change itself is done: a message that
    /// cannot be written now is not a reason to answer that it failed.
    pub async fn tell(&self, event: OperationalEvent<'_>) -> Result<(), ApiError> {
        let environment = self.environment()?;
        let message = bellwire_store::operational::event(&self.server.directory, environment, event);
        if let Some(message) = message
            && let Err(error) = self.server.store.append(message).await
        {
            tracing::warn!(%error, event = event.name(), "an operational event was not written");
        }
        Ok(())
    }
}

impl Server {
    /// An application by id or uid, or that of a source by [`OF_SOURCE`] and the source's; if there is one and the caller may
    /// see it.
    pub fn find_app(&self, caller: Caller, name: &str) -> Option<Arc<App>> {
        let app = match name.strip_prefix(OF_SOURCE) {
            Some(name) => {
                let source = self.directory.source(caller.environment, name)?;
                self.directory.app_by_id(source.app)
            }
            None => self.directory.app(caller.environment, name),
        };
        app.filter(|app| app.kind != AppKind::Operational && caller.app.is_none_or(|only| only == app.id))
    }

    /// Writes changes to the end, also when the client goes away in between: the store and the view must not part.
    pub async fn commit(&self, changes: Vec<Change>, answer: Option<StoredAnswer>) -> Result<(), ApiError> {
        self.write(None, changes, answer).await
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "waited for at once; it only outlives a client that went away"
    )]
    async fn write(
        &self,
        edit: Option<Edit>,
        changes: Vec<Change>,
        answer: Option<StoredAnswer>,
    ) -> Result<(), ApiError> {
        let directory = Arc::clone(&self.directory);
        let written = tokio::spawn(async move {
            match edit {
                Some(edit) => directory.commit_edit(edit, changes, answer).await,
                None => directory.commit(changes, answer).await,
            }
        });
        written.await.map_err(ApiError::internal)??;
        Ok(())
    }

    /// The record of an answer to be given again.
    pub fn remember(
        &self,
        key: IdempotencyKey,
        status: u16,
        body: &[u8],
        shows_secret: bool,
    ) -> Result<StoredAnswer, ApiError> {
        let body = match shows_secret && !body.is_empty() {
            true => self.vault.seal(body, &sealed_for(&key)).map_err(ApiError::internal)?,
            false => body.to_vec(),
        };
        let expires_at = self.directory.now().plus(REMEMBERED);
        Ok(StoredAnswer {
            key: key.key,
            body_hash: key.body,
            status,
            body,
            expires_at,
        })
    }

    /// The answer given before to a request with this key, if any.
    pub async fn remembered(&self, key: IdempotencyKey, shows_secret: bool) -> Result<Option<Reply>, ApiError> {
        let Some(answer) = self.store.answer(key.key, self.directory.now()).await? else {
            return Ok(None);
        };
        if answer.body_hash != key.body {
            return Err(ApiError::idempotency_mismatch());
        }
        let body = match shows_secret && !answer.body.is_empty() {
            true => self
                .vault
                .open(&answer.body, &sealed_for(&key))
                .map_err(ApiError::internal)?,
            false => answer.body,
        };
        Ok(Some(Reply::repeated(answer.status, body)))
    }
}

fn sealed_for(key: &IdempotencyKey) -> String {
    key.key
        .iter()
        .fold("answer|".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}
