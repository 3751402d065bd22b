//! Views and in-place writes: how the history of a tensor is rewritten when memory that it shares
//! changes (`CopySlices`), and how a view's history is brought up to date.

use crate::error::Kind;
use crate::formula::bit;
use crate::mode::{self, Guard, grad_enabled};
use crate::op::{Id, Structured};
use crate::record::edge_of;
use crate::shape::Layout;
use crate::tape::{Edge, Info, Meta, Node, Rule};
use crate::value::{Args, Value};
use crate::{Error, Result, Tensor, bail, hooks, ops, vjp};
use smallvec::{SmallVec, smallvec};
use std::cell::RefCell;
use std::rc::Rc;

/// A handle to the tensor with this id, which must be alive.
pub(crate) fn tensor_from_id(id: usize) -> Tensor {
    // SAFETY: ids are kept only by nodes, and a tensor that dies takes its id back first.
    let borrowed = std::mem::ManuallyDrop::new(unsafe { Tensor::from_raw(id as *mut _) });
    (*borrowed).clone()
}

/// How a view came to be, where that forbids rewriting its history. A plain view of a view takes
/// over what that is; of one made in inference mode, every view does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Creation {
    Plain,
    /// By a custom function.
    Custom,
    /// One of several views made by one call.
    Multi,
    /// While grad mode was off.
    NoGrad,
    /// In inference mode.
    Inference,
}

/// Finishes a view of `parent` made by an operation: remembers how it came to be.
pub(crate) fn made(view: &Tensor, parent: Option<&Tensor>) {
    mark_fresh(view);
    if !grad_enabled() || parent.is_some_and(Tensor::is_odd_view) {
        remember_creation(view, parent.map_or(Creation::Plain, Tensor::creation));
    }
}

#[cold]
fn remember_creation(view: &Tensor, parent: Creation) {
    let own = match mode::current() {
        mode if mode.inference() => Creation::Inference,
        mode if !mode.grad() => Creation::NoGrad,
        _ => view.creation(),
    };
    let inherits = own == Creation::Plain || parent == Creation::Inference;
    view.set_creation(if inherits { parent } else { own });
}

/// Brings the history of a view up to date after its base was written to.
///
/// # Errors
/// RuntimeError if the way the view was made forbids it.
#[inline]
pub(crate) fn refresh(t: &Tensor) -> Result<()> {
    match t.base() {
        Some(base) if t.meta().map_or(0, |m| m.node_version) != t.version() => {
            regenerate(t, &base.clone())
        }
        _ => Ok(()),
    }
}

/// Declares the history of a view to be of its present version.
pub(crate) fn mark_fresh(t: &Tensor) {
    if t.base().is_some() && (t.version() != 0 || t.meta().is_some()) {
        let version = t.version();
        t.with_meta(|m| m.node_version = version);
    }
}

#[cold]
fn regenerate(t: &Tensor, base: &Tensor) -> Result<()> {
    if !t.dtype().is_differentiable() || (t.node().is_none() && !base.requires_grad()) {
        return Ok(());
    }
    if t.creation() != Creation::Plain {
        return Err(refusal(t, "its base or another view of its base has been"));
    }
    let node = part_node(Id::VIEW_PART, edge_of(base)?, base.layout(), t);
    move_retained(t, &node, 0);
    t.set_node(Some(node), 0);
    mark_fresh(t);
    Ok(())
}

/// The view of `whole` that lies in it as `view` lies in `base`; `whole` has the strides of `base`.
pub(crate) fn same_part(whole: &Tensor, base: &Layout, view: &Layout) -> Result<Tensor> {
    let offset = whole.layout().offset + view.offset - base.offset;
    let part = whole.view_as_layout(view.clone().at(offset));
    let root = part.base().unwrap_or(whole).clone();
    regenerate(&part, &root)?;
    Ok(part)
}

/// A node of `id` that takes the part `t` out of a tensor laid out as `base`.
pub(crate) fn part_node(id: Id, edge: Edge, base: &Layout, t: &Tensor) -> Node {
    let node = Node::new(id, smallvec![edge], SmallVec::new());
    node.with_info(|i| {
        *i = Info {
            args: ops::strided::part_args(base, t.layout()),
            inputs: smallvec![Meta { shape: base.shape.clone(), dtype: t.dtype() }],
            outputs: smallvec![Meta::from(t)],
            call_site: i.call_site.take(),
            notes: i.notes.take(),
            ..Info::default()
        }
    });
    node
}

/// PyTorch's refusal to rewrite the history of a view, `what` having happened to it.
fn refusal(x: &Tensor, what: &str) -> Error {
    let creation = x.creation();
    let made_by = x.node().map(|n| format!("Output {} of {}", x.output_nr(), n.short_name()));
    let (mode, normal) = match creation {
        Creation::Inference => ("inference", "in normal mode"),
        _ => ("no_grad", "with grad mode enabled"),
    };
    let in_mode = format!("created in {mode} mode and {what} modified inplace {normal}.");
    let mut text = match made_by {
        None => format!("A view was {in_mode}"),
        Some(by) if creation >= Creation::NoGrad => {
            format!("{by} is a view of a view which was {in_mode}")
        }
        Some(by) => format!("{by} is a view and {what} modified inplace."),
    };
    text += match creation {
        Creation::Multi => {
            " This view is the output of a function that returns multiple views. Such functions do not allow the output views to be modified inplace. You should replace the inplace operation by an out-of-place one."
        }
        Creation::Custom => {
            " This view was created inside a custom Function (or because an input was returned as-is) and the autograd logic to handle view+inplace would override the custom backward associated with the custom Function, leading to incorrect gradients. This behavior is forbidden. You can fix this by cloning the output of the custom Function."
        }
        Creation::Inference => {
            " Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by moving both the view and the inplace either both inside the inference_mode block (if you don't want the inplace to be tracked) or both outside (if you want the inplace to be tracked)."
        }
        _ => {
            " Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by moving both the view and the inplace either both inside the no_grad block (if you don't want the inplace to be tracked) or both outside (if you want the inplace to be tracked)."
        }
    };
    Error::new(Kind::Runtime, text)
}

/// PyTorch's refusals of in-place writes, where grad mode is on. `recorded`: some input of the
/// write requires a gradient.
pub(crate) fn check_in_place(x: &Tensor, recorded: bool) -> Result<()> {
    if !recorded {
        return Ok(());
    }
    if let Some(base) = x.base() {
        if x.creation() != Creation::Plain {
            return Err(refusal(x, "is being"));
        }
        if x.requires_grad() && base.is_leaf() {
            bail!(
                Runtime,
                "a view of a leaf Variable that requires grad is being used in an in-place operation."
            );
        }
    }
    // PyTorch asks this of a view before it brings its history up to date.
    if x.is_leaf() && x.requires_grad() {
        bail!(
            Runtime,
            "a leaf Variable that requires grad is being used in an in-place operation."
        );
    }
    refresh(x)
}

/// The in-place form of a view (`t_`, `squeeze_`): the tensor takes the layout that the operation
/// gives. Only its own history changes: its base, if it is a view, is not written to.
pub(crate) fn relayout(id: Id, op: &Structured, args: &[Value]) -> Result<Tensor> {
    let Some(Value::Tensor(x)) = args.first() else {
        bail!(Type, "{}_ needs a tensor to change", id.name());
    };
    let recorded = grad_enabled() && x.requires_grad();
    x.check_writable()?;
    check_in_place(x, recorded)?;
    let edge = if recorded { edge_of(x)? } else { Edge::None };
    let mut args = args.to_vec();
    args[0] = Value::Tensor(x.detach());
    let out = {
        let _off = Guard::new(false);
        (op.forward)(Args(&args))?
    };
    let before = x.layout().clone();
    out.iter().try_for_each(|out| x.set_memory(out))?;
    x.bump_version();
    if recorded {
        mark_fresh(x);
        let node = part_node(id, edge, &before, x);
        move_retained(x, &node, 0);
        x.set_node(Some(node), 0);
    }
    Ok(x.clone())
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
    let mut edges: SmallVec<[Edge; 2]> = smallvec![edge_of(&base)?];
    edges.extend(node.edges().iter().skip(1).cloned());
    let (whole, part) = (base.layout().clone(), x.layout().clone());
    let rule = CopySlices { inner: RefCell::new(Some(node)), base: whole, view: part };
    let copy = Node::new(Id::VIEW_PART, edges, SmallVec::new());
    copy.with_info(|i| {
        i.rule = Some(Rc::new(rule));
        i.outputs.push(Meta::from(&base));
    });
    move_retained(&base, &copy, 0);
    base.set_node(Some(copy), 0);
    regenerate(x, &base)
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
    /// The write's own node; None once it was freed.
    inner: RefCell<Option<Node>>,
    base: Layout,
    view: Layout,
}

impl Rule for CopySlices {
    fn name(&self) -> String {
        "torch::autograd::CopySlices".into()
    }

    fn apply(&self, node: &Node, grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let Some(inner) = self.inner.borrow().clone() else { return Err(node.freed()) };
        let Some(Some(g)) = grads.first() else { return Ok(vec![None; node.edges().len()]) };
        let part = ops::strided::part_of(g, &self.base, &self.view)?;
        let wanted = inner.edges().iter().enumerate();
        let wanted =
            wanted.fold(0, |m, (i, e)| if matches!(e, Edge::None) { m } else { m | bit(i) });
        let mut out: Vec<Option<Tensor>> =
            vjp::apply(&inner, &[Some(part.clone())], wanted)?.into_iter().collect();
        let Some(first) = out.first_mut() else { return Ok(out) };
        let new = first.take();
        if !matches!(node.edges().first(), None | Some(Edge::None)) {
            let new = new.map_or_else(|| Tensor::zeros(part.shape(), part.dtype()), Ok)?;
            *first = Some(ops::strided::with_part(g, &new, &self.base, &self.view)?);
        }
        Ok(out)
    }

    fn release(&self) {
        drop(self.inner.take());
    }

    fn held(&self, see: &mut dyn FnMut(*mut std::ffi::c_void)) {
        if let Some(inner) = self.inner.borrow().as_ref().filter(|n| n.refs() == 1) {
            inner.held(see);
        }
    }

    fn clear(&self) {
        if let Some(inner) = self.inner.borrow().as_ref().filter(|n| n.refs() == 1) {
            inner.clear_held();
        }
    }
}
