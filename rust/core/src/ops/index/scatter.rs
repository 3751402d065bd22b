//! `gather` and its kin: each element moved along one dimension to its index.

use super::spot::{How, Spot, check_apart};
use super::{at_least_1d, integers, written_rows};
use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Structured, call1};
use crate::ops::Id;
use crate::shape::{Shape, broadcast, show, wrap_dim};
use crate::value::Args;
use crate::{DType, Error, Result, Tensor, Value, bail, err, pointwise};
use smallvec::smallvec;
use wengert_kernels::places::{Combine, Outside};

/// A 0-d tensor counts as one of a single element.
fn one_d(sizes: &[usize]) -> Shape {
    if sizes.is_empty() { smallvec![1] } else { Shape::from_slice(sizes) }
}

fn outside(d: usize) -> impl Fn(Outside, usize) -> Error {
    move |bad: Outside, n: usize| {
        err!(Runtime, "index {} is out of bounds for dimension {d} with size {n}", bad.value)
    }
}

fn check_gather(t: &Tensor, d: usize, index: &Tensor) -> Result<()> {
    let (whole, part) = (one_d(t.shape()), one_d(index.shape()));
    if whole.len() != part.len() {
        bail!(Runtime, "Index tensor must have the same number of dimensions as input tensor");
    }
    if let Some(k) = (0..whole.len()).find(|&k| k != d && part[k] > whole[k]) {
        bail!(
            Runtime,
            "Size does not match at dimension {k} expected index {} to be no larger than self {} apart from dimension {d}",
            show(index.shape()),
            show(t.shape())
        );
    }
    Ok(())
}

pub(super) fn gather(t: &Tensor, dim: i64, index: &Tensor) -> Result<Tensor> {
    call1(Id::GATHER, &[t.into(), dim.into(), index.into(), false.into()])
}

pub(crate) const GATHER: Structured = Structured {
    schema: "gather(Tensor self, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor",
    aliases: &[],
    doc: "For each place of `index`, the element there whose position along `dim` is the index.\n\n>>> torch.gather(torch.tensor([[1, 2], [3, 4]]), 1, torch.tensor([[0, 0], [1, 0]]))\ntensor([[1, 1],\n        [4, 3]])",
    forms: Forms::BOTH,
    forward: |a| {
        let (t, index) = (a.tensor(0)?, a.tensor(2)?);
        let d = wrap_dim(a.int(1)?, t.ndim())?;
        if index.numel() == 0 {
            return Ok(smallvec![Tensor::empty(index.shape(), t.dtype())?]);
        }
        let index = integers(index, "gather(): Expected dtype int32/int64 for index")?;
        check_gather(t, d, &index)?;
        let whole = at_least_1d(t)?;
        let part = Spot::moved(&whole, d, &at_least_1d(&index)?)?.read_rows(&whole, &outside(d))?;
        Ok(smallvec![part.reshape(index.shape())?])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, v: &[&Tensor]| spread(v[0], v[1], cx.args.int(1)?, &cx.input(0).shape);
        vec![X::verb("spread", back, &[X::Grad(0), X::In(1)]).saving(X::In(0))]
    }),
    node: "GatherBackward0",
};

/// Zeros of `shape`, with each element of `t` added at its index along `dim`: the transpose of
/// `gather`.
pub(crate) fn spread(t: &Tensor, index: &Tensor, dim: i64, shape: &[usize]) -> Result<Tensor> {
    call1(Id::SPREAD, &[t.into(), index.into(), dim.into(), super::sizes(shape)])
}

pub(crate) const SPREAD: Structured = Structured {
    schema: "_spread(Tensor self, Tensor index, int dim, int[] shape) -> Tensor",
    aliases: &[],
    doc: "Zeros of `shape`, with each element of `self` added at its index along `dim`.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let (t, index) = (a.tensor(0)?, a.tensor(1)?);
        let shape: Shape = a.ints(3)?.iter().map(|&n| n as usize).collect();
        let out = Tensor::zeros(&shape, t.dtype())?;
        if index.numel() > 0 {
            let d = wrap_dim(a.int(2)?, shape.len())?;
            check_gather(&out, d, index)?;
            let whole = at_least_1d(&out)?;
            let spot = Spot::moved(&whole, d, &at_least_1d(index)?)?;
            let add = How::Combine(Combine::Add);
            spot.write(&whole, &at_least_1d(t)?, add, &outside(d))?;
        }
        Ok(smallvec![out])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, v: &[&Tensor]| gather(v[0], cx.args.int(2)?, v[1]);
        vec![X::verb("gather", back, &[X::Grad(0), X::In(1)])]
    }),
    node: "ScatterAddBackward0",
};

pub(crate) const TAKE_ALONG_DIM: Structured = Structured {
    schema: "take_along_dim(Tensor self, Tensor indices, int? dim=None) -> Tensor",
    aliases: &[],
    doc: "As `gather`, with both broadcast; through all elements in order without `dim`.\n\n>>> torch.take_along_dim(torch.tensor([[1, 2], [3, 4]]), torch.tensor([[1], [0]]), 1)\ntensor([[2],\n        [3]])",
    forms: Forms::BOTH,
    forward: |a| {
        let (t, index) = (a.tensor(0)?, a.tensor(1)?);
        if index.dtype() != DType::I64 {
            bail!(
                Runtime,
                "torch.take_along_dim(): dtype of indices should be Long but got {}",
                index.dtype().scalar_name()
            );
        }
        let Some(dim) = a.opt_int(2)? else {
            let (flat, index) = (t.reshape(&[t.numel()])?, index.reshape(&[index.numel()])?);
            return Ok(smallvec![gather(&flat, 0, &index)?]);
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
        let sizes = super::sizes(&size(t));
        let whole = call1(Id::EXPAND, &[t.into(), sizes, false.into()])?;
        let index = index.expand(&size(index))?;
        // Along a dimension, indices may count from the end.
        let n = whole.shape().get(d).copied().unwrap_or(1) as i64;
        let low = pointwise::call(Id::LT, &[(&index).into(), 0i64.into()])?;
        let turned = pointwise::call(Id::ADD, &[(&index).into(), n.into()])?;
        let index = [(&low).into(), (&turned).into(), (&index).into()];
        let index = pointwise::call(Id::WHERE, &index)?;
        Ok(smallvec![gather(&whole, d as i64, &index)?])
    },
    vjp: Vjp::Composed,
    node: "",
};

/// The checks of all scatters. None if there is nothing to write.
fn check_scatter(x: &Tensor, d: usize, index: &Tensor, source: &Tensor) -> Result<()> {
    if x.dtype() != source.dtype() {
        bail!(Runtime, "scatter(): Expected self.dtype to be equal to src.dtype");
    }
    let (whole, part) = (one_d(x.shape()), one_d(index.shape()));
    if whole.len() != part.len() {
        bail!(Runtime, "Index tensor must have the same number of dimensions as self tensor");
    }
    let number = source.ndim() == 0 && x.ndim() > 0;
    let from = one_d(source.shape());
    if !number && from.len() != part.len() {
        bail!(Runtime, "Index tensor must have the same number of dimensions as src tensor");
    }
    let beyond = (0..whole.len()).any(|k| k != d && part[k] > whole[k]);
    let short = !number && (0..whole.len()).any(|k| part[k] > from[k]);
    if beyond || short {
        let also = match number {
            true => String::new(),
            false => format!(" and to be no larger size than src {}", show(source.shape())),
        };
        bail!(
            Runtime,
            "Expected index {} to be no larger than self {} apart from dimension {d}{also}",
            show(index.shape()),
            show(x.shape())
        );
    }
    Ok(())
}

/// Writes `source` (or, where it is a number, that) along a dimension.
pub(super) fn scatter_with(
    x: &Tensor,
    dim: i64,
    index: &Tensor,
    source: &Tensor,
    how: How,
) -> Result<()> {
    let d = wrap_dim(dim, x.ndim())?;
    if index.numel() == 0 {
        return Ok(());
    }
    let index = integers(index, "scatter(): Expected dtype int32/int64 for index")?;
    check_scatter(x, d, &index, source)?;
    check_apart(x, source)?;
    let (x, index) = (at_least_1d(x)?, at_least_1d(&index)?);
    let mut part = source.detach();
    if source.ndim() > 0 {
        for (k, &n) in index.shape().iter().enumerate() {
            part = part.slice(k as i64, Some(0), Some(n as i64), 1)?;
        }
    }
    Spot::moved(&x, d, &index)?.write(&x, &part, how, &outside(d))
}

fn scatter(x: &Tensor, a: &Args, source: &Tensor, how: How) -> Result<()> {
    scatter_with(x, a.int(1)?, a.tensor(2)?, source, how)
}

/// A source without dimensions is no number where the indices have several.
pub(super) fn check_source(index: &Tensor, source: &Tensor) -> Result<()> {
    if source.ndim() == 0 && index.ndim() > 1 && index.numel() > 0 {
        bail!(Runtime, "Index tensor must have the same number of dimensions as src tensor");
    }
    Ok(())
}

/// What is scattered: a tensor, or a number as a tensor.
fn source_of(x: &Tensor, a: &Args) -> Result<Tensor> {
    match a.get(3) {
        Value::Tensor(t) => {
            check_source(a.tensor(2)?, t)?;
            Ok(t.clone())
        }
        _ => Tensor::full(&[], a.number(3)?, x.dtype()),
    }
}

pub(crate) fn put(x: &Tensor, a: &Args) -> Result<()> {
    scatter(x, a, &source_of(x, a)?, How::Put)
}

pub(crate) fn put_how(x: &Tensor, a: &Args) -> Result<()> {
    let how = match a.str(4)? {
        "add" => Combine::Add,
        "multiply" => Combine::Mul,
        _ => bail!(Runtime, "reduce argument must be either add or multiply."),
    };
    scatter(x, a, &source_of(x, a)?, How::Combine(how))
}

pub(crate) fn add(x: &Tensor, a: &Args) -> Result<()> {
    check_source(a.tensor(2)?, a.tensor(3)?)?;
    scatter(x, a, a.tensor(3)?, How::Combine(Combine::Add))
}

/// The gradient of what stays: zero where something was written.
fn rest_back(cx: &Cx, v: &[&Tensor]) -> Result<Tensor> {
    let zero = Value::Number(crate::Scalar::Int(0));
    call1(Id::SCATTER_VALUE, &[v[0].into(), cx.args.get(1).clone(), v[1].into(), zero])
}

/// The gradient of the source: what `gather` finds, zero where the source was not used.
fn source_back(cx: &Cx, v: &[&Tensor]) -> Result<Tensor> {
    let g = gather(v[0], cx.args.int(1)?, v[1])?;
    let source = &cx.input(2).shape;
    if g.shape() == source.as_slice() {
        return Ok(g);
    }
    let rows = crate::shape::contiguous_strides(source);
    let layout = crate::shape::Layout::new(Shape::from_slice(g.shape()), rows, 0);
    crate::ops::strided::embed(&g, source, &layout)
}

pub(crate) const SCATTER: Structured = Structured {
    schema: "scatter.src(Tensor self, int dim, Tensor index, Tensor src) -> Tensor",
    aliases: &[],
    doc: "A copy with the elements of `src` written along a dimension, each at its index.\n\n>>> torch.zeros(3).scatter(0, torch.tensor([2, 0]), torch.tensor([5., 6.]))\ntensor([6., 0., 5.])",
    forms: Forms::ALL,
    forward: |a| written_rows(&a, put),
    vjp: Vjp::Many(|| {
        let from = [X::Grad(0), X::In(1)];
        vec![X::verb("rest", rest_back, &from), X::None, X::verb("src", source_back, &from)]
    }),
    node: "ScatterBackward0",
};

pub(crate) const SCATTER_VALUE: Structured = Structured {
    schema: "scatter.value(Tensor self, int dim, Tensor index, Scalar value) -> Tensor",
    aliases: &[],
    doc: "A copy with a number written along a dimension at each index.\n\n>>> torch.zeros(3).scatter(0, torch.tensor([2, 0]), 5)\ntensor([5., 0., 5.])",
    forms: Forms::ALL,
    forward: |a| written_rows(&a, put),
    vjp: Vjp::Many(|| vec![X::verb("rest", rest_back, &[X::Grad(0), X::In(1)])]),
    node: "ScatterBackward1(dim)",
};

/// PyTorch's refusal.
const NOT_DIFFERENTIABLE: Vjp = Vjp::Many(|| {
    let back = |_: &Cx, _: &[&Tensor]| -> Result<Tensor> {
        bail!(Runtime, "derivative for aten::scatter is not implemented")
    };
    vec![X::verb("scatter", back, &[X::Grad(0)])]
});

pub(crate) const SCATTER_HOW: Structured = Structured {
    schema: "scatter.reduce(Tensor self, int dim, Tensor index, Tensor src, *, str reduce) -> Tensor",
    aliases: &[],
    doc: "As `scatter`, but added (`reduce='add'`) or multiplied (`'multiply'`).\n\n>>> torch.ones(2).scatter(0, torch.tensor([1, 1]), torch.tensor([5., 6.]), reduce='add')\ntensor([ 1., 12.])",
    forms: Forms::ALL,
    forward: |a| written_rows(&a, put_how),
    vjp: NOT_DIFFERENTIABLE,
    node: "torch::autograd::NotImplemented()",
};

pub(crate) const SCATTER_VALUE_HOW: Structured = Structured {
    schema: "scatter.value_reduce(Tensor self, int dim, Tensor index, Scalar value, *, str reduce) -> Tensor",
    aliases: &[],
    doc: "As `scatter` with a number, but added (`reduce='add'`) or multiplied (`'multiply'`).",
    forms: Forms::ALL,
    forward: |a| written_rows(&a, put_how),
    vjp: NOT_DIFFERENTIABLE,
    node: "torch::autograd::NotImplemented()",
};

pub(crate) const SCATTER_ADD: Structured = Structured {
    schema: "scatter_add(Tensor self, int dim, Tensor index, Tensor src) -> Tensor",
    aliases: &[],
    doc: "A copy with the elements of `src` added along a dimension, each at its index.\n\n>>> torch.zeros(3).scatter_add(0, torch.tensor([2, 2]), torch.tensor([5., 6.]))\ntensor([ 0.,  0., 11.])",
    forms: Forms::ALL,
    forward: |a| written_rows(&a, add),
    vjp: Vjp::Many(|| {
        let src = X::verb("src", source_back, &[X::Grad(0), X::In(1)]);
        vec![X::Grad(0), X::None, src]
    }),
    node: "ScatterAddBackward0",
};
