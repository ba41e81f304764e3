//! Signatures of a certificate that the request points at: the address is checked here, the fetching is the caller's.

use bellwire_core::time::Timestamp;

use crate::der::{self, Kind};
use crate::refused::{Reason, Refused, shorten};
use crate::request::Seen;

/// The RSA key of the certificate at `url`, when it has been fetched; its host must satisfy `pinned`.
pub(super) fn key(seen: &Seen<'_>, url: &str, pinned: fn(&str) -> bool) -> Result<Vec<u8>, Refused> {
    check_url(url, pinned)?;
    let Some(fetched) = seen.request.fetched.filter(|fetched| fetched.url == url) else {
        return Err(Refused {
            fetch: Some(url.to_owned()),
            ..Refused::new(
                Reason::Fetch,
                format!("the certificate at {} is needed to verify this", shorten(url)),
            )
        });
    };
    let bad = |words: &str| Refused::new(Reason::Certificate, words.to_owned());
    let text = String::from_utf8_lossy(fetched.body);
    let der = der::pem(&text, "CERTIFICATE").unwrap_or_else(|| fetched.body.to_vec());
    let certificate =
        der::certificate(&der).ok_or_else(|| bad("what the certificate's URL holds is no X.509 certificate"))?;
    let now: Timestamp = seen.request.received_at;
    if now < certificate.not_before || now > certificate.not_after {
        return Err(bad("the certificate is not valid at the time of the request"));
    }
    if certificate.key.kind != Kind::Rsa {
        return Err(bad("the certificate has no RSA key"));
    }
    Ok(certificate.key.bytes)
}

/// https, no user, no port of its own, and a pinned host: a forged request must not choose whom we ask.
pub(super) fn check_url(text: &str, pinned: fn(&str) -> bool) -> Result<(), Refused> {
    let good = url::Url::parse(text).is_ok_and(|url| {
        url.scheme() == "https"
            && url.username().is_empty()
            && url.password().is_none()
            && url.port().is_none()
            && url.host_str().is_some_and(pinned)
    });
    if good {
        return Ok(());
    }
    Err(Refused::new(
        Reason::Certificate,
        format!(
            "`{}` is not an https address of the provider; it is not asked",
            shorten(text)
        ),
    ))
}
