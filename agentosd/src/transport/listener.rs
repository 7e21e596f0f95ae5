//! The listening socket: who may connect, and how often.

use super::connection::{self, Door};
use super::socket::{Socket, SocketError};
use super::turn::Turns;
use crate::caller::Caller;
use crate::group::GroupId;
use crate::journal;
use protocol::error::ControlError;
use rustix::fs::{Gid, Mode, Uid, chmod, chown};
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};

/// Connections that may wait to be accepted. They are accepted in order, so a client that connects over and over makes
/// everyone wait behind this many of its own; when the queue is full, connect(2) waits.
const BACKLOG: i32 = 16;

/// Who may connect.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Admitted {
    /// Root, and the members of a group when there is one.
    Operators(Option<GroupId>),
    /// One user alone: an agent.
    Only(u32),
}

/// Who may connect, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Who.
    pub(crate) admitted: Admitted,
    /// Most connections of one uid at one time.
    pub(crate) per_uid: usize,
}

/// Makes the socket, open to whom it is for; one that a killed daemon left is replaced.
pub(crate) fn listen(path: &Path, admitted: Admitted) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket =
        socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    // Nobody can connect before it listens, so the mode that the umask left is never the one that counts.
    let (uid, gid, mode) = match admitted {
        Admitted::Operators(Some(GroupId(id))) => (Uid::ROOT, Gid::from_raw(id), 0o660),
        Admitted::Operators(None) => (Uid::ROOT, Gid::ROOT, 0o600),
        Admitted::Only(uid) => (Uid::from_raw(uid), Gid::ROOT, 0o600),
    };
    chown(path, Some(uid), Some(gid))?;
    chmod(path, Mode::from_raw_mode(mode))?;
    rustix::net::listen(&socket, BACKLOG)?;
    UnixListener::from_std(std::os::unix::net::UnixListener::from(socket))
}

/// Accepts connections for ever.
pub(crate) async fn serve<D: Door>(listener: UnixListener, bounds: Bounds, door: D) {
    let counts = Counts::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => admit(stream, bounds, &counts, door.clone()),
            // Out of descriptors or memory: those that exist go on, new ones wait in the backlog.
            Err(error) => {
                journal::error(format_args!("cannot accept a connection: {error}"));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn admit<D: Door>(stream: UnixStream, bounds: Bounds, counts: &Counts, door: D) {
    let peer = match stream.peer_cred() {
        Ok(peer) => peer,
        Err(error) => return journal::provoked(format_args!("a peer without credentials was refused: {error}")),
    };
    let Some(counted) = counts.take(peer.uid(), bounds.per_uid) else {
        let what = format!("connections of uid {}", peer.uid());
        let remedy = "close some, or raise max_connections_per_uid in agentosd.yaml".to_owned();
        return refuse(&stream, &ControlError::Limit { what, limit: bounds.per_uid as u64, remedy });
    };
    let Some(caller) = identify(&stream, peer, bounds.admitted) else { return };
    let turns = counted.turns.clone();
    tokio::spawn(turns.run(async move {
        let uid = caller.uid;
        let error = connection::serve(Socket::new(stream), caller, door).await;
        if !matches!(error, SocketError::Closed) {
            journal::provoked(format_args!("a connection of uid {uid} was ended: {}", journal::sentence(&error)));
        }
        drop(counted);
    }));
}

/// Who it is, if it may connect; otherwise it is told so.
fn identify(stream: &UnixStream, peer: UCred, admitted: Admitted) -> Option<Caller> {
    let (uid, gid, pid) = (peer.uid(), peer.gid(), peer.pid().unwrap_or(0));
    let (caller, refused) = match admitted {
        // An agent is known by its user alone.
        Admitted::Only(only) => {
            let caller = Caller { uid, gid, groups: Vec::new(), pid };
            (caller, (uid != only).then_some("only the agent itself may connect"))
        }
        Admitted::Operators(group) => match Caller::identify(uid, gid, pid) {
            Ok(caller) => {
                let refused = !caller.admitted(group);
                (caller, refused.then_some("only root and members of the daemon's group may connect"))
            }
            Err(error) => {
                journal::provoked(format_args!("a peer was refused: {}", journal::sentence(&error)));
                return None;
            }
        },
    };
    let Some(why) = refused else { return Some(caller) };
    refuse(stream, &caller.not_permitted("a connection", why));
    journal::provoked(format_args!("uid {uid} was refused: {why}"));
    None
}

/// Says why in front of any call, as the reply that the peer's first call will find. Nothing is awaited for a peer
/// that is not served: an empty socket takes these few bytes at once.
fn refuse(stream: &UnixStream, why: &ControlError) {
    if let Ok(bytes) = protocol::wire::encode(&why.to_reply()) {
        rustix::net::send(stream, &bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT).ok();
    }
}

/// Connections by uid.
#[derive(Clone, Debug, Default)]
struct Counts(Arc<Mutex<HashMap<u32, User>>>);

/// Who has connections.
#[derive(Debug)]
struct User {
    connections: usize,
    turns: Turns,
}

/// One connection, counted until this is dropped.
#[derive(Debug)]
struct Counted {
    uid: u32,
    turns: Turns,
    counts: Counts,
}

impl Counts {
    fn take(&self, uid: u32, bound: usize) -> Option<Counted> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let user = counts.entry(uid).or_insert_with(|| User { connections: 0, turns: Turns::of(uid) });
        // Root is not locked out of a daemon that it must be able to stop agents with.
        if user.connections >= bound && uid != 0 {
            return None;
        }
        user.connections += 1;
        Some(Counted { uid, turns: user.turns.clone(), counts: self.clone() })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(user) = counts.get_mut(&self.uid) {
            user.connections -= 1;
            if user.connections == 0 {
                counts.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_by_user() {
        let counts = Counts::default();
        let first = counts.take(5, 2).unwrap();
        let second = counts.take(5, 2).unwrap();
        assert!(counts.take(5, 2).is_none());
        assert!(counts.take(6, 2).is_some(), "another user is not affected");
        drop(first);
        assert!(counts.take(5, 2).is_some());
        drop(second);
        assert!(counts.0.lock().unwrap().is_empty());
    }
}
