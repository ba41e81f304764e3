//! Erasure: what belonged to a deleted application goes, a chunk at a time.

use bellwire_core::{id::AppId, task::Task};
use bellwire_store::{Store, StoreError};

use crate::step::Step;

/// Messages removed in one transaction: small enough that publishers do not notice.
const CHUNK: usize = 500;

/// Removes one chunk.
pub(crate) async fn chunk(task: &Task, app: AppId, store: &dyn Store) -> Result<Step, StoreError> {
    let removed = store.erase_app(app, CHUNK).await?;
    Ok(Step::Worked {
        seen: removed,
        done: removed,
        cursor: task.cursor,
        more: removed > 0,
    })
}
