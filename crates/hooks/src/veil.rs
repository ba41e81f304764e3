//! What must not be seen: the values that references were replaced by.

/// Values from here on, in characters, are hidden. Shorter ones are no secrets, and would be found in every text.
const CHARS_MIN: usize = 4;
/// Pieces of a value from here on, in characters, are hidden: an excerpt may have cut it.
const PIECE_CHARS_MIN: usize = 6;

/// The values to hide, and what to write in their place.
#[derive(Default, Clone)]
pub(crate) struct Veil(Vec<(Vec<char>, String)>);

impl Veil {
    /// Hides this value, which the reference was replaced by.
    pub fn hide(&mut self, reference: &str, value: &str) {
        let name = reference.split(":-").next().unwrap_or(reference);
        let chars: Vec<char> = value.chars().collect();
        if chars.len() >= CHARS_MIN && !self.0.iter().any(|(known, _)| *known == chars) {
            self.0.push((chars, format!("${{{name}}}")));
        }
    }

    /// The text with all hidden values, and longer pieces of them, replaced.
    pub fn over(&self, text: &str) -> String {
        let text: Vec<char> = text.chars().collect();
        let mut shown = String::new();
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let longest = self.0.iter().map(|(value, name)| (hidden(value, rest), name));
            match longest
                .max_by_key(|(length, _)| *length)
                .filter(|(length, _)| *length > 0)
            {
                Some((length, name)) => {
                    shown.push_str(name);
                    at += length;
                }
                None => {
                    shown.push(text[at]);
                    at += 1;
                }
            }
        }
        shown
    }
}

/// How much of the beginning of `text` is the value or a piece of it; 0 when that is too little.
fn hidden(value: &[char], text: &[char]) -> usize {
    let same = |from: usize| {
        value[from..]
            .iter()
            .zip(text)
            .take_while(|(one, other)| one == other)
            .count()
    };
    let longest = (0..value.len()).map(same).max().unwrap_or_default();
    match longest == value.len() || longest >= PIECE_CHARS_MIN {
        true => longest,
        false => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_longer_pieces_of_them_are_hidden_and_nothing_else() {
        let mut veil = Veil::default();
        veil.hide("TOKEN:-x", "canary-secret-text");
        veil.hide("PORT", "80");
        veil.hide("WORD", "four");
        for (text, shown) in [
            ("is canary-secret-text here", "is ${TOKEN} here"),
            ("cut: `canary-sec…`", "cut: `${TOKEN}…`"),
            ("the end: ret-text", "the end: ${TOKEN}"),
            ("port 80, four", "port 80, ${WORD}"),
            ("can be", "can be"),
        ] {
            assert_eq!(veil.over(text), shown);
        }
    }
}
