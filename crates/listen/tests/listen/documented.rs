//! Requests from the providers' public documentation and the tests of their public libraries, with the keys given there; of the
//! generic forms, the examples of the standards.

use bellwire_core::time::Timestamp;
use bellwire_listen::{Request, Settings, Trusted, Verifier, providers};

struct Documented<'a> {
    provider: &'a str,
    settings: &'a [(&'a str, &'a str)],
    url: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
    at: &'a str,
}

const URL: &str = "https://example.com/";

impl Documented<'_> {
    fn verify(&self) -> Trusted {
        let provider = providers::by_name(self.provider).unwrap();
        let mut settings = Settings::new();
        for (name, value) in self.settings {
            settings.add(name, *value);
        }
        let verifier = Verifier::new(provider, settings).unwrap();
        let request = Request {
            method: "POST",
            url: self.url,
            headers: self.headers,
            body: self.body.as_bytes(),
            received_at: self.at.parse::<Timestamp>().unwrap(),
            peer: None,
            fetched: None,
        };
        let verdict = verifier.explain(&request, &[], false);
        verdict.unwrap_or_else(|refused| panic!("{}: {refused}", self.provider))
    }
}

#[test]
fn github_as_in_validating_webhook_deliveries() {
    let trusted = Documented {
        provider: "github",
        settings: &[("secret", "It's a Secret to Everybody")],
        url: URL,
        headers: &[
            (
                "X-Hub-Signature-256",
                "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            ),
            ("X-GitHub-Event", "push"),
            ("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        ],
        body: "Hello, World!",
        at: "2026-01-01T00:00:00Z",
    }
    .verify();
    assert_eq!(trusted.event_type.as_deref(), Some("push"));
    assert_eq!(trusted.id.as_deref(), Some("72d3162e-cc78-11e3-81ab-4c9367dc0958"));
}

#[test]
fn slack_as_in_verifying_requests_from_slack() {
    Documented {
        provider: "slack",
        settings: &[("secret", "8f742231b10e8888abcd99yyyzzz85a5")],
        url: URL,
        headers: &[
            (
                "X-Slack-Signature",
                "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
            ),
            ("X-Slack-Request-Timestamp", "1531420618"),
        ],
        body: "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&\
               channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&\
               response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&\
               trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
        at: "2018-07-12T18:37:00Z",
    }
    .verify();
}

#[test]
fn twilio_as_in_webhooks_security() {
    Documented {
        provider: "twilio",
        settings: &[("secret", "12345")],
        url: "https://mycompany.com/myapp.php?foo=1&bar=2",
        headers: &[
            ("X-Twilio-Signature", "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ],
        body: "Digits=1234&To=%2B18005551212&From=%2B14158675309&Caller=%2B14158675309&CallSid=CA1234567890ABCDE",
        at: "2026-01-01T00:00:00Z",
    }
    .verify();
}

#[test]
fn checkbook_as_in_webhooks_signature() {
    Documented {
        provider: "checkbook",
        settings: &[("secret", "335b5728e25b47e88995fce207bff380")],
        url: URL,
        headers: &[(
            "Signature",
            "nonce=1243549809,signature=4ee9758fc0bceb3ca1a2fe397fbd125364cfffdb04296fa118dab9778a4b3ce3",
        )],
        body: r#"{"status": "PAID", "id": "ed0af5fb335c47dd8eb53199ba50f5c4", "type": "CHECK"}"#,
        at: "2026-01-01T00:00:00Z",
    }
    .verify();
}

#[test]
fn adyen_as_in_verify_hmac_signatures() {
    Documented {
        provider: "adyen",
        settings: &[("secret", "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056")],
        url: URL,
        headers: &[],
        body: r#"{"live":"false","notificationItems":[{"NotificationRequestItem":{"additionalData":
                 {"hmacSignature":"coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="},
                 "amount":{"value":1130,"currency":"EUR"},"pspReference":"7914073381342284","eventCode":"AUTHORISATION",
                 "merchantAccountCode":"TestMerchant","merchantReference":"TestPayment-1407325143704","success":"true"}}]}"#,
        at: "2026-01-01T00:00:00Z",
    }
    .verify();
}

#[test]
fn box_as_in_the_tests_of_its_library() {
    let body = r#"{"type":"webhook_event","webhook":{"id":"1234567890"},"trigger":"FILE.UPLOADED","source":{"id":"1234567890","type":"file","name":"Test.txt"}}"#;
    for secret in ["SamplePrimaryKey", "SampleSecondaryKey"] {
        let trusted = Documented {
            provider: "box",
            settings: &[("secret", secret)],
            url: URL,
            headers: &[
                ("BOX-SIGNATURE-PRIMARY", "6TfeAW3A1PASkgboxxA5yqHNKOwFyMWuEXny/FPD5hI="),
                (
                    "BOX-SIGNATURE-SECONDARY",
                    "v+1CD1Jdo3muIcbpv5lxxgPglOqMfsNHPV899xWYydo=",
                ),
                ("BOX-DELIVERY-TIMESTAMP", "2020-01-01T00:00:00-07:00"),
            ],
            body,
            at: "2020-01-01T07:05:00Z",
        }
        .verify();
        assert_eq!(trusted.event_type.as_deref(), Some("FILE.UPLOADED"));
    }
}

#[test]
fn sendgrid_as_in_the_tests_of_its_library() {
    Documented {
        provider: "sendgrid",
        settings: &[(
            "publicKey",
            "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==",
        )],
        url: URL,
        headers: &[
            (
                "X-Twilio-Email-Event-Webhook-Signature",
                "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=",
            ),
            ("X-Twilio-Email-Event-Webhook-Timestamp", "1600112502"),
        ],
        body: "[{\"email\":\"hello@world.com\",\"event\":\"dropped\",\"reason\":\"Bounced Address\",\"sg_event_id\":\"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA\",\"sg_message_id\":\"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0\",\"smtp-id\":\"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>\",\"timestamp\":1600112492}]\r\n",
        at: "2020-09-14T19:41:42Z",
    }
    .verify();
}

#[test]
fn standard_webhooks_and_svix_as_in_verifying_payloads() {
    for (provider, prefix) in [("standard-webhooks", "webhook"), ("svix", "svix")] {
        let [id, time, signature] = ["id", "timestamp", "signature"].map(|name| format!("{prefix}-{name}"));
        let trusted = Documented {
            provider,
            settings: &[("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")],
            url: URL,
            headers: &[
                (&id, "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                (&time, "1614265330"),
                (&signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
            ],
            body: r#"{"test": 2432232314}"#,
            at: "2021-02-25T15:02:11Z",
        }
        .verify();
        assert_eq!(trusted.id.as_deref(), Some("msg_p5jXN8AQM9LWM0D4loKWxJek"));
    }
}

#[test]
fn square_as_in_validate_webhook_events() {
    Documented {
        provider: "square",
        settings: &[("secret", "asdf1234")],
        url: "https://example.com/webhook",
        headers: &[(
            "X-Square-HmacSha256-Signature",
            "2kRE5qRU2tR+tBGlDwMEw2avJ7QM4ikPYD/PJ3bd9Og=",
        )],
        body: r#"{"hello":"world"}"#,
        at: "2026-01-01T00:00:00Z",
    }
    .verify();
}

#[test]
fn notion_as_in_validating_event_payloads() {
    Documented {
        provider: "notion",
        settings: &[("secret", "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl")],
        url: URL,
        headers: &[(
            "X-Notion-Signature",
            "sha256=461e8cbcba8a75c3edd866f0e71280f5a85cbf21eff040ebd10fe266df38a735",
        )],
        body: r#"{"verification_token":"secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl"}"#,
        at: "2026-01-01T00:00:00Z",
    }
    .verify();
}

#[test]
fn paddle_as_in_the_tests_of_its_library() {
    for (signature, body) in [
        (
            "ts=1698796800;h1=a300428748dce5c70e4da19bffd60769591ea969c99dea3105d0ec9612cf43f9",
            r#"{"data": ["1", "2"]}"#,
        ),
        (
            "ts=1698796800;h1=28981e941fae76e53db32f3d2a83cb69db41476595e84e1970a1b5d98f62b261;\
             h1=28981e941fae76e53db32f3d2a83cb69db41476595e84e1970a1b5d98f62b261;h2=RANDOM_HASH",
            r#"{"data": "value"}"#,
        ),
    ] {
        Documented {
            provider: "paddle",
            settings: &[("secret", "VALID_SECRET")],
            url: URL,
            headers: &[("Paddle-Signature", signature)],
            body,
            at: "2023-11-01T00:00:05Z",
        }
        .verify();
    }
}

#[test]
fn pagerduty_as_in_the_tests_of_its_library() {
    let trusted = Documented {
        provider: "pagerduty",
        settings: &[(
            "secret",
            "lDQHScfUeXUKaQRNF+8XIiDKZ7XX3itBAYzwU0TARw8lJqRnkKl2iB1anSb0Z+IK",
        )],
        url: URL,
        headers: &[(
            "X-PagerDuty-Signature",
            "v1=0c0b9495b893a39e70d1fea2fe11fbe0a825f88b9f67846f6cc07dd2bc5476cd",
        )],
        body: include_str!("../data/pagerduty.json"),
        at: "2026-01-01T00:00:00Z",
    }
    .verify();
    assert_eq!(trusted.id.as_deref(), Some("01BWDWL3NYY7LUFPZCC28QUCMK"));
    assert_eq!(trusted.event_type.as_deref(), Some("incident.priority_updated"));
}

#[test]
fn razorpay_as_in_the_tests_of_its_library() {
    let trusted = Documented {
        provider: "razorpay",
        settings: &[("secret", "key_secret")],
        url: URL,
        headers: &[(
            "X-Razorpay-Signature",
            "d60e67fd884556c045e9be7dad57903e33efc7172c17c6e3ef77db42d2b366e9",
        )],
        body: include_str!("../data/razorpay.json"),
        at: "2026-01-01T00:00:00Z",
    }
    .verify();
    assert_eq!(trusted.event_type.as_deref(), Some("payment.authorized"));
}

#[test]
fn jira_and_bitbucket_as_in_their_webhooks_pages() {
    for provider in ["jira", "bitbucket"] {
        Documented {
            provider,
            settings: &[("secret", "It's a Secret to Everybody")],
            url: URL,
            headers: &[(
                "X-Hub-Signature",
                "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9",
            )],
            body: "Hello World!",
            at: "2026-01-01T00:00:00Z",
        }
        .verify();
    }
}

#[test]
fn hmac_as_in_rfc_4231() {
    // Test case 2, section 4.3.
    for (alg, signature) in [
        (
            "sha256",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            "sha512",
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        ),
    ] {
        Documented {
            provider: "hmac",
            settings: &[("secret", "Jefe"), ("header", "x-sig"), ("alg", alg)],
            url: URL,
            headers: &[("x-sig", signature)],
            body: "what do ya want for nothing?",
            at: "2026-01-01T00:00:00Z",
        }
        .verify();
    }
}

#[test]
fn ed25519_as_in_rfc_8032() {
    // Section 7.1, TEST 2.
    Documented {
        provider: "ed25519",
        settings: &[
            ("publicKey", "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"),
            ("header", "x-sig"),
        ],
        url: URL,
        headers: &[(
            "x-sig",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        )],
        body: "r",
        at: "2026-01-01T00:00:00Z",
    }
    .verify();
}

#[test]
fn basic_as_in_rfc_7617_and_bearer_as_in_rfc_6750() {
    for (provider, settings, value) in [
        (
            // Section 2.
            "basic",
            &[("user", "Aladdin"), ("pass", "open sesame")][..],
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
        // Section 2.1.
        ("bearer", &[("secret", "mF_9.B5f-4.1JqM")][..], "Bearer mF_9.B5f-4.1JqM"),
    ] {
        Documented {
            provider,
            settings,
            url: URL,
            headers: &[("Authorization", value)],
            body: "{}",
            at: "2026-01-01T00:00:00Z",
        }
        .verify();
    }
}

#[test]
fn jwt_as_in_rfc_7515() {
    // Appendix A.3, ES256; it ends on 2011-03-22.
    Documented {
        provider: "jwt",
        settings: &[
            (
                "jwk",
                r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
            ),
            ("header", "x-token"),
            ("issuer", "joe"),
        ],
        url: URL,
        headers: &[(
            "x-token",
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        )],
        body: "{}",
        at: "2011-03-22T18:00:00Z",
    }
    .verify();
}
