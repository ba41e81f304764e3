use std::time::Duration;

use serde_json::json;

use super::*;
use crate::tests::event;

const URL: &str = "https://hooks.example.com/services/CANARY";
const PAYLOAD: &str =
    r#"{"host": "db1 <!channel>", "who": "@channel & @Here", "empty": " ", "blocks": [{"type": "divider"}]}"#;

fn body(settings: Value) -> Value {
    Settings::read(&settings).unwrap().plan(&event(PAYLOAD)).unwrap().body
}

#[test]
fn each_service_is_told_in_its_own_words() {
    let says = |service: &str| body(json!({service: URL, "title": "Down", "text": "{{ host }} by {{ who }}"}));
    assert_eq!(
        says("slack"),
        json!({"text": "*Down*\ndb1 &lt;!channel&gt; by @channel &amp; @Here"})
    );
    assert_eq!(
        says("discord"),
        json!({"content": "**Down**\ndb1 <!channel> by @channel & @Here", "allowed_mentions": {"parse": []}})
    );
    assert_eq!(
        says("mattermost"),
        json!({"text": "#### Down\ndb1 <\u{200b}!channel> by @\u{200b}channel & @\u{200b}Here"})
    );
    let card = &says("teams")["attachments"][0]["content"];
    assert_eq!(card["body"][0]["text"], "Down");
    assert_eq!(card["body"][1]["text"], "db1 <!channel> by @channel & @Here");
    let bot = json!({"token": "12:AB-c", "chat": -100123});
    assert_eq!(
        body(json!({"telegram": bot, "title": "Down", "text": "{{ host }}"})),
        json!({"chat_id": "-100123", "text": "Down\n\ndb1 <!channel>"})
    );
}

#[test]
fn no_value_calls_people_or_makes_a_link_wherever_it_is_written() {
    let payload = r#"{"v": "<!channel> <@U1> @ada [pay](https://evil.example)", "u": "https://e.example/?a=1&b=2",
        "list": [{"text": "\u003c!here>"}]}"#;
    let event = event(payload);
    let blocks = |service: &str, blocks: Value| {
        let settings = Settings::read(&json!({service: URL, "text": "x", "blocks": blocks})).unwrap();
        settings.plan(&event).unwrap().body
    };
    let own =
        json!([{"text": "{{ v }}", "also": "<!here> [own](https://own.example): {{ v }}", "image_url": "{{ u }}"}]);
    let slack = "&lt;!channel&gt; &lt;@U1&gt; @ada [pay](https://evil.example)";
    assert_eq!(
        blocks("slack", own.clone())["blocks"][0],
        json!({
            "text": slack,
            "also": format!("<!here> [own](https://own.example): {slack}"),
            "image_url": "https://e.example/?a=1&b=2",
        })
    );
    assert_eq!(
        blocks("slack", json!("{{ list }}"))["blocks"][0]["text"],
        "&lt;!here&gt;"
    );
    let mattermost = "<\u{200b}!channel> <\u{200b}@\u{200b}U1> @\u{200b}ada [pay]\u{200b}(https://evil.example)";
    assert_eq!(blocks("mattermost", own.clone())["attachments"][0]["text"], mattermost);
    let teams = "<!channel> <@U1> @ada [pay]\u{200b}(https://evil.example)";
    let card = blocks("teams", own);
    assert_eq!(card["attachments"][0]["content"]["body"][1]["text"], teams);
    let text = Settings::read(&json!({"teams": URL, "text": "[own](https://own.example) {{ v }}"})).unwrap();
    let text = text.plan(&event).unwrap().body;
    assert_eq!(
        text["attachments"][0]["content"]["body"][0]["text"],
        format!("[own](https://own.example) {teams}")
    );
}

#[test]
fn what_the_author_wrote_still_calls_people_and_links() {
    assert_eq!(
        body(json!({"slack": URL, "text": "<!here> {{ who }}"}))["text"],
        "<!here> @channel &amp; @Here"
    );
}

#[test]
fn blocks_come_along_where_the_service_has_some() {
    assert_eq!(
        body(json!({"slack": URL, "text": "x", "blocks": "{{ blocks }}"}))["blocks"],
        json!([{"type": "divider"}])
    );
    let teams = body(json!({"teams": URL, "text": "x", "blocks": [{"type": "Image", "url": "https://e.example"}]}));
    assert_eq!(teams["attachments"][0]["content"]["body"][1]["type"], "Image");
}

#[test]
fn a_text_is_cut_at_the_limit_of_its_service_and_ends_visibly() {
    for (service, max) in [("slack", 40_000), ("discord", 2_000), ("mattermost", 16_383)] {
        let member = if service == "discord" { "content" } else { "text" };
        let of = |letters: usize| {
            let body = body(json!({service: URL, "text": "ä".repeat(letters)}));
            body[member].as_str().unwrap().to_owned()
        };
        assert_eq!(of(max).chars().count(), max, "{service}");
        assert!(of(max).ends_with('ä'));
        assert_eq!(of(max + 1).chars().count(), max, "{service}");
        assert!(of(max + 1).ends_with("ä […]"));
    }
    let telegram = body(json!({"telegram": {"token": "1:a", "chat": "@ops"}, "text": "😀".repeat(3_000)}));
    let text = telegram["text"].as_str().unwrap();
    assert!(text.encode_utf16().count() <= 4_096 && text.ends_with("😀 […]"));
}

#[test]
fn a_message_that_says_nothing_is_an_error() {
    let settings = Settings::read(&json!({"slack": URL, "text": "{{ empty }}"})).unwrap();
    assert_eq!(settings.plan(&event(PAYLOAD)).unwrap_err().setting, "text");
}

#[test]
fn answers_are_judged_by_what_they_mean() {
    let refused = |service: Service, status, body: &str| service.judge(status, body.as_bytes()).refused;
    assert_eq!(refused(Service::Slack, 200, "ok"), None);
    assert_eq!(
        refused(Service::Slack, 200, "no_service").as_deref(),
        Some("no_service")
    );
    assert_eq!(
        refused(Service::Slack, 404, "channel_not_found").as_deref(),
        Some("channel_not_found")
    );
    assert_eq!(refused(Service::Discord, 204, ""), None);
    assert_eq!(refused(Service::Teams, 202, ""), None);
    assert!(refused(Service::Teams, 200, "Webhook message delivery failed with error: 429").is_some());
    assert_eq!(refused(Service::Mattermost, 200, "ok\n"), None);
    assert_eq!(refused(Service::Telegram, 200, r#"{"ok":true,"result":{}}"#), None);
    let full = Service::Telegram.judge(
        429,
        br#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 7","parameters":{"retry_after":7}}"#,
    );
    assert_eq!(full.refused.as_deref(), Some("Too Many Requests: retry after 7"));
    assert_eq!(full.retry_after, Some(Duration::from_secs(7)));
    let full = Service::Discord.judge(429, br#"{"message":"You are being rate limited.","retry_after":0.25}"#);
    assert_eq!(full.retry_after, Some(Duration::from_millis(250)));
    assert_eq!(Service::Discord.judge(429, br#"{"retry_after":-1}"#).retry_after, None);
}

#[test]
fn settings_name_one_service_and_their_secrets_are_not_shown() {
    for (settings, path) in [
        (json!({"text": "x"}), ""),
        (json!({"slack": URL, "discord": URL, "text": "x"}), ""),
        (json!({"slack": URL}), "text"),
        (json!({"slack": "hooks.example.com", "text": "x"}), "slack"),
        (json!({"slack": URL, "text": "{{ x"}), "text"),
        (
            json!({"telegram": {"token": "a/b", "chat": 1}, "text": "x"}),
            "telegram.token",
        ),
        (
            json!({"telegram": {"token": "1:a", "chat": 1}, "text": "x", "blocks": []}),
            "blocks",
        ),
    ] {
        let problem = Settings::read(&settings).unwrap_err();
        assert_eq!(problem.path.join("."), path, "{settings}: {problem}");
        assert!(!problem.message.contains("CANARY"), "{problem}");
    }
    let kind = crate::by_name("chat").unwrap();
    let slack = json!({"slack": URL, "text": "x"});
    let telegram = json!({"telegram": {"token": "1:CANARY", "chat": 1}, "text": "x"});
    for settings in [&slack, &telegram] {
        let shown = (kind.shown)(settings).to_string();
        let preview = (kind.preview)(settings, &event(PAYLOAD)).unwrap().to_string();
        let debug = format!("{:?}", Settings::read(settings).unwrap());
        for text in [shown, preview, debug, (kind.target)(settings).unwrap()] {
            assert!(!text.contains("CANARY"), "{text}");
        }
    }
}
