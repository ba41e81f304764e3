//! `docs/questions.md`: every command on that page answers its question, on a real server with something to find.

use clap::Parser as _;

use super::*;
use crate::cli::{
    Cli, Command,
    testing::{Captured, session},
};

const PAGE: &str = include_str!("../../../../../docs/questions.md");

/// What the answer to each question has in it, by the question's number.
const ANSWERS: [&[&str]; 12] = [
    &["in event_id", "invoice.paid"],
    &["billing", "audit", "503"],
    &["audit", "filter amount > 1000: no, amount is 5"],
    &["503", "out of order"],
    &["order-17", "2"],
    &[
        "billing of shop",
        "status_unavailable",
        "out of order",
        "do: ",
        "retry all",
    ],
    &["1 message would be sent to billing"],
    &["0 messages would be sent to audit"],
    &["the secret is another one"],
    &["95 of 100 attempts were answered within"],
    &["1 more", "1 would"],
    &["cancelled", "it cannot be taken back"],
];

/// The commands of the page, one below each heading.
fn commands() -> Vec<Vec<String>> {
    let sections = PAGE.split("\n## ").skip(1);
    let command = |section: &str| {
        let line = section.lines().find_map(|line| line.strip_prefix("    bellwire "));
        words(line.unwrap_or_else(|| panic!("no command in {section}")))
    };
    sections.map(command).collect()
}

/// A line as a shell takes it apart: by spaces, but for what stands in quotes.
fn words(line: &str) -> Vec<String> {
    let mut all = vec!["bellwire".to_owned()];
    for (at, piece) in line.split('"').enumerate() {
        match at % 2 {
            0 => all.extend(piece.split_whitespace().map(str::to_owned)),
            _ => all.push(piece.to_owned()),
        }
    }
    all
}

/// Runs a command as the binary does, and tells all it said.
async fn run(address: SocketAddr, token: &str, line: Vec<String>) -> String {
    let token = token.to_owned();
    let told = tokio::task::spawn_blocking(move || {
        let cli = Cli::try_parse_from(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        let captured = Captured::default();
        let mut session = session(&format!("http://{address}"), &captured, false);
        session.client = crate::cli::Client::new(&crate::cli::Globals {
            url: format!("http://{address}"),
            token: Some(token),
            ..cli.globals
        })
        .unwrap();
        let done = match cli.command {
            Command::Search(args) => args.run(&mut session),
            Command::Message(command) => command.run(&mut session),
            Command::Problems(args) => args.run(&mut session),
            Command::Replay(args) => args.run(&mut session),
            Command::Verify(args) => args.run(&mut session.out),
            Command::Stats(args) => args.run(&mut session),
            Command::Endpoint(command) => command.run(&mut session),
            Command::Impact(args) => args.run(&mut session),
            _ => panic!("{line:?} is not expected on the page"),
        };
        let failed = done.err().map(|failure| failure.to_string()).unwrap_or_default();
        format!("{}\n{}\n{failed}", captured.text(), captured.notes())
    });
    told.await.unwrap()
}

/// Answers everything with 503.
async fn fail(listener: TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut received = Vec::new();
        while !received.ends_with(b"{\"amount\":5}") {
            let mut piece = [0; 4_096];
            let read = stream.read(&mut piece).await.unwrap();
            if read == 0 {
                break;
            }
            received.extend_from_slice(&piece[..read]);
        }
        let answer = "HTTP/1.1 503 No\r\ncontent-length: 12\r\nconnection: close\r\n\r\nout of order";
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

#[tokio::test]
async fn each_of_the_twelve_questions_is_answered_by_its_command() {
    let data = tempfile::tempdir().unwrap();
    let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", receiver.local_addr().unwrap());
    let server = serve(config(data.path())).await.unwrap();
    let (address, token) = (server.address, token(&server));
    let post = async |path: &str, body: Value| {
        let answer = ask(address, "POST", path, &token, Some(body)).await;
        assert!(answer.0 < 300, "{path}: {}", answer.text());
        answer.json()
    };
    post("/api/v1/app", json!({ "name": "Shop", "uid": "shop" })).await;
    let billing = json!({ "url": url, "uid": "billing", "retrySchedule": ["1h"] });
    post("/api/v1/app/shop/endpoint", billing).await;
    let audit = json!({ "url": url, "uid": "audit", "filter": "amount > 1000" });
    post("/api/v1/app/shop/endpoint", audit).await;
    let event = json!({ "eventType": "invoice.paid", "eventId": "order-17", "payload": { "amount": 5 } });
    post("/api/v1/app/shop/msg", event).await;
    let answered = async {
        let attempts = "/api/v1/app/shop/attempt/msg/order-17";
        let count = |answer: Answer| answer.json()["data"].as_array().map_or(0, Vec::len);
        while count(ask(address, "GET", attempts, &token, None).await) == 0 {}
    };
    tokio::select! {
        () = fail(receiver) => {}
        () = answered => {}
    }
    // What the filter of question 11 would match.
    let dear = json!({ "eventType": "invoice.paid", "payload": { "amount": 500 } });
    post("/api/v1/app/shop/msg", dear).await;
    let commands = commands();
    assert_eq!(commands.len(), ANSWERS.len());
    for (at, (line, wanted)) in commands.into_iter().zip(ANSWERS).enumerate() {
        let shown = line.join(" ");
        let told = run(address, &token, line).await;
        for part in wanted {
            assert!(
                told.contains(part),
                "question {}: {shown}\n`{part}` is not in\n{told}",
                at + 1
            );
        }
    }
    stop(server).await;
}
