//! What a running pass is asked from inside: its number, what it will reach, callbacks at its end.

use super::Options;
use crate::tape::{Edge, Node};
use crate::{Result, bail};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;

/// A function called when the running pass ends.
pub type Callback = Rc<dyn Fn() -> Result<()>>;

/// One pass, while it runs.
struct Pass {
    id: u32,
    roots: Vec<Edge>,
    inputs: Option<Vec<Edge>>,
    callbacks: Vec<Callback>,
}

thread_local! {
    /// The passes that run in this thread, the innermost last.
    static PASSES: RefCell<Vec<Pass>> = const { RefCell::new(Vec::new()) };
    static INPUTS: Cell<bool> = const { Cell::new(false) };
}

/// Calls `f` when the innermost pass of this thread ends.
///
/// # Errors
/// RuntimeError if none is running.
pub fn queue_callback(f: Callback) -> Result<()> {
    PASSES.with_borrow_mut(|stack| match stack.last_mut() {
        Some(pass) => {
            pass.callbacks.push(f);
            Ok(())
        }
        None => bail!(Runtime, "Final callbacks can only be installed during backward pass."),
    })
}

/// A number that tells the innermost pass of this thread from others, if one is running.
pub fn current_pass() -> Option<u32> {
    PASSES.with_borrow(|stack| stack.last().map(|p| p.id))
}

/// True if a pass that is running computes the gradients of some inputs only.
pub fn inputs_given() -> bool {
    INPUTS.get() || PASSES.with_borrow(|stack| stack.iter().any(|p| p.inputs.is_some()))
}

/// Says that this thread's passes run inside one of another thread that has inputs.
pub fn set_inputs_given(yes: bool) {
    INPUTS.set(yes);
}

/// Which of these edges the innermost pass sends gradients along.
pub fn will_run(edges: &[Edge]) -> Vec<bool> {
    let known =
        PASSES.with_borrow(|stack| stack.last().map(|p| (p.roots.clone(), p.inputs.clone())));
    let Some((roots, inputs)) = known else { return vec![false; edges.len()] };
    let mut nodes: Vec<Node> = Vec::new();
    let mut seen = HashSet::new();
    let mut stack = roots.clone();
    while let Some(edge) = stack.pop() {
        if seen.insert(key(&edge))
            && let Edge::Node(n, _) = edge
        {
            stack.extend(n.edges().iter().cloned());
            nodes.push(n);
        }
    }
    if let Some(inputs) = inputs {
        // Only what leads to an input runs; inputs older than a node come first.
        let mut leads: HashSet<usize> = inputs.iter().map(key).collect();
        nodes.sort_unstable_by_key(Node::seq);
        for n in &nodes {
            if n.edges().iter().any(|e| leads.contains(&key(e))) {
                leads.insert(n.id());
            }
        }
        seen.retain(|k| leads.contains(k));
    }
    edges.iter().map(|e| seen.contains(&key(e))).collect()
}

/// Tells nodes and leaves apart.
fn key(edge: &Edge) -> usize {
    match edge {
        Edge::None => 0,
        Edge::Leaf(t) => t.id(),
        Edge::Node(n, _) => n.id(),
    }
}

/// Notes that a pass runs, while it lives.
pub(super) struct Running;

impl Running {
    pub fn open(id: u32, roots: &[Edge], options: &Options) -> Running {
        let inputs = options.inputs.map(<[Edge]>::to_vec);
        let pass = Pass { id, roots: roots.to_vec(), inputs, callbacks: Vec::new() };
        PASSES.with_borrow_mut(|stack| stack.push(pass));
        Running
    }

    /// Calls the callbacks, those that they add themselves included.
    pub fn finish(&self) -> Result<()> {
        let next =
            || PASSES.with_borrow_mut(|s| s.last_mut().map(|p| std::mem::take(&mut p.callbacks)));
        while let Some(list) = next().filter(|l| !l.is_empty()) {
            list.iter().try_for_each(|f| f())?;
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(PASSES.with_borrow_mut(Vec::pop));
    }
}
