//! Providers that sign as Standard Webhooks says, most of them through Svix.

use crate::cloudevents::Mode;
use crate::facts::Fact::{Header, Json};
use crate::provider::{Form, Provider, Scheme, Setting};

const SECRET: &[Setting] = &[Setting::secret(
    "the signing secret, whsec_…, or the public key, whpk_…",
    Form::Standard,
)];

const ROW: Provider = Provider {
    about: "HMAC-SHA256 or Ed25519 of id, time and body",
    settings: SECRET,
    scheme: Scheme::Standard,
    event_type: &[Json("/type"), Json("/event_type"), Json("/eventType")],
    id: &[Header("webhook-id"), Header("svix-id")],
    version: &[Json("/timestamp")],
    // Those whose attributes are in the body, which is signed.
    cloud_events: &[Mode::Structured, Mode::Batched],
    ..Provider::ROW
};

const fn svix(name: &'static str, title: &'static str, source: &'static str) -> Provider {
    Provider {
        name,
        title,
        source,
        id: &[Header("svix-id"), Header("webhook-id")],
        ..ROW
    }
}

pub(super) const ROWS: &[Provider] = &[
    Provider {
        name: "standard-webhooks",
        aliases: &["standardwebhooks"],
        title: "Standard Webhooks",
        source: "Standard Webhooks specification, \"Signature scheme\"",
        ..ROW
    },
    svix("svix", "Svix", "Svix docs, \"Verifying payloads manually\""),
    svix("beehiiv", "beehiiv", "beehiiv developer docs, \"Webhooks\" (Svix)"),
    svix("brex", "Brex", "Brex developer docs, \"Webhooks\" (Svix)"),
    svix("clerk", "Clerk", "Clerk docs, \"Sync data with webhooks\" (Svix)"),
    svix("guesty", "Guesty", "Guesty API docs, \"Webhooks\" (Svix)"),
    svix(
        "incident-io",
        "incident.io",
        "incident.io API docs, \"Webhooks\" (Svix)",
    ),
    svix("lithic", "Lithic", "Lithic docs, \"Events API\" (Svix)"),
    svix("nash", "Nash", "Nash docs, \"Webhooks\" (Svix)"),
    Provider {
        name: "open-ai",
        aliases: &["openai"],
        title: "OpenAI",
        source: "OpenAI platform docs, \"Webhooks\" (Standard Webhooks)",
        ..ROW
    },
    svix("pleo", "Pleo", "Pleo developer docs, \"Webhooks\" (Svix)"),
    svix("psi-fi", "PsiFi", "PsiFi docs, \"Webhooks\" (Svix)"),
    svix("render", "Render", "Render docs, \"Webhooks\" (Svix)"),
    svix("replicate", "Replicate", "Replicate docs, \"Verify webhooks\" (Svix)"),
    svix("resend", "Resend", "Resend docs, \"Verify webhooks requests\" (Svix)"),
    svix("safebase", "SafeBase", "SafeBase docs, \"Webhooks\" (Svix)"),
    svix("sardine", "Sardine", "Sardine docs, \"Webhooks\" (Svix)"),
    Provider {
        aliases: &["stytch"],
        ..svix("stych", "Stytch", "Stytch docs, \"Webhooks\" (Svix)")
    },
];
