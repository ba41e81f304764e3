//! The one expression and template language of the house: filters, ordering keys, transformations, the texts of actions.
//!
//! The language is MiniJinja's, cut down to what is safe in the hands of strangers: an endpoint's owner may write what runs
//! in everybody's server. [`language`](self::language) says what is left out and why; `docs/templates.md` says it to people.
//! Evaluation is bounded in work, memory, recursion and output, and reaches neither files, nor the environment, nor other
//! templates.
//!
//! Called by the directory (ordering keys), and by whoever compiles what a person wrote. It does not know endpoints or
//! deliveries; a [`MessageScope`] is all that an expression sees. Expressions see JSON: [`decode`] makes it of other bodies.

mod decode;
pub mod encode;
mod engine;
mod error;
mod escape;
mod expression;
mod json;
mod key;
mod language;
mod lone;
mod measure;
mod output;
mod path;
mod program;
mod reads;
mod scope;
mod template;
mod tokens;
mod transformation;
mod tree;
mod work;

pub use self::decode::{DecodeError, decode};
pub use self::error::{Reason, TemplateError};
pub use self::escape::{Escape, percent_encoded};
pub use self::expression::Expression;
pub use self::key::KeyExpression;
pub use self::reads::Read;
pub use self::scope::MessageScope;
pub use self::template::Template;
pub use self::transformation::Transformation;
pub use self::tree::{JsonTemplate, is_template};

/// The longest expression, in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 4_096;

/// The longest template, in bytes.
pub const TEMPLATE_BYTES_MAX: usize = 256 * 1_024;

/// The most templates in one value: strings that have anything of the language in them. A compiled one takes some kilobytes,
/// however short it is.
pub const TEMPLATES_MAX: usize = 256;

/// The longest output of a template, in bytes.
pub const OUTPUT_BYTES_MAX: usize = 1_024 * 1_024;

/// What a member that the message does not have means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// Nothing: it is false, equal to no value, and written as an empty text. For filters and keys.
    #[default]
    Empty,
    /// An error that names it, where it is used as a value; `if`, `and`, `or`, `is defined` and `default` may still ask for
    /// it. For output that somebody will act on.
    Error,
}
