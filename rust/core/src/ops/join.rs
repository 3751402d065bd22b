//! Tensors joined along a dimension.

use crate::formula::Vjp;
use crate::op::{Cx, Forms, Structured, call1};
use crate::ops::Id;
use crate::promote::result_type;
use crate::shape::{Shape, show, wrap_dim};
use crate::value::Args;
use crate::{Result, Tensor, Value, bail, pointwise};
use smallvec::smallvec;

pub(crate) const CAT: Structured = Structured {
    schema: "cat(Tensor[] tensors, int dim=0) -> Tensor",
    aliases: &["concat", "concatenate"],
    doc: "Tensors joined along an existing dimension. Empty vectors are passed over.\n\n>>> torch.cat([torch.ones(1), torch.zeros(2)])\ntensor([1., 0., 0.])",
    forms: Forms::FUNCTION,
    forward: |a| {
        let (list, dim) = (a.tensors(0)?, a.int(1)?);
        if list.is_empty() {
            bail!(Value, "torch.cat(): expected a non-empty list of Tensors");
        }
        if let Some(i) = list.iter().position(|t| t.ndim() == 0) {
            bail!(Runtime, "zero-dimensional tensor (at position {i}) cannot be concatenated");
        }
        let refs: Vec<&Tensor> = list.iter().collect();
        let dtype = result_type(&refs);
        let skipped = |t: &Tensor| t.shape() == [0];
        let Some(first) = list.iter().find(|t| !skipped(t)) else {
            return Ok(smallvec![Tensor::empty(&[0], dtype)?]);
        };
        let d = wrap_dim(dim, first.ndim())?;
        let mut shape = Shape::from_slice(first.shape());
        shape[d] = 0;
        for (i, t) in list.iter().enumerate().filter(|(_, t)| !skipped(t)) {
            check_shapes(first, t, d, i)?;
            shape[d] += t.shape()[d];
        }
        let out = Tensor::empty(&shape, dtype)?;
        let mut at = 0;
        for t in list.iter().filter(|t| !skipped(t)) {
            let n = t.shape()[d] as i64;
            let l = super::slice::slice_layout(out.layout(), d as i64, Some(at), Some(at + n), 1)?;
            pointwise::copy(t, &out.alias(l))?;
            at += n;
        }
        Ok(smallvec![out])
    },
    vjp: Vjp::Each(|cx, g, i| {
        let shape = |k: usize| &cx.input(k).shape;
        if shape(i).as_slice() == [0] {
            return Tensor::zeros(&[0], cx.input(i).dtype);
        }
        let d = wrap_dim(cx.args.int(1)?, g.ndim())?;
        let size = |k: usize| if shape(k).as_slice() == [0] { 0 } else { shape(k)[d] };
        let start: usize = (0..i).map(size).sum();
        g.slice(d as i64, Some(start as i64), Some((start + size(i)) as i64), 1)
    }),
    node: "CatBackward0",
};

fn check_shapes(first: &Tensor, t: &Tensor, d: usize, i: usize) -> Result<()> {
    if t.ndim() != first.ndim() {
        bail!(
            Runtime,
            "Tensors must have same number of dimensions: got {} and {}",
            first.ndim(),
            t.ndim()
        );
    }
    for k in (0..t.ndim()).filter(|&k| k != d) {
        if t.shape()[k] != first.shape()[k] {
            bail!(
                Runtime,
                "Sizes of tensors must match except in dimension {d}. Expected size {} but got size {} for tensor number {i} in the list.",
                first.shape()[k],
                t.shape()[k]
            );
        }
    }
    Ok(())
}

pub(crate) const STACK: Structured = Structured {
    schema: "stack(Tensor[] tensors, int dim=0) -> Tensor",
    aliases: &[],
    doc: "Tensors of one shape joined along a new dimension.\n\n>>> torch.stack([torch.ones(2), torch.zeros(2)])\ntensor([[1., 1.],\n        [0., 0.]])",
    forms: Forms::FUNCTION,
    forward: |a| {
        let (list, dim) = (a.tensors(0)?, a.int(1)?);
        let Some(first) = list.first() else {
            bail!(Runtime, "stack expects a non-empty TensorList");
        };
        let d = wrap_dim(dim, first.ndim() + 1)? as i64;
        let mut rows = Vec::with_capacity(list.len());
        for (i, t) in list.iter().enumerate() {
            if t.shape() != first.shape() {
                bail!(
                    Runtime,
                    "stack expects each tensor to be equal size, but got {} at entry 0 and {} at entry {i}",
                    show(first.shape()),
                    show(t.shape())
                );
            }
            rows.push(t.unsqueeze(d)?);
        }
        Ok(smallvec![cat(&rows, d)?])
    },
    vjp: Vjp::Each(|cx, g, i| g.select(cx.args.int(1)?, i as i64)),
    node: "StackBackward0",
};

/// The tensors of a call, each with a least number of dimensions: new ones before the others, but
/// the third behind.
fn at_least(a: &Args, name: &str, n: usize) -> Result<Vec<Tensor>> {
    let list = a.tensors(0)?;
    if list.is_empty() {
        bail!(Runtime, "{name} expects a non-empty TensorList");
    }
    let widen = |t: &Tensor| {
        let mut t = t.clone();
        while t.ndim() < n {
            t = t.unsqueeze(if t.ndim() == 2 { -1 } else { 0 })?;
        }
        Ok(t)
    };
    list.iter().map(widen).collect()
}

pub(crate) const HSTACK: Structured = Structured {
    schema: "hstack(Tensor[] tensors) -> Tensor",
    aliases: &[],
    doc: "Tensors joined side by side: along the second dimension, vectors along their only one.\n\n>>> torch.hstack([torch.ones(1), torch.zeros(2)])\ntensor([1., 0., 0.])",
    forms: Forms::FUNCTION,
    forward: |a| {
        let list = at_least(&a, "hstack", 1)?;
        Ok(smallvec![cat(&list, if list[0].ndim() == 1 { 0 } else { 1 })?])
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const VSTACK: Structured = Structured {
    schema: "vstack(Tensor[] tensors) -> Tensor",
    aliases: &["row_stack"],
    doc: "Tensors joined along the first dimension; vectors are rows.\n\n>>> torch.vstack([torch.ones(2), torch.zeros(2)])\ntensor([[1., 1.],\n        [0., 0.]])",
    forward: |a| Ok(smallvec![cat(&at_least(&a, "vstack", 2)?, 0)?]),
    ..HSTACK
};

pub(crate) const DSTACK: Structured = Structured {
    schema: "dstack(Tensor[] tensors) -> Tensor",
    doc: "Tensors joined along the third dimension.\n\n>>> torch.dstack([torch.ones(2), torch.zeros(2)])\ntensor([[[1., 0.],\n         [1., 0.]]])",
    forward: |a| Ok(smallvec![cat(&at_least(&a, "dstack", 3)?, 2)?]),
    ..HSTACK
};

pub(crate) const COLUMN_STACK: Structured = Structured {
    schema: "column_stack(Tensor[] tensors) -> Tensor",
    doc: "Tensors joined along the second dimension; vectors are columns.\n\n>>> torch.column_stack([torch.ones(2), torch.zeros(2)])\ntensor([[1., 0.],\n        [1., 0.]])",
    forward: |a| {
        let mut list = at_least(&a, "column_stack", 1)?;
        for t in list.iter_mut().filter(|t| t.ndim() == 1) {
            *t = t.unsqueeze(1)?;
        }
        Ok(smallvec![cat(&list, 1)?])
    },
    ..HSTACK
};

/// Joined along an existing dimension.
pub(crate) fn cat(list: &[Tensor], dim: i64) -> Result<Tensor> {
    call1(Id::CAT, &[Value::Tensors(list.to_vec()), dim.into()])
}

/// Joined along a new dimension.
pub(crate) fn stack(list: &[Tensor], dim: i64) -> Result<Tensor> {
    call1(Id::STACK, &[Value::Tensors(list.to_vec()), dim.into()])
}

/// Gradients of all outputs, zeros for those that have none.
pub(crate) fn filled(cx: &Cx, grads: &[Option<Tensor>]) -> Result<Vec<Tensor>> {
    let one = |(k, m): (usize, &crate::tape::Meta)| match grads.get(k) {
        Some(Some(g)) => Ok(g.clone()),
        _ => Tensor::zeros(&m.shape, m.dtype),
    };
    cx.outputs.iter().enumerate().map(one).collect()
}
