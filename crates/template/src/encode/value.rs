//! A JSON text as a tree that keeps the order of members, and numbers as they are written.

use std::borrow::Cow;

use super::EncodeError;
use crate::tokens::{Token, Tokens};

/// How deep a payload may be nested; what is published or received never is as deep.
pub(super) const DEPTH_MAX: usize = 128;

/// A value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tree<'a> {
    /// Anything but a list or an object, as text. Null is an empty one.
    Plain(Cow<'a, str>),
    List(Vec<Tree<'a>>),
    Object(Vec<(Cow<'a, str>, Tree<'a>)>),
}

impl<'a> Tree<'a> {
    /// Reads a text that is known to be JSON.
    pub fn read(json: &'a str) -> Result<Self, EncodeError> {
        let mut tokens = Tokens::new(json);
        let first = tokens.next().unwrap_or(Token::Null);
        read(first, &mut tokens, 0)
    }

    pub fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }
}

fn read<'a>(token: Token<'a>, tokens: &mut Tokens<'a>, depth: usize) -> Result<Tree<'a>, EncodeError> {
    if depth > DEPTH_MAX {
        return Err(EncodeError::TooDeep);
    }
    Ok(match token {
        Token::OpenObject => {
            let mut members = Vec::new();
            while let Some(Token::Name(name)) = tokens.next() {
                let value = tokens.next().unwrap_or(Token::Null);
                members.push((name, read(value, tokens, depth + 1)?));
            }
            Tree::Object(members)
        }
        Token::OpenList => {
            let mut items = Vec::new();
            while let Some(token) = tokens.next().filter(|token| *token != Token::Close) {
                items.push(read(token, tokens, depth + 1)?);
            }
            Tree::List(items)
        }
        Token::Text(text) | Token::Name(text) => Tree::Plain(text),
        Token::Number(number) => Tree::Plain(number.into()),
        Token::Bool(true) => Tree::Plain("true".into()),
        Token::Bool(false) => Tree::Plain("false".into()),
        Token::Null | Token::Close => Tree::Plain("".into()),
    })
}
