//! Which idempotency keys and event ids were used before: looked up for a batch, and noted as it goes on.

use std::collections::HashMap;

use bellwire_core::{
    id::{AppId, Id},
    message::NewMessage,
};

use super::{
    argument::{args, owned, plain},
    columns::key,
    connection::Connection,
    days::Kind,
    fault::Fault,
    tx::Tx,
};

/// The first use of an idempotency key.
#[derive(Debug, Clone, Copy)]
pub(super) struct FirstUse {
    pub body: [u8; 32],
    /// The message it made, if it made one.
    pub message: Option<i64>,
}

/// What was used before.
#[derive(Debug, Default)]
pub(super) struct Known {
    keys: HashMap<[u8; 32], FirstUse>,
    event_ids: HashMap<(AppId, String), i64>,
}

impl Known {
    pub fn first_use(&self, key: &[u8; 32]) -> Option<&FirstUse> {
        self.keys.get(key)
    }

    /// The message of an application that has an event id.
    pub fn owner(&self, app: AppId, event_id: &str) -> Option<i64> {
        if self.event_ids.is_empty() {
            return None;
        }
        self.event_ids.get(&(app, event_id.to_owned())).copied()
    }

    /// A message is accepted under this id.
    pub fn note(&mut self, new: &NewMessage, id: i64) {
        if let Some(used) = &new.idempotency {
            let first = FirstUse {
                body: used.body,
                message: Some(id),
            };
            self.keys.insert(used.key, first);
        }
        if let Some(event_id) = &new.event_id {
            self.event_ids.insert((new.app, event_id.clone()), id);
        }
    }
}

/// What the database knows of these messages' keys and event ids.
pub(super) async fn look_up(tx: &mut Tx, messages: &[NewMessage]) -> Result<Known, Fault> {
    let mut known = Known::default();
    look_up_keys(tx, messages, &mut known).await?;
    look_up_event_ids(tx, messages, &mut known).await?;
    Ok(known)
}

async fn look_up_keys(tx: &mut Tx, messages: &[NewMessage], known: &mut Known) -> Result<(), Fault> {
    let keys: Vec<Vec<u8>> = messages
        .iter()
        .filter_map(|new| Some(new.idempotency?.key.to_vec()))
        .collect();
    let days: Vec<i64> = tx.days.from(Kind::Idempotent, tx.now.day()).collect();
    if keys.is_empty() || days.is_empty() {
        return Ok(());
    }
    let of_day = |day: &i64| {
        format!("SELECT key, body_hash, msg FROM idempotent_{day} WHERE key = ANY ($1) AND expires_at > $2")
    };
    let sql = days.iter().map(of_day).collect::<Vec<_>>().join(" UNION ALL ");
    for row in tx.rows(&sql, args![keys, tx.now.micros()]).await? {
        let key: Option<[u8; 32]> = row.get::<_, &[u8]>(0).try_into().ok();
        let first = FirstUse {
            body: row.get::<_, &[u8]>(1).try_into().unwrap_or([0; 32]),
            message: row.get(2),
        };
        if let Some(key) = key {
            known.keys.insert(key, first);
        }
    }
    Ok(())
}

async fn look_up_event_ids(tx: &mut Tx, messages: &[NewMessage], known: &mut Known) -> Result<(), Fault> {
    let named = |new: &NewMessage| Some((key(new.app.number()), owned(new.event_id.as_deref()?)));
    let (apps, event_ids): (Vec<i64>, Vec<String>) = messages.iter().filter_map(named).unzip();
    if apps.is_empty() {
        return Ok(());
    }
    let sql = "SELECT e.app, e.event_id, e.msg FROM event_id AS e JOIN unnest($1, $2) AS t (app, event_id) \
         ON e.app = t.app AND e.event_id = t.event_id";
    for row in tx.rows(sql, args![apps, event_ids]).await? {
        let app = AppId::from_number(super::columns::number(row.get(0)));
        known.event_ids.insert((app, plain(row.get(1))), row.get(2));
    }
    Ok(())
}

/// The message of an application with this event id.
pub(super) async fn by_event_id(connection: &Connection, app: AppId, event_id: &str) -> Result<Option<i64>, Fault> {
    let sql = "SELECT msg FROM event_id WHERE app = $1 AND event_id = $2";
    let args = args![key(app.number()), owned(event_id)];
    Ok(connection.row(sql, args).await?.map(|row| row.get(0)))
}
