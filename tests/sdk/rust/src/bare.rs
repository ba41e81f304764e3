//! One HTTP request over a plain socket: for status codes, exact bytes and additive fields.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::world::{server_url, token};

/// Sends `body` as it is and gives back the status and the body of the answer.
pub fn bare(method: &str, path: &str, body: &str) -> (u16, String) {
    let url = server_url();
    let host = url
        .strip_prefix("http://")
        .unwrap_or_else(|| panic!("BELLWIRE_URL must be http://host:port, not {url}"));
    let mut stream = TcpStream::connect(host).expect("the server listens");
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        token(),
        body.len()
    )
    .expect("the request is sent");
    let mut answer = BufReader::new(stream);
    let mut line = String::new();
    answer.read_line(&mut line).expect("a status line");
    let status = line
        .split_whitespace()
        .nth(1)
        .and_then(|s| s.parse().ok())
        .unwrap_or_else(|| panic!("not a status line: {line:?}"));
    while line.trim() != "" {
        line.clear();
        answer.read_line(&mut line).expect("a header");
        assert!(
            !line.to_ascii_lowercase().starts_with("transfer-encoding"),
            "this little client reads plain bodies only"
        );
    }
    let mut text = String::new();
    answer.read_to_string(&mut text).expect("a UTF-8 body");
    (status, text)
}
