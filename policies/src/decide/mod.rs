//! The decision: a pure function of a policy and a request.
//!
//! ```text
//!   Effective ──┐
//!   Variables ──┼─ compile ──► Table ── decide (+ AccessRequest) ──► Decision
//!   Narrowing ──┘                │          each layer, each path; the strictest answer stands
//!                                └───── explain: the same by looking at every rule in turn, with who lost to whom
//! ```
//!
//! One layer grants: the operator's policy. Every other can only take away. In a layer, an exact name beats `*`; among
//! matching rules of equal standing deny beats approval beats allow, and what comes with the allowing ones adds up. The
//! order of rules in a file means nothing.

mod answer;
mod compiled;
mod decision;
mod explain;
mod glob;
mod index;
mod layer;
mod names;
mod request;
mod table;
mod tally;
mod trie;

pub use answer::ForbiddenAct;
pub use decision::{Budget, DecidingRule, Decision, Filters, Obligations, Reason};
pub use explain::{Considered, Explanation, Fate, LayerAnswer};
pub use request::{AccessRequest, RequestError, RequestHost, RequestPath};
pub use table::Table;

pub(crate) use request::NETWORK_ACTION;
