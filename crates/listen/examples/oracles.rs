//! Judges requests that the providers' own libraries signed: each is trusted, and one changed bit of anything signed is not.
//!
//! `cargo xtask test providers` makes the requests (`tests/providers`) and runs this with their files as arguments. It prints
//! TAP and answers failure when a request is judged wrongly, or when what signed the requests is not what the documentation
//! says of each provider (`tests/listen/proofs.rs`).

use std::collections::BTreeSet;
use std::process::ExitCode;

use bellwire_core::time::Timestamp;
use bellwire_listen::{Covers, Fetched, Reason, Refused, Request, Settings, Trusted, Verifier, providers};
use serde_json::Value;

#[path = "../tests/listen/proofs.rs"]
mod proofs;

use proofs::{PROOFS, Proof};

/// One signed request, as the suites write it.
#[derive(Clone)]
struct Vector {
    provider: String,
    /// The setting that is the key, its values and the other settings.
    settings: Vec<(String, String)>,
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    at: Timestamp,
    certificate: Option<String>,
    /// Headers of which every bit counts.
    signed: Vec<String>,
    /// Pointers to texts in the JSON body of which every bit counts, where the rest is not covered.
    signed_fields: Vec<String>,
}

fn main() -> ExitCode {
    let (mut passed, mut failed) = (0_u32, 0_u32);
    let mut made = BTreeSet::new();
    for path in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let list = serde_json::from_str::<Vec<Value>>(&text).unwrap_or_default();
        if list.is_empty() {
            println!("not ok - {path} holds no requests");
            failed += 1;
        }
        for value in list {
            let verdict = read(&value)
                .ok_or_else(|| format!("not a request: {value}"))
                .and_then(|vector| judge(&vector));
            let text = |name: &str| value[name].as_str().unwrap_or_default();
            let name = text("name");
            made.insert((text("provider").to_owned(), text("by").to_owned()));
            match verdict {
                Ok(flips) => {
                    passed += 1;
                    println!("ok - {name} ({flips} changed bits refused)");
                }
                Err(why) => {
                    failed += 1;
                    println!("not ok - {name}: {why}");
                }
            }
        }
    }
    for difference in differences(&made) {
        failed += 1;
        println!("not ok - {difference}");
    }
    println!("\n# tests {}\n# pass {passed}\n# fail {failed}", passed + failed);
    if failed == 0 && passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What is claimed and was not made, and what was made and is not claimed.
fn differences(made: &BTreeSet<(String, String)>) -> Vec<String> {
    let claimed: BTreeSet<_> = PROOFS
        .iter()
        .flat_map(|(name, proofs)| proofs.iter().map(move |proof| (*name, *proof)))
        .filter_map(|(name, proof)| match proof {
            Proof::Library(library) => Some((name.to_owned(), library.to_owned())),
            Proof::Documented => Some((name.to_owned(), "documentation".to_owned())),
            // Those are tests of the crate.
            Proof::Vector(_) | Proof::Compared => None,
        })
        .collect();
    let missing = claimed
        .difference(made)
        .map(|(name, by)| format!("{name}: no request of {by}, which proofs.rs claims"));
    let unclaimed = made
        .difference(&claimed)
        .map(|(name, by)| format!("{name}: a request of {by}, which proofs.rs does not claim"));
    missing.chain(unclaimed).collect()
}

fn read(value: &Value) -> Option<Vector> {
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    let names = |name: &str| {
        let list = value[name].as_array().into_iter().flatten();
        list.filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    let pairs = |name: &str| {
        let object = value[name].as_object()?;
        object
            .iter()
            .map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect::<Option<Vec<_>>>()
    };
    Some(Vector {
        provider: text("provider")?,
        settings: pairs("settings")?,
        method: text("method").unwrap_or_else(|| "POST".into()),
        url: text("url").unwrap_or_else(|| "https://example.com/in/source".into()),
        headers: pairs("headers")?,
        body: text("body")?.into_bytes(),
        at: Timestamp::from_millis(value["at_ms"].as_i64()?),
        certificate: text("certificate"),
        signed: names("signed"),
        signed_fields: names("signed_fields"),
    })
}

fn verify(vector: &Vector) -> Result<Trusted, Refused> {
    let provider = providers::by_name(&vector.provider).map_err(settings_refused)?;
    let mut settings = Settings::new();
    for (name, value) in &vector.settings {
        settings.add(name, value);
    }
    let verifier = Verifier::new(provider, settings).map_err(settings_refused)?;
    let headers: Vec<_> = vector
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let request = Request {
        method: &vector.method,
        url: &vector.url,
        headers: &headers,
        body: &vector.body,
        received_at: vector.at,
        peer: None,
        fetched: None,
    };
    match (verifier.verify(&request), &vector.certificate) {
        (
            Err(Refused {
                reason: Reason::Fetch,
                fetch: Some(url),
                ..
            }),
            Some(certificate),
        ) => {
            let fetched = Some(Fetched {
                url: &url,
                body: certificate.as_bytes(),
            });
            verifier.verify(&Request { fetched, ..request })
        }
        (verdict, _) => verdict,
    }
}

fn settings_refused(error: bellwire_listen::SettingsError) -> Refused {
    Refused {
        reason: Reason::Settings,
        words: error.to_string(),
        fetch: None,
    }
}

/// How many changes were tried and refused.
fn judge(vector: &Vector) -> Result<usize, String> {
    let trusted = verify(vector).map_err(|refused| format!("refused: {refused}"))?;
    let mut changes = Vec::new();
    if trusted.covers == Covers::Body {
        for at in 0..vector.body.len() {
            for bit in 0..8 {
                let mut changed = vector.clone();
                changed.body[at] ^= 1 << bit;
                changes.push((format!("body, byte {at}, bit {bit}"), changed));
            }
        }
    }
    for name in &vector.signed {
        let index = vector
            .headers
            .iter()
            .position(|(other, _)| other == name)
            .ok_or_else(|| format!("no header {name}"))?;
        for (what, text) in flipped(&vector.headers[index].1) {
            let mut changed = vector.clone();
            changed.headers[index].1 = text;
            changes.push((format!("{name}, {what}"), changed));
        }
        let mut changed = vector.clone();
        changed.headers.remove(index);
        changes.push((format!("without {name}"), changed));
    }
    for pointer in &vector.signed_fields {
        let body: Value = serde_json::from_slice(&vector.body).map_err(|error| error.to_string())?;
        let text = body
            .pointer(pointer)
            .and_then(Value::as_str)
            .ok_or_else(|| format!("no text at {pointer}"))?;
        for (what, text) in flipped(text) {
            let mut body = body.clone();
            if let Some(place) = body.pointer_mut(pointer) {
                *place = text.into();
            }
            let mut changed = vector.clone();
            changed.body = body.to_string().into_bytes();
            changes.push((format!("{pointer}, {what}"), changed));
        }
    }
    for (index, (name, value)) in vector.settings.iter().enumerate() {
        // Of the other settings not every bit counts; nor of PEM, which has headings.
        let is_key = ["secret", "publicKey", "webhookId", "topicArn"].contains(&name.as_str());
        if !is_key || value.contains("BEGIN") {
            continue;
        }
        for (what, text) in flipped(value) {
            let mut changed = vector.clone();
            changed.settings[index].1 = text;
            changes.push((format!("{name}, {what}"), changed));
        }
    }
    for (what, changed) in &changes {
        let same_key = changed.settings.iter().zip(&vector.settings).any(|((_, a), (_, b))| {
            // Hexadecimal keys have two spellings.
            let decoded = ["discord", "adyen"].contains(&vector.provider.as_str());
            a != b && decoded && a.eq_ignore_ascii_case(b)
        });
        if !same_key && verify(changed).is_ok() {
            return Err(format!("trusted although changed: {what}"));
        }
    }
    Ok(changes.len())
}

/// Every one-bit change that is still ASCII.
fn flipped(text: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for at in 0..text.len() {
        for bit in 0..7 {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            if let Ok(text) = String::from_utf8(bytes) {
                all.push((format!("byte {at}, bit {bit}"), text));
            }
        }
    }
    all
}
