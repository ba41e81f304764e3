//! What a receiver has in its hands: the signing headers of a request and its raw body.
//!
//! Deliberately absent: HTTP types; any list of name and value pairs will do.

use super::Mismatch;

/// Which of the two equivalent sets of headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `webhook-id`, `webhook-timestamp`, `webhook-signature` (Standard Webhooks).
    Webhook,
    /// `svix-id`, `svix-timestamp`, `svix-signature`.
    Svix,
}

impl Family {
    /// The names of the id, timestamp and signature headers.
    #[must_use]
    pub fn names(self) -> [&'static str; 3] {
        match self {
            Self::Webhook => ["webhook-id", "webhook-timestamp", "webhook-signature"],
            Self::Svix => ["svix-id", "svix-timestamp", "svix-signature"],
        }
    }
}

/// The three headers of one family, as far as present. An empty value counts as absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeaderSet<'a> {
    /// The message id.
    pub id: Option<&'a str>,
    /// Unix time in seconds, as text: exactly this text is signed.
    pub timestamp: Option<&'a str>,
    /// `version,base64` entries separated by spaces.
    pub signature: Option<&'a str>,
}

impl<'a> HeaderSet<'a> {
    fn values(&self) -> [Option<&'a str>; 3] {
        [self.id, self.timestamp, self.signature]
    }

    fn complete(&self) -> Option<[&'a str; 3]> {
        Some([self.id?, self.timestamp?, self.signature?])
    }
}

/// The signing headers of a request, both families.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SignedHeaders<'a> {
    /// The `webhook-*` headers.
    pub webhook: HeaderSet<'a>,
    /// The `svix-*` headers.
    pub svix: HeaderSet<'a>,
    /// A signing header that occurs twice: which one counts would be a guess.
    pub duplicate: Option<&'static str>,
}

impl<'a> SignedHeaders<'a> {
    /// Picks the signing headers out of a request's headers. Names in any case, values trimmed.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut headers = Self::default();
        for (name, value) in pairs {
            let value = value.trim_matches([' ', '\t']);
            if value.is_empty() {
                continue;
            }
            for (family, set) in [
                (Family::Webhook, &mut headers.webhook),
                (Family::Svix, &mut headers.svix),
            ] {
                let slots = [&mut set.id, &mut set.timestamp, &mut set.signature];
                for (known, slot) in family.names().into_iter().zip(slots) {
                    if name.eq_ignore_ascii_case(known) && slot.replace(value).is_some() {
                        headers.duplicate = Some(known);
                    }
                }
            }
        }
        headers
    }

    pub(super) fn set(&self, family: Family) -> &HeaderSet<'a> {
        match family {
            Family::Webhook => &self.webhook,
            Family::Svix => &self.svix,
        }
    }

    /// The family that counts: `webhook-*` when complete, else `svix-*` when complete.
    pub(super) fn chosen(&self) -> Result<(Family, [&'a str; 3]), Mismatch> {
        for family in [Family::Webhook, Family::Svix] {
            if let Some(values) = self.set(family).complete() {
                return Ok((family, values));
            }
        }
        let present = |family| self.set(family).values().iter().flatten().count();
        let family = if present(Family::Svix) > present(Family::Webhook) {
            Family::Svix
        } else {
            Family::Webhook
        };
        let values = self.set(family).values();
        let missing = family
            .names()
            .into_iter()
            .zip(values)
            .filter(|(_, value)| value.is_none());
        Err(Mismatch::MissingHeader {
            names: missing.map(|(name, _)| name).collect(),
        })
    }
}

/// What arrived: the headers, and the body's bytes before anything parsed them.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The signing headers.
    pub headers: SignedHeaders<'a>,
    /// The raw body.
    pub body: &'a [u8],
}
