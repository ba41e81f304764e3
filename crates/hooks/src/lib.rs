//! The hooks file: sources and actions as a person writes them, and how they become what is in force.
//!
//! [`File::read`] makes of a text what it asks for ([`Desired`]), or says everything that is wrong with it ([`Finding`]), each
//! with line and column. Called by the server, which applies the file, and by `bellwire hooks`, which checks and tests it.
//!
//! Deliberately absent: opening files and looking at the environment (passed in as [`Surroundings`]), watching, and what a kind
//! of action or a provider is: those are rows of their own tables, and what they need is read from there.

mod changes;
mod desired;
mod finding;
mod nearest;
mod read;
mod reading;
pub mod schema;
mod surroundings;
mod veil;
mod yaml;

pub use self::changes::{Changes, ChangesError, Line, Standing, What};
pub use self::desired::{Desired, Hook, HookAction};
pub use self::finding::{Finding, Mark};
pub use self::surroundings::Surroundings;

/// A hooks file.
#[derive(Debug)]
pub struct File;

impl File {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// Everything that is wrong with it, in its order. No finding holds what a reference was replaced by.
    pub fn read(text: &str, around: &Surroundings<'_>) -> Result<Desired, Vec<Finding>> {
        read::read(text, around)
    }
}
