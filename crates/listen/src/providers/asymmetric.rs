//! Providers that sign with a key pair: what is in the settings verifies and cannot sign.

use crate::Covers;
use crate::encoding::Encoding::Base64;
use crate::facts::Fact::Json;
use crate::facts::Items;
use crate::handshake::Handshake;
use crate::key::Algorithm;
use crate::own::{aws_sns, paypal, plaid};
use crate::place::Place;
use crate::provider::{Form, Provider, Scheme, Setting};
use crate::recipe::{Recipe, Time, Unit};

pub(super) const ROWS: &[Provider] = &[
    Provider {
        name: "discord",
        title: "Discord",
        about: "Ed25519 of time and body, hex",
        source: "Discord developer docs, \"Webhook events\": preparing for events; \"Interactions\": security and authorization",
        settings: &[Setting::public_key(
            "the application's public key, 64 hex digits",
            Form::Ed25519,
        )],
        scheme: Scheme::Signed(Recipe {
            algorithm: Algorithm::Ed25519,
            signature: &[Place::Header("x-signature-ed25519")],
            content: "{ts}{body}",
            time: Some(Time {
                place: Place::Header("x-signature-timestamp"),
                unit: Unit::Seconds,
                tolerance_secs: None,
            }),
            ..Recipe::HMAC
        }),
        handshakes: &[Handshake::DiscordPing],
        event_type: &[Json("/event/type"), Json("/type")],
        id: &[Json("/id")],
        ..Provider::ROW
    },
    Provider {
        name: "telnyx",
        title: "Telnyx",
        about: "Ed25519 of time and body, base64",
        source: "Telnyx developer docs, \"Webhook signing\" (API v2)",
        settings: &[Setting::public_key("the account's public key, base64", Form::Ed25519)],
        scheme: Scheme::Signed(Recipe {
            algorithm: Algorithm::Ed25519,
            signature: &[Place::Header("telnyx-signature-ed25519")],
            encoding: Base64,
            content: "{ts}|{body}",
            time: Some(Time {
                place: Place::Header("telnyx-timestamp"),
                unit: Unit::Seconds,
                tolerance_secs: Some(300),
            }),
            ..Recipe::HMAC
        }),
        event_type: &[Json("/data/event_type")],
        id: &[Json("/data/id")],
        version: &[Json("/data/occurred_at")],
        ..Provider::ROW
    },
    Provider {
        name: "sendgrid",
        title: "SendGrid",
        about: "ECDSA P-256 of time and body, base64",
        source: "SendGrid docs, \"Event Webhook security features\"",
        settings: &[Setting::public_key("the verification key, base64", Form::P256)],
        scheme: Scheme::Signed(Recipe {
            algorithm: Algorithm::P256,
            signature: &[Place::Header("x-twilio-email-event-webhook-signature")],
            encoding: Base64,
            content: "{ts}{body}",
            time: Some(Time {
                place: Place::Header("x-twilio-email-event-webhook-timestamp"),
                unit: Unit::Seconds,
                tolerance_secs: None,
            }),
            ..Recipe::HMAC
        }),
        event_type: &[Json("/0/event")],
        order_by: &[Json("/0/sg_message_id")],
        version: &[Json("/0/timestamp")],
        items: Some(Items {
            event_type: &["/event"],
            id: &["/sg_event_id"],
            order_by: &["/sg_message_id"],
            version: &["/timestamp"],
            ..Items::NONE
        }),
        ..Provider::ROW
    },
    Provider {
        name: "orum-io",
        aliases: &["orum"],
        title: "Orum",
        about: "RSA-SHA256 of the body and its `created_at`, base64",
        source: "Orum docs, \"Secure webhooks\"",
        settings: &[Setting::public_key(
            "the public key of the `webhooks/secret` call, PEM",
            Form::Rsa,
        )],
        scheme: Scheme::Signed(Recipe {
            algorithm: Algorithm::RsaSha256,
            signature: &[Place::Header("signature")],
            encoding: Base64,
            content: "{body}{json:/created_at}",
            ..Recipe::HMAC
        }),
        event_type: &[Json("/event_type")],
        id: &[Json("/event_id")],
        version: &[Json("/created_at")],
        ..Provider::ROW
    },
    Provider {
        name: "paypal",
        title: "PayPal",
        about: "RSA-SHA256 of id, time, webhook id and the body's CRC-32, with a certificate from paypal.com",
        source: "PayPal developer docs, \"Integrate webhooks\": verify webhooks",
        settings: &[Setting::plain(
            "webhookId",
            "the id of the webhook in the developer dashboard",
        )],
        covers: Covers::Fields("the body's CRC-32, which notices accidents and can be forged"),
        scheme: Scheme::Own(&paypal::PAYPAL),
        event_type: &[Json("/event_type")],
        id: &[Json("/id")],
        order_by: &[Json("/resource/id")],
        version: &[Json("/create_time")],
        ..Provider::ROW
    },
    Provider {
        name: "aws-sns",
        aliases: &["sns"],
        title: "AWS SNS",
        about: "RSA of the message's fields, with a certificate from sns.*.amazonaws.com; confirms subscriptions to the topics named",
        source: "Amazon SNS docs, \"Verifying the signatures of Amazon SNS messages\"",
        settings: &[
            Setting::optional(
                "topicArn",
                "the topics to accept; without it every AWS account is believed: the URL must be the one with the token, and no \
             subscription is confirmed",
            ),
            Setting::optional("armed", "`true` while subscriptions to any topic are confirmed"),
        ],
        covers: Covers::Fields("message, id, subject, time, topic and type"),
        scheme: Scheme::Own(&aws_sns::AWS_SNS),
        event_type: &[Json("/Type")],
        id: &[Json("/MessageId")],
        order_by: &[Json("/TopicArn")],
        version: &[Json("/Timestamp")],
        ..Provider::ROW
    },
    Provider {
        name: "plaid",
        title: "Plaid",
        about: "a JWT of ES256 that holds the body's SHA-256",
        source: "Plaid docs, \"Webhook verification\"",
        settings: &[Setting {
            name: "jwk",
            about: "the key of `/webhook_verification_key/get`, a JSON Web Key or a list of them",
            secret: false,
            required: true,
            form: Form::Jwk,
        }],
        scheme: Scheme::Own(&plaid::PLAID),
        event_type: &[Json("/webhook_code")],
        order_by: &[Json("/item_id")],
        ..Provider::ROW
    },
];
