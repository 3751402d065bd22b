//! Runs pointwise operations on tensors: dtype and shape of the result, then one pass.

use crate::mode::grad_enabled;
use crate::op::{Block, Id, Pointwise, Rule};
use crate::promote::{Promotion, can_cast, default_dtype};
use crate::shape::{
    Shape, Strides, broadcast, broadcast_strides, check_output, contiguous_strides,
};
use crate::{DType, Result, Scalar, Tensor, Value, bail, overlap, record, views};
use crate::{batch, lazy};
use smallvec::SmallVec;
use wengert_kernels::pointwise::cast;
use wengert_kernels::program::{self, Program, Step};

mod small;
pub(crate) mod special;

pub(crate) use small::{MOST, Rows, as_rows, spread_few, sum_few};
use small::{binary_fast, number_fast, unary_fast};

/// An input of a pointwise operation.
#[derive(Clone, Copy)]
pub enum Operand<'a> {
    Tensor(&'a Tensor),
    Number(Scalar),
}

impl<'a> From<&'a Tensor> for Operand<'a> {
    fn from(t: &'a Tensor) -> Operand<'a> {
        Operand::Tensor(t)
    }
}

impl From<f64> for Operand<'_> {
    fn from(v: f64) -> Self {
        Operand::Number(Scalar::Float(v))
    }
}

impl From<i64> for Operand<'_> {
    fn from(v: i64) -> Self {
        Operand::Number(Scalar::Int(v))
    }
}

impl From<Scalar> for Operand<'_> {
    fn from(v: Scalar) -> Self {
        Operand::Number(v)
    }
}

impl<'a> Operand<'a> {
    /// The operand an argument stands for.
    ///
    /// # Errors
    /// TypeError for arguments that are neither tensors nor numbers.
    pub fn from_value(v: &'a Value) -> Result<Operand<'a>> {
        match v {
            Value::Tensor(t) => Ok(Operand::Tensor(t)),
            Value::Number(s) => Ok(Operand::Number(*s)),
            Value::Int(i) => Ok(Operand::Number(Scalar::Int(*i))),
            Value::Bool(b) => Ok(Operand::Number(Scalar::Bool(*b))),
            _ => bail!(Type, "expected a Tensor or a number"),
        }
    }

    #[inline]
    pub fn tensor(&self) -> Option<&'a Tensor> {
        match self {
            Operand::Tensor(t) => Some(t),
            Operand::Number(_) => None,
        }
    }

    fn dtype(&self, compute: DType) -> DType {
        self.tensor().map_or(compute, Tensor::dtype)
    }

    fn is_bool(&self) -> bool {
        match self {
            Operand::Tensor(t) => t.dtype() == DType::Bool,
            Operand::Number(n) => matches!(n, Scalar::Bool(_)),
        }
    }
}

/// What a call will compute.
pub(crate) struct Plan {
    /// The dtype the kernel runs in.
    pub compute: DType,
    /// The dtype of the result.
    pub out: DType,
    pub shape: Shape,
}

pub(crate) fn block(id: Id) -> &'static Pointwise {
    match id.block() {
        Block::Pointwise(p) => p,
        Block::Structured(_) => unreachable!("{} is not pointwise", id.name()),
    }
}

/// The dtype the result has when the inputs promote to `d`.
#[inline]
pub(crate) fn result_dtype(rule: Rule, d: DType) -> DType {
    match rule {
        Rule::Whole if d == DType::Bool => DType::I64,
        Rule::Promote
        | Rule::PromoteNoBool
        | Rule::Alpha
        | Rule::Whole
        | Rule::Mask
        | Rule::First => d,
        Rule::Float if d.is_float() || d.is_complex() => d,
        Rule::Float => default_dtype(),
        Rule::Compare | Rule::Truth => DType::Bool,
    }
}

/// Half precision computes in float32.
fn compute_dtype(rule: Rule, promoted: DType) -> DType {
    match (rule, promoted) {
        (Rule::Truth, _) => DType::Bool,
        (Rule::Mask, d) => d,
        (Rule::Float, d) if !d.is_differentiable() => default_dtype(),
        (Rule::Whole, DType::Bool) => DType::I64,
        (_, DType::F16 | DType::BF16) => DType::F32,
        (_, d) => d,
    }
}

pub(crate) fn plan(id: Id, p: &Pointwise, args: &[Operand]) -> Result<Plan> {
    let mut promotion = Promotion::default();
    let mut shape = Shape::new();
    for (i, a) in args.iter().enumerate() {
        let counts = match p.dtype {
            Rule::Mask => i > 0,
            Rule::First => i == 0,
            Rule::Alpha => i < 2,
            _ => true,
        };
        match a {
            Operand::Tensor(t) => {
                if counts {
                    promotion.tensor(t);
                }
                if shape.as_slice() != t.shape() {
                    shape = if i == 0 {
                        Shape::from_slice(t.shape())
                    } else {
                        broadcast(&shape, t.shape())?
                    };
                }
            }
            Operand::Number(s) if counts => promotion.number(*s),
            Operand::Number(_) => (),
        }
    }
    let promoted = promotion.result();
    let compute = compute_dtype(p.dtype, promoted);
    special::check_operands(id, p, args)?;
    if let (Rule::Alpha, Some(Operand::Number(alpha))) = (p.dtype, args.get(2)) {
        special::check_alpha(*alpha, promoted)?;
    }
    if id == Id::POW_NUMBER && compute.is_int() {
        special::check_exponent(args)?;
    }
    Ok(Plan { compute, out: result_dtype(p.dtype, promoted), shape })
}

/// PyTorch's refusals of what there is no kernel for; after those of shapes and dtypes.
fn check(id: Id, p: &Pointwise, args: &[Operand], plan: &Plan) -> Result<()> {
    let compute = plan.compute;
    if id == Id::RELU && compute == DType::Bool {
        bail!(Runtime, "Boolean inputs not supported for relu");
    }
    if p.forward.get(compute).is_none() {
        let label = special::kernel_label(id);
        bail!(NotImplemented, "\"{label}\" not implemented for '{}'", compute.scalar_name());
    }
    if compute.is_int() {
        special::check_integers(id, args, &plan.shape)?;
    }
    Ok(())
}

/// Calls a pointwise operation, recording it if an input requires a gradient.
pub fn call(id: Id, args: &[Operand]) -> Result<Tensor> {
    if batch::active()
        && let Some(level) = batch::level_of_operands(args)
    {
        return batched(id, args, level);
    }
    let p = block(id);
    let fast = match args {
        [Operand::Tensor(a), Operand::Tensor(b)] => binary_fast(id, p, a, b)?,
        [Operand::Tensor(a), Operand::Number(n)] => number_fast(id, p, a, args, *n)?,
        [Operand::Tensor(a)] => unary_fast(p, a)?,
        _ => None,
    };
    let id = special::overload(id, args);
    if let Some(out) = fast {
        record::pointwise(id, args, &out)?;
        return Ok(out);
    }
    let plan = plan(id, p, args)?;
    check(id, p, args, &plan)?;
    let out = match special::cheaper(id, args, plan.compute) {
        Some((run, args)) => compute(run, &plan, &args)?,
        None => compute(id, &plan, args)?,
    };
    record::pointwise(id, args, &out)?;
    Ok(out)
}

#[cold]
fn batched(id: Id, args: &[Operand], level: usize) -> Result<Tensor> {
    let values: SmallVec<[Value; 3]> = args
        .iter()
        .map(|a| match a {
            Operand::Tensor(t) => Value::from(*t),
            Operand::Number(n) => Value::Number(*n),
        })
        .collect();
    let out = batch::call(id, &values, level)?;
    out.into_iter().next().ok_or_else(|| crate::err!(Runtime, "{} returned nothing", id.name()))
}

/// Runs an operation now or later.
fn compute(id: Id, plan: &Plan, args: &[Operand]) -> Result<Tensor> {
    match lazy::defer(id, plan, args)? {
        Some(out) => Ok(out),
        None => evaluate(block(id), plan, args),
    }
}

/// Calls an operation of two tensors (the path of the operators).
#[inline]
pub fn binary(id: Id, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let args = [Operand::Tensor(a), Operand::Tensor(b)];
    if batch::active() {
        return call(id, &args);
    }
    if let Some(out) = binary_fast(id, block(id), a, b)? {
        record::pointwise(id, &args, &out)?;
        return Ok(out);
    }
    call(id, &args)
}

/// Runs an operation now into fresh memory.
pub(crate) fn evaluate(p: &Pointwise, plan: &Plan, args: &[Operand]) -> Result<Tensor> {
    if let Some(out) = small::few(p, plan, args)? {
        return Ok(out);
    }
    let strides = out_strides(&plan.shape, args);
    let out = Tensor::empty_strided(plan.shape.clone(), strides, plan.out)?;
    evaluate_into(p, plan, args, &out)?;
    Ok(out)
}

pub(crate) fn evaluate_into(
    p: &Pointwise,
    plan: &Plan,
    args: &[Operand],
    out: &Tensor,
) -> Result<()> {
    let mut builder = Builder::new();
    let mut regs: SmallVec<[u16; 3]> = SmallVec::new();
    for a in args {
        regs.push(builder.input(a, plan.compute, &plan.shape)?);
    }
    for (i, a) in args.iter().enumerate() {
        let want = arg_dtype(p.dtype, i, plan.compute);
        regs[i] = builder.convert(regs[i], a.dtype(plan.compute), want);
    }
    let result = builder.op(p, plan.compute, &regs);
    let made =
        if matches!(p.dtype, Rule::Compare | Rule::Truth) { DType::Bool } else { plan.compute };
    let result = builder.convert(result, made, out.dtype());
    builder.run(&plan.shape, &[(result, out)])
}

/// The dtype the kernel reads argument `i` in.
pub(crate) fn arg_dtype(rule: Rule, i: usize, compute: DType) -> DType {
    if rule == Rule::Mask && i == 0 { DType::Bool } else { compute }
}

/// Puts a program together and runs it.
pub(crate) struct Builder {
    pub program: Program,
    operands: SmallVec<[program::Operand; 4]>,
    /// Boxed: operands point at them while the list grows.
    #[allow(clippy::vec_box)]
    numbers: Vec<Box<[u8; 16]>>,
}

impl Builder {
    pub fn new() -> Builder {
        let program = Program { element: 1, ..Program::default() };
        Builder { program, operands: SmallVec::new(), numbers: Vec::new() }
    }

    /// Adds an input; all inputs come before the first step. A number is stored as `compute`.
    pub fn input(&mut self, a: &Operand, compute: DType, shape: &[usize]) -> Result<u16> {
        let (ptr, size, strides) = match a {
            Operand::Tensor(t) => {
                let size = t.dtype().size();
                let s = broadcast_strides(t.shape(), t.strides(), shape);
                (t.ptr()?, size, s.iter().map(|s| s * size as isize).collect())
            }
            Operand::Number(n) => {
                let mut bytes = Box::new(n.bytes(compute));
                let ptr = bytes.as_mut_ptr();
                self.numbers.push(bytes);
                (ptr, compute.size(), SmallVec::from_elem(0, shape.len()))
            }
        };
        self.operands.push(program::Operand { ptr, size, strides });
        self.program.element = self.program.element.max(size);
        self.program.inputs += 1;
        self.program.registers += 1;
        Ok(self.program.registers as u16 - 1)
    }

    /// Adds a step that writes a new register.
    fn step(
        &mut self,
        kernel: wengert_kernels::pointwise::Kernel,
        src: [u16; 3],
        size: usize,
    ) -> u16 {
        let dst = self.program.registers as u16;
        self.program.registers += 1;
        self.program.element = self.program.element.max(size);
        self.program.steps.push(Step { kernel, dst, src });
        dst
    }

    pub fn convert(&mut self, reg: u16, from: DType, to: DType) -> u16 {
        if from == to { reg } else { self.step(cast(from, to), [reg; 3], to.size()) }
    }

    /// Adds the kernel of `p` in `compute`, which `plan` has checked to exist.
    pub fn op(&mut self, p: &Pointwise, compute: DType, regs: &[u16]) -> u16 {
        let src = [regs[0], *regs.get(1).unwrap_or(&regs[0]), *regs.get(2).unwrap_or(&regs[0])];
        let kernel = p.forward.get(compute).unwrap_or_else(|| cast(compute, compute));
        self.step(kernel, src, compute.size())
    }

    /// Runs the program, storing each register into its tensor.
    pub fn run(mut self, shape: &[usize], outputs: &[(u16, &Tensor)]) -> Result<()> {
        let mut outs: SmallVec<[program::Operand; 2]> = SmallVec::new();
        for (reg, t) in outputs {
            let size = t.dtype().size();
            let strides = t.strides().iter().map(|s| s * size as isize).collect();
            outs.push(program::Operand { ptr: t.ptr()?, size, strides });
            self.program.results.push(*reg);
        }
        // SAFETY: operands were made from live tensors broadcast to `shape`; outputs are fresh, or
        // walk the same elements as the input they overwrite (`in_place` sees to that).
        unsafe { program::run(&self.program, shape, &self.operands, &outs) };
        Ok(())
    }

    /// Runs the program; the sum of the last register goes to the 0-d tensor `sum`.
    pub fn run_sum(mut self, shape: &[usize], reg: u16, sum: &Tensor) -> Result<()> {
        self.program.results.push(reg);
        // SAFETY: as in `run`; the register holds values of the dtype of `sum`.
        unsafe {
            program::run_sum(&self.program, shape, &self.operands, &[], sum.dtype(), sum.ptr()?)
        };
        Ok(())
    }
}

/// Strides of a fresh result: row-major, or the memory order of the inputs if it is another
/// (`TensorIterator`'s rule).
pub(crate) fn out_strides(shape: &[usize], args: &[Operand]) -> Strides {
    let tensors: SmallVec<[&Tensor; 3]> =
        args.iter().filter_map(Operand::tensor).filter(|t| t.ndim() > 0).collect();
    if shape.len() < 2 || tensors.iter().all(|t| t.is_contiguous()) {
        return contiguous_strides(shape);
    }
    let strides: SmallVec<[Strides; 3]> =
        tensors.iter().map(|t| broadcast_strides(t.shape(), t.strides(), shape)).collect();
    strides_like(shape, &strides)
}

/// Dense strides for `shape` in the memory order of operands with these strides.
pub(crate) fn strides_like(shape: &[usize], strides: &[Strides]) -> Strides {
    let order = memory_order(shape, strides);
    let mut out = Strides::from_elem(1, shape.len());
    let mut step = 1;
    for d in order {
        out[d] = step;
        step *= shape[d].max(1) as isize;
    }
    out
}

/// Dimensions from the fastest to the slowest, decided by the first operand that tells them apart.
fn memory_order(shape: &[usize], strides: &[Strides]) -> SmallVec<[usize; 6]> {
    let mut order: SmallVec<[usize; 6]> = (0..shape.len()).rev().collect();
    let compare = |a: usize, b: usize| -> i32 {
        for s in strides {
            let (x, y) = (s[a].abs(), s[b].abs());
            if x == 0 || y == 0 {
                continue;
            }
            if x != y {
                return if x < y { -1 } else { 1 };
            }
            if shape[a] > shape[b] {
                return 1;
            }
        }
        0
    };
    for i in 1..order.len() {
        let mut at = i;
        for j in (0..i).rev() {
            match compare(order[j], order[at]) {
                1 => {
                    order.swap(j, at);
                    at = j;
                }
                -1 => break,
                _ => (),
            }
        }
    }
    order
}

/// Calls an operation that writes its result into its first argument.
pub fn in_place(id: Id, args: &[Operand]) -> Result<Tensor> {
    if batch::active()
        && let Some(level) = batch::level_of_operands(args)
    {
        return batch::in_place(id, args, level);
    }
    let id = special::overload(id, args);
    let p = block(id);
    let Some(Operand::Tensor(x)) = args.first() else {
        bail!(Type, "{}_ needs a tensor to write to", id.name());
    };
    record::check_in_place(id, x, args.iter().filter_map(Operand::tensor))?;
    if let Some(kernel) = small::in_place_kernel(id, p, args, x) {
        let before = record::InPlace::prepare(id, args)?;
        small::few_in_place(kernel, args, x)?;
        x.bump_version();
        before.finish(x)?;
        return Ok((*x).clone());
    }
    let plan = plan(id, p, args)?;
    check_output(x.shape(), &plan.shape)?;
    if !can_cast(plan.out, x.dtype()) {
        bail!(
            Runtime,
            "result type {} can't be cast to the desired output type {}",
            plan.out.scalar_name(),
            special::target_name(id, x.dtype())
        );
    }
    check(id, p, args, &plan)?;
    let before = record::InPlace::prepare(id, args)?;
    lazy::before_write(x.storage())?;
    let cheaper = special::cheaper(id, args, plan.compute);
    let (run, with) = cheaper.as_ref().map_or((p, args), |(id, args)| (block(*id), &args[..]));
    if overlap::check_inside(x.layout()).is_err() || overlaps_oddly(x, &args[1..]) {
        let fresh = evaluate(run, &plan, with)?;
        copy(&fresh, x)?;
    } else {
        evaluate_into(run, &plan, with, x)?;
    }
    x.bump_version();
    before.finish(x)?;
    Ok((*x).clone())
}

/// `x[...] = value`: copies, converting and broadcasting, as a recorded in-place write.
///
/// # Errors
/// PyTorch's, for shapes that do not broadcast and for in-place writes it forbids.
pub fn assign(x: &Tensor, value: Operand) -> Result<Tensor> {
    let args = [Operand::Tensor(x), value];
    if batch::active()
        && let Some(level) = batch::level_of_operands(&args)
    {
        return batch::assign(x, value, level);
    }
    let inputs = args.iter().filter_map(Operand::tensor);
    // PyTorch's copy of memory to itself stops before it looks at what the memory is like.
    if !matches!(value, Operand::Tensor(v) if same_memory(x, v)) {
        record::check_in_place(Id::COPY, x, inputs)?;
    } else if grad_enabled() {
        views::check_in_place(x, inputs.clone().any(Tensor::requires_grad))?;
    }
    let before = record::InPlace::prepare(Id::COPY, &args)?;
    match value {
        Operand::Tensor(v) => x.copy_raw(v)?,
        Operand::Number(n) => x.fill_raw(n.fitted(x.dtype())?)?,
    }
    before.finish(x)?;
    Ok(x.clone())
}

/// True if both are the same elements at the same places.
fn same_memory(a: &Tensor, b: &Tensor) -> bool {
    let (x, y) = (a.layout(), b.layout());
    let walked = |d: usize| x.shape[d] == 1 || x.strides[d] == y.strides[d];
    a.storage().same(b.storage())
        && a.dtype() == b.dtype()
        && x.offset == y.offset
        && x.shape == y.shape
        && (0..x.ndim()).all(walked)
}

/// True if another argument shares memory with `x` but does not walk it in the same way.
fn overlaps_oddly(x: &Tensor, others: &[Operand]) -> bool {
    let shares = |t: &Tensor| {
        let (Some(a), Some(b)) = (x.layout().extent(), t.layout().extent()) else { return false };
        t.storage().same(x.storage()) && a.0 <= b.1 && b.0 <= a.1 && t.layout() != x.layout()
    };
    others.iter().filter_map(Operand::tensor).any(shares)
}

/// Copies values, converting and broadcasting; neither side is recorded.
pub(crate) fn copy(from: &Tensor, to: &Tensor) -> Result<()> {
    if let Some((from, to)) = overlap::last_values(from, to) {
        return copy(&from, &to);
    }
    if small::copy_few(from, to)? {
        return Ok(());
    }
    let mut b = Builder::new();
    let reg = b.input(&Operand::Tensor(from), from.dtype(), to.shape())?;
    let reg = b.convert(reg, from.dtype(), to.dtype());
    b.run(to.shape(), &[(reg, to)])
}

macro_rules! tensor_methods {
    ($($name:ident $id:ident;)*) => { impl Tensor { $(
        #[doc = concat!("The operation `", stringify!($id), "` of the table, with broadcasting.")]
        ///
        /// # Errors
        /// RuntimeError for shapes that do not broadcast.
        pub fn $name(&self, other: &Tensor) -> Result<Tensor> {
            binary(Id::$id, self, other)
        }
    )* } };
}
tensor_methods! { add ADD; sub SUB; mul MUL; div DIV; }
