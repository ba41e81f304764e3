//! A way to the server that can be cut, as a power cut would: whoever used it is gone for the server at once, and never
//! comes back.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{UnixListener, UnixStream},
    task::JoinSet,
};

/// The name under which PostgreSQL's clients look for a socket.
const SOCKET: &str = ".s.PGSQL.5432";

/// A socket in a folder of its own. Dropping it cuts every connection.
pub struct Relay {
    folder: TempDir,
    _accepting: JoinSet<()>,
}

impl Relay {
    /// To the server whose socket is in this folder.
    pub fn to(server: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, server.join(SOCKET)));
        Self {
            folder,
            _accepting: accepting,
        }
    }

    /// Where its socket is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

async fn accept(listener: UnixListener, server: PathBuf) {
    let mut open = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        let server = server.clone();
        open.spawn(async move {
            if let Ok(mut server) = UnixStream::connect(server).await {
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        });
        while open.try_join_next().is_some() {}
    }
}
