//! Tensors joined along a dimension.

use crate::formula::Vjp;
use crate::op::{Cx, Forms, Structured, call1};
use crate::ops::Id;
use crate::promote::result_type;
use crate::shape::{Shape, show, wrap_dim};
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
