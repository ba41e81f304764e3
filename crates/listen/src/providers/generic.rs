//! The generic forms: for senders that have no row, described in settings.

use crate::Covers;
use crate::cloudevents::Mode;
use crate::facts::Fact::{self, Json};
use crate::handshake::Handshake;
use crate::own::{basic, bearer_jwt, generic, ip, none};
use crate::provider::{Form, Provider, Scheme, Setting};

const SOURCE: &str = "this page";
const ORIGIN: Setting = Setting::optional(
    "allowedOrigin",
    "the origins that the CloudEvents handshake allows; all when not given",
);

const HEADER: Setting = Setting::plain(
    "header",
    "where the signature is: a header's name, or query:NAME, json:/POINTER",
);
const PREFIX: Setting = Setting::optional("prefix", "what stands before the signature, such as `sha256=`");
const ENCODING: Setting = Setting::optional(
    "encoding",
    "hex (the default), hex-upper, base64, base64url or base64url-padded",
);
const CONTENT: Setting = Setting::optional(
    "content",
    "what is signed, such as {ts}.{body}; {body} when not given; also {id}, {url}, {method}, {header:NAME}",
);
const SEPARATOR: Setting = Setting::optional("separator", "what separates several signatures in one value");
const ID: Setting = Setting::optional(
    "id",
    "where the event's id is, and {id}: such as header:x-id or json:/id",
);
const TS: Setting = Setting::optional("ts", "where {ts} is: header:NAME, json:/POINTER or entry:HEADER,t=");
const TS_UNIT: Setting = Setting::optional("tsUnit", "s (the default), ms or rfc3339");
const TOLERANCE: Setting = Setting::optional("tolerance", "how old or new it may be; 300s when not given");

/// Only what the settings name is an id: a member that happens to be called so may be any thing's.
const FROM_SETTING: &[Fact] = &[Fact::Setting("id")];

const ROW: Provider = Provider {
    source: SOURCE,
    handshakes: &[Handshake::CloudEvents],
    event_type: &[Json("/type")],
    cloud_events: &[Mode::Binary, Mode::Structured, Mode::Batched],
    ..Provider::ROW
};

pub(super) const ROWS: &[Provider] = &[
    Provider {
        name: "hmac",
        title: "Any HMAC",
        about: "an HMAC over what the settings say",
        settings: &[
            Setting::secret("the shared secret; its text is the key", Form::Text),
            HEADER,
            Setting::optional("alg", "sha256 (the default), sha1 or sha512"),
            PREFIX,
            ENCODING,
            CONTENT,
            SEPARATOR,
            ID,
            TS,
            TS_UNIT,
            TOLERANCE,
            ORIGIN,
        ],
        scheme: Scheme::Own(&generic::HMAC),
        id: FROM_SETTING,
        ..ROW
    },
    Provider {
        name: "vgs",
        title: "Very Good Security",
        about: "an HMAC as in the form `hmac`: its documentation is not public, so the settings say where it is",
        source: "none that is public",
        settings: &[
            Setting::secret("the webhook's secret; its text is the key", Form::Text),
            HEADER,
            Setting::optional("alg", "sha256 (the default), sha1 or sha512"),
            PREFIX,
            ENCODING,
            CONTENT,
            SEPARATOR,
            ID,
            TS,
            TS_UNIT,
            TOLERANCE,
        ],
        scheme: Scheme::Own(&generic::HMAC),
        id: FROM_SETTING,
        handshakes: &[],
        ..ROW
    },
    Provider {
        name: "ed25519",
        title: "Any Ed25519",
        about: "an Ed25519 signature over what the settings say",
        settings: &[
            Setting::public_key("the public key: hex, base64 or PEM", Form::Ed25519),
            HEADER,
            PREFIX,
            ENCODING,
            CONTENT,
            SEPARATOR,
            ID,
            TS,
            TS_UNIT,
            TOLERANCE,
            ORIGIN,
        ],
        scheme: Scheme::Own(&generic::ED25519),
        id: FROM_SETTING,
        ..ROW
    },
    Provider {
        name: "basic",
        title: "HTTP Basic",
        about: "user and password",
        covers: Covers::Sender,
        settings: &[
            Setting::plain("user", "the user"),
            Setting::plain("pass", "the password").hidden(),
            ORIGIN,
        ],
        scheme: Scheme::Own(&basic::BASIC),
        ..ROW
    },
    Provider {
        name: "bearer",
        title: "Bearer token",
        about: "`Authorization: Bearer` and a secret",
        covers: Covers::Sender,
        settings: &[Setting::secret("the token", Form::Plain), ORIGIN],
        scheme: Scheme::Token(&[("authorization", "Bearer ")]),
        ..ROW
    },
    Provider {
        name: "token",
        title: "Token in a header",
        about: "a secret in a header of your choice",
        covers: Covers::Sender,
        settings: &[
            Setting::secret("the token", Form::Plain),
            Setting::plain("header", "the header's name"),
            ORIGIN,
        ],
        scheme: Scheme::Own(&crate::own::token::TOKEN),
        ..ROW
    },
    Provider {
        name: "jwt",
        title: "JSON Web Token",
        about: "a JWT with an end (HS256, HS512, ES256, RS256, EdDSA)",
        covers: Covers::Sender,
        settings: &[
            Setting {
                required: false,
                ..Setting::secret("the shared secret of HS256 and HS512", Form::Text)
            },
            Setting {
                name: "jwk",
                about: "the public key, a JSON Web Key or a list of them",
                secret: false,
                required: false,
                form: Form::Jwk,
            },
            Setting::optional("header", "the header; authorization when not given"),
            Setting::optional("issuer", "what `iss` must be"),
            Setting::optional("audience", "what `aud` must be or contain"),
            ORIGIN,
        ],
        scheme: Scheme::Own(&bearer_jwt::JWT),
        ..ROW
    },
    Provider {
        name: "ip",
        title: "Address",
        about: "the address that connects",
        covers: Covers::Sender,
        settings: &[
            Setting::plain("cidr", "a range to accept, such as 192.0.2.0/24; repeat for more"),
            ORIGIN,
        ],
        scheme: Scheme::Own(&ip::IP),
        ..ROW
    },
    Provider {
        name: "none",
        aliases: &["generic-webhook"],
        title: "Nothing",
        about: "nothing is verified: whoever knows the URL is believed",
        covers: Covers::Nothing,
        settings: &[ORIGIN],
        scheme: Scheme::Own(&none::NONE),
        ..ROW
    },
];
