//! An action that a person has to approve: it is held until that is decided, and is then the one that was shown.

use super::asked::{Asked, Work};
use super::execute::{Ended, Way};
use super::perform::{self, Prepared};
use crate::agent::now;
use crate::approvals::{Approved, Standing};
use crate::gate::{Allowed, Refusal};
use protocol::action::{ApprovalId, RefusalReason};
use protocol::approval::{Approval, ApprovalState};
use protocol::audit::{Answer, Kind, Record, StoppedBy};
use protocol::ids::AgentId;

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
    if prepared.digest(wanted.asked, &way.governed.agent) != wanted.digest {
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
        details: details(wanted.asked, prepared),
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

/// Everything that a person has to see: the difference, the arguments, the statement.
fn details(asked: &Asked, prepared: &Prepared) -> String {
    if let Some(preview) = prepared.preview() {
        return preview;
    }
    match &asked.work {
        Work::Query(query) => {
            let parameters = serde_json::Value::from(query.parameters.clone());
            let parameters =
                if query.parameters.is_empty() { String::new() } else { format!("\nparameters: {parameters}") };
            format!("{}{parameters}", query.query)
        }
        Work::Exec(exec) => exec.argv.join("\n"),
        Work::File(..) | Work::Registered | Work::Unavailable(_) => {
            serde_json::to_string_pretty(&asked.params).unwrap_or_default()
        }
    }
}
