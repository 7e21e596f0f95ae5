"""What root sees from outside: /proc and control groups. Never what an agent says of itself."""

import errno
import os
import time
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def status(pid):
    """`/proc/PID/status` as a mapping."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def alive(pid):
    try:
        return status(pid)["State"][0] not in "ZX"
    except FileNotFoundError:
        return False


def start_time(pid):
    """In clock ticks since the boot: with the pid, which process it is."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def group_of(pid):
    """The directory of its control group."""
    line = Path(f"/proc/{pid}/cgroup").read_text().strip()
    true_line = line.startswith("0::/")
    assert true_line, f"{pid} is in no group of version 2: {line}"
    return CGROUPS / line[len("0::/"):]


def members(group):
    """The pids in a group and beneath it; none where it is gone."""
    found = []
    for file in [group / "cgroup.procs", *group.glob("**/cgroup.procs")]:
        try:
            found += [int(pid) for pid in file.read_text().split()]
        except OSError:
            continue  # it went meanwhile
    return sorted(set(found))


def keyed(file):
    """A file of lines `KEY NUMBER`, such as memory.events."""
    return {key: int(value) for key, value in (line.split() for line in file.read_text().splitlines())}


def populated(group):
    """Whether anything is in it."""
    try:
        return keyed(group / "cgroup.events")["populated"] == 1
    except OSError as error:
        # It is gone, or goes between the opening and the reading (ENODEV).
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return False
        raise


def processes():
    """Every process: pid, uid, program."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                uid = int(status(entry)["Uid"].split()[0])
                program = os.readlink(f"/proc/{entry}/exe")
            except OSError:
                continue  # a thread of the kernel, or gone
            yield int(entry), uid, program


def wait(what, condition, seconds=60):
    """Until it holds; the machine is emulated and slow."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        time.sleep(0.1)
