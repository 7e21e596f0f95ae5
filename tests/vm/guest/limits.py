"""Limits by the controllers of version 2, read where the kernel keeps them."""

import time

import agents
import host
import judge
from report import equal, true

MIB = 1 << 20
HOG = agents.python("block = b'x' * (300 << 20); print(len(block))")
BOMB = agents.python("""
import os, time
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(0.05)
""")
SPIN = ("/bin/sh", "-c", "while :; do :; done")


def place():
    """The agent has a group with all controllers, and the unit's own group takes the next daemon's process."""
    pid = agents.start("place", *agents.IDLE, limits="memory: 64MiB, pids: 8, cpu: 0.5")
    try:
        group = agents.group(pid)
        unit = judge.CGROUPS / host.run("systemctl", "show", "--property", "ControlGroup", "--value",
                                        "agentosd.service").stdout.strip().lstrip("/")
        true(judge.CGROUPS / "agentos" in group.parents, f"{group} is not beneath agentos")
        equal((unit / "cgroup.subtree_control").read_text().strip(), "", f"controllers handed down by {unit}")
        equal((limit(group, "memory.max"), limit(group, "pids.max")), (str(64 * MIB), "9"), "memory.max and pids.max")
        equal(limit(group, "cpu.max"), "50000 100000", "cpu.max")
    finally:
        agents.end("place")


def limit(group, file):
    """As it stands in the nearest group that sets it; PID 1 of the agent is ours and one more."""
    while group != judge.CGROUPS:
        text = (group / file).read_text().strip()
        if not text.startswith("max"):
            return text
        group = group.parent
    return "max"


def holder(group, file):
    """The group that sets the limit."""
    while (group / file).read_text().startswith("max"):
        group = group.parent
    return group


def memory():
    other = agents.neighbour()
    try:
        agents.ctl("run", "--name", "hog", "--policy", agents.policy("hog", "memory: 128MiB"), "--", *HOG, check=False)
        exit = agents.shown("hog")["exit"]
        equal(exit["reason"], "memory", f"why it ended ({exit})")
        agents.assert_untouched(other)
        said = agents.inside(*HOG, limits="memory: 1GiB").stdout.strip()
        equal(said, str(300 * MIB), "the control: the same with more memory")
    finally:
        agents.end("hog")
        agents.end("neighbour")


def pids():
    other = agents.neighbour()
    try:
        pid = agents.start("bomb", *BOMB, limits="pids: 16")
        group = holder(agents.group(pid), "pids.max")
        judge.wait("the bomb to meet its limit", lambda: judge.keyed(group / "pids.events")["max"] > 0)
        time.sleep(2)
        count = int((group / "pids.current").read_text())
        true(count <= 17, f"{count} processes")
        agents.assert_untouched(other)
        agents.ctl("kill", "-s", "KILL", "bomb")
        true(not judge.populated(group), "something is left of the bomb")
        # The control: the same bomb goes as far as it is let.
        pid = agents.start("bomb-2", *BOMB, limits="pids: 40")
        group = holder(agents.group(pid), "pids.max")
        judge.wait("more than 17 processes", lambda: int((group / "pids.current").read_text()) > 17)
    finally:
        for name in ["bomb", "bomb-2", "neighbour"]:
            agents.end(name)


def cpu():
    throttled = {}
    for name, share in [("slow", "0.25"), ("free", "2.0")]:
        pid = agents.start(name, *SPIN, limits=f"cpu: {share}")
        group = holder(agents.group(pid), "cpu.max")
        before, began = judge.keyed(group / "cpu.stat"), time.monotonic()
        time.sleep(4)
        after, took = judge.keyed(group / "cpu.stat"), time.monotonic() - began
        agents.end(name)
        used = (after["usage_usec"] - before["usage_usec"]) / 1e6 / took
        throttled[name] = after["nr_throttled"] - before["nr_throttled"]
        if name == "slow":
            true(used < 0.35, f"it had {used:.2f} of a processor, and may have 0.25")
    true(throttled["slow"] > 5, f"never held back: {throttled}")
    equal(throttled["free"], 0, "the control: how often one with two processors was held back")
