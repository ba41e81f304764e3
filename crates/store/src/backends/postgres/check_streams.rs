//! The proof that streams add up: whoever is held waits for somebody, and can be read.

use bellwire_core::id::{AppId, Id};
use bytes::Bytes;

use super::{
    argument::plain,
    check::Proof,
    columns::{number, placed},
    fault::Fault,
    stream::{self, Name},
};
use crate::held::{Beside, from_document};

/// Looks at every held message.
pub(super) async fn prove_streams(proof: &mut Proof<'_>) -> Result<(), Fault> {
    let sql = "SELECT app, okey, number, until <= came_at, document FROM held ORDER BY app, okey, number, id";
    let mut before: Option<Name> = None;
    for row in proof.connection.rows(sql, &[]).await? {
        proof.held();
        let name = Name {
            app: AppId::from_number(number(row.get(0))),
            okey: plain(row.get(1)),
        };
        let (numbered, is_due) = (placed(row.get(2)), row.get::<_, bool>(3));
        let beside = Beside {
            app: name.app,
            event_id: None,
            payload: Bytes::new(),
        };
        if let Err(error) = from_document(row.get(4), beside) {
            proof.problem(format!("{numbered} of {}: {error}", shown(&name)));
        }
        let is_first = before.as_ref().is_none_or(|before| before.columns() != name.columns());
        if is_first {
            let stream = stream::read(proof.connection, &name).await?;
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
