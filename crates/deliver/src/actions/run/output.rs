//! What a command writes: all of it is read, the last of it kept.

use std::{io, os::fd::OwnedFd};

use tokio::{io::AsyncReadExt as _, net::unix::pipe};

/// So much is read at once.
const CHUNK: usize = 8_192;

/// Both outputs of a command, in the order in which it wrote.
#[derive(Debug)]
pub(super) struct Output {
    pipe: pipe::Receiver,
    open: bool,
    chunk: Box<[u8]>,
    tail: Tail,
}

impl Output {
    /// Reads from this end of a pipe and keeps the last `max` bytes.
    pub fn new(reader: io::PipeReader, max: usize) -> io::Result<Self> {
        Ok(Self {
            pipe: pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?,
            open: true,
            chunk: vec![0; CHUNK].into_boxed_slice(),
            tail: Tail::new(max),
        })
    }

    /// Whether more may come.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Reads some. Nothing is lost when it is dropped while it waits.
    pub async fn next(&mut self) {
        match self.pipe.read(&mut self.chunk).await {
            Ok(0) | Err(_) => self.open = false,
            Ok(read) => self.tail.push(&self.chunk[..read]),
        }
    }

    /// Reads until nobody can write any more.
    pub async fn finish(&mut self) {
        while self.open {
            self.next().await;
        }
    }

    /// The last of it. Nothing is kept from here on.
    pub fn take_tail(&mut self) -> Vec<u8> {
        std::mem::replace(&mut self.tail, Tail::new(0)).into_bytes()
    }
}

/// The last bytes of a stream, in bounded memory.
#[derive(Debug)]
struct Tail {
    bytes: Vec<u8>,
    max: usize,
}

impl Tail {
    fn new(max: usize) -> Self {
        Self { bytes: Vec::new(), max }
    }

    fn push(&mut self, more: &[u8]) {
        let more = &more[more.len().saturating_sub(self.max)..];
        self.bytes.extend_from_slice(more);
        // Moved seldom, and then by as much as is kept.
        if self.bytes.len() > 2 * self.max + CHUNK {
            self.trim();
        }
    }

    fn trim(&mut self) {
        self.bytes.drain(..self.bytes.len().saturating_sub(self.max));
    }

    fn into_bytes(mut self) -> Vec<u8> {
        self.trim();
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_are_kept_however_they_come() {
        for max in [0, 1, 5, 100] {
            for size in [1, 3, 7, 1_000] {
                let all: Vec<u8> = (0..20_000_u32).map(|n| n as u8).collect();
                let mut tail = Tail::new(max);
                for piece in all.chunks(size) {
                    tail.push(piece);
                    assert!(tail.bytes.len() <= 2 * max + CHUNK);
                }
                assert_eq!(tail.into_bytes(), all[all.len() - max..], "{max} of pieces of {size}");
            }
        }
    }
}
