//! The three calls that put a process in the foreground, seen alike.

use super::target::Target;
use protocol::agent::Exit;
use protocol::control::{Attach, AttachReply, Exec, ExecReply, Method, Run, RunReply};

/// What a reply says of the process.
pub(crate) struct Progress {
    /// Which it is.
    pub(crate) target: Target,
    /// It has a terminal, when only the reply can tell.
    pub(crate) terminal: Option<bool>,
    /// How it ended.
    pub(crate) exit: Option<Exit>,
}

/// A call that is answered once when the process runs and once when it has ended.
pub(crate) trait Start: Method {
    /// What the program is called in messages.
    fn program(&self) -> &str;
    /// Whether what runs is hung up when we leave without a word.
    fn is_hung_up(&self) -> bool {
        true
    }
    /// Reads a reply.
    fn progress(&self, reply: Self::Reply) -> Progress;
}

impl Start for Run {
    fn program(&self) -> &str {
        self.command.first().map_or("", String::as_str)
    }

    fn progress(&self, reply: RunReply) -> Progress {
        Progress { target: Target { name: reply.name, exec: None }, terminal: None, exit: reply.exit }
    }
}

impl Start for Exec {
    fn program(&self) -> &str {
        self.command.first().map_or("", String::as_str)
    }

    fn progress(&self, reply: ExecReply) -> Progress {
        let target = Target { name: self.name.clone(), exec: Some(reply.exec) };
        Progress { target, terminal: None, exit: reply.exit }
    }
}

impl Start for Attach {
    fn program(&self) -> &str {
        self.name.as_str()
    }

    fn is_hung_up(&self) -> bool {
        false
    }

    fn progress(&self, reply: AttachReply) -> Progress {
        let target = Target { name: self.name.clone(), exec: None };
        Progress { target, terminal: Some(reply.terminal), exit: reply.exit }
    }
}
