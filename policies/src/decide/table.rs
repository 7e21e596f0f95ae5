//! A policy and what narrows it, ready to decide.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::bind::BindError;
use crate::decide::NETWORK_ACTION;
use crate::decide::answer::{Answers, ForbiddenAct};
use crate::decide::compiled::CompiledRule;
use crate::decide::decision::{Decision, Reason};
use crate::decide::layer::{Layer, Part};
use crate::decide::request::AccessRequest;
use crate::effective::Effective;
use crate::mediation::{ActionName, Answer, AnswerSignal, Kind, Mediation, Mode};
use crate::narrowing::Narrowing;
use crate::template::Variables;
use crate::values::Values;

/// One agent's policy with all that narrows it. Cheap to narrow further, for one request.
#[derive(Clone, Debug)]
pub struct Table {
    pub(crate) layers: Vec<Arc<Layer>>,
    registered: Arc<HashMap<ActionName, Kind>>,
    values: Arc<Values>,
    answers: Answers,
}

impl Table {
    /// Compiles the operator's policy for one agent, narrowed by `layers`; their order means nothing for what is decided.
    ///
    /// # Errors
    /// A variable has a value that no rule can be made with.
    pub fn compile(policy: &Effective, variables: &Variables, layers: &[Narrowing]) -> Result<Self, BindError> {
        let values = Values::of(variables)?;
        let mediation = &policy.mediation;
        let kind = |read_only| Kind::Registered { read_only };
        let registered = mediation.actions.iter().map(|action| (action.name.clone(), kind(action.read_only)));
        let table = Self {
            layers: vec![Arc::new(layer(&policy.name, Part::Grants, mediation, &values))],
            registered: Arc::new(registered.collect()),
            values: Arc::new(values),
            answers: Answers::of(mediation),
        };
        Ok(layers.iter().fold(table, |table, layer| table.narrowed(layer)))
    }

    /// The same with one layer more, which can only take away.
    #[must_use]
    pub fn narrowed(&self, by: &Narrowing) -> Self {
        let mut table = self.clone();
        table.layers.push(Arc::new(layer(&by.name, Part::Narrows, &by.mediation, &self.values)));
        table.answers.narrow(by);
        table
    }

    /// Decides. The same table and the same request always give the same answer.
    ///
    /// ```
    /// # use policies::{AccessRequest, Effect, RequestPath, Shipped, Table, Variables, parse, resolve};
    /// let text = "extends: [base]\npolicies: [{action: file_read, paths: [/data/**]}]\n";
    /// let policy = resolve(&parse("p.yaml", text)?, &Shipped)?;
    /// let variables = Variables { workspace: None, home: "/home/a".into(), name: "a".into() };
    /// let table = Table::compile(&policy, &variables, &[])?;
    /// let mut request = AccessRequest::new("file_read".parse()?, "a");
    /// request.paths = vec![RequestPath::new("/data/x.csv".as_ref())?];
    /// let decision = table.decide(&request);
    /// assert_eq!(decision.effect, Effect::Allow);
    /// assert_eq!(decision.rule.map(|rule| rule.origin.to_string()), Some("p.yaml:2".to_owned()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn decide(&self, request: &AccessRequest) -> Decision<'_> {
        match self.kind(request) {
            Ok(kind) => self.over_layers(request, |layer, path| layer.answer(request, kind, path)),
            Err(reason) => Decision::refused(reason),
        }
    }

    /// How a forbidden act is answered: the strictest mode of all layers.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.answers.mode()
    }

    /// The signals that the kernel may answer with. None: all. A narrowing layer can only add some.
    #[must_use]
    pub fn answers(&self) -> Option<&BTreeSet<AnswerSignal>> {
        self.answers.signals()
    }

    /// What becomes of an agent that did this: `on_violation` says it, else the mode, and `signals` bounds it. A narrowing
    /// layer never makes it milder.
    #[must_use]
    pub fn answer(&self, act: ForbiddenAct) -> Answer {
        self.answers.to(act)
    }

    /// What sort of action the request is for, if it is one that can be decided about.
    pub(crate) fn kind(&self, request: &AccessRequest) -> Result<Kind, Reason> {
        let name = request.action.as_str();
        let network = || (name == NETWORK_ACTION).then_some(Kind::Network);
        let kind = Kind::built_in(name).or_else(network).or_else(|| self.registered.get(name).copied());
        let kind = kind.ok_or(Reason::UnknownAction)?;
        match request.lacks(kind) {
            Some(_) => Err(Reason::IncompleteRequest),
            None => Ok(kind),
        }
    }

    /// Every action that can be asked for, and connections.
    pub(crate) fn actions(&self) -> impl Iterator<Item = (ActionName, Kind)> {
        let built_in = Kind::BUILT_IN.into_iter().chain([(NETWORK_ACTION, Kind::Network)]);
        let built_in = built_in.filter_map(|(name, kind)| Some((name.parse().ok()?, kind)));
        built_in.chain(self.registered.iter().map(|(name, kind)| (name.clone(), *kind)))
    }

    /// The strictest of what every layer answers about every path.
    pub(crate) fn over_layers<'t>(
        &'t self,
        request: &AccessRequest,
        answer: impl Fn(&'t Layer, Option<&[u8]>) -> Option<Decision<'t>>,
    ) -> Decision<'t> {
        let mut decision: Option<Decision<'t>> = None;
        for layer in &self.layers {
            let mut add = |path: Option<&[u8]>| {
                let Some(answer) = answer(layer, path) else { return };
                match &mut decision {
                    Some(decision) => decision.restrict(answer),
                    None => decision = Some(answer),
                }
            };
            match request.paths.as_slice() {
                [] => add(None),
                paths => paths.iter().for_each(|path| add(Some(path.as_bytes()))),
            }
        }
        decision.unwrap_or_else(|| Decision::refused(Reason::NothingGranted))
    }
}

fn layer(name: &str, part: Part, mediation: &Mediation, values: &Values) -> Layer {
    let mut rules: Vec<CompiledRule> = mediation.rules.iter().map(|rule| CompiledRule::new(rule, values)).collect();
    if let Ok(name) = NETWORK_ACTION.parse::<ActionName>()
        && part == Part::Grants
    {
        rules.extend(mediation.network.iter().map(|rule| CompiledRule::network(rule, &name)));
    }
    Layer::new(name, part, rules)
}
