//! Slices along one dimension, picked by a vector of indices.

use super::spot::{How, Spot, check_apart, out_of_bounds};
use super::{at_least_1d, integers, written, written_rows};
use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Structured, call1};
use crate::ops::{Id, index};
use crate::shape::{Shape, show, wrap_dim};
use crate::value::Args;
use crate::{DType, Result, Tensor, Value, bail, err, pointwise};
use smallvec::smallvec;
use wengert_kernels::places::{Combine, Outside};

fn select(t: &Tensor, dim: i64, index: &Tensor) -> Result<Tensor> {
    call1(Id::INDEX_SELECT, &[t.into(), dim.into(), index.into()])
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
        if t.ndim() == 0 && index.numel() != 1 {
            bail!(
                Runtime,
                "index_select(): Index to scalar can have only 1 value, got {} value(s)",
                index.numel()
            );
        }
        let index = integers(index, "index_select(): Expected dtype int32 or int64 for index")?;
        let outside = |_, _| err!(Index, "index out of range in self");
        let out = Spot::slices(&at_least_1d(t)?, d, &index, false)?
            .read_rows(&at_least_1d(t)?, &outside)?;
        Ok(smallvec![if t.ndim() == 0 { out.reshape(&[])? } else { out }])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, v: &[&Tensor]| {
            let shape = super::sizes(&cx.input(0).shape);
            call1(
                Id::INDEX_SELECT_SPREAD,
                &[v[0].into(), cx.args.get(1).clone(), v[1].into(), shape],
            )
        };
        vec![X::verb("index_select_backward", back, &[X::Grad(0), X::In(1)])]
    }),
    node: "IndexSelectBackward0(dim, self_sym_sizes)",
};

pub(crate) const INDEX_SELECT_SPREAD: Structured = Structured {
    schema: "_index_select_spread(Tensor self, int dim, Tensor index, int[] shape) -> Tensor",
    aliases: &[],
    doc: "Zeros of `shape`, with each slice of `self` added at its index.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let (t, index) = (a.tensor(0)?, a.tensor(2)?);
        let shape: Shape = a.ints(3)?.iter().map(|&n| n as usize).collect();
        let out = Tensor::zeros(&shape, t.dtype())?;
        let d = wrap_dim(a.int(1)?, shape.len())?;
        let spot = Spot::slices(&at_least_1d(&out)?, d, index, false)?;
        let add = How::Combine(Combine::Add);
        spot.write(&at_least_1d(&out)?, &at_least_1d(t)?, add, &out_of_bounds)?;
        Ok(smallvec![out])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, v: &[&Tensor]| select(v[0], cx.args.int(1)?, v[1]);
        vec![X::verb("index_select", back, &[X::Grad(0), X::In(1)])]
    }),
    node: "IndexAddBackward0(dim, alpha, source_dim)",
};

/// The gradient of what was written: the slices of `g` at the indices, in the shape of `source`.
fn slices_back(cx: &Cx, v: &[&Tensor]) -> Result<Tensor> {
    let source = &cx.input(2).shape;
    let index = if source.is_empty() { v[1].reshape(&[v[1].numel()])? } else { v[1].clone() };
    select(v[0], cx.args.int(1)?, &index)?.reshape(source)
}

fn rest_back(cx: &Cx, v: &[&Tensor]) -> Result<Tensor> {
    let zero = Value::Number(crate::Scalar::Int(0));
    call1(Id::INDEX_FILL, &[v[0].into(), cx.args.get(1).clone(), v[1].into(), zero])
}

fn same_apart_from(a: &[usize], b: &[usize], d: usize) -> bool {
    a.len() == b.len() && (0..a.len()).all(|k| k == d || a[k] == b[k])
}

pub(crate) fn add(x: &Tensor, a: &Args) -> Result<()> {
    let (index, source, alpha) = (a.tensor(2)?, a.tensor(3)?, a.number(4)?);
    let d = wrap_dim(a.int(1)?, x.ndim())?;
    check_add(x, d, index, source)?;
    check_apart(x, source)?;
    let source = match alpha.to_f64() == 1.0 {
        true => source.clone(),
        false => {
            let alpha = alpha.fitted(x.dtype())?;
            pointwise::call(Id::MUL, &[source.into(), alpha.into()])?.to(x.dtype())?
        }
    };
    let outside = |bad: Outside, n: usize| {
        err!(Runtime, "index {} is out of bounds for dimension {d} with size {n}", bad.value)
    };
    let (x, source) = (at_least_1d(x)?, at_least_1d(&source)?);
    Spot::slices(&x, d, index, true)?.write(&x, &source, How::Combine(Combine::Add), &outside)
}

fn check_add(x: &Tensor, d: usize, index: &Tensor, source: &Tensor) -> Result<()> {
    let (own, other) = (x.dtype().scalar_name(), source.dtype().scalar_name());
    if index.ndim() > 1 {
        bail!(
            Index,
            "index_add_(): Index is supposed to be a vector, but got dim: {} with type: {} and size: {}",
            index.ndim(),
            index.dtype().scalar_name(),
            show(index.shape())
        );
    }
    if !matches!(index.dtype(), DType::I64 | DType::I32) {
        let name = index.dtype().scalar_name();
        bail!(Runtime, "index_add_(): Expected dtype int32/int64 for index but got: {name}");
    }
    if x.dtype() != source.dtype() {
        bail!(
            Runtime,
            "index_add_(): self ({own}) and source ({other}) must have the same scalar type"
        );
    }
    let n = source.shape().get(d).copied().unwrap_or(1);
    if index.numel() != n {
        bail!(
            Runtime,
            "index_add_(): Number of indices ({}) should be equal to source.size(dim): ({n}), for dim: {d}",
            index.numel()
        );
    }
    if !same_apart_from(x.shape(), source.shape(), d) {
        bail!(
            Runtime,
            "source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = {} source.shape = {}",
            show(x.shape()),
            show(source.shape())
        );
    }
    Ok(())
}

pub(crate) const INDEX_ADD: Structured = Structured {
    schema: "index_add(Tensor self, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor",
    aliases: &[],
    doc: "A copy with the slices of `source`, times `alpha`, added at the indices along a dimension.\n\n>>> torch.zeros(3).index_add(0, torch.tensor([0, 2]), torch.tensor([1., 2.]))\ntensor([1., 0., 2.])",
    forms: Forms::ALL,
    forward: |a| written_rows(&a, add),
    vjp: Vjp::Many(|| {
        let source = |cx: &Cx, v: &[&Tensor]| {
            let g = slices_back(cx, v)?;
            pointwise::call(Id::MUL, &[(&g).into(), cx.args.number(4)?.into()])
        };
        let source = X::verb("source", source, &[X::Grad(0), X::In(1)]);
        vec![X::Grad(0), X::None, source.saving(X::In(2))]
    }),
    node: "IndexAddBackward0(dim, alpha, source_dim)",
};

pub(crate) fn copy(x: &Tensor, a: &Args) -> Result<()> {
    let (index, source) = (a.tensor(2)?, a.tensor(3)?);
    let d = wrap_dim(a.int(1)?, x.ndim())?;
    check_copy(x, d, index, source)?;
    check_apart(x, source)?;
    let outside = |bad: Outside, n: usize| {
        err!(
            Index,
            "index_copy_(): index {} is out of bounds for dimension {d} with size {n}",
            bad.value
        )
    };
    let (x, source) = (at_least_1d(x)?, at_least_1d(source)?);
    Spot::slices(&x, d, index, false)?.write(&x, &source, How::Put, &outside)
}

fn check_copy(x: &Tensor, d: usize, index: &Tensor, source: &Tensor) -> Result<()> {
    let (from, to, n) = (source.ndim(), x.ndim(), index.numel());
    if index.ndim() > 1 {
        bail!(Index, "index_copy_(): Index should have dimension 1 or 0 (got {})", index.ndim());
    }
    if from == 0 && n != 1 {
        bail!(
            Index,
            "index_copy_(): When source is scalar, index should have one element (got {n})"
        );
    }
    if from != to && from != 0 && to != 0 {
        bail!(
            Index,
            "index_copy_(): When source and destination are not scalars, their dimensionality must match. Source dimensionality ({from}), destination dimensionality ({to})"
        );
    }
    if index.dtype() != DType::I64 {
        let name = index.dtype().scalar_name();
        bail!(Runtime, "index_copy_(): Expected a long tensor for index, but got {name}");
    }
    if x.dtype() != source.dtype() {
        bail!(
            Runtime,
            "index_copy_(): self and source expected to have the same dtype, but got (self) {} and (source) {}",
            x.dtype().scalar_name(),
            source.dtype().scalar_name()
        );
    }
    let without = |t: &Tensor| -> Shape {
        t.shape().iter().enumerate().filter(|(k, _)| *k != d).map(|(_, &n)| n).collect()
    };
    let (own, other) = (without(x), without(source));
    if own != other {
        let spaced = |s: &[usize]| show(s).trim_matches(['[', ']']).replace(',', "");
        bail!(
            Runtime,
            "index_copy_(): Source/destination tensor must have same slice shapes. Destination slice shape: {} at dimension {d} and source slice shape: {} at dimension 0.",
            spaced(&own),
            spaced(&other)
        );
    }
    let rows = source.shape().get(d).copied().unwrap_or(1);
    if n != rows {
        bail!(
            Index,
            "index_copy_(): Number of indices ({n}) should be equal to source.size(dim) ({rows})"
        );
    }
    Ok(())
}

pub(crate) const INDEX_COPY: Structured = Structured {
    schema: "index_copy(Tensor self, int dim, Tensor index, Tensor source) -> Tensor",
    aliases: &[],
    doc: "A copy with the slices at the indices along a dimension replaced by those of `source`.\n\n>>> torch.zeros(3).index_copy(0, torch.tensor([2, 0]), torch.tensor([1., 2.]))\ntensor([2., 0., 1.])",
    forms: Forms::ALL,
    forward: |a| written_rows(&a, copy),
    vjp: Vjp::Many(|| {
        let from = [X::Grad(0), X::In(1)];
        let source = X::verb("source", slices_back, &from).saving(X::In(2));
        vec![X::verb("rest", rest_back, &from), X::None, source]
    }),
    node: "IndexCopyBackward0(dim, source_dim)",
};

pub(crate) fn fill(x: &Tensor, a: &Args) -> Result<()> {
    let index = a.tensor(2)?;
    let d = wrap_dim(a.int(1)?, x.ndim())?;
    if index.dtype() != DType::I64 {
        bail!(Index, "index_fill_(): Expected dtype int64 for index.");
    }
    if index.ndim() > 1 {
        bail!(Runtime, "Index has to be a vector/scalar");
    }
    let value = match a.get(3) {
        Value::Tensor(v) if v.ndim() != 0 => bail!(
            Runtime,
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with {} dimension(s).",
            v.ndim()
        ),
        Value::Tensor(v) => v.to(x.dtype())?,
        _ => Tensor::full(&[], a.number(3)?, x.dtype())?,
    };
    let outside = |bad: Outside, n: usize| {
        err!(Index, "index {} is out of bounds for dimension {d} with size {n}", bad.value)
    };
    let x = at_least_1d(x)?;
    Spot::slices(&x, d, index, true)?.write(&x, &value, How::Put, &outside)
}

pub(crate) const INDEX_FILL: Structured = Structured {
    schema: "index_fill.int_Scalar(Tensor self, int dim, Tensor index, Scalar value) -> Tensor",
    aliases: &[],
    doc: "A copy with the slices at the indices along a dimension filled with a number.\n\n>>> torch.zeros(3).index_fill(0, torch.tensor([0, 2]), 5)\ntensor([5., 0., 5.])",
    forms: Forms::ALL,
    forward: |a| written(&a, fill),
    vjp: Vjp::Many(|| vec![X::verb("rest", rest_back, &[X::Grad(0), X::In(1)])]),
    node: "IndexFillBackward0(dim)",
};

pub(crate) const INDEX_FILL_TENSOR: Structured = Structured {
    schema: "index_fill.int_Tensor(Tensor self, int dim, Tensor index, Tensor value) -> Tensor",
    aliases: &[],
    doc: "As `index_fill` with a number, given as a tensor of no dimension.",
    forms: Forms::ALL,
    forward: |a| written(&a, index::vector::fill),
    vjp: Vjp::Many(|| {
        // A slice that several indices name is filled once.
        let value = |cx: &Cx, v: &[&Tensor]| {
            let index = crate::op::call(Id::UNIQUE, &[v[1].into()])?.remove(0);
            select(v[0], cx.args.int(1)?, &index)?.sum_all()
        };
        let from = [X::Grad(0), X::In(1)];
        vec![X::verb("rest", rest_back, &from), X::None, X::verb("value", value, &from)]
    }),
    node: "IndexFillBackward1",
};
