"""The package puts everything in place and starts it."""

import grp
import json
import os
import stat
from pathlib import Path

import host
import judge
from report import equal, true

SOCKET = Path("/run/agentos/io.agentos.sock")


def package():
    equal(host.run("getent", "group", "agentos", check=False).returncode, 2, "the control: a group before the package")
    host.install(host.PACKAGE)
    said = host.run("dpkg-query", "--show", "--showformat", "${Status}|${Conffiles}", "agentos").stdout
    true(said.startswith("install ok installed|"), f"dpkg says: {said}")
    true(str(host.CONFIGURATION) in said, f"the configuration is no conffile: {said}")
    grp.getgrnam("agentos")
    for file in ["man1/agentctl.1.gz", "man5/agentosd.yaml.5.gz", "man8/agentosd.8.gz"]:
        true(Path("/usr/share/man", file).exists() or excluded(), f"there is no {file}")
    true(Path("/usr/share/bash-completion/completions/agentctl").exists(), "there is no completion")


def excluded():
    """Small images of Debian tell dpkg to leave pages out."""
    files = Path("/etc/dpkg/dpkg.cfg.d").glob("*")
    return any("path-exclude" in file.read_text() for file in files)


def units():
    for unit in host.UNITS:
        judge.wait(f"{unit} to be active", lambda unit=unit: host.is_active(unit) == "active")
        equal(host.run("systemctl", "is-enabled", unit).stdout.strip(), "enabled", unit)
    equal(os.readlink(f"/proc/{host.main_pid('agentosd.service')}/exe"), "/usr/sbin/agentosd", "the daemon's program")


def socket():
    found = SOCKET.stat()
    equal(stat.S_IMODE(found.st_mode), 0o660, "the socket's mode")
    equal((found.st_uid, found.st_gid), (0, grp.getgrnam("agentos").gr_gid), "the socket's owner")
    nobody = host.run("setpriv", "--reuid", "nobody", "--clear-groups", "agentctl", "ps", check=False)
    true(nobody.returncode != 0, "somebody outside of the group may ask")
    host.run("agentctl", "ps")


def layers():
    """This machine has what agents need, and says so in the same words before and after the start."""
    said = host.run("agentosd", "--check-host").stdout
    for layer in ["cgroup memory", "cgroup pids", "cgroup cpu", "landlock", "seccomp", "FUSE passthrough"]:
        lines = [line for line in said.splitlines() if line.split(None, 1)[1].startswith(f"{layer} (")]
        equal(len(lines), 1, f"lines about {layer}")
        true(lines[0].startswith("ok "), f"not there: {lines[0]}")
    true("version 2 at " in said, f"no controllers of version 2: {said}")
    # What the daemon found itself: with the capabilities that its unit leaves it.
    found = {check["layer"]: check["status"] for check in json.loads(host.run("agentctl", "doctor", "--json").stdout)}
    for layer in ["privilege", "denial log", "denial log of seccomp"]:
        equal(found[layer], "ok", f"{layer} under the unit")
