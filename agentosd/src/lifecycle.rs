//! Which request is legal in which state, with the reason. Pure.

use protocol::agent::State;
use protocol::error::ControlError;
use protocol::ids::AgentName;

/// What is asked of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// SIGKILL for every process.
    Kill,
    /// SIGSTOP for every process.
    Stop,
    /// SIGCONT for every process.
    Cont,
    /// Another signal for the main process.
    Deliver,
    /// A further process.
    Exec,
    /// Connect a client to the standard streams.
    Attach,
    /// Set the terminal's size.
    Resize,
    /// Remove the records of an ended agent.
    Remove,
    /// Remove the records, after a kill if needed.
    RemoveByForce,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Do it.
    Allowed,
    /// Nothing to do, which is recorded and no error.
    NoEffect(&'static str),
    /// Not in this state; why, and what to do.
    Refused(&'static str),
}

impl Request {
    /// The word for messages.
    fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Cont => "cont",
            Self::Deliver => "signal",
            Self::Exec => "exec",
            Self::Attach => "attach",
            Self::Resize => "resize",
            Self::Remove | Self::RemoveByForce => "rm",
        }
    }

    /// A refusal as it travels.
    pub(crate) fn refused(self, name: &AgentName, state: State, why: &str) -> ControlError {
        ControlError::WrongState { name: name.to_string(), request: self.word().to_owned(), state, why: why.to_owned() }
    }
}

/// Decides.
pub(crate) fn decide(state: State, request: Request) -> Verdict {
    use Request::{Attach, Cont, Deliver, Exec, Kill, Remove, RemoveByForce, Resize, Stop};
    use State::{Exited, Running, Starting, Stopped};
    use Verdict::{Allowed, NoEffect, Refused};
    match (state, request) {
        (Exited, Kill) => NoEffect("already ended"),
        (Exited, Stop | Cont | Deliver) => Refused("nothing of it is left to take a signal"),
        (Exited, Exec) => Refused("start a new one: agentctl run"),
        (Exited, Attach) => Refused("read what it wrote: agentctl logs"),
        (Exited, Resize) => Refused("its terminal is gone"),
        (Exited, Remove | RemoveByForce) => Allowed,

        (Starting, Kill | RemoveByForce) => Allowed,
        (Starting, Stop | Cont | Deliver | Exec | Attach | Resize) => Refused("try again when it runs"),

        (Stopped, Stop) => NoEffect("already stopped"),
        (Running, Cont) => NoEffect("already running"),
        (Stopped, Exec) => Refused("continue it first: agentctl cont"),
        (Starting | Running | Stopped, Remove) => {
            Refused("kill it first (agentctl kill), or have rm kill it (agentctl rm -f)")
        }
        (Running, Kill | Stop | Deliver | Exec | Attach | Resize | RemoveByForce)
        | (Stopped, Kill | Cont | Deliver | Attach | Resize | RemoveByForce) => Allowed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use State::{Exited, Running, Starting, Stopped};

    const STATES: [State; 4] = [Starting, Running, Stopped, Exited];

    /// A letter a state: `y` allowed, `-` no effect, `n` refused.
    fn row(request: Request) -> String {
        let letter = |state| match decide(state, request) {
            Verdict::Allowed => 'y',
            Verdict::NoEffect(_) => '-',
            Verdict::Refused(_) => 'n',
        };
        STATES.into_iter().map(letter).collect()
    }

    #[test]
    fn every_state_answers_every_request() {
        //                    starting, running, stopped, exited
        for (request, expected) in [
            (Request::Kill, "yyy-"),
            (Request::Stop, "ny-n"),
            (Request::Cont, "n-yn"),
            (Request::Deliver, "nyyn"),
            (Request::Exec, "nynn"),
            (Request::Attach, "nyyn"),
            (Request::Resize, "nyyn"),
            (Request::Remove, "nnny"),
            (Request::RemoveByForce, "yyyy"),
        ] {
            assert_eq!(row(request), expected, "{request:?}");
        }
    }

    #[test]
    fn a_refusal_names_agent_state_and_remedy() {
        let Verdict::Refused(why) = decide(Stopped, Request::Exec) else { panic!() };
        let error = Request::Exec.refused(&AgentName::parse("a").unwrap(), Stopped, why);
        assert_eq!(error.to_string(), "exec a: the agent is stopped; continue it first: agentctl cont");
    }
}
