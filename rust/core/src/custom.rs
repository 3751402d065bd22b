//! Custom functions: a call whose derivative is the front end's own (`torch.autograd.Function`).

use crate::mode::{Guard, grad_enabled};
use crate::ops::{self, Id};
use crate::record::edge_of;
use crate::shape::{expandable, show};
use crate::tape::{Edge, Meta, Node, Rule, Saved};
use crate::views::{self, Creation};
use crate::{Result, Tensor, bail};
use smallvec::SmallVec;
use std::rc::Rc;

/// A node for a call with these tensor arguments. Its outputs are attached when they are known.
///
/// # Errors
/// RuntimeError for a view whose history cannot be brought up to date.
pub fn node<'a>(inputs: impl Iterator<Item = &'a Tensor>, rule: Rc<dyn Rule>) -> Result<Node> {
    let recorded = grad_enabled();
    let edge = |t| if recorded { edge_of(t) } else { Ok(Edge::None) };
    let edges = inputs.map(edge).collect::<Result<_>>()?;
    let node = Node::new(Id::CLONE, edges, SmallVec::new());
    node.with_info(|i| i.rule = Some(rule));
    Ok(node)
}

/// What is known of an output.
#[derive(Clone, Copy)]
pub struct Output {
    pub number: usize,
    /// It is one of the inputs.
    pub input: bool,
    /// It was written to by the function.
    pub dirty: bool,
    pub differentiable: bool,
    /// The function has other outputs too.
    pub several: bool,
    /// Some of these are differentiable as well.
    pub multiple: bool,
}

/// Makes `t` an output of `node` (if the call is recorded); what the caller gets is returned.
///
/// # Errors
/// RuntimeError with PyTorch's refusals of in-place writes.
pub fn attach(node: Option<&Node>, t: &Tensor, o: Output) -> Result<Tensor> {
    let out = if o.input && !o.dirty { alias(t) } else { t.clone() };
    if o.dirty {
        t.check_writable()?;
        t.bump_version();
    }
    let Some(node) = node.filter(|_| o.differentiable) else {
        if t.requires_grad() && !o.dirty && !o.input && t.base().is_none() {
            out.detach_()?;
        }
        if out.base().is_some() && !o.input {
            out.set_creation(if o.multiple { Creation::Multi } else { Creation::Custom });
        }
        return Ok(if o.input && t.requires_grad() { t.detach() } else { out });
    };
    if o.dirty {
        if t.is_leaf() && t.requires_grad() && t.base().is_none() {
            bail!(
                Runtime,
                "a leaf Variable that requires grad has been used in an in-place operation."
            );
        }
        if t.grad().is_some() {
            t.replace_grad(None);
        }
        views::check_in_place(t, true)?;
        if t.base().is_some() && o.several {
            bail!(
                Runtime,
                "If your Function modifies inplace an input that is a view of another Tensor, your Function cannot return more than one Tensor. This is not supported by the current autograd engine. You should either make sure the input is not a view (using .clone() for example) or make your Function only return one Tensor (potentially splitting it into two Functions: one doing the inplace that returns a single Tensor and a second one that does the other operations). You can ask on the forum https://discuss.pytorch.org/ if you need help to do this change."
            );
        }
        views::rebase_output(t, node.clone(), o.number)?;
        return Ok(out);
    }
    if out.base().is_some() {
        views::mark_fresh(&out);
        out.set_creation(if o.multiple { Creation::Multi } else { Creation::Custom });
    }
    out.set_node(Some(node.clone()), o.number);
    Ok(out)
}

/// Another tensor with the same memory, made as inside the function: not recorded.
fn alias(t: &Tensor) -> Tensor {
    let _off = Guard::new(false);
    let view = t.view_as_layout(t.layout().clone());
    views::made(&view, None);
    view
}

/// How a tensor that the function saves is kept: an output without its node, which would be a
/// cycle.
fn saved(node: &Node, t: &Tensor) -> Result<Saved> {
    let version = t.version_to_save()?;
    Ok(match t.node() {
        Some(n) if n.same(node) => Saved::Output(t.detach(), version, t.output_nr() as u32),
        _ => Saved::Input(t.clone(), version),
    })
}

/// Keeps what the function saves, one entry per tensor or None.
///
/// # Errors
/// Those of a hook that packs, and PyTorch's for an inference tensor.
pub fn save<'a>(node: &Node, tensors: impl Iterator<Item = Option<&'a Tensor>>) -> Result<()> {
    let one = |t: Option<&Tensor>| t.map_or(Ok(Saved::Absent), |t| saved(node, t));
    node.keep(tensors.map(one).collect::<Result<_>>()?);
    if crate::saved::hooked() {
        crate::saved::pack(node, &[])?;
    }
    Ok(())
}

/// A gradient that the function `name` returned for an input: summed down to its shape and cast.
///
/// # Errors
/// RuntimeError if the shape does not fit.
pub fn fit(name: impl Fn() -> String, i: usize, g: Tensor, input: &Meta) -> Result<Tensor> {
    let mut g = g;
    if g.shape() != input.shape.as_slice() {
        if !expandable(&input.shape, g.shape()) {
            bail!(
                Runtime,
                "Function {} returned an invalid gradient at index {i} - got {} but expected shape compatible with {}",
                name(),
                show(g.shape()),
                show(&input.shape)
            );
        }
        g = ops::reduce::sum_to(&g, &input.shape)?;
    }
    if g.dtype() != input.dtype { ops::convert::to_dtype(&g, input.dtype) } else { Ok(g) }
}
