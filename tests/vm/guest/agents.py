"""Agents, as root starts them with agentctl."""

import json
import time
from pathlib import Path

import host
import judge

POLICIES = Path("/root/policies")
# What Linux 6.1 lacks.
OPTIONAL = "optional_layers: [landlock_truncate, landlock_ioctl, landlock_scope, memfd_noexec]\n"


def policy(name, limits="", profile="base", more=""):
    """A file with the profile, these limits and more, and where the kernel is old with what it can do without."""
    POLICIES.mkdir(mode=0o700, exist_ok=True)
    file = POLICIES / f"{name}.yaml"
    optional = OPTIONAL if host.old_kernel() else ""
    file.write_text(f"extends: [{profile}]\nprocess: {{limits: {{{limits}}}}}\n{more}{optional}")
    return file


def ctl(*words, **more):
    return host.run("agentctl", *words, **more)


def start(name, *command, limits=""):
    """An agent that goes on by itself; its main process as the host numbers it."""
    ctl("run", "--detach", "--name", name, "--policy", policy(name, limits), "--", *command)
    return shown(name)["pid"]


def inside(*command, limits="", check=True):
    """A command in an agent of its own, to its end."""
    return ctl("run", "--rm", "--policy", policy("once", limits), "--", *command, check=check)


def shown(name):
    """What `inspect` says."""
    return json.loads(ctl("inspect", "--json", name).stdout)["agent"]


def end(name):
    """Killed if it lives, and its record removed."""
    ctl("rm", "--force", name, check=False)


def python(text):
    return "/usr/bin/python3", "-c", text


# Lives until it is ended.
IDLE = ("/bin/sleep", "infinity")


def group(pid):
    """Its group: what the controllers count it in."""
    found = judge.group_of(pid)
    assert found.parent == judge.CGROUPS / "agentos", f"{found} is not an agent's"
    return found


def neighbour():
    """Another agent and which process it is, to see that it is left alone."""
    pid = start("neighbour", *IDLE)
    return pid, judge.start_time(pid)


def assert_untouched(other):
    pid, started = other
    assert judge.alive(pid) and judge.start_time(pid) == started, "the neighbour has ended"
    assert shown("neighbour")["state"] == "running", "the neighbour does not run"


def settle(seconds):
    time.sleep(seconds)
