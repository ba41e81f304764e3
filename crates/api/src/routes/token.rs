//! `/api/v1/token`: who may do what. Only a token's hash is kept; its text is answered once, when it is made.

use bellwire_core::{
    app::Token,
    id::{EnvironmentId, TokenId},
    time::Timestamp,
    token::Scope,
};
use bellwire_store::{
    Change,
    query::{Order, Page, Start},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    auth::{Access, Caller, TokenWish, new_token},
    call::{Call, Context, Nothing, Outcome, Reply},
    error::ApiError,
    field::{DisplayName, Time},
    operation::{Operation, delete, get, post},
    pagination::{ListQuery, ListResponse},
    problem::Problem,
    query::NoQuery,
};

/// Everything there is, in one page.
const ALL: Page = Page {
    limit: usize::MAX,
    start: Start::First,
    order: Order::Ascending,
};
/// The longest that expiring tokens may take, in seconds: seven days.
const EXPIRY_MAX: u64 = 604_800;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/api/v1/token", "token.list", Access::ADMIN)
            .summary("List tokens")
            .about("Of your environment; what a token's text was is not kept.")
            .to(list),
        post("/api/v1/token", "token.create", Access::ADMIN)
            .summary("Make a token")
            .about("Its text is in this answer, and never again.")
            .shows_secret()
            .to(create),
        delete("/api/v1/token/{token_id}", "token.delete", Access::ADMIN)
            .summary("Delete a token")
            .about("It is refused from now on.")
            .to(remove),
        post(
            "/api/v1/auth/app/{app_id}/expire-all",
            "v1.authentication.expire-all",
            Access::ADMIN,
        )
        .summary("Expire the tokens of an application")
        .about("Every token that sees only this application: after `expiry` seconds, or at once.")
        .statuses(&[204])
        .to(expire_all),
    ]
}

/// A token; never its text.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct TokenOut {
    #[schemars(with = "String")]
    id: TokenId,
    name: String,
    #[schemars(with = "ScopeIn")]
    scope: Scope,
    /// The only application it sees, when its scope is `app`.
    #[serde(skip_serializing_if = "Option::is_none")]
    app_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    expires_at: Option<Timestamp>,
    #[schemars(with = "Time")]
    created_at: Timestamp,
}

impl From<&Token> for TokenOut {
    fn from(token: &Token) -> Self {
        Self {
            id: token.id,
            name: token.name.clone(),
            scope: token.scope,
            app_id: token.app.map(|app| app.to_string()),
            expires_at: token.expires_at,
            created_at: token.created_at,
        }
    }
}

/// A token with its text.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct NewTokenOut {
    #[serde(flatten)]
    record: TokenOut,
    /// What to send: `Authorization: Bearer <token>`. Shown this once.
    token: String,
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "TokenScope")]
enum ScopeIn {
    /// Everything in its environment.
    Admin,
    /// Publishing messages.
    Publish,
    /// Reading.
    Read,
    /// One application only.
    App,
}

impl From<ScopeIn> for Scope {
    fn from(scope: ScopeIn) -> Self {
        match scope {
            ScopeIn::Admin => Self::Admin,
            ScopeIn::Publish => Self::Publish,
            ScopeIn::Read => Self::Read,
            ScopeIn::App => Self::App,
        }
    }
}

/// What a token is to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TokenIn {
    /// What it is for.
    name: DisplayName,
    /// What it may do; `admin` when left out.
    scope: Option<ScopeIn>,
    /// The only application it sees, by id or uid; with the scope `app`, and only with it.
    app_id: Option<String>,
    /// When it ends; never when left out.
    expires_at: Option<Time>,
    /// The environment it opens; yours when left out. Admins of the default environment may name another one.
    environment_id: Option<String>,
}

async fn list(Call { cx, query, .. }: Call<ListQuery>) -> Result<Reply<ListResponse<TokenOut>>, ApiError> {
    let page = query.page::<TokenId>(Order::Ascending)?;
    let rows = cx.server.directory.tokens(cx.environment()?, page);
    Reply::ok(&ListResponse::new(
        rows,
        |token| token.id.to_string(),
        |token| TokenOut::from(&*token),
    ))
}

async fn create(Call { cx, body, .. }: Call<NoQuery, TokenIn>) -> Result<Reply<NewTokenOut>, ApiError> {
    let refuse = |member: &str, msg: String| ApiError::invalid(Problem::body([member], msg));
    let environment = match &body.environment_id {
        None => cx.environment()?,
        Some(name) => environment_named(&cx, name)?,
    };
    let scope: Scope = body.scope.unwrap_or(ScopeIn::Admin).into();
    let directory = &cx.server.directory;
    let app = match (&body.app_id, scope) {
        (None, Scope::App) => {
            return Err(refuse(
                "appId",
                "the scope `app` takes an application; name it".to_owned(),
            ));
        }
        (None, _) => None,
        (Some(name), Scope::App) => {
            let unknown = || refuse("appId", format!("there is no application `{name}`; create it first"));
            Some(directory.app(environment, name).ok_or_else(unknown)?.id)
        }
        (Some(_), _) => {
            return Err(refuse(
                "appId",
                format!("the scope `{scope}` takes no application; use `app`"),
            ));
        }
    };
    let expires_at = body.expires_at.map(|time| time.0);
    if expires_at.is_some_and(|at| at <= directory.now()) {
        return Err(refuse(
            "expiresAt",
            "it would have ended already; give a later time".to_owned(),
        ));
    }
    let wish = TokenWish {
        environment,
        scope,
        app,
        name: body.name.into(),
        expires_at,
    };
    let (record, new) = new_token(directory, wish).map_err(ApiError::internal)?;
    let answer = NewTokenOut {
        record: TokenOut::from(&record),
        token: new.expose().to_owned(),
    };
    cx.commit(vec![Change::PutToken(Box::new(record))], Outcome::Usual, &answer)
        .await
}

/// The environment that a token is wanted for: one's own, or any for an admin of the default environment.
fn environment_named(cx: &Context, name: &str) -> Result<EnvironmentId, ApiError> {
    let caller = cx.caller()?;
    let unknown = || {
        let msg = format!("there is no environment `{name}` that this token may open");
        ApiError::invalid(Problem::body(["environmentId"], msg))
    };
    let id: EnvironmentId = name.parse().map_err(|_| unknown())?;
    let may = id == caller.environment || caller.environment == cx.server.default_environment;
    cx.server
        .directory
        .environment(id)
        .filter(|_| may)
        .map(|found| found.id)
        .ok_or_else(unknown)
}

async fn remove(Call { cx, .. }: Call) -> Result<Reply<Nothing>, ApiError> {
    let name = cx.param("token_id");
    let unknown = || ApiError::not_found("token", name);
    let id: TokenId = name.parse().map_err(|_| unknown())?;
    let environment = cx.environment()?;
    let token = cx
        .server
        .directory
        .token(id)
        .filter(|token| token.environment == environment)
        .ok_or_else(unknown)?;
    cx.commit_silently(vec![Change::DeleteToken(token.id)]).await
}

/// When an application's tokens end.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ApplicationTokenExpireIn")]
struct ExpireIn {
    /// In so many seconds, at most seven days; at once when left out.
    #[schemars(range(max = 604_800))]
    expiry: Option<u64>,
    /// Sessions are not kept here: leave it out, or empty, to expire all.
    session_ids: Option<Vec<String>>,
}

async fn expire_all(Call { cx, body, .. }: Call<NoQuery, ExpireIn>) -> Result<Reply<Nothing>, ApiError> {
    let app = cx.app()?;
    let expiry = body.expiry.unwrap_or(0);
    if expiry > EXPIRY_MAX {
        let msg = format!("{expiry} is out of bounds; give 0 to {EXPIRY_MAX} seconds");
        return Err(ApiError::invalid(Problem::body(["expiry"], msg)));
    }
    if body.session_ids.is_some_and(|sessions| !sessions.is_empty()) {
        let msg = "sessions are not kept, so they cannot be expired one by one; leave it out to expire all tokens";
        return Err(ApiError::invalid(Problem::body(["sessionIds"], msg)));
    }
    let directory = &cx.server.directory;
    let at = directory.now().plus(std::time::Duration::from_secs(expiry));
    let tokens = directory.tokens(app.environment, ALL).items;
    let theirs = tokens.iter().filter(|token| token.app == Some(app.id));
    let changes = theirs.filter_map(|token| expire(token, at, expiry == 0)).collect();
    cx.commit_silently(changes).await
}

/// The change that lets a token end then; none when it ends before.
fn expire(token: &Token, at: Timestamp, at_once: bool) -> Option<Change> {
    match token.expires_at {
        _ if at_once => Some(Change::DeleteToken(token.id)),
        Some(earlier) if earlier <= at => None,
        _ => Some(Change::PutToken(Box::new(Token {
            expires_at: Some(at),
            ..token.clone()
        }))),
    }
}

/// Makes an admin token of an environment. Used where an environment is made.
pub(super) fn first_admin(cx: &Context, environment: EnvironmentId) -> Result<(Token, String), ApiError> {
    let wish = TokenWish {
        environment,
        scope: Scope::Admin,
        app: None,
        name: "first admin".to_owned(),
        expires_at: None,
    };
    let (record, new) = new_token(&cx.server.directory, wish).map_err(ApiError::internal)?;
    Ok((record, new.expose().to_owned()))
}

/// Whether the caller administrates the server as a whole: an admin of the default environment.
pub(super) fn is_operator(cx: &Context, caller: Caller) -> bool {
    caller.scope == Scope::Admin && caller.environment == cx.server.default_environment
}

#[cfg(test)]
mod tests {
    use bellwire_core::id::{AppId, Id as _};

    use super::*;

    fn token(name: &str, expires_at: Option<i64>) -> Token {
        Token {
            id: TokenId::from_number(1),
            environment: EnvironmentId::from_number(2),
            scope: Scope::App,
            app: Some(AppId::from_number(3)),
            name: name.to_owned(),
            hash: [0; 32],
            expires_at: expires_at.map(Timestamp::from_secs),
            created_at: Timestamp::MIN,
        }
    }

    #[test]
    fn a_token_is_shown_without_anything_secret() {
        let shown = serde_json::to_value(TokenOut::from(&token("portal", Some(9)))).unwrap();
        let names: Vec<_> = shown.as_object().unwrap().keys().cloned().collect();
        assert_eq!(names, ["appId", "createdAt", "expiresAt", "id", "name", "scope"]);
        assert_eq!(shown["scope"], "app");
    }

    #[test]
    fn expiring_never_lets_a_token_live_longer() {
        let at = Timestamp::from_secs(100);
        assert!(expire(&token("a", Some(99)), at, false).is_none());
        for longer in [Some(101), None] {
            let change = expire(&token("a", longer), at, false);
            assert!(matches!(change, Some(Change::PutToken(token)) if token.expires_at == Some(at)));
        }
        assert!(matches!(
            expire(&token("a", Some(99)), at, true),
            Some(Change::DeleteToken(_))
        ));
    }
}
