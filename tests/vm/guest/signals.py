"""Signals reach every process, as /proc shows."""

import agents
import judge
from report import equal, true

FAMILY = ("/bin/sh", "-c", "(setsid sleep infinity) & (trap '' TERM INT; sleep infinity) & wait")


def states(pids):
    return {judge.status(pid)["State"][0] for pid in pids}


def stop_cont_kill():
    pid = agents.start("family", *FAMILY)
    try:
        group = agents.group(pid)
        uid = agents.shown("family")["uid"]
        own = lambda: [one for one in judge.members(group) if judge.status(one)["Uid"].split()[0] == str(uid)]
        judge.wait("the family to be complete", lambda: len(own()) >= 3)
        true("T" not in states(own()), "the control: stopped before it was told to")
        agents.ctl("stop", "family")
        equal(states(own()), {"T"}, "the states after stop")
        equal(agents.shown("family")["state"], "stopped", "what the daemon says")
        agents.ctl("cont", "family")
        judge.wait("it to go on", lambda: "T" not in states(own()))
        pids = own()
        agents.ctl("kill", "-s", "KILL", "family")
        true(not judge.populated(group), f"{group} is populated")
        equal([one for one in pids if judge.alive(one)], [], "processes that live")
    finally:
        agents.end("family")
