//! Nothing is verified: whoever knows the URL is believed. It has to be written down to be so.

use super::{Own, unchecked};
use crate::recipe::Proof;

pub(crate) static NONE: Own = Own {
    check: unchecked,
    prove: |_, _, _| Ok(Proof::default()),
    sign: |_| Ok(()),
    recipe: None,
};
