//! Whether an agent works, as a command in it says. The command is a further process of the agent, in its confinement.

use super::file::Health;
use crate::agent::{Further, Handle, Request, SignalOrder};
use crate::caller::Caller;
use protocol::agent::{ExecId, State};
use protocol::control::{Exec, Stdio};
use protocol::error::ControlError;
use protocol::signal::Signal;
use std::convert::Infallible;
use std::future::pending;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It works.
    Healthy,
    /// It does not; what the last check said.
    Unhealthy(String),
}

/// What came of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Good,
    Failed(String),
    /// It says nothing about the agent: it is stopped, or just ending, or nothing can be recorded.
    Nothing,
}

/// Checks again and again, and tells what changed.
pub(super) async fn watch(
    handle: &Handle,
    health: Option<&Health>,
    (caller, news): (&Caller, mpsc::Sender<News>),
) -> Infallible {
    let Some(health) = health else { return pending().await };
    let counts_from = Instant::now() + health.start_period;
    let mut count = Count::default();
    loop {
        let outcome = check(handle, health, caller).await;
        if let Some(change) = count.note(outcome, health.retries, Instant::now() >= counts_from)
            && news.send(change).await.is_err()
        {
            return pending().await;
        }
        sleep(health.interval).await;
    }
}

/// What is known so far.
#[derive(Debug, Default)]
struct Count {
    failures: u32,
    healthy: Option<bool>,
}

impl Count {
    fn note(&mut self, outcome: Outcome, retries: u32, counts: bool) -> Option<News> {
        match outcome {
            Outcome::Nothing => None,
            Outcome::Good => {
                self.failures = 0;
                (self.healthy.replace(true) != Some(true)).then_some(News::Healthy)
            }
            // Until it has worked once it may still be starting.
            Outcome::Failed(_) if self.healthy.is_none() && !counts => None,
            Outcome::Failed(why) => {
                self.failures = self.failures.saturating_add(1);
                let ill = self.failures >= retries && self.healthy.replace(false) != Some(false);
                ill.then(|| News::Unhealthy(format!("{why}, {} times in a row", self.failures)))
            }
        }
    }
}

async fn check(handle: &Handle, health: &Health, caller: &Caller) -> Outcome {
    let outcome = answer(handle, health, caller).await;
    // One that was stopped meanwhile cannot have answered.
    if handle.look(|agent| agent.state) == State::Running { outcome } else { Outcome::Nothing }
}

async fn answer(handle: &Handle, health: &Health, caller: &Caller) -> Outcome {
    let seconds = health.timeout.as_secs();
    let deadline = Instant::now() + health.timeout;
    let exec =
        Exec { name: handle.name().clone(), command: health.command.clone(), env: Vec::new(), stdio: Stdio::default() };
    let (asked, by) = (handle.clone(), caller.clone());
    let order = |answer| Request::Exec { exec, fds: Vec::new(), caller: by, answer };
    // A task of its own: one that starts too late is ended then.
    let mut starting = tokio::spawn(async move { asked.ask(order).await });
    let Further { exec, ended } = match timeout_at(deadline, &mut starting).await {
        Ok(Ok(Ok(further))) => further,
        Ok(Ok(Err(
            ControlError::WrongState { .. } | ControlError::NoSuchAgent { .. } | ControlError::NoAudit { .. },
        ))) => {
            return Outcome::Nothing;
        }
        Ok(Ok(Err(error))) => return Outcome::Failed(error.to_string()),
        Ok(Err(error)) => return Outcome::Failed(error.to_string()),
        Err(_) => {
            let (handle, caller) = (handle.clone(), caller.clone());
            tokio::spawn(async move {
                if let Ok(Ok(late)) = starting.await {
                    end(&handle, late.exec, caller).await;
                }
            });
            return Outcome::Failed(format!("the health command was not started within {seconds}s"));
        }
    };
    match timeout_at(deadline, ended).await {
        Ok(Ok(exit)) if exit.code == Some(0) => Outcome::Good,
        Ok(Ok(exit)) => Outcome::Failed(format!("the health command ended {}", super::restart::how(&exit))),
        Ok(Err(_)) => Outcome::Nothing,
        Err(_) => {
            end(handle, exec, caller.clone()).await;
            Outcome::Failed(format!("the health command did not end within {seconds}s"))
        }
    }
}

/// Ends a health command. It may have ended by itself.
async fn end(handle: &Handle, exec: ExecId, caller: Caller) {
    let order = SignalOrder { signal: Signal::KILL, exec: Some(exec), grace_ms: None, caller };
    drop(handle.ask(|answer| Request::Signal { order, answer }).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> Outcome {
        Outcome::Failed("it ended with code 1".into())
    }

    #[test]
    fn only_failures_in_a_row_make_it_ill_and_one_success_makes_it_well() {
        let mut count = Count::default();
        let mut note = |outcome| count.note(outcome, 3, true);
        assert_eq!(note(Outcome::Good), Some(News::Healthy));
        assert_eq!(note(Outcome::Good), None, "no news");
        assert_eq!([failed(), failed(), Outcome::Good, failed(), failed()].map(&mut note), [const { None }; 5]);
        assert_eq!(note(Outcome::Nothing), None);
        assert_eq!(note(failed()), Some(News::Unhealthy("it ended with code 1, 3 times in a row".into())));
        assert_eq!(note(failed()), None, "it is known");
        assert_eq!(note(Outcome::Good), Some(News::Healthy));
    }

    #[test]
    fn failures_of_the_start_do_not_count_until_it_has_worked_once() {
        let mut count = Count::default();
        assert_eq!((0..9).find_map(|_| count.note(failed(), 2, false)), None);
        assert_eq!(count.note(failed(), 2, true), None, "the first that counts");
        assert!(matches!(count.note(failed(), 2, true), Some(News::Unhealthy(_))));
        let mut count = Count::default();
        assert_eq!(count.note(Outcome::Good, 1, false), Some(News::Healthy));
        assert!(matches!(count.note(failed(), 1, false), Some(News::Unhealthy(_))), "it had worked");
    }
}
