//! Whether somebody wanted an agent to end, as the events tell: an operator's signal is one before it has an effect.

use crate::events::{EventLog, Owned};
use protocol::agent::{Exit, ExitReason};
use protocol::event::{Event, What};
use protocol::ids::{AgentId, AgentName, TimeUs};
use protocol::signal::Signal;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

/// INT, QUIT, KILL and TERM, by which people end programs. The others have uses besides.
const ENDING: [i32; 4] = [2, 3, 9, 15];

/// Whether a signal is an order to end.
pub(crate) fn ends(signal: Signal) -> bool {
    ENDING.contains(&signal.number())
}

/// How long after such a signal an agent's end by itself is still what was wanted, in microseconds.
const GRACE_US: u64 = 60_000_000;

/// The last such order for the agent of a name.
#[derive(Debug)]
pub(super) struct Orders {
    log: EventLog,
    live: Receiver<Owned>,
    seen: u64,
    last: Last,
}

impl Orders {
    /// Follows from now on.
    pub(super) fn follow(log: &EventLog, name: &AgentName) -> Self {
        Self { log: log.clone(), live: log.follow(), seen: 0, last: Last { name: name.clone(), order: None } }
    }

    /// Takes the next event in. Never ends by itself.
    pub(super) async fn next(&mut self) {
        match self.live.recv().await {
            Ok(Owned { event, .. }) => self.note(&event),
            Err(RecvError::Lagged(_)) => self.catch_up().await,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }

    /// Whether somebody wanted this end, of which all events have been added.
    pub(super) async fn wanted(&mut self, run: AgentId, exit: &Exit, now: TimeUs) -> bool {
        loop {
            match self.live.try_recv() {
                Ok(Owned { event, .. }) => self.note(&event),
                Err(TryRecvError::Lagged(_)) => self.catch_up().await,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return self.last.wanted(run, exit, now),
            }
        }
    }

    fn note(&mut self, event: &Event) {
        self.seen = event.seq;
        self.last.note(event);
    }

    /// More has happened than is held for us, or before we followed: it is in the files.
    pub(super) async fn catch_up(&mut self) {
        self.log.flushed().await;
        let Self { log, seen, last, .. } = self;
        let read = tokio::task::block_in_place(|| {
            let mut kept = log.kept(*seen)?;
            while let Some(events) = kept.step(|head| head.agent == last.name.as_str())? {
                events.iter().for_each(|event| last.note(event));
            }
            *seen = kept.seen();
            std::io::Result::Ok(())
        });
        if let Err(error) = read {
            crate::journal::error(format_args!("cannot read what happened to {}: {error}", last.name));
        }
    }
}

#[derive(Debug)]
struct Last {
    name: AgentName,
    order: Option<(AgentId, TimeUs)>,
}

impl Last {
    fn note(&mut self, event: &Event) {
        let (Some(run), Some(by), What::Signal { signal, .. }) = (event.id, event.by, &event.what) else { return };
        // Our own process asks, too, for those who are ill.
        let ours = i32::try_from(std::process::id()).is_ok_and(|own| own == by.pid);
        if event.agent == self.name && ends(*signal) && !ours {
            self.order = self.order.max(Some((run, event.time_us)));
        }
    }

    fn wanted(&self, run: AgentId, exit: &Exit, now: TimeUs) -> bool {
        self.order.is_some_and(|(of, when)| {
            of == run && (exit.reason == ExitReason::Killed || now.0.saturating_sub(when.0) <= GRACE_US)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::event::Caller;

    fn signal(run: u64, second: u64, signal: Signal, pid: i32) -> Event {
        let (agent, what) = (AgentName::parse("a").unwrap(), What::Signal { signal, outcome: "delivered".into() });
        let (id, by) = (Some(AgentId(run)), Some(Caller { uid: 0, pid }));
        Event { seq: 0, time_us: TimeUs(second * 1_000_000), agent, id, by, what }
    }

    fn exit(reason: ExitReason) -> Exit {
        Exit { code: Some(0), signal: None, reason, detail: String::new() }
    }

    fn wanted(events: &[Event], reason: ExitReason, second: u64) -> bool {
        let mut last = Last { name: AgentName::parse("a").unwrap(), order: None };
        events.iter().for_each(|event| last.note(event));
        last.wanted(AgentId(2), &exit(reason), TimeUs(second * 1_000_000))
    }

    #[test]
    fn an_end_after_an_order_to_end_is_what_was_wanted() {
        let (finished, killed) = (ExitReason::Finished, ExitReason::Killed);
        assert!(wanted(&[signal(2, 10, Signal::TERM, 7)], finished, 15));
        assert!(
            !wanted(&[signal(2, 10, Signal::TERM, 7)], finished, 71),
            "it went on, and ended for a reason of its own"
        );
        assert!(wanted(&[signal(2, 10, Signal::TERM, 7)], killed, 4000), "a long grace period");
        assert!(wanted(&[signal(2, 10, Signal::KILL, 7), signal(2, 10, Signal::HUP, 7)], killed, 10));
        assert!(!wanted(&[signal(2, 10, Signal::HUP, 7)], finished, 10), "HUP is for reading something again");
        assert!(!wanted(&[signal(1, 10, Signal::KILL, 7)], finished, 10), "another run");
        assert!(!wanted(&[], killed, 10), "its stage was lost");
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(!wanted(&[signal(2, 10, Signal::KILL, own)], killed, 10), "we did that");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_was_busy_reads_what_was_missed() {
        let directory = tempfile::tempdir().unwrap();
        let log = EventLog::open(&directory.path().join("events.jsonl")).unwrap();
        let mut orders = Orders::follow(&log, &AgentName::parse("a").unwrap());
        log.append(0, signal(2, 10, Signal::KILL, 7));
        (0..3000).for_each(|_| log.append(0, signal(3, 10, Signal::HUP, 7)));
        log.flushed().await;
        assert!(orders.wanted(AgentId(2), &exit(ExitReason::Killed), TimeUs(0)).await);
        assert!(!orders.wanted(AgentId(3), &exit(ExitReason::Killed), TimeUs(0)).await);
    }
}
