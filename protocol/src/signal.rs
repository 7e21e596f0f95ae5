//! Signals by name and number, as Linux on x86-64 has them (`signal(7)`).

use serde::{Deserialize, Serialize};
use std::fmt;

/// A signal that an operator may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signal(i32);

/// A text that names no signal.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{given:?} is no signal: expected a name such as TERM or SIGTERM, or a number from 1 to 64")]
pub struct BadSignal {
    given: String,
}

const NAMES: [(&str, i32); 31] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// SIGRTMIN as the kernel's ABI and glibc's users know it: 34, since glibc keeps 32 and 33.
const RTMIN: i32 = 34;

/// A real-time signal that only the kernel of Agent OS sends (DESIGN 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KernelSignal {
    /// A forbidden act.
    #[serde(rename = "SIGPOLICY")]
    Policy,
    /// An attestation failed or was revoked.
    #[serde(rename = "SIGTRUST")]
    Trust,
    /// A budget is spent.
    #[serde(rename = "SIGBUDGET")]
    Budget,
    /// The same action came again and again.
    #[serde(rename = "SIGLOOP")]
    Loop,
    /// Models disagree.
    #[serde(rename = "SIGDRIFT")]
    Drift,
}

impl KernelSignal {
    /// Every one, in the order of their numbers, which count up from SIGRTMIN+1.
    const ALL: [Self; 5] = [Self::Policy, Self::Trust, Self::Budget, Self::Loop, Self::Drift];

    /// The name: `SIGPOLICY`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Policy => "SIGPOLICY",
            Self::Trust => "SIGTRUST",
            Self::Budget => "SIGBUDGET",
            Self::Loop => "SIGLOOP",
            Self::Drift => "SIGDRIFT",
        }
    }

    /// As Linux numbers it: SIGRTMIN+1 and on.
    #[must_use]
    pub fn signal(self) -> Signal {
        let offset = Self::ALL.iter().position(|other| *other == self).and_then(|index| i32::try_from(index).ok());
        Signal(RTMIN + 1 + offset.unwrap_or(0))
    }
}

impl fmt::Display for KernelSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Signal {
    /// SIGHUP.
    pub const HUP: Self = Self(1);
    /// SIGINT.
    pub const INT: Self = Self(2);
    /// SIGKILL: every process of the agent, no exceptions.
    pub const KILL: Self = Self(9);
    /// SIGTERM.
    pub const TERM: Self = Self(15);
    /// SIGCONT.
    pub const CONT: Self = Self(18);
    /// SIGSTOP: every process of the agent, delivered under the freezer.
    pub const STOP: Self = Self(19);

    /// Parses `TERM`, `SIGTERM`, `15` or `RTMIN+3`, in any case.
    ///
    /// # Errors
    /// [`BadSignal`] when the text names no signal.
    pub fn parse(text: &str) -> Result<Self, BadSignal> {
        let bad = || BadSignal { given: text.chars().take(40).collect() };
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(Self(*number));
        }
        let number = match name.strip_prefix("RTMIN") {
            Some("") => Some(RTMIN),
            Some(offset) => {
                offset.strip_prefix('+').and_then(|o| o.parse::<i32>().ok()).map(|o| RTMIN.saturating_add(o))
            }
            None => name.parse().ok(),
        };
        number.and_then(Self::from_number).ok_or_else(bad)
    }

    /// The signal with this number, if there is one.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        (1..=64).contains(&number).then_some(Self(number))
    }

    /// The number, from 1 to 64.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }

    /// The name by which DESIGN 4.1 reserves this signal for the kernel of Agent OS, if it does.
    #[must_use]
    pub fn reserved(self) -> Option<&'static str> {
        KernelSignal::ALL.into_iter().find(|ours| ours.signal() == self).map(KernelSignal::name)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => write!(f, "SIG{name}"),
            None if self.0 >= RTMIN => write!(f, "SIGRTMIN+{}", self.0 - RTMIN),
            None => write!(f, "{}", self.0),
        }
    }
}

impl TryFrom<String> for Signal {
    type Error = BadSignal;
    fn try_from(text: String) -> Result<Self, BadSignal> {
        Self::parse(&text)
    }
}

impl From<Signal> for String {
    fn from(signal: Signal) -> Self {
        signal.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_reads_back_as_it_is_shown() {
        for number in 1..=64 {
            let signal = Signal::from_number(number).unwrap();
            assert_eq!(Signal::parse(&signal.to_string()), Ok(signal));
        }
    }

    #[test]
    fn what_is_no_signal_is_refused() {
        for bad in ["", "0", "65", "-9", "SIGNOPE", "RTMIN+31", "RTMIN-1", "99999999999"] {
            assert!(Signal::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_kernels_own_signals_are_known() {
        assert_eq!(Signal::parse("RTMIN+1").unwrap().reserved(), Some("SIGPOLICY"));
        assert_eq!(Signal::TERM.reserved(), None);
    }
}
