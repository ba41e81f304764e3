//! What a server needs before it can be used: an environment, and somebody who may administer it.

use std::{path::Path, sync::Arc};

use bellwire_api::auth::{TokenWish, new_token};
use bellwire_core::{app::Environment, token::Scope};
use bellwire_store::{
    Change, Directory, StoreError,
    query::{Order, Page, Start},
};

use super::{ServeError, private};
use crate::config::{Config, Hidden};

/// What is there now.
pub(super) struct Prepared {
    /// The environment of the operator's own token.
    pub environment: Arc<Environment>,
    /// The token that was made, if one was.
    pub new_token: Option<Hidden>,
}

/// Where `--dev` leaves the admin token for the command line to find.
const TOKEN_FILE: &str = "admin-token";

/// Makes the first environment and an admin token, unless they are there. With `--dev` the token is also left in the data
/// directory.
pub(super) async fn prepare(directory: &Directory, config: &Config) -> Result<Prepared, ServeError> {
    let environment = environment(directory).await?;
    let data = &config.storage.data;
    let file = data.join(TOKEN_FILE);
    if let Some(token) = &config.secrets.admin_token {
        if config.dev {
            leave(data, &file, token)?;
        }
        return Ok(Prepared {
            environment,
            new_token: None,
        });
    }
    // A development server without the file is of no use to the command line: it gets a new one.
    if has_admin(directory, &environment) && (!config.dev || file.exists()) {
        return Ok(Prepared {
            environment,
            new_token: None,
        });
    }
    let wish = TokenWish {
        environment: environment.id,
        scope: Scope::Admin,
        app: None,
        name: "made on the first start".to_owned(),
        expires_at: None,
    };
    let (token, text) = new_token(directory, wish).map_err(|_| ServeError::NoRandomness)?;
    let mut is_made = false;
    // Another server on the same store may have made one in this moment.
    let build = || {
        is_made = config.dev || !has_admin(directory, &environment);
        let made = is_made.then(|| Change::PutToken(Box::new(token)));
        Ok::<_, StoreError>(made.into_iter().collect())
    };
    directory.commit_with(None, build).await?;
    if !is_made {
        return Ok(Prepared {
            environment,
            new_token: None,
        });
    }
    let text = Hidden::new(text.expose());
    if config.dev {
        leave(data, &file, &text)?;
    }
    Ok(Prepared {
        environment,
        new_token: Some(text),
    })
}

/// The oldest environment; `default` is made when there is none.
async fn environment(directory: &Directory) -> Result<Arc<Environment>, ServeError> {
    let oldest = || directory.environments().into_iter().next();
    if let Some(oldest) = oldest() {
        return Ok(oldest);
    }
    let now = directory.now();
    let new = Environment {
        id: directory.new_id(),
        name: "default".to_owned(),
        validate_payloads: false,
        created_at: now,
        updated_at: now,
    };
    let build = || {
        let made = oldest().is_none().then_some(Change::PutEnvironment(new));
        Ok::<_, StoreError>(made.into_iter().collect())
    };
    match directory.commit_with(None, build).await {
        // Another server on the same store made it in this moment.
        Ok(()) | Err(StoreError::Conflict { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    oldest().ok_or_else(|| StoreError::NotFound("the first environment").into())
}

/// Whether somebody has a token to administer it with.
fn has_admin(directory: &Directory, environment: &Environment) -> bool {
    let now = directory.now();
    let page = Page {
        limit: usize::MAX,
        start: Start::First,
        order: Order::Ascending,
    };
    let tokens = directory.tokens(environment.id, page).items;
    tokens
        .iter()
        .any(|token| token.scope == Scope::Admin && token.expires_at.is_none_or(|at| at > now))
}

fn leave(data: &Path, file: &Path, token: &Hidden) -> Result<(), ServeError> {
    let written = private::make_directory(data).and_then(|()| private::write_line(file, token.expose()));
    written.map_err(|error| ServeError::File {
        what: "cannot write the admin token to",
        file: file.to_owned(),
        error,
    })
}
