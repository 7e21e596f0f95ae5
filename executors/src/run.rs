//! The two steps, from the first order to the last report.

use crate::orders;
use crate::refusal::{Outcome, Refusal};
use crate::task::{Ready, prepare};
use protocol::action::RefusalReason;
use protocol::executor::{Bounds, NOT_STARTED, Order, Report};
use rustix::stdio::{stdin, stdout};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// Carries out what is ordered on standard input.
///
/// 0 when every order was answered, 1 when one could not be understood or answered, [`NOT_STARTED`] when the program of
/// a `Task::Exec` could not be started.
#[must_use]
pub fn run() -> ExitCode {
    let ready = match orders::first(stdin()) {
        Ok(None) => return ExitCode::SUCCESS,
        Ok(Some(Order::Prepare { task, preview })) => guarded(|| prepare(task, preview)),
        Ok(Some(Order::Perform { .. })) => return misunderstood(out_of_turn()),
        Err(refusal) => return misunderstood(refusal),
    };
    let ready = match ready {
        Ok((prepared, ready)) => answered(&Report::Prepared(prepared)).then_some(ready),
        Err(refusal) => return exit(answered(&refusal.into())),
    };
    let Some(ready) = ready else { return ExitCode::FAILURE };
    match orders::next(stdin()) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(Order::Perform { bounds })) => perform(ready, &bounds),
        Ok(Some(Order::Prepare { .. })) => misunderstood(out_of_turn()),
        Err(refusal) => misunderstood(refusal),
    }
}

fn perform(ready: Ready, bounds: &Bounds) -> ExitCode {
    let refused = if matches!(ready, Ready::Exec(_)) { ExitCode::from(NOT_STARTED) } else { ExitCode::SUCCESS };
    let (report, code) = match guarded(|| ready.perform(bounds)) {
        Ok(data) => (Report::Done { data }, ExitCode::SUCCESS),
        Err(refusal) => (refusal.into(), refused),
    };
    if answered(&report) { code } else { ExitCode::FAILURE }
}

/// A defect of ours or of a library's is an answer too; what it was stands on standard error.
fn guarded<T>(step: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|_| {
        Err(Refusal::new(RefusalReason::Internal, "the executor failed; its standard error says where"))
    })
}

fn out_of_turn() -> Refusal {
    Refusal::new(RefusalReason::Internal, "wrong order to the executor: it is not its turn")
}

fn misunderstood(refusal: Refusal) -> ExitCode {
    answered(&refusal.into());
    ExitCode::FAILURE
}

/// Whether somebody took the report.
fn answered(report: &Report) -> bool {
    orders::report(stdout(), report).is_ok()
}

fn exit(answered: bool) -> ExitCode {
    if answered { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
