//! What a person does with a new source: which URL to give to whom, and what to look at there.

use bellwire_listen::{Provider, providers};
use serde_json::Value;

use crate::cli::{
    exit::Failure,
    out::{Out, Tone, cell},
};

/// Says it.
///
/// # Errors
/// When standard output cannot be written.
pub fn show(source: &Value, out: &mut Out) -> Result<(), Failure> {
    let name = match source["uid"].as_str() {
        Some(uid) => uid.to_owned(),
        None => cell(source, "id"),
    };
    out.line(&cell(source, "id"))?;
    match (source["ingestUrl"].as_str(), providers::by_name(&cell(source, "type"))) {
        (Some(url), Ok(provider)) => paste(url, source, provider, out)?,
        _ => out.note("it publishes by its schedule"),
    }
    out.note(&format!(
        "what is done with it: bellwire endpoint create URL --source {name}"
    ));
    out.note(&format!("what came in:         bellwire tail --source {name}"));
    out.note(&format!("what was refused:     bellwire source refused {name}"));
    Ok(())
}

fn paste(url: &str, source: &Value, provider: &Provider, out: &mut Out) -> Result<(), Failure> {
    let open = provider.is_open(|name| !source["config"][name].is_null());
    let whom = if open { "the sender" } else { provider.title };
    let shown = out.tint(Tone::Bold, url);
    out.line(&shown)?;
    out.note(&format!("give this URL to {whom}"));
    if let (Some(uid), false) = (source["uid"].as_str(), open)
        && let Some((base, _)) = url.rsplit_once('/')
    {
        out.note(&format!(
            "or this one, which stays when the token is replaced: {base}/{uid}"
        ));
    }
    if open {
        out.note("nothing is verified: whoever knows the URL is believed, so keep it secret");
        return Ok(());
    }
    out.note(&format!("what is checked: {} ({})", provider.about, provider.source));
    for handshake in provider.handshakes() {
        out.note(&format!("answered by itself: {handshake}"));
    }
    if provider.needs_url() {
        out.note("the URL is part of the signature: the server's public_url must be what the provider calls");
    }
    Ok(())
}
