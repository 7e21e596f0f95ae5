//! The client against the other end of a real socket.

use super::*;
use protocol::agent::State;
use protocol::control::{List, ListReply, OpenMemory, OpenMemoryReply, Wait};
use protocol::ids::AgentName;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, recvmsg};
use std::io::{IoSliceMut, Read as _, Write as _};
use std::os::fd::OwnedFd;

/// A client and the other end of its socket.
fn pair() -> (Client, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a socket pair");
    (Client::over(ours), theirs)
}

fn wait() -> Wait {
    Wait { name: AgentName::parse("a").expect("a name") }
}

fn answer(peer: &mut UnixStream, reply: &Reply) {
    peer.write_all(&wire::encode(reply).expect("encoded")).expect("written");
}

#[test]
fn descriptors_travel_beside_the_call_and_stay_the_same_files() {
    let (mut client, peer) = pair();
    let (read, write) = std::io::pipe().expect("a pipe");
    client.send(&wait(), true, &[write.as_fd()]).expect("sent");
    drop(write);

    let mut bytes = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received =
        recvmsg(&peer, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC).expect("received");
    let passed: Vec<OwnedFd> = control
        .drain()
        .flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(rights) => rights.collect(),
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(passed.len(), 1);
    rustix::io::write(&passed[0], b"through").expect("written");
    drop(passed);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut { read }, &mut text).expect("read");
    assert_eq!(text, "through");

    let call: Call = wire::decode(&bytes[..received.bytes - 1]).expect("a call");
    assert_eq!((call.method.as_str(), call.more), ("io.agentos.Control.Wait", true));
}

#[test]
fn replies_stream_until_the_last() {
    let (mut client, mut peer) = pair();
    let page = wire::parameters(&ListReply { agents: vec![] }).expect("parameters");
    answer(&mut peer, &Reply { parameters: page.clone(), continues: true, error: None });
    answer(&mut peer, &Reply { parameters: page, continues: false, error: None });
    let mut pages = 0;
    client
        .each(&List { all: true }, |_| {
            pages += 1;
            Ok(())
        })
        .expect("listed");
    assert_eq!(pages, 2);
}

#[test]
fn a_slow_reader_does_not_stop_the_receiving() {
    let (client, mut peer) = pair();
    let page = wire::parameters(&ListReply { agents: vec![] }).expect("parameters");
    let count = 20_000;
    // More than a socket holds: without someone who takes them, this thread would not come to its end.
    let (sent, done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for number in 1..=count {
            answer(&mut peer, &Reply { parameters: page.clone(), continues: number < count, error: None });
            if number == 3_000 {
                sent.send(()).expect("told");
            }
        }
    });
    let mut seen = 0;
    client
        .stream(&List { all: true }, |_| {
            if seen == 0 {
                done.recv_timeout(Duration::from_secs(10)).expect("3000 replies were taken while the first is shown");
            }
            seen += 1;
            Ok(())
        })
        .expect("listed");
    assert_eq!(seen, count);
}

#[test]
fn a_refusal_keeps_its_sentence_and_its_exit_code() {
    let (mut client, mut peer) = pair();
    let error = ControlError::NameInUse { name: "a".into(), state: State::Running };
    answer(&mut peer, &error.to_reply());
    let failure = client.call(&wait()).expect_err("refused");
    assert_eq!(failure.exit_code(), 6);
    assert_eq!(failure.sentence(), error.to_string());
}

#[test]
fn an_error_of_another_interface_is_named() {
    let (mut client, mut peer) = pair();
    let mut parameters = Map::new();
    parameters.insert("method".into(), "Wait".into());
    let error = Some("org.varlink.service.MethodNotFound".to_owned());
    answer(&mut peer, &Reply { parameters, continues: false, error });
    let failure = client.call(&wait()).expect_err("refused");
    assert!(failure.sentence().contains("MethodNotFound {\"method\":\"Wait\"}"), "{}", failure.sentence());
    assert_eq!(failure.exit_code(), 1);
}

#[test]
fn a_lost_connection_says_what_was_waited_for() {
    let (mut client, mut peer) = pair();
    let reader = std::thread::spawn(move || {
        let mut byte = [0; 1];
        peer.read_exact(&mut byte).expect("read");
    });
    let failure = client.call(&wait()).expect_err("lost");
    reader.join().expect("joined");
    assert!(matches!(&failure, Failure::Lost { .. }), "{failure}");
    assert_eq!(failure.exit_code(), 69);
}

#[test]
fn an_endless_reply_is_cut_off() {
    let (mut client, mut peer) = pair();
    let writer = std::thread::spawn(move || {
        let chunk = [b'x'; 64 << 10];
        // Ends with an error as soon as the client has had enough.
        while peer.write_all(&chunk).is_ok() {}
    });
    let failure = client.call(&wait()).expect_err("too long");
    assert!(failure.sentence().contains("longer than"), "{}", failure.sentence());
    drop(client);
    writer.join().expect("joined");
}

#[test]
fn a_deadline_passes_without_a_reply() {
    let (mut client, _peer) = pair();
    let deadline = Some(Instant::now() + Duration::from_millis(20));
    assert!(client.receive_until::<Wait>(deadline).expect("no failure").is_none());
}

#[test]
fn a_descriptor_comes_in_beside_its_reply_and_nowhere_else() {
    let name = AgentName::parse("a").expect("a name");
    let request = OpenMemory { name: name.clone() };
    let memory = protocol::memory::Memory { name, owner: 0, running: false, used_us: None };
    let parameters = wire::parameters(&OpenMemoryReply { memory }).expect("parameters");
    let reply = wire::encode(&Reply { parameters, continues: true, error: None }).expect("encoded");
    let (read, write) = std::io::pipe().expect("a pipe");

    let (mut client, peer) = pair();
    transmit(peer.as_fd(), &reply, &[write.as_fd()]).expect("sent");
    let (_, descriptor) = client.call_for_descriptor(&request).expect("answered");
    drop(write);
    rustix::io::write(&descriptor, b"through").expect("written");
    assert!(rustix::io::fcntl_getfd(&descriptor).is_ok_and(|flags| flags.contains(rustix::io::FdFlags::CLOEXEC)));
    drop(descriptor);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut { read }, &mut text).expect("read");
    assert_eq!(text, "through");

    let (mut client, mut peer) = pair();
    peer.write_all(&reply).expect("sent");
    let failure = client.call_for_descriptor(&request).expect_err("without one");
    assert!(matches!(failure, Failure::Descriptor { .. }), "{failure}");
}
