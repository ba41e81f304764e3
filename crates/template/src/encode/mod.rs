//! JSON payloads in other formats, for receivers that want them so.
//!
//! Called by the deliverer for endpoints with a `format`. What [`decode`](crate::decode) makes of a document that was written
//! here is the same value again, as far as the format can say it: all plain values come back as texts.

mod form;
mod names;
mod value;
mod xml;

pub use self::{form::form, xml::xml};

/// The longest output, in bytes. Names are written again for every value below them, so little can become much.
const BYTES_MAX: usize = 16 * 1_024 * 1_024;

/// Why a payload cannot be written in a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A form has names, and the payload has none.
    #[error("a form is made of an object, and the payload is none; use a transformation that makes one")]
    NoObject,
    /// It is nested too deeply.
    #[error(
        "the payload is nested more than {} levels deep; use a transformation that takes less of it",
        value::DEPTH_MAX
    )]
    TooDeep,
    /// It would be too long.
    #[error("the output would have more than {BYTES_MAX} bytes; use a transformation that takes less of the payload")]
    TooLong,
}

fn bounded(out: &str) -> Result<(), EncodeError> {
    if out.len() > BYTES_MAX {
        return Err(EncodeError::TooLong);
    }
    Ok(())
}
