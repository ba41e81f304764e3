//! Providers that sign the URL too, or put the signature in the URL or the body.

use crate::Covers;
use crate::encoding::Encoding::Base64;
use crate::facts::Fact::{Form as Field, Header, Json};
use crate::facts::Items;
use crate::handshake::Handshake;
use crate::key::Algorithm;
use crate::own::{adyen, twilio};
use crate::place::Place;
use crate::provider::{Form, Provider, Scheme, Setting};
use crate::recipe::{Recipe, Time, Unit};

const SECRET: &[Setting] = &[Setting::secret("the webhook's secret; its text is the key", Form::Text)];

const ROW: Provider = Provider {
    settings: SECRET,
    ..Provider::ROW
};

pub(super) const ROWS: &[Provider] = &[
    Provider {
        name: "twilio",
        title: "Twilio",
        about: "HMAC-SHA1 of URL and sorted form fields, base64; for JSON the URL holds the body's hash",
        source: "Twilio docs, \"Webhooks security\"",
        settings: &[Setting::secret("the account's auth token", Form::Text)],
        scheme: Scheme::Own(&twilio::TWILIO),
        event_type: &[Field("EventType"), Field("SmsStatus"), Field("CallStatus")],
        // The field is signed, and the header is not.
        id: &[Field("EventSid"), Header("i-twilio-idempotency-token")],
        order_by: &[Field("MessageSid"), Field("CallSid")],
        version: &[Field("SequenceNumber")],
        ..ROW
    },
    Provider {
        name: "square",
        title: "Square",
        about: "HMAC-SHA256 of URL and body, base64",
        source: "Square developer docs, \"Validate webhook events\"",
        settings: &[Setting::secret(
            "the subscription's signature key; its text is the key",
            Form::Text,
        )],
        scheme: Scheme::Signed(Recipe {
            signature: &[Place::Header("x-square-hmacsha256-signature")],
            encoding: Base64,
            content: "{url}{body}",
            ..Recipe::HMAC
        }),
        event_type: &[Json("/type")],
        id: &[Json("/event_id")],
        order_by: &[Json("/data/id")],
        version: &[Json("/created_at")],
        ..ROW
    },
    Provider {
        name: "trello",
        title: "Trello",
        about: "HMAC-SHA1 of body and URL, base64",
        source: "Trello REST API, \"Webhooks\": webhook signatures",
        settings: &[Setting::secret("the app's secret", Form::Text)],
        scheme: Scheme::Signed(Recipe {
            algorithm: Algorithm::HmacSha1,
            signature: &[Place::Header("x-trello-webhook")],
            encoding: Base64,
            content: "{body}{url}",
            ..Recipe::HMAC
        }),
        handshakes: &[Handshake::TrelloHead],
        event_type: &[Json("/action/type")],
        id: &[Json("/action/id")],
        order_by: &[Json("/model/id")],
        version: &[Json("/action/date")],
        ..ROW
    },
    Provider {
        name: "hubspot",
        title: "HubSpot",
        about: "HMAC-SHA256 of method, URL, body and time, base64 (v3)",
        source: "HubSpot developer docs, \"Validating requests\": v3 signature",
        settings: &[Setting::secret("the app's client secret", Form::Text)],
        scheme: Scheme::Signed(Recipe {
            signature: &[Place::Header("x-hubspot-signature-v3")],
            encoding: Base64,
            content: "{method}{url:decoded}{body}{ts}",
            time: Some(Time {
                place: Place::Header("x-hubspot-request-timestamp"),
                unit: Unit::Millis,
                tolerance_secs: Some(300),
            }),
            ..Recipe::HMAC
        }),
        event_type: &[Json("/0/subscriptionType")],
        order_by: &[Json("/0/objectId")],
        version: &[Json("/0/occurredAt")],
        // `eventId` alone is not promised to be unique.
        items: Some(Items {
            event_type: &["/subscriptionType"],
            id: &["/eventId", "/subscriptionId", "/occurredAt"],
            order_by: &["/objectId"],
            version: &["/occurredAt"],
            ..Items::NONE
        }),
        ..ROW
    },
    Provider {
        name: "panda-doc",
        aliases: &["pandadoc"],
        title: "PandaDoc",
        about: "HMAC-SHA256 of the body, hex, in the query",
        source: "PandaDoc developers, \"How to verify webhook authenticity\"",
        settings: &[Setting::secret("the webhook's shared key", Form::Text)],
        scheme: Scheme::Signed(Recipe {
            signature: &[Place::Query("signature")],
            ..Recipe::HMAC
        }),
        event_type: &[Json("/0/event")],
        id: &[Header("x-pandadoc-webhook-event-id")],
        order_by: &[Json("/0/data/id")],
        version: &[Json("/0/data/date_modified")],
        items: Some(Items {
            event_type: &["/event"],
            order_by: &["/data/id"],
            version: &["/data/date_modified"],
            ..Items::NONE
        }),
        ..ROW
    },
    Provider {
        name: "checkbook",
        title: "Checkbook",
        about: "HMAC-SHA256 of body and nonce, hex",
        source: "Checkbook docs, \"Webhooks\": signature",
        settings: &[Setting::secret("the webhooks key", Form::Text)],
        scheme: Scheme::Signed(Recipe {
            signature: &[Place::Header("signature")],
            separator: Some(','),
            prefix: "signature=",
            content: "{body}{id}",
            id: Some(Place::Entry("signature", ',', "nonce=")),
            ..Recipe::HMAC
        }),
        event_type: &[Json("/type")],
        order_by: &[Json("/id")],
        ..ROW
    },
    Provider {
        name: "mailgun",
        title: "Mailgun",
        about: "HMAC-SHA256 of a time and a token in the body, hex; the rest of the body is not signed",
        source: "Mailgun docs, \"Securing webhooks\"",
        settings: &[Setting::secret("the HTTP webhook signing key", Form::Text)],
        covers: Covers::Fields("`signature.timestamp` and `signature.token`, not the event"),
        scheme: Scheme::Signed(Recipe {
            signature: &[Place::Json("/signature/signature")],
            content: "{ts}{id}",
            id: Some(Place::Json("/signature/token")),
            time: Some(Time {
                place: Place::Json("/signature/timestamp"),
                unit: Unit::Seconds,
                tolerance_secs: None,
            }),
            ..Recipe::HMAC
        }),
        event_type: &[Json("/event-data/event")],
        id: &[Json("/signature/token")],
        version: &[Json("/event-data/timestamp")],
        ..ROW
    },
    Provider {
        name: "adyen",
        title: "Adyen",
        about: "HMAC-SHA256 of eight fields of each item, base64; the rest of the body is not signed",
        source: "Adyen docs, \"Verify HMAC signatures\"",
        settings: &[Setting::secret("the webhook's HMAC key, hexadecimal", Form::Hex)],
        covers: Covers::Fields("the eight signed fields of each item"),
        scheme: Scheme::Own(&adyen::ADYEN),
        event_type: &[Json("/notificationItems/0/NotificationRequestItem/eventCode")],
        order_by: &[Json("/notificationItems/0/NotificationRequestItem/merchantReference")],
        version: &[Json("/notificationItems/0/NotificationRequestItem/eventDate")],
        items: Some(Items {
            list: "/notificationItems",
            event_type: &["/NotificationRequestItem/eventCode"],
            // It changes with every field that tells events apart, and stays when one is sent again.
            id: &["/NotificationRequestItem/additionalData/hmacSignature"],
            order_by: &["/NotificationRequestItem/merchantReference"],
            version: &["/NotificationRequestItem/eventDate"],
        }),
        accepted: "[accepted]",
        ..ROW
    },
];
