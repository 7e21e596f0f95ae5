"""The daemon goes and comes; agents stay."""

import os
import signal

import agents
import host
import judge
from report import equal, true

DAEMON = "agentosd.service"


def again(old):
    """Waits for another daemon than `old` that answers."""
    judge.wait("another daemon", lambda: host.main_pid(DAEMON) not in (0, old) and host.is_active(DAEMON) == "active")
    judge.wait("its answer", lambda: agents.ctl("ps", check=False).returncode == 0)


def daemon_returns():
    """After a death that nobody asked for, and with what it knew."""
    old = host.main_pid(DAEMON)
    agents.inside("/bin/true")
    os.kill(old, signal.SIGKILL)
    again(old)
    equal(agents.inside("/bin/echo", "hello").stdout, "hello\n", "what an agent says afterwards")


def outlived(name, go):
    """An agent that lives over `go`, is still listed as running, and ends when told to."""
    pid = agents.start(name, *agents.IDLE)
    try:
        which, group, old = judge.start_time(pid), agents.group(pid), host.main_pid(DAEMON)
        go(old)
        again(old)
        true(judge.alive(pid) and judge.start_time(pid) == which, "it has ended")
        found = agents.shown(name)
        equal((found["state"], found["pid"]), ("running", pid), "what the new daemon says")
        confined = judge.status(pid)
        equal((confined["NoNewPrivs"], confined["Seccomp"]), ("1", "2"), "its confinement")
        agents.ctl("kill", "-s", "KILL", name)
        true(not judge.populated(group), "something is left of it")
    finally:
        agents.end(name)


def agent_outlives_systemctl():
    outlived("stays", lambda _: host.run("systemctl", "restart", DAEMON))


def agent_outlives_kill():
    outlived("remains", lambda old: os.kill(old, signal.SIGKILL))
