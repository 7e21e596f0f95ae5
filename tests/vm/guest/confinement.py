"""An agent is who it should be, and sees what it may."""

import os
from pathlib import Path

import agents
import judge
from report import equal, true

SECRET = Path("/root/secret")


def identity():
    pid = agents.start("who", *agents.IDLE)
    try:
        found, own = judge.status(pid), judge.status(os.getpid())
        uid = agents.shown("who")["uid"]
        true(1_900_000_000 <= uid < 1_900_065_536, f"uid {uid} is outside of the range")
        equal(found["Uid"].split(), [str(uid)] * 4, "its uids")
        equal((found["NoNewPrivs"], found["Seccomp"]), ("1", "2"), "no_new_privs and seccomp")
        for which in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]:
            equal(int(found[which], 16), 0, which)
        # The control: the same file tells of a process that has these.
        true(int(own["CapEff"], 16) != 0 and own["Seccomp"] == "0", "the judge itself is confined")
    finally:
        agents.end("who")


def namespaces():
    pid = agents.start("apart", *agents.IDLE)
    try:
        for kind in ["mnt", "pid", "ipc", "uts", "net", "cgroup"]:
            here, there = (os.readlink(f"/proc/{who}/ns/{kind}") for who in ["self", pid])
            true(here != there, f"it has the host's namespace {kind}")
        equal(os.readlink("/proc/self/ns/mnt"), os.readlink("/proc/1/ns/mnt"), "the control: the judge's namespace")
        true(not Path(f"/proc/{pid}/root/srv").exists(), "the host's /srv is in its root")
        true(Path(f"/proc/{pid}/root/usr/bin").exists(), "the control: its root shows nothing at all")
    finally:
        agents.end("apart")


TRY = """
import errno, os
for path in ["/root/secret", "/etc/shadow", "/usr/lib/os-release"]:
    try:
        os.close(os.open(path, os.O_RDONLY))
        print(path, "opened")
    except OSError as error:
        print(path, errno.errorcode[error.errno])
"""


def files():
    SECRET.write_text("a word that nobody else knows\n")
    SECRET.chmod(0o644)
    true(SECRET.read_text() and Path("/etc/shadow").read_text(), "the control: root reads both")
    said = agents.inside(*agents.python(TRY)).stdout.splitlines()
    equal(said, ["/root/secret ENOENT", "/etc/shadow EACCES", "/usr/lib/os-release opened"], "what it could open")
