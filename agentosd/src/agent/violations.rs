//! What happens when an agent touches a tripwire or spends a budget: its main process is told, the policy's answer is
//! carried out, and both are recorded.

use super::ending::Cause;
use super::task::Task;
use crate::journal;
use crate::plan::Watching;
use crate::stage::pid_of;
use crate::violation::{Answers, Budget, Budgets, Raised, Touched};
use protocol::agent::{Limits, State};
use protocol::audit::StoppedBy;
use protocol::event::{Answered, Violation, What};
use protocol::signal::{KernelSignal, Signal};
use sandbox::message::Order;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Events that violations of one agent make; more are counted, and the count is told at its end.
const MOST_TOLD: u32 = 64;
/// How long the end of an agent that a system call has killed waits for the kernel to say which call it was.
const SAYS_WHICH: Duration = Duration::from_millis(50);
/// SIGSYS: what the filter kills with.
const SIGSYS: i32 = 31;

/// Those of the host. Asked once: the standard library reads files of control groups for it.
static PROCESSORS: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));

/// What is watched of an agent, and how it is answered.
#[derive(Debug)]
pub(super) struct Watch {
    alarm: Option<mpsc::Receiver<Touched>>,
    answers: Answers,
    budgets: Budgets,
    told: u32,
    untold: u64,
    /// It is being stopped for this; should that not succeed, it is killed.
    stopping: Option<(KernelSignal, String)>,
}

impl Watch {
    pub(super) fn new(
        alarm: Option<mpsc::Receiver<Touched>>,
        watching: &Watching,
        (limits, began): (&Limits, Instant),
    ) -> Self {
        let processors = *PROCESSORS;
        let cores_milli = u64::try_from(processors).unwrap_or(1).saturating_mul(1000);
        let budgets = Budgets::new(limits, (watching.wall, cores_milli), began);
        Self { alarm, answers: watching.answers, budgets, told: 0, untold: 0, stopping: None }
    }

    /// When a budget is to be looked at.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.budgets.next()
    }

    /// What has come and nobody has looked at.
    fn pending(&mut self) -> Option<Touched> {
        self.alarm.as_mut()?.try_recv().ok()
    }

    /// Whether one more event is told; otherwise it is counted.
    fn tells(&mut self) -> bool {
        let tells = self.told < MOST_TOLD;
        (self.told, self.untold) = (self.told + u32::from(tells), self.untold + u64::from(!tells));
        tells
    }
}

/// Waits for the next. Safe to cancel.
pub(super) async fn touched(watch: Option<&mut Watch>) -> Touched {
    let Some(alarm) = watch.and_then(|watch| watch.alarm.as_mut()) else { return std::future::pending().await };
    match alarm.recv().await {
        Some(touched) => touched,
        // The log has ended; nothing will come.
        None => std::future::pending().await,
    }
}

impl Task {
    /// A tripwire was touched.
    pub(super) async fn touched(&mut self, touched: Touched) {
        let Some(answer) = self.live().map(|live| live.watch.answers.tripwire) else { return };
        self.raise(touched.into(), answer).await;
    }

    /// Looks after the budgets that are due.
    pub(super) async fn look_after_budgets(&mut self, now: Instant) {
        let Some(live) = self.live() else { return };
        let looks = live.watch.budgets.looks(now);
        let used = looks.then(|| tokio::task::block_in_place(|| live.stage.cgroup.usage()));
        let used_us = match used {
            Some(Ok(usage)) => Some(usage.cpu_us),
            // A limit that cannot be held is taken for reached.
            Some(Err(error)) => {
                journal::error(format_args!("cannot read an agent's processor time: {}", journal::sentence(&error)));
                Some(u64::MAX)
            }
            None => None,
        };
        for budget in live.watch.budgets.spent(used_us, now) {
            self.spent(budget).await;
        }
    }

    /// The stage reads no more of the agent's output.
    pub(super) async fn output_spent(&mut self) {
        if let Some(live) = self.live() {
            live.watch.budgets.output_spent();
            self.spent(Budget::Output).await;
        }
    }

    async fn spent(&mut self, budget: Budget) {
        let Some(live) = self.live() else { return };
        let answer = live.watch.answers.budget;
        match budget {
            // Ends that have reasons of their own.
            Budget::Wall if answer == Answered::Kill => {
                live.cause.get_or_insert(Cause::Wall);
            }
            Budget::Output if answer == Answered::Kill => {
                live.cause.get_or_insert(Cause::Output);
            }
            Budget::Wall | Budget::Output | Budget::CpuTime => {}
        }
        let stopped_by = if budget == Budget::CpuTime { StoppedBy::Cgroup } else { StoppedBy::Policy };
        self.raise(Raised::of_limit(budget.spent().to_owned(), budget.rule(), stopped_by), answer).await;
    }

    /// Tells the main process, answers, and records.
    pub(super) async fn raise(&mut self, raised: Raised, answer: Answered) {
        let Some(live) = self.live() else { return };
        let tells = live.watch.tells();
        if tells {
            notify(&live.main, raised.signal.signal());
        }
        let outcome = match answer {
            Answered::Kill => self.kill_for(&raised).await,
            Answered::Stop => self.stop_for(&raised),
            Answered::Deny => "refused".to_owned(),
            Answered::Record => "refused by the kernel, and recorded".to_owned(),
        };
        if tells {
            self.record_violation(raised, answer, outcome);
        }
    }

    /// The first kills; what comes after it finds the agent dying.
    async fn kill_for(&mut self, raised: &Raised) -> String {
        let Some(live) = self.live() else { return "no effect: it has ended".to_owned() };
        let dying = matches!(live.cause, Some(Cause::Violation(..) | Cause::Killed));
        let cause = Cause::Violation(raised.signal, raised.sentence());
        self.end_because(cause).await;
        if dying { "no effect: it is being killed already".to_owned() } else { "killed".to_owned() }
    }

    fn stop_for(&mut self, raised: &Raised) -> String {
        let was = self.state();
        let why = format!("{}: {}; look, then continue it: agentctl cont", raised.signal, raised.sentence());
        if let Some(live) = self.live() {
            live.watch.stopping = Some((raised.signal, raised.sentence()));
        }
        self.stop_for_review(&why);
        match was {
            State::Stopped => "no effect: it is stopped already".to_owned(),
            _ => "stopped for review".to_owned(),
        }
    }

    /// A stop that was an answer did not succeed: the answer is then the stricter one.
    pub(super) async fn kill_unstoppable(&mut self) {
        if let Some((signal, what)) = self.live().and_then(|live| live.watch.stopping.take()) {
            self.end_because(Cause::Violation(signal, format!("{what}; it could not be stopped"))).await;
        }
    }

    /// Somebody has looked and continued it: what is spent is given once more.
    pub(super) fn renew_budgets(&mut self) {
        let Some(live) = self.live() else { return };
        live.watch.stopping = None;
        if live.watch.budgets.renew(Instant::now())
            && let Err(error) = live.stage.link.order(&Order::RenewOutput, Vec::new())
        {
            journal::error(format_args!("the output of {} is not continued: {error}", self.record.agent.name));
        }
    }

    /// Which forbidden call has killed the main process, when one has; asked before the end is judged.
    pub(super) async fn killed_by_filter(&mut self, status: Option<i32>) {
        let Some(live) = self.live() else { return };
        if status.is_none_or(|status| status & 0x7f != SIGSYS) {
            return;
        }
        let waited = tokio::time::timeout(SAYS_WHICH, touched(Some(&mut live.watch))).await;
        let Ok(touched) = waited else { return };
        let (answer, raised) = (live.watch.answers.tripwire, Raised::from(touched));
        if answer == Answered::Kill {
            live.cause.get_or_insert(Cause::Violation(raised.signal, raised.sentence()));
        }
        if live.watch.tells() {
            self.record_violation(raised, answer, "the system call killed its main process".to_owned());
        }
    }

    /// What came too late for an answer, and how many were not told.
    pub(super) fn late_violations(&mut self) {
        let Some(mut watch) = self.late.take() else { return };
        while let Some(touched) = watch.pending() {
            if watch.tells() {
                self.record_violation(touched.into(), watch.answers.tripwire, "no effect: it has ended".to_owned());
            }
        }
        if watch.untold > 0 {
            let what = format!("at least {} more forbidden acts, which are not told one by one", watch.untold);
            let raised = Raised::more(what);
            self.record_violation(raised, watch.answers.tripwire, "no effect: it has ended".to_owned());
        }
    }

    /// The kernel has ended processes at the memory limit, which needs no answer of ours.
    pub(super) fn out_of_memory(&self, kills: u64) {
        let (what, outcome) = match kills {
            0 => return,
            1 => ("its memory is used up".to_owned(), "the kernel killed one process of it".to_owned()),
            many => ("its memory is used up".to_owned(), format!("the kernel killed {many} processes of it")),
        };
        let raised = Raised::of_limit(what, "process.limits.memory", StoppedBy::Cgroup);
        self.record_violation(raised, Answered::Kill, outcome);
    }

    fn record_violation(&self, raised: Raised, answer: Answered, outcome: String) {
        let Raised { signal, what, rule, stopped_by, pid, exe } = raised;
        let violation = Violation { signal, what, rule, answer, outcome, stopped_by, pid, exe };
        self.event(None, What::Violation(violation));
    }
}

/// Tells a process, if it has a handler for the signal: whoever has none would be ended by it, which is not the answer.
fn notify(process: &OwnedFd, signal: Signal) {
    let catches = pid_of(process).is_ok_and(|pid| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        caught(&status, signal)
    });
    if catches && let Err(error) = sandbox::send_signal(process.as_fd(), signal.number()) {
        // It may have ended meanwhile, and then needs no notice.
        journal::provoked(format_args!("an agent's main process could not be told of {signal}: {error}"));
    }
}

/// The line `SigCgt` of `proc_pid_status(5)`: a mask in which bit 0 is signal 1.
fn caught(status: &str, signal: Signal) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    u32::try_from(signal.number() - 1).is_ok_and(|bit| mask >> bit & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_has_a_handler_is_told() {
        let signal = KernelSignal::Policy.signal();
        assert_eq!(signal.number(), 35);
        assert!(caught("Name:\tx\nSigCgt:\t0000000400000000\n", signal));
        assert!(!caught("SigCgt:\t0000000200004a07\n", signal));
        assert!(!caught("SigIgn:\tffffffffffffffff\n", signal) && !caught("", signal));
    }
}
