//! An `agentos-executor` and what the daemon would say to it.

use protocol::action::RefusalReason;
use protocol::executor::{Bounds, Order, Prepared, Report, Task};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Time enough for everything that should not end by time.
pub(crate) const PATIENT: u64 = 60_000;

/// Who owns nothing.
pub(crate) const NOBODY: u32 = 65534;

/// One executor.
pub(crate) struct Executor {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Executor {
    pub(crate) fn start() -> Self {
        Self::of(&mut Command::new(env!("CARGO_BIN_EXE_agentos-executor")))
    }

    /// As `nobody`, from a copy in `directory`: a user's build directory may be closed to others.
    fn start_unprivileged(directory: &str) -> Self {
        let copy = format!("{directory}/agentos-executor");
        if std::fs::metadata(&copy).is_err() {
            std::fs::copy(env!("CARGO_BIN_EXE_agentos-executor"), &copy).unwrap();
        }
        Self::of(Command::new(copy).uid(NOBODY).gid(NOBODY))
    }

    fn of(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the executor starts");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        Self { child, input, output }
    }

    /// Bytes to its input; it may have ended already.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("its input is open");
        if let Err(error) = input.write_all(bytes) {
            assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
        }
    }

    pub(crate) fn order(&mut self, order: &Order) {
        let mut line = serde_json::to_vec(order).unwrap();
        line.push(b'\n');
        self.send(&line);
    }

    /// Its next report, or nothing at the end of its output.
    pub(crate) fn report(&mut self) -> Option<Report> {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
    }

    pub(crate) fn perform(&mut self, bounds: Bounds) -> Report {
        self.order(&Order::Perform { bounds });
        self.report().expect("a report")
    }

    /// Ends its input and returns the rest of its output, and its exit code.
    pub(crate) fn end(mut self) -> (String, Option<i32>) {
        drop(self.input.take());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        (rest, self.child.wait().unwrap().code())
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        drop(self.input.take());
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.child.kill().expect("an executor that runs can be killed");
        }
        self.child.wait().expect("the executor is reaped");
    }
}

/// Both steps by somebody without rights.
pub(crate) fn carry_out_unprivileged(directory: &str, task: &Task) -> Result<Value, RefusalReason> {
    let mut executor = Executor::start_unprivileged(directory);
    executor.order(&Order::Prepare { task: task.clone(), preview: false });
    match executor.report().expect("a report") {
        Report::Prepared(_) => outcome(executor.perform(bounds())),
        report => outcome(report),
    }
}

/// The first step: the executor waits, and what it says.
pub(crate) fn prepare(task: &Task) -> Result<(Executor, Prepared), RefusalReason> {
    let mut executor = Executor::start();
    executor.order(&Order::Prepare { task: task.clone(), preview: true });
    match executor.report().expect("a report") {
        Report::Prepared(prepared) => Ok((executor, prepared)),
        Report::Refused { reason, .. } => Err(reason),
        Report::Done { data } => panic!("done before it was ordered: {data}"),
    }
}

/// Both steps.
pub(crate) fn carry_out(task: &Task, bounds: Bounds) -> Result<Value, RefusalReason> {
    outcome(prepare(task)?.0.perform(bounds))
}

pub(crate) fn outcome(report: Report) -> Result<Value, RefusalReason> {
    match report {
        Report::Done { data } => Ok(data),
        Report::Refused { reason, message } => {
            println!("refused: {message}");
            Err(reason)
        }
        Report::Prepared(prepared) => panic!("prepared twice: {prepared:?}"),
    }
}

pub(crate) fn bounds() -> Bounds {
    Bounds { timeout_ms: PATIENT, ..Bounds::default() }
}

pub(crate) fn reading() -> Bounds {
    Bounds { read_only: true, ..bounds() }
}

/// A directory of the test's own, by its real path.
pub(crate) fn directory() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap().to_str().unwrap().to_owned();
    (directory, path)
}
