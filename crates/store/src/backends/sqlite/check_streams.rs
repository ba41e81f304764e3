//! The proof that streams add up: whoever is held waits for somebody, and can be read.

use bellwire_core::id::{AppId, Id};
use bytes::Bytes;

use super::{
    check::Proof,
    fault::Fault,
    row::{number, placed},
    stream::{self, Name},
};
use crate::held::{Beside, from_document};

/// Looks at every held message.
pub(super) fn prove_streams(proof: &mut Proof<'_>) -> Result<(), Fault> {
    let connection = proof.connection;
    let mut statement = connection
        .prepare("SELECT app, okey, number, until <= came_at, document FROM held ORDER BY app, okey, number, id")?;
    let mut rows = statement.query([])?;
    let mut before: Option<Name> = None;
    while let Some(row) = rows.next()? {
        proof.held();
        let name = Name {
            app: AppId::from_number(number(row.get(0)?)),
            okey: row.get(1)?,
        };
        let (numbered, is_due) = (placed(row.get(2)?), row.get::<_, bool>(3)?);
        let beside = Beside {
            app: name.app,
            event_id: None,
            payload: Bytes::new(),
        };
        let document = row.get_ref(4)?;
        if let Err(error) = from_document(document.as_str().unwrap_or(""), beside) {
            proof.problem(format!("{numbered} of {}: {error}", shown(&name)));
        }
        let is_first = before.as_ref().is_none_or(|before| before.columns() != name.columns());
        if is_first {
            let stream = stream::read(connection, &name)?;
            if stream.follows(numbered) && !is_due {
                proof.problem(format!("{numbered} of {} has its turn and is held", shown(&name)));
            }
            before = Some(name);
        }
    }
    Ok(())
}

fn shown(name: &Name) -> String {
    format!("the stream \"{}\" of {}", name.okey, name.app)
}
