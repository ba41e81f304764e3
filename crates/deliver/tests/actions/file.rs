//! The kind `file`.

use std::fs;

use serde_json::{Value, json};

use crate::house::{House, endpoint, message, reason, response};

#[tokio::test]
async fn each_message_is_a_line_in_the_data_directory() {
    let house = House::open().await;
    let file = endpoint("file", &json!({"path": "events.jsonl", "format": "jsonl"}));
    for payload in ["{\"n\": 1.50,\n \"t\": \"a\"}", "{}"] {
        assert_eq!(reason(&house.act(file.clone(), message(payload)).await), "");
    }
    let text = fs::read_to_string(house.folder.path().join("events.jsonl")).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].ends_with("\"payload\":{\"n\": 1.50,  \"t\": \"a\"}}"),
        "{text}"
    );
    let line: Value = serde_json::from_str(lines[0]).unwrap();
    assert_eq!(
        (&line["type"], line["id"].as_str().unwrap().starts_with("msg_")),
        (&json!("invoice.paid"), true)
    );
    assert!(line["source"].as_str().unwrap().starts_with("src_"));
}

#[tokio::test]
async fn a_file_that_cannot_be_written_says_why_and_is_tried_again() {
    let house = House::open().await;
    let outcome = house
        .act(
            endpoint("file", &json!({"path": "missing/events.jsonl"})),
            message("{}"),
        )
        .await;
    assert_eq!(reason(&outcome), "file_not_written");
    assert!(response(&outcome).contains("missing/events.jsonl") && !outcome.failure.unwrap().is_final());
}
