//! Runs the derivative rule of a node: in one pass over memory where that is possible, else as
//! tensor operations (recorded, if gradients of gradients are wanted).

use crate::formula::{Action, Formula, Vjp, X, bit};
use crate::mode::{Guard, Mode, grad_enabled};
use crate::op::{Cx, Id, Op, Rule};
use crate::pointwise::{Operand, block};
use crate::shape::same;
use crate::sites::{self, CallSite};
use crate::tape::{Edge, Info, Node, Saved};
use crate::value::Args;
use crate::{DType, Error, Result, Scalar, Tensor, Value, bail, err, forward, ops};
use smallvec::SmallVec;

mod small;

/// One gradient per input of a node.
pub type Grads = SmallVec<[Option<Tensor>; 2]>;

/// A value while a formula runs.
#[derive(Clone)]
pub(crate) enum Val {
    Missing,
    Tensor(Tensor),
    Tensors(Vec<Tensor>),
    Number(Scalar),
}

impl Val {
    fn tensors(&self) -> &[Tensor] {
        match self {
            Val::Tensor(t) => std::slice::from_ref(t),
            Val::Tensors(list) => list,
            Val::Number(_) | Val::Missing => &[],
        }
    }
}

/// The gradients of the inputs of `node` in the set `wanted`, for those of its outputs.
pub(crate) fn apply(node: &Node, grads: &[Option<Tensor>], wanted: u32) -> Result<Grads> {
    if let Some(rule) = node.info().and_then(|i| i.rule.clone()) {
        return Ok(rule.apply(node, grads)?.into_iter().collect());
    }
    node.check_not_released()?;
    let packed = check_versions(node)?;
    let op = node.op().op();
    let formula = &op.formula;
    if let [Some(g)] = grads
        && formula.pointwise
        && forward::plain()
        && !packed
        && let Some(mut out) = small::apply(node, formula, g, wanted)?
    {
        if let Some(info) = node.info() {
            fit(&Cx::of(node.op(), info, wanted, 1), &mut out)?;
        }
        return Ok(out);
    }
    let empty = Info::default();
    let given = given(grads);
    let cx = Cx::of(node.op(), node.info().unwrap_or(&empty), wanted, given);
    // What hooks unpack is unpacked once, and whether or not it is read, as PyTorch does.
    let all = if packed { node.saved() } else { &[] };
    let all: Vec<Val> = all.iter().map(|s| unpacked(node, Some(s))).collect::<Result<_>>()?;
    let at = |slot: usize| match all.get(slot) {
        Some(known) => Ok(known.clone()),
        None => unpacked(node, node.saved().get(slot)),
    };
    let value = |x: X| match x {
        X::Rest(from) => tensors(rest(node, from), at).map(Val::Tensors),
        x => slot(node, x).map_or(Ok(Val::Missing), at),
    };
    rule(op, &cx, grads, node.edges().len(), &value)
}

/// What a node does that has nothing to compute: it unpacks all that it saved, as PyTorch's do.
#[cold]
pub(crate) fn check_saved(node: &Node) -> Result<()> {
    if node.rule().is_some() {
        return Ok(());
    }
    node.check_not_released()?;
    if check_versions(node)? {
        node.saved().iter().try_for_each(|s| unpacked(node, Some(s)).map(drop))?;
    }
    Ok(())
}

/// The outputs that have a gradient, as a set.
pub(crate) fn given(grads: &[Option<Tensor>]) -> u32 {
    grads.iter().enumerate().fold(0, |set, (k, g)| if g.is_some() { set | bit(k) } else { set })
}

/// Runs the rule of an operation with `n` inputs as tensor operations. `value` gives inputs and
/// outputs of the call.
pub(crate) fn rule(
    op: &Op,
    cx: &Cx,
    grads: &[Option<Tensor>],
    n: usize,
    value: &dyn Fn(X) -> Result<Val>,
) -> Result<Grads> {
    let mut out = Grads::new();
    if let Vjp::Each(f) = op.block.vjp() {
        let g = defined(grads, 0, cx)?;
        for i in 0..n {
            out.push(if cx.wanted & bit(i) != 0 { Some(f(cx, &g, i)?) } else { None });
        }
    } else if let Vjp::Outputs(f) = op.block.vjp() {
        out.push(Some(f(cx, grads)?));
    } else {
        out = run(&op.formula, cx, grads, n, value)?;
    }
    fit(cx, &mut out)?;
    Ok(out)
}

/// Sums gradients down to the shape of their input, and converts them to its dtype.
fn fit(cx: &Cx, grads: &mut Grads) -> Result<()> {
    for (g, meta) in grads.iter_mut().zip(cx.inputs) {
        if let Some(t) = g {
            if !same(t.shape(), &meta.shape) {
                *g = Some(ops::reduce::sum_to(t, &meta.shape)?);
            }
            if let Some(t) = g
                && t.dtype() != meta.dtype
            {
                *g = Some(ops::convert::to_dtype(t, meta.dtype)?);
            }
        }
    }
    Ok(())
}

/// The gradient of output `k`, zeros if there is none.
fn defined(grads: &[Option<Tensor>], k: usize, cx: &Cx) -> Result<Tensor> {
    match grads.get(k) {
        Some(Some(g)) => Ok(g.clone()),
        _ => match cx.outputs.get(k) {
            Some(m) => Tensor::zeros(&m.shape, m.dtype),
            None => bail!(Runtime, "gradient of output {k} is undefined"),
        },
    }
}

/// Where the value for input or output `x` is saved.
fn slot(node: &Node, x: X) -> Option<usize> {
    match x {
        // Where an optional input was left out, an output may stand in its place.
        X::In(i) => match node.saved().get(i as usize) {
            None | Some(Saved::Output(..)) => None,
            Some(_) => Some(i as usize),
        },
        X::Out(k) => node.saved().iter().position(|s| match s {
            Saved::Output(_, _, n) => *n == k as u32,
            Saved::Packed(p) => p.output() == Some(k as u32),
            _ => false,
        }),
        _ => None,
    }
}

/// Where the inputs from number `from` on are saved.
fn rest(node: &Node, from: u8) -> impl Iterator<Item = usize> + '_ {
    let is_input = |s: &Saved| match s {
        Saved::Input(..) => true,
        Saved::Packed(p) => p.output().is_none(),
        _ => false,
    };
    let saved = node.saved().iter().enumerate().skip(from as usize);
    saved.filter(move |(_, s)| is_input(s)).map(|(i, _)| i)
}

fn tensors(
    slots: impl Iterator<Item = usize>,
    at: impl Fn(usize) -> Result<Val>,
) -> Result<Vec<Tensor>> {
    let mut out = Vec::new();
    for slot in slots {
        if let Val::Tensor(t) = at(slot)? {
            out.push(t);
        }
    }
    Ok(out)
}

fn unpacked(node: &Node, saved: Option<&Saved>) -> Result<Val> {
    Ok(match saved {
        Some(Saved::Input(t, _)) => Val::Tensor(t.clone()),
        Some(Saved::Output(t, _, k)) => {
            if !grad_enabled() {
                return Ok(Val::Tensor(t.clone()));
            }
            let whole = t.detach();
            whole.set_node(Some(node.clone()), *k as usize);
            forward::share(t, &whole);
            Val::Tensor(whole)
        }
        Some(Saved::Number(s)) => Val::Number(*s),
        Some(Saved::Packed(p)) => Val::Tensor(p.unpack(node)?),
        Some(Saved::Absent) | None => Val::Missing,
    })
}

impl Val {
    fn value(self) -> Value {
        match self {
            Val::Missing => Value::None,
            Val::Tensor(t) => Value::Tensor(t),
            Val::Tensors(list) => Value::Tensors(list),
            Val::Number(s) => Value::Number(s),
        }
    }
}

impl Node {
    /// The saved value of input `i`: the tensor itself, a number, or None if it was not needed.
    ///
    /// # Errors
    /// RuntimeError if it was freed, or written to since.
    pub fn saved_input(&self, i: usize) -> Result<Value> {
        Ok(self.checked(slot(self, X::In(i as u8)))?.value())
    }

    /// The saved indices in argument `i`, which come after `first` other inputs.
    ///
    /// # Errors
    /// As [`Node::saved_input`].
    pub fn saved_indices(&self, i: usize, first: usize) -> Result<Value> {
        self.check_not_released()?;
        let tensors = tensors(rest(self, first as u8), |i| self.checked(Some(i)))?;
        let given = self.info().map_or(Ok(&[][..]), |f| Args(&f.args).ints(i))?;
        let mut list = vec![None; given.last().map_or(0, |&d| d as usize + 1)];
        given.iter().zip(tensors).for_each(|(&d, t)| list[d as usize] = Some(t));
        Ok(Value::Indices(list))
    }

    /// The tensor saved in slot `i`, with its history; None if there is none.
    ///
    /// # Errors
    /// As [`Node::saved_input`].
    pub fn saved_at(&self, i: usize) -> Result<Option<Tensor>> {
        let _on = Guard::with(Mode::RECORDING);
        let tensor = |v: Val| if let Val::Tensor(t) = v { Some(t) } else { None };
        self.checked(Some(i)).map(tensor)
    }

    /// The saved value of output `k`, with its history.
    ///
    /// # Errors
    /// As [`Node::saved_input`].
    pub fn saved_output(&self, k: usize) -> Result<Value> {
        let _on = Guard::with(Mode::RECORDING);
        Ok(self.checked(slot(self, X::Out(k as u8)))?.value())
    }

    /// Where a saved tensor of this node was written to, which keeps the node from running.
    pub fn written_at(&self) -> Option<CallSite> {
        let changed = self.saved().iter().find(|s| !unchanged(s))?;
        first_write(self, changed)
    }

    /// What is saved in a slot, if it is as it was.
    fn checked(&self, slot: Option<usize>) -> Result<Val> {
        self.check_not_released()?;
        let saved = slot.and_then(|i| self.saved().get(i));
        match saved {
            Some(s) if !unchanged(s) => Err(modified(self, s)),
            s => unpacked(self, s),
        }
    }
}

/// True if a saved tensor was not written to since.
#[inline(always)]
fn unchanged(s: &Saved) -> bool {
    match s {
        Saved::Input(t, version) | Saved::Output(t, version, _) => t.version() == *version,
        _ => true,
    }
}

/// Fails if any saved tensor was written to since, needed or not. True if hooks packed one.
#[inline]
fn check_versions(node: &Node) -> Result<bool> {
    let mut packed = false;
    for (i, s) in node.saved().iter().enumerate() {
        if !unchanged(s) {
            return Err(modified(node, s));
        }
        if let Saved::Input(t, _) = s
            && t.node().is_none()
            && let Some(Edge::Node(..)) = node.edges().get(i)
        {
            return Err(detached());
        }
        packed |= matches!(s, Saved::Packed(_));
    }
    Ok(packed)
}

/// PyTorch's refusal to use a saved tensor that lost its history.
#[cold]
fn detached() -> Error {
    err!(
        Runtime,
        "Trying to use a saved tensor that has been detached in-place, i.e. with .detach_().This is not supported, please use out-of-place `.detach()` instead"
    )
}

/// PyTorch's refusal to use a saved tensor that was written to.
#[cold]
fn modified(node: &Node, saved: &Saved) -> Error {
    let (t, expected, source) = match saved {
        Saved::Input(t, version) => {
            (t, *version, t.grad_node().ok().flatten().map(|n| (n, t.output_nr())))
        }
        Saved::Output(t, version, k) => (t, *version, Some((node.clone(), *k as usize))),
        _ => return node.freed(),
    };
    let describe = |(n, k): (Node, usize)| format!(", which is output {k} of {},", n.short_name());
    let from = source.map(describe).unwrap_or_default();
    let class = t.dtype().tensor_name();
    let text = format!(
        "one of the variables needed for gradient computation has been modified by an inplace operation: [{class} {}]{from} is at version {}; expected version {expected} instead. Hint: enable anomaly detection to find the operation that failed to compute its gradient, with torch.autograd.set_detect_anomaly(True, check_nan=False).",
        crate::shape::show(t.shape()),
        t.version()
    );
    err!(Runtime, "{}", sites::explain(text, "The write", first_write(node, saved)))
}

/// Where a saved tensor was first written to, if that is known.
fn first_write(node: &Node, saved: &Saved) -> Option<CallSite> {
    match saved {
        Saved::Input(t, version) | Saved::Output(t, version, _) => {
            t.write_at(version + 1, node.seq())
        }
        _ => None,
    }
}

/// Runs a formula as tensor operations.
pub(crate) fn run(
    formula: &Formula,
    cx: &Cx,
    grads: &[Option<Tensor>],
    n: usize,
    value: &dyn Fn(X) -> Result<Val>,
) -> Result<Grads> {
    let wanted = cx.wanted;
    let needed = formula.steps_for(wanted);
    let mut steps: Vec<Val> = vec![Val::Missing; formula.steps.len()];
    let get = |x: X, steps: &[Val]| -> Result<Val> {
        Ok(match x {
            X::In(_) | X::Out(_) | X::Rest(_) => value(x)?,
            X::Grad(k) => Val::Tensor(defined(grads, k as usize, cx)?),
            X::Lit(v) => Val::Number(Scalar::Float(v)),
            X::Arg(i) => Val::Number(cx.args.number(i as usize)?),
            X::Step(s) => steps[s as usize].clone(),
            X::None => Val::Missing,
        })
    };
    for (i, step) in formula.steps.iter().enumerate() {
        if needed & (1 << i) == 0 {
            continue;
        }
        let args: SmallVec<[Val; 3]> =
            step.args.iter().map(|&a| get(a, &steps)).collect::<Result<_>>()?;
        steps[i] = match step.action {
            Action::Pointwise(id) => pointwise_step(id, &args)?,
            Action::Verb(_, f) => {
                let tensors: SmallVec<[&Tensor; 3]> = args.iter().flat_map(Val::tensors).collect();
                Val::Tensor(f(cx, &tensors)?)
            }
        };
    }
    let mut out = Grads::new();
    for i in 0..n {
        let wants = wanted & bit(i) != 0;
        out.push(match if wants { get(formula.grad_of(i), &steps)? } else { Val::Missing } {
            Val::Tensor(t) => Some(t),
            // A gradient that depends on nothing, and has no history.
            Val::Number(n) => {
                let g = defined(grads, 0, cx)?;
                Some(Tensor::full(g.shape(), n, g.dtype())?)
            }
            Val::Tensors(_) | Val::Missing => None,
        });
    }
    Ok(out)
}

fn pointwise_step(id: Id, args: &[Val]) -> Result<Val> {
    if id == Id::BESIDE && !grad_enabled() {
        return Ok(args[0].clone());
    }
    if let Some(known) = short(id, args) {
        return Ok(known);
    }
    if args.iter().all(|v| matches!(v, Val::Number(_))) {
        return Ok(Val::Number(fold(id, args)));
    }
    if let (Id::WHERE, [Val::Number(mask), x @ Val::Tensor(_), _]) = (id, args)
        && mask.is_true()
    {
        return Ok(x.clone());
    }
    let mut operands: SmallVec<[Operand; 3]> = SmallVec::new();
    for v in args {
        operands.push(match v {
            Val::Tensor(t) => Operand::Tensor(t),
            Val::Number(s) => Operand::Number(*s),
            _ => bail!(Runtime, "{}: a saved value is missing", id.name()),
        });
    }
    Ok(Val::Tensor(crate::pointwise::call(id, &operands)?))
}

/// The value of an instruction that a number among its arguments decides.
fn short(id: Id, args: &[Val]) -> Option<Val> {
    match (id, args) {
        (Id::WHERE, [Val::Number(mask), yes, no]) => {
            Some(if mask.is_true() { yes } else { no }.clone())
        }
        (Id::LOGICAL_AND, [Val::Number(n), _] | [_, Val::Number(n)]) if !n.is_true() => {
            Some(Val::Number(Scalar::Bool(false)))
        }
        _ => None,
    }
}

/// An instruction on numbers only, in double precision.
fn fold(id: Id, args: &[Val]) -> Scalar {
    let value = |i: usize| match args.get(i) {
        Some(Val::Number(s)) => s.to_f64(),
        _ => 0.0,
    };
    let p = block(id);
    let src = [value(0), value(1), value(2)];
    let at = [0, 1, 2].map(|i| (&raw const src[i]).cast::<u8>());
    let mut out = [0u8; 8];
    if let Some(kernel) = p.forward.get(DType::F64) {
        // SAFETY: one element of f64 per argument; the result has at most eight bytes.
        unsafe { kernel(out.as_mut_ptr(), &at, 1) };
    }
    match p.dtype {
        Rule::Compare | Rule::Truth => Scalar::Bool(out[0] != 0),
        _ => Scalar::Float(f64::from_le_bytes(out)),
    }
}
