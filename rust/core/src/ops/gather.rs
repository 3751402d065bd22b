//! Elements picked by index, and the places of those that are true.

use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Structured, call1};
use crate::ops::Id;
use crate::ops::reduce::extremum::extremum;
use crate::shape::{Shape, Strides, broadcast, show, wrap_dim};
use crate::{Bool, DType, Result, Tensor, Value, bail, pointwise};
use smallvec::smallvec;
use wengert_kernels::gather::{self, Along};
use wengert_kernels::reduce::Op;

/// A 0-d tensor counts as one of a single element.
fn one_d(sizes: &[usize]) -> Shape {
    if sizes.is_empty() { smallvec![1] } else { Shape::from_slice(sizes) }
}

fn one_d_strides(strides: &[isize]) -> Strides {
    if strides.is_empty() { smallvec![1] } else { Strides::from_slice(strides) }
}

/// An index that is not in `0..n`, if there is one.
fn outside(index: &Tensor, n: usize) -> Result<Option<i64>> {
    if index.numel() == 0 {
        return Ok(None);
    }
    let dims: super::reduce::DimList = (0..index.ndim()).collect();
    let at = |op| Ok::<_, crate::Error>(extremum(op, index, &dims, false)?.item()?.to_i64());
    if at(Op::Min)? >= 0 && at(Op::Max)? < n as i64 {
        return Ok(None);
    }
    Ok(index.to_vec::<i64>()?.into_iter().find(|i| !(0..n as i64).contains(i)))
}

/// Picks `whole[i with i[dim] = index[i]]` for each `i` of the shape of `index`, whose elements
/// have been checked.
fn take(whole: &Tensor, dim: usize, index: &Tensor) -> Result<Tensor> {
    let out = Tensor::empty(index.shape(), whole.dtype())?;
    let strides = [whole, index, &out].map(|t| one_d_strides(t.strides()));
    let along = Along {
        shape: &one_d(index.shape()),
        dim,
        whole: &strides[0],
        index: &strides[1],
        part: &strides[2],
    };
    let (from, at, to) = (whole.ptr()?, index.ptr()?.cast_const().cast(), out.ptr()?);
    // SAFETY: layouts of live tensors; callers have checked sizes and indices; `out` is fresh.
    unsafe { gather::take(whole.dtype().size(), &along, from, at, to) };
    Ok(out)
}

fn check_gather(t: &Tensor, d: usize, index: &Tensor) -> Result<()> {
    let (whole, part) = (one_d(t.shape()), one_d(index.shape()));
    if whole.len() != part.len() {
        bail!(Runtime, "Index tensor must have the same number of dimensions as input tensor");
    }
    if (0..whole.len()).any(|k| k != d && part[k] > whole[k]) {
        bail!(
            Runtime,
            "Size does not match at dimension {} expected index {} to be no larger than self {} apart from dimension {d}",
            (0..whole.len()).find(|&k| k != d && part[k] > whole[k]).unwrap_or(0),
            show(index.shape()),
            show(t.shape())
        );
    }
    if let Some(i) = outside(index, whole[d])? {
        bail!(Runtime, "index {i} is out of bounds for dimension {d} with size {}", whole[d]);
    }
    Ok(())
}

/// int64 indices from those of int32.
fn indices(index: &Tensor, error: &str) -> Result<Tensor> {
    if !matches!(index.dtype(), DType::I64 | DType::I32) {
        bail!(Runtime, "{error}");
    }
    index.to(DType::I64)
}

pub(crate) const GATHER: Structured = Structured {
    schema: "gather(Tensor self, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor",
    aliases: &[],
    doc: "For each place of `index`, the element there whose position along `dim` is the index.\n\n>>> torch.gather(torch.tensor([[1, 2], [3, 4]]), 1, torch.tensor([[0, 0], [1, 0]]))\ntensor([[1, 1],\n        [4, 3]])",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        let d = wrap_dim(a.int(1)?, t.ndim())?;
        let index = indices(a.tensor(2)?, "gather(): Expected dtype int32/int64 for index")?;
        check_gather(t, d, &index)?;
        Ok(smallvec![take(t, d, &index)?])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, v: &[&Tensor]| spread(v[0], v[1], cx.args.int(1)?, &cx.input(0).shape);
        vec![X::verb("spread", back, &[X::Grad(0), X::In(1)]), X::None]
    }),
    node: "GatherBackward0",
};

/// Zeros of `shape`, with each element of `t` added at its index along `dim`: the transpose of
/// `gather`.
pub(crate) fn spread(t: &Tensor, index: &Tensor, dim: i64, shape: &[usize]) -> Result<Tensor> {
    let shape = Value::Ints(shape.iter().map(|&n| n as i64).collect());
    call1(Id::SPREAD, &[t.into(), index.into(), dim.into(), shape])
}

pub(crate) const SPREAD: Structured = Structured {
    schema: "_spread(Tensor self, Tensor index, int dim, int[] shape) -> Tensor",
    aliases: &[],
    doc: "Zeros of `shape`, with each element of `self` added at its index along `dim`.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let (t, index) = (a.tensor(0)?, a.tensor(1)?.to(DType::I64)?);
        let part = t.to(super::reduce::wide(t.dtype()))?;
        let shape: Shape = a.ints(3)?.iter().map(|&n| n as usize).collect();
        let out = Tensor::zeros(&shape, part.dtype())?;
        let strides = [&out, &index, &part].map(|t| one_d_strides(t.strides()));
        let along = Along {
            shape: &one_d(index.shape()),
            dim: wrap_dim(a.int(2)?, shape.len())?,
            whole: &strides[0],
            index: &strides[1],
            part: &strides[2],
        };
        // Checked when they picked, but whoever holds their memory may have written to it since.
        if outside(&index, one_d(&shape)[along.dim])?.is_some() {
            bail!(Index, "index out of range in self");
        }
        let (to, at, from) = (out.ptr()?, index.ptr()?.cast_const().cast(), part.ptr()?);
        // SAFETY: layouts of live tensors, and indices inside.
        unsafe {
            match part.dtype() {
                DType::F32 => gather::add(&along, to.cast::<f32>(), at, from.cast::<f32>()),
                DType::F64 => gather::add(&along, to.cast::<f64>(), at, from.cast::<f64>()),
                DType::I64 => gather::add(&along, to.cast::<i64>(), at, from.cast::<i64>()),
                d => bail!(NotImplemented, "\"scatter_add\" not implemented for {}", d.name()),
            }
        }
        Ok(smallvec![out.to(t.dtype())?])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, v: &[&Tensor]| {
            let dim = cx.args.int(2)?;
            call1(Id::GATHER, &[v[0].into(), dim.into(), v[1].into(), false.into()])
        };
        vec![X::verb("gather", back, &[X::Grad(0), X::In(1)]), X::None]
    }),
    node: "ScatterAddBackward0",
};

/// A vector of indices as large as the result of `index_select`, without a copy.
fn widened(index: &Tensor, d: usize, shape: &[usize]) -> Tensor {
    let mut strides = Strides::from_elem(0, shape.len());
    if let Some(s) = strides.get_mut(d) {
        *s = index.strides().first().copied().unwrap_or(1);
    }
    let offset = index.layout().offset;
    index.alias(crate::shape::Layout::new(Shape::from_slice(shape), strides, offset))
}

pub(crate) const INDEX_SELECT: Structured = Structured {
    schema: "index_select(Tensor self, int dim, Tensor index) -> Tensor",
    aliases: &[],
    doc: "The slices along a dimension at the given indices.\n\n>>> torch.index_select(torch.tensor([5, 6, 7]), 0, torch.tensor([2, 0]))\ntensor([7, 5])",
    forms: Forms::BOTH,
    forward: |a| {
        let (t, index) = (a.tensor(0)?, a.tensor(2)?);
        let d = wrap_dim(a.int(1)?, t.ndim())?;
        if index.ndim() > 1 {
            bail!(Index, "index_select(): Index is supposed to be a vector");
        }
        let index = indices(index, "index_select(): Expected dtype int32 or int64 for index")?;
        if t.ndim() == 0 && index.numel() != 1 {
            let n = index.numel();
            bail!(
                Runtime,
                "index_select(): Index to scalar can have only 1 value, got {n} value(s)"
            );
        }
        if outside(&index, one_d(t.shape())[d])?.is_some() {
            bail!(Index, "index out of range in self");
        }
        let mut shape = Shape::from_slice(t.shape());
        if let Some(n) = shape.get_mut(d) {
            *n = index.numel();
        }
        index.ptr()?;
        Ok(smallvec![take(t, d, &widened(&index, d, &shape))?])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, v: &[&Tensor]| {
            let shape = &cx.input(0).shape;
            let d = wrap_dim(cx.args.int(1)?, shape.len())?;
            let index = v[1].to(DType::I64)?;
            spread(v[0], &widened(&index, d, v[0].shape()), d as i64, shape)
        };
        vec![X::verb("spread", back, &[X::Grad(0), X::In(1)]), X::None]
    }),
    node: "IndexSelectBackward0",
};

pub(crate) const TAKE_ALONG_DIM: Structured = Structured {
    schema: "take_along_dim(Tensor self, Tensor indices, int? dim=None) -> Tensor",
    aliases: &[],
    doc: "As `gather`, with both broadcast; through all elements in order without `dim`.\n\n>>> torch.take_along_dim(torch.tensor([[1, 2], [3, 4]]), torch.tensor([[1], [0]]), 1)\ntensor([[2],\n        [3]])",
    forms: Forms::BOTH,
    forward: |a| {
        let (t, index) = (a.tensor(0)?, a.tensor(1)?);
        let pick = |t: &Tensor, dim: i64, index: &Tensor| {
            call1(Id::GATHER, &[t.into(), dim.into(), index.into(), false.into()])
        };
        if index.dtype() != DType::I64 {
            bail!(
                Runtime,
                "torch.take_along_dim(): dtype of indices should be Long but got {}",
                index.dtype().scalar_name()
            );
        }
        let Some(dim) = a.opt_int(2)? else {
            let (flat, index) = (t.reshape(&[t.numel()])?, index.reshape(&[index.numel()])?);
            return Ok(smallvec![pick(&flat, 0, &index)?]);
        };
        if t.ndim() != index.ndim() {
            bail!(
                Runtime,
                "torch.take_along_dim(): input and indices should have the same number of dimensions, but got {} dimensions for input, and {} dimensions for indices",
                t.ndim(),
                index.ndim()
            );
        }
        let d = wrap_dim(dim, t.ndim())?;
        // Each takes the other's sizes, except along the dimension picked from.
        let except = |sizes: &[usize], n: usize| {
            let mut s = Shape::from_slice(sizes);
            if let Some(slot) = s.get_mut(d) {
                *slot = n;
            }
            s
        };
        let common = broadcast(&except(t.shape(), 1), &except(index.shape(), 1))?;
        let size = |x: &Tensor| except(&common, x.shape().get(d).copied().unwrap_or(1));
        let (whole, index) = (t.expand(&size(t))?, index.expand(&size(index))?);
        Ok(smallvec![pick(&whole, d as i64, &index)?])
    },
    vjp: Vjp::Composed,
    node: "",
};

/// Indices of the elements that are not zero, in order: one row of numbers each.
fn places(t: &Tensor) -> Result<Vec<i64>> {
    let truth = pointwise::call(Id::NE, &[t.into(), 0i64.into()])?;
    let strides = crate::shape::contiguous_strides(t.shape());
    let mut out = Vec::new();
    for (i, _) in truth.to_vec::<Bool>()?.iter().enumerate().filter(|(_, b)| b.get()) {
        let mut rest = i;
        for &s in &strides {
            out.push((rest / s as usize) as i64);
            rest %= s as usize;
        }
    }
    Ok(out)
}

pub(crate) const NONZERO: Structured = Structured {
    schema: "nonzero(Tensor self) -> Tensor",
    aliases: &["argwhere"],
    doc: "The places of the elements that are not zero, one row of indices each.\n\n>>> torch.nonzero(torch.tensor([0., 2., 3.]))\ntensor([[1],\n        [2]])",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        if t.ndim() == 0 {
            let found = t.item()?.is_true() as usize;
            return Ok(smallvec![Tensor::empty(&[found, 0], DType::I64)?]);
        }
        let places = places(t)?;
        let found = places.len() / t.ndim();
        Ok(smallvec![Tensor::from_slice(&places).reshape(&[found, t.ndim()])?])
    },
    vjp: Vjp::None,
    node: "NonzeroBackward0",
};

pub(crate) const WHERE_ONE: Structured = Structured {
    schema: "where.condition(Tensor condition) -> Tensor[]",
    aliases: &[],
    doc: "The places of the elements that are not zero, a tensor of indices for each dimension.\n\n>>> torch.where(torch.tensor([0., 2., 3.]))\n(tensor([1, 2]),)",
    forms: Forms::FUNCTION,
    forward: |a| {
        let t = a.tensor(0)?;
        let t = if t.ndim() == 0 { t.reshape(&[1])? } else { t.clone() };
        let (places, n) = (places(&t)?, t.ndim());
        let column = |d: usize| {
            let values: Vec<i64> = places.iter().skip(d).step_by(n).copied().collect();
            Tensor::from_slice(&values)
        };
        Ok((0..n).map(column).collect())
    },
    vjp: Vjp::None,
    node: "NonzeroBackward0",
};
