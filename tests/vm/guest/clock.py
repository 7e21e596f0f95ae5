"""The host's clock is set, forwards and back, while agents work and the daemon dies. This machine's clock is ours to set."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import agents
import host
import judge
import restart
from report import equal, true

HOUR = 3600
# By so much each, in seconds; further than the two hours that the profile gives an agent.
JUMPS = (3 * HOUR, -5 * HOUR, 30, -1, 24 * HOUR, -2 * HOUR)
OUT = Path("/srv/clock")


class Clock:
    """The host's clock, which is right again at the end."""

    def __enter__(self):
        self.ahead = time.time() - time.monotonic()
        return self

    def jump(self, seconds):
        time.clock_settime(time.CLOCK_REALTIME, time.time() + seconds)

    def __exit__(self, *_):
        time.clock_settime(time.CLOCK_REALTIME, time.monotonic() + self.ahead)


def die():
    """The daemon does, and another one comes."""
    old = host.main_pid(restart.DAEMON)
    os.kill(old, signal.SIGKILL)
    restart.again(old)


def jumps_lose_nothing():
    """What the worker was told was done is done and on record, and the log of all of it verifies."""
    OUT.mkdir(mode=0o755, exist_ok=True)
    file = agents.policy("clock", profile="python", more=(
        f'filesystem: [{{path: "{OUT}", access: read}}]\n'
        f'policies: [{{action: file_write, paths: ["{OUT}/**"]}}]\n'))
    work = (host.FILES / "guest/work.py").read_text()
    agents.ctl("run", "--detach", "--name", "clock", "--policy", file, "--",
               *agents.python(work), OUT, "w")
    try:
        pid = agents.shown("clock")["pid"]
        which = judge.start_time(pid)
        works_on("at first", 0)
        with Clock() as clock:
            for number, seconds in enumerate(JUMPS):
                clock.jump(seconds)
                if number % 2:
                    die()
                works_on(f"after the clock went by {seconds} s", len(done()))
        true(judge.alive(pid) and judge.start_time(pid) == which, "it has ended")
        agents.ctl("kill", "-s", "KILL", "clock")
        wrong = [line for line in said() if "wrong" in line or line.get("there") is False]
        equal(wrong, [], "what is not as the worker was told")
        host.run("agentctl", "audit", "verify")
        log = host.run("agentctl", "audit", "log", "--json").stdout.splitlines()
        records = {record["seq"]: record["body"] for record in map(json.loads, log) if "seq" in record}
        lost = [seq for seq in done() if records.get(seq, {}).get("decision") != "allow"]
        equal(lost, [], "requests that were done and are not on record")
    finally:
        agents.end("clock")
        shutil.rmtree(OUT)


def works_on(when, before):
    """Two requests more are done than were before."""
    try:
        judge.wait("work", lambda: len(done()) >= before + 2, 120)
    except AssertionError as error:
        raise AssertionError(f"{when}: {error}; it said {said()[-3:]}") from error


def said():
    return [json.loads(line) for line in agents.ctl("logs", "clock", check=False).stdout.splitlines()]


def done():
    return [line["seq"] for line in said() if "done" in line]


def limits_count_what_passed():
    """To the next daemon an agent has lived for as long as it has, whatever the clock says."""
    agents.start("patient", *agents.IDLE, limits="wall: 1h")
    agents.start("brief", *agents.IDLE, limits="wall: 90s")
    began = time.monotonic()
    try:
        with Clock() as clock:
            clock.jump(2 * HOUR)
            die()
            equal(agents.shown("patient")["state"], "running", "the agent with an hour")
            # Control: what it has is counted, too.
            clock.jump(-4 * HOUR)
            die()
            judge.wait("the end of the agent with 90 s", lambda: agents.shown("brief")["state"] == "exited", 240)
            true(time.monotonic() - began > 85, "it was ended too early")
            equal(agents.shown("brief")["exit"]["reason"], "wall", "why it was ended")
            equal(agents.shown("patient")["state"], "running", "the agent with an hour")
    finally:
        agents.end("patient")
        agents.end("brief")
