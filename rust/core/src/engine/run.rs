//! One backward pass.

use super::Options;
use super::accumulate::{accumulate, add, evaluate, keep};
use super::leaves::Leaves;
use super::pass::Running;
use crate::formula::bit;
use crate::hooks::{Hook, Hooks, NodeHook};
use crate::mode::Guard;
use crate::sync::guarded;
use crate::tape::{Edge, Meta, Node};
use crate::{Result, Tensor, anomaly, bail, ops, views, vjp};
use smallvec::SmallVec;
use std::collections::{BinaryHeap, HashMap};
use std::rc::Rc;

guarded!(runs: Runs = Runs { last: 0, active: 0 });

struct Runs {
    last: u32,
    active: u32,
}

/// For so many nodes at once there is room from the start.
const ROOM: usize = 32;

pub(super) type Slots = SmallVec<[Option<Tensor>; 1]>;

/// Who waits for a gradient.
pub(super) enum Target {
    Node(Node),
    Leaf(Tensor),
    /// A node that has run: the slot is free.
    Nobody,
}

pub(super) struct Entry {
    pub target: Target,
    grads: Slots,
    /// Only some gradients are asked for, and this node leads to one of them.
    needed: bool,
    /// Gradients that arrive here are asked for.
    captured: bool,
    /// Met on the way from the roots to the inputs.
    seen: bool,
}

pub(super) struct Run<'a> {
    id: u32,
    /// The outermost run marks nodes with their slot; runs inside a hook use a map.
    outer: bool,
    map: HashMap<usize, u32>,
    pub entries: Vec<Entry>,
    /// Slots of nodes that have run: a chain needs few, which stay in the cache.
    free: Vec<u32>,
    pub queue: BinaryHeap<(u64, u32)>,
    options: Options<'a>,
    /// With `inputs`: the gradients found, one per input.
    found: Vec<Option<Tensor>>,
    leaves: Leaves,
}

/// Counts a run as active while it lives.
struct Active;

impl Drop for Active {
    fn drop(&mut self) {
        runs(|r| r.active -= 1);
    }
}

pub(super) fn run(
    roots: &[Edge],
    grads: Vec<Tensor>,
    options: Options,
) -> Result<Vec<Option<Tensor>>> {
    let (id, outer) = runs(|r| {
        r.last = r.last.wrapping_add(1).max(1);
        r.active += 1;
        (r.last, r.active == 1)
    });
    let _active = Active;
    let pass = Running::open(id, roots, &options);
    let found = {
        let _mode = Guard::new(options.create_graph);
        let mut run = Run {
            id,
            outer,
            map: HashMap::new(),
            entries: Vec::with_capacity(ROOM),
            free: Vec::with_capacity(ROOM),
            queue: BinaryHeap::with_capacity(ROOM),
            options,
            found: Vec::new(),
            leaves: Leaves::default(),
        };
        if let Some(inputs) = options.inputs {
            run.restrict(roots, inputs);
        }
        for (root, grad) in roots.iter().zip(grads) {
            run.add(root, grad)?; // needed or not: its hooks are called
        }
        run.settle(roots)?;
        while let Some((_, slot)) = run.queue.pop() {
            run.visit(slot)?;
        }
        run.finish()?
    };
    pass.finish()?;
    Ok(found)
}

impl Run<'_> {
    /// Makes entries for the nodes that lead from the roots to the inputs: only these will run.
    fn restrict(&mut self, roots: &[Edge], inputs: &[Edge]) {
        self.found = vec![None; inputs.len()];
        let mut oldest = u64::MAX;
        for edge in inputs {
            let slot = match edge {
                Edge::None => continue,
                Edge::Leaf(t) => self.leaf_slot(t),
                Edge::Node(n, _) => self.node_slot(n),
            };
            oldest = oldest.min(if let Edge::Node(n, _) = edge { n.seq() } else { 0 });
            let entry = &mut self.entries[slot as usize];
            entry.captured = true;
            entry.needed = self.options.accumulate;
        }
        let mut order: Vec<(u64, u32)> = Vec::with_capacity(ROOM);
        let mut stack: Vec<Node> = Vec::with_capacity(ROOM);
        let reach = |edge: &Edge, stack: &mut Vec<Node>| {
            if let Edge::Node(n, _) = edge
                && n.seq() >= oldest
            {
                stack.push(n.clone());
            }
        };
        roots.iter().for_each(|r| reach(r, &mut stack));
        while let Some(n) = stack.pop() {
            let slot = self.node_slot(&n);
            if !std::mem::replace(&mut self.entries[slot as usize].seen, true) {
                order.push((n.seq(), slot));
                n.edges().iter().for_each(|e| reach(e, &mut stack));
            }
        }
        order.sort_unstable();
        for (_, slot) in order {
            let Target::Node(n) = &self.entries[slot as usize].target else { continue };
            let n = n.clone();
            let leads = n.edges().iter().any(|e| self.wants(e));
            self.entries[slot as usize].needed |= leads;
        }
    }

    /// True if a gradient that goes along `edge` is of use.
    #[inline]
    pub fn wants(&self, edge: &Edge) -> bool {
        let slot = match edge {
            Edge::None => return false,
            _ if self.options.inputs.is_none() => return true,
            Edge::Leaf(t) => self.known_leaf(t),
            Edge::Node(n, _) => self.known_node(n),
        };
        slot.is_some_and(|s| {
            let e = &self.entries[s as usize];
            e.needed || e.captured
        })
    }

    /// Hands `grad` on along `edge`, if it is of use there.
    fn send(&mut self, edge: &Edge, grad: Tensor) -> Result<()> {
        if self.wants(edge) { self.add(edge, grad) } else { Ok(()) }
    }

    /// Adds `grad` to what waits at the end of `edge`.
    #[inline]
    fn add(&mut self, edge: &Edge, grad: Tensor) -> Result<()> {
        let (slot, output) = match edge {
            Edge::None => return Ok(()),
            Edge::Leaf(t) => (self.leaf_slot(t), 0),
            Edge::Node(n, k) => (self.node_slot(n), *k as usize),
        };
        let entry = &mut self.entries[slot as usize];
        if entry.grads.is_empty()
            && let Target::Node(n) = &entry.target
        {
            self.queue.push((n.seq(), slot));
        }
        while entry.grads.len() <= output {
            entry.grads.push(None);
        }
        entry.grads[output] = Some(match entry.grads[output].take() {
            None => grad,
            Some(first) => add(first, grad)?,
        });
        Ok(())
    }

    /// Notes that the gradient along `edge` is undefined: hooks are called all the same.
    #[cold]
    fn pass_by(&mut self, edge: &Edge) {
        let slot = match edge {
            Edge::Node(n, _) => self.node_slot(n),
            Edge::Leaf(t) if t.leaf_hooks().is_some() => self.leaf_slot(t),
            _ => return,
        };
        let entry = &mut self.entries[slot as usize];
        if entry.grads.is_empty() {
            entry.grads.push(None);
            if let Target::Node(n) = &entry.target {
                self.queue.push((n.seq(), slot));
            }
        }
    }

    #[inline]
    fn known_node(&self, n: &Node) -> Option<u32> {
        let inner = n.inner();
        if self.outer {
            (inner.run.get() == self.id).then(|| inner.slot.get())
        } else {
            self.map.get(&n.id()).copied()
        }
    }

    fn node_slot(&mut self, n: &Node) -> u32 {
        self.known_node(n).unwrap_or_else(|| {
            let slot = self.push(Target::Node(n.clone()));
            if self.outer {
                n.inner().run.set(self.id);
                n.inner().slot.set(slot);
            } else {
                self.map.insert(n.id(), slot);
            }
            slot
        })
    }

    #[inline]
    fn known_leaf(&self, t: &Tensor) -> Option<u32> {
        if self.outer {
            t.meta().filter(|m| m.run == self.id).map(|m| m.slot)
        } else {
            self.map.get(&t.id()).copied()
        }
    }

    fn leaf_slot(&mut self, t: &Tensor) -> u32 {
        self.known_leaf(t).unwrap_or_else(|| {
            let slot = self.push(Target::Leaf(t.clone()));
            if self.outer {
                let id = self.id;
                t.with_meta(|m| (m.run, m.slot) = (id, slot));
            } else {
                self.map.insert(t.id(), slot);
            }
            slot
        })
    }

    fn push(&mut self, target: Target) -> u32 {
        let grads = SmallVec::new();
        let entry = Entry { target, grads, needed: false, captured: false, seen: false };
        if let Some(slot) = self.free.pop() {
            self.entries[slot as usize] = entry;
            return slot;
        }
        self.entries.push(entry);
        self.entries.len() as u32 - 1
    }

    /// Runs one node, whose gradient is complete.
    fn visit(&mut self, slot: u32) -> Result<()> {
        let entry = &mut self.entries[slot as usize];
        let mut grads = std::mem::take(&mut entry.grads);
        let (needed, captured) = (entry.needed, entry.captured);
        let Target::Node(node) = std::mem::replace(&mut entry.target, Target::Nobody) else {
            return Ok(());
        };
        self.free.push(slot);
        if node.hooks().is_some() {
            grads.resize(outputs(&node).max(grads.len()), None);
            tensor_hooks(|| node.hooks(), &mut grads)?;
        }
        if captured {
            self.capture(&node, &grads);
        }
        if self.options.inputs.is_some() && !needed {
            return Ok(());
        }
        if node.hooks().is_some() {
            node_hooks(|h| &h.before, &node, None, &mut grads)?;
        }
        let mut wanted = 0;
        for (i, e) in node.edges().iter().enumerate() {
            if self.wants(e) {
                wanted |= bit(i);
            }
        }
        let mut out = vjp::Grads::new();
        let undefined = grads.iter().all(Option::is_none);
        if undefined || (wanted == 0 && node.rule().is_none()) {
            vjp::check_saved(&node)?;
        } else {
            out = if anomaly::enabled() {
                anomaly::watch(&node, || vjp::apply(&node, &grads, wanted))?
            } else {
                vjp::apply(&node, &grads, wanted)?
            };
        }
        if node.hooks().is_some() {
            out.resize(node.edges().len(), None);
            let gap = |i: &usize| node.rule().is_none() && node.op().op().formula.is_gap(*i);
            let gaps: Vec<usize> = (0..out.len()).filter(gap).collect();
            gaps.iter().rev().for_each(|&i| drop(out.remove(i)));
            node_hooks(|h| &h.after, &node, Some(&grads), &mut out)?;
            gaps.iter().for_each(|&i| out.insert(i, None));
        }
        drop(grads);
        for (i, edge) in node.edges().iter().enumerate().filter(|(i, _)| wanted & bit(*i) != 0) {
            match out.get_mut(i).and_then(Option::take) {
                Some(g) => self.send(edge, g)?,
                None => self.pass_by(edge),
            }
        }
        if !self.options.retain_graph {
            node.release();
        }
        self.settle(node.edges())
    }

    /// Keeps gradients that are asked for as they arrive at their node.
    fn capture(&mut self, node: &Node, grads: &Slots) {
        for (input, found) in self.options.inputs.unwrap_or_default().iter().zip(&mut self.found) {
            if let Edge::Node(n, k) = input
                && n.same(node)
            {
                *found = grads.get(*k as usize).cloned().flatten();
            }
        }
    }

    /// Runs the leaves with hooks that no other node will send to, after `edges` were served.
    fn settle(&mut self, edges: &[Edge]) -> Result<()> {
        for (i, edge) in edges.iter().enumerate() {
            if let Edge::Leaf(t) = edge
                && t.leaf_hooks().is_some()
                && self.wants(edge)
                && self.last_use(t, &edges[i + 1..])
            {
                let slot = self.leaf_slot(t) as usize;
                if let Some(g) = self.entries[slot].grads.pop() {
                    self.serve(t, g)?;
                }
            }
        }
        Ok(())
    }

    fn last_use(&mut self, t: &Tensor, rest: &[Edge]) -> bool {
        let mut leaves = std::mem::take(&mut self.leaves);
        let last = leaves.used(t, rest, self);
        self.leaves = leaves;
        last
    }

    /// True if the leaf is one of the inputs.
    fn asked(&self, t: &Tensor) -> bool {
        self.known_leaf(t).is_some_and(|slot| self.entries[slot as usize].captured)
    }

    /// Hands a leaf its gradient.
    fn serve(&mut self, t: &Tensor, mut g: Option<Tensor>) -> Result<()> {
        if let (Some(Some(dtype)), Some(g)) = (t.meta().and_then(|m| m.grad_dtype), &mut g) {
            *g = ops::convert::to_dtype(g, dtype)?;
        }
        let mut grads: Slots = SmallVec::from_elem(g, 1);
        if t.leaf_hooks().is_some() {
            tensor_hooks(|| t.leaf_hooks(), &mut grads)?;
        }
        for (input, found) in self.options.inputs.unwrap_or_default().iter().zip(&mut self.found) {
            if let Edge::Leaf(leaf) = input
                && leaf.same(t)
            {
                found.clone_from(&grads[0]);
            }
        }
        if self.options.inputs.is_some() && !(self.options.accumulate && self.asked(t)) {
            return Ok(());
        }
        // A copy of the list: a hook may change it.
        let list = |pick: fn(&Hooks) -> &Vec<Rc<dyn NodeHook>>| {
            t.leaf_hooks().map(|h| pick(h).clone()).unwrap_or_default()
        };
        run_list(&list(|h| &h.before), None, &mut grads)?;
        let after = list(|h| &h.after);
        if let Some(g) = grads[0].take() {
            if !after.is_empty() {
                grads[0] = Some(g.clone());
            }
            accumulate(t, g)?;
        }
        let called = t.leaf_hooks().map(|h| h.accumulated.clone()).unwrap_or_default();
        for hook in called.iter().filter(|h| !h.removed()) {
            hook.call(t)?;
        }
        run_list(&after, Some(&grads), &mut Slots::new())
    }

    /// Hands the other leaves their gradients, evaluating all that is deferred in shared passes.
    fn finish(mut self) -> Result<Vec<Option<Tensor>>> {
        let mut leaves = Vec::new();
        for e in &mut self.entries {
            if let (Target::Leaf(t), Some(g)) = (&e.target, e.grads.pop()) {
                leaves.push((t.clone(), g));
            }
        }
        evaluate(leaves.iter().filter_map(|l| l.1.as_ref()).chain(self.found.iter().flatten()))?;
        for (t, g) in leaves {
            self.serve(&t, g)?;
        }
        Ok(self.found)
    }
}

/// How many outputs of a node carry gradients.
fn outputs(node: &Node) -> usize {
    let carries = |m: &&Meta| m.dtype.is_differentiable();
    node.info().map_or(0, |i| i.outputs.iter().take_while(carries).count())
}

/// Hooks and `retain_grad` of the tensors that a node made.
fn tensor_hooks<'a>(hooks: impl Fn() -> Option<&'a Hooks>, grads: &mut Slots) -> Result<()> {
    // A copy of the list: a hook may change it.
    let called = hooks().map(|h| h.tensor.clone()).unwrap_or_default();
    let called: Vec<_> = called.into_iter().filter(|h| !h.1.removed()).collect();
    for (output, hook) in &called {
        match grads.get_mut(*output as usize) {
            Some(Some(g)) => call_hook(g, &**hook)?,
            _ => hook.undefined()?,
        }
    }
    // Asked for only now, and held: a tensor takes itself off the list when it is dropped, which a
    // hook may do.
    let held = |r: &(u32, usize)| (r.0, views::tensor_from_id(r.1));
    let retained: SmallVec<[(u32, Tensor); 1]> =
        hooks().map(|h| h.retained.iter().map(held).collect()).unwrap_or_default();
    for (output, t) in retained {
        if let Some(Some(g)) = grads.get(output as usize) {
            keep(&t, g)?;
        }
    }
    Ok(())
}

fn call_hook(g: &mut Tensor, hook: &dyn Hook) -> Result<()> {
    let Some(new) = hook.call(g)? else { return Ok(()) };
    if hook.reshapes() {
        *g = new;
        return Ok(());
    }
    if new.dtype() != g.dtype() {
        bail!(
            Runtime,
            "hook '{}' has changed the type of value (was {} got {})",
            hook.name(),
            g.dtype().tensor_name(),
            new.dtype().tensor_name()
        );
    }
    if new.shape() != g.shape() {
        bail!(Runtime, "hook '{}' has changed the size of value", hook.name());
    }
    *g = new;
    Ok(())
}

fn node_hooks(
    pick: fn(&Hooks) -> &Vec<Rc<dyn NodeHook>>,
    node: &Node,
    outputs: Option<&Slots>,
    grads: &mut SmallVec<impl smallvec::Array<Item = Option<Tensor>>>,
) -> Result<()> {
    let list = node.hooks().map(|h| pick(h).clone()).unwrap_or_default();
    run_list(&list, outputs, grads)
}

/// Calls node hooks; each may replace `grads`. `outputs` is given to those that run afterwards.
fn run_list(
    list: &[Rc<dyn NodeHook>],
    outputs: Option<&Slots>,
    grads: &mut SmallVec<impl smallvec::Array<Item = Option<Tensor>>>,
) -> Result<()> {
    let list: Vec<_> = list.iter().filter(|h| !h.removed()).collect();
    for hook in list {
        let new = match outputs {
            None => hook.call(None, grads)?,
            Some(outputs) => hook.call(Some(grads), outputs)?,
        };
        let Some(new) = new else { continue };
        if new.len() != grads.len() {
            bail!(
                Runtime,
                "hook '{}' has returned an incorrect number of values (got {}, but expected {})",
                hook.name(),
                new.len(),
                grads.len()
            );
        }
        grads.clear();
        grads.extend(new);
    }
    Ok(())
}
