//! One request, from the door to the reply.

use super::asked::{self, Asked, Asker, without_effect};
use super::governed::{Governed, interrupted, not_running};
use super::perform::{self, Prepared};
use super::{held, violating};
use crate::caller::Caller;
use crate::daemon::Daemon;
use crate::gate::{About, Permit, Refusal, Terms, Unsealed, Verdict};
use crate::journal;
use crate::violation::Spent;
use policies::{AccessRequest, Narrowing, Statement, Table};
use protocol::action::{ActionError, ApprovalId, Execute, ExecuteReply, RefusalReason};
use protocol::audit::{Kind, Record};
use protocol::kernel::CheckReply;
use std::sync::Arc;

/// Most narrowing policies that a request may name.
const MOST_POLICIES: usize = 16;

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// The agent, by this process of it.
    Agent {
        /// As the host numbers it.
        pid: i32,
    },
    /// An operator.
    Operator(Caller),
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Way<'a> {
    pub(super) daemon: &'a Arc<Daemon>,
    pub(super) governed: &'a Governed,
    pub(super) table: Table,
    pub(super) about: About,
}

/// Why the way ended before anything was done.
#[derive(Debug)]
pub(super) enum Ended {
    /// It is refused, and that is not on record yet.
    Refused(Refusal),
    /// The same, and an approval has to do with it.
    Approval(Refusal, ApprovalId),
    /// It is one too many.
    Spent(Spent),
    /// Nothing can be recorded.
    Unsealed(Unsealed),
}

impl From<Refusal> for Ended {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Unsealed> for Ended {
    fn from(unsealed: Unsealed) -> Self {
        Self::Unsealed(unsealed)
    }
}

/// What is decided and sealed, and may be done now.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) asked: Asked,
    pub(super) prepared: Prepared,
    pub(super) permit: Permit,
    /// Nothing may be changed: the policy says so, or what was decided about only reads.
    pub(super) read_only: bool,
}

/// How a request would be answered.
pub(crate) fn check(daemon: &Daemon, governed: &Governed, execute: &Execute) -> CheckReply {
    let terms = narrowed(governed, &execute.context.policies)
        .and_then(|table| Ok(perform::as_written(&table, &Asked::read(execute, asker(governed))?, (daemon, governed))));
    let (decision, rule, refusal) = match terms {
        Ok(Terms::Allow(allowed)) => ("allow", allowed.rule, None),
        Ok(Terms::Hold(allowed)) => ("require_approval", allowed.rule, None),
        Ok(Terms::Deny(refusal)) | Err(refusal) => ("deny", refusal.rule.clone(), Some(refusal)),
    };
    CheckReply { decision: decision.to_owned(), rule, error: refusal.map(|refusal| error_of(refusal, None)) }
}

/// Decides a request and does it. What is decided is done to its end, whoever goes away meanwhile.
pub(crate) async fn execute(
    daemon: &Arc<Daemon>,
    governed: &Arc<Governed>,
    (execute, origin): (Execute, Origin),
) -> ExecuteReply {
    let about = about(daemon, governed, (&execute, &origin));
    let request_id = about.request_id.clone();
    let mut way = Way { daemon, governed, table: governed.table.clone(), about };
    let decided = tokio::select! {
        biased;
        () = governed.running.halted() => Err(not_running().into()),
        decided = decide(&mut way, execute) => decided,
    };
    match decided {
        Ok(ready) => {
            let (daemon, governed, about) = (Arc::clone(daemon), Arc::clone(governed), way.about);
            let id = about.request_id.clone();
            let doing = tokio::spawn(async move { finish(&daemon, &governed, (ready, about)).await });
            doing.await.unwrap_or_else(|error| {
                journal::error(format_args!("an action's task ended: {error}"));
                let refusal = Refusal::new(RefusalReason::Internal, "the daemon failed at it");
                reply_of(id, None, refusal, None)
            })
        }
        Err(ended) => refuse(&way, request_id, ended).await,
    }
}

fn about(daemon: &Daemon, governed: &Governed, (execute, origin): (&Execute, &Origin)) -> About {
    let (by, pid) = match origin {
        Origin::Agent { pid } => (None, Some(*pid)),
        Origin::Operator(caller) => (Some(caller.recorded()), None),
    };
    About {
        agent: Some(governed.agent.clone()),
        by,
        attempted: super::asked::cut(&execute.action, 80),
        action: super::asked::cut(&execute.action, 80),
        request_id: daemon.gate.request_id(),
        request: None,
        digest: None,
        policy_digest: Some(governed.digest.clone()),
        without_effect: without_effect(execute, pid.is_some()),
        pid,
        approval: None,
    }
}

fn asker(governed: &Governed) -> Asker<'_> {
    Asker {
        name: governed.agent.name.as_str(),
        workspace: governed.workspace.as_deref(),
        mediation: &governed.policy.mediation,
    }
}

/// The agent's table, narrowed by what the request names.
fn narrowed(governed: &Governed, policies: &[String]) -> Result<Table, Refusal> {
    if policies.len() > MOST_POLICIES {
        let message = format!("policies: at most {MOST_POLICIES} may be named");
        return Err(Refusal::new(RefusalReason::BadParameter, message));
    }
    let known = || Narrowing::built_in_names().collect::<Vec<_>>().join(", ");
    governed.narrowed(policies).map_err(|name| {
        let message = format!("there is no policy {:?}; there is {}", super::asked::cut(&name, 80), known());
        Refusal::new(RefusalReason::UnknownPolicy, message)
    })
}

async fn decide(way: &mut Way<'_>, execute: Execute) -> Result<Ready, Ended> {
    let governed = way.governed;
    governed.admit(asked::raw_digest(&execute)).map_err(Ended::Spent)?;
    way.table = narrowed(governed, &execute.context.policies)?;
    let asked = Asked::read(&execute, asker(governed))?;
    way.about.attempted.clone_from(&asked.attempted);
    way.about.request = Some(asked.request.clone());
    if let Terms::Deny(refusal) = perform::tentative(way, &asked) {
        return Err(refusal.into());
    }
    let prepared = perform::prepare(way, &asked).await?;
    let request = prepared.request(&asked, way)?;
    let digest = prepared.digest(&asked, governed);
    way.about.digest = Some(digest.clone());
    way.about.request = Some(request.clone());
    let terms = match perform::own_script(&prepared, governed, (&way.table, &request)) {
        Some(refusal) => Terms::Deny(refusal),
        None => Terms::of(&way.table, &request),
    };
    match terms {
        Terms::Deny(refusal) => {
            // What it turned out to be is not always what was written.
            let message = prepared.named(&asked).map(|named| format!("{named}: {}", refusal.message));
            prepared.end().await;
            Err(Refusal { message: message.unwrap_or(refusal.message.clone()), ..refusal }.into())
        }
        Terms::Allow(allowed) => {
            governed.spend(&allowed.budgets)?;
            match way.daemon.gate.check(&way.table, &request, way.about.clone()).await? {
                Verdict::Allowed(permit) => Ok(ready((asked, prepared, permit), &request)),
                // The same table and the same request always give the same answer.
                Verdict::Held | Verdict::Refused { .. } => Err(inconsistent().into()),
            }
        }
        Terms::Hold(allowed) => {
            let named = execute.context.approval.clone();
            let wanted = held::Wanted { asked: &asked, digest: &digest, allowed: &allowed, named };
            let (approved, prepared) = held::until_approved(way, wanted, prepared).await?;
            governed.spend(&allowed.budgets)?;
            let permit = way.daemon.gate.approved((allowed, approved), way.about.clone()).await?;
            Ok(ready((asked, prepared, permit), &request))
        }
    }
}

fn ready((asked, prepared, permit): (Asked, Prepared, Permit), request: &AccessRequest) -> Ready {
    let read_only = permit.terms().read_only || request.statement == Some(Statement::Read);
    Ready { asked, prepared, permit, read_only }
}

fn inconsistent() -> Refusal {
    Refusal::new(RefusalReason::Internal, "the policy gave two answers to one request")
}

async fn finish(daemon: &Arc<Daemon>, governed: &Governed, (ready, about): (Ready, About)) -> ExecuteReply {
    let (seq, filtered) = (ready.permit.seq(), ready.permit.terms().filters_pii);
    let done = tokio::select! {
        biased;
        done = perform::perform(daemon, governed, ready) => done,
        () = governed.running.halted() => Err(interrupted()),
    };
    // Its process was killed, and that was heard first.
    let done = done.map_err(|refusal| match refusal.reason {
        RefusalReason::Internal if governed.running.is_halted() => interrupted(),
        _ => refusal,
    });
    let mut outcome = Record::new(Kind::Outcome, about.attempted);
    outcome.agent = about.agent;
    outcome.request_id = Some(about.request_id.clone());
    outcome.of = Some(seq);
    let reply = match done {
        Ok(mut data) => {
            let found = if filtered { policies::pii::redact_json(&mut data) } else { Vec::new() };
            let taken: Vec<String> = found.iter().map(|found| format!("{} {}", found.count, found.kind)).collect();
            let taken = if taken.is_empty() { String::new() } else { format!("; taken out: {}", taken.join(", ")) };
            outcome.outcome = Some(format!("done{taken}"));
            let request_id = about.request_id;
            ExecuteReply {
                success: true,
                data: Some(data),
                request_id,
                audit_seq: Some(seq),
                ..ExecuteReply::default()
            }
        }
        Err(refusal) => {
            outcome.outcome = Some(format!("failed: {}", refusal.message));
            outcome.reason = Some(refusal.reason.word().to_owned());
            reply_of(about.request_id, Some(seq), refusal, None)
        }
    };
    daemon.gate.note(&outcome);
    reply
}

/// Has a refusal sealed, and says it.
async fn refuse(way: &Way<'_>, request_id: String, ended: Ended) -> ExecuteReply {
    let spent = matches!(ended, Ended::Spent(_));
    let (refusal, approval) = match ended {
        Ended::Refused(refusal) => (refusal, None),
        Ended::Approval(refusal, approval) => (refusal, Some(approval)),
        Ended::Spent(spent) => (violating::refusal_of(spent), None),
        Ended::Unsealed(error) => return unsealed(request_id, &error),
    };
    let mut about = way.about.clone();
    about.approval = approval.as_ref().map(ToString::to_string);
    match way.daemon.gate.refuse(refusal.clone(), about).await {
        Ok(Verdict::Refused { refusal, seq }) => {
            let about = &way.about;
            // What an operator asks for is not the agent's doing.
            let signal = match about.pid {
                Some(pid) => violating::answer(way.governed, (&refusal, &about.attempted), (Some(pid), spent)).await,
                None => None,
            };
            ExecuteReply { signal, ..reply_of(request_id, Some(seq), refusal, approval) }
        }
        Ok(Verdict::Allowed(_) | Verdict::Held) => reply_of(request_id, None, inconsistent(), None),
        Err(error) => unsealed(request_id, &error),
    }
}

fn unsealed(request_id: String, error: &Unsealed) -> ExecuteReply {
    let message = format!("nothing was done, because it cannot be recorded: {}", journal::sentence(error));
    reply_of(request_id, None, Refusal::new(RefusalReason::AuditUnavailable, message), None)
}

fn reply_of(
    request_id: String,
    audit_seq: Option<u64>,
    refusal: Refusal,
    approval: Option<ApprovalId>,
) -> ExecuteReply {
    let error = Some(error_of(refusal, approval));
    ExecuteReply { success: false, error, request_id, audit_seq, ..ExecuteReply::default() }
}

fn error_of(refusal: Refusal, approval: Option<ApprovalId>) -> ActionError {
    let Refusal { reason, message, rule, stopped_by: _ } = refusal;
    ActionError { reason, message, rule, approval }
}
