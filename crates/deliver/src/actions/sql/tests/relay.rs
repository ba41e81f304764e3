//! A relay in front of a server that cuts the connection when it hears a word.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
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
