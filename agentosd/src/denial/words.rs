//! Refusals in words.

use super::event::{By, Refusal};
use super::record::{Access, Address, Object};
use super::system_call;
use protocol::denial::{Denial, Layer};
use protocol::ids::TimeUs;

/// Whose rules refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source<'a> {
    /// The policy of that name.
    Policy(&'a str),
    /// A Landlock domain that a program inside the agent made for itself.
    Inside,
    /// A Landlock domain of which it is not known who made it.
    Unknown,
}

/// Says a refusal in words. `seq` is its number within the agent's run.
pub(super) fn denial(refusal: Refusal, seq: u64, source: Source) -> Denial {
    let (pid, exe, comm) = match refusal.process {
        Some(process) => (Some(process.pid), process.exe, process.comm),
        None => (None, None, None),
    };
    let mut denial = Denial {
        seq,
        time_us: TimeUs(refusal.time_us),
        pid,
        exe,
        comm,
        layer: Layer::Seccomp,
        action: String::new(),
        object: None,
        syscall: None,
        args: Vec::new(),
        sentence: String::new(),
    };
    if let Some(call) = &refusal.call {
        denial.syscall = Some(system_call::name(call));
        let arguments = call.arguments.into_iter().flatten();
        denial.args = arguments.map(|argument| format!("{argument:x}")).collect();
    }
    match refusal.by {
        By::Landlock(access) => {
            let attempt = attempt(&access);
            denial.layer = Layer::Landlock;
            denial.sentence = format!("{}: {}", attempt.in_words(), reason(&access, source));
            denial.action = attempt.action;
            denial.object = attempt.object;
        }
        By::Seccomp(code) => {
            denial.action = denial.syscall.clone().unwrap_or_else(|| "system call".to_owned());
            denial.sentence = format!("{}: {}", denial.action, system_call::outcome(code));
        }
    }
    denial
}

fn reason(access: &Access, source: Source) -> String {
    match source {
        Source::Inside => "refused by a Landlock domain that was made inside the agent".to_owned(),
        Source::Unknown => "refused by a Landlock domain that is not known to be the policy's".to_owned(),
        // No policy grants these; they cross the border of the domain itself.
        Source::Policy(_) if access.blockers.iter().all(|right| !grantable(right)) => {
            "outside the agent (all policies)".to_owned()
        }
        Source::Policy(name) => format!("not granted by policy {name}"),
    }
}

fn grantable(right: &str) -> bool {
    right != "fs.change_topology" && (right.starts_with("fs.") || right.starts_with("net."))
}

struct Attempt {
    action: String,
    /// Between action and object: `in` a directory.
    preposition: Option<&'static str>,
    object: Option<String>,
}

impl Attempt {
    fn in_words(&self) -> String {
        let object = self.object.as_deref().unwrap_or_default();
        let parts = [self.action.as_str(), self.preposition.unwrap_or_default(), object];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

fn attempt(access: &Access) -> Attempt {
    let words: Vec<(&str, Option<&'static str>)> = access.blockers.iter().map(|right| verb(right)).collect();
    let action = words.iter().map(|(verb, _)| *verb).collect::<Vec<_>>().join(" and ");
    let mut action = action;
    if let Object::Ioctl(_, request) = &access.object {
        action = format!("{action} {request}");
    }
    let preposition = words.iter().find_map(|(_, preposition)| *preposition);
    Attempt { action, preposition, object: object(&access.object) }
}

/// A Landlock right as a verb; for those on a directory entry the kernel names the directory.
fn verb(right: &str) -> (&str, Option<&'static str>) {
    match right {
        "fs.execute" => ("execute", None),
        "fs.write_file" => ("write", None),
        "fs.read_file" => ("read", None),
        "fs.read_dir" => ("list", None),
        "fs.remove_dir" => ("remove directory", Some("in")),
        "fs.remove_file" => ("remove file", Some("in")),
        "fs.make_char" => ("create character device", Some("in")),
        "fs.make_dir" => ("create directory", Some("in")),
        "fs.make_reg" => ("create file", Some("in")),
        "fs.make_sock" => ("create socket", Some("in")),
        "fs.make_fifo" => ("create fifo", Some("in")),
        "fs.make_block" => ("create block device", Some("in")),
        "fs.make_sym" => ("create symbolic link", Some("in")),
        "fs.refer" => ("link or rename across directories", Some("at")),
        "fs.truncate" => ("truncate", None),
        "fs.ioctl_dev" => ("device ioctl", Some("on")),
        "fs.change_topology" => ("change mounts", Some("at")),
        "net.bind_tcp" => ("bind tcp", Some("to")),
        "net.connect_tcp" => ("connect tcp", Some("to")),
        "scope.abstract_unix_socket" => ("connect to abstract socket", None),
        "scope.signal" => ("signal", None),
        "ptrace" => ("trace", None),
        // A right of a later kernel, by the name that the kernel gives it.
        other => (other, None),
    }
}

fn object(object: &Object) -> Option<String> {
    match object {
        Object::Nothing => None,
        Object::Path(path) | Object::Ioctl(path, _) => Some(match path.strip_prefix('\0') {
            // The way that unix(7) tools write abstract names.
            Some(name) => format!("@{name}"),
            None => path.clone(),
        }),
        Object::Remote(address) | Object::Local(address) => Some(internet(address)),
        Object::Process { pid, comm } => Some(format!("process {pid} ({comm})")),
    }
}

fn internet(address: &Address) -> String {
    match (&address.host, address.port) {
        (Some(host), Some(port)) if host.contains(':') => format!("[{host}]:{port}"),
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.clone(),
        (None, port) => port.map(|port| format!("port {port}")).unwrap_or_default(),
    }
}
