//! The backward pass: what is asked of it, and its result.
//!
//! Sequence numbers are a topological order: every consumer of a node is newer than the node. So
//! nodes with gradients waiting are taken from a heap, newest first, and each has its whole
//! gradient when its turn comes. Gradients wait in a dense vector; a node knows its slot there.
//! There is no recursion and no hash map on the way.

mod accumulate;
mod leaves;
mod pass;
mod run;

use crate::error::Kind;
use crate::record;
use crate::shape::show;
use crate::tape::{Edge, Meta, Node};
use crate::{Error, Result, Tensor, bail, batch, ops, vjp};
pub use accumulate::accumulate;
pub use pass::{Callback, current_pass, inputs_given, queue_callback, set_inputs_given, will_run};
use std::collections::HashSet;

/// What a backward pass is asked to do.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// Keep saved values, so that the graph can be run again.
    pub retain_graph: bool,
    /// Record the pass itself, for gradients of gradients.
    pub create_graph: bool,
    /// Only gradients that arrive here are computed: they end in `.grad` (`accumulate`), or are
    /// returned.
    pub inputs: Option<&'a [Edge]>,
    pub accumulate: bool,
}

impl Tensor {
    /// Computes the gradients of this one-element tensor with respect to the graph's leaves.
    ///
    /// # Errors
    /// RuntimeError if it has more than one element, or no history.
    pub fn backward(&self) -> Result<()> {
        backward(std::slice::from_ref(self), &[None], Options::default())
    }

    /// Where the gradient of this tensor goes: the output of its node, or the leaf itself (nowhere
    /// for a view of a leaf made without grad mode, though it counts as requiring a gradient).
    ///
    /// # Errors
    /// RuntimeError if it requires no gradient.
    pub fn gradient_edge(&self) -> Result<Edge> {
        if !self.requires_grad() {
            bail!(Runtime, "One of the differentiated Tensors does not require grad");
        }
        record::edge_of(self)
    }
}

/// `torch.autograd.backward`: gradients are accumulated into leaves (or into `options.inputs`).
///
/// # Errors
/// PyTorch's, for missing gradients of non-scalars, wrong shapes and roots without history.
pub fn backward(roots: &[Tensor], grads: &[Option<Tensor>], options: Options) -> Result<()> {
    let (edges, grads) = start(roots, grads)?;
    run::run(&edges, grads, Options { accumulate: true, ..options })?;
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
    let (edges, grads) = start(roots, grads)?;
    let inputs: Vec<Edge> = inputs.iter().map(Tensor::gradient_edge).collect::<Result<_>>()?;
    run::run(&edges, grads, Options { inputs: Some(&inputs), accumulate: false, ..options })
}

/// Runs backward from edges, each with its gradient; both forms above come down to it. Returns the
/// gradients of `options.inputs` (nothing without them).
///
/// # Errors
/// Those of PyTorch for freed graphs and changed saved values, and those raised by hooks.
pub fn run(roots: &[Edge], grads: Vec<Tensor>, options: Options) -> Result<Vec<Option<Tensor>>> {
    run::run(roots, grads, options)
}

/// Runs one node by itself: the gradients of its inputs for those of its outputs.
///
/// # Errors
/// As [`run`].
pub fn apply(node: &Node, grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
    Ok(vjp::apply(node, grads, u32::MAX)?.into_iter().collect())
}

/// True if the history of `root` leads to a leaf that is not private to a transform, or to one of
/// `outer`.
///
/// # Errors
/// As [`Tensor::gradient_edge`], for views whose history cannot be told.
pub fn leads_out(root: &Tensor, outer: &[Tensor]) -> Result<bool> {
    let outer: Vec<Tensor> = outer.iter().map(batch::innermost).collect();
    let inside =
        |t: &Tensor| t.meta().is_some_and(|m| m.private) && !outer.iter().any(|o| o.same(t));
    let (mut stack, mut seen) = (vec![record::edge_of(&batch::innermost(root))?], HashSet::new());
    while let Some(edge) = stack.pop() {
        match edge {
            Edge::None => (),
            Edge::Leaf(t) if inside(&t) => (),
            Edge::Leaf(_) => return Ok(true),
            Edge::Node(n, _) => {
                if seen.insert(n.id()) {
                    stack.extend(n.edges().iter().cloned());
                }
            }
        }
    }
    Ok(false)
}

/// True if no code of the front end runs when gradients go through the history of `root`: hooks, or
/// rules of its own.
///
/// # Errors
/// As [`Tensor::gradient_edge`], for views whose history cannot be told.
pub fn is_plain(root: &Tensor) -> Result<bool> {
    let (mut stack, mut seen) = (vec![record::edge_of(root)?], HashSet::new());
    while let Some(edge) = stack.pop() {
        match edge {
            Edge::None => (),
            Edge::Leaf(t) if t.leaf_hooks().is_some() => return Ok(false),
            Edge::Leaf(_) => (),
            Edge::Node(n, _) if n.hooks().is_some() || n.rule().is_some() => return Ok(false),
            Edge::Node(n, _) => {
                if seen.insert(n.id()) {
                    stack.extend(n.edges().iter().cloned());
                }
            }
        }
    }
    Ok(true)
}

fn start(roots: &[Tensor], grads: &[Option<Tensor>]) -> Result<(Vec<Edge>, Vec<Tensor>)> {
    let (mut edges, mut starts) = (Vec::new(), Vec::new());
    for (i, root) in roots.iter().enumerate() {
        let given = grads.get(i).and_then(Option::as_ref);
        let edge = record::edge_of(root)?;
        starts.push(root_grad(i, root.requires_grad(), &edge, &Meta::from(root), given)?);
        edges.push(edge);
    }
    Ok((edges, starts))
}

/// The gradient that a root starts with: the one given, checked, or one.
///
/// # Errors
/// RuntimeError with PyTorch's sentence.
pub fn root_grad(
    i: usize,
    requires_grad: bool,
    edge: &Edge,
    root: &Meta,
    given: Option<&Tensor>,
) -> Result<Tensor> {
    if given.is_none() && requires_grad && root.shape.iter().product::<usize>() != 1 {
        bail!(Runtime, "grad can be implicitly created only for scalar outputs");
    }
    if let Some(g) = given
        && g.shape() != root.shape.as_slice()
    {
        bail!(
            Runtime,
            "Mismatch in shape: grad_output[{i}] has a shape of torch.Size({}) and output[{i}] has a shape of torch.Size({}).",
            show(g.shape()),
            show(&root.shape)
        );
    }
    if matches!(edge, Edge::None) {
        return Err(Error::new(
            Kind::Runtime,
            format!("element {i} of tensors does not require grad and does not have a grad_fn"),
        ));
    }
    match given {
        None => Tensor::full(&root.shape, 1.0.into(), root.dtype),
        Some(g) if g.dtype() != root.dtype => ops::convert::to_dtype(g, root.dtype),
        Some(g) => Ok(g.clone()),
    }
}
