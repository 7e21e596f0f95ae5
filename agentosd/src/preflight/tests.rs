//! Doctored facts are judged; the real host is gathered.

use super::facts::{Facts, Groups, Namespace, Uids};
use super::gather;
use super::judge::judge;
use super::{Given, missing, run};
use protocol::doctor::{Check, Status};
use sandbox::cgroup::Hierarchies;

/// One way in which a host can be worse.
type Defect = fn(&mut Facts);

fn good() -> Facts {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect();
    let place = || Some("version 2 at /sys/fs/cgroup/agentos".to_owned());
    Facts {
        release: "6.18.4".into(),
        version: (6, 18),
        landlock: 7,
        seccomp_actions: words("kill_process errno user_notif log allow"),
        seccomp_logged: words("kill_process errno"),
        namespaces: vec![Namespace { name: "user", present: true, most: Some(1000) }],
        cgroups: Ok(Groups {
            unified: "/sys/fs/cgroup/agentos".into(),
            memory: place(),
            pids: place(),
            cpu: place(),
            swap: true,
            swap_counted: true,
        }),
        file_systems: vec![("proc subset=pid", Ok(()))],
        fuse: Ok(()),
        fuse_passthrough: true,
        fuse_passthrough_optional: false,
        pidfd: true,
        memfd_noexec: true,
        denial_log: Ok(()),
        panics_on_lost_record: false,
        uid: 0,
        capabilities: u64::MAX,
        uids: Uids { range: 1000..2000, users: vec![], subordinate: vec![] },
    }
}

fn groups(facts: &mut Facts) -> &mut Groups {
    facts.cgroups.as_mut().expect("the good host has them")
}

/// The one check that a defect changes.
fn changed(defect: impl FnOnce(&mut Facts)) -> Check {
    let mut facts = good();
    defect(&mut facts);
    let mut found: Vec<Check> = judge(&facts).into_iter().filter(|check| check.status != Status::Ok).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn a_good_host_has_everything_and_no_consequence() {
    for check in judge(&good()) {
        assert_eq!((check.status, check.consequence.as_str()), (Status::Ok, ""), "{check:?}");
    }
}

#[test]
fn a_required_layer_that_is_absent_keeps_the_daemon_from_starting() {
    let defects: [(&str, Defect); 13] = [
        ("kernel", |facts| facts.version = (5, 13)),
        ("privilege", |facts| facts.uid = 1000),
        ("privilege", |facts| facts.capabilities &= !(1 << 21)),
        ("namespaces", |facts| facts.namespaces[0].most = Some(0)),
        ("cgroup memory", |facts| groups(facts).memory = None),
        ("cgroup pids", |facts| groups(facts).pids = None),
        ("cgroup kill and freeze", |facts| facts.cgroups = Err("none; mount it".into())),
        ("proc subset=pid", |facts| facts.file_systems[0].1 = Err("Invalid argument".into())),
        ("uid range", |facts| facts.uids.users.push("alice".into())),
        ("pidfd", |facts| facts.pidfd = false),
        ("FUSE", |facts| facts.fuse = Err("/dev/fuse: No such file or directory".into())),
        ("FUSE passthrough", |facts| facts.fuse_passthrough = false),
        ("seccomp", |facts| facts.seccomp_actions.clear()),
    ];
    for (layer, defect) in defects {
        let check = changed(defect);
        assert_eq!((check.layer.as_str(), check.status), (layer, Status::Missing), "{check:?}");
        assert!(check.consequence.contains(';'), "no remedy: {check:?}");
    }
}

#[test]
fn without_landlock_nothing_starts() {
    let mut facts = good();
    facts.landlock = 0;
    let checks = judge(&facts);
    assert_eq!(missing(&checks).map(|check| check.layer.as_str()).collect::<Vec<_>>(), ["landlock"]);
}

#[test]
fn an_optional_layer_that_is_absent_is_named_with_its_consequence() {
    let defects: [(&str, Defect); 8] = [
        ("FUSE passthrough", |facts| (facts.fuse_passthrough, facts.fuse_passthrough_optional) = (false, true)),
        ("cgroup cpu", |facts| groups(facts).cpu = None),
        ("swap accounting", |facts| groups(facts).swap_counted = false),
        ("memfd without execution", |facts| facts.memfd_noexec = false),
        ("denial log", |facts| facts.denial_log = Err("the kernel has no audit".into())),
        ("denial log of seccomp", |facts| facts.seccomp_logged.clear()),
        ("audit failure mode", |facts| facts.panics_on_lost_record = true),
        ("uid range", |facts| facts.uids.subordinate.push("bob".into())),
    ];
    for (layer, defect) in defects {
        let check = changed(defect);
        assert_eq!((check.layer.as_str(), check.status), (layer, Status::Degraded), "{check:?}");
        assert!(!check.consequence.is_empty());
    }
}

#[test]
fn each_landlock_abi_says_what_it_lacks() {
    let said = |abi| {
        let mut facts = good();
        facts.landlock = abi;
        let checks = judge(&facts);
        checks.into_iter().find(|check| check.layer == "landlock").expect("always there").consequence
    };
    assert!(said(3).contains("TCP") && said(3).contains("signals"));
    assert!(said(2).contains("optional_layers: [landlock_truncate, landlock_ioctl, landlock_scope]"), "{}", said(2));
    assert!(said(5).contains("optional_layers: [landlock_scope]"), "{}", said(5));
    assert!(!said(4).contains("TCP") && said(5).contains("signals"));
    assert_eq!(said(6), "");
}

#[test]
fn files_of_the_host_are_read_right() {
    assert_eq!(gather::version("6.18.44-fc-v669"), (6, 18));
    assert_eq!(gather::version("5.15-rc1"), (5, 15));
    assert_eq!(gather::version(""), (0, 0));
    assert_eq!(gather::capabilities("Name:\tx\nCapEff:\t00000000000000ff\n"), 0xff);
    let passwd = "root:x:0:0::/root:/bin/sh\nalice:x:1500:1500::/:/bin/sh\nnote\n";
    let subuid = "bob:100:900\ncarol:1900:65536\n";
    let found = gather::uids(&(1000..2000), passwd, subuid);
    assert_eq!((found.users, found.subordinate), (vec!["alice".to_owned()], vec!["carol".to_owned()]));
}

#[test]
fn this_host_can_confine_agents() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root to make control groups");
        return;
    }
    let name = format!("agentos-preflight-{}", std::process::id());
    let hierarchies = Hierarchies::open(&name).expect("control groups");
    let given = Given {
        cgroups: Ok(&hierarchies),
        denial_log: Ok(()),
        fuse_passthrough: true,
        uids: 1_900_000_000..1_900_065_536,
    };
    let checks = run(&given);
    let closed = hierarchies.close();
    for check in &checks {
        println!(
            "{:28} {:38} {:?} {} {}",
            check.layer, check.required_by, check.status, check.found, check.consequence
        );
    }
    assert_eq!(missing(&checks).collect::<Vec<_>>(), Vec::<&Check>::new());
    closed.expect("nothing of the test stays");
}
