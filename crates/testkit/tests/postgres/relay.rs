//! A way to the server that can be cut, as a power cut would, and that can lose what is sent on it.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    task::JoinSet,
};

/// The name under which PostgreSQL's clients look for a socket.
const SOCKET: &str = ".s.PGSQL.5432";
/// How a client's `COMMIT`, and a server's word that it is done, look on the wire.
const COMMIT: &[u8] = b"COMMIT\0";

/// What befalls the next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(dead_code, reason = "not every test plays tricks")]
pub enum Trick {
    /// Nothing.
    None,
    /// It never reaches the server, and the connection breaks.
    LoseCommit,
    /// The server commits, and the connection breaks before it can say so.
    LoseAnswer,
    /// From there on nothing is carried any more, on this connection and all others, and none breaks.
    Hang,
}

/// A socket in a folder of its own. Dropping it cuts every connection for ever.
pub struct Relay {
    folder: TempDir,
    server: PathBuf,
    trick: Arc<AtomicU8>,
    is_deaf: bool,
    accepting: JoinSet<()>,
}

#[allow(dead_code, reason = "not every test needs all of it")]
impl Relay {
    /// To the server whose socket is in this folder.
    pub fn to(server: &Path) -> Self {
        Self::new(server, false)
    }

    /// The same, but what the server notifies gets lost, as behind a pooler.
    pub fn deaf_to(server: &Path) -> Self {
        Self::new(server, true)
    }

    fn new(server: &Path, is_deaf: bool) -> Self {
        let mut relay = Self {
            folder: tempfile::tempdir().unwrap(),
            server: server.join(SOCKET),
            trick: Arc::new(AtomicU8::new(Trick::None as u8)),
            is_deaf,
            accepting: JoinSet::new(),
        };
        relay.mend();
        relay
    }

    /// Where its socket is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Cuts every connection, and takes no new ones.
    pub async fn cut(&mut self) {
        self.accepting.shutdown().await;
        std::fs::remove_file(self.folder.path().join(SOCKET)).unwrap();
    }

    /// Takes connections again.
    pub fn mend(&mut self) {
        let listener = UnixListener::bind(self.folder.path().join(SOCKET)).unwrap();
        let way = Way {
            server: self.server.clone(),
            trick: Arc::clone(&self.trick),
            hangs: Arc::default(),
            is_deaf: self.is_deaf,
        };
        self.accepting.spawn(way.accept(listener));
    }

    /// What befalls the next commit.
    pub fn play(&self, trick: Trick) {
        self.trick.store(trick as u8, Ordering::SeqCst);
    }
}

#[derive(Clone)]
struct Way {
    server: PathBuf,
    trick: Arc<AtomicU8>,
    hangs: Arc<AtomicBool>,
    is_deaf: bool,
}

impl Way {
    async fn accept(self, listener: UnixListener) {
        let mut open = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            open.spawn(self.clone().carry(client));
            while open.try_join_next().is_some() {}
        }
    }

    /// Until one end closes, or a trick was played.
    async fn carry(self, mut client: UnixStream) {
        let Ok(mut server) = UnixStream::connect(&self.server).await else {
            return;
        };
        let (mut asked, mut answered) = (vec![0; 64 << 10], vec![0; 64 << 10]);
        let mut is_losing = false;
        let mut heard = Heard::default();
        loop {
            if self.hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            let sent = tokio::select! {
                n = client.read(&mut asked) => match n {
                    Ok(n) if n > 0 => {
                        let commits = asked[..n].windows(COMMIT.len()).any(|bytes| bytes == COMMIT);
                        match self.trick_for(commits) {
                            Trick::LoseCommit => return,
                            Trick::LoseAnswer => is_losing = true,
                            Trick::Hang => {
                                self.hangs.store(true, Ordering::SeqCst);
                                std::future::pending().await
                            }
                            Trick::None => {}
                        }
                        server.write_all(&asked[..n]).await
                    }
                    _ => return,
                },
                n = server.read(&mut answered) => match n {
                    Ok(n) if n > 0 => {
                        if is_losing {
                            if answered[..n].windows(COMMIT.len()).any(|bytes| bytes == COMMIT) {
                                return;
                            }
                            continue;
                        }
                        if self.is_deaf {
                            client.write_all(&heard.but_notifications(&answered[..n])).await
                        } else {
                            client.write_all(&answered[..n]).await
                        }
                    }
                    _ => return,
                },
            };
            if sent.is_err() {
                return;
            }
        }
    }

    fn trick_for(&self, commits: bool) -> Trick {
        if !commits {
            return Trick::None;
        }
        let played = self.trick.swap(Trick::None as u8, Ordering::SeqCst);
        [Trick::None, Trick::LoseCommit, Trick::LoseAnswer, Trick::Hang][usize::from(played)]
    }
}

/// What came from the server and is not passed on yet.
#[derive(Default)]
struct Heard(Vec<u8>);

impl Heard {
    /// The whole messages there are by now (a letter, and a length that counts itself), without notifications.
    fn but_notifications(&mut self, more: &[u8]) -> Vec<u8> {
        self.0.extend_from_slice(more);
        let (mut passed, mut at) = (Vec::new(), 0);
        while let Some(head) = self.0.get(at..at + 5) {
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            let Some(message) = self.0.get(at..=at + length) else {
                break;
            };
            if message[0] != b'A' {
                passed.extend_from_slice(message);
            }
            at += 1 + length;
        }
        self.0.drain(..at);
        passed
    }
}
