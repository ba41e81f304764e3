//! How large and how deep a text may be, judged on its tokens: nothing recursive has run yet.
//!
//! Called by `language` before it has the text parsed.

use minijinja::machinery::{Token, tokenize};

use crate::{
    engine,
    error::{Reason, TemplateError},
    language::bytes,
};

/// Names, operators and brackets in one tag: bounds the depth of the syntax tree, which is walked recursively.
const PARTS_MAX: usize = 256;

/// Brackets in brackets.
const BRACKETS_MAX: usize = 24;

/// Signs and `not`s in a row.
const PREFIXES_MAX: usize = 4;

/// `if`s and `for`s in each other; each `elif` counts as one in the one before.
const BLOCKS_MAX: usize = 32;

/// Bounds the text before it is parsed: the parser and what comes behind it are recursive, and the engine bounds only some
/// of that.
pub(crate) fn measure(text: &str, is_expression: bool) -> Result<(), TemplateError> {
    let mut measure = Measure::default();
    for token in tokenize(text, is_expression, engine::syntax()) {
        let (token, span) = token.map_err(|error| TemplateError::of_engine(text, &error))?;
        measure
            .take(&token)
            .map_err(|what| TemplateError::at(text, bytes(span), Reason::Refused, what))?;
    }
    Ok(())
}

/// What was before the token that is looked at.
#[derive(Debug, Default, PartialEq, Eq)]
enum Before {
    /// The beginning of a statement.
    Block,
    /// Something that another item of a list follows.
    Separator,
    /// `-` or `not`.
    Prefix,
    #[default]
    Other,
}

#[derive(Debug, Default)]
struct Measure {
    before: Before,
    parts: usize,
    brackets: usize,
    prefixes: usize,
    /// The open `if`s and `for`s, each with the number of levels that it is in the tree: an `elif` lies inside the one before.
    blocks: Vec<usize>,
}

impl Measure {
    fn take(&mut self, token: &Token<'_>) -> Result<(), String> {
        let mut now = Before::Other;
        match token {
            Token::TemplateData(_) | Token::VariableStart => (self.parts, self.brackets) = (0, 0),
            Token::BlockStart => {
                (self.parts, self.brackets) = (0, 0);
                now = Before::Block;
            }
            Token::Comma => now = Before::Separator,
            // Long lists of constants are fine: they stay flat.
            Token::Str(_) | Token::String(_) | Token::Int(_) | Token::Int128(_) | Token::Float(_)
                if self.before == Before::Separator => {}
            Token::BracketOpen | Token::ParenOpen | Token::BraceOpen => {
                self.brackets += 1;
                self.parts += 1;
                now = Before::Separator;
            }
            Token::BracketClose | Token::ParenClose | Token::BraceClose => {
                self.brackets = self.brackets.saturating_sub(1);
                self.parts += 1;
            }
            Token::Minus | Token::Plus | Token::Ident("not") => {
                self.parts += 1;
                now = Before::Prefix;
            }
            Token::Ident(word) => {
                self.parts += 1;
                if self.before == Before::Block {
                    self.statement(word);
                }
            }
            _ => self.parts += 1,
        }
        self.prefixes = if now == Before::Prefix { self.prefixes + 1 } else { 0 };
        self.before = now;
        self.check()
    }

    fn statement(&mut self, word: &str) {
        match word {
            "if" | "for" => self.blocks.push(1),
            "elif" => {
                if let Some(levels) = self.blocks.last_mut() {
                    *levels += 1;
                }
            }
            "endif" | "endfor" => {
                self.blocks.pop();
            }
            _ => {}
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.parts > PARTS_MAX {
            return Err(format!(
                "too many parts: at most {PARTS_MAX} names, operators and brackets; make it simpler"
            ));
        }
        if self.brackets > BRACKETS_MAX {
            return Err(format!(
                "brackets are nested deeper than {BRACKETS_MAX}; make it simpler"
            ));
        }
        if self.prefixes > PREFIXES_MAX {
            return Err(format!("more than {PREFIXES_MAX} signs or `not`s in a row"));
        }
        if self.blocks.iter().sum::<usize>() > BLOCKS_MAX {
            return Err(format!(
                "`if`, `elif` and `for` are nested deeper than {BLOCKS_MAX}; make it simpler"
            ));
        }
        Ok(())
    }
}
