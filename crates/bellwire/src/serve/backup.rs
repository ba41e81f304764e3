//! A backup over HTTP: a consistent copy of the store for the operator, while the server goes on.
//!
//! It holds all environments, so only admins of the operator's own one get it; what is secret in it stays sealed. The copy is
//! made beside the data, unlinked as soon as it is open, and streamed; nothing of it is left when the stream ends or breaks.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use bellwire_api::{
    ApiState,
    auth::{Access, authorize},
    error::{ApiError, INSUFFICIENT_ACCESS},
};
use bellwire_store::Store;
use bytes::Bytes;
use tokio::{fs::File, io::AsyncReadExt as _};

/// Where it is.
pub const PATH: &str = "/api/v1/admin/backup";

/// The header that names the instance asked: the server that has a certain store open, and no other.
pub const INSTANCE: &str = "bellwire-instance";

/// Bytes handed on at once.
const PIECE: usize = 256 * 1024;

/// The route. Copies are made in `directory`. Whoever names an instance that is not this one gets nothing.
pub(super) fn route(state: ApiState, directory: PathBuf, instance: String) -> Router {
    let count = Arc::new(AtomicU64::new(0));
    Router::new().route(
        PATH,
        get(async move |headers: HeaderMap| {
            if let Err(refused) = allow(&state, &headers) {
                return refused.into_response(&state.docs_url);
            }
            if headers
                .get(INSTANCE)
                .is_some_and(|asked| asked.as_bytes() != instance.as_bytes())
            {
                return StatusCode::MISDIRECTED_REQUEST.into_response();
            }
            let name = format!(
                "backup-{}-{}.db",
                std::process::id(),
                count.fetch_add(1, Ordering::Relaxed)
            );
            stream(Arc::clone(&state.store), directory.join(name))
        }),
    )
}

fn allow(state: &ApiState, headers: &HeaderMap) -> Result<(), ApiError> {
    let caller = authorize(state, Access::ADMIN, headers)?;
    if caller.is_some_and(|caller| caller.environment == state.default_environment) {
        return Ok(());
    }
    let detail = "a backup holds every environment; it takes an admin token of the server's first one";
    Err(ApiError::new(&INSUFFICIENT_ACCESS, detail))
}

/// How far a backup has come.
enum Stage {
    /// The copy is still to be made, at this path.
    Copy(Arc<dyn Store>, PathBuf),
    /// It is handed out.
    Read(File),
}

/// The answer begins at once, because copying takes its time; a copy that fails breaks the answer off.
fn stream(store: Arc<dyn Store>, to: PathBuf) -> Response {
    let pieces = futures_util::stream::try_unfold(Stage::Copy(store, to), async |stage| {
        let mut file = match stage {
            Stage::Read(file) => file,
            Stage::Copy(store, to) => copy(store.as_ref(), &to)
                .await
                .inspect_err(|error| tracing::error!(%error, "a backup failed"))?,
        };
        let mut piece = vec![0; PIECE];
        let read = file.read(&mut piece).await?;
        piece.truncate(read);
        Ok::<_, io::Error>((read > 0).then(|| (Bytes::from(piece), Stage::Read(file))))
    });
    (
        [(header::CONTENT_TYPE, "application/vnd.sqlite3")],
        Body::from_stream(pieces),
    )
        .into_response()
}

async fn copy(store: &dyn Store, to: &std::path::Path) -> io::Result<File> {
    let copied = store.backup(to).await.map_err(io::Error::other);
    let opened = match copied {
        Ok(()) => File::open(to).await,
        Err(error) => Err(error),
    };
    match tokio::fs::remove_file(to).await {
        Err(error) if opened.is_ok() => Err(error),
        _ => opened,
    }
}
