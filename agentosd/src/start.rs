//! From the command line to a daemon that is ready, and to its end.

mod audit;
mod ending;
mod halted;
mod host;
mod leftovers;
mod programs;
mod proof;
mod returning;
mod room;
mod service_manager;

use crate::agent;
use crate::approvals::{self, Approvals};
use crate::cli::{DEFAULT_CONFIG, DEFAULT_RUN_DIR, Flags};
use crate::config::Config;
use crate::daemon::Daemon;
use crate::directories::{self, Held as Locked};
use crate::doors::Control;
use crate::events::EventLog;
use crate::gate::Gate;
use crate::group;
use crate::journal;
use crate::memory::{self, Memory};
use crate::places::{self, Places};
use crate::plan::{self, Own};
use crate::policy::Policies;
use crate::registry::Registry;
use crate::retention::{self, Retention};
use crate::services::Services;
use crate::stage::{Claims, Pool, Recipe, Spawner, slot_number};
use crate::store::Store;
use crate::transport::{Admitted, Bounds, listen, serve};
use crate::uids::{LOCKS, Uids};
use crate::{denial, preflight};
use anyhow::{Context as _, bail};
use clap::{CommandFactory as _, Parser as _};
use ending::{Closing, Ending, INTEGRITY, IntegrityFailure, Signals};
use protocol::doctor::Check;
use protocol::vfs::Quotas;
use sandbox::Nursery;
use sandbox::cgroup::Hierarchies;
use sandbox::plan::Template;
use service_manager::Held;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::mpsc;

/// Threads that run tasks; what blocks is on threads of its own.
const WORKERS: usize = 2;
/// How long threads that still work are waited for at the end.
const LAST_WORK: Duration = Duration::from_secs(1);
/// The control socket's name in the run directory.
const SOCKET: &str = "io.agentos.sock";

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    let flags = Flags::parse();
    match run(&flags) {
        Ok(code) => code,
        Err(error) => {
            journal::error(format_args!("{error:#}"));
            if error.is::<IntegrityFailure>() { ExitCode::from(INTEGRITY) } else { ExitCode::FAILURE }
        }
    }
}

fn run(flags: &Flags) -> anyhow::Result<ExitCode> {
    if flags.man {
        return manual(&mut std::io::stdout().lock()).map(|()| ExitCode::SUCCESS).context("cannot write the page");
    }
    if !rustix::process::geteuid().is_root() {
        bail!("agentosd needs root: it makes namespaces, mounts and control groups; start it with sudo");
    }
    let config = match &flags.config {
        Some(path) => Config::read(path, false)?,
        None => Config::read(Path::new(DEFAULT_CONFIG), true)?,
    };
    if flags.check_host {
        return host::check(flags.json, &config);
    }
    // The same whatever has started it: what others are to reach is opened to them by name.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    // An order that comes during the start waits until somebody takes it. Every thread is started from here, and holds them.
    sandbox::hold_orders().context("cannot hold signals back")?;
    sandbox::close_inherited_on_exec().context("cannot keep what was inherited to ourselves")?;
    // Before anything is open that it need not have.
    let spawner = Spawner::start().context("cannot start the thread that starts stages")?;
    // As it is named now: an upgrade puts another one in its place.
    let program = std::env::current_exe().context("cannot find the daemon's own program")?;
    room::raise_descriptor_limit().context("cannot raise the limit of open files")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    let served = runtime.block_on(serve_until_told(flags, (config, spawner)));
    // Everything is put away. A thread may still wait for a caller's file system, which must not keep us.
    runtime.shutdown_timeout(LAST_WORK);
    let Served { ending, terminated, gate, grounds } = served?;
    // Nothing runs any more that could have a record.
    let closed = audit::close(gate);
    match ending {
        Ending::Broken(why) => Err(audit::broken(&grounds.state.path, &why).into()),
        _ if closed.is_err() => closed.map(|()| ExitCode::FAILURE),
        Ending::Replaced => Err(ending::become_the_next(&program, terminated)),
        Ending::Whole | Ending::Leaving => Ok(ExitCode::SUCCESS),
    }
}

/// The page agentosd(8): flags from the grammar, the rest from a file.
fn manual(out: &mut dyn Write) -> std::io::Result<()> {
    let man = clap_mangen::Man::new(Flags::command());
    writeln!(out, r#".TH AGENTOSD 8 "" "Agent OS {}" "Agent OS""#, env!("CARGO_PKG_VERSION"))?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    out.write_all(include_bytes!("../../man/agentosd.8.sections"))
}

/// What is held from the start to the end.
struct Grounds {
    state: Locked,
    run: Locked,
    hierarchies: Hierarchies,
    claims: Claims,
    spawner: Spawner,
}

/// What is left at the end of everything that runs.
struct Served {
    ending: Ending,
    /// SIGTERM or SIGINT came after another order.
    terminated: bool,
    gate: Arc<Gate>,
    /// Another daemon begins when they are let go, and finds the log closed.
    grounds: Grounds,
}

/// Who keeps the control socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// It goes with us.
    Daemon,
    /// The service manager, which has it from agentosd.socket.
    Unit,
    /// The service manager, which has it from a daemon and gives it to the next.
    Store,
}

async fn serve_until_told(flags: &Flags, (config, spawner): (Config, Spawner)) -> anyhow::Result<Served> {
    // Asked for first, so that a signal during the start is not lost.
    let mut signals = Signals::catch()?;
    let (state, run) = (directories::hold(&flags.state_dir, 0o700)?, directories::hold(&flags.run_dir, 0o755)?);
    let hierarchies = Hierarchies::open(&instance(&run.path));
    let log = open_denials(config.denial_log).await;
    let checks = host::look(&hierarchies, &log, &config);
    host::refuse_missing(&checks)?;
    let claims = Claims::open(&state.path, &run.path).context("cannot prepare for stages")?;
    let grounds = Grounds { state, run, hierarchies: hierarchies?, claims, spawner };
    room::name_limits(&grounds.hierarchies, config.max_agents);
    let store = Store::open(&grounds.state.path)?;
    let gate = audit::open(&grounds.state.path, &config);
    let state = &grounds.state.path;
    let mut running = returning::find(&grounds.claims).await.inspect_err(|error| halted::note_of(state, error))?;
    let (gate, is_new) = match gate {
        Ok(gate) => gate,
        Err(error) => {
            if error.is::<IntegrityFailure>() {
                running.halt();
                halted::note_of(state, &error);
            }
            return Err(error);
        }
    };
    if is_new && !running.ids().is_empty() {
        journal::warning(format_args!(
            "a new audit log begins, although agents run that an earlier agentosd has started: theirs is not there any more"
        ));
    }
    leftovers::clear(&grounds.hierarchies, &running.groups());
    let (alive, mut all_gone) = mpsc::channel(1);
    let denials = log.map_err(|error| journal::sentence(&error));
    let daemon = Arc::new(assemble(&grounds, config, (checks, denials, alive), (store, gate, &mut running))?);
    leftovers::take_back(&daemon, running, halted::take(&grounds.state.path)).await?;
    let socket = grounds.run.path.join(SOCKET);
    let group = group::find(&daemon.config.group);
    if group.is_none() {
        let name = &daemon.config.group;
        journal::warning(format_args!("there is no group {name:?}, so only root may use the socket; groupadd {name}"));
    }
    let (listener, owner) = match service_manager::socket()? {
        Some(Held { listener, stored: false }) => (listener, Owner::Unit),
        Some(Held { listener, stored: true }) => (listener, Owner::Store),
        None => {
            let listener = listen(&socket, Admitted::Operators(group))
                .with_context(|| format!("cannot listen at {}", socket.display()))?;
            let owner = if service_manager::keep(&listener) { Owner::Store } else { Owner::Daemon };
            (listener, owner)
        }
    };
    let bounds = Bounds { admitted: Admitted::Operators(group), per_uid: daemon.config.max_connections_per_uid };
    let accepting = tokio::spawn(serve(listener, bounds, Control(Arc::clone(&daemon))));
    announce(&socket)?;
    // What is wrong is said there, and ends nobody else.
    daemon.services.reload(&daemon).unwrap_or_default();
    let ending = tokio::select! {
        ending = signals.next() => ending,
        why = daemon.gate.broken() => Ending::Broken(format!("the audit log: {why}")),
    };
    service_manager::stopping();
    accepting.abort();
    if owner == Owner::Daemon || (owner == Owner::Store && ending == Ending::Whole) {
        // At once, so that a caller reads "not running" and does not wait for an answer.
        std::fs::remove_file(&socket).with_context(|| format!("cannot remove {}", socket.display()))?;
    }
    match &ending {
        Ending::Whole => {
            journal::info(format_args!("ending, and every agent with it"));
            daemon.end_all().await;
        }
        Ending::Leaving | Ending::Replaced => {
            journal::info(format_args!("leaving; agents go on, and the next agentosd takes them back"));
            daemon.leave_all().await;
        }
        Ending::Broken(why) => daemon.halt_all(&format!("integrity failure: {why}")).await,
    }
    // The pool's handle goes with the daemon, and whoever is alive holds a sender; see `Daemon::alive`.
    let closing = Closing {
        denials: daemon.denials.clone().ok(),
        store: daemon.store.clone(),
        memory: daemon.memory.clone(),
        events: daemon.events.clone(),
    };
    let gate = Arc::clone(&daemon.gate);
    daemon.pool.close();
    drop(daemon);
    while all_gone.recv().await.is_some() {}
    closing.close(&grounds, &ending).await?;
    let terminated = signals.hold(&Ending::Whole).await;
    Ok(Served { ending, terminated, gate, grounds })
}

fn assemble(
    grounds: &Grounds,
    config: Config,
    (checks, denials, alive): (Vec<Check>, Result<denial::Log, String>, mpsc::Sender<()>),
    (store, gate, running): (Store, Arc<Gate>, &mut returning::All),
) -> anyhow::Result<Daemon> {
    let path = store.events();
    let events = EventLog::open(&path).with_context(|| format!("cannot open the event log {}", path.display()))?;
    let spans = approvals::Spans { wait: config.approval_wait, valid: config.approval_valid };
    let approvals = Approvals::open(&grounds.state.path.join("approvals"), spans, config.approval_notify.clone())?;
    let uids = match running.uids() {
        Some((init, lock)) => Uids::inherit(init, lock, config.uid_range)?,
        None => Uids::open(Path::new(LOCKS), config.uid_range)?,
    };
    if let Err(why) = &denials {
        journal::warning(format_args!("denials are not listed: {why}"));
    }
    let stage = programs::find("agentos-stage", config.stage_path.as_deref(), "stage_path")?;
    let vfs = programs::find("agentos-vfs", config.vfs_path.as_deref(), "vfs_path")?;
    let executor = programs::find("agentos-executor", config.executor_path.as_deref(), "executor_path")?;
    programs::place(&executor, &grounds.run.path.join(plan::executor::DIRECTORY), plan::executor::PROGRAM)?;
    leftovers::clear_sockets(&grounds.run.path.join(agent::SOCKETS), &running.ids())?;
    let weak = alive.downgrade();
    let policies = Policies::new(config.policy_dirs.clone(), config.default_policy.clone());
    let (preset, template, remembered) = match policies.default_profile() {
        Ok(policy) => (Some(plan::usual_limits(&policy)), plan::template(&policy), plan::quotas(&policy.memory)),
        Err(error) => {
            journal::warning(format_args!("the default policy {} cannot be used: {error}", config.default_policy));
            (None, Template::default(), Quotas::default())
        }
    };
    let memory = Memory::open(memory::Setup {
        state: grounds.state.path.clone(),
        run: grounds.run.path.clone(),
        group: group::find(&config.group),
        program: vfs,
        server: uids.server(),
        passthrough: config.vfs_passthrough,
        working: remembered.working,
        restored: remembered,
        running: running.files(),
    })?;
    let recipe = Recipe {
        memory: memory.clone(),
        program: stage,
        spawner: grounds.spawner.clone(),
        nursery: Nursery::make().context("cannot make the mounts that agents begin with")?,
        hierarchies: grounds.hierarchies.clone(),
        claims: grounds.claims.clone(),
        last_slot: running.groups().iter().filter_map(|group| slot_number(group)).max().unwrap_or(0),
        store: store.clone(),
        preset,
        template,
    };
    let places = places::Bounds { all: config.max_agents, per_user: config.max_agents_per_user };
    let kept = retention::Bounds { agents: config.max_ended_agents, bytes: config.max_ended_size };
    Ok(Daemon {
        own: Own { state: grounds.state.path.clone(), run: grounds.run.path.clone(), lacking: preflight::lacking() },
        store,
        events,
        gate,
        approvals,
        registry: Registry::default(),
        retention: Retention::new(kept),
        memory,
        pool: Pool::start(recipe, config.spares, alive).context("cannot watch the host's mounts")?,
        uids,
        policies,
        denials,
        checks,
        places: Places::new(places),
        services: Services::new(config.agents_dir.clone(), grounds.state.path.join("services")),
        alive: weak,
        ending: AtomicBool::new(false),
        config,
    })
}

async fn open_denials(wanted: bool) -> Result<denial::Log, denial::Unavailable> {
    if wanted { denial::Log::open(denial::Settings::default()).await } else { Err(denial::Unavailable::switched_off()) }
}

/// The name of this daemon's control groups: others beside it have other run directories.
fn instance(run_dir: &Path) -> String {
    if run_dir == Path::new(DEFAULT_RUN_DIR) {
        return "agentos".to_owned();
    }
    // FNV-1a: only told apart, never guarded by it; the directory itself is locked.
    let absolute = run_dir.canonicalize().unwrap_or_else(|_| run_dir.to_owned());
    let bytes = std::os::unix::ffi::OsStrExt::as_bytes(absolute.as_os_str());
    let hash = bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    format!("agentos-{hash:08x}")
}

fn announce(socket: &Path) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "agentosd ready: {}", socket.display())?;
    out.flush()?;
    service_manager::ready();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daemons_beside_each_other_have_groups_of_their_own() {
        assert_eq!(instance(Path::new(DEFAULT_RUN_DIR)), "agentos");
        let (a, b) = (instance(Path::new("/tmp/a")), instance(Path::new("/tmp/b")));
        assert_ne!(a, b);
        assert!(a.len() == "agentos-".len() + 8 && a.starts_with("agentos-"));
    }
}
