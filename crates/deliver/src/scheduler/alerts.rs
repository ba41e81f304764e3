//! Tells people about endpoints that need a look: a line in the log, and an operational event for the environment's owner.

use std::sync::Arc;

use bellwire_core::{alert::Alert, id::EndpointId};
use bellwire_store::operational::{self, OperationalEvent};

use super::Scheduler;

impl Scheduler {
    /// Tells that an alert was raised, or cleared. The event is written by a task of its own: nothing that delivers waits for it,
    /// and one that cannot be written is lost.
    pub(super) fn alert(self: &Arc<Self>, id: EndpointId, alert: Alert, raised: bool) {
        let directory = &self.parts.directory;
        let Some(entry) = directory.endpoint_by_id(id) else {
            return;
        };
        let event = OperationalEvent::Alert {
            endpoint: &entry.endpoint,
            alert,
            raised,
        };
        let name = event.name();
        if raised {
            tracing::warn!(endpoint = %id, alert = name, ?alert, "an endpoint needs a look");
        } else {
            tracing::info!(endpoint = %id, alert = name, ?alert, "an alert is over");
        }
        let Some(message) = operational::event(directory, entry.environment, event) else {
            return;
        };
        let store = Arc::clone(&self.parts.store);
        self.tasks.spawn(async move {
            if let Err(error) = store.append(message).await {
                tracing::warn!(endpoint = %id, %error, event = name, "an operational event was not written");
            }
        });
    }
}
