//! The task that owns the listener and the ledger.

use super::event::{Assembly, Event};
use super::ledger::Ledger;
use super::netlink::{Control, LONGEST, Listener};
use super::record::parse;
use super::{PATIENCE, Progress, Registration};
use protocol::denial::Completeness;
use rustix::io::Errno;
use std::io;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};

/// Messages read before orders are looked at again.
const BATCH: usize = 64;
/// More records than this in so short a time are a flood. Then it is waited for more of them, since to be woken for each
/// costs the host more than to read it; the socket has room for many times as many.
const MANY: usize = 32;
const SHORT: Duration = Duration::from_millis(10);
const BREATH: Duration = Duration::from_millis(2);
/// Without anything to wait for, the task still looks up so often.
const IDLE: Duration = Duration::from_secs(3600);

/// What the reader is told.
#[derive(Debug)]
pub(super) enum Order {
    Register(Registration, oneshot::Sender<()>),
    Progress(u32, oneshot::Sender<Option<Progress>>),
    /// Answer when the sequence point was read and the agent's domain is gone, or when the time is up.
    Finish {
        uid: u32,
        point: u64,
        answer: oneshot::Sender<Completeness>,
    },
    Stop(oneshot::Sender<()>),
}

/// An agent that is dead.
struct Finishing {
    uid: u32,
    point: u64,
    caught_up: bool,
    deadline: Instant,
    answer: oneshot::Sender<Completeness>,
}

/// The task.
pub(super) struct Reader {
    socket: AsyncFd<Listener>,
    orders: mpsc::Receiver<Order>,
    buffer: Vec<u8>,
    state: State,
}

/// What was heard so far, and who waits.
struct State {
    control: Control,
    kernel_lost: u32,
    assembly: Assembly,
    ledger: Ledger,
    finishing: Vec<Finishing>,
}

impl Reader {
    pub(super) fn new(listener: Listener, control: Control, orders: mpsc::Receiver<Order>) -> io::Result<Self> {
        let kernel_lost = control.lost();
        let (assembly, ledger, finishing) = (Assembly::default(), Ledger::default(), Vec::new());
        let state = State { control, kernel_lost, assembly, ledger, finishing };
        #[expect(
            deprecated,
            reason = "what the note asks for holds: the listener owns one descriptor as long as it lives; the replacement is unsafe, which this crate forbids"
        )]
        let socket = AsyncFd::new(listener)?;
        Ok(Self { socket, orders, buffer: vec![0; LONGEST], state })
    }

    /// Runs until it is told to stop, every [`super::Log`] is gone, or the socket fails.
    pub(super) async fn run(mut self) {
        let mut pace = Pace { since: Instant::now(), records: 0 };
        loop {
            let wake = self.state.wake();
            tokio::select! {
                biased;
                order = self.orders.recv() => match order {
                    None => return,
                    Some(Order::Stop(done)) => {
                        // Closed before the answer, so that whoever waits finds nothing of ours open.
                        drop(self);
                        return done.send(()).unwrap_or_default();
                    }
                    Some(order) => self.state.obey(order),
                },
                ready = self.socket.readable() => {
                    let Ok(mut ready) = ready else { return };
                    match self.state.drain(ready.get_inner(), &mut self.buffer) {
                        // An order is not kept waiting by a flood.
                        Ok(Drained { more: true, .. }) => tokio::task::yield_now().await,
                        Ok(Drained { more: false, records }) => {
                            ready.clear_ready();
                            // Whoever waits for the end of a list does not wait longer for it.
                            if pace.is_flood(records, Instant::now()) && self.state.finishing.is_empty() {
                                tokio::time::sleep(BREATH).await;
                            }
                        }
                        Err(_) => return,
                    }
                }
                () = tokio::time::sleep_until(wake.into()) => {}
            }
            self.state.settle(Instant::now());
        }
    }
}

/// How fast records come.
struct Pace {
    since: Instant,
    records: usize,
}

impl Pace {
    /// Counts some more.
    fn is_flood(&mut self, records: usize, now: Instant) -> bool {
        if now.duration_since(self.since) > SHORT {
            *self = Self { since: now, records: 0 };
        }
        self.records += records;
        self.records > MANY
    }
}

/// What a batch was.
struct Drained {
    /// There may be more.
    more: bool,
    records: usize,
}

impl State {
    /// When something is due that no message announces.
    fn wake(&self) -> Instant {
        let deadlines = self.finishing.iter().map(|finishing| finishing.deadline);
        deadlines.chain(self.assembly.next_expiry()).min().unwrap_or_else(|| Instant::now() + IDLE)
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Register(registration, done) => {
                self.ledger.register(registration);
                done.send(()).unwrap_or_default();
            }
            // Whoever no longer waits for an answer misses nothing.
            Order::Progress(uid, answer) => drop(answer.send(self.ledger.progress(uid))),
            Order::Finish { uid, point, answer } => {
                let deadline = Instant::now() + PATIENCE;
                self.finishing.push(Finishing { uid, point, caught_up: false, deadline, answer });
            }
            Order::Stop(_) => {}
        }
    }

    /// Reads a batch.
    fn drain(&mut self, listener: &Listener, buffer: &mut [u8]) -> io::Result<Drained> {
        let now = Instant::now();
        let mut records = 0;
        for _ in 0..BATCH {
            match listener.next(buffer) {
                Ok(Some((kind, payload))) => {
                    records += 1;
                    self.hear(kind, payload, now);
                }
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Drained { more: false, records }),
                Err(error) if error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => self.ledger.lost(),
                Err(error) if error.raw_os_error() == Some(Errno::INTR.raw_os_error()) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Drained { more: true, records })
    }

    fn hear(&mut self, kind: u16, payload: &[u8], now: Instant) {
        let Some(record) = parse(kind, payload) else { return };
        let (assembly, ledger) = (&mut self.assembly, &mut self.ledger);
        let mut reached = None;
        assembly.take(record, now, &mut |event| match event {
            Event::SequencePoint(point) => reached = Some(point),
            event => ledger.take(event),
        });
        if let Some(point) = reached {
            self.reach(point);
        }
    }

    /// Everything from before the sequence point has been read.
    fn reach(&mut self, point: u64) {
        let lost = self.control.lost();
        if lost != self.kernel_lost {
            self.kernel_lost = lost;
            self.ledger.lost();
        }
        let Some(finishing) = self.finishing.iter_mut().find(|finishing| finishing.point == point) else { return };
        finishing.caught_up = true;
        // A dead agent's calls have ended, so that what still waits for its end waits in vain.
        if let Some(domain) = self.ledger.domain(finishing.uid) {
            let ledger = &mut self.ledger;
            self.assembly.close_domain(domain, &mut |event| ledger.take(event));
        }
    }

    /// Closes what waited too long, and answers for the agents that are done.
    fn settle(&mut self, now: Instant) {
        let ledger = &mut self.ledger;
        self.assembly.expire(now, &mut |event| ledger.take(event));
        let done = |f: &mut Finishing| f.deadline <= now || f.caught_up && ledger.settled(f.uid);
        let answers: Vec<Finishing> = self.finishing.extract_if(.., done).collect();
        for Finishing { uid, caught_up, answer, .. } in answers {
            let completeness = ledger.completeness(uid, caught_up);
            ledger.forget(uid);
            let unknown = || Completeness::NotListed { why: "the agent was not registered with the log".to_owned() };
            drop(answer.send(completeness.unwrap_or_else(unknown)));
        }
    }
}
