//! One record of the kernel's audit log: bytes in, plain data out.
//!
//! Everything behind `comm=`, `exe=` and `path=` was chosen by an agent. The kernel prints such a text in quotation
//! marks when it holds nothing but visible ASCII without a quotation mark, and otherwise as bare hexadecimal, so that
//! no text can hold a space and look like a further field. Source: `audit_log_n_untrustedstring` in kernel/audit.c,
//! `log_blockers` in security/landlock/audit.c, `audit_seccomp` in kernel/auditsc.c.

/// Record types, from include/uapi/linux/audit.h.
pub(super) mod kind {
    /// `AUDIT_TRUSTED_APP`: free text from a process with `CAP_AUDIT_WRITE`; carries our sequence points.
    pub(in super::super) const TRUSTED_APP: u16 = 1121;
    /// `AUDIT_SYSCALL`: who was in which system call.
    pub(in super::super) const SYSCALL: u16 = 1300;
    /// `AUDIT_EOE`: the last record of its serial number.
    pub(in super::super) const EOE: u16 = 1320;
    /// `AUDIT_SECCOMP`: a filter answered something other than "allow".
    pub(in super::super) const SECCOMP: u16 = 1326;
    /// `AUDIT_LANDLOCK_ACCESS`: a domain refused.
    pub(in super::super) const LANDLOCK_ACCESS: u16 = 1423;
    /// `AUDIT_LANDLOCK_DOMAIN`: a domain refused for the first time, or is gone.
    pub(in super::super) const LANDLOCK_DOMAIN: u16 = 1424;
}

/// What ties records together: `audit(SECONDS.MILLISECONDS:SERIAL)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Stamp {
    /// Microseconds since 1970, in steps of 1000.
    pub time_us: u64,
    /// Counted up by the kernel; wraps at 32 bits.
    pub serial: u32,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub stamp: Stamp,
    pub body: Body,
}

/// The kinds that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Access(Access),
    DomainAllocated { domain: u64, pid: i32, uid: u32 },
    DomainDeallocated { domain: u64, denials: u64 },
    Seccomp { process: Process, call: Call, code: u32 },
    Syscall { process: Process, call: Call },
    SequencePoint(u64),
    End,
}

/// What a Landlock domain refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Access {
    pub domain: u64,
    /// `fs.read_file`, `scope.signal`, …; one attempt may need several rights.
    pub blockers: Vec<String>,
    pub object: Object,
}

/// On what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Object {
    Nothing,
    Path(String),
    /// A device's path and the request.
    Ioctl(String, String),
    Remote(Address),
    Local(Address),
    Process {
        pid: i32,
        comm: String,
    },
}

/// An internet address as the kernel prints it; either part may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Address {
    pub host: Option<String>,
    pub port: Option<u16>,
}

/// Who.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub uid: u32,
    pub pid: i32,
    pub comm: Option<String>,
    pub exe: Option<String>,
}

/// In which system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// `AUDIT_ARCH_…`.
    pub arch: u32,
    pub number: u64,
    /// Seccomp records carry none.
    pub arguments: Option<[u64; 4]>,
}

/// Text that marks our sequence points on the bus.
const SEQUENCE_POINT: &str = "op=agentosd-sequence-point id=";

/// The text of a sequence point.
pub(super) fn sequence_point(id: u64) -> String {
    format!("{SEQUENCE_POINT}{id:x} res=success")
}

/// Parses one record; `None` for a kind that does not matter here or a record that is not whole.
pub(super) fn parse(kind: u16, payload: &[u8]) -> Option<Record> {
    let (stamp, rest) = stamp(payload)?;
    let fields = Fields(rest);
    let body = match kind {
        kind::LANDLOCK_ACCESS => Body::Access(access(&fields)?),
        kind::LANDLOCK_DOMAIN => domain(&fields)?,
        kind::SECCOMP => {
            let code = hex(fields.bare("code")?.strip_prefix("0x")?)?;
            Body::Seccomp { process: process(&fields)?, call: call(&fields)?, code: u32::try_from(code).ok()? }
        }
        kind::SYSCALL => Body::Syscall { process: process(&fields)?, call: call(&fields)? },
        kind::EOE => Body::End,
        kind::TRUSTED_APP => {
            let (_, id) = std::str::from_utf8(rest).ok()?.split_once(SEQUENCE_POINT)?;
            Body::SequencePoint(hex(id.split(' ').next()?)?)
        }
        _ => return None,
    };
    Some(Record { stamp, body })
}

/// Takes `audit(1795412705.793:7):` off the front.
fn stamp(payload: &[u8]) -> Option<(Stamp, &[u8])> {
    let rest = payload.strip_prefix(b"audit(")?;
    let end = rest.windows(2).position(|pair| pair == b"):")?;
    let (inside, rest) = (std::str::from_utf8(&rest[..end]).ok()?, &rest[end + 2..]);
    let (time, serial) = inside.split_once(':')?;
    let (seconds, milliseconds) = time.split_once('.')?;
    let (seconds, milliseconds): (u64, u64) = (decimal(seconds)?, decimal(milliseconds)?);
    let time_us = seconds.checked_mul(1_000_000)?.checked_add(milliseconds.checked_mul(1000)?)?;
    Some((Stamp { time_us, serial: decimal(serial)? }, rest))
}

fn access(fields: &Fields) -> Option<Access> {
    let blockers = fields.bare("blockers")?.split(',').map(str::to_owned).collect();
    Some(Access { domain: hex(fields.bare("domain")?)?, blockers, object: object(fields) })
}

/// What `dump_common_audit_data` in security/lsm_audit.c printed.
fn object(fields: &Fields) -> Object {
    if let Some(path) = fields.text("path").or_else(|| fields.text("name")) {
        return match fields.bare("ioctlcmd") {
            Some(request) => Object::Ioctl(path, request.to_owned()),
            None => Object::Path(path),
        };
    }
    if let Some(pid) = fields.bare("opid").and_then(decimal) {
        return Object::Process { pid, comm: fields.text("ocomm").unwrap_or_default() };
    }
    let address = |host, port| {
        let found = Address { host: fields.bare(host).map(str::to_owned), port: fields.bare(port).and_then(decimal) };
        (found != Address::default()).then_some(found)
    };
    match (address("daddr", "dest"), address("saddr", "src")) {
        (Some(remote), _) => Object::Remote(remote),
        (None, Some(local)) => Object::Local(local),
        (None, None) => Object::Nothing,
    }
}

fn domain(fields: &Fields) -> Option<Body> {
    let domain = hex(fields.bare("domain")?)?;
    match fields.bare("status")? {
        "allocated" => {
            let (pid, uid) = (decimal(fields.bare("pid")?)?, decimal(fields.bare("uid")?)?);
            Some(Body::DomainAllocated { domain, pid, uid })
        }
        "deallocated" => Some(Body::DomainDeallocated { domain, denials: decimal(fields.bare("denials")?)? }),
        _ => None,
    }
}

fn process(fields: &Fields) -> Option<Process> {
    Some(Process {
        uid: decimal(fields.bare("uid")?)?,
        pid: decimal(fields.bare("pid")?)?,
        comm: fields.text("comm"),
        exe: fields.text("exe"),
    })
}

fn call(fields: &Fields) -> Option<Call> {
    let argument = |key| hex(fields.bare(key)?);
    let arguments = || Some([argument("a0")?, argument("a1")?, argument("a2")?, argument("a3")?]);
    let arch = u32::try_from(hex(fields.bare("arch")?)?).ok()?;
    // `%d` of a register: a number that is no call's comes out negative.
    let number: i64 = decimal(fields.bare("syscall")?)?;
    Some(Call { arch, number: u64::from(u32::try_from(number & 0xffff_ffff).ok()?), arguments: arguments() })
}

fn decimal<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

/// The `key=value` pairs of a record, parted by single spaces; the first of a name counts.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn raw(&self, key: &str) -> Option<&'a [u8]> {
        let value = |pair: &'a [u8]| pair.strip_prefix(key.as_bytes())?.strip_prefix(b"=");
        self.0.split(|&byte| byte == b' ').find_map(value)
    }

    /// A value that the kernel made itself: a number or a word.
    fn bare(&self, key: &str) -> Option<&'a str> {
        std::str::from_utf8(self.raw(key)?).ok().filter(|text| !text.is_empty())
    }

    /// A value that somebody else chose: in quotation marks, or hexadecimal. `(null)` is none.
    fn text(&self, key: &str) -> Option<String> {
        let raw = self.raw(key)?;
        let bytes = match raw.strip_prefix(b"\"") {
            Some(rest) => rest.strip_suffix(b"\"")?.to_vec(),
            None => unhex(raw)?,
        };
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn unhex(raw: &[u8]) -> Option<Vec<u8>> {
    let nibble = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if raw.is_empty() || raw.len() % 2 == 1 {
        return None;
    }
    raw.chunks_exact(2).map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?)).collect()
}
