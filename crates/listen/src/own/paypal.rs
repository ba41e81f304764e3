//! PayPal: RSA over the transmission's id, its time, the webhook's id and a checksum of the body.

use super::{Own, certificate, unchecked};
use crate::encoding::Encoding;
use crate::key::Algorithm;
use crate::recipe::Proof;
use crate::refused::Refused;
use crate::request::Seen;

const ID: &str = "paypal-transmission-id";
const TIME: &str = "paypal-transmission-time";
const SIGNATURE: &str = "paypal-transmission-sig";
const CERTIFICATE: &str = "paypal-cert-url";
const ALGORITHM: &str = "paypal-auth-algo";

pub(crate) static PAYPAL: Own = Own {
    check: unchecked,
    prove: |verifier, seen, _| {
        let header = |name: &str| {
            seen.header(name)?
                .ok_or_else(|| Refused::missing(format!("header {name}")))
        };
        let (id, time, signature, url) = (header(ID)?, header(TIME)?, header(SIGNATURE)?, header(CERTIFICATE)?);
        if let Some(algorithm) = seen.header(ALGORITHM)?.filter(|name| *name != "SHA256withRSA") {
            return Err(Refused::malformed(format!(
                "header {ALGORITHM} is `{}`; only SHA256withRSA is known",
                crate::refused::shorten(algorithm)
            )));
        }
        let signature = Encoding::Base64
            .decode(signature)
            .ok_or_else(|| Refused::malformed(format!("header {SIGNATURE} is not base64")))?;
        let key = certificate::key(seen, url, pinned)?;
        let webhook = verifier.settings.get("webhookId").unwrap_or_default().trim();
        let content = vec![content(id, time, webhook, seen).into_bytes().into()];
        if !Algorithm::RsaSha256.matches(&key, &content, &[signature]) {
            return Err(Refused::new(
                crate::Reason::Mismatch,
                "the signature does not match: the webhook id in the settings is another one, or the body changed on the way",
            ));
        }
        Ok(Proof {
            key_index: Some(0),
            signed_at: time.parse().ok(),
            ..Proof::default()
        })
    },
    sign: |draft| {
        let id = draft.id("transmission");
        let time = bellwire_core::time::Timestamp::from_secs(draft.signing.at.secs()).to_string();
        let webhook = draft.settings.get("webhookId").unwrap_or_default().trim().to_owned();
        let content = draft.with_seen(|seen| content(&id, &time, &webhook, seen));
        let signature = draft.private_sign(Algorithm::RsaSha256, &vec![content.into_bytes().into()])?;
        draft.set_header(ID, id);
        draft.set_header(TIME, time);
        draft.set_header(SIGNATURE, Encoding::Base64.encode(&signature));
        draft.set_header(ALGORITHM, "SHA256withRSA".into());
        draft.set_header(
            CERTIFICATE,
            "https://api.paypal.com/v1/notifications/certs/CERT-test".into(),
        );
        Ok(())
    },
    recipe: None,
};

fn pinned(host: &str) -> bool {
    host == "paypal.com" || host.ends_with(".paypal.com")
}

fn content(id: &str, time: &str, webhook: &str, seen: &Seen<'_>) -> String {
    format!("{id}|{time}|{webhook}|{}", crc32(seen.request.body))
}

/// CRC-32 as in zlib (ISO-HDLC). Covered by the signature, it notices accidents; a forger can keep it while changing the body,
/// which is PayPal's design.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    };
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_zlib() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn only_paypals_own_hosts_are_asked() {
        for host in ["api.paypal.com", "api.sandbox.paypal.com"] {
            assert!(pinned(host));
        }
        for url in [
            "https://paypal.com.evil.example/c",
            "https://evilpaypal.com/c",
            "http://api.paypal.com/c",
            "https://api.paypal.com:8443/c",
            "https://api.paypal.com@evil.example/c",
        ] {
            assert!(certificate::check_url(url, pinned).is_err(), "{url}");
        }
    }
}
