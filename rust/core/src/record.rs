//! Recording: from a call and its inputs to a node on the tape.

use crate::formula::{Formula, Vjp, bit};
use crate::mode::{Guard, grad_enabled};
use crate::op::{self, Id, Outputs, Structured};
use crate::pointwise::{Operand, special};
use crate::promote::can_cast;
use crate::shape::{check_output, same};
use crate::tape::{Edge, Info, Meta, Node, Rule, Saved};
use crate::tensor::kind::all_inference;
use crate::value::Args;
use crate::{Result, Tensor, Value, bail, forward, overlap, saved, views};
use smallvec::SmallVec;
use std::rc::Rc;

/// Where the gradient of `t` goes.
#[inline]
pub(crate) fn edge_of(t: &Tensor) -> Result<Edge> {
    views::refresh(t)?;
    Ok(match t.node() {
        Some(n) => Edge::Node(n.clone(), t.output_nr() as u32),
        None if t.is_grad_leaf() => Edge::Leaf(t.clone()),
        None => Edge::None,
    })
}

/// Records a pointwise call if an input requires a gradient and recording is on, and hands on
/// tangents.
#[inline]
pub(crate) fn pointwise(id: Id, args: &[Operand], out: &Tensor) -> Result<()> {
    let needed = args.iter().any(|a| a.tensor().is_some_and(Tensor::requires_grad));
    if needed
        && grad_enabled()
        && out.dtype().is_differentiable()
        && !all_inference(args.iter().map(Operand::tensor))
    {
        let wanted = wanted(args.iter().map(Operand::tensor));
        let mut edges = Edges::new();
        let led = edges_of(&id.op().formula, args, wanted, &mut edges)?;
        out.set_node(Some(pointwise_node(id, args, wanted, out, None, edges, led)?), 0);
    }
    if forward::active() { forward::pointwise(id, args, out) } else { Ok(()) }
}

#[inline(always)]
fn wanted<'a>(tensors: impl Iterator<Item = Option<&'a Tensor>>) -> u32 {
    let mut bits = 0;
    for (i, t) in tensors.enumerate() {
        if t.is_some_and(Tensor::requires_grad) {
            bits |= bit(i);
        }
    }
    bits
}

type Edges = SmallVec<[Edge; 2]>;

/// Puts where the gradients of a call's inputs go into `edges`; returns which of them (of the set
/// `wanted`) lead somewhere, as [`led`] says. (Edges are built where they stay: moving them costs.)
#[inline(always)]
fn edges_of(formula: &Formula, args: &[Operand], wanted: u32, edges: &mut Edges) -> Result<u32> {
    let mut led = 0;
    for (i, a) in args.iter().enumerate().take(formula.tracked) {
        let edge = match a {
            Operand::Tensor(t) if wanted & bit(i) != 0 => edge_of(t)?,
            _ => Edge::None,
        };
        if !matches!(edge, Edge::None) {
            led |= bit(i);
        }
        edges.push(edge);
    }
    Ok(led)
}

/// Those of the inputs that require a gradient whose gradients lead somewhere: not those of a view
/// of a leaf made without grad mode.
#[inline]
fn led(edges: &[Edge], wanted: u32) -> u32 {
    let mut led = wanted;
    for (i, e) in edges.iter().enumerate() {
        if matches!(e, Edge::None) {
            led &= !bit(i);
        }
    }
    led
}

/// The node of a pointwise call. `before` stands for the first input where that was overwritten.
#[inline(always)]
fn pointwise_node(
    id: Id,
    args: &[Operand],
    wanted: u32,
    out: &Tensor,
    before: Option<&Tensor>,
    edges: Edges,
    led: u32,
) -> Result<Node> {
    let formula = &id.op().formula;
    let saves = formula.saves(led);
    let mut saved: SmallVec<[Saved; 2]> = SmallVec::new();
    let mut plain = true;
    let written = args.first().and_then(Operand::tensor).is_some_and(|x| x.same(out));
    for (i, a) in args.iter().enumerate() {
        let wants = wanted & bit(i) != 0;
        match a {
            Operand::Tensor(t) => {
                plain &= !wants || (same(t.shape(), out.shape()) && t.dtype() == out.dtype());
                saved.push(if saves & (1 << i) != 0 {
                    match before.filter(|_| i == 0) {
                        Some(old) => Saved::Input(old.clone(), old.version_to_save()?),
                        None if i > 0 && written && t.storage().same(out.storage()) => {
                            overwritten(t, out)
                        }
                        None => Saved::Input((*t).clone(), t.version_to_save()?),
                    }
                } else {
                    Saved::Absent
                });
            }
            Operand::Number(s) => saved.push(Saved::Number(*s)),
        }
    }
    if saves & 256 != 0 {
        saved.push(Saved::Output(out.detach(), out.version_to_save()?, 0));
    }
    let node = Node::new(id, edges, saved);
    if !plain {
        node.with_info(|i| {
            i.inputs = args.iter().map(|a| meta_of(a.tensor())).collect();
            i.outputs.push(Meta::from(out));
        });
    }
    if saved::hooked() {
        saved::pack(&node, &formula.packing_order())?;
    }
    Ok(node)
}

/// What is saved of `t`, whose memory was just written to through `out`: its version of before, so
/// that using it is refused, and its history of before, for its present one would be a cycle.
fn overwritten(t: &Tensor, out: &Tensor) -> Saved {
    let old = t.detach();
    old.set_node(t.node().cloned(), t.output_nr());
    Saved::Input(old, out.version().wrapping_sub(1))
}

pub(crate) fn meta_of(t: Option<&Tensor>) -> Meta {
    t.map_or(Meta { shape: SmallVec::new(), dtype: crate::DType::F32 }, Meta::from)
}

/// The tensors among the arguments of a structured call: one slot per tensor parameter, or the
/// members of a list. Indices come last, so that the numbers of the others do not depend on them.
fn tensor_slots(args: &[Value]) -> SmallVec<[Option<&Tensor>; 3]> {
    let mut out = SmallVec::new();
    for a in args {
        match a {
            Value::Tensor(t) => out.push(Some(t)),
            Value::Tensors(list) => out.extend(list.iter().map(Some)),
            _ => (),
        }
    }
    for a in args {
        if let Value::Indices(list) = a {
            out.extend(list.iter().map(Option::as_ref));
        }
    }
    out
}

/// Calls a structured operation, recording it if needed.
pub(crate) fn structured(id: Id, s: &Structured, args: &[Value]) -> Result<Outputs> {
    if matches!(s.vjp, Vjp::Composed) {
        return (s.forward)(Args(args));
    }
    let slots = tensor_slots(args);
    let mut wanted = if grad_enabled() { wanted(slots.iter().copied()) } else { 0 };
    if wanted != 0 && all_inference(slots.iter().copied()) {
        wanted = 0;
    }
    let outputs = {
        let _off = Guard::new(false);
        let _none = forward::Below::new(0);
        (s.forward)(Args(args))?
    };
    let parent = slots.first().copied().flatten();
    outputs.iter().filter(|t| t.base().is_some()).for_each(|t| views::made(t, parent));
    if wanted != 0 && !matches!(s.vjp, Vjp::None) {
        check_differentiable(id, &outputs)?;
        let node = structured_node(id, s.vjp, args, &slots, wanted, &outputs)?;
        for (k, out) in outputs.iter().enumerate() {
            if out.dtype().is_differentiable() {
                out.set_node(Some(node.clone()), k);
            }
        }
    }
    if forward::active() {
        forward::structured(id, s, args, &slots, &outputs)?;
    }
    Ok(outputs)
}

/// PyTorch's refusal of a derivative through a dtype that has none. A conversion is no such case:
/// there the history ends.
fn check_differentiable(id: Id, outputs: &Outputs) -> Result<()> {
    match outputs.first() {
        Some(y) if !y.dtype().is_differentiable() && id != Id::TO_COPY => {
            bail!(Runtime, "Autograd not support dtype: {}", y.dtype().scalar_name())
        }
        _ => Ok(()),
    }
}

fn structured_node(
    id: Id,
    vjp: Vjp,
    args: &[Value],
    slots: &[Option<&Tensor>],
    wanted: u32,
    outputs: &[Tensor],
) -> Result<Node> {
    let formula = &id.op().formula;
    let tracked = slots.iter().take(formula.tracked);
    let edges: SmallVec<_> =
        tracked.map(|t| t.map_or(Ok(Edge::None), edge_of)).collect::<Result<_>>()?;
    let listed = matches!(vjp, Vjp::Each(_) | Vjp::Outputs(_));
    let saves = if listed { 0 } else { formula.saves(led(&edges, wanted)) };
    let mut saved: SmallVec<[Saved; 2]> = SmallVec::new();
    for (i, t) in slots.iter().enumerate() {
        saved.push(match t {
            Some(t) if saves & (1 << i.min(7)) != 0 => {
                Saved::Input((*t).clone(), t.version_to_save()?)
            }
            _ => Saved::Absent,
        });
    }
    for (k, out) in outputs.iter().enumerate().take(8) {
        if saves & (256 << k) != 0 {
            saved.push(Saved::Output(out.detach(), out.version_to_save()?, k as u32));
        }
    }
    if saves == 0 {
        saved.clear();
    }
    let node = Node::new(id, edges, saved);
    node.with_info(|i| {
        *i = Info {
            notes: i.notes.take(),
            args: args.iter().map(without_tensor).collect(),
            inputs: slots.iter().map(|t| meta_of(*t)).collect(),
            outputs: outputs.iter().map(Meta::from).collect(),
            call_site: i.call_site.take(),
            ..Info::default()
        }
    });
    if saved::hooked() {
        saved::pack(&node, &formula.packing_order())?;
    }
    Ok(node)
}

/// An argument as the node keeps it: of indices only which there were.
pub(crate) fn without_tensor(v: &Value) -> Value {
    match v {
        Value::Indices(list) => {
            let given = list.iter().enumerate().filter(|(_, t)| t.is_some());
            Value::Ints(given.map(|(i, _)| i as i64).collect())
        }
        Value::Tensor(_) | Value::Tensors(_) => Value::None,
        v => v.clone(),
    }
}

/// PyTorch's refusals of an in-place write of operation `id` to `x`, given all tensors that take
/// part (`x` among them).
pub(crate) fn check_in_place<'a>(
    id: Id,
    x: &Tensor,
    inputs: impl Iterator<Item = &'a Tensor> + Clone,
) -> Result<()> {
    if grad_enabled() && has_rule(id) {
        let recorded = inputs.clone().any(Tensor::requires_grad);
        views::check_in_place(x, recorded)?;
        // What may fail has to fail before the write.
        inputs.clone().filter(|_| recorded).try_for_each(views::refresh)?;
    }
    x.check_writable()?;
    if !WRITE_ANYWHERE.contains(&id) {
        overlap::check_inside(x.layout())?;
    }
    for t in inputs {
        overlap::check_between(x, t, false)?;
    }
    Ok(())
}

/// PyTorch's refusals of an `out=` tensor because of the memory it shares with arguments.
///
/// # Errors
/// RuntimeError if it shares part of it.
pub fn check_out(id: Id, out: &Tensor, args: &[Value]) -> Result<()> {
    let joined = matches!(id, Id::CAT | Id::GATHER); // PyTorch lets no input be the result
    if joined || matches!(id.block(), op::Block::Pointwise(_)) {
        for t in tensor_slots(args).into_iter().flatten() {
            overlap::check_between(out, t, joined)?;
        }
    }
    Ok(())
}

/// Writes a result to an `out=` tensor, which takes its shape.
///
/// # Errors
/// PyTorch's, for memory that cannot grow; RuntimeError for an expanded tensor, unless `anywhere`.
pub fn write_out(out: &Tensor, result: &Tensor, anywhere: bool) -> Result<()> {
    out.check_writable()?;
    if out.shape() != result.shape() {
        out.take_shape(result.shape())?;
    } else if !anywhere {
        overlap::check_inside(out.layout())?;
    }
    out.copy_raw(result)
}

/// True for an operation whose `out=` tensor PyTorch lets be expanded.
pub fn out_anywhere(id: Id) -> bool {
    [Id::TRIL, Id::TRIU, Id::MV, Id::AMAX, Id::AMIN].contains(&id)
}

/// Operations whose in-place forms PyTorch allows on expanded tensors.
const WRITE_ANYWHERE: [Id; 9] = [
    Id::FILL_IN_PLACE,
    Id::ZERO_IN_PLACE,
    Id::MASKED_FILL,
    Id::MASKED_FILL_TENSOR,
    Id::INDEX_PUT,
    Id::INDEX_FILL,
    Id::INDEX_FILL_TENSOR,
    Id::TRIL,
    Id::TRIU,
];

/// False for an operation whose in-place form leaves the history as it is.
fn has_rule(id: Id) -> bool {
    !matches!(id.block().vjp(), Vjp::None)
}

/// An in-place call being recorded: what has to be kept from before the write.
pub(crate) struct InPlace<'a> {
    id: Id,
    args: &'a [Operand<'a>],
    wanted: u32,
    /// Of before the write, which outdates the history of views of the same memory.
    edges: Edges,
    led: u32,
    before: Option<Tensor>,
    /// Some argument carries a tangent.
    dual: bool,
}

impl<'a> InPlace<'a> {
    /// To be called before the write.
    pub fn prepare(id: Id, args: &'a [Operand<'a>]) -> Result<InPlace<'a>> {
        // Copied into integers, a history ends; other operations are refused later.
        let ends =
            id == Id::COPY && args[0].tensor().is_some_and(|x| !x.dtype().is_differentiable());
        let wanted = if grad_enabled() && has_rule(id) && !ends {
            wanted(args.iter().map(Operand::tensor))
        } else {
            0
        };
        let dual = forward::active() && forward::any(args.iter().filter_map(Operand::tensor))?;
        let mut edges = Edges::new();
        let (mut led, mut saves) = (0, 0);
        if wanted != 0 {
            let formula = &id.op().formula;
            led = edges_of(formula, args, wanted, &mut edges)?;
            saves = formula.saves(led);
            // What may fail has to fail before the write.
            for (i, t) in args.iter().enumerate().filter_map(|(i, a)| Some((i, a.tensor()?))) {
                if saves & (1 << i) != 0 {
                    t.version_to_save()?;
                }
            }
        }
        let mut me = InPlace { id, args, wanted, edges, led, before: None, dual };
        if let Some(Operand::Tensor(x)) = args.first() {
            if wanted != 0 || dual {
                views::refresh(x)?;
            }
            if dual {
                me.before = Some(forward::before_write(x)?);
            } else if saves & 1 != 0 {
                let copy = Tensor::empty(x.shape(), x.dtype())?;
                crate::pointwise::copy(x, &copy)?;
                copy.set_node(x.node().cloned(), x.output_nr());
                me.before = Some(copy);
            }
        }
        Ok(me)
    }

    /// Records the call as the newest history of `x`.
    pub fn finish(self, x: &Tensor) -> Result<()> {
        if self.wanted != 0 {
            views::mark_fresh(x);
            let old = self.before.as_ref();
            let node =
                pointwise_node(self.id, self.args, self.wanted, x, old, self.edges, self.led)?;
            views::rebase(x, node)?;
        }
        match &self.before {
            Some(old) if self.dual => forward::in_place(self.id, self.args, old, x),
            _ => Ok(()),
        }
    }
}

/// Runs a structured operation on the values its first argument has now, and makes the result the
/// new value and the newest history of that argument.
pub(crate) fn structured_in_place(id: Id, args: &[Value]) -> Result<Tensor> {
    let Some(Value::Tensor(x)) = args.first() else {
        bail!(Type, "{}_ needs a tensor to write to", id.name());
    };
    let slots = tensor_slots(args);
    check_in_place(id, x, slots.iter().flatten().copied())?;
    if let Some(write) = crate::ops::index::writer(id) {
        return write_in_place(id, write, x, args, &slots);
    }
    let recorded = grad_enabled() && slots.iter().flatten().any(|t| t.requires_grad());
    let history = if recorded { edge_of(x)? } else { Edge::None };
    let mut args = args.to_vec();
    args[0] = Value::Tensor(if recorded || forward::active() {
        // The node may save it, so it has to keep the old values.
        forward::before_write(x)?
    } else {
        x.detach()
    });
    let out = op::call1(id, &args)?;
    check_fits(id, x, &out)?;
    let out = crate::ops::convert::to_dtype(&out, x.dtype())?;
    let Some(node) = out.node().cloned() else {
        x.copy_raw(&out)?;
        forward::overwritten(x, &out)?;
        return Ok(x.clone());
    };
    // `CopySlices` runs one node: a view takes over the result of several as a copy.
    let one = node.edges().first().is_some_and(|e| same_edge(e, &history));
    if x.base().is_some() && !one {
        return crate::pointwise::assign(x, (&out).into());
    }
    x.copy_raw(&out)?;
    views::mark_fresh(x);
    views::rebase(x, node)?;
    forward::overwritten(x, &out)?;
    Ok(x.clone())
}

/// Runs an operation that writes straight into its first argument, of which it saves nothing.
fn write_in_place(
    id: Id,
    write: crate::ops::index::Write,
    x: &Tensor,
    args: &[Value],
    slots: &[Option<&Tensor>],
) -> Result<Tensor> {
    let wanted = if grad_enabled() { wanted(slots.iter().copied()) } else { 0 };
    let vjp = id.op().block.vjp();
    let node = match wanted {
        0 => None,
        _ => Some(structured_node(id, vjp, args, slots, wanted, std::slice::from_ref(x))?),
    };
    {
        let _off = Guard::new(false);
        write(x, &Args(args))?;
    }
    x.bump_version();
    if let Some(node) = node {
        views::mark_fresh(x);
        views::rebase(x, node)?;
    }
    Ok(x.clone())
}

fn check_fits(id: Id, x: &Tensor, out: &Tensor) -> Result<()> {
    if out.shape() != x.shape() && matches!(id, Id::ADDMM | Id::ADDMV | Id::BADDBMM) {
        bail!(
            Runtime,
            "Bad in-place call: input tensor size {} and output tensor size {} should match",
            crate::shape::show(x.shape()),
            crate::shape::show(out.shape())
        );
    }
    check_output(x.shape(), out.shape())?;
    special::check_target(id, x.dtype(), out.dtype())?;
    if !can_cast(out.dtype(), x.dtype()) {
        bail!(
            Runtime,
            "result type {} can't be cast to the desired output type {}",
            out.dtype().scalar_name(),
            special::target_name(id, x.dtype())
        );
    }
    Ok(())
}

fn same_edge(a: &Edge, b: &Edge) -> bool {
    match (a, b) {
        (Edge::None, Edge::None) => true,
        (Edge::Leaf(a), Edge::Leaf(b)) => a.same(b),
        (Edge::Node(a, i), Edge::Node(b, j)) => a.same(b) && i == j,
        _ => false,
    }
}

/// A node for a change of a tensor that PyTorch records, but has no derivative of.
pub(crate) fn no_derivative(name: &'static str, edges: [Edge; 2]) -> Node {
    let node = Node::new(Id::CLONE, edges.into(), SmallVec::new());
    node.with_info(|i| i.rule = Some(Rc::new(NoDerivative(name))));
    node
}

struct NoDerivative(&'static str);

impl Rule for NoDerivative {
    fn name(&self) -> String {
        "torch::autograd::NotImplemented".into()
    }

    fn apply(&self, _: &Node, _: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        bail!(Runtime, "derivative for {} is not implemented", self.0)
    }
}
