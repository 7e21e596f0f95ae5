//! Any bytes as a connection's, up to the plan of an agent that they ask for; called by `crate::fuzzing`.

use super::{Parameters, parse, service};
use crate::caller::Caller;
use crate::plan::{self, Identities, Own};
use policies::{Effective, Shipped, resolve_profile};
use protocol::action::Execute;
use protocol::control::{Approvals, AuditLog, AuditStatus, DecideApproval, Perform};
use protocol::control::{
    Attach, Denials, Detach, Doctor, Events, Exec, FinishRestore, Inspect, Kill, List, ListMemories, Logs, Method,
    OpenMemory, Remove, RemoveMemory, Resize, RestoreMemory, Run, Wait,
};
use protocol::ids::AgentName;
use protocol::kernel::{self, Check};
use protocol::wire::{self, Call, Decoder, FrameError, Reply};
use std::path::Path;
use std::sync::LazyLock;

static POLICY: LazyLock<Effective> = LazyLock::new(|| {
    let name = "coding-agent".parse().expect("a name");
    resolve_profile(&name, &Shipped).expect("a shipped profile")
});

/// However a stream is cut, the same messages come out of it; each is refused, or is a request that reads back as the
/// same.
pub(crate) fn fuzzed(bytes: &[u8]) {
    let Some((&cut, stream)) = bytes.split_first() else { return };
    let mut decoder = Decoder::default();
    let mut messages = Vec::new();
    for piece in stream.chunks(usize::from(cut) + 1) {
        if decoder.push(piece).is_err() {
            return;
        }
        messages.extend(std::iter::from_fn(|| decoder.next_message()));
    }
    let mut expected: Vec<&[u8]> = stream.split(|byte| *byte == 0).collect();
    let unfinished = expected.pop().unwrap_or_default();
    assert_eq!(messages, expected);
    assert_eq!(decoder.pending(), unfinished.len());
    messages.iter().for_each(|message| answer(message));
}

fn answer(message: &[u8]) {
    let Ok(call) = wire::decode::<Call>(message) else { return };
    let parameters = Parameters::new(call.parameters, message.len());
    let of_agents = call.method.starts_with(kernel::NAME);
    let interface = if of_agents { kernel::SELF } else { protocol::control::SELF };
    if let Some(reply) = service::answer(&call.method, &parameters, &interface) {
        return sendable(&reply);
    }
    match call.method.rsplit('.').next().unwrap_or_default() {
        Run::NAME => drop(request::<Run>(parameters).as_ref().map(launch)),
        Exec::NAME => drop(request::<Exec>(parameters)),
        Attach::NAME => drop(request::<Attach>(parameters)),
        Detach::NAME => drop(request::<Detach>(parameters)),
        Resize::NAME => drop(request::<Resize>(parameters)),
        Kill::NAME => drop(request::<Kill>(parameters)),
        Wait::NAME => drop(request::<Wait>(parameters)),
        List::NAME => drop(request::<List>(parameters)),
        Inspect::NAME => drop(request::<Inspect>(parameters)),
        Logs::NAME => drop(request::<Logs>(parameters)),
        Events::NAME => drop(request::<Events>(parameters)),
        Denials::NAME => drop(request::<Denials>(parameters)),
        Remove::NAME => drop(request::<Remove>(parameters)),
        Doctor::NAME => drop(request::<Doctor>(parameters)),
        ListMemories::NAME => drop(request::<ListMemories>(parameters)),
        OpenMemory::NAME => drop(request::<OpenMemory>(parameters)),
        RestoreMemory::NAME => drop(request::<RestoreMemory>(parameters)),
        FinishRestore::NAME => drop(request::<FinishRestore>(parameters)),
        RemoveMemory::NAME => drop(request::<RemoveMemory>(parameters)),
        Perform::NAME => drop(request::<Perform>(parameters)),
        AuditLog::NAME => drop(request::<AuditLog>(parameters)),
        AuditStatus::NAME => drop(request::<AuditStatus>(parameters)),
        Approvals::NAME => drop(request::<Approvals>(parameters)),
        DecideApproval::NAME => drop(request::<DecideApproval>(parameters)),
        Execute::NAME => drop(request::<Execute>(parameters)),
        Check::NAME => drop(request::<Check>(parameters)),
        other => panic!("the method {other} is let through and not tried here"),
    }
}

fn request<M: Method>(parameters: Parameters) -> Option<M> {
    match parse::<M>(parameters) {
        Ok(request) => {
            let sent = wire::parameters(&request).expect("a request is an object");
            let again =
                parse::<M>(Parameters::new(sent.clone(), 0)).unwrap_or_else(|error| panic!("{error}: {sent:?}"));
            assert_eq!(wire::parameters(&again).ok(), Some(sent));
            Some(request)
        }
        Err(error) => {
            sendable(&error.to_reply());
            None
        }
    }
}

/// A reply can be written; one that repeats what a peer has sent may be too long, which the connection sees to.
fn sendable(reply: &Reply) {
    assert!(matches!(wire::encode(reply), Ok(_) | Err(FrameError::TooLong)));
}

/// A request is refused, or its plan gives nothing of the host's own away as a workspace.
fn launch(run: &Run) {
    let caller = Caller { uid: 1000, gid: 1000, groups: vec![27], pid: 7 };
    let own = Own { state: "/var/lib/agentos".into(), run: "/run/agentos".into(), lacking: Vec::new() };
    let who = Identities { agent: 1_900_000_001, init: 1_900_000_000 };
    let Ok(name) = AgentName::parse("coder") else { return };
    match plan::launch(run, &name, &POLICY, (&caller, who, &own)) {
        Ok(launch) => {
            let process = &launch.plan.process;
            assert!(
                !process.argv.is_empty() && !process.argv.iter().chain(&process.env).any(|text| text.contains('\0'))
            );
            for kept in
                ["/etc", "/usr", "/proc", "/dev", "/sys"].map(Path::new).into_iter().chain([&*own.state, &own.run])
            {
                assert!(
                    !process.cwd.starts_with(kept)
                        && (process.cwd == Path::new("/") || !kept.starts_with(&process.cwd))
                );
            }
        }
        Err(error) => sendable(&error.to_reply()),
    }
}
