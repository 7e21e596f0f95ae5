//! The runs that are compared: as an agent, under bubblewrap, and as root with nothing in the way.

use crate::ground::{Ground, StandIn};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use tests::exam::{Outcome, Primitive, parse};
use tests::{Daemon, Launch, stderr, stdout};

/// A column: an outcome for each primitive.
pub(crate) type Column = BTreeMap<String, Outcome>;

/// The home of every agent; the workspace's stand-in where a profile has none.
const HOME: &str = "/home/agent";
/// Everything that a careless parent leaves to its children, so that what is not inherited has been taken away: an open
/// descriptor, a directory as standard input, a variable, a group, capabilities, an ignored signal, a umask, core files.
const CARELESS: &str = "umask 0; ulimit -Hc unlimited; trap '' HUP USR1; export PROBE_SECRET=1; cd /; \
                        exec setpriv --groups 4 --inh-caps +net_raw --ambient-caps +net_raw \"$@\" 3</dev/null 0</";
/// What the profiles and the daemon put into the environment.
const ENVIRONMENT: &str = "env_allow=PATH,HOME,USER,LOGNAME,LANG,LC_ALL,LC_CTYPE,TERM,COLORTERM,NO_COLOR,TZ,AGENTOS_NAME,\
                           NODE_ENV,PYTHONUNBUFFERED,GIT_AUTHOR_NAME,GIT_AUTHOR_EMAIL,GIT_COMMITTER_NAME,\
                           GIT_COMMITTER_EMAIL,GIT_TERMINAL_PROMPT";
/// Ends the stand-in for init, so each gets one of its own.
const FATAL: &[&str] = &["launcher.init_sigterm", "launcher.init_sigkill"];

/// An agent under `profile`, and the exam's tools.
pub(crate) fn agent(ground: &Ground, daemon: &Daemon, profile: &str, what: &str) -> Column {
    let workspace = ground.path("workspace");
    let mut launch = Launch::new(ground.policy(daemon, profile)).option("--rm");
    let mut seen = Path::new(HOME);
    if profile != "base" {
        launch = launch.workspace(&workspace);
        seen = &workspace;
    }
    let probe = ground.probe();
    let mut argv = vec![probe.as_str(), "run", what, "--json", "inside=1", ENVIRONMENT];
    let words = ground.words(daemon, seen);
    argv.extend(words.iter().map(String::as_str));
    let agentctl = daemon.command(&launch.words(&argv));
    let mut line = vec![agentctl.get_program().to_string_lossy().into_owned()];
    line.extend(agentctl.get_args().map(|word| word.to_string_lossy().into_owned()));
    careless(ground, &line)
}

/// bubblewrap as hardened as its options go, with a workspace that can be written.
pub(crate) fn bubblewrap(ground: &Ground, daemon: &Daemon) -> Column {
    let workspace = ground.path("workspace").display().to_string();
    let options = "bwrap --unshare-all --die-with-parent --new-session --cap-drop ALL --ro-bind / / --dev /dev \
                   --proc /proc --tmpfs /tmp";
    let mut line: Vec<String> = options.split_whitespace().map(str::to_owned).collect();
    line.extend(["--bind", &workspace, &workspace, "--chdir", &workspace, "--"].map(str::to_owned));
    line.extend([ground.probe(), "run".into(), "all".into(), "--json".into(), "inside=1".into(), ENVIRONMENT.into()]);
    line.extend(ground.words(daemon, Path::new(&workspace)));
    careless(ground, &line)
}

/// Root on the host: the positive controls. What needs another start than root's gets it.
pub(crate) fn bare(ground: &Ground, daemon: &Daemon, primitives: &[Primitive]) -> Column {
    let words = ground.words(daemon, &ground.path("workspace"));
    let run = |before: &[&str], ids: &[&str]| {
        let stand_in = StandIn::start();
        let mut line: Vec<String> = before.iter().map(|word| (*word).to_owned()).collect();
        line.extend([ground.probe(), "run".into(), "--json".into(), "env_allow=PATH".into(), stand_in.word()]);
        line.extend(words.iter().cloned());
        line.extend(ids.iter().map(|id| (*id).to_owned()));
        careless(ground, &line)
    };
    let plain = |primitive: &&Primitive| primitive.family != "allowed" && !FATAL.contains(&primitive.id.as_str());
    let ids: Vec<&str> = primitives.iter().filter(plain).map(|primitive| primitive.id.as_str()).collect();
    // A mount table of its own: what an attempt mounts and leaves ends with it.
    let mut column = run(&["unshare", "--mount", "--propagation", "private"], &ids);
    for id in FATAL {
        column.extend(run(&[], &[id]));
    }
    let user = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", "--inh-caps=-all"];
    column.extend(run(&user, &["launcher.setuid_program", "launcher.capable_program"]));
    let setuid = ["setpriv", "--reuid", "12345", "--inh-caps", "+setuid", "--ambient-caps", "+setuid"];
    column.extend(run(&setuid, &["inheritance.setfsuid_root"]));
    column.extend(everyone(ground));
    column
}

/// kill(-1) in a process namespace of its own, with a victim in it.
fn everyone(ground: &Ground) -> Column {
    let script = "sleep 60 & exec setsid \"$0\" run processes.kill_everyone --json inside=1 host_pid=$!";
    let line = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", script, &ground.probe()];
    careless(ground, &line.map(str::to_owned))
}

/// Runs `line` as a careless parent would, on a terminal, and reads the report that it writes.
fn careless(ground: &Ground, line: &[String]) -> Column {
    let report = ground.path("report");
    let words: Vec<String> = line.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect();
    let script = format!("set -- {}\nexec >{}\n{CARELESS}\n", words.join(" "), report.display());
    let file = ground.path("start");
    fs::write(&file, script).expect("a script of our own");
    let start = format!("sh {}", file.display());
    let output = Command::new("script").args(["--quiet", "--return", "--command", &start, "/dev/null"]).output();
    let output = output.expect("script(1) of util-linux is installed");
    let text = fs::read(&report).unwrap_or_default();
    let outcomes = parse(&text);
    assert!(
        !outcomes.is_empty(),
        "the probe reported nothing ({}): {} {}\n{}",
        output.status,
        stdout(&output),
        stderr(&output),
        line.join(" ")
    );
    outcomes.into_iter().map(|outcome| (outcome.id.clone(), outcome)).collect()
}
