//! The hooks file: sources and actions as a person writes them, and how they become what is in force.
