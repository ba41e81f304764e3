//! Providers that sign the body alone: who has seen one request can send it again, so the id counts.

use crate::encoding::Encoding::{Base64, Base64UrlPadded};
use crate::facts::Fact::{Header, Json};
use crate::facts::Items;
use crate::handshake::Handshake;
use crate::key::Algorithm;
use crate::place::Place;
use crate::provider::{Form, Provider, Scheme, Setting};
use crate::recipe::Recipe;

/// HMAC-SHA256 of the body in hex, in one header after a prefix.
const fn hex(signature: &'static [Place<'static>], prefix: &'static str) -> Scheme {
    Scheme::Signed(Recipe {
        signature,
        prefix,
        ..Recipe::HMAC
    })
}

/// The same in base64.
const fn base64(signature: &'static [Place<'static>], prefix: &'static str) -> Scheme {
    Scheme::Signed(Recipe {
        signature,
        prefix,
        encoding: Base64,
        ..Recipe::HMAC
    })
}

/// HMAC-SHA1 of the body in hex.
const fn sha1(signature: &'static [Place<'static>], prefix: &'static str) -> Scheme {
    Scheme::Signed(Recipe {
        algorithm: Algorithm::HmacSha1,
        signature,
        prefix,
        ..Recipe::HMAC
    })
}

const HEX: &str = "HMAC-SHA256 of the body, hex";
const BASE64: &str = "HMAC-SHA256 of the body, base64";
const SHA1: &str = "HMAC-SHA1 of the body, hex";

const SECRET: &[Setting] = &[Setting::secret("the webhook's secret; its text is the key", Form::Text)];

const APP_SECRET: &[Setting] = &[Setting::secret("the app's client secret", Form::Text)];

const HUB: &[Place<'static>] = &[Place::Header("x-hub-signature")];
const HUB_256: &[Place<'static>] = &[Place::Header("x-hub-signature-256")];

const ROW: Provider = Provider {
    about: HEX,
    settings: SECRET,
    ..Provider::ROW
};

pub(super) const ROWS: &[Provider] = &[
    Provider {
        name: "github",
        title: "GitHub",
        source: "GitHub docs, \"Validating webhook deliveries\"",
        scheme: hex(HUB_256, "sha256="),
        event_type: &[Header("x-github-event")],
        id: &[Header("x-github-delivery")],
        ..ROW
    },
    Provider {
        name: "bitbucket",
        title: "Bitbucket",
        source: "Bitbucket support, \"Manage webhooks\": secure webhooks",
        scheme: hex(HUB, "sha256="),
        event_type: &[Header("x-event-key")],
        id: &[Header("x-request-uuid")],
        ..ROW
    },
    Provider {
        name: "jira",
        title: "Jira",
        source: "Jira Cloud platform, \"Webhooks\": secure admin webhooks",
        scheme: hex(HUB, "sha256="),
        event_type: &[Json("/webhookEvent")],
        id: &[Header("x-atlassian-webhook-identifier")],
        order_by: &[Json("/issue/id")],
        version: &[Json("/timestamp")],
        ..ROW
    },
    Provider {
        name: "shopify",
        title: "Shopify",
        about: BASE64,
        source: "Shopify docs, \"Verify webhook deliveries\"",
        settings: APP_SECRET,
        // The second of each is that of the newer events.
        scheme: base64(
            &[
                Place::Header("x-shopify-hmac-sha256"),
                Place::Header("shopify-hmac-sha256"),
            ],
            "",
        ),
        event_type: &[Header("x-shopify-topic"), Header("shopify-topic")],
        id: &[
            Header("x-shopify-event-id"),
            Header("shopify-event-id"),
            Header("x-shopify-webhook-id"),
        ],
        order_by: &[Json("/id")],
        version: &[Json("/updated_at"), Header("x-shopify-triggered-at")],
        ..ROW
    },
    Provider {
        name: "x",
        aliases: &["twitter"],
        title: "X",
        about: BASE64,
        source: "X developer platform, \"Securing webhooks\"",
        settings: &[Setting::secret("the app's consumer secret", Form::Text)],
        scheme: base64(&[Place::Header("x-twitter-webhooks-signature")], "sha256="),
        handshakes: &[Handshake::XCrc],
        ..ROW
    },
    Provider {
        name: "meta",
        aliases: &["facebook", "instagram", "whatsapp"],
        title: "Meta (Facebook, Instagram, WhatsApp)",
        source: "Meta for Developers, \"Graph API webhooks: getting started\"",
        settings: &[
            Setting::secret("the app secret", Form::Text),
            Setting::optional("verifyToken", "the verify token, for the subscription's handshake").hidden(),
        ],
        scheme: hex(HUB_256, "sha256="),
        handshakes: &[Handshake::MetaChallenge],
        event_type: &[Json("/object")],
        order_by: &[Json("/entry/0/id")],
        version: &[Json("/entry/0/time")],
        items: Some(Items {
            list: "/entry",
            order_by: &["/id"],
            version: &["/time"],
            ..Items::NONE
        }),
        ..ROW
    },
    Provider {
        name: "dropbox",
        title: "Dropbox",
        source: "Dropbox developers, \"Webhooks\"",
        settings: &[Setting::secret("the app secret", Form::Text)],
        scheme: hex(&[Place::Header("x-dropbox-signature")], ""),
        handshakes: &[Handshake::DropboxChallenge],
        ..ROW
    },
    Provider {
        name: "intercom",
        title: "Intercom",
        about: SHA1,
        source: "Intercom developers, \"Webhooks\": signed notifications",
        settings: APP_SECRET,
        scheme: sha1(HUB, "sha1="),
        event_type: &[Json("/topic")],
        id: &[Json("/id")],
        order_by: &[Json("/data/item/id")],
        version: &[Json("/created_at")],
        ..ROW
    },
    Provider {
        name: "typeform",
        title: "Typeform",
        about: BASE64,
        source: "Typeform developers, \"Secure your webhooks\"",
        scheme: base64(&[Place::Header("typeform-signature")], "sha256="),
        event_type: &[Json("/event_type")],
        id: &[Json("/event_id")],
        ..ROW
    },
    Provider {
        name: "docusign",
        title: "DocuSign Connect",
        about: "HMAC-SHA256 of the body, base64, one header for each of the account's keys",
        source: "DocuSign developers, \"Connect HMAC security\"",
        settings: &[Setting::secret("a Connect key; its text is the key", Form::Text)],
        scheme: base64(&[Place::Numbered("x-docusign-signature-")], ""),
        event_type: &[Json("/event")],
        order_by: &[Json("/data/envelopeId")],
        version: &[Json("/generatedDateTime")],
        ..ROW
    },
    Provider {
        name: "asana",
        title: "Asana",
        source: "Asana developers, \"Webhooks\": security",
        settings: &[
            Setting::secret("what the handshake's X-Hook-Secret brought", Form::Text),
            Setting::optional(
                "armed",
                "`true` until a handshake brings a secret, or the time until which handshakes may",
            ),
        ],
        scheme: hex(&[Place::Header("x-hook-signature")], ""),
        handshakes: &[Handshake::AsanaSecret],
        ..ROW
    },
    Provider {
        name: "notion",
        title: "Notion",
        source: "Notion developers, \"Webhooks\": validating requests",
        settings: &[
            Setting::secret("the subscription's verification token", Form::Text),
            Setting::optional(
                "armed",
                "`true` until a handshake brings a secret, or the time until which handshakes may",
            ),
        ],
        scheme: hex(&[Place::Header("x-notion-signature")], "sha256="),
        handshakes: &[Handshake::NotionToken],
        event_type: &[Json("/type")],
        id: &[Json("/id")],
        order_by: &[Json("/entity/id")],
        version: &[Json("/timestamp")],
        ..ROW
    },
    Provider {
        name: "woocommerce",
        title: "WooCommerce",
        about: BASE64,
        source: "WooCommerce docs, \"Webhooks\": signature",
        scheme: base64(&[Place::Header("x-wc-webhook-signature")], ""),
        // No id: the delivery id is made of the webhook and the second (`WC_Webhook::get_new_delivery_id`), so that two events share one.
        event_type: &[Header("x-wc-webhook-topic")],
        order_by: &[Json("/id")],
        version: &[Json("/date_modified_gmt")],
        ..ROW
    },
    Provider {
        name: "razorpay",
        title: "Razorpay",
        source: "Razorpay docs, \"Validate and test webhooks\"",
        scheme: hex(&[Place::Header("x-razorpay-signature")], ""),
        event_type: &[Json("/event")],
        id: &[Header("x-razorpay-event-id")],
        version: &[Json("/created_at")],
        ..ROW
    },
    Provider {
        name: "sentry",
        title: "Sentry",
        source: "Sentry docs, \"Integration platform: webhooks\"",
        settings: APP_SECRET,
        scheme: hex(&[Place::Header("sentry-hook-signature")], ""),
        event_type: &[Header("sentry-hook-resource")],
        id: &[Header("request-id")],
        ..ROW
    },
    Provider {
        name: "pagerduty",
        title: "PagerDuty",
        about: "HMAC-SHA256 of the body, hex, one entry for each live secret",
        source: "PagerDuty developer docs, \"Verifying signatures\" (V3)",
        scheme: Scheme::Signed(Recipe {
            signature: &[Place::Header("x-pagerduty-signature")],
            separator: Some(','),
            prefix: "v1=",
            ..Recipe::HMAC
        }),
        event_type: &[Json("/event/event_type")],
        id: &[Json("/event/id")],
        order_by: &[Json("/event/data/id")],
        version: &[Json("/event/occurred_at")],
        ..ROW
    },
    Provider {
        name: "vercel",
        title: "Vercel",
        about: SHA1,
        source: "Vercel docs, \"Webhooks\": securing webhooks",
        scheme: sha1(&[Place::Header("x-vercel-signature")], ""),
        event_type: &[Json("/type")],
        id: &[Json("/id")],
        version: &[Json("/createdAt")],
        ..ROW
    },
    Provider {
        name: "easypost",
        title: "EasyPost",
        source: "EasyPost docs, \"Webhooks\": validation",
        settings: &[Setting::secret("the webhook secret, in ASCII", Form::Ascii)],
        scheme: hex(&[Place::Header("x-hmac-signature")], "hmac-sha256-hex="),
        event_type: &[Json("/description")],
        id: &[Json("/id")],
        order_by: &[Json("/result/id")],
        version: &[Json("/result/updated_at")],
        ..ROW
    },
    Provider {
        name: "nango",
        title: "Nango",
        source: "Nango docs, \"Webhooks from Nango\": verification (X-Nango-Hmac-Sha256)",
        settings: &[Setting::secret("the environment's webhook signing key", Form::Text)],
        scheme: hex(&[Place::Header("x-nango-hmac-sha256")], ""),
        event_type: &[Json("/type")],
        order_by: &[Json("/connectionId")],
        ..ROW
    },
    Provider {
        name: "merge",
        title: "Merge",
        about: "HMAC-SHA256 of the body, URL-safe base64",
        source: "Merge docs, \"Merge webhooks sent to you\": security",
        settings: &[Setting::secret("the organisation's webhook signature key", Form::Text)],
        scheme: Scheme::Signed(Recipe {
            signature: &[Place::Header("x-merge-webhook-signature")],
            encoding: Base64UrlPadded,
            ..Recipe::HMAC
        }),
        event_type: &[Json("/hook/event")],
        ..ROW
    },
    Provider {
        name: "rutter",
        title: "Rutter",
        about: BASE64,
        source: "Rutter docs, \"Webhook security\"",
        settings: &[Setting::secret("the organisation's client secret", Form::Text)],
        scheme: base64(&[Place::Header("x-rutter-signature")], "sha256="),
        event_type: &[Json("/code")],
        id: &[Json("/event_id")],
        ..ROW
    },
    Provider {
        name: "segment",
        title: "Segment",
        about: "HMAC-SHA1 of the body, hex; for a batch Segment signs only the first event, and such requests are refused",
        source: "Segment docs, \"Webhooks (Actions) destination\": authentication",
        settings: &[Setting::secret("the destination's shared secret", Form::Text)],
        scheme: sha1(&[Place::Header("x-signature")], ""),
        event_type: &[Json("/event"), Json("/type")],
        id: &[Json("/messageId")],
        version: &[Json("/timestamp")],
        ..ROW
    },
    Provider {
        name: "veriff",
        title: "Veriff",
        source: "Veriff developers, \"HMAC authentication and endpoint security\"",
        settings: &[Setting::secret("the integration's shared secret key", Form::Text)],
        scheme: hex(&[Place::Header("x-hmac-signature")], ""),
        // No id: `attemptId` is the same in all events of an attempt.
        event_type: &[Json("/action"), Json("/status")],
        order_by: &[Json("/verification/id"), Json("/id")],
        ..ROW
    },
];
