//! Receivers, traps and guards for the tests.

use std::net::SocketAddr;

use bellwire_core::address::{AddressPolicy, Target, check_url};
use bellwire_deliver::guard::{Guard, GuardConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::dns::DnsServer;

/// A listener that must never be connected to.
pub struct Trap {
    listener: TcpListener,
}

impl Trap {
    pub async fn on(address: &str) -> Self {
        Self {
            listener: TcpListener::bind(address).await.unwrap(),
        }
    }

    pub fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Connects to itself: connections are accepted in the order they were made, so if the first one is ours, there
    /// was none before.
    pub async fn assert_untouched(self) -> TcpListener {
        let ours = TcpStream::connect(self.address()).await.unwrap();
        let (_first, from) = self.listener.accept().await.unwrap();
        assert_eq!(
            from,
            ours.local_addr().unwrap(),
            "something connected to {}",
            self.address()
        );
        self.listener
    }
}

/// A receiver on the allowed address, and traps on the same port of the others.
pub struct Street {
    pub receiver: TcpListener,
    pub trap: Trap,
    pub trap6: Trap,
    pub port: u16,
}

impl Street {
    pub async fn new() -> Self {
        loop {
            let trap = Trap::on("127.0.0.1:0").await;
            let port = trap.port();
            let receiver = TcpListener::bind(("127.0.0.2", port)).await;
            let listener = TcpListener::bind(("::1", port)).await;
            if let (Ok(receiver), Ok(listener)) = (receiver, listener) {
                return Self {
                    receiver,
                    trap,
                    trap6: Trap { listener },
                    port,
                };
            }
        }
    }

    /// Asserts that nothing connected to the receiver either; the rest of the street.
    pub async fn receiver_untouched(self) -> Self {
        let Self {
            receiver,
            trap,
            trap6,
            port,
        } = self;
        let receiver = Trap { listener: receiver }.assert_untouched().await;
        Self {
            receiver,
            trap,
            trap6,
            port,
        }
    }

    pub async fn assert_traps_untouched(self) {
        self.trap.assert_untouched().await;
        self.trap6.assert_untouched().await;
    }
}

/// Allows nothing but the receiver of a [`Street`] besides what is public.
pub fn policy() -> AddressPolicy {
    allowing(&["127.0.0.2"])
}

pub fn allowing(ranges: &[&str]) -> AddressPolicy {
    AddressPolicy {
        allow_private: ranges.iter().map(|range| range.parse().unwrap()).collect(),
        ..Default::default()
    }
}

/// The settings of most tests: [`policy`] and the test's own DNS server.
pub fn config(dns: &DnsServer) -> GuardConfig {
    GuardConfig {
        policy: policy(),
        dns: vec![dns.address],
        ..Default::default()
    }
}

pub fn guard(dns: &DnsServer) -> Guard {
    Guard::new(config(dns)).unwrap()
}

/// A target as it would be under a policy that allows everything, as after a change of the policy.
pub fn target(text: &str) -> Target {
    check_url(text, &allowing(&["0.0.0.0/0", "::/0"])).unwrap()
}

/// Sends a word through and back, so the connection is known to lead to whoever answers.
pub async fn round_trip(io: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin)) {
    io.write_all(b"ding").await.unwrap();
    io.flush().await.unwrap();
    let mut heard = [0; 4];
    io.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"ding");
}

/// Sends back what it hears, until the other side closes.
pub async fn echo(mut io: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
    let mut buffer = [0; 256];
    while let Ok(length @ 1..) = io.read(&mut buffer).await {
        if io.write_all(&buffer[..length]).await.is_err() || io.flush().await.is_err() {
            return;
        }
    }
}
