//! As whom a command runs.

use bellwire_action::run::User;
use bellwire_core::attempt::Failure;
use nix::unistd::{self, Uid, geteuid};

/// A user of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub uid: u32,
    pub gid: u32,
    /// The home directory, where there is one.
    pub home: Option<String>,
}

/// Looks the user up. Only root may become somebody else; its group is the user's own, and further groups are left behind.
pub(super) async fn find(user: User) -> Result<Identity, Failure> {
    // The machine's users may be on another machine: the look-up blocks.
    let name = match &user {
        User::Id(id) => id.to_string(),
        User::Name(name) => name.clone(),
    };
    let looked_up = tokio::task::spawn_blocking(move || match user {
        User::Id(id) => unistd::User::from_uid(Uid::from_raw(id)).map(|found| (Some(id), found)),
        User::Name(name) => unistd::User::from_name(&name).map(|found| (None, found)),
    });
    let (id, found) = match looked_up.await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Err(refused(&name, &error.to_string())),
        Err(error) => return Err(refused(&name, &error.to_string())),
    };
    let identity = match (found, id) {
        (Some(user), _) => Identity {
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            home: user.dir.to_str().map(str::to_owned),
        },
        (None, Some(id)) => Identity {
            uid: id,
            gid: id,
            home: None,
        },
        (None, None) => return Err(refused(&name, "there is no such user")),
    };
    let own = geteuid();
    if !own.is_root() && own.as_raw() != identity.uid {
        return Err(refused(
            &name,
            "only a server that runs as root can run commands as somebody else",
        ));
    }
    Ok(identity)
}

fn refused(name: &str, why: &str) -> Failure {
    Failure {
        reason: "command_user_refused",
        detail: format!("no command can be run as `{name}`: {why}"),
    }
}
