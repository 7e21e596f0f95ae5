//! The policy language: text in, a plan's worth of plain data out. Nothing here reads a file or asks the host anything.
//!
//! ```text
//!   text ── parse ──► Document ── resolve (+ Loader) ──► Effective ── bind (+ Variables) ──► Bound
//!           one file, strict       `extends` merged        one policy        one agent's paths
//! ```
//!
//! Every step either succeeds completely or returns an error that names the place and the remedy. What a policy says
//! and nothing enforces yet is listed in [`Effective::not_enforced`], never dropped. The language is described in
//! `docs/policy.md`.

mod absence;
mod agent_file;
mod bind;
mod cases;
mod check;
mod cores;
mod decide;
mod diff;
mod digest;
mod effective;
mod env;
mod exec_rules;
mod json_schema;
mod kernel_layer;
mod mediation;
mod memory;
mod merge;
mod names;
mod narrowing;
mod nearest;
mod origin;
mod parse;
mod parse_error;
mod paths;
pub mod pii;
mod profiles;
mod render;
mod resolve;
mod scalar;
mod schema;
mod size;
mod suggest;
mod template;
mod time_span;
mod values;

pub use absence::{Orphaned, Requests, WithoutDaemon};
pub use bind::{BindError, Bound, BoundEnv, BoundFs, Content};
pub use cases::{CaseError, CaseFailure, CaseReport, CaseTable, RequestWords, WordsError, shipped_cases};
pub use cores::Cores;
pub use decide::{
    AccessRequest, Budget, Considered, DecidingRule, Decision, Explanation, Fate, Filters, ForbiddenAct, LayerAnswer,
    Obligations, Reason, RequestError, RequestHost, RequestPath, Table,
};
pub use diff::{Change, Diff, Direction, diff};
pub use digest::Digest;
pub use effective::{Effective, EnvRule, FsRule, Limits, Source};
pub use env::{EnvName, EnvValue};
pub use json_schema::Written;
pub use kernel_layer::KernelLayer;
pub use mediation::{
    ActionName, ActionPattern, ActionRule, Answer, AnswerSignal, Argv, Condition, Conditions, Effect, Filter,
    HostPattern, Kind, Mediation, Method, Mode, NamePattern, NetworkRule, Param, ParamError, ParamType, PathPattern,
    Port, Rate, RegisteredAction, Statement,
};
pub use memory::{Memory, OnVfsLoss, StoreName};
pub use names::{Hostname, ProfileName};
pub use narrowing::Narrowing;
pub use origin::{Origin, Rule};
pub use parse::{Document, MAX_POLICY_BYTES, parse};
pub use parse_error::ParseError;
pub use profiles::{Loader, Shipped, SourceText, shipped, shipped_names};
pub use render::{render, summary};
pub use resolve::{ResolveError, resolve, resolve_profile};
pub use scalar::ScalarError;
pub use schema::Access;
pub use size::Size;
pub use suggest::{Addition, Attempt, Denied, FileRights, Section, Setting, Suggestion, Withheld, suggest};
pub use template::{PathTemplate, Template, Variable, Variables};
pub use time_span::TimeSpan;
