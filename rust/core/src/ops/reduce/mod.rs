//! Reductions over dimensions.

pub(crate) mod extremum;
pub(crate) mod linalg;
pub(crate) mod moments;
pub(crate) mod norm;
pub(crate) mod product;
pub(crate) mod truth;

use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Outputs, Structured, call1};
use crate::ops::Id;
use crate::pointwise::{MOST, spread_few, sum_few};
use crate::shape::{self, Shape, wrap_dim, wrap_dims};
use crate::value::Args;
use crate::{DType, Result, Tensor, Value, bail, forward, lazy, pointwise};
use smallvec::{SmallVec, smallvec};
use wengert_kernels::reduce as kernels;

pub(crate) type DimList = SmallVec<[usize; 4]>;

/// The reduced dimensions: argument `i`, all if it is None or empty.
pub(crate) fn dims_arg(a: &Args, i: usize, ndim: usize) -> Result<DimList> {
    match a.get(i) {
        Value::Int(d) => wrap_dims(&[*d], ndim),
        Value::Ints(d) => wrap_dims(d, ndim),
        _ => wrap_dims(&[], ndim),
    }
}

/// The first of the dimensions in argument `i` that has no elements, as the caller wrote it.
pub(crate) fn empty_dim(a: &Args, i: usize, t: &Tensor) -> Result<Option<i64>> {
    let Some(given) = a.opt_ints(i)? else { return Ok(None) };
    for &d in given {
        if t.shape().get(wrap_dim(d, t.ndim())?) == Some(&0) {
            return Ok(Some(d));
        }
    }
    Ok(None)
}

/// The shape with `dims` removed, or of size 1 with `keepdim`.
pub(crate) fn reduced_shape(shape: &[usize], dims: &[usize], keepdim: bool) -> Shape {
    let keep = |d: usize| !dims.contains(&d);
    shape
        .iter()
        .enumerate()
        .filter(|(d, _)| keepdim || keep(*d))
        .map(|(d, &n)| if keep(d) { n } else { 1 })
        .collect()
}

/// How a reduction of `t` over `dims` walks memory: (size, stride) of the kept and of the reduced
/// dimensions.
type Walk = SmallVec<[(usize, isize); 4]>;

fn walk(t: &Tensor, dims: &[usize]) -> (Walk, Walk) {
    let pair = |d: usize| (t.shape()[d], t.strides()[d]);
    let kept = (0..t.ndim()).filter(|d| !dims.contains(d)).map(pair).collect();
    (kept, dims.iter().map(|&d| pair(d)).collect())
}

/// Reduces `t` over `dims` with a kernel, which must take the dtype of `t`; the result has that
/// dtype, or bool.
fn reduce(op: kernels::Op, t: &Tensor, dims: &[usize], keepdim: bool) -> Result<Tensor> {
    let truth = matches!(op, kernels::Op::Any | kernels::Op::All);
    if op == kernels::Op::Sum
        && dims.len() == t.ndim()
        && !keepdim
        && let Some(sum) = lazy::sum(t)?
    {
        return Ok(sum);
    }
    let out = if truth { DType::Bool } else { t.dtype() };
    let result = Tensor::empty(&reduced_shape(t.shape(), dims, keepdim), out)?;
    let (kept, reduced) = walk(t, dims);
    let walk = kernels::Dims { kept: &kept, reduced: &reduced };
    // SAFETY: the layout of a live tensor, and a fresh result of the kept dimensions.
    unsafe { kernels::reduce(op, t.dtype(), t.ptr()?, &walk, result.ptr()?) };
    Ok(result)
}

/// For each result the first place of the extremum along `dims`, and its value.
fn arg_reduce(
    which: kernels::Extremum,
    t: &Tensor,
    dims: &[usize],
    keepdim: bool,
) -> Result<(Tensor, Tensor)> {
    let shape = reduced_shape(t.shape(), dims, keepdim);
    let values = Tensor::empty(&shape, t.dtype())?;
    let indices = Tensor::empty(&shape, DType::I64)?;
    let (kept, reduced) = walk(t, dims);
    let walk = kernels::Dims { kept: &kept, reduced: &reduced };
    let (v, i) = (values.ptr()?, indices.ptr()?.cast());
    // SAFETY: the layout of a live tensor, and fresh results of the kept dimensions.
    unsafe { kernels::arg_reduce(which, t.dtype(), t.ptr()?, &walk, Some(v), i) };
    Ok((values, indices))
}

/// Variance (its root if `root`) and mean over `dims` of float32 or float64.
fn variance(
    t: &Tensor,
    dims: &[usize],
    keepdim: bool,
    (freedom, root): (f64, bool),
) -> Result<(Tensor, Tensor)> {
    let shape = reduced_shape(t.shape(), dims, keepdim);
    let (var, mean) = (Tensor::empty(&shape, t.dtype())?, Tensor::empty(&shape, t.dtype())?);
    let (kept, reduced) = walk(t, dims);
    let walk = kernels::Dims { kept: &kept, reduced: &reduced };
    let (v, m) = (var.ptr()?, mean.ptr()?);
    // SAFETY: the layout of a live tensor, and fresh results of the kept dimensions.
    unsafe { kernels::variance(t.dtype(), t.ptr()?, &walk, (freedom, root), v, m) };
    Ok((var, mean))
}

/// True if no element is zero.
pub(crate) fn all_true(t: &Tensor) -> Result<bool> {
    let dims: DimList = (0..t.ndim()).collect();
    crate::batch::check_not_batched(t)?;
    Ok(reduce(kernels::Op::All, t, &dims, false)?.item()?.is_true())
}

/// The dtype of a sum or product that is not asked for one: integers and bool give int64.
fn sum_dtype(a: &Args, i: usize, t: &Tensor) -> Result<DType> {
    let natural = if t.dtype().is_differentiable() { t.dtype() } else { DType::I64 };
    Ok(a.opt_dtype(i)?.unwrap_or(natural))
}

/// The dtype that sums of `dtype` are added up in.
pub(crate) fn wide(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::BF16 => DType::F32,
        d if d.is_differentiable() => d,
        _ => DType::I64,
    }
}

/// A sum or product in `dtype`.
fn fold_over(
    op: kernels::Op,
    t: &Tensor,
    dims: &[usize],
    keepdim: bool,
    dtype: DType,
) -> Result<Outputs> {
    let t = t.to(dtype)?.to(wide(dtype))?;
    Ok(smallvec![reduce(op, &t, dims, keepdim)?.to(dtype)?])
}

fn sum_over(t: &Tensor, dims: &[usize], keepdim: bool, dtype: DType) -> Result<Outputs> {
    fold_over(kernels::Op::Sum, t, dims, keepdim, dtype)
}

/// `t`, a result of the call, with the reduced dimensions back at size 1. The dimensions are
/// argument 1.
fn with_dims(cx: &Cx, t: &Tensor) -> Result<Tensor> {
    let shape = &cx.input(0).shape;
    let dims = dims_arg(&cx.args, 1, shape.len())?;
    t.reshape(&reduced_shape(shape, &dims, true))
}

/// `g` expanded over the reduced dimensions.
fn unreduce(cx: &Cx, g: &[&Tensor]) -> Result<Tensor> {
    let shape = &cx.input(0).shape;
    let few = shape.iter().product::<usize>() <= MOST && forward::plain();
    if few && g[0].ndim() == 0 {
        return spread_few(g[0], shape);
    }
    with_dims(cx, g[0])?.expand(shape)
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
        let dims: DimList = (0..t.ndim()).collect();
        sum_over(t, &dims, false, sum_dtype(&a, 1, t)?)
    },
    vjp: SUM_BACK,
    node: "SumBackward0(self_sym_sizes)",
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
    node: "SumBackward1(dim, keepdim, self_sym_sizes)",
};

/// The dtype of a mean; integers need one to be named.
fn mean_dtype(name: &str, a: &Args, i: usize, t: &Tensor) -> Result<DType> {
    let dtype = a.opt_dtype(i)?.unwrap_or(t.dtype());
    if !dtype.is_differentiable() {
        let what = if a.opt_dtype(i)?.is_some() { "Optional dtype" } else { "Input dtype" };
        bail!(
            Runtime,
            "{name}(): could not infer output dtype. {what} must be either a floating point or complex dtype. Got: {}",
            dtype.scalar_name()
        );
    }
    Ok(dtype)
}

fn mean_over(t: &Tensor, dims: &[usize], keepdim: bool, dtype: DType) -> Result<Outputs> {
    let count: usize = dims.iter().map(|&d| t.shape()[d]).product();
    // A half-precision sum would overflow, and round twice.
    let wide = t.to(dtype)?.to(wide(dtype))?;
    let sum = reduce(kernels::Op::Sum, &wide, dims, keepdim)?;
    Ok(smallvec![sum.div_number(count as f64)?.to(dtype)?])
}

pub(crate) const MEAN: Structured = Structured {
    schema: "mean(Tensor self, *, ScalarType? dtype=None) -> Tensor",
    aliases: &[],
    doc: "Mean of all elements.\n\n>>> torch.tensor([1., 2.]).mean()\ntensor(1.5000)",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        let dims: DimList = (0..t.ndim()).collect();
        mean_over(t, &dims, false, mean_dtype("mean", &a, 1, t)?)
    },
    vjp: MEAN_BACK,
    node: "MeanBackward0(self_sym_numel, self_sym_sizes)",
};

pub(crate) const MEAN_DIM: Structured = Structured {
    schema: "mean.dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    aliases: &[],
    doc: "Mean over dimensions; all of them if `dim` is None or empty.\n\n>>> torch.ones(2, 3).mean(0)\ntensor([1., 1., 1.])",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        let dims = dims_arg(&a, 1, t.ndim())?;
        mean_over(t, &dims, a.bool(2)?, mean_dtype("mean", &a, 3, t)?)
    },
    vjp: MEAN_BACK,
    node: "MeanBackward1(dim, keepdim, self_sym_numel, self_sym_sizes)",
};

/// Sums `t` over the dimensions along which `shape` was broadcast.
pub(crate) fn sum_to(t: &Tensor, shape: &[usize]) -> Result<Tensor> {
    if t.shape() == shape {
        return Ok(t.clone());
    }
    if t.numel() <= MOST
        && forward::plain()
        && let Some(sum) = sum_few(t, shape)?
    {
        return Ok(sum);
    }
    let lead = t.ndim() - shape.len();
    let dims: SmallVec<[i64; 4]> = (0..t.ndim())
        .filter(|&d| d < lead || (shape[d - lead] == 1 && t.shape()[d] != 1))
        .map(|d| d as i64)
        .collect();
    let sum = call1(Id::SUM_DIM, &[t.into(), Value::Ints(dims), true.into(), Value::None])?;
    if lead > 0 { sum.reshape(shape) } else { Ok(sum) }
}

pub(crate) const SUM_TO_SIZE: Structured = Structured {
    schema: "sum_to_size(Tensor self, int[] size) -> Tensor",
    aliases: &[],
    doc: "Sums over dimensions such that the result has the given size, from which the tensor's could be broadcast.\n\n>>> torch.ones(2, 3).sum_to_size(3)\ntensor([2., 2., 2.])",
    forms: Forms::METHOD,
    forward: |a| {
        let (t, size) = (a.tensor(0)?, a.ints(1)?);
        let shape: Shape = size.iter().map(|&n| n as usize).collect();
        if shape::broadcast(&shape, t.shape()).ok().as_deref() != Some(t.shape()) {
            bail!(
                Runtime,
                "size {{{}}} is not expandable to size {{{}}}.",
                shape::show(&shape),
                shape::show(t.shape())
            );
        }
        Ok(smallvec![if shape.is_empty() { t.sum_all()? } else { sum_to(t, &shape)? }])
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const NANMEAN: Structured = Structured {
    schema: "nanmean(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    aliases: &[],
    doc: "Mean of the elements that are not NaN, over dimensions.\n\n>>> torch.nanmean(torch.tensor([1., float('nan'), 2.]))\ntensor(1.5000)",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        if !t.dtype().is_differentiable() {
            bail!(
                Runtime,
                "nanmean(): expected input to have floating point or complex dtype but got {}",
                t.dtype().scalar_name()
            );
        }
        mean_dtype("nanmean", &a, 3, t)?;
        let (dims, keepdim) = (dims_arg(&a, 1, t.ndim())?, a.bool(2)?);
        let known = pointwise::call(Id::ISNAN, &[(&t.detach()).into()])?;
        let known = pointwise::call(Id::LOGICAL_NOT, &[(&known).into()])?.to(DType::I64)?;
        let along = Value::Ints(dims.iter().map(|&d| d as i64).collect());
        let count = call1(Id::SUM_DIM, &[known.into(), along, keepdim.into(), Value::None])?;
        let args: [Value; 4] = std::array::from_fn(|i| a.get(i).clone());
        Ok(smallvec![call1(Id::NANSUM_DIM, &args)?.div(&count)?])
    },
    vjp: Vjp::Composed,
    node: "",
};

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
        pointwise::call(Id::DIV, &[self.into(), n.into()])
    }
}
