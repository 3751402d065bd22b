//! Runs the derivative rule of a node: in one pass over memory where that is possible, else as
//! tensor operations (recorded, if gradients of gradients are wanted).

use crate::formula::{Action, Formula, Vjp, X};
use crate::mode::grad_enabled;
use crate::op::{Cx, Id, Rule};
use crate::pointwise::{Builder, Operand, block};
use crate::shape::Layout;
use crate::sync::guarded;
use crate::tape::{Info, Node, Saved};
use crate::{DType, Result, Scalar, Storage, Tensor, bail, ops};
use smallvec::SmallVec;
use std::rc::Rc;
use wengert_kernels::program::{self, Program};

/// One gradient per input of a node.
pub type Grads = SmallVec<[Option<Tensor>; 2]>;

/// Work of at most this many elements runs from the cache of compiled formulas.
const SMALL: usize = 64;

/// A value while a formula runs.
#[derive(Clone)]
enum Val {
    Missing,
    Tensor(Tensor),
    Number(Scalar),
}

/// The gradients of the inputs of `node` in the set `wanted`, for those of its outputs.
pub(crate) fn apply(node: &Node, grads: &[Option<Tensor>], wanted: u32) -> Result<Grads> {
    if let Some(rule) = node.info().and_then(|i| i.rule.clone()) {
        return Ok(rule.apply(node, grads)?.into_iter().collect());
    }
    let op = node.op().op();
    let formula = &op.formula;
    if formula.saves(wanted) != 0 {
        node.check_not_released()?;
    }
    if let [Some(g)] = grads
        && node.info().is_none()
        && formula.pointwise
        && !grad_enabled()
        && let Some(out) = small(node, formula, g, wanted)?
    {
        return Ok(out);
    }
    let empty = Info::default();
    let cx = Cx::of(node.op(), node.info().unwrap_or(&empty), wanted);
    let mut out = Grads::new();
    if let Vjp::Each(f) = op.block.vjp() {
        let g = defined(grads, 0, &cx)?;
        for i in 0..node.edges().len() {
            out.push(if wanted & (1 << i) != 0 { Some(f(&cx, &g, i)?) } else { None });
        }
    } else if let Vjp::Outputs(f) = op.block.vjp() {
        out.push(Some(f(&cx, grads)?));
    } else {
        out = run(node, formula, &cx, grads, wanted)?;
    }
    fit(&cx, &mut out)?;
    Ok(out)
}

/// Sums gradients down to the shape of their input, and converts them to its dtype.
fn fit(cx: &Cx, grads: &mut Grads) -> Result<()> {
    for (g, meta) in grads.iter_mut().zip(cx.inputs) {
        if let Some(t) = g {
            if t.shape() != meta.shape.as_slice() {
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

/// The saved value for input or output `x`, checked for in-place changes.
fn unpack(node: &Node, x: X) -> Result<Val> {
    let saved = match x {
        // Outputs follow the inputs, of which the last may have been left out.
        X::In(i) => node.saved().get(i as usize).filter(|s| !matches!(s, Saved::Output(..))),
        X::Out(k) => {
            node.saved().iter().find(|s| matches!(s, Saved::Output(_, _, n) if *n == k as u32))
        }
        _ => None,
    };
    Ok(match saved {
        Some(Saved::Input(t, version)) => {
            check_version(t, *version, None)?;
            Val::Tensor(t.clone())
        }
        Some(Saved::Output(t, version, k)) => {
            check_version(t, *version, Some((node, *k)))?;
            if !grad_enabled() {
                return Ok(Val::Tensor(t.clone()));
            }
            let whole = t.detach();
            whole.set_node(Some(node.clone()), *k as usize);
            Val::Tensor(whole)
        }
        Some(Saved::Number(s)) => Val::Number(*s),
        Some(Saved::Absent) | None => Val::Missing,
    })
}

/// PyTorch's refusal to use a saved tensor that was written to.
fn check_version(t: &Tensor, expected: u32, output_of: Option<(&Node, u32)>) -> Result<()> {
    if t.version() == expected {
        return Ok(());
    }
    let node = output_of.map(|(n, k)| (n.clone(), k as usize));
    let source = node.or_else(|| t.node().map(|n| (n.clone(), t.output_nr())));
    let describe = |(n, k): (Node, usize)| {
        let name = n.name();
        let short = name.trim_end_matches(|c: char| c.is_ascii_digit());
        format!(", which is output {k} of {},", short.trim_end_matches("Backward"))
    };
    let from = source.map(describe).unwrap_or_default();
    let class = match t.dtype() {
        DType::F64 => "torch.DoubleTensor",
        DType::F32 => "torch.FloatTensor",
        DType::I64 => "torch.LongTensor",
        DType::I32 => "torch.IntTensor",
        DType::Bool => "torch.BoolTensor",
        DType::F16 => "torch.HalfTensor",
        DType::BF16 => "torch.BFloat16Tensor",
        _ => "torch.Tensor",
    };
    bail!(
        Runtime,
        "one of the variables needed for gradient computation has been modified by an inplace operation: [{class} {}]{from} is at version {}; expected version {expected} instead. Hint: enable anomaly detection to find the operation that failed to compute its gradient, with torch.autograd.set_detect_anomaly(True, check_nan=False).",
        crate::shape::show(t.shape()),
        t.version()
    );
}

/// Runs a formula as tensor operations.
fn run(
    node: &Node,
    formula: &Formula,
    cx: &Cx,
    grads: &[Option<Tensor>],
    wanted: u32,
) -> Result<Grads> {
    let needed = formula.steps_for(wanted);
    let mut steps: Vec<Val> = vec![Val::Missing; formula.steps.len()];
    let get = |x: X, steps: &[Val]| -> Result<Val> {
        Ok(match x {
            X::In(_) | X::Out(_) => unpack(node, x)?,
            X::Grad(k) => Val::Tensor(defined(grads, k as usize, cx)?),
            X::Lit(v) => Val::Number(Scalar::Float(v)),
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
                let tensors: SmallVec<[&Tensor; 3]> = args
                    .iter()
                    .filter_map(|v| if let Val::Tensor(t) = v { Some(t) } else { None })
                    .collect();
                Val::Tensor(f(cx, &tensors)?)
            }
        };
    }
    let mut out = Grads::new();
    for i in 0..node.edges().len() {
        let wants = wanted & (1 << i) != 0;
        out.push(match if wants { get(formula.grad_of(i), &steps)? } else { Val::Missing } {
            Val::Tensor(t) => Some(t),
            // A gradient that depends on nothing, and has no history.
            Val::Number(n) => {
                let g = defined(grads, 0, cx)?;
                Some(Tensor::full(g.shape(), n, g.dtype())?)
            }
            Val::Missing => None,
        });
    }
    Ok(out)
}

fn pointwise_step(id: Id, args: &[Val]) -> Result<Val> {
    if let Some(known) = short(id, args) {
        return Ok(known);
    }
    if args.iter().all(|v| matches!(v, Val::Number(_))) {
        return Ok(Val::Number(fold(id, args)));
    }
    let mut operands: SmallVec<[Operand; 3]> = SmallVec::new();
    for v in args {
        operands.push(match v {
            Val::Tensor(t) => Operand::Tensor(t),
            Val::Number(s) => Operand::Number(*s),
            Val::Missing => bail!(Runtime, "{}: a saved value is missing", id.name()),
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

/// A formula compiled for one dtype and one set of wanted gradients.
struct Compiled {
    program: Program,
    loads: SmallVec<[X; 6]>,
    /// Inputs whose gradient is the value of a register, in order.
    targets: SmallVec<[u8; 3]>,
}

guarded!(compiled: Vec<Option<Option<Rc<Compiled>>>> = Vec::new());

fn lookup(id: Id, formula: &Formula, dtype: DType, wanted: u32) -> Option<Rc<Compiled>> {
    let at = (id.0 as usize * 2 + (dtype == DType::F64) as usize) * 8 + (wanted & 7) as usize;
    if let Some(hit) = compiled(|c| c.get(at).cloned().flatten()) {
        return hit;
    }
    let made = compile(formula, dtype, wanted).map(Rc::new);
    compiled(|c| {
        if c.len() <= at {
            c.resize(at + 1, None);
        }
        c[at] = Some(made.clone());
    });
    made
}

fn compile(formula: &Formula, dtype: DType, wanted: u32) -> Option<Compiled> {
    let needed = formula.steps_for(wanted);
    let mut builder = Builder::new();
    builder.program.element = dtype.size();
    let mut loads: SmallVec<[X; 6]> = SmallVec::new();
    let mut load = |x: X, b: &mut Builder| {
        if !matches!(x, X::Step(_) | X::None) && !loads.contains(&x) {
            loads.push(x);
            b.program.inputs += 1;
            b.program.registers += 1;
        }
    };
    for (i, s) in formula.steps.iter().enumerate() {
        if needed & (1 << i) != 0 {
            s.args.iter().for_each(|&a| load(a, &mut builder));
        }
    }
    let mut targets = SmallVec::new();
    for i in 0..formula.grads.len() {
        if wanted & (1 << i) != 0 {
            load(formula.grads[i], &mut builder);
        }
    }
    let mut regs = vec![0u16; formula.steps.len()];
    let mut types = vec![dtype; formula.steps.len()];
    for (i, s) in formula.steps.iter().enumerate() {
        if needed & (1 << i) == 0 {
            continue;
        }
        let Action::Pointwise(id) = s.action else { return None };
        let p = block(id);
        p.forward.get(if p.dtype == Rule::Truth { DType::Bool } else { dtype })?;
        let compute = if p.dtype == Rule::Truth { DType::Bool } else { dtype };
        let mut args: SmallVec<[u16; 3]> = SmallVec::new();
        for (k, &a) in s.args.iter().enumerate() {
            let (reg, has) = match a {
                X::Step(n) => (regs[n as usize], types[n as usize]),
                x => (loads.iter().position(|&l| l == x)? as u16, dtype),
            };
            args.push(builder.convert(reg, has, crate::pointwise::arg_dtype(p.dtype, k, compute)));
        }
        regs[i] = builder.op(p, compute, &args);
        types[i] = if matches!(p.dtype, Rule::Compare | Rule::Truth) { DType::Bool } else { dtype };
    }
    for (i, &g) in formula.grads.iter().enumerate() {
        if wanted & (1 << i) == 0 {
            continue;
        }
        let reg = match g {
            X::Step(n) if types[n as usize] == dtype => regs[n as usize],
            X::Step(_) => return None,
            X::None | X::Grad(_) => continue,
            x => loads.iter().position(|&l| l == x)? as u16,
        };
        builder.program.results.push(reg);
        targets.push(i as u8);
    }
    if builder.program.registers > 32 {
        return None;
    }
    Some(Compiled { program: builder.program, loads, targets })
}

/// One pass for few elements, if all that takes part is row-major, of one shape and dtype.
fn small(node: &Node, formula: &Formula, g: &Tensor, wanted: u32) -> Result<Option<Grads>> {
    let n = g.numel();
    let dtype = g.dtype();
    let fits = |t: &Tensor| {
        t.is_contiguous()
            && t.dtype() == dtype
            && t.shape() == g.shape()
            && !t.storage().is_pending()
    };
    if n > SMALL || !matches!(dtype, DType::F32 | DType::F64) || !fits(g) {
        return Ok(None);
    }
    let Some(c) = lookup(node.op(), formula, dtype, wanted) else { return Ok(None) };
    let mut inputs: SmallVec<[program::Small; 6]> = SmallVec::new();
    let mut held: SmallVec<[Tensor; 3]> = SmallVec::new();
    for &x in &c.loads {
        inputs.push(match x {
            X::Grad(_) => program::Small::Memory(g.ready_ptr()),
            X::Lit(v) => program::Small::Number(Scalar::Float(v).bytes(dtype)),
            x => match unpack(node, x)? {
                Val::Number(s) => program::Small::Number(s.bytes(dtype)),
                Val::Tensor(t) if fits(&t) => {
                    let ptr = t.ready_ptr();
                    held.push(t);
                    program::Small::Memory(ptr)
                }
                _ => return Ok(None),
            },
        });
    }
    let mut out: Grads = (0..node.edges().len()).map(|_| None).collect();
    let mut outputs: SmallVec<[*mut u8; 3]> = SmallVec::new();
    for &i in &c.targets {
        let storage = Storage::new(n * dtype.size())?;
        let t = Tensor::from_parts(storage, g.layout().clone().at(0), dtype);
        outputs.push(t.ready_ptr());
        out[i as usize] = Some(t);
    }
    // SAFETY: every pointer holds `n` elements of `dtype` in a row, `held` keeps the inputs alive,
    // and the outputs are fresh.
    unsafe { program::run_small(&c.program, n, dtype.size(), &inputs, &outputs) };
    for (i, &x) in formula.grads.iter().enumerate() {
        if wanted & (1 << i) != 0 && matches!(x, X::Grad(_)) {
            out[i] = Some(g.clone());
        }
    }
    Ok(Some(out))
}

impl Layout {
    /// The same layout from another offset.
    pub(crate) fn at(mut self, offset: isize) -> Layout {
        self.offset = offset;
        self
    }
}
