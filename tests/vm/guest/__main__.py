"""The tests of the package on this machine, in their order: each line is one promise."""

import clock
import confinement
import host
import install
import limits
import old_kernel
import report
import restart
import signals
import uninstall
import upgrade

report.say(f"# {host.run('uname', '-r').stdout.strip()}")
uninstall.remember()

if report.run(install.package):
    old = [old_kernel.missing_layer_is_named, old_kernel.daemon_starts_when_told_to, old_kernel.policy_decides,
           old_kernel.what_is_not_enforced_is_shown]
    for promise in old if host.old_kernel() else []:
        report.run(promise)
    promises = [
        install.units, install.socket, *([] if host.old_kernel() else [install.layers]),
        confinement.identity, confinement.namespaces, confinement.files,
        limits.place, limits.memory, limits.pids, limits.cpu,
        signals.stop_cont_kill,
        restart.daemon_returns, restart.agent_outlives_systemctl, restart.agent_outlives_kill,
        clock.jumps_lose_nothing, clock.limits_count_what_passed,
        upgrade.replaces_the_daemon, upgrade.loses_no_line,
        uninstall.purge_leaves_nothing, uninstall.can_be_installed_again,
    ]
    held = [report.run(promise) for promise in promises]
    if not all(held):
        # For whoever looks for the reason.
        for line in host.run("journalctl", "--no-pager", "--output", "short-monotonic", "--lines", 150).stdout.splitlines():
            report.say(f"# {line}")
report.say("# done")
