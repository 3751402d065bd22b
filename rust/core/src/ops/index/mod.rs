//! Elements picked by tensors of indices and masks: read, written, and added up where they came
//! from.

use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Outputs, Structured, call1};
use crate::ops::Id;
use crate::shape::{Shape, expandable, show};
use crate::value::Args;
use crate::{DType, Result, Tensor, Value, bail};
use smallvec::smallvec;
use wengert_kernels::places::Combine;

pub(crate) mod flat;
pub(crate) mod places;
pub(crate) mod reduce;
pub(crate) mod scatter;
mod spot;
pub(crate) mod vector;

pub(crate) use scatter::spread;
use spot::{How, Spot, check_apart, out_of_bounds};

/// Writes into its first argument what an operation returns. Must check everything first.
pub(crate) type Write = fn(&Tensor, &Args) -> Result<()>;

/// How the operations that change a part of a tensor write it in place.
pub(crate) fn writer(id: Id) -> Option<Write> {
    Some(match id {
        Id::INDEX_PUT => put,
        Id::INDEX_ADD => vector::add,
        Id::INDEX_COPY => vector::copy,
        Id::INDEX_FILL | Id::INDEX_FILL_TENSOR => vector::fill,
        Id::SCATTER | Id::SCATTER_VALUE => scatter::put,
        Id::SCATTER_HOW | Id::SCATTER_VALUE_HOW => scatter::put_how,
        Id::SCATTER_ADD => scatter::add,
        Id::PUT => flat::put,
        Id::MASKED_SCATTER => flat::masked_put,
        _ => return None,
    })
}

/// What a writer makes of a copy; the copy keeps the memory order of its original.
fn written(a: &Args, write: Write) -> Result<Outputs> {
    let t = a.tensor(0)?;
    let copy = call1(Id::CLONE, &[t.detach().into()])?;
    write(&copy, a)?;
    Ok(smallvec![copy])
}

/// What a writer makes of a row-major copy.
fn written_rows(a: &Args, write: Write) -> Result<Outputs> {
    let t = a.tensor(0)?;
    let copy = t.fresh_copy(t.dtype())?;
    write(&copy, a)?;
    Ok(smallvec![copy])
}

/// A 0-d tensor as one of a single element, over the same memory.
fn at_least_1d(t: &Tensor) -> Result<Tensor> {
    if t.ndim() == 0 { t.detach().reshape(&[1]) } else { Ok(t.detach()) }
}

fn sizes(shape: &[usize]) -> Value {
    Value::Ints(shape.iter().map(|&n| n as i64).collect())
}

/// The indices of a call that is differentiated: argument `i`, of which `saved` were given.
fn indices_of(cx: &Cx, i: usize, saved: &[&Tensor]) -> Result<Value> {
    let given = cx.args.ints(i)?;
    let mut list = vec![None; given.last().map_or(0, |&d| d as usize + 1)];
    for (&d, t) in given.iter().zip(saved) {
        list[d as usize] = Some((*t).clone());
    }
    Ok(Value::Indices(list))
}

pub(crate) const INDEX: Structured = Structured {
    schema: "index.Tensor(Tensor self, Tensor?[] indices) -> Tensor",
    aliases: &[],
    doc: "`self[indices]`: the elements at places given by tensors of indices and masks.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let (t, indices) = (a.tensor(0)?, a.indices(1)?);
        Ok(smallvec![Spot::new(t, indices)?.read(t, &out_of_bounds)?])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, v: &[&Tensor]| {
            let indices = indices_of(cx, 1, &v[1..])?;
            call1(Id::INDEX_SPREAD, &[v[0].into(), indices, sizes(&cx.input(0).shape)])
        };
        vec![X::verb("index_backward", back, &[X::Grad(0), X::Rest(1)])]
    }),
    node: "IndexBackward0(self_sym_sizes)",
};

pub(crate) const INDEX_SPREAD: Structured = Structured {
    schema: "_index_spread(Tensor self, Tensor?[] indices, int[] shape) -> Tensor",
    aliases: &[],
    doc: "Zeros of `shape`, with each element of `self` added at its place.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let (t, indices) = (a.tensor(0)?, a.indices(1)?);
        let shape: Shape = a.ints(2)?.iter().map(|&n| n as usize).collect();
        let out = Tensor::zeros(&shape, t.dtype())?;
        Spot::new(&out, indices)?.write(&out, t, How::Combine(Combine::Add), &out_of_bounds)?;
        Ok(smallvec![out])
    },
    vjp: Vjp::Many(|| {
        let back =
            |cx: &Cx, v: &[&Tensor]| call1(Id::INDEX, &[v[0].into(), indices_of(cx, 1, &v[1..])?]);
        vec![X::verb("index", back, &[X::Grad(0), X::Rest(1)])]
    }),
    node: "IndexPutBackward0",
};

/// `x[indices] = values`, or `+=` for each place.
fn put(x: &Tensor, a: &Args) -> Result<()> {
    let (indices, values, accumulate) = (a.indices(1)?, a.tensor(2)?, a.bool(3)?);
    if values.dtype() != x.dtype() {
        bail!(
            Runtime,
            "Index put requires the source and destination dtypes match, got {} for the destination and {} for the source.",
            x.dtype().scalar_name(),
            values.dtype().scalar_name()
        );
    }
    check_apart(x, values)?;
    let spot = Spot::new(x, indices)?;
    let shape = spot.shape();
    if !expandable(values.shape(), &shape) {
        bail!(
            Runtime,
            "shape mismatch: value tensor of shape {} cannot be broadcast to indexing result of shape {}",
            show(values.shape()),
            show(&shape)
        );
    }
    let how = if accumulate { How::Combine(Combine::Add) } else { How::Put };
    spot.write(x, values, how, &out_of_bounds)
}

pub(crate) const INDEX_PUT: Structured = Structured {
    schema: "index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor",
    aliases: &[],
    doc: "A copy with the elements at the places of `indices` replaced by `values`, or, with `accumulate`, added to.\n\n>>> torch.zeros(3).index_put((torch.tensor([0, 0]),), torch.tensor([1., 2.]), accumulate=True)\ntensor([3., 0., 0.])",
    forms: Forms::ALL,
    forward: |a| written(&a, put),
    vjp: Vjp::Many(|| {
        let rest = |cx: &Cx, v: &[&Tensor]| {
            if cx.args.bool(3)? {
                return Ok(v[0].clone());
            }
            let zero = Tensor::zeros(&[], v[0].dtype())?;
            let indices = indices_of(cx, 1, &v[1..])?;
            call1(Id::INDEX_PUT, &[v[0].into(), indices, zero.into(), false.into()])
        };
        let values =
            |cx: &Cx, v: &[&Tensor]| call1(Id::INDEX, &[v[0].into(), indices_of(cx, 1, &v[1..])?]);
        let from = [X::Grad(0), X::Rest(2)];
        vec![X::verb("rest", rest, &from), X::verb("index", values, &from)]
    }),
    node: "IndexPutBackward0",
};

/// int64 indices from those of int32.
fn integers(index: &Tensor, error: &str) -> Result<Tensor> {
    if !matches!(index.dtype(), DType::I64 | DType::I32) {
        bail!(Runtime, "{error}");
    }
    index.to(DType::I64)
}
