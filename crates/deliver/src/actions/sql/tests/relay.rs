//! A relay in front of a server that cuts the connection when it hears a word.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use tokio_util::task::TaskTracker;

/// When the connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Before the server hears the word.
    Before,
    /// After the server has answered, before the client hears that.
    After,
}

/// Relays one connection to the port of this machine and cuts it at the word; all further ones pass. Answers its own port.
pub(super) async fn relay(port: u16, word: &'static str, cut: Cut) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let tasks = TaskTracker::new();
    tasks.clone().spawn(async move {
        let mut cuts = true;
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let cut = std::mem::take(&mut cuts).then_some((word, cut));
            tasks.spawn(pass(client, server, cut));
        }
    });
    own
}

/// Relays one connection to the port of this machine. When it hears the word, an answer with rows begins, and nothing more ever
/// comes. Answers its own port, and what tells that the client has closed the connection.
pub(super) async fn mute(port: u16, word: &'static str) -> (u16, oneshot::Receiver<()>) {
    /// One column is announced and described (protocol::ColumnDefinition41); where EOF packets are deprecated, rows follow.
    const ONE_COLUMN: &[u8] = b"\x01\0\0\x01\x01\x17\0\0\x02\x03def\0\0\0\x01a\0\x0c\x21\0\x01\0\0\0\xfd\0\0\0\0\0";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let (tell, closed) = oneshot::channel();
    TaskTracker::new().spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
        loop {
            tokio::select! {
                read = client.read(&mut asked) => {
                    let read = read.unwrap();
                    if asked[..read].windows(word.len()).any(|part| part == word.as_bytes()) {
                        break;
                    }
                    server.write_all(&asked[..read]).await.unwrap();
                }
                read = server.read(&mut answered) => {
                    let read = read.unwrap();
                    client.write_all(&answered[..read]).await.unwrap();
                }
            }
        }
        client.write_all(ONE_COLUMN).await.unwrap();
        while matches!(client.read(&mut asked).await, Ok(1..)) {}
        let _ = tell.send(());
    });
    (own, closed)
}

async fn pass(client: TcpStream, server: TcpStream, cut: Option<(&'static str, Cut)>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut asked = vec![0; 65_536];
    let mut answered = vec![0; 65_536];
    loop {
        tokio::select! {
            read = from_client.read(&mut asked) => {
                let Ok(read @ 1..) = read else { return };
                let heard = cut.filter(|(word, _)| asked[..read].windows(word.len()).any(|part| part == word.as_bytes()));
                if let Some((_, Cut::Before)) = heard {
                    return;
                }
                if to_server.write_all(&asked[..read]).await.is_err() {
                    return;
                }
                if heard.is_some() {
                    let _ = from_server.read(&mut answered).await;
                    return;
                }
            }
            read = from_server.read(&mut answered) => {
                let Ok(read @ 1..) = read else { return };
                if to_client.write_all(&answered[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}
