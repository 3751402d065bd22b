//! The backward pass.
//!
//! Sequence numbers are a topological order: every consumer of a node is newer than the node. So
//! nodes with gradients waiting are taken from a heap, newest first, and each has its whole
//! gradient when its turn comes. Gradients wait in a dense vector; a node knows its slot there.
//! There is no recursion and no hash map on the way.

use crate::mode::{Guard, grad_enabled};
use crate::shape::{Layout, show};
use crate::sync::guarded;
use crate::tape::{Edge, Node};
use crate::{Result, Storage, Tensor, bail, lazy, ops, pointwise, record, views, vjp};
use smallvec::SmallVec;
use std::collections::{BinaryHeap, HashMap, HashSet};

guarded!(runs: Runs = Runs { last: 0, active: 0 });

struct Runs {
    last: u32,
    active: u32,
}

/// What a backward pass is asked to do.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// Keep saved values, so that the graph can be run again.
    pub retain_graph: bool,
    /// Record the pass itself, for gradients of gradients.
    pub create_graph: bool,
    /// Only these get gradients: in their `.grad` (`accumulate`), or returned.
    pub inputs: Option<&'a [Tensor]>,
    pub accumulate: bool,
}

type Slots = SmallVec<[Option<Tensor>; 1]>;

/// Who waits for a gradient.
enum Target {
    Node(Node),
    Leaf(Tensor),
}

struct Entry {
    target: Target,
    grads: Slots,
}

struct Run<'a> {
    id: u32,
    /// The outermost run marks nodes with their slot; runs inside a hook use a map.
    outer: bool,
    map: HashMap<usize, u32>,
    entries: Vec<Entry>,
    queue: BinaryHeap<(u64, u32)>,
    options: Options<'a>,
    /// With `inputs`: the nodes on a path to one of them.
    useful: Option<HashSet<usize>>,
    /// With `inputs`: gradients found, one per input.
    captured: Vec<Option<Tensor>>,
}

/// Counts a run as active while it lives.
struct Active;

impl Drop for Active {
    fn drop(&mut self) {
        runs(|r| r.active -= 1);
    }
}

/// Runs backward from `roots` with the gradients given for them. Returns the gradients of
/// `options.inputs` (empty without them).
///
/// # Errors
/// Those of PyTorch for freed graphs and changed saved values, and those raised by hooks.
pub fn run(roots: &[Tensor], grads: Vec<Tensor>, options: Options) -> Result<Vec<Option<Tensor>>> {
    let (id, outer) = runs(|r| {
        r.last = r.last.wrapping_add(1).max(1);
        r.active += 1;
        (r.last, r.active == 1)
    });
    let _active = Active;
    let _mode = Guard::new(options.create_graph);
    let mut run = Run {
        id,
        outer,
        map: HashMap::new(),
        entries: Vec::new(),
        queue: BinaryHeap::new(),
        options,
        useful: None,
        captured: Vec::new(),
    };
    if let Some(inputs) = options.inputs {
        inputs.iter().for_each(views::refresh);
        run.captured = vec![None; inputs.len()];
        run.useful = Some(useful_nodes(roots, inputs));
    }
    for (root, grad) in roots.iter().zip(grads) {
        run.send(&record::edge_of(root), grad)?;
    }
    while let Some((_, slot)) = run.queue.pop() {
        run.visit(slot)?;
    }
    run.finish()
}

/// Nodes that lie on a path from a root to an input (the inputs' own nodes excluded, unless they
/// lead to another input).
fn useful_nodes(roots: &[Tensor], inputs: &[Tensor]) -> HashSet<usize> {
    let leaves: HashSet<usize> = inputs.iter().filter(|t| t.is_leaf()).map(Tensor::id).collect();
    let nodes: HashSet<usize> = inputs.iter().filter_map(Tensor::node).map(Node::id).collect();
    let oldest = inputs.iter().map(|t| t.node().map_or(0, Node::seq)).min().unwrap_or(0);
    // Nodes in descending age; a node is useful if one of its edges leads to something wanted.
    let mut seen: HashMap<usize, Node> = HashMap::new();
    let mut stack: Vec<Node> = roots.iter().filter_map(|t| t.node().cloned()).collect();
    while let Some(n) = stack.pop() {
        if n.seq() < oldest || seen.contains_key(&n.id()) {
            continue;
        }
        for e in n.edges() {
            if let Edge::Node(m, _) = e {
                stack.push(m.clone());
            }
        }
        seen.insert(n.id(), n);
    }
    let mut order: Vec<&Node> = seen.values().collect();
    order.sort_unstable_by_key(|n| n.seq());
    let mut useful = HashSet::new();
    for n in order {
        let leads = n.edges().iter().any(|e| match e {
            Edge::None => false,
            Edge::Leaf(t) => leaves.contains(&t.id()),
            Edge::Node(m, _) => useful.contains(&m.id()) || nodes.contains(&m.id()),
        });
        if leads {
            useful.insert(n.id());
        }
    }
    useful
}

impl Run<'_> {
    /// Adds `grad` to what waits at the end of `edge`.
    fn send(&mut self, edge: &Edge, grad: Tensor) -> Result<()> {
        let (slot, output) = match edge {
            Edge::None => return Ok(()),
            Edge::Leaf(t) => (self.leaf_slot(t), 0),
            Edge::Node(n, k) => (self.node_slot(n), *k as usize),
        };
        let grads = &mut self.entries[slot as usize].grads;
        if grads.len() <= output {
            grads.resize(output + 1, None);
        }
        grads[output] = Some(match grads[output].take() {
            None => grad,
            Some(first) => add(first, grad)?,
        });
        Ok(())
    }

    fn node_slot(&mut self, n: &Node) -> u32 {
        let inner = n.inner();
        let known = if self.outer {
            (inner.run.get() == self.id).then(|| inner.slot.get())
        } else {
            self.map.get(&n.id()).copied()
        };
        known.unwrap_or_else(|| {
            let slot = self.push(Target::Node(n.clone()));
            if self.outer {
                inner.run.set(self.id);
                inner.slot.set(slot);
            } else {
                self.map.insert(n.id(), slot);
            }
            self.queue.push((n.seq(), slot));
            slot
        })
    }

    fn leaf_slot(&mut self, t: &Tensor) -> u32 {
        let known = if self.outer {
            t.meta().filter(|m| m.run == self.id).map(|m| m.slot)
        } else {
            self.map.get(&t.id()).copied()
        };
        known.unwrap_or_else(|| {
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
        self.entries.push(Entry { target, grads: SmallVec::new() });
        self.entries.len() as u32 - 1
    }

    /// Runs one node, whose gradient is complete.
    fn visit(&mut self, slot: u32) -> Result<()> {
        let entry = &mut self.entries[slot as usize];
        let mut grads = std::mem::take(&mut entry.grads);
        let Target::Node(node) = &entry.target else { return Ok(()) };
        let node = node.clone();
        if node.info().is_some() {
            run_hooks(&node, &mut grads)?;
        }
        self.capture(&node, &grads);
        let mut wanted = 0;
        for (i, e) in node.edges().iter().enumerate() {
            let wants = match (e, &self.useful) {
                (Edge::None, _) => false,
                (_, None) => true,
                (Edge::Leaf(t), Some(_)) => self.is_input(t),
                (Edge::Node(n, _), Some(u)) => u.contains(&n.id()) || self.is_input_node(n),
            };
            wanted |= (wants as u32) << i.min(31);
        }
        if wanted != 0 && grads.iter().any(Option::is_some) {
            let out = vjp::apply(&node, &grads, wanted)?;
            drop(grads);
            for (i, g) in out.into_iter().enumerate() {
                if let Some(g) = g
                    && wanted & (1 << i.min(31)) != 0
                {
                    self.send(&node.edges()[i], g)?;
                }
            }
        }
        if !self.options.retain_graph {
            node.release();
        }
        Ok(())
    }

    fn is_input(&self, t: &Tensor) -> bool {
        self.options.inputs.is_some_and(|list| list.iter().any(|i| i.same(t)))
    }

    fn is_input_node(&self, n: &Node) -> bool {
        let made_by = |t: &Tensor| t.node().is_some_and(|m| m.same(n));
        self.options.inputs.is_some_and(|list| list.iter().any(made_by))
    }

    /// Keeps the gradient of a wanted input that `node` made.
    fn capture(&mut self, node: &Node, grads: &Slots) {
        let Some(inputs) = self.options.inputs else { return };
        for (i, t) in inputs.iter().enumerate() {
            if t.node().is_some_and(|n| n.same(node)) {
                self.captured[i] = grads.get(t.output_nr()).cloned().flatten();
            }
        }
    }

    /// Hands leaves their gradients, evaluating all that is deferred in shared passes.
    fn finish(mut self) -> Result<Vec<Option<Tensor>>> {
        let mut leaves = Vec::new();
        for e in std::mem::take(&mut self.entries) {
            if let (Target::Leaf(t), Some(Some(g))) = (e.target, e.grads.into_iter().next()) {
                leaves.push((t, g));
            }
        }
        evaluate(leaves.iter().map(|l| &l.1))?;
        for (t, g) in leaves {
            let g = leaf_hooks(&t, g)?;
            match self.options.inputs {
                None => accumulate(&t, g)?,
                Some(inputs) => {
                    for (i, input) in inputs.iter().enumerate() {
                        if input.same(&t) {
                            self.captured[i] = Some(g.clone());
                        }
                    }
                }
            }
        }
        let Some(inputs) = self.options.inputs else { return Ok(Vec::new()) };
        evaluate(self.captured.iter().flatten())?;
        if self.options.accumulate {
            for (t, g) in inputs.iter().zip(&self.captured) {
                if let Some(g) = g {
                    accumulate(t, g.clone())?;
                }
            }
        }
        Ok(self.captured)
    }
}

/// Evaluates deferred gradients, as many as possible in one pass.
fn evaluate<'a>(grads: impl Iterator<Item = &'a Tensor>) -> Result<()> {
    let pending: Vec<Storage> =
        grads.map(Tensor::storage).filter(|s| s.is_pending()).cloned().collect();
    if pending.is_empty() { Ok(()) } else { lazy::force_all(&pending) }
}

/// The sum of two gradients; into the first one's memory if nobody else has it.
fn add(first: Tensor, second: Tensor) -> Result<Tensor> {
    let reuse = !grad_enabled()
        && first.unique()
        && first.is_contiguous()
        && first.shape() == second.shape()
        && first.dtype() == second.dtype()
        && !first.storage().is_pending()
        && !second.storage().is_pending();
    if reuse {
        pointwise::in_place(ops::Id::ADD, &[(&first).into(), (&second).into()])
    } else {
        pointwise::binary(ops::Id::ADD, &first, &second)
    }
}

/// Tensor hooks and `retain_grad` of the outputs of a node.
fn run_hooks(node: &Node, grads: &mut Slots) -> Result<()> {
    let Some(info) = node.info() else { return Ok(()) };
    let hooks = info.hooks.clone();
    for (_, output, hook) in hooks {
        if let Some(Some(g)) = grads.get_mut(output as usize) {
            call_hook(g, &hook)?;
        }
    }
    let retained = node.info().map(|i| i.retained.clone()).unwrap_or_default();
    for (output, id) in retained {
        if let Some(Some(g)) = grads.get(output as usize) {
            // A tensor takes itself off the list when it is dropped, so the id is alive.
            let t = views::tensor_from_id(id);
            accumulate_retained(&t, g)?;
        }
    }
    Ok(())
}

fn call_hook(g: &mut Tensor, hook: &crate::tape::Hook) -> Result<()> {
    let Some(new) = hook(g)? else { return Ok(()) };
    if new.shape() != g.shape() {
        bail!(Runtime, "hook '<unknown>' has changed the size of value");
    }
    *g = new;
    Ok(())
}

fn leaf_hooks(t: &Tensor, mut g: Tensor) -> Result<Tensor> {
    let hooks = t.meta().map(|m| m.hooks.clone()).unwrap_or_default();
    for (_, hook) in hooks {
        call_hook(&mut g, &hook)?;
    }
    Ok(g)
}

fn accumulate_retained(t: &Tensor, g: &Tensor) -> Result<()> {
    let kept = match t.grad() {
        None => g.clone(),
        Some(old) => pointwise::binary(ops::Id::ADD, &old, g)?,
    };
    evaluate(std::iter::once(&kept))?;
    t.replace_grad(Some(kept));
    Ok(())
}

/// Adds `g` to the gradient of leaf `t`.
///
/// The first gradient moves in if nobody else holds its memory and it has the leaf's layout; later
/// ones are added in place, unless the pass itself is recorded.
pub fn accumulate(t: &Tensor, g: Tensor) -> Result<()> {
    if !t.requires_grad() {
        return Ok(());
    }
    let new = match t.grad() {
        None if steals(t, &g) => g,
        None if grad_enabled() => ops::view::contiguous_clone(&g)?,
        None => {
            let mut layout = Layout::contiguous(t.shape());
            if t.layout().dense() && t.strides().iter().all(|&s| s >= 0) {
                layout = t.layout().clone();
            }
            let own = Tensor::empty_strided(layout.shape, layout.strides, g.dtype())?;
            pointwise::copy(&g, &own)?;
            own
        }
        Some(old) if !grad_enabled() && old.dtype() == g.dtype() => {
            lazy::before_write(old.storage())?;
            let _off = Guard::new(false);
            pointwise::in_place(ops::Id::ADD, &[(&old).into(), (&g).into()])?;
            return run_post_hooks(t);
        }
        Some(old) => pointwise::binary(ops::Id::ADD, &old, &g)?,
    };
    t.replace_grad(Some(new));
    run_post_hooks(t)
}

/// True if `g` can become the gradient of `t` as it is.
fn steals(t: &Tensor, g: &Tensor) -> bool {
    let same_layout = g.strides() == t.strides() && g.layout().dense();
    let fits = same_layout || (g.is_contiguous() && !t.layout().dense());
    fits && ((grad_enabled() && g.requires_grad()) || g.unique())
}

fn run_post_hooks(t: &Tensor) -> Result<()> {
    let hooks = t.meta().map(|m| m.post_hooks.clone()).unwrap_or_default();
    for (_, hook) in hooks {
        hook(t)?;
    }
    Ok(())
}

impl Tensor {
    /// Computes the gradients of this one-element tensor with respect to the graph's leaves.
    ///
    /// # Errors
    /// RuntimeError if it has more than one element, or no history.
    pub fn backward(&self) -> Result<()> {
        backward(std::slice::from_ref(self), &[None], Options::default())
    }
}

/// `torch.autograd.backward`: gradients are accumulated into leaves (or into `options.inputs`).
///
/// # Errors
/// PyTorch's, for missing gradients of non-scalars, wrong shapes and roots without history.
pub fn backward(roots: &[Tensor], grads: &[Option<Tensor>], options: Options) -> Result<()> {
    let grads = root_grads(roots, grads, options.create_graph)?;
    run(roots, grads, Options { accumulate: true, ..options })?;
    Ok(())
}

/// `torch.autograd.grad`: gradients of `roots` with respect to `inputs`, None where there is no
/// path.
///
/// # Errors
/// As [`backward`]; and if an input does not require a gradient.
pub fn grad(
    roots: &[Tensor],
    inputs: &[Tensor],
    grads: &[Option<Tensor>],
    options: Options,
) -> Result<Vec<Option<Tensor>>> {
    let grads = root_grads(roots, grads, options.create_graph)?;
    if inputs.iter().any(|t| !t.requires_grad()) {
        bail!(Runtime, "One of the differentiated Tensors does not require grad");
    }
    run(roots, grads, Options { inputs: Some(inputs), accumulate: false, ..options })
}

fn root_grads(
    roots: &[Tensor],
    grads: &[Option<Tensor>],
    _create_graph: bool,
) -> Result<Vec<Tensor>> {
    let mut out = Vec::with_capacity(roots.len());
    for (i, root) in roots.iter().enumerate() {
        let given = grads.get(i).and_then(Option::as_ref);
        if given.is_none() && root.requires_grad() && root.numel() != 1 {
            bail!(Runtime, "grad can be implicitly created only for scalar outputs");
        }
        if let Some(g) = given
            && g.shape() != root.shape()
        {
            bail!(
                Runtime,
                "Mismatch in shape: grad_output[{i}] has a shape of torch.Size({}) and output[{i}] has a shape of torch.Size({}).",
                show(g.shape()),
                show(root.shape())
            );
        }
        if !root.requires_grad() {
            bail!(
                Runtime,
                "element {i} of tensors does not require grad and does not have a grad_fn"
            );
        }
        out.push(match given {
            None => Tensor::full(root.shape(), 1.0.into(), root.dtype())?,
            Some(g) if g.dtype() != root.dtype() => ops::convert::to_dtype(g, root.dtype())?,
            Some(g) => g.clone(),
        });
    }
    Ok(out)
}
