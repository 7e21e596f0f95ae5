//! Signals and the terminal of a foreground session: what a job of a shell has to do.

use super::start::Start;
use super::{Forwarding, Session};
use crate::failure::Failure;
use crate::own::Status;
use crate::show;
use crate::signals::Request;
use crate::terminal;
use protocol::control::Window;
use protocol::signal::Signal;

impl<M: Start> Session<'_, M> {
    pub(super) fn obey(&mut self, request: Request) -> Result<(), Failure> {
        match request {
            Request::Resize => self.tell_window(),
            Request::Suspend => self.suspend(),
            Request::Resume => {
                if let Some(terminal) = &mut self.terminal {
                    terminal.forget();
                }
                if self.forwarding == Forwarding::All {
                    self.forward(Signal::CONT).unwrap_or_else(|silent| show::notice(&silent.sentence()));
                }
            }
            Request::Forward(number) => {
                let signal = Signal::from_number(number).filter(|signal| self.is_for_the_agent(*signal));
                match signal {
                    // A daemon that hangs must not make this command one that nothing ends.
                    Some(signal) => {
                        return self.forward(signal).map_err(|silent| {
                            show::notice(&silent.sentence());
                            Failure::Signal(u8::try_from(number).unwrap_or(0))
                        });
                    }
                    None => return Err(Failure::Signal(u8::try_from(number).unwrap_or(0))),
                }
            }
        }
        Ok(())
    }

    /// Before it runs and after it has ended, signals are for us: leaving then hangs up at most what did not start.
    fn is_for_the_agent(&self, signal: Signal) -> bool {
        let running = self.target.is_some() && self.exit.is_none();
        running
            && match self.forwarding {
                Forwarding::All => true,
                Forwarding::Typed => signal != Signal::TERM && signal != Signal::HUP,
                Forwarding::Nothing => false,
            }
    }

    /// A signal that cannot be delivered must not end the foreground command, but the person who sent it must know. An
    /// error only when agentosd does not answer.
    fn forward(&mut self, signal: Signal) -> Result<(), Failure> {
        let Some(target) = self.target.as_ref().filter(|_| self.exit.is_none()) else { return Ok(()) };
        match self.control.kill(target, signal) {
            Ok(()) => Ok(()),
            Err(silent @ Failure::Silent { .. }) => Err(silent),
            Err(failure) => {
                show::notice(&format!("{signal} did not reach {}: {}", target.name, failure.sentence()));
                Ok(())
            }
        }
    }

    /// Stops the agent, then ourselves, as the shell expects of a job.
    fn suspend(&mut self) {
        if Status::read().leads_its_session() {
            return;
        }
        if self.forwarding == Forwarding::All {
            self.forward(Signal::STOP).unwrap_or_else(|silent| show::notice(&silent.sentence()));
        }
        if let Some(terminal) = &mut self.terminal {
            terminal.restore();
        }
        let us = rustix::process::getpid();
        if let Err(error) = rustix::process::kill_process(us, rustix::process::Signal::STOP) {
            show::notice(&format!("cannot stop: {error}"));
        }
        // Stopped here. SIGCONT then arrives as a signal to us, and the loop lends the terminal again.
    }

    /// Makes the program draw itself: only a size that changes gives it SIGWINCH, so it gets another one first.
    pub(super) fn provoke_redraw(&mut self) {
        let window = terminal::window();
        self.send_window(Window { rows: window.rows.saturating_add(1), ..window });
    }

    pub(super) fn tell_window(&mut self) {
        self.send_window(terminal::window());
    }

    fn send_window(&mut self, window: Window) {
        if let (Some(_), Some(target), None) = (&self.terminal, &self.target, &self.exit)
            && self.window != Some(window)
        {
            self.window = Some(window);
            if let Err(failure) = self.control.resize(target, window) {
                show::notice(&format!("the terminal's size did not reach {}: {}", target.name, failure.sentence()));
            }
        }
    }
}
