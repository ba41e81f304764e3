//! The kind `file`.

use std::{fs, time::Duration};

use bellwire_deliver::action::Acted;
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

#[tokio::test]
async fn a_lock_that_another_holds_costs_the_time_and_no_second_line() {
    let house = House::open().await;
    let path = house.folder.path().join("events.jsonl");
    let held = fs::File::create(&path).unwrap();
    held.lock().unwrap();
    let file = endpoint("file", &json!({"path": "events.jsonl", "line": "{{ id }}"}));
    let short = Duration::from_millis(100);
    let acted = house
        .act_if(file.clone(), message(r#"{"id": 1}"#), short, &|| true)
        .await;
    let Acted::Attempted(outcome) = acted else {
        panic!("withheld");
    };
    assert_eq!(reason(&outcome), "file_not_written");
    assert!(response(&outcome).contains("held its lock"), "{}", response(&outcome));
    held.unlock().unwrap();
    assert_eq!(reason(&house.act(file, message(r#"{"id": 1}"#)).await), "");
    assert_eq!(fs::read_to_string(&path).unwrap(), "1\n");
}
