"""Linux 6.1: what it lacks is named, refuses, and is allowed by an explicit word only."""

import json

import agents
import host
import judge
from report import equal, true

LACKING = ["landlock_truncate", "memfd_noexec", "landlock_ioctl", "landlock_scope"]


def missing_layer_is_named():
    """The daemon does not start without FUSE passthrough, and says what to do."""
    checked = host.run("agentosd", "--check-host", check=False)
    equal(checked.returncode, 8, "the exit code of --check-host")
    lines = {line.split(None, 1)[1].split(" (")[0]: line for line in checked.stdout.splitlines()}
    true(lines["FUSE passthrough"].startswith("MISSING") and "vfs_passthrough: false" in lines["FUSE passthrough"],
         lines["FUSE passthrough"])
    true(lines["landlock"].startswith("degraded") and "ABI 2" in lines["landlock"], lines["landlock"])
    for word in ["truncation", "devices", "signals and abstract sockets"]:
        true(word in lines["landlock"], f"{word} is not named: {lines['landlock']}")
    true(lines["memfd without execution"].startswith("degraded"), lines["memfd without execution"])
    true(host.is_active("agentosd.service") != "active", "it runs")
    said = host.journal("agentosd.service")
    true("FUSE passthrough" in said and "vfs_passthrough: false" in said, f"the journal: {said[-600:]}")


def daemon_starts_when_told_to():
    text = host.CONFIGURATION.read_text()
    true("#vfs_passthrough: true" in text, "the configuration does not have the key")
    host.CONFIGURATION.write_text(text.replace("#vfs_passthrough: true ", "vfs_passthrough: false"))
    host.DROP_IN.parent.mkdir()
    host.DROP_IN.write_text("[Service]\nEnvironment=AGENTOS_VFS_FLAGS=--no-passthrough\n")
    host.run("systemctl", "daemon-reload")
    host.run("systemctl", "restart", "agentos-vfs.service")
    host.run("systemctl", "reset-failed", *host.UNITS, check=False)
    host.run("systemctl", "start", "agentosd.socket", check=False)
    host.run("systemctl", "restart", "agentosd.service")
    equal(host.is_active("agentosd.service"), "active", "the daemon")


def policy_decides():
    """Without a word of the policy the start is refused, and the sentence names every layer and the remedy."""
    refused = agents.ctl("run", "--policy", "base", "--", "/bin/echo", "hello", check=False)
    true(refused.returncode != 0 and "hello" not in refused.stdout, "an agent was started without them")
    for word in [*LACKING, "optional_layers"]:
        true(word in refused.stderr, f"{word} is not named: {refused.stderr}")
    partly = agents.POLICIES / "partly.yaml"
    agents.policy("once")
    partly.write_text("extends: [base]\noptional_layers: [landlock_truncate, landlock_ioctl, memfd_noexec]\n")
    refused = agents.ctl("run", "--policy", partly, "--", "/bin/echo", "hello", check=False)
    true("landlock_scope" in refused.stderr and "landlock_ioctl" not in refused.stderr, refused.stderr)
    equal(agents.inside("/bin/echo", "hello").stdout, "hello\n", "the control: with the policy's word")


def what_is_not_enforced_is_shown():
    agents.start("weaker", *agents.IDLE)
    try:
        equal(agents.shown("weaker")["not_enforced"], LACKING, "what inspect says")
        listed = agents.ctl("ps").stdout
        for layer in LACKING:
            true(layer in listed, f"ps does not show {layer}: {listed}")
        audited = agents.ctl("audit", "log", "--json").stdout
        launches = [line for line in audited.splitlines() if "weaker" in line]
        true(any("landlock_scope" in line for line in launches), f"the audit log does not show it: {launches[:2]}")
        json.loads(launches[0])
    finally:
        agents.end("weaker")
