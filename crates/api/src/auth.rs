//! Who asks, and what they may do.
//!
//! A token belongs to an environment and has a scope. Without a valid one the answer is 401; where the scope does not reach,
//! 403; what belongs to another application or environment is 404, decided where it is looked up (`call`).

use bellwire_core::{
    app::Token,
    id::{AppId, EnvironmentId, TokenId},
    time::Timestamp,
    token::{NewToken, Presented, Scope, TokenError, TokenHash, hash_opaque},
};
use bellwire_store::Directory;
use http::{HeaderMap, header};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::{
    error::{AUTHENTICATION_FAILED, ApiError, INSUFFICIENT_ACCESS},
    state::ApiState,
};

/// Which scopes may use an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The scopes; nobody is asked for a token when it is empty.
    pub scopes: &'static [Scope],
}

impl Access {
    /// Without a token.
    pub const PUBLIC: Self = Self { scopes: &[] };
    /// With any valid token.
    pub const ANY: Self = Self { scopes: Scope::ALL };
    /// The environment's own administration.
    pub const ADMIN: Self = Self {
        scopes: &[Scope::Admin],
    };
    /// Reading what belongs to the environment.
    pub const READ: Self = Self {
        scopes: &[Scope::Admin, Scope::Read],
    };
    /// Reading what belongs to an application, or is offered to applications.
    pub const READ_APP: Self = Self {
        scopes: &[Scope::Admin, Scope::Read, Scope::App],
    };
    /// Changing what belongs to an application, and seeing its secrets.
    pub const APP: Self = Self {
        scopes: &[Scope::Admin, Scope::App],
    };
    /// Publishing. A customer in the portal cannot: events are the environment owner's word.
    pub const PUBLISH: Self = Self {
        scopes: &[Scope::Admin, Scope::Publish],
    };
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Their environment: the only one they see.
    pub environment: EnvironmentId,
    /// What they may do there.
    pub scope: Scope,
    /// The only application they see, when the scope is `app`.
    pub app: Option<AppId>,
    /// Their token; `None` for the operator's own.
    pub token: Option<TokenId>,
}

/// Finds out who asks, and whether they may.
///
/// # Errors
/// `authentication_failed`, `insufficient_access`.
pub fn authorize(state: &ApiState, access: Access, headers: &HeaderMap) -> Result<Option<Caller>, ApiError> {
    if access == Access::PUBLIC {
        return Ok(None);
    }
    let caller = authenticate(state, headers)?;
    // A reader of one application only sees what is offered to applications.
    let reaches = caller.app.is_none() || access.scopes.contains(&Scope::App);
    if reaches && access.scopes.contains(&caller.scope) {
        return Ok(Some(caller));
    }
    let wanted: Vec<_> = access.scopes.iter().map(|scope| scope.as_str()).collect();
    let only = if caller.app.is_some() {
        " for one application"
    } else {
        ""
    };
    let detail = format!(
        "a token of scope `{}`{only} may not do this; it takes {}",
        caller.scope,
        wanted.join(" or ")
    );
    Err(ApiError::new(&INSUFFICIENT_ACCESS, detail))
}

fn authenticate(state: &ApiState, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let fail = |why: &str| ApiError::new(&AUTHENTICATION_FAILED, why);
    let header = headers
        .get(header::AUTHORIZATION)
        .ok_or_else(|| fail("send a token: `Authorization: Bearer <token>`; `bellwire token create` makes one"))?;
    let text = header.to_str().unwrap_or_default();
    let text = match text.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer ") => token.trim(),
        _ => return Err(fail("the Authorization header must be `Bearer <token>`")),
    };
    if let Some(operators) = &state.admin_token
        && hash_opaque(text) == *operators
    {
        let environment = state.default_environment;
        return Ok(Caller {
            environment,
            scope: Scope::Admin,
            app: None,
            token: None,
        });
    }
    let unknown = || fail("this token is not known, or was deleted; check that it was copied whole");
    let presented = Presented::parse(text).map_err(|_| unknown())?;
    let id: TokenId = presented.id.parse().map_err(|_| unknown())?;
    let token = state.directory.token(id).ok_or_else(unknown)?;
    if !presented.matches(token.scope, &TokenHash::from_bytes(token.hash)) {
        return Err(unknown());
    }
    if token.expires_at.is_some_and(|at| at <= state.directory.now()) {
        return Err(fail("this token has expired; get a new one"));
    }
    // A token of one application without the application opens nothing.
    if token.scope == Scope::App && token.app.is_none() {
        return Err(unknown());
    }
    Ok(Caller {
        environment: token.environment,
        scope: token.scope,
        app: token.app,
        token: Some(id),
    })
}

/// What a new token is to be.
#[derive(Debug, Clone)]
pub struct TokenWish {
    /// The environment it opens.
    pub environment: EnvironmentId,
    /// What it may do.
    pub scope: Scope,
    /// The only application it sees; set exactly when the scope is `app`.
    pub app: Option<AppId>,
    /// A name for people.
    pub name: String,
    /// Refused from then on.
    pub expires_at: Option<Timestamp>,
}

/// Makes a token: its record, to be put into the directory, and its text, to be shown once.
///
/// # Errors
/// When the machine gives no randomness.
pub fn new_token(directory: &Directory, wish: TokenWish) -> Result<(Token, NewToken), TokenError> {
    let id: TokenId = directory.new_id();
    let new = NewToken::create(wish.scope, &id.to_string(), random().ok_or(TokenError::Secret)?)?;
    let token = Token {
        id,
        environment: wish.environment,
        scope: wish.scope,
        app: wish.app,
        name: wish.name,
        hash: *new.hash.as_bytes(),
        expires_at: wish.expires_at,
        created_at: directory.now(),
    };
    Ok((token, new))
}

/// Random bytes for keys and tokens; `None` when the machine gives none.
pub(crate) fn random() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes)
}
