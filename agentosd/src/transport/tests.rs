//! A real socket pair, and a peer that is not our friend.

use super::connection::{self, Door, Ended, Incoming, Outgoing};
use super::socket::{Socket, SocketError};
use crate::caller::Caller;
use protocol::wire::{MAX_FDS, MAX_MESSAGE, Reply};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};
use std::io::{IoSlice, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Answers with what it was given; `Logs` with a flood.
#[derive(Clone)]
struct Echo;

impl Door for Echo {
    const INTERFACE: protocol::control::Interface = protocol::control::SELF;

    async fn answer(&self, call: Incoming, out: &mut Outgoing<'_>) -> Result<(), Ended> {
        let reply = json!({"method": call.method, "fds": call.fds.len()});
        match call.method.as_str() {
            "Logs" => loop {
                out.next(&json!({"flood": "x".repeat(60_000)})).await?;
            },
            "Wait" => {
                out.require_more()?;
                out.unless_closed(std::future::pending::<()>()).await?;
                Ok(())
            }
            _ => out.last(&reply).await,
        }
    }
}

fn connect() -> (UnixStream, JoinHandle<SocketError>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let socket = Socket::new(tokio::net::UnixStream::from_std(theirs).unwrap());
    let caller = Caller { uid: 0, gid: 0, groups: Vec::new(), pid: 1 };
    (ours, tokio::spawn(connection::serve(socket, caller, Echo)))
}

fn call(method: &str, flags: Value) -> Vec<u8> {
    let mut call = json!({"method": format!("io.agentos.Control.{method}"), "parameters": {}});
    call.as_object_mut().unwrap().extend(flags.as_object().unwrap().clone());
    [call.to_string().into_bytes(), vec![0]].concat()
}

async fn reply(mut peer: &UnixStream) -> Reply {
    tokio::task::block_in_place(|| {
        let mut bytes = Vec::new();
        let mut byte = [0];
        while peer.read(&mut byte).unwrap() == 1 && byte[0] != 0 {
            bytes.push(byte[0]);
        }
        serde_json::from_slice(&bytes).unwrap()
    })
}

fn send_with_fds(peer: &UnixStream, bytes: &[u8], count: usize) -> rustix::io::Result<usize> {
    let fds: Vec<BorrowedFd<'_>> = (0..count).map(|_| peer.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(250))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&fds)));
    sendmsg(peer, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_answered_in_order_however_they_are_cut() {
    let (mut peer, _task) = connect();
    for byte in call("Run", json!({})) {
        peer.write_all(&[byte]).unwrap();
    }
    peer.write_all(&[call("Kill", json!({})), call("Remove", json!({}))].concat()).unwrap();
    for method in ["Run", "Kill", "Remove"] {
        assert_eq!(reply(&peer).await.parameters["method"], method);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn descriptors_belong_to_their_call() {
    let (mut peer, _task) = connect();
    send_with_fds(&peer, &call("Run", json!({})), 3).unwrap();
    assert_eq!(reply(&peer).await.parameters["fds"], 3);
    peer.write_all(&call("Run", json!({}))).unwrap();
    assert_eq!(reply(&peer).await.parameters["fds"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_ends_the_connection_that_sent_it() {
    for garbage in [&b"\0"[..], b"GET / HTTP/1.1\r\n\r\n\0", b"[]\0", b"{\"method\":1}\0", b"\xff\xfe\0", b"{}\0"] {
        let (mut peer, task) = connect();
        peer.write_all(garbage).unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(5), task).await.unwrap().unwrap();
        assert!(matches!(ended, SocketError::Frame(_)), "{garbage:?}: {ended}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_message_is_cut_off_at_its_bound() {
    let (mut peer, task) = connect();
    let chunk = vec![b'x'; 64 << 10];
    let sent = tokio::task::block_in_place(|| (0..1000).take_while(|_| peer.write_all(&chunk).is_ok()).count());
    assert!(matches!(task.await.unwrap(), SocketError::Frame(_)));
    assert!(sent * chunk.len() < 3 * MAX_MESSAGE, "it took {sent} chunks");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_descriptors_end_the_connection_and_none_stays_open() {
    let before = open_descriptors();
    // Beside one message; and few at a time, beside a message that never ends.
    for round in [vec![250], vec![MAX_FDS + 1], vec![10, 10], vec![1; MAX_FDS + 1]] {
        let (peer, task) = connect();
        for count in &round {
            // The connection may have ended already, which is what is wanted.
            send_with_fds(&peer, b"{", *count).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let ended = tokio::time::timeout(Duration::from_secs(5), task).await.unwrap().unwrap();
        assert!(matches!(ended, SocketError::TooManyDescriptors), "{round:?}: {ended}");
    }
    // Other tests of this process open and close some at the same time.
    assert!(open_descriptors() < before + 200, "{before} before, {} after", open_descriptors());
}

#[tokio::test(flavor = "multi_thread")]
async fn descriptors_with_two_calls_are_refused_as_ambiguous() {
    let (peer, task) = connect();
    send_with_fds(&peer, &[call("Run", json!({})), call("Run", json!({}))].concat(), 1).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), task).await.unwrap().unwrap();
    assert!(matches!(ended, SocketError::Ambiguous), "{ended}");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_read_is_cut_off() {
    let (mut peer, task) = connect();
    peer.write_all(&call("Logs", json!({"more": true}))).unwrap();
    // The clock is the test's: it jumps to the time at which the connection gives up.
    assert!(matches!(task.await.unwrap(), SocketError::Stuck));
    drop(peer);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_leaves_is_noticed_while_nothing_is_sent_to_it() {
    let (mut peer, task) = connect();
    peer.write_all(&call("Wait", json!({"more": true}))).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!task.is_finished());
    drop(peer);
    assert!(matches!(task.await.unwrap(), SocketError::Closed));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_flags_of_a_call_are_kept() {
    let (mut peer, _task) = connect();
    peer.write_all(&call("Wait", json!({}))).unwrap();
    assert_eq!(reply(&peer).await.error.unwrap(), "org.varlink.service.ExpectedMore");
    peer.write_all(&call("Run", json!({"upgrade": true}))).unwrap();
    assert_eq!(reply(&peer).await.error.unwrap(), "org.varlink.service.MethodNotImplemented");
    peer.write_all(&[call("Run", json!({"oneway": true})), call("Kill", json!({}))].concat()).unwrap();
    assert_eq!(reply(&peer).await.parameters["method"], "Kill", "a oneway call has no reply");
    peer.write_all(b"{\"method\":\"org.varlink.service.GetInfo\"}\0").unwrap();
    assert_eq!(reply(&peer).await.parameters["product"], "agentosd");
}
