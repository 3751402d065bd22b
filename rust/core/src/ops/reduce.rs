//! Reductions over dimensions.

use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Outputs, Structured, call1};
use crate::ops::{Id, convert};
use crate::shape::{Shape, wrap_dims};
use crate::value::Args;
use crate::{DType, Result, Tensor, Value, bail, lazy};
use smallvec::{SmallVec, smallvec};
use wengert_kernels::reduce as kernels;

/// The reduced dimensions: argument `i`, all if it is None or empty.
fn dims_arg(a: &Args, i: usize, ndim: usize) -> Result<SmallVec<[usize; 4]>> {
    match a.get(i) {
        Value::Int(d) => wrap_dims(&[*d], ndim),
        Value::Ints(d) => wrap_dims(d, ndim),
        _ => wrap_dims(&[], ndim),
    }
}

/// The shape with `dims` removed, or of size 1 with `keepdim`.
fn reduced_shape(shape: &[usize], dims: &[usize], keepdim: bool) -> Shape {
    let keep = |d: usize| !dims.contains(&d);
    shape
        .iter()
        .enumerate()
        .filter(|(d, _)| keepdim || keep(*d))
        .map(|(d, &n)| if keep(d) { n } else { 1 })
        .collect()
}

/// Reduces `t` over `dims` with a kernel whose result has the dtype of `t`, or bool.
fn reduce(
    op: kernels::Op,
    t: &Tensor,
    dims: &[usize],
    keepdim: bool,
    out: DType,
) -> Result<Tensor> {
    let all = dims.len() == t.ndim();
    if op == kernels::Op::Sum
        && all
        && !keepdim
        && let Some(sum) = lazy::sum(t)?
    {
        return Ok(sum);
    }
    let result = Tensor::empty(&reduced_shape(t.shape(), dims, keepdim), out)?;
    let pair = |d: usize| (t.shape()[d], t.strides()[d]);
    let kept: SmallVec<[(usize, isize); 4]> =
        (0..t.ndim()).filter(|d| !dims.contains(d)).map(pair).collect();
    let reduced: SmallVec<[(usize, isize); 4]> = dims.iter().map(|&d| pair(d)).collect();
    let walk = kernels::Dims { kept: &kept, reduced: &reduced };
    // SAFETY: the layout of a live tensor, and a fresh result of the kept dimensions.
    unsafe { kernels::reduce(op, t.dtype(), t.ptr()?, &walk, result.ptr()?) };
    Ok(result)
}

/// The dtype sums are computed in: integers and bool in int64.
fn sum_dtype(a: &Args, i: usize, t: &Tensor) -> Result<DType> {
    let natural = if t.dtype().is_differentiable() { t.dtype() } else { DType::I64 };
    Ok(a.opt_dtype(i)?.unwrap_or(natural))
}

fn sum_over(t: &Tensor, dims: &[usize], keepdim: bool, dtype: DType) -> Result<Outputs> {
    let t = convert::to_dtype(t, dtype)?;
    if matches!(dtype, DType::F16 | DType::BF16) {
        let wide = reduce(kernels::Op::Sum, &t.to(DType::F32)?, dims, keepdim, DType::F32)?;
        return Ok(smallvec![wide.to(dtype)?]);
    }
    Ok(smallvec![reduce(kernels::Op::Sum, &t, dims, keepdim, dtype)?])
}

/// `g` with the reduced dimensions back at size 1.
fn with_dims(cx: &Cx, g: &Tensor) -> Result<Tensor> {
    let shape = &cx.input(0).shape;
    let dims = dims_arg(&cx.args, 1, shape.len())?;
    g.reshape(&reduced_shape(shape, &dims, true))
}

/// `g` expanded over the reduced dimensions.
fn unreduce(cx: &Cx, g: &[&Tensor]) -> Result<Tensor> {
    with_dims(cx, g[0])?.expand(&cx.input(0).shape)
}

/// How many elements each result was made of, as a factor.
fn divided_by_count(cx: &Cx, g: &[&Tensor]) -> Result<Tensor> {
    let n: usize = cx.input(0).shape.iter().product();
    let out: usize = cx.outputs[0].shape.iter().product();
    g[0].div_number(n as f64 / out.max(1) as f64)
}

const SUM_BACK: Vjp = Vjp::Many(|| vec![X::verb("expand", unreduce, &[X::Grad(0)])]);
const MEAN_BACK: Vjp = Vjp::Many(|| {
    let g = X::verb("expand", unreduce, &[X::Grad(0)]);
    vec![X::verb("div_by_count", divided_by_count, &[g])]
});

pub(crate) const SUM: Structured = Structured {
    schema: "sum(Tensor self, *, ScalarType? dtype=None) -> Tensor",
    aliases: &[],
    doc: "Sum of all elements.\n\n>>> torch.tensor([1., 2.]).sum()\ntensor(3.)",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        let dims: SmallVec<[usize; 4]> = (0..t.ndim()).collect();
        sum_over(t, &dims, false, sum_dtype(&a, 1, t)?)
    },
    vjp: SUM_BACK,
    node: "SumBackward0",
};

pub(crate) const SUM_DIM: Structured = Structured {
    schema: "sum.dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    aliases: &[],
    doc: "Sum over dimensions; all of them if `dim` is None or empty.\n\n>>> torch.ones(2, 3).sum(0)\ntensor([2., 2., 2.])",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        let dims = dims_arg(&a, 1, t.ndim())?;
        sum_over(t, &dims, a.bool(2)?, sum_dtype(&a, 3, t)?)
    },
    vjp: SUM_BACK,
    node: "SumBackward1",
};

/// The dtype of a mean; integers need one to be named.
fn mean_dtype(a: &Args, i: usize, t: &Tensor) -> Result<DType> {
    let dtype = a.opt_dtype(i)?.unwrap_or(t.dtype());
    if !dtype.is_differentiable() {
        let what = if a.opt_dtype(i)?.is_some() { "Optional dtype" } else { "Input dtype" };
        bail!(
            Runtime,
            "mean(): could not infer output dtype. {what} must be either a floating point or complex dtype. Got: {}",
            dtype.scalar_name()
        );
    }
    Ok(dtype)
}

fn mean_over(t: &Tensor, dims: &[usize], keepdim: bool, dtype: DType) -> Result<Outputs> {
    let count: usize = dims.iter().map(|&d| t.shape()[d]).product();
    let sum = sum_over(t, dims, keepdim, dtype)?;
    Ok(smallvec![sum[0].div_number(count as f64)?])
}

pub(crate) const MEAN: Structured = Structured {
    schema: "mean(Tensor self, *, ScalarType? dtype=None) -> Tensor",
    aliases: &[],
    doc: "Mean of all elements.\n\n>>> torch.tensor([1., 2.]).mean()\ntensor(1.5000)",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        let dims: SmallVec<[usize; 4]> = (0..t.ndim()).collect();
        mean_over(t, &dims, false, mean_dtype(&a, 1, t)?)
    },
    vjp: MEAN_BACK,
    node: "MeanBackward0",
};

pub(crate) const MEAN_DIM: Structured = Structured {
    schema: "mean.dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    aliases: &[],
    doc: "Mean over dimensions; all of them if `dim` is None or empty.\n\n>>> torch.ones(2, 3).mean(0)\ntensor([1., 1., 1.])",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        let dims = dims_arg(&a, 1, t.ndim())?;
        mean_over(t, &dims, a.bool(2)?, mean_dtype(&a, 3, t)?)
    },
    vjp: MEAN_BACK,
    node: "MeanBackward1",
};

/// Sums `t` over the dimensions along which `shape` was broadcast.
pub(crate) fn sum_to(t: &Tensor, shape: &[usize]) -> Result<Tensor> {
    if t.shape() == shape {
        return Ok(t.clone());
    }
    let lead = t.ndim() - shape.len();
    let dims: SmallVec<[i64; 4]> = (0..t.ndim())
        .filter(|&d| d < lead || (shape[d - lead] == 1 && t.shape()[d] != 1))
        .map(|d| d as i64)
        .collect();
    let sum = call1(Id::SUM_DIM, &[t.into(), Value::Ints(dims), true.into(), Value::None])?;
    sum.reshape(shape)
}

impl Tensor {
    /// Sum of all elements.
    ///
    /// # Errors
    /// RuntimeError when the memory cannot be had.
    pub fn sum_all(&self) -> Result<Tensor> {
        call1(Id::SUM, &[self.into(), Value::None])
    }

    /// Sum over dimensions.
    ///
    /// # Errors
    /// IndexError for a dimension that does not exist.
    pub fn sum(&self, dims: &[i64], keepdim: bool) -> Result<Tensor> {
        call1(Id::SUM_DIM, &[self.into(), dims.into(), keepdim.into(), Value::None])
    }

    fn div_number(&self, n: f64) -> Result<Tensor> {
        crate::pointwise::call(Id::DIV, &[self.into(), n.into()])
    }
}
