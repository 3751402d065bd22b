//! Views and in-place writes: how the history of a tensor is rewritten when memory that it shares
//! changes (`CopySlices`), and how a view's history is brought up to date.

use crate::formula::bit;
use crate::mode::grad_enabled;
use crate::ops::{self, Id};
use crate::record::edge_of;
use crate::shape::Layout;
use crate::tape::{Edge, Info, Meta, Node, Rule};
use crate::value::Value;
use crate::{Result, Tensor, bail, hooks, vjp};
use smallvec::{SmallVec, smallvec};
use std::rc::Rc;

/// A handle to the tensor with this id, which must be alive.
pub(crate) fn tensor_from_id(id: usize) -> Tensor {
    // SAFETY: ids are kept only by nodes, and a tensor that dies takes its id back first.
    let borrowed = std::mem::ManuallyDrop::new(unsafe { Tensor::from_raw(id as *mut _) });
    (*borrowed).clone()
}

/// Brings the history of a view up to date after its base was written to.
#[inline]
pub(crate) fn refresh(t: &Tensor) {
    if let Some(base) = t.base() {
        let seen = t.meta().map_or(0, |m| m.node_version);
        if seen != t.version() {
            regenerate(t, &base.clone());
        }
    }
}

/// Declares the history of a view to be of its present version.
pub(crate) fn mark_fresh(t: &Tensor) {
    if t.base().is_some() {
        let version = t.version();
        t.with_meta(|m| m.node_version = version);
    }
}

#[cold]
fn regenerate(t: &Tensor, base: &Tensor) {
    mark_fresh(t);
    if base.requires_grad() {
        let node = as_strided_node(base, t);
        t.set_node(Some(node), 0);
    }
}

/// The node of `base.as_strided(...)` that gives the view `t`.
fn as_strided_node(base: &Tensor, t: &Tensor) -> Node {
    let node = Node::new(Id::AS_STRIDED, smallvec![edge_of(base)], SmallVec::new());
    let sizes: Vec<i64> = t.shape().iter().map(|&s| s as i64).collect();
    let strides: Vec<i64> = t.strides().iter().map(|&s| s as i64).collect();
    let offset = t.layout().offset - base.layout().offset;
    node.with_info(|i| {
        *i = Info {
            notes: i.notes.take(),
            args: vec![
                Value::None,
                Value::from(&sizes[..]),
                Value::from(&strides[..]),
                Value::Int(offset as i64),
            ],
            inputs: smallvec![Meta::from(base)],
            outputs: smallvec![Meta::from(t)],
            call_site: i.call_site.take(),
            ..Info::default()
        }
    });
    node
}

/// PyTorch's refusals of in-place writes, where grad mode is on. `recorded`: some input of the
/// write requires a gradient.
pub(crate) fn check_in_place(x: &Tensor, recorded: bool) -> Result<()> {
    if !recorded {
        return Ok(());
    }
    if let Some(base) = x.base() {
        let output = || x.node().map_or("UnbindBackward0".to_string(), Node::name);
        if x.is_custom_view() {
            bail!(
                Runtime,
                "Output {} of {} is a view and is being modified inplace. This view was created inside a custom Function (or because an input was returned as-is) and the autograd logic to handle view+inplace would override the custom backward associated with the custom Function, leading to incorrect gradients. This behavior is forbidden. You can fix this by cloning the output of the custom Function.",
                x.output_nr(),
                output().trim_end_matches("Backward")
            );
        }
        if x.is_no_grad_view() {
            bail!(
                Runtime,
                "A view was created in no_grad mode and is being modified inplace with grad mode enabled. Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by moving both the view and the inplace either both inside the no_grad block (if you don't want the inplace to be tracked) or both outside (if you want the inplace to be tracked)."
            );
        }
        if x.is_multi_view() {
            let name = output();
            let name = name.trim_end_matches("Backward");
            bail!(
                Runtime,
                "Output {} of {name} is a view and is being modified inplace. This view is the output of a function that returns multiple views. Such functions do not allow the output views to be modified inplace. You should replace the inplace operation by an out-of-place one.",
                x.output_nr()
            );
        }
        if base.is_leaf() && x.requires_grad() {
            bail!(
                Runtime,
                "a view of a leaf Variable that requires grad is being used in an in-place operation."
            );
        }
    } else if x.is_leaf() && x.requires_grad() {
        bail!(
            Runtime,
            "a leaf Variable that requires grad is being used in an in-place operation."
        );
    }
    Ok(())
}

/// Makes `node` (whose first input is the old `x`) the newest history of `x`, and of its base.
pub(crate) fn rebase(x: &Tensor, node: Node) -> Result<()> {
    rebase_output(x, node, 0)
}

/// As [`rebase`], where `x` is output `k` of the node.
pub(crate) fn rebase_output(x: &Tensor, node: Node, k: usize) -> Result<()> {
    let Some(base) = x.base().cloned() else {
        move_retained(x, &node, k);
        x.set_node(Some(node), k);
        return Ok(());
    };
    let mut edges: SmallVec<[Edge; 2]> = smallvec![edge_of(&base)];
    edges.extend(node.edges().iter().skip(1).cloned());
    let rule = CopySlices { inner: node, base: base.layout().clone(), view: x.layout().clone() };
    let copy = Node::new(Id::AS_STRIDED, edges, SmallVec::new());
    copy.with_info(|i| {
        i.rule = Some(Rc::new(rule));
        i.outputs.push(Meta::from(&base));
    });
    move_retained(&base, &copy, 0);
    base.set_node(Some(copy), 0);
    regenerate(x, &base);
    Ok(())
}

/// `retain_grad` follows the tensor to its newest history.
fn move_retained(t: &Tensor, node: &Node, output: usize) {
    if t.retains() {
        if let Some(old) = t.node() {
            hooks::forget_retained(old, t.id());
        }
        hooks::retain(node, output as u32, t.id());
    }
}

/// Backward of a write to a part of a tensor: the gradient of that part goes through the write's
/// own rule, the rest passes unchanged.
struct CopySlices {
    inner: Node,
    base: Layout,
    view: Layout,
}

impl Rule for CopySlices {
    fn name(&self) -> String {
        "torch::autograd::CopySlices".into()
    }

    fn apply(&self, _node: &Node, grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let n = self.inner.edges().len();
        let Some(Some(g)) = grads.first() else { return Ok(vec![None; n]) };
        let part = ops::strided::part_of(g, &self.base, &self.view)?;
        let wanted = self.inner.edges().iter().enumerate();
        let wanted =
            wanted.fold(1, |m, (i, e)| if matches!(e, Edge::None) { m } else { m | bit(i) });
        let mut out: Vec<Option<Tensor>> =
            vjp::apply(&self.inner, &[Some(part.clone())], wanted)?.into_iter().collect();
        let new = match out.first_mut().and_then(Option::take) {
            Some(t) => t,
            None => Tensor::zeros(part.shape(), part.dtype())?,
        };
        if let Some(first) = out.first_mut() {
            *first = Some(ops::strided::with_part(g, &new, &self.base, &self.view)?);
        }
        Ok(out)
    }

    fn release(&self) {
        self.inner.release();
    }

    fn held(&self) -> *mut std::ffi::c_void {
        self.inner.rule().map_or(std::ptr::null_mut(), |r| r.held())
    }
}

/// Finishes a view made by an operation: remembers how it came to be.
pub(crate) fn made(view: &Tensor) {
    mark_fresh(view);
    view.set_no_grad_view(!grad_enabled());
}
