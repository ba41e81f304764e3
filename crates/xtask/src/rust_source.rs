//! Rust text, taken apart just enough to check rules on it: code, string literals, and where the tests begin.
//!
//! Called by `tidy`. It is not a parser: it only knows comments, strings and characters, so that a rule never fires on
//! prose, and a rule about strings never on code.

/// A Rust file seen as code and as strings.
#[derive(Debug, Default)]
pub(crate) struct RustSource {
    /// The text with comments and the inside of literals replaced by spaces; lines stay where they were.
    pub(crate) code: String,
    /// Every string literal, in order.
    pub(crate) strings: Vec<Literal>,
    /// The first line (from 1) of the file's unit tests: a `mod` under `#[cfg(test)]`. They come last in a file.
    pub(crate) tests_from: Option<usize>,
}

/// A string literal as written, escapes unresolved.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Literal {
    /// The line (from 1) where it begins.
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl RustSource {
    /// Takes `text` apart. Never fails: text that is not Rust gives useless but harmless results.
    pub(crate) fn parse(text: &str) -> Self {
        let mut lexer = Lexer {
            chars: text.chars().collect(),
            at: 0,
            line: 1,
            out: Self::default(),
        };
        lexer.run();
        let mut source = lexer.out;
        source.tests_from = tests_from(&source.code);
        source
    }

    /// Whether `line` belongs to the file's unit tests.
    pub(crate) fn is_test_line(&self, line: usize) -> bool {
        self.tests_from.is_some_and(|from| line >= from)
    }
}

/// The line of the first `#[cfg(test)]` that is followed by a module with a body.
fn tests_from(code: &str) -> Option<usize> {
    let lines: Vec<&str> = code.lines().map(str::trim).collect();
    let at = lines.iter().enumerate().position(|(at, line)| {
        line.starts_with("#[cfg(test)]")
            && lines[at..]
                .iter()
                .map(|next| next.trim_start_matches("#[cfg(test)]").trim())
                .find(|next| !next.is_empty() && !next.starts_with("#["))
                .is_some_and(|next| next.contains("mod ") && next.ends_with('{'))
    })?;
    Some(at + 1)
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    out: RustSource,
}

impl Lexer {
    fn run(&mut self) {
        while let Some(c) = self.peek(0) {
            match c {
                '/' if self.peek(1) == Some('/') => self.blank_until(|lexer| lexer.peek(0) == Some('\n')),
                '/' if self.peek(1) == Some('*') => self.block_comment(),
                '"' => self.string(0, true),
                'r' | 'b' | 'c' if !self.follows_identifier() && self.prefixed_string() => {}
                '\'' => self.character(),
                _ => self.keep(),
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn follows_identifier(&self) -> bool {
        self.at > 0 && matches!(self.chars[self.at - 1], c if c.is_alphanumeric() || c == '_')
    }

    fn keep(&mut self) {
        let c = self.chars[self.at];
        self.line += usize::from(c == '\n');
        self.out.code.push(c);
        self.at += 1;
    }

    fn blank(&mut self) {
        if self.chars[self.at] == '\n' {
            self.keep();
        } else {
            self.out.code.push(' ');
            self.at += 1;
        }
    }

    fn blank_until(&mut self, end: impl Fn(&Self) -> bool) {
        while self.at < self.chars.len() && !end(self) {
            self.blank();
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        while let Some(c) = self.peek(0) {
            let pair = (c, self.peek(1));
            let opens = pair == ('/', Some('*'));
            let closes = pair == ('*', Some('/'));
            self.blank();
            if opens || closes {
                self.blank();
                depth = if opens { depth + 1 } else { depth - 1 };
                if depth == 0 {
                    return;
                }
            }
        }
    }

    /// `r"…"`, `r#"…"#`, `b"…"`, `br"…"`, `c"…"`: answers false, having moved nothing, when it is only an identifier.
    fn prefixed_string(&mut self) -> bool {
        let mut ahead = 0;
        let mut raw = false;
        while let Some(c @ ('r' | 'b' | 'c')) = self.peek(ahead) {
            raw |= c == 'r';
            ahead += 1;
        }
        let hashes = (ahead..).take_while(|at| self.peek(*at) == Some('#')).count();
        if ahead > 2 || self.peek(ahead + hashes) != Some('"') || (hashes > 0 && !raw) {
            return false;
        }
        for _ in 0..ahead + hashes {
            self.keep();
        }
        self.string(hashes, !raw);
        true
    }

    /// From the opening quote to the closing one with its hashes.
    fn string(&mut self, hashes: usize, escapes: bool) {
        let line = self.line;
        let mut text = String::new();
        self.keep();
        while let Some(c) = self.peek(0) {
            if c == '"' && (1..=hashes).all(|ahead| self.peek(ahead) == Some('#')) {
                for _ in 0..=hashes {
                    self.keep();
                }
                break;
            }
            if c == '\\' && escapes {
                text.push(c);
                self.blank();
            }
            if let Some(c) = self.peek(0) {
                text.push(c);
                self.blank();
            }
        }
        self.out.strings.push(Literal { line, text });
    }

    /// A character literal, or the quote of a lifetime.
    fn character(&mut self) {
        let escaped = self.peek(1) == Some('\\');
        if !escaped && self.peek(2) != Some('\'') {
            return self.keep();
        }
        self.keep();
        self.blank();
        if escaped {
            self.blank();
        }
        self.blank_until(|lexer| lexer.peek(0) == Some('\''));
        if self.at < self.chars.len() {
            self.keep();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(text: &str) -> Vec<(usize, String)> {
        RustSource::parse(text)
            .strings
            .into_iter()
            .map(|literal| (literal.line, literal.text))
            .collect()
    }

    #[test]
    fn comments_leave_no_trace_in_the_code() {
        let source = RustSource::parse("a(); // b()\n/* c()\n /* d() */ e() */ f();\n/// g()\nh();");
        assert_eq!(
            source.code.split_whitespace().collect::<Vec<_>>(),
            ["a();", "f();", "h();"]
        );
        assert_eq!(source.code.lines().count(), 5);
    }

    #[test]
    fn strings_of_every_kind_are_found_with_their_lines() {
        assert_eq!(
            strings("x(\"one\");\ny(\"t\\\"wo // no comment\");"),
            [(1, "one".to_owned()), (2, "t\\\"wo // no comment".to_owned())]
        );
        assert_eq!(
            strings("r#\"a \"b\" c\"# + br\"\\\" + b\"x\""),
            [(1, "a \"b\" c".to_owned()), (1, "\\".to_owned()), (1, "x".to_owned())]
        );
        assert_eq!(
            strings("\"two\nlines\" \"after\""),
            [(1, "two\nlines".to_owned()), (2, "after".to_owned())]
        );
    }

    #[test]
    fn the_inside_of_a_string_is_not_code() {
        let source = RustSource::parse("let x = \"thread::sleep\"; real();");
        assert!(!source.code.contains("sleep"));
        assert!(source.code.contains("real();"));
    }

    #[test]
    fn quotes_of_characters_and_lifetimes_do_not_open_strings() {
        assert_eq!(
            strings("fn f<'a>(x: &'a str) { g('\"', '\\'', '\\u{1F600}', \"s\") }"),
            [(1, "s".to_owned())]
        );
        assert_eq!(strings("for_r(r#type, bar\"x\")"), [(1, "x".to_owned())]);
    }

    #[test]
    fn the_tests_begin_at_their_module_only() {
        let with_helper = "#[cfg(test)]\nuse x;\nfn a() {}\n#[cfg(test)]\n#[expect(y)]\nmod tests {\n}\n";
        let source = RustSource::parse(with_helper);
        assert_eq!(source.tests_from, Some(4));
        assert!(source.is_test_line(6) && !source.is_test_line(3));
        assert_eq!(
            RustSource::parse("#[cfg(test)]\nmod tests;\nfn a() {}\n").tests_from,
            None
        );
    }
}
