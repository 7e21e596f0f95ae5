"""`dpkg -i` of the next version, while agents work."""

import os

import agents
import host
import judge
from report import equal, true

COUNT = ("/bin/sh", "-c", "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done")


def version():
    return host.run("dpkg-query", "--show", "--showformat", "${Version}", "agentos").stdout


def replaces_the_daemon():
    """The new program runs, the configuration is as it was."""
    first, old = version(), host.main_pid("agentosd.service")
    with host.CONFIGURATION.open("a") as file:
        file.write("# a word of the operator's\n")
    server = host.main_pid("agentos-vfs.service")
    host.install(host.NEXT_PACKAGE)
    true(version() != first, f"the version is still {first}")
    new = host.main_pid("agentosd.service")
    true(new not in (0, old), "the daemon is the old one")
    equal(os.readlink(f"/proc/{new}/exe"), "/usr/sbin/agentosd", "its program")
    true("a word of the operator's" in host.CONFIGURATION.read_text(), "the configuration is another")
    equal(host.main_pid("agentos-vfs.service"), server, "the server of agents' files")
    equal(agents.inside("/bin/echo", "hello").stdout, "hello\n", "what an agent says afterwards")


def loses_no_line():
    """An agent that writes all the time writes on, and every line is there once and in its order."""
    pid = agents.start("writer", *COUNT)
    try:
        which = judge.start_time(pid)
        judge.wait("its lines", lambda: len(lines()) > 20)
        # Down again and up: either way files are replaced and the daemon is restarted.
        host.run("dpkg", "--install", "--force-downgrade", host.PACKAGE)
        host.install(host.NEXT_PACKAGE)
        true(judge.alive(pid) and judge.start_time(pid) == which, "it has ended")
        seen = len(lines())
        judge.wait("lines after the upgrade", lambda: len(lines()) > seen + 20)
        found = lines()
        equal(found, [f"line {number}" for number in range(1, len(found) + 1)], "its lines")
    finally:
        agents.end("writer")


def lines():
    return agents.ctl("logs", "writer", check=False).stdout.splitlines()
