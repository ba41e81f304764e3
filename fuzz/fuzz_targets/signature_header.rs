//! Feeds signing headers and bodies to verification. Nothing verifies without the key; what the key signs verifies.
#![no_main]

use bellwire_core::secret::SigningKey;
use bellwire_core::sign::{Received, SignedHeaders, signature_header, verify};
use libfuzzer_sys::fuzz_target;

const NOW_SECS: i64 = 1_700_000_000;

fuzz_target!(|input: (&str, &str, &str, &[u8])| {
    let (id, timestamp, signature, body) = input;
    let key = SigningKey::generate_symmetric([7; 24]);
    let stranger = SigningKey::generate_symmetric([8; 24]);
    let keys = [key.verifying()];
    let now = NOW_SECS.to_string();

    // The fuzzer does not know the key, so nothing it makes up may verify.
    for time in [timestamp, &now] {
        let forged = SignedHeaders::from_pairs([
            ("webhook-id", id),
            ("webhook-timestamp", time),
            ("webhook-signature", signature),
        ]);
        assert!(verify(&Received { headers: forged, body }, &keys, NOW_SECS, None).is_err());
    }

    // What we sign verifies, and a stranger's signature of the same does not. Spaces around an id are not carried.
    if id.is_empty() || id.trim_matches([' ', '\t']) != id {
        return;
    }
    for (signer, verifies) in [(&key, true), (&stranger, false)] {
        let header = signature_header(&[signer], id, NOW_SECS, body);
        let headers = SignedHeaders::from_pairs([
            ("webhook-id", id),
            ("webhook-timestamp", now.as_str()),
            ("webhook-signature", header.as_str()),
        ]);
        assert_eq!(
            verify(&Received { headers, body }, &keys, NOW_SECS, None).is_ok(),
            verifies
        );
    }
});
