//! Which policy governs whose actions.

use crate::action::{Governed, OwnFile, Parts, read_own_file};
use crate::caller::Caller;
use crate::daemon::Daemon;
use crate::journal;
use crate::memo::Memo;
use crate::plan::{self, HOME, Identities};
use crate::policy::Restored;
use policies::{Effective, Narrowing, Variables};
use protocol::action::Context;
use protocol::audit::AgentRef;
use protocol::control::{PolicyChoice, Run, Stdio};
use protocol::error::ControlError;
use protocol::ids::AgentName;
use sandbox::plan::Plan;
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use std::sync::Arc;

/// The name of whoever is asked for no agent in particular.
const NOBODY: &str = "operator";

/// The file of an agent that runs, in messages.
const OWN_FILE: &str = ".agents/security.md";

/// The policy of an agent that is being started, and what its own file takes away.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) policy: Arc<Effective>,
    pub(crate) own_file: Option<OwnFile>,
}

impl Rules {
    /// With the file in the workspace, if there is one.
    pub(crate) fn of(policy: Arc<Effective>, run: &Run, caller: &Caller) -> Result<Self, ControlError> {
        let workspace = run.workspace.as_ref().map(|workspace| PathBuf::from(&workspace.path));
        let actions = &policy.mediation.actions;
        let own_file = workspace.map(|path| read_own_file(&path, actions, caller)).transpose()?.flatten();
        Ok(Self { policy, own_file })
    }

    /// Those of an agent that runs, as they were at its launch.
    pub(crate) fn restore(memo: &Memo, restored: &Restored) -> Result<Self, ControlError> {
        let policy = restored.policy(&memo.policy)?;
        let bad = |error: &dyn std::error::Error| ControlError::BadPolicy { message: journal::sentence(error) };
        let narrowing = |text: &String| {
            let narrowing = Narrowing::read(OWN_FILE, text.as_bytes(), &policy.mediation.actions);
            narrowing.map(|narrowing| OwnFile { text: text.clone(), narrowing }).map_err(|error| bad(&error))
        };
        let own_file = memo.own_file.as_ref().map(narrowing).transpose()?;
        Ok(Self { policy, own_file })
    }

    /// SHA-256 over all that was decided by: that of the policy, or over it and the file.
    pub(crate) fn digest(&self) -> String {
        let policy = self.policy.digest.to_string();
        let Some(OwnFile { text, .. }) = &self.own_file else { return policy };
        let both = Sha256::new().chain_update(&policy).chain_update(text).finalize();
        both.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What governs the actions of the agent.
    pub(crate) fn govern(
        &self,
        (agent, workspace): (AgentRef, Option<PathBuf>),
        caller: &Caller,
        (plan, limits): (Plan, sandbox::cgroup::CgroupLimits),
    ) -> Result<Arc<Governed>, ControlError> {
        let variables = Variables { workspace, home: HOME.into(), name: agent.name.to_string() };
        let own_file = self.own_file.as_ref().map(|file| file.narrowing.clone());
        let (policy, caller) = (Arc::clone(&self.policy), caller.clone());
        let parts = Parts { agent, caller, policy, digest: self.digest(), own_file, variables, plan, limits };
        let bad = |error: policies::BindError| ControlError::BadPolicy { message: error.to_string() };
        Governed::new(parts).map(Arc::new).map_err(bad)
    }
}

impl Daemon {
    /// What governs an action that an operator asks for: the living agent of that name, or the policy that is given.
    pub(crate) fn governed(
        &self,
        context: &Context,
        choice: Option<PolicyChoice>,
        caller: &Caller,
    ) -> Result<Arc<Governed>, ControlError> {
        let expected = |error: &dyn std::fmt::Display| ControlError::BadParameter {
            method: "Perform".into(),
            parameter: "context.agent_id".into(),
            expected: error.to_string(),
        };
        let name = AgentName::parse(context.agent_id.as_deref().unwrap_or(NOBODY)).map_err(|error| expected(&error))?;
        if self.registry.living(&name).is_some() {
            let handle = self.registry.find(&name, caller)?;
            return handle.governed().ok_or_else(|| expected(&"the agent was started by an earlier daemon"));
        }
        let run = Run {
            name: None,
            policy: None,
            workspace: None,
            // Never started; a plan has a process.
            command: vec!["true".to_owned()],
            env: Vec::new(),
            caller_env: Vec::new(),
            stdio: Stdio::default(),
            remove: false,
            timeout_ms: None,
        };
        let rules = Rules::of(self.policies.choose(choice, caller)?, &run, caller)?;
        let uid = self.uids.take().ok_or_else(|| ControlError::Internal { message: "no uid is left".to_owned() })?;
        let who = Identities { agent: uid.get(), init: self.uids.init() };
        let mut launch = plan::launch(&run, &name, &rules.policy, (caller, who, &self.own))?;
        // Nobody of that name lives, so that nothing is served of what it remembers.
        launch.plan.parts.clear();
        let agent = AgentRef { name, id: None, uid: None, owner: caller.uid };
        let governed = rules.govern((agent, None), caller, (launch.plan, launch.cgroup))?;
        governed.lend(uid);
        Ok(governed)
    }
}
