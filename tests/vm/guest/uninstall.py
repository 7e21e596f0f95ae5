"""`dpkg --purge` with agents at work leaves nothing."""

import os
from pathlib import Path

import agents
import host
import judge
from report import equal, true

# What others write by themselves: logs, the package manager, the service manager. Names of ours count there too.
OTHERS = ("/var/log/", "/var/lib/dpkg/", "/var/cache/", "/var/backups/", "/run/systemd/", "/run/udev/", "/run/log/",
          "/run/user", "/run/dpkg", "/var/lib/systemd/", "/etc/.pwd.lock", "/tmp/", "/var/tmp/")
OPERATORS = {str(host.DROP_IN), str(host.DROP_IN.parent)}
BACKUPS = {f"/etc/{name}-" for name in ["group", "gshadow", "passwd", "shadow", "subuid", "subgid"]}


def seen():
    """What the machine has, as sets of words."""
    files = set()
    for top in ["/etc", "/usr", "/var", "/run", "/opt", "/srv", "/home", "/boot"]:
        for directory, below, names in os.walk(top):
            below[:] = [name for name in below if f"{directory}/{name}" not in (str(host.FILES),)]
            files.update(f"{directory}/{name}" for name in below + names)
    units = host.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "--full").stdout.splitlines()
    known = host.run("systemctl", "list-unit-files", "--no-legend", "--full").stdout.splitlines()
    return {
        "files": {name for name in files if ours(name)},
        "units": {words.split()[0] for words in units + known if "agentos" in words and "agentos-vm" not in words},
        "processes": {f"{pid} {program}" for pid, uid, program in judge.processes()
                      if uid >= 1_900_000_000 or "agentos" in program},
        "mounts": {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()
                   if "agentos" in line.split(" ", 4)[4]},
        "groups": {str(path) for path in judge.CGROUPS.glob("**/") if "agentos" in str(path) and "-vm-" not in str(path)},
        "accounts": set(Path("/etc/group").read_text().splitlines() + Path("/etc/passwd").read_text().splitlines()),
    }


def ours(name):
    if "agentos-vm" in name or name in BACKUPS | OPERATORS:
        return False
    return "agentos" in name or not name.startswith(OTHERS)


BEFORE = {}


def remember():
    """Called before the package is there."""
    BEFORE.update(seen())


def purge_leaves_nothing():
    pid = agents.start("last", *agents.IDLE)
    with_it = seen()
    for what, there in with_it.items():
        true(there - BEFORE[what], f"the control: the package has no {what}")
    host.run("dpkg", "--purge", "agentos")
    judge.wait("the agent to be gone", lambda: not judge.alive(pid), 10)
    left = {what: sorted(there - BEFORE[what]) for what, there in seen().items()}
    equal({what: names for what, names in left.items() if names}, {}, "what is left")
    equal(host.run("systemctl", "--failed", "--no-legend", "--plain").stdout, "", "units that failed")


def can_be_installed_again():
    """Nothing stands in the way of a second life."""
    host.install(host.PACKAGE)
    if host.old_kernel():
        equal(host.run("dpkg-query", "--show", "--showformat", "${Status}", "agentos").stdout, "install ok installed",
              "dpkg's word")
    else:
        judge.wait("the daemon", lambda: host.is_active("agentosd.service") == "active")
        equal(agents.inside("/bin/echo", "hello").stdout, "hello\n", "what an agent says")
