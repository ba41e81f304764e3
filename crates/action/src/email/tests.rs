use bellwire_core::time::Timestamp;
use serde_json::json;

use super::*;
use crate::tests::event;

const NOW: Timestamp = Timestamp::from_secs(1_766_000_000);

fn settings(more: Value) -> Value {
    let mut settings = json!({
        "smtp": "smtps://shop@example.com:canary@smtp.example.com",
        "to": "{{ name }} <{{ email }}>",
        "subject": "Welcome, {{ name }}!",
        "text": "Hello {{ name }}",
    });
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
        if value.is_null() {
            settings.as_object_mut().unwrap().remove(name);
        }
    }
    settings
}

fn plan(more: Value, body: &str) -> Result<Letter, PlanError> {
    Settings::read(&settings(more)).unwrap().plan(&event(body))
}

fn written(letter: &Letter) -> String {
    String::from_utf8(letter.write(NOW).unwrap().bytes).unwrap()
}

const ADA: &str = r#"{"name": "Ada <b>", "email": "ada@example.com"}"#;

#[test]
fn a_letter_is_filled_in_and_the_same_for_every_attempt() {
    let letter = plan(
        json!({"html": "<p>Hello {{ name }}</p>", "cc": ["{{ boss|default('') }}"]}),
        ADA,
    )
    .unwrap();
    assert_eq!(letter.from.to_string(), "shop@example.com");
    assert_eq!((letter.to.len(), letter.cc.len()), (1, 0));
    let text = written(&letter);
    for line in [
        "From: shop@example.com\r\n",
        "To: =?utf-8?b?QWRhIDxiPg==?= <ada@example.com>\r\n",
        "Subject: Welcome, Ada <b>!\r\n",
        "Message-ID: <msg_1.ep_1@example.com>\r\n",
        "Date: Wed, 17 Dec 2025 19:33:20 +0000\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "\r\nHello Ada <b>\r\n",
        "\r\n<p>Hello Ada &lt;b&gt;</p>\r\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    assert_eq!(text, written(&letter));
}

#[test]
fn those_in_bcc_get_the_letter_and_are_not_named_in_it() {
    let letter = plan(
        json!({"bcc": ["audit@example.org"], "replyTo": "help@example.com"}),
        ADA,
    )
    .unwrap();
    let mail = letter.write(NOW).unwrap();
    let told: Vec<String> = mail.envelope.to().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["ada@example.com", "audit@example.org"]);
    let text = String::from_utf8(mail.bytes).unwrap();
    assert!(!text.contains("audit@example.org"), "{text}");
    assert!(text.contains("Reply-To: help@example.com\r\n"), "{text}");
}

#[test]
fn nothing_a_message_holds_becomes_a_header_or_a_recipient() {
    for (name, email) in [
        ("Ada\\r\\nBcc: evil@example.org", "ada@example.com"),
        ("Ada\\u0000", "ada@example.com"),
        ("Ada", "ada@example.com\\r\\nBcc: evil@example.org"),
        ("Ada", "ada@example.com, evil@example.org"),
        ("Ada", "ada@example.com> BODY=8BITMIME <"),
        ("Ada", ""),
        ("Ada", "nobody"),
    ] {
        let body = format!(r#"{{"name": "{name}", "email": "{email}"}}"#);
        let error = plan(json!({}), &body).unwrap_err();
        assert_eq!(error.setting, "to", "{error}");
    }
    let error = plan(json!({"to": "a@example.com"}), r#"{"name": "x\ny"}"#).unwrap_err();
    assert_eq!(error.setting, "subject", "{error}");
    let error = plan(
        json!({"to": "a@example.com", "headers": {"X-Name": "{{ name }}"}, "subject": "s"}),
        r#"{"name": "x\ry"}"#,
    )
    .unwrap_err();
    assert_eq!(error.setting, "headers.X-Name", "{error}");
    let letter = plan(
        json!({}),
        r#"{"name": "evil@example.org>, <x", "email": "ada@example.com"}"#,
    )
    .unwrap();
    let mail = letter.write(NOW).unwrap();
    let told: Vec<String> = mail.envelope.to().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["ada@example.com"]);
}

#[test]
fn words_of_all_languages_are_encoded() {
    let letter = plan(json!({}), r#"{"name": "Łukasz 🎉", "email": "l@example.com"}"#).unwrap();
    let text = written(&letter);
    assert!(text.is_ascii(), "{text}");
    assert!(text.contains("=?utf-8?b?xYF1a2Fzei"), "{text}");
}

#[test]
fn lines_of_a_body_end_as_mail_wants_it() {
    let letter = plan(json!({"text": "a\nb\r\nc\r.\n\r\nd"}), ADA).unwrap();
    assert!(
        written(&letter).contains("a\r\nb\r\nc\r\n.\r\n\r\nd"),
        "{}",
        written(&letter)
    );
}

#[test]
fn settings_that_cannot_work_are_refused_with_their_place() {
    for (more, says) in [
        (json!({"smtp": "smtps://u:canary@"}), "`smtp`: the URL names no host"),
        (json!({"smtp": "smtps://h"}), "`from`: is missing"),
        (json!({"text": null}), "`text`: is missing"),
        (json!({"to": []}), "`to`: is empty"),
        (json!({"to": "nobody"}), "`to`: `nobody` is not one mail address"),
        (
            json!({"cc": ["a@b.example", "c d"]}),
            "`cc`: `c d` is not one mail address",
        ),
        (json!({"from": "me"}), "`from`: `me` is not one mail address"),
        (json!({"to": {"a": 1}}), "`to`"),
        (json!({"subject": null}), "subject"),
        (json!({"subject": "{{ name"}), "`subject`: syntax error"),
        (json!({"subjct": "x"}), "subjct"),
        (json!({"headers": {"Bcc": "x@y.z"}}), "`headers.Bcc`: is written by"),
        (json!({"headers": {"Content-Type": "x"}}), "`headers.Content-Type`"),
        (
            json!({"headers": {"X y": "x"}}),
            "`headers.X y`: is not a header's name",
        ),
        (json!({"to": vec!["a@example.com"; 101]}), "`to`: names 101 recipients"),
    ] {
        let error = Settings::read(&settings(more)).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }
}

#[test]
fn what_is_shown_holds_no_password_and_a_preview_shows_the_letter() {
    let settings = settings(json!({"headers": {"X-Id": "{{ message_id }}"}}));
    let mut shown = settings.clone();
    Settings::hide(&mut shown);
    assert_eq!(shown["smtp"], "smtps://shop@example.com:[redacted]@smtp.example.com");
    let preview = Settings::read(&settings).unwrap().preview(&event(ADA)).unwrap();
    assert_eq!(preview["to"], json!(["\"Ada <b>\" <ada@example.com>"]));
    assert_eq!(preview["headers"]["X-Id"], "msg_1");
    assert!(!preview.to_string().contains("canary"));
}
