//! Promise: the package installs, runs, upgrades and goes on a real Debian under a real systemd, with the kernel that Debian
//! ships and with its newest, and a kernel that lacks layers is said to.
//!
//! `tests/vm/guest` tries the promises in the machine, one line each; here it is seen that every line is there.

use tests::machine::{Kernel, Said, boot};
use tests::{is_root, skip};

/// What both kernels' machines promise.
const BOTH: [&str; 20] = [
    "install.package",
    "install.units",
    "install.socket",
    "confinement.identity",
    "confinement.namespaces",
    "confinement.files",
    "limits.place",
    "limits.memory",
    "limits.pids",
    "limits.cpu",
    "signals.stop_cont_kill",
    "restart.daemon_returns",
    "restart.agent_outlives_systemctl",
    "restart.agent_outlives_kill",
    "clock.jumps_lose_nothing",
    "clock.limits_count_what_passed",
    "upgrade.replaces_the_daemon",
    "upgrade.loses_no_line",
    "uninstall.purge_leaves_nothing",
    "uninstall.can_be_installed_again",
];

/// Only where the kernel has every layer.
const NEW: [&str; 1] = ["install.layers"];

/// Only where it has not.
const OLD: [&str; 4] = [
    "old_kernel.missing_layer_is_named",
    "old_kernel.daemon_starts_when_told_to",
    "old_kernel.policy_decides",
    "old_kernel.what_is_not_enforced_is_shown",
];

fn try_on(kernel: Kernel, besides: &[&str]) {
    if !is_root() {
        return;
    }
    match boot(kernel) {
        Ok(said) => judge(&said, besides),
        Err(why) => skip("vm", &why),
    }
}

fn judge(said: &Said, besides: &[&str]) {
    println!("{}", said.text);
    assert!(said.done, "the machine went before its tests were done:\n{}", said.text);
    for (name, why) in &said.skipped {
        skip(name, why);
    }
    assert!(said.broken.is_empty(), "{:#?}", said.broken);
    let skipped = said.skipped.iter().map(|(name, _)| name);
    let mut tried: Vec<&str> = said.ok.iter().chain(skipped).map(String::as_str).collect();
    let mut expected: Vec<&str> = BOTH.iter().chain(besides).copied().collect();
    tried.sort_unstable();
    expected.sort_unstable();
    assert_eq!(tried, expected, "what was tried is not what is promised");
}

#[test]
fn debian_with_its_newest_kernel() {
    try_on(Kernel::Backports, &NEW);
}

#[test]
fn debian_with_its_own_kernel() {
    try_on(Kernel::Stable, &OLD);
}
