//! Actions for operators, approvals, and the audit log.

use super::Control;
use super::listing::Page;
use crate::action::{self, Origin};
use crate::caller::Caller;
use crate::daemon::internal;
use crate::gate;
use crate::transport::{Ended, Outgoing, aside};
use protocol::action::{Execute, ExecuteReply};
use protocol::approval::{Approval, ApprovalState};
use protocol::audit::{AgentRef, Answer, Kind, Record};
use protocol::control::{
    Approvals, ApprovalsReply, AuditLog, AuditLogReply, AuditStatusReply, DecideApproval, Perform,
};
use protocol::error::ControlError;
use trust::log::Reader;

/// Records that are looked through at once.
const STEP: usize = 2000;

impl Control {
    pub(super) async fn perform(
        &self,
        perform: Perform,
        caller: &Caller,
        out: &mut Outgoing<'_>,
    ) -> Result<ExecuteReply, Ended> {
        let Perform { action, params, context, policy } = perform;
        let governed = self.0.governed(&context, policy, caller)?;
        let execute = Execute { action, params, context };
        let doing = action::execute(&self.0, &governed, (execute, Origin::Operator(caller.clone())));
        Ok(out.unless_closed(doing).await?)
    }

    pub(super) fn audit_status(&self) -> AuditStatusReply {
        let gate = &self.0.gate;
        let status = gate.status();
        AuditStatusReply {
            directory: gate.directory().display().to_string(),
            key: gate.key(),
            size: status.size,
            oldest: status.oldest,
            trouble: status.trouble.map(|trouble| crate::journal::sentence(&trouble)),
        }
    }

    /// Records of the caller's agents; of all for root.
    pub(super) async fn audit_log(
        &self,
        asked: AuditLog,
        caller: &Caller,
        out: &mut Outgoing<'_>,
    ) -> Result<(), Ended> {
        if asked.follow {
            out.require_more()?;
        }
        let gate = &self.0.gate;
        let status = gate.status();
        let from = match (asked.from, asked.last) {
            (Some(from), _) => from.max(status.oldest),
            // Of somebody else's records none is shown, so that the last of one's own may be long ago.
            (None, Some(last)) if caller.is_root() && asked.name.is_none() => {
                status.size.saturating_sub(last).max(status.oldest)
            }
            (None, _) => status.oldest,
        };
        let wanted = |record: &Record| {
            let named = |agent: &AgentRef| asked.name.as_ref().is_none_or(|name| *name == agent.name);
            match &record.agent {
                Some(agent) => (caller.is_root() || agent.owner == caller.uid) && named(agent),
                None => caller.is_root() && asked.name.is_none(),
            }
        };
        let mut grown = gate.grown();
        let mut reader = aside(|| Reader::open(gate.directory(), from)).map_err(|error| internal(&error))?;
        let mut tail = Tail::new(asked.last.filter(|_| asked.from.is_none()));
        let mut page = Page::default();
        loop {
            reader.up_to(*grown.borrow_and_update());
            while let Some(lines) = aside(|| step(&mut reader, wanted)).map_err(|error| internal(&error))? {
                for line in lines {
                    let Some(line) = tail.pass(line) else { continue };
                    let Some(records) = page.add(line) else { continue };
                    if !out.more() {
                        return out.last(&AuditLogReply { records }).await;
                    }
                    out.page(&AuditLogReply { records }).await?;
                }
                tokio::task::yield_now().await;
            }
            for line in tail.end() {
                if let Some(records) = page.add(line) {
                    out.page(&AuditLogReply { records }).await?;
                }
            }
            let records = page.take();
            if !asked.follow {
                return out.last(&AuditLogReply { records }).await;
            }
            if !records.is_empty() {
                out.next(&AuditLogReply { records }).await?;
            }
            // The gate lives as long as we do.
            drop(out.unless_closed(grown.changed()).await?);
        }
    }

    pub(super) async fn approvals(
        &self,
        asked: Approvals,
        caller: &Caller,
        out: &mut Outgoing<'_>,
    ) -> Result<(), Ended> {
        let mut changed = self.0.approvals.follow();
        loop {
            changed.borrow_and_update();
            let (mut approvals, refused) = self.0.approvals.list(asked.all || asked.id.is_some(), caller);
            if let Some(id) = &asked.id {
                approvals.retain(|approval| approval.id == *id);
                if approvals.is_empty() {
                    return Err(ControlError::NoSuchApproval { id: id.to_string() }.into());
                }
            }
            if !asked.follow {
                return self.list_approvals(approvals, refused, out).await;
            }
            out.require_more()?;
            out.next(&ApprovalsReply { approvals, refused }).await?;
            drop(out.unless_closed(changed.changed()).await?);
        }
    }

    async fn list_approvals(
        &self,
        approvals: Vec<Approval>,
        refused: u64,
        out: &mut Outgoing<'_>,
    ) -> Result<(), Ended> {
        let mut page = Page::default();
        for approval in approvals {
            let Some(approvals) = page.add(approval) else { continue };
            if !out.more() {
                return out.last(&ApprovalsReply { approvals, refused }).await;
            }
            out.page(&ApprovalsReply { approvals, refused }).await?;
        }
        out.last(&ApprovalsReply { approvals: page.take(), refused }).await
    }

    /// On record before it holds. The record of one that could not be decided stays, as what was attempted.
    pub(super) async fn decide_approval(
        &self,
        decision: DecideApproval,
        caller: &Caller,
    ) -> Result<Approval, ControlError> {
        let (known, _) = self.0.approvals.list(true, caller);
        let known = known.into_iter().find(|approval| approval.id == decision.id);
        let none = || ControlError::NoSuchApproval { id: decision.id.to_string() };
        let known = known.ok_or_else(none)?;
        let verb = if decision.approve { "approve" } else { "deny" };
        let mut record = Record::new(Kind::Approval, format!("{verb} {}", known.summary));
        let (name, id, owner) = (known.agent.clone(), Some(known.run), known.owner);
        record.agent = Some(AgentRef { name, id, uid: None, owner });
        record.by = Some(caller.recorded());
        record.decision = Some(if decision.approve { Answer::Allow } else { Answer::Deny });
        record.action = Some(known.action.clone());
        record.action_digest = Some(decision.digest.clone());
        record.approval = Some(decision.id.to_string());
        record.reason.clone_from(&decision.note);
        let may = known.state == ApprovalState::Pending && known.digest == decision.digest;
        if may {
            self.0.gate.seal(&record).await.map(drop).map_err(|error| gate::Unsealed::refused(&error))?;
        }
        self.0.approvals.decide(&decision, caller)
    }
}

/// Only so many of the newest, if that is asked for.
struct Tail {
    most: Option<usize>,
    kept: std::collections::VecDeque<String>,
}

impl Tail {
    fn new(last: Option<u64>) -> Self {
        let most = last.map(|last| usize::try_from(last).unwrap_or(usize::MAX).min(100_000));
        Self { most, kept: std::collections::VecDeque::new() }
    }

    /// The line, when it is not kept back.
    fn pass(&mut self, line: String) -> Option<String> {
        let Some(most) = self.most else { return Some(line) };
        self.kept.push_back(line);
        if self.kept.len() > most {
            self.kept.pop_front();
        }
        None
    }

    /// What was kept back; from then on nothing is.
    fn end(&mut self) -> impl Iterator<Item = String> + use<> {
        self.most = None;
        std::mem::take(&mut self.kept).into_iter()
    }
}

/// Looks through some records; `None` when there are no more now.
fn step(reader: &mut Reader, wanted: impl Fn(&Record) -> bool) -> Result<Option<Vec<String>>, trust::log::ReadError> {
    let mut lines = Vec::new();
    for looked_at in 0..STEP {
        match reader.next()? {
            Some(record) => {
                let body = serde_json::from_str::<Record>(record.body());
                if body.as_ref().is_ok_and(&wanted) {
                    lines.push(record.line().to_owned());
                }
            }
            None => return Ok((looked_at > 0).then_some(lines)),
        }
    }
    Ok(Some(lines))
}
