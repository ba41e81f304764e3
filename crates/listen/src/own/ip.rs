//! Only the address that connected counts: for senders that sign nothing on a network one trusts.

use bellwire_core::address::Cidr;

use super::Own;
use crate::recipe::Proof;
use crate::refused::{Reason, Refused};
use crate::settings::{Settings, SettingsError};

pub(crate) static IP: Own = Own {
    check: |settings| ranges(settings).map(drop),
    prove: |verifier, seen, _| {
        let ranges = ranges(&verifier.settings).map_err(|error| Refused::new(Reason::Settings, error.to_string()))?;
        match seen.request.peer {
            Some(peer) if ranges.iter().any(|range| range.contains(peer)) => Ok(Proof::default()),
            Some(peer) => Err(Refused::new(
                Reason::Address,
                format!("{peer} is in none of the ranges allowed"),
            )),
            None => Err(Refused::new(Reason::Address, "the address that connected is not known")),
        }
    },
    sign: |_| Ok(()),
    recipe: None,
};

fn ranges(settings: &Settings) -> Result<Vec<Cidr>, SettingsError> {
    settings
        .all("cidr")
        .iter()
        .map(|text| {
            text.trim().parse().map_err(|_| SettingsError::Value {
                name: "cidr",
                why: format!("`{}` is no range such as 192.0.2.0/24", crate::refused::shorten(text)),
            })
        })
        .collect()
}
