"""The machine: its commands, its units, its package."""

import subprocess
from pathlib import Path

FILES = Path("/srv/tests")
PACKAGE = FILES / "agentos.deb"
# The same files under the next version.
NEXT_PACKAGE = FILES / "agentos-next.deb"
UNITS = ["agentosd.socket", "agentosd.service", "agentos-vfs.service"]
# The operator's own words on agentos-vfs.service; not the package's to remove.
DROP_IN = Path("/etc/systemd/system/agentos-vfs.service.d/passthrough.conf")
CONFIGURATION = Path("/etc/agentos/agentosd.yaml")


def run(*command, check=True, seconds=180, **more):
    """A command's result, both of its streams as text; its failure is an error unless `check` is false."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=seconds,
                          stdin=subprocess.DEVNULL, **more)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit {done.returncode}: {done.stdout}{done.stderr}")
    return done


def is_active(unit):
    return run("systemctl", "is-active", unit, check=False).stdout.strip()


def main_pid(unit):
    return int(run("systemctl", "show", "--property", "MainPID", "--value", unit).stdout)


def journal(unit):
    return run("journalctl", "--no-pager", "--output", "cat", "--unit", unit).stdout


def release():
    """`6.1` as numbers."""
    major, minor = run("uname", "-r").stdout.split(".")[:2]
    return int(major), int(minor.split("-")[0].split("+")[0])


def old_kernel():
    """Without layers that every agent has, unless its policy can do without."""
    return release() < (6, 9)


def install(package):
    return run("dpkg", "--install", package)
