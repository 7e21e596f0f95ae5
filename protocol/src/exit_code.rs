//! Exit codes of `agentctl`, an interface like any other; `docs/exit-codes.md` lists them for people.

/// All went well.
pub const OK: u8 = 0;
/// The request failed for a reason that fits no other code.
pub const FAILED: u8 = 1;
/// The command line could not be understood.
pub const USAGE: u8 = 2;
/// No agent of that name.
pub const NO_SUCH_AGENT: u8 = 3;
/// The agent's state does not allow the request (for example `cont` after it ended).
pub const WRONG_STATE: u8 = 4;
/// The policy could not be read or resolved.
pub const BAD_POLICY: u8 = 5;
/// A name that is already in use.
pub const NAME_IN_USE: u8 = 6;
/// The caller may not do that.
pub const NOT_PERMITTED: u8 = 7;
/// `doctor` found a required layer missing.
pub const LAYER_MISSING: u8 = 8;
/// `execute`: the policy, or a person, does not allow the action.
pub const DENIED: u8 = 9;
/// `execute`: the action waits for a person.
pub const HELD: u8 = 10;
/// `agentosd` cannot be reached.
pub const NO_DAEMON: u8 = 69;
/// `wait --timeout` or `run --timeout` ran out (as `timeout(1)` has it).
pub const TIMED_OUT: u8 = 124;
/// The sandbox could not be built; the command was surely not run (as `docker run` has it).
pub const NOT_STARTED: u8 = 125;
/// The command was found and could not be executed (POSIX shell).
pub const NOT_EXECUTABLE: u8 = 126;
/// The command was not found inside the sandbox (POSIX shell).
pub const NOT_FOUND: u8 = 127;
/// Added to a signal's number when that signal ended the command (POSIX shell).
pub const SIGNAL_BASE: u8 = 128;
