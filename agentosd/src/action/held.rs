//! An action that a person has to approve: it is held until that is decided, and is then the one that was shown.

use super::asked::{Asked, Exec, FileAct, Work};
use super::execute::{Ended, Way};
use super::perform::{self, Prepared};
use crate::agent::now;
use crate::approvals::{Approved, Standing};
use crate::gate::{Allowed, Refusal};
use protocol::action::{ApprovalId, RefusalReason};
use protocol::approval::{Approval, ApprovalState};
use protocol::audit::{Answer, Kind, Record, StoppedBy};
use protocol::ids::AgentId;

/// Bytes of a content that a person is shown.
const MOST_CONTENT: usize = 16 << 10;

/// What needs an approval.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) asked: &'a Asked,
    pub(super) digest: &'a str,
    pub(super) allowed: &'a Allowed,
    /// The one that the request refers to.
    pub(super) named: Option<ApprovalId>,
}

/// Uses the approval up, after it was waited for if need be. What was open is closed meanwhile, and must be the same after.
pub(super) async fn until_approved(
    way: &mut Way<'_>,
    wanted: Wanted<'_>,
    prepared: Prepared,
) -> Result<(Approved, Prepared), Ended> {
    let (approvals, agent) = (&way.daemon.approvals, way.governed.agent.name.as_str());
    let id = match &wanted.named {
        Some(id) => id.clone(),
        None => ask(way, &wanted, &prepared).await?,
    };
    way.about.approval = Some(id.to_string());
    let refused = |refusal| Ended::Approval(refusal, id.clone());
    if let Standing::Approved(approved) = approvals.take(&id, agent, wanted.digest).map_err(refused)? {
        return Ok((approved, prepared));
    }
    prepared.end().await;
    approvals.decided(&id).await;
    let prepared = perform::prepare(way, wanted.asked).await?;
    if prepared.digest(wanted.asked, way.governed) != wanted.digest {
        prepared.end().await;
        let message = format!("what {id} was shown for has changed meanwhile; ask again");
        return Err(refused(Refusal::new(RefusalReason::ApprovalActionMismatch, message)));
    }
    match approvals.take(&id, agent, wanted.digest).map_err(refused)? {
        Standing::Approved(approved) => Ok((approved, prepared)),
        Standing::Pending => {
            let message = "nobody has decided about it".to_owned();
            Err(refused(Refusal::new(RefusalReason::ApprovalTimeout, message)))
        }
    }
}

/// Has a person asked, which is on record.
async fn ask(way: &Way<'_>, wanted: &Wanted<'_>, prepared: &Prepared) -> Result<ApprovalId, Ended> {
    let agent = &way.governed.agent;
    let approval = Approval {
        id: ApprovalId::new(0),
        agent: agent.name.clone(),
        run: agent.id.unwrap_or(AgentId(0)),
        owner: agent.owner,
        state: ApprovalState::Pending,
        action: wanted.asked.action.to_string(),
        summary: wanted.asked.attempted.clone(),
        details: details(wanted.asked, prepared)?,
        rule: wanted.allowed.rule.clone().unwrap_or_default(),
        digest: wanted.digest.to_owned(),
        subject_state: prepared.state(),
        created_us: now(),
        expires_us: now(),
        by: None,
        note: None,
    };
    let id = way.daemon.approvals.want(approval)?;
    let mut record = Record::new(Kind::Approval, wanted.asked.attempted.clone());
    record.agent = Some(agent.clone());
    record.decision = Some(Answer::Hold);
    record.stopped_by = Some(StoppedBy::Approval);
    record.rule.clone_from(&wanted.allowed.rule);
    record.action = Some(wanted.asked.action.to_string());
    record.action_digest = Some(wanted.digest.to_owned());
    record.request_id = Some(way.about.request_id.clone());
    record.approval = Some(id.to_string());
    record.policy_digest.clone_from(&way.about.policy_digest);
    record.without_effect.clone_from(&way.about.without_effect);
    way.daemon.gate.seal(&record).await.map(drop)?;
    Ok(id)
}

/// Everything that a person has to see: the difference, the program with all that it gets, the statement.
fn details(asked: &Asked, prepared: &Prepared) -> Result<String, Refusal> {
    match &asked.work {
        Work::Exec(exec) => Ok(of_program(exec, prepared)),
        Work::File(_, FileAct::Write { content, .. }) => of_write(content, prepared),
        Work::Query(query) => {
            let parameters = serde_json::Value::from(query.parameters.clone());
            Ok(format!("{}\nparameters: {parameters}", query.query))
        }
        Work::File(..) | Work::Registered | Work::Unavailable(_) => {
            let params = serde_json::to_string_pretty(&asked.params).unwrap_or_default();
            Ok(prepared.preview().map_or(params.clone(), |preview| format!("{preview}\n{params}")))
        }
    }
}

/// Each word as JSON, so that none can pass for two.
fn of_program(exec: &Exec, prepared: &Prepared) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut lines = vec![format!("program: {}", prepared.program().map_or_else(String::new, quoted))];
    lines.extend(prepared.interpreters().iter().map(|path| format!("run by: {}", quoted(path))));
    lines.extend(exec.argv.iter().map(|word| format!("argument: {}", quoted(word))));
    lines.push(format!("directory: {}", exec.cwd.as_deref().map_or_else(|| "the agent's".to_owned(), quoted)));
    lines.push(format!("standard input: {}", quoted(&exec.stdin)));
    lines.join("\n")
}

/// What cannot be shown whole cannot be approved.
fn of_write(content: &[u8], prepared: &Prepared) -> Result<String, Refusal> {
    let preview = prepared.preview().unwrap_or_default();
    if content.len() > MOST_CONTENT {
        let message = format!("{} bytes are more than a person is shown; at most {MOST_CONTENT}", content.len());
        return Err(Refusal::new(RefusalReason::TooLarge, message));
    }
    let shown = std::str::from_utf8(content).is_ok() && preview.contains("+++ ");
    let whole = || format!("{preview}\nall of the content, escaped:\n{}", protocol::text::escape_bytes(content));
    Ok(if shown { preview.clone() } else { whole() })
}
