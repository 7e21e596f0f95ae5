//! Scheduling, priorities and limits: another process's, and its own beyond what was given.

use std::fs;

use crate::{
    denials::{CALL, PATH, PROCESS},
    outcome::{Attempt, Refusal, Step, reached},
    primitive::{
        Control::{Root, When},
        Primitive,
    },
    syscall::{call, ptr, ptr_mut, w},
};

const RESOURCES: &str = "root with CAP_SYS_RESOURCE, which some virtual machines withhold";
const IOPRIO_WHO_PROCESS: i32 = 1;
const IOPRIO_REAL_TIME: i32 = (1 << 13) | 4;

pub(crate) const PRIMITIVES: &[Primitive] = &[
    Primitive {
        id: "processes.setpriority_host",
        tries: "setpriority of host_pid to the value that it has",
        denials: PROCESS,
        control: Root,
        run: |p| {
            let pid = p.host_pid()?;
            let biased = call(libc::SYS_getpriority, &[w(0), w(pid)]).step("getpriority")?;
            call(libc::SYS_setpriority, &[w(0), w(pid), w(20 - biased)])?;
            reached("set")
        },
    },
    Primitive {
        id: "processes.nice_below_zero",
        tries: "setpriority of itself to -5",
        denials: CALL,
        control: Root,
        run: |_| {
            call(libc::SYS_setpriority, &[w(0), w(0), w(-5)])?;
            reached("nice -5")
        },
    },
    Primitive {
        id: "processes.affinity_host",
        tries: "sched_setaffinity of host_pid to the mask that it has",
        denials: PROCESS,
        control: Root,
        run: |p| {
            let (pid, mut mask) = (p.host_pid()?, [0u64; 16]);
            let size = call(libc::SYS_sched_getaffinity, &[w(pid), w(128), ptr_mut(&mut mask)]).step("getaffinity")?;
            call(libc::SYS_sched_setaffinity, &[w(pid), w(size), ptr(&mask)])?;
            reached("set")
        },
    },
    Primitive {
        id: "processes.scheduler_host",
        tries: "sched_setscheduler(SCHED_OTHER) of host_pid",
        denials: PROCESS,
        control: Root,
        run: |p| {
            call(libc::SYS_sched_setscheduler, &[w(p.host_pid()?), w(libc::SCHED_OTHER), ptr(&0i32)])?;
            reached("set")
        },
    },
    Primitive {
        id: "processes.scheduler_fifo",
        tries: "sched_setscheduler(SCHED_FIFO) of itself",
        denials: CALL,
        control: Root,
        run: |_| {
            call(libc::SYS_sched_setscheduler, &[w(0), w(libc::SCHED_FIFO), ptr(&1i32)])?;
            reached("runs before everything that is not real-time")
        },
    },
    Primitive {
        id: "processes.scheduler_deadline",
        tries: "sched_setattr(SCHED_DEADLINE) of itself",
        denials: CALL,
        control: Root,
        run: |_| {
            // struct sched_attr: size and policy, flags, nice and priority, then runtime, deadline, period in ns.
            let attributes: [u64; 6] = [48 | (6 << 32), 0, 0, 1_000_000, 10_000_000, 10_000_000];
            call(libc::SYS_sched_setattr, &[w(0), ptr(&attributes), w(0)])?;
            reached("a reserved share of a core")
        },
    },
    Primitive {
        id: "processes.prlimit_get_host",
        tries: "prlimit: read host_pid's limits",
        denials: PROCESS,
        control: Root,
        run: |p| {
            let mut limits = [0u64; 2];
            call(libc::SYS_prlimit64, &[w(p.host_pid()?), w(libc::RLIMIT_CORE), w(0), ptr_mut(&mut limits)])?;
            reached("its limits")
        },
    },
    Primitive {
        id: "processes.prlimit_set_host",
        tries: "prlimit: set host_pid's core limit to what it is",
        denials: PROCESS,
        control: Root,
        run: |p| {
            let (pid, mut limits) = (p.host_pid()?, [0u64; 2]);
            call(libc::SYS_prlimit64, &[w(pid), w(libc::RLIMIT_CORE), w(0), ptr_mut(&mut limits)]).step("read")?;
            call(libc::SYS_prlimit64, &[w(pid), w(libc::RLIMIT_CORE), ptr(&limits), w(0)])?;
            reached("set")
        },
    },
    Primitive {
        id: "processes.raise_limits",
        tries: "raise each of its own hard limits by one",
        denials: CALL,
        control: When(RESOURCES),
        run: |_| raise_limits(),
    },
    Primitive {
        id: "processes.ioprio_host",
        tries: "ioprio_set of host_pid to the class that it has",
        denials: PROCESS,
        control: Root,
        run: |p| {
            let pid = p.host_pid()?;
            let class = call(libc::SYS_ioprio_get, &[w(IOPRIO_WHO_PROCESS), w(pid)]).step("ioprio_get")?;
            call(libc::SYS_ioprio_set, &[w(IOPRIO_WHO_PROCESS), w(pid), w(class)])?;
            reached("set")
        },
    },
    Primitive {
        id: "processes.ioprio_real_time",
        tries: "ioprio_set of itself to the real-time class",
        denials: CALL,
        control: Root,
        run: |_| {
            call(libc::SYS_ioprio_set, &[w(IOPRIO_WHO_PROCESS), w(0), w(IOPRIO_REAL_TIME)])?;
            reached("its disk requests go first")
        },
    },
    Primitive {
        id: "processes.oom_score_lower",
        tries: "write a lower number into its own oom_score_adj",
        denials: PATH,
        control: When(RESOURCES),
        run: |_| {
            fs::write("/proc/self/oom_score_adj", "-900")?;
            reached("others are killed first when memory ends")
        },
    },
];

/// Tries every limit that is finite and below its maximum; one that goes up is enough.
fn raise_limits() -> Attempt {
    let mut last = Refusal::Absent("every hard limit is infinite already".into());
    for resource in 0..16 {
        let mut limits = [0u64; 2];
        call(libc::SYS_prlimit64, &[w(0), w(resource), w(0), ptr_mut(&mut limits)]).step("read")?;
        if limits[1] == u64::MAX {
            continue;
        }
        limits[1] += 1;
        match call(libc::SYS_prlimit64, &[w(0), w(resource), ptr(&limits), w(0)]) {
            Ok(_) => return reached(format!("resource {resource} is now {}", limits[1])),
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}
