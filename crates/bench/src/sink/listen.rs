//! The receiver's port: accepting connections, or refusing them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::Shared;
use super::answer;

type Command = (bool, oneshot::Sender<io::Result<()>>);

/// A listening socket with a backlog that survives hundreds of connections at once.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    reserve(address)?.listen(4_096)
}

/// A socket that holds the port without listening: connections are refused, and nobody else (such as a connecting client on the same
/// machine, to which the system hands out the same range of ports) can take it.
fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Accepts until the handle goes away. A command (true: refuse) changes over between listening and refusing.
pub(super) async fn serve(
    mut listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
    mut commands: mpsc::Receiver<Command>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (refuse, done) = tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    // Small answers must not wait for the other side's acknowledgement; failing to say so costs only time.
                    let _ = stream.set_nodelay(true);
                    connections.spawn(answer::serve(stream, Arc::clone(&shared)));
                }
                continue;
            }
            Some(_) = connections.join_next() => continue,
            command = commands.recv() => match command {
                Some(command) => command,
                None => return,
            },
        };
        if !refuse {
            let _ = done.send(Ok(()));
            continue;
        }
        drop(listener);
        connections.shutdown().await;
        match refuse_until_told(address, &mut commands, done).await {
            Some(again) => listener = again,
            None => return,
        }
    }
}

/// Refuses until a command asks for the opposite; `None` when the handle is gone or the port is lost (the command was told so).
async fn refuse_until_told(
    address: SocketAddr,
    commands: &mut mpsc::Receiver<Command>,
    done: oneshot::Sender<io::Result<()>>,
) -> Option<TcpListener> {
    let held = match reserve(address) {
        Ok(held) => held,
        Err(error) => {
            let _ = done.send(Err(error));
            return None;
        }
    };
    let _ = done.send(Ok(()));
    loop {
        let (refuse, done) = commands.recv().await?;
        if refuse {
            let _ = done.send(Ok(()));
            continue;
        }
        return match held.listen(4_096) {
            Ok(listener) => {
                let _ = done.send(Ok(()));
                Some(listener)
            }
            Err(error) => {
                let _ = done.send(Err(error));
                None
            }
        };
    }
}
