//! What is kept of an attempt's signing headers, in one text: the `webhook-signature`, and behind it a line for each header that
//! could not be told from message and endpoint alone.
//!
//! `deliver` writes it into the outcome, the API shows it. An attempt that sent nothing out of the ordinary keeps its signature
//! and nothing else.

/// The text for a signature and further headers. Values have no line breaks: they were sent.
#[must_use]
pub fn keep<'a>(signature: &str, more: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = signature.to_owned();
    for (name, value) in more {
        text.push('\n');
        text.push_str(name);
        text.push_str(": ");
        text.push_str(value);
    }
    text
}

/// The signature, and the further headers.
pub fn kept(text: &str) -> (&str, impl Iterator<Item = (&str, &str)>) {
    let mut lines = text.split('\n');
    let signature = lines.next().unwrap_or_default();
    (signature, lines.filter_map(|line| line.split_once(": ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_reads_back() {
        assert_eq!(keep("v1,abc", []), "v1,abc");
        let more = [("webhook-sequence", "5"), ("signature-input", "sig1=(\"a: b\")")];
        let text = keep("v1,abc", more);
        let (signature, found) = kept(&text);
        assert_eq!((signature, found.collect::<Vec<_>>()), ("v1,abc", more.to_vec()));
        let (signature, mut none) = kept("");
        assert!(signature.is_empty() && none.next().is_none());
    }
}
