//! The way from one server to the database: TCP on this side, PostgreSQL's socket on the other. It can be severed, and it can stop
//! carrying without closing anything.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The name under which PostgreSQL listens in its folder.
const SOCKET: &str = ".s.PGSQL.5432";

/// How the way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Everything is carried.
    Open,
    /// Nothing is carried, and nothing closes.
    Stalled,
    /// Everything is closed, and what is opened is closed at once.
    Severed,
}

/// A way; it closes when dropped.
pub(crate) struct Relay {
    address: SocketAddr,
    way: watch::Sender<Way>,
    _accepting: JoinSet<()>,
}

impl Relay {
    /// To the PostgreSQL whose socket is in this folder.
    pub(crate) async fn to(folder: &Path) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (way, changes) = watch::channel(Way::Open);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, folder.join(SOCKET), changes));
        Ok(Self {
            address,
            way,
            _accepting: accepting,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes every connection, and takes no new ones.
    pub(crate) fn sever(&self) {
        self.way.send_replace(Way::Severed);
    }

    /// Carries nothing any more, in neither direction.
    pub(crate) fn stall(&self) {
        self.way.send_replace(Way::Stalled);
    }

    /// Carries again.
    pub(crate) fn mend(&self) {
        self.way.send_replace(Way::Open);
    }
}

async fn accept(listener: TcpListener, socket: PathBuf, way: watch::Receiver<Way>) {
    let mut open = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        open.spawn(carry(client, socket.clone(), way.clone()));
        while open.try_join_next().is_some() {}
    }
}

/// Until one end closes, or the way is severed.
async fn carry(client: TcpStream, socket: PathBuf, mut way: watch::Receiver<Way>) {
    if *way.borrow_and_update() == Way::Severed {
        return;
    }
    let Ok(server) = UnixStream::connect(&socket).await else {
        return;
    };
    let _ = client.set_nodelay(true);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, way.clone()) => {}
        () = pump(from_server, to_client, way.clone()) => {}
        _ = way.wait_for(|way| *way == Way::Severed) => {}
    }
}

async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut way: watch::Receiver<Way>) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(read) = from.read(&mut bytes).await {
        let carried = bytes.get(..read).unwrap_or_default();
        if carried.is_empty() || way.wait_for(|way| *way != Way::Stalled).await.is_err() {
            return;
        }
        if to.write_all(carried).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::UnixListener;
    use tokio::time::timeout;

    use super::*;

    /// A server that says everything again.
    fn echo(folder: &Path) -> JoinSet<()> {
        let listener = UnixListener::bind(folder.join(SOCKET)).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                open.spawn(async move {
                    let (mut from, mut to) = client.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        tasks
    }

    #[tokio::test]
    async fn what_is_stalled_comes_later_and_what_is_severed_closes() {
        let folder = tempfile::tempdir().unwrap();
        let _echo = echo(folder.path());
        let relay = Relay::to(folder.path()).await.unwrap();
        let mut client = TcpStream::connect(relay.address()).await.unwrap();
        let mut answer = [0; 4];
        client.write_all(b"ping").await.unwrap();
        client.read_exact(&mut answer).await.unwrap();

        relay.stall();
        client.write_all(b"more").await.unwrap();
        let nothing = timeout(Duration::from_millis(50), client.read_exact(&mut answer)).await;
        assert!(nothing.is_err(), "nothing comes");
        relay.mend();
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"more");

        relay.sever();
        assert!(matches!(client.read(&mut answer).await, Ok(0) | Err(_)));
        let mut refused = TcpStream::connect(relay.address()).await.unwrap();
        assert!(matches!(refused.read(&mut answer).await, Ok(0) | Err(_)));
    }
}
