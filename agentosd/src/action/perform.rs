//! Preparing an action and doing it: which process, with which rights, and what it is told.

use super::asked::{Asked, Exec, FileAct, Work};
use super::execute::{Ready, Way};
use super::governed::{Doing, Governed};
use super::job::Job;
use super::{database, programs, registered, reserved};
use crate::daemon::Daemon;
use crate::gate::{Allowed, Refusal, Terms};
use crate::plan::executor::{self, LIMITS, Use, Whom};
use policies::{AccessRequest, RequestPath, Size, Statement, Table};
use protocol::action::RefusalReason;
use protocol::audit::StoppedBy;
use protocol::bytes::Bytes;
use protocol::executor::{Bounds, MAX_CONTENT, Order, Prepared as Seen, Report, Task};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long the executor may look before it says what an action is about.
const LOOKING: Duration = Duration::from_secs(30);
/// How long an action may take that says nothing about it, and the most that it may say.
const USUAL_MS: u64 = 60_000;
const MOST_MS: u64 = 600_000;
/// What is waited for beyond that where the executor keeps its own time.
const GRACE: Duration = Duration::from_secs(5);
/// Bytes of a result unless the policy allows less.
pub(super) const MOST_RESULT: u64 = 1 << 20;

/// An action that only waits to be done.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The process that has everything open; none for a command of the operator's.
    job: Option<Job>,
    seen: Seen,
}

/// What the text of a request alone comes to. A program's path is known later, and so decided later.
pub(super) fn tentative(way: &Way<'_>, asked: &Asked) -> Terms {
    if let Work::File(path, act) = &asked.work
        && let Some(refusal) = reserved::refuse(path, use_of(act), (way.governed, &way.daemon.own))
    {
        return Terms::Deny(refusal);
    }
    by_text(&way.table, asked)
}

/// What a request comes to for somebody who only wants to know: a program counts by the path that is written.
pub(super) fn as_written(table: &Table, asked: &Asked, (daemon, governed): (&Daemon, &Governed)) -> Terms {
    let reserved = match &asked.work {
        Work::File(path, act) => reserved::refuse(path, use_of(act), (governed, &daemon.own)),
        _ => None,
    };
    match (&asked.work, reserved) {
        (_, Some(refusal)) => Terms::Deny(refusal),
        (Work::Exec(_), None) if asked.request.program.is_some() => Terms::of(table, &asked.request),
        (Work::Exec(_), None) if table.programs().is_some() => {
            let message = "a program is judged by its path; a name is looked up when it is started";
            Terms::Deny(Refusal::new(RefusalReason::IncompleteRequest, message))
        }
        _ => by_text(table, asked),
    }
}

/// What the table says about the text.
fn by_text(table: &Table, asked: &Asked) -> Terms {
    match &asked.work {
        Work::Exec(_) if table.programs().is_none() => {
            Terms::Deny(Refusal::new(RefusalReason::NothingGranted, "no rule allows any program"))
        }
        Work::Exec(_) => Terms::Allow(Allowed::default()),
        Work::Unavailable(why) => match Terms::of(table, &asked.request) {
            Terms::Deny(refusal) => Terms::Deny(refusal),
            _ => Terms::Deny(Refusal::new(RefusalReason::NotAvailable, *why)),
        },
        Work::File(..) | Work::Query(_) | Work::Registered => Terms::of(table, &asked.request),
    }
}

/// Opens what the action is about, in a process that has its rights and none besides.
pub(super) async fn prepare(way: &Way<'_>, asked: &Asked) -> Result<Prepared, Refusal> {
    let Some((plan, task)) = planned(way, asked)? else { return Ok(Prepared { job: None, seen: Seen::default() }) };
    // A program has the agent's limits; what else is done is ours.
    let bounds = match asked.work {
        Work::Exec(_) => (&way.governed.limits, Doing::Program),
        _ => (&LIMITS, Doing::Executor),
    };
    let mut job = Job::start(way.daemon, way.governed, (plan, bounds.0, bounds.1)).await?;
    let looking = async {
        job.say(&Order::Prepare { task, preview: true }).await?;
        job.hear().await
    };
    let report = tokio::time::timeout(LOOKING, looking).await;
    let refusal = match report {
        Ok(Ok(Report::Prepared(seen))) => return Ok(Prepared { job: Some(job), seen }),
        Ok(Ok(Report::Refused { reason, message })) => by_executor(reason, message),
        Ok(Ok(Report::Done { .. })) => Refusal::new(RefusalReason::Internal, "the executor did something unasked"),
        Ok(Err(refusal)) => refusal,
        Err(_) => Refusal::new(RefusalReason::Timeout, "it took too long to open"),
    };
    job.end().await;
    Err(refusal)
}

fn planned(way: &Way<'_>, asked: &Asked) -> Result<Option<(sandbox::plan::Plan, Task)>, Refusal> {
    let (daemon, governed) = (way.daemon, way.governed);
    let whom = whom(daemon, governed);
    Ok(Some(match &asked.work {
        Work::File(path, act) => on_file(way, whom, (asked, path, act))?,
        Work::Exec(exec) => on_program(way, whom, exec),
        Work::Query(query) => database::planned(&daemon.config.databases, whom, (&way.table, asked, query))?,
        Work::Registered | Work::Unavailable(_) => return Ok(None),
    }))
}

fn whom<'a>(daemon: &'a Daemon, governed: &'a Governed) -> Whom<'a> {
    Whom { agent: governed.plan.agent.uid, init: governed.plan.init.uid, caller: &governed.caller, own: &daemon.own }
}

fn on_file(
    way: &Way<'_>,
    whom: Whom<'_>,
    (asked, path, act): (&Asked, &Path, &FileAct),
) -> Result<(sandbox::plan::Plan, Task), Refusal> {
    let how = use_of(act);
    let (plan, root) = if asked.action.as_str().starts_with("memory_") {
        if way.governed.plan.parts.is_empty() {
            return Err(Refusal::new(RefusalReason::NotAvailable, "the agent has no memory, or does not run"));
        }
        let top: PathBuf = path.components().take(2).collect();
        (executor::on_memory(whom, &way.governed.plan.parts), inside(&top))
    } else {
        let root = root(&way.table, &asked.request, (path, how));
        let in_workspace = way.governed.workspace.as_ref().is_some_and(|workspace| root.starts_with(workspace));
        match (how, whom.caller.is_root() && !in_workspace) {
            // Root may read everything; what it has granted to read is not thereby what only root may.
            (Use::Read, true) => (executor::on_host_as_anybody(whom, &root), root),
            _ => (executor::on_host(whom, &root, how), root),
        }
    };
    let path = if asked.action.as_str().starts_with("memory_") { inside(path) } else { path.to_owned() };
    let text = |path: &Path| {
        path.to_str()
            .map(str::to_owned)
            .ok_or_else(|| Refusal::new(RefusalReason::BadParameter, "the path is not UTF-8"))
    };
    let (root, path) = (text(&root)?, text(&path)?);
    let task = match act {
        FileAct::Read { offset, length } => Task::FileRead { root, path, offset: *offset, length: *length },
        FileAct::Write { content, mode } => {
            Task::FileWrite { root, path, content: Bytes(content.clone()), mode: *mode }
        }
        FileAct::Delete => Task::FileDelete { root, path },
        FileAct::List => Task::ListDirectory { root, path },
    };
    Ok((plan, task))
}

fn use_of(act: &FileAct) -> Use {
    if matches!(act, FileAct::Read { .. } | FileAct::List) { Use::Read } else { Use::Write }
}

/// `/mem` and `/state` are links inside, and lead here; the other way round for what the executor says of them.
const REMEMBERED: &str = "/.agentos/write";

fn inside(path: &Path) -> PathBuf {
    Path::new(REMEMBERED).join(path.strip_prefix("/").unwrap_or(path))
}

fn outside(path: &Path) -> PathBuf {
    path.strip_prefix(REMEMBERED).map_or_else(|_| path.to_owned(), |rest| Path::new("/").join(rest))
}

/// The directory, or for reading the file, that nothing is followed out of: the most that one rule is about, and no more than
/// the directory where a rule names no path.
fn root(table: &Table, request: &AccessRequest, (path, how): (&Path, Use)) -> PathBuf {
    let above = path.parent().unwrap_or(path).to_owned();
    let named = table.roots(request).into_iter().next().filter(|root| root.parent().is_some());
    match named {
        Some(root) if root == path && how == Use::Write => above,
        Some(root) => root,
        None => above,
    }
}

fn on_program(way: &Way<'_>, whom: Whom<'_>, exec: &Exec) -> (sandbox::plan::Plan, Task) {
    let governed = way.governed;
    let programs = way.table.programs().unwrap_or_default();
    let plan = executor::on_program(whom, &governed.plan, &programs);
    let env = programs::environment(&governed.plan.process.env);
    let cwd = exec.cwd.clone().unwrap_or_else(|| governed.plan.process.cwd.display().to_string());
    let task = Task::Exec { argv: exec.argv.clone(), search: programs::search(&env), env, cwd };
    (plan, task)
}

/// A refusal of the executor's: the view, the file system or the database stopped it.
fn by_executor(reason: RefusalReason, message: String) -> Refusal {
    let stopped_by = match reason {
        RefusalReason::PathEscapes | RefusalReason::NotFound | RefusalReason::WrongType => StoppedBy::Mount,
        _ => StoppedBy::Policy,
    };
    Refusal { stopped_by, ..Refusal::new(reason, message) }
}

impl Prepared {
    /// The request with what the action turned out to be about.
    pub(super) fn request(&self, asked: &Asked, way: &Way<'_>) -> Result<AccessRequest, Refusal> {
        let mut request = asked.request.clone();
        let wrong = |error: policies::RequestError| Refusal::new(RefusalReason::PathEscapes, error.to_string());
        if !self.seen.paths.is_empty() {
            let how = if let Work::File(_, act) = &asked.work { use_of(act) } else { Use::Read };
            let paths: Vec<PathBuf> = self.seen.paths.iter().map(|path| outside(Path::new(path))).collect();
            if let Some(refusal) =
                paths.iter().find_map(|path| reserved::refuse(path, how, (way.governed, &way.daemon.own)))
            {
                return Err(refusal);
            }
            request.paths = paths.iter().map(|path| RequestPath::new(path)).collect::<Result<_, _>>().map_err(wrong)?;
        }
        if let Some(program) = &self.seen.program {
            request.program = Some(RequestPath::new(Path::new(program)).map_err(wrong)?);
        }
        if request.size.is_none() {
            request.size = self.seen.size.map(Size::of_bytes);
        }
        if matches!(asked.work, Work::Query(_)) {
            request.statement = Some(self.statement(&request, &way.table));
        }
        Ok(request)
    }

    /// What a statement does. Where only the server knows, it is what may be done: what may only be read is asked for in a
    /// transaction that can only read.
    fn statement(&self, request: &AccessRequest, table: &Table) -> Statement {
        match self.seen.reads {
            Some(true) => Statement::Read,
            Some(false) => Statement::Write,
            None => {
                let writing = AccessRequest { statement: Some(Statement::Write), ..request.clone() };
                if matches!(Terms::of(table, &writing), Terms::Deny(_)) { Statement::Read } else { Statement::Write }
            }
        }
    }

    /// The digest of the action as it would be done.
    pub(super) fn digest(&self, asked: &Asked, governed: &Governed) -> String {
        let Seen { paths, program, interpreters, state, .. } = &self.seen;
        let about = json!({"paths": paths, "program": program, "interpreters": interpreters, "state": state});
        asked.digest((&governed.agent, &governed.digest), &about)
    }

    /// What the action turned out to be about, when that is another name than was asked for.
    pub(super) fn named(&self, asked: &Asked) -> Option<String> {
        let named = self.seen.program.clone().or_else(|| self.seen.paths.first().cloned())?;
        let named = outside(Path::new(&named)).display().to_string();
        let asked = match &asked.work {
            Work::File(path, _) => path.display().to_string(),
            Work::Exec(exec) => exec.argv.first().cloned().unwrap_or_default(),
            Work::Query(_) | Work::Registered | Work::Unavailable(_) => return None,
        };
        (named != asked).then_some(named)
    }

    /// What is there now and would be changed.
    pub(super) fn state(&self) -> Option<String> {
        self.seen.state.clone()
    }

    /// The program that would be started.
    pub(super) fn program(&self) -> Option<&str> {
        self.seen.program.as_deref()
    }

    /// The interpreters of a script that would be started.
    pub(super) fn interpreters(&self) -> &[String] {
        &self.seen.interpreters
    }

    /// What would happen, for a person.
    pub(super) fn preview(&self) -> Option<String> {
        self.seen.preview.clone()
    }

    /// Closes everything; nothing was done.
    pub(super) async fn end(self) {
        if let Some(job) = self.job {
            job.end().await;
        }
    }
}

/// A script in a place where the agent writes is whatever the agent wants: what runs it has to be allowed too. One that only
/// the operator writes is a program like any other.
pub(super) fn own_script(
    prepared: &Prepared,
    governed: &Governed,
    (table, request): (&Table, &AccessRequest),
) -> Option<Refusal> {
    let script = prepared.seen.program.as_deref()?;
    let interpreters = &prepared.seen.interpreters;
    if interpreters.is_empty() || !programs::may_write(&governed.plan, Path::new(script)) {
        return None;
    }
    interpreters.iter().find_map(|interpreter| {
        let program = RequestPath::new(Path::new(interpreter)).ok();
        let argv = std::iter::once(script.to_owned()).chain(request.argv.iter().cloned()).collect();
        match Terms::of(table, &AccessRequest { program, argv, ..request.clone() }) {
            Terms::Allow(_) => None,
            Terms::Hold(_) => Some(Refusal::new(
                RefusalReason::NothingGranted,
                format!("{script} is run by {interpreter}, which needs an approval of its own"),
            )),
            Terms::Deny(refusal) => {
                let message = format!("{script} is run by {interpreter}: {}", refusal.message);
                Some(Refusal { message, ..refusal })
            }
        }
    })
}

/// Does it.
pub(super) async fn perform(daemon: &Arc<Daemon>, governed: &Governed, ready: Ready) -> Result<Value, Refusal> {
    let Ready { asked, prepared, permit, read_only } = ready;
    let terms = permit.terms();
    let most = terms.max_bytes.unwrap_or(MOST_RESULT).min(MAX_CONTENT);
    let Some(mut job) = prepared.job else {
        return registered::perform(daemon, governed, (&asked, most)).await;
    };
    let timeout = match &asked.work {
        Work::Exec(exec) => Duration::from_millis(exec.timeout_ms.unwrap_or(USUAL_MS).min(MOST_MS)),
        _ => Duration::from_millis(USUAL_MS),
    };
    // A program is ended from here; the executor keeps its own time.
    let grace = if matches!(asked.work, Work::Exec(_)) { Duration::ZERO } else { GRACE };
    let bounds = Bounds {
        read_only,
        max_bytes: terms.max_bytes,
        timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(MOST_MS),
        state: prepared.seen.state,
        executables: programs::further(&governed.table),
    };
    let doing = async move {
        job.say(&Order::Perform { bounds }).await?;
        if let Work::Exec(exec) = &asked.work {
            let ended = job.collect(exec.stdin.as_bytes(), most).await?;
            return programs::outcome(&ended);
        }
        let report = job.hear().await;
        job.end().await;
        match report? {
            Report::Done { data } => Ok(data),
            Report::Refused { reason, message } => Err(by_executor(reason, message)),
            Report::Prepared(_) => Err(Refusal::new(RefusalReason::Internal, "the executor did not do it")),
        }
    };
    let late = |_| Refusal::new(RefusalReason::Timeout, format!("it took longer than {} ms", timeout.as_millis()));
    tokio::time::timeout(timeout + grace, doing).await.map_err(late)?
}
