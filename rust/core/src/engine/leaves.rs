//! When a leaf with hooks has its whole gradient.
//!
//! Leaves are served when the pass ends, in shared passes over memory. A leaf with hooks has to be
//! served as early as possible (an optimiser may run in the hook, and free the gradient); for this,
//! the uses that are still to come are counted, once per run, when the first such leaf is met.

use super::run::{Run, Target};
use crate::Tensor;
use crate::tape::{Edge, Node};
use std::collections::{HashMap, HashSet};

#[derive(Default)]
pub(super) struct Leaves {
    /// Uses still to come of each leaf with hooks, once counted.
    left: Option<HashMap<usize, usize>>,
}

impl Leaves {
    /// Notes one use of `t`; true if no more will come, neither of `rest`, which are noted next, nor
    /// of nodes still to run.
    pub fn used(&mut self, t: &Tensor, rest: &[Edge], run: &Run) -> bool {
        let Some(left) = &mut self.left else {
            let left = count(run, rest);
            let last = !left.contains_key(&t.id());
            self.left = Some(left);
            return last;
        };
        let Some(n) = left.get_mut(&t.id()) else { return true };
        *n -= 1;
        if *n == 0 {
            left.remove(&t.id());
        }
        !left.contains_key(&t.id())
    }
}

/// The edges to leaves with hooks: those of `rest`, and of all nodes that are still to run.
fn count(run: &Run, rest: &[Edge]) -> HashMap<usize, usize> {
    let mut stack: Vec<Node> = Vec::new();
    for (_, slot) in run.queue.iter() {
        if let Target::Node(n) = &run.entries[*slot as usize].target {
            stack.push(n.clone());
        }
    }
    let mut seen = HashSet::new();
    let mut left = HashMap::new();
    let mut note = |edges: &[Edge], stack: &mut Vec<Node>| {
        for edge in edges.iter().filter(|e| run.wants(e)) {
            match edge {
                Edge::Leaf(t) if t.leaf_hooks().is_some() => *left.entry(t.id()).or_insert(0) += 1,
                Edge::Node(m, _) => stack.push(m.clone()),
                _ => (),
            }
        }
    };
    note(rest, &mut stack);
    while let Some(n) = stack.pop() {
        if seen.insert(n.id()) {
            note(n.edges(), &mut stack);
        }
    }
    left
}
