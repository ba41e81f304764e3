//! A DNS server of the tests' own: answers written by hand, over UDP on loopback, counting what it is asked.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

pub const A: u16 = 1;
const CNAME: u16 = 5;
pub const AAAA: u16 = 28;

/// What to answer to one question.
pub enum Answer {
    /// Of these addresses, those of the family that was asked for.
    Ips(Vec<IpAddr>),
    /// An alias, then the addresses of the alias.
    Alias(&'static str, Vec<IpAddr>),
    /// No such name.
    NxDomain,
    /// The server has a problem.
    ServFail,
    /// Nothing at all.
    Silence,
}

/// One question: name, record type, and how often this very question was asked before.
pub struct Question<'a> {
    pub name: &'a str,
    pub kind: u16,
    pub before: usize,
}

pub struct DnsServer {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<(String, u16)>>>,
    task: JoinHandle<()>,
}

impl DnsServer {
    pub async fn start(answer: impl Fn(Question<'_>) -> Answer + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<(String, u16)>>> = Arc::default();
        let log = asked.clone();
        let task = tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let query = &buffer[..length];
                let (name, kind, end) = question(query);
                let before = {
                    let mut log = log.lock().unwrap();
                    log.push((name.clone(), kind));
                    log.iter().filter(|entry| **entry == (name.clone(), kind)).count() - 1
                };
                if let Some(bytes) = encode(
                    query,
                    end,
                    &name,
                    kind,
                    answer(Question {
                        name: &name,
                        kind,
                        before,
                    }),
                ) {
                    socket.send_to(&bytes, from).await.unwrap();
                }
            }
        });
        Self { address, asked, task }
    }

    /// One answer for every name.
    pub async fn always(ips: &[&str]) -> Self {
        let ips: Vec<IpAddr> = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        Self::start(move |_| Answer::Ips(ips.clone())).await
    }

    /// How often `name` was asked for with record type `kind`.
    pub fn asked(&self, name: &str, kind: u16) -> usize {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .filter(|entry| **entry == (name.to_owned(), kind))
            .count()
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Name (lower case, no trailing dot), type, and where the question ends in the packet.
fn question(query: &[u8]) -> (String, u16, usize) {
    let (mut at, mut labels) = (12, Vec::new());
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8(query[at + 1..end].to_ascii_lowercase()).unwrap());
        at = end;
    }
    (
        labels.join("."),
        u16::from_be_bytes([query[at + 1], query[at + 2]]),
        at + 5,
    )
}

fn encode(query: &[u8], end: usize, name: &str, kind: u16, answer: Answer) -> Option<Vec<u8>> {
    const NO_ERROR: u8 = 0;
    const SERV_FAIL: u8 = 2;
    const NX_DOMAIN: u8 = 3;
    let (code, records) = match answer {
        Answer::Silence => return None,
        Answer::NxDomain => (NX_DOMAIN, Vec::new()),
        Answer::ServFail => (SERV_FAIL, Vec::new()),
        Answer::Ips(ips) => (NO_ERROR, addresses(name, kind, &ips)),
        Answer::Alias(alias, ips) => {
            let mut records = vec![record(name, CNAME, &encode_name(alias))];
            records.extend(addresses(alias, kind, &ips));
            (NO_ERROR, records)
        }
    };
    let mut bytes = query[..2].to_vec();
    // Response, recursion desired and available; one question.
    bytes.extend([0x81, 0x80 | code, 0, 1]);
    bytes.extend(u16::try_from(records.len()).unwrap().to_be_bytes());
    bytes.extend([0, 0, 0, 0]);
    bytes.extend(&query[12..end]);
    bytes.extend(records.concat());
    Some(bytes)
}

fn addresses(name: &str, kind: u16, ips: &[IpAddr]) -> Vec<Vec<u8>> {
    let matching = ips.iter().filter_map(|ip| match (ip, kind) {
        (IpAddr::V4(v4), A) => Some(record(name, A, &v4.octets())),
        (IpAddr::V6(v6), AAAA) => Some(record(name, AAAA, &v6.octets())),
        _ => None,
    });
    matching.collect()
}

/// A record of class IN that nobody may keep: time to live 0.
fn record(name: &str, kind: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = encode_name(name);
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1, 0, 0, 0, 0]);
    bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    bytes.extend(data);
    bytes
}

fn encode_name(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}
