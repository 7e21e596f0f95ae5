//! Many patterns of paths at once: a tree over their components, walked along a path.
//!
//! A path is read once. At each component the walk holds the nodes that the components so far lead to; a `**` is a node
//! that leads to itself. The cost is bounded by the path's components times the nodes, and is one look-up a component
//! when the patterns' first components are written out.

use std::collections::HashMap;

use crate::decide::glob::{Component, Glob, components};
use crate::decide::names::Names;

/// The place of a rule in its layer.
pub(crate) type RuleId = u32;
type NodeId = u32;

/// Patterns with the rules that they belong to.
#[derive(Clone, Debug)]
pub(crate) struct PathTrie {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    literal: HashMap<Box<[u8]>, NodeId>,
    wild: Names<NodeId>,
    /// The node of a `**` that follows.
    any: Option<NodeId>,
    /// Whether this is the node of a `**`.
    loops: bool,
    /// Whether it lies beneath the node of another, so that a walk can reach it in two ways at once.
    nested: bool,
    /// The rules whose patterns end here.
    rules: Vec<RuleId>,
}

impl Default for PathTrie {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl PathTrie {
    pub(crate) fn insert(&mut self, glob: &Glob, rule: RuleId) {
        let mut at = 0;
        for component in glob.components() {
            at = self.child(at, component);
        }
        self.nodes[index(at)].rules.push(rule);
    }

    fn child(&mut self, parent: NodeId, component: &Component) -> NodeId {
        let node = &self.nodes[index(parent)];
        let known = match component {
            Component::Literal(name) => node.literal.get(name).copied(),
            Component::Wild(name) => node.wild.get(name).copied(),
            Component::Any => node.any,
        };
        if let Some(known) = known {
            return known;
        }
        // Texts are bounded (1 MiB, 64 files), so a policy has far fewer components than a u32 counts.
        let child = NodeId::try_from(self.nodes.len()).unwrap_or(NodeId::MAX);
        let nested = node.loops || node.nested;
        self.nodes.push(Node { loops: *component == Component::Any, nested, ..Node::default() });
        let node = &mut self.nodes[index(parent)];
        match component {
            Component::Literal(name) => {
                node.literal.insert(name.clone(), child);
            }
            Component::Wild(name) => node.wild.insert(name.clone(), child),
            Component::Any => node.any = Some(child),
        }
        child
    }

    /// Calls `found` with every rule one of whose patterns means `path`; with some of them more than once.
    pub(crate) fn visit(&self, path: &[u8], mut found: impl FnMut(RuleId)) {
        if self.nodes.len() == 1 && self.nodes[0].rules.is_empty() {
            return;
        }
        let (mut active, mut next) = (Active::default(), Active::default());
        self.enter(0, &mut active);
        for part in components(path) {
            next.clear();
            for id in active.iter() {
                let node = &self.nodes[index(id)];
                if node.loops {
                    self.enter(id, &mut next);
                }
                if let Some(child) = node.literal.get(part) {
                    self.enter(*child, &mut next);
                }
                for child in node.wild.matching(part) {
                    self.enter(*child, &mut next);
                }
            }
            std::mem::swap(&mut active, &mut next);
            if active.is_empty() {
                return;
            }
        }
        for id in active.iter() {
            self.nodes[index(id)].rules.iter().for_each(|rule| found(*rule));
        }
    }

    /// Adds a node and the `**` that may stand for no component after it.
    fn enter(&self, id: NodeId, active: &mut Active) {
        let node = &self.nodes[index(id)];
        // Every node has one way to it, and a `**` two: from before it and from itself. Both are taken at once only where
        // the node before it can be reached later than at its own depth, which is beneath another `**`.
        if !active.push(id, node.loops && node.nested) {
            return;
        }
        if let Some(any) = node.any {
            self.enter(any, active);
        }
    }
}

fn index(id: NodeId) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

/// How many nodes a walk holds without allocating.
const INLINE: usize = 32;

/// The nodes that a walk has reached.
#[derive(Default)]
struct Active {
    inline: [NodeId; INLINE],
    used: usize,
    spilled: Vec<NodeId>,
    /// Those of them that can be reached twice.
    twice: Vec<NodeId>,
}

impl Active {
    /// False if it was there already.
    fn push(&mut self, id: NodeId, twice: bool) -> bool {
        if twice {
            if self.twice.contains(&id) {
                return false;
            }
            self.twice.push(id);
        }
        match self.inline.get_mut(self.used) {
            Some(slot) => {
                *slot = id;
                self.used += 1;
            }
            None => self.spilled.push(id),
        }
        true
    }

    fn clear(&mut self) {
        self.used = 0;
        self.spilled.clear();
        self.twice.clear();
    }

    fn is_empty(&self) -> bool {
        self.used == 0
    }

    fn iter(&self) -> impl Iterator<Item = NodeId> {
        self.inline[..self.used].iter().chain(&self.spilled).copied()
    }
}
