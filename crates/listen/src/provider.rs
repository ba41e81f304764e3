//! One row of the table: everything we know about a provider, as data.

use std::fmt;

use crate::cloudevents::Mode;
use crate::facts::{Fact, Items};
use crate::handshake::Handshake;
use crate::own::Own;
use crate::place::Place;
use crate::recipe::Recipe;
use crate::template;

/// What a provider's proof covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covers {
    /// The whole body: one changed bit is refused.
    Body,
    /// Only some fields: the rest of the body is the sender's word over TLS.
    Fields(&'static str),
    /// Nothing of the request: a shared password says who sent it, not that it is unchanged.
    Sender,
    /// Nothing at all.
    Nothing,
}

impl fmt::Display for Covers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => f.write_str("the whole body"),
            Self::Fields(which) => write!(f, "only {which}"),
            Self::Sender => f.write_str("the sender, not the body"),
            Self::Nothing => f.write_str("nothing"),
        }
    }
}

/// How a setting's text becomes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Not a key: a name, a token to compare, an address.
    Plain,
    /// A shared key: the text's own bytes.
    Text,
    /// A shared key of ASCII characters: the provider normalises others.
    Ascii,
    /// A shared key, hex-decoded.
    Hex,
    /// A Standard Webhooks key: `whsec_…` or `whpk_…`.
    Standard,
    /// An Ed25519 public key of 32 bytes, as 64 hex digits, base64 or PEM.
    Ed25519,
    /// An ECDSA P-256 public key: SubjectPublicKeyInfo as base64 or PEM.
    P256,
    /// An RSA public key: SubjectPublicKeyInfo as base64 or PEM.
    Rsa,
    /// A JSON Web Key, or a list of them.
    Jwk,
}

/// One setting of a provider.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name in the API, in files and after `--setting`.
    pub name: &'static str,
    /// What it is and where to find it, in one line.
    pub about: &'static str,
    /// Whether it is kept sealed and never shown.
    pub secret: bool,
    /// Whether there is no verifying without it.
    pub required: bool,
    /// How it is decoded.
    pub form: Form,
}

impl Setting {
    /// A shared secret, needed.
    pub(crate) const fn secret(about: &'static str, form: Form) -> Self {
        Self {
            name: "secret",
            about,
            secret: true,
            required: true,
            form,
        }
    }

    /// A public key, needed.
    pub(crate) const fn public_key(about: &'static str, form: Form) -> Self {
        Self {
            name: "publicKey",
            about,
            secret: false,
            required: true,
            form,
        }
    }

    /// A setting that may be left out.
    pub(crate) const fn optional(name: &'static str, about: &'static str) -> Self {
        Self {
            name,
            about,
            secret: false,
            required: false,
            form: Form::Plain,
        }
    }

    /// A plain setting that must be given.
    pub(crate) const fn plain(name: &'static str, about: &'static str) -> Self {
        Self {
            name,
            about,
            secret: false,
            required: true,
            form: Form::Plain,
        }
    }

    pub(crate) const fn hidden(self) -> Self {
        Self { secret: true, ..self }
    }
}

/// How a request is proved.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scheme {
    /// Data for the one verifier.
    Signed(Recipe<'static>),
    /// Standard Webhooks, `webhook-*` and `svix-*` headers.
    Standard,
    /// A secret that must stand in one of these headers, after the prefix.
    Token(&'static [(&'static str, &'static str)]),
    /// A scheme of its own.
    Own(&'static Own),
}

/// One provider.
#[derive(Debug)]
pub struct Provider {
    /// The name in settings and on the command line.
    pub name: &'static str,
    /// Other names.
    pub aliases: &'static [&'static str],
    /// The name for people.
    pub title: &'static str,
    /// One line: what is checked, and how.
    pub about: &'static str,
    /// The provider's own documentation of it.
    pub source: &'static str,
    /// What has to be given; the first is the key.
    pub settings: &'static [Setting],
    /// What the proof covers.
    pub covers: Covers,
    pub(crate) scheme: Scheme,
    pub(crate) handshakes: &'static [Handshake],
    pub(crate) event_type: &'static [Fact],
    pub(crate) id: &'static [Fact],
    pub(crate) order_by: &'static [Fact],
    pub(crate) version: &'static [Fact],
    /// What the events say of which a request brings several.
    pub(crate) items: Option<Items>,
    /// The modes of CloudEvents that are read as such. In the binary mode nothing signs the attributes, so that whoever has seen a
    /// signed request could make other events of it.
    pub(crate) cloud_events: &'static [Mode],
    /// The body of the answer that the provider takes for "received"; most take any.
    pub(crate) accepted: &'static str,
}

impl Provider {
    /// What a row is laid over.
    pub(crate) const ROW: Self = Self {
        name: "",
        aliases: &[],
        title: "",
        about: "",
        source: "",
        settings: &[],
        covers: Covers::Body,
        scheme: Scheme::Standard,
        handshakes: &[],
        event_type: &[],
        id: &[],
        order_by: &[],
        version: &[],
        items: None,
        cloud_events: &[],
        accepted: "",
    };

    /// Whether the URL that was called is part of the proof, so that it must be known.
    #[must_use]
    pub fn needs_url(&self) -> bool {
        match self.scheme {
            Scheme::Signed(recipe) => {
                let places = ["url", "url:decoded"];
                let in_content = places.iter().any(|place| template::uses(recipe.content, place));
                in_content || recipe.signature.iter().any(|place| matches!(place, Place::Query(_)))
            }
            Scheme::Own(_) => self.name == "twilio",
            Scheme::Standard | Scheme::Token(_) => false,
        }
    }

    /// Whether anybody who knows the URL is believed, given which settings there are: then the URL is the only secret.
    #[must_use]
    pub fn is_open(&self, is_set: impl Fn(&str) -> bool) -> bool {
        // Every account of AWS can have its messages signed by SNS.
        let any_account = self.name == "aws-sns" && !is_set("topicArn");
        self.covers == Covers::Nothing || any_account
    }

    /// What the provider asks a receiver before or beside its events, in words; empty for most.
    #[must_use]
    pub fn handshakes(&self) -> Vec<&'static str> {
        self.handshakes.iter().map(|handshake| handshake.about()).collect()
    }

    /// Where the id for deduplication is, in words.
    #[must_use]
    pub fn id_places(&self) -> Vec<String> {
        let of_items = self.items.as_ref().and_then(Items::id_place);
        self.id.iter().map(ToString::to_string).chain(of_items).collect()
    }

    /// Where the list is (RFC 6901), for providers that send several events in one request.
    #[must_use]
    pub fn items_at(&self) -> Option<&'static str> {
        self.items.map(|items| items.list)
    }

    /// Whether events of such a list have ids of their own.
    #[must_use]
    pub fn items_have_ids(&self) -> bool {
        self.items.is_some_and(|items| !items.id.is_empty())
    }

    /// Whether requests in that mode of CloudEvents are read as such, and not as the bodies of any others.
    #[must_use]
    pub fn reads_cloud_events(&self, mode: Mode) -> bool {
        self.cloud_events.contains(&mode)
    }

    /// Where the event type is, in words.
    #[must_use]
    pub fn event_type_places(&self) -> Vec<String> {
        self.event_type.iter().map(ToString::to_string).collect()
    }

    /// Where the fields are that order events of one thing, in words.
    #[must_use]
    pub fn order_places(&self) -> Vec<String> {
        self.order_by
            .iter()
            .chain(self.version)
            .map(ToString::to_string)
            .collect()
    }
}
