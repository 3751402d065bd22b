//! Maxima and minima: their values, their places, their gradients.

use super::{DimList, arg_reduce, dims_arg, empty_dim, reduce, with_dims};
use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Outputs, Structured, call1};
use crate::ops::{Id, index};
use crate::pointwise::{self, binary};
use crate::shape::wrap_dim;
use crate::value::Args;
use crate::{DType, Result, Scalar, Tensor, bail};
use smallvec::smallvec;
use wengert_kernels::reduce::{Extremum, Op};

/// PyTorch's refusal of extrema of nothing.
fn check_some(name: &str, t: &Tensor, dims: &[usize]) -> Result<()> {
    match dims.iter().find(|&&d| t.shape()[d] == 0) {
        Some(d) => bail!(Index, "{name}(): Expected reduction dim {d} to have non-zero size."),
        None => Ok(()),
    }
}

fn check_some_at_all(name: &str, t: &Tensor) -> Result<()> {
    if t.numel() == 0 {
        bail!(
            Runtime,
            "{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument."
        );
    }
    Ok(())
}

fn check_real(name: &str, t: &Tensor) -> Result<()> {
    if t.dtype().is_complex() {
        bail!(NotImplemented, "\"{name}\" not implemented for '{}'", t.dtype().scalar_name());
    }
    Ok(())
}

/// Half precision is compared as float32, which holds all its values.
fn comparable(t: &Tensor) -> Result<Tensor> {
    t.to(if t.dtype().is_float() { super::wide(t.dtype()) } else { t.dtype() })
}

/// The extremum over `dims`, NaN if there is one.
pub(crate) fn extremum(op: Op, t: &Tensor, dims: &[usize], keepdim: bool) -> Result<Tensor> {
    reduce(op, &comparable(t)?, dims, keepdim)?.to(t.dtype())
}

fn everywhere(t: &Tensor) -> DimList {
    (0..t.ndim()).collect()
}

fn full(op: Op, name: &str, t: &Tensor) -> Result<Outputs> {
    check_real(&format!("{name}_all"), t)?;
    check_some_at_all(name, t)?;
    Ok(smallvec![extremum(op, t, &everywhere(t), false)?])
}

/// The gradient shared by all elements that equal the result (by the NaNs, if it is NaN).
fn share_all(_cx: &Cx, v: &[&Tensor]) -> Result<Tensor> {
    let [g, x, y] = v else { bail!(Runtime, "three tensors") };
    let nan = y.detach().to(DType::F64)?.item()?.to_f64().is_nan();
    let mask =
        if nan { pointwise::call(Id::ISNAN, &[(*x).into()])? } else { binary(Id::EQ, x, y)? };
    let share = g.div(&mask.sum_all()?)?;
    pointwise::call(Id::WHERE, &[(&mask).into(), (&share).into(), Scalar::Bool(false).into()])
}

pub(crate) const SHARE_ALL: Vjp =
    Vjp::Many(|| vec![X::verb("share", share_all, &[X::Grad(0), X::In(0), X::Out(0)])]);

pub(crate) const MAX: Structured = Structured {
    schema: "max(Tensor self) -> Tensor",
    aliases: &[],
    doc: "The largest element; NaN if there is one. Ties share the gradient.\n\n>>> torch.tensor([1., 5., 2.]).max()\ntensor(5.)",
    forms: Forms::BOTH,
    forward: |a| full(Op::Max, "max", a.tensor(0)?),
    vjp: SHARE_ALL,
    node: "MaxBackward1",
};

pub(crate) const MIN: Structured = Structured {
    schema: "min(Tensor self) -> Tensor",
    aliases: &[],
    doc: "The smallest element; NaN if there is one. Ties share the gradient.\n\n>>> torch.tensor([1., 5., 2.]).min()\ntensor(1.)",
    forms: Forms::BOTH,
    forward: |a| full(Op::Min, "min", a.tensor(0)?),
    vjp: SHARE_ALL,
    node: "MinBackward1",
};

fn along(which: Extremum, name: &str, a: &Args) -> Result<Outputs> {
    let t = a.tensor(0)?;
    check_real(name, t)?;
    let dims = dims_arg(a, 1, t.ndim())?;
    check_some(name, t, &dims)?;
    let (values, indices) = arg_reduce(which, &comparable(t)?, &dims, a.bool(2)?)?;
    Ok(smallvec![values.to(t.dtype())?, indices])
}

/// The gradient goes where each value came from.
pub(crate) fn to_source(cx: &Cx, v: &[&Tensor]) -> Result<Tensor> {
    let [g, indices] = v else { bail!(Runtime, "two tensors") };
    let shape = &cx.input(0).shape;
    let dim = wrap_dim(cx.args.int(1)?, shape.len())? as i64;
    let (g, indices) = (with_dims(cx, g)?, with_dims(cx, &indices.detach())?);
    index::spread(&g, &indices, dim, shape)
}

const TO_SOURCE: Vjp =
    Vjp::Many(|| vec![X::verb("to_source", to_source, &[X::Grad(0), X::Out(1)])]);

pub(crate) const MAX_DIM: Structured = Structured {
    schema: "max.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
    aliases: &[],
    doc: "The largest elements along a dimension, and where each first occurs; that element gets the gradient.\n\n>>> torch.tensor([[1., 5.], [7., 2.]]).max(1).indices\ntensor([1, 0])",
    forms: Forms::BOTH,
    forward: |a| along(Extremum::Max, "max", &a),
    vjp: TO_SOURCE,
    node: "MaxBackward0(dim, keepdim, self_sym_sizes)",
};

pub(crate) const MIN_DIM: Structured = Structured {
    schema: "min.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
    aliases: &[],
    doc: "The smallest elements along a dimension, and where each first occurs; that element gets the gradient.\n\n>>> torch.tensor([[1., 5.], [7., 2.]]).min(1).indices\ntensor([0, 1])",
    forms: Forms::BOTH,
    forward: |a| along(Extremum::Min, "min", &a),
    vjp: TO_SOURCE,
    node: "MinBackward0(dim, keepdim, self_sym_sizes)",
};

pub(crate) const MAX_OTHER: Structured = Structured {
    schema: "max.other(Tensor self, Tensor other) -> Tensor",
    aliases: &[],
    doc: "The larger of both, as `maximum`.\n\n>>> torch.max(torch.tensor([1., 5.]), torch.tensor([3., 4.]))\ntensor([3., 5.])",
    forms: Forms::BOTH,
    forward: |a| Ok(smallvec![binary(Id::MAXIMUM, a.tensor(0)?, a.tensor(1)?)?]),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const MIN_OTHER: Structured = Structured {
    schema: "min.other(Tensor self, Tensor other) -> Tensor",
    aliases: &[],
    doc: "The smaller of both, as `minimum`.\n\n>>> torch.min(torch.tensor([1., 5.]), torch.tensor([3., 4.]))\ntensor([1., 4.])",
    forms: Forms::BOTH,
    forward: |a| Ok(smallvec![binary(Id::MINIMUM, a.tensor(0)?, a.tensor(1)?)?]),
    vjp: Vjp::Composed,
    node: "",
};

fn over(op: Op, name: &str, a: &Args) -> Result<Outputs> {
    let t = a.tensor(0)?;
    check_real(name, t)?;
    let dims = dims_arg(a, 1, t.ndim())?;
    if a.opt_ints(1)?.is_none_or(<[i64]>::is_empty) {
        check_some_at_all(name, t)?;
    }
    if let Some(d) = empty_dim(a, 1, t)? {
        bail!(Index, "{name}(): Expected reduction dim {d} to have non-zero size.");
    }
    Ok(smallvec![extremum(op, t, &dims, a.bool(2)?)?])
}

/// The gradient shared by the elements that equal their result.
fn shared(cx: &Cx, g: &Tensor, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let mask = binary(Id::EQ, &with_dims(cx, y)?, x)?;
    let dims: Vec<i64> = dims_arg(&cx.args, 1, x.ndim())?.into_iter().map(|d| d as i64).collect();
    let count = if x.ndim() == 0 { mask.clone() } else { mask.sum(&dims, true)? };
    with_dims(cx, g)?.mul(&mask)?.div(&count)
}

fn share(cx: &Cx, v: &[&Tensor]) -> Result<Tensor> {
    let [g, x, y] = v else { bail!(Runtime, "three tensors") };
    shared(cx, g, x, y)
}

const SHARE: Vjp = Vjp::Many(|| vec![X::verb("share", share, &[X::Grad(0), X::In(0), X::Out(0)])]);

pub(crate) const AMAX: Structured = Structured {
    schema: "amax(Tensor self, int[1]? dim=[], bool keepdim=False) -> Tensor",
    aliases: &[],
    doc: "The largest elements over dimensions (all of them if `dim` is empty). Ties share the gradient.\n\n>>> torch.tensor([[1., 5.], [7., 2.]]).amax(0)\ntensor([7., 5.])",
    forms: Forms::BOTH,
    forward: |a| over(Op::Max, "amax", &a),
    vjp: SHARE,
    node: "AmaxBackward0",
};

pub(crate) const AMIN: Structured = Structured {
    schema: "amin(Tensor self, int[1]? dim=[], bool keepdim=False) -> Tensor",
    aliases: &[],
    doc: "The smallest elements over dimensions (all of them if `dim` is empty). Ties share the gradient.\n\n>>> torch.tensor([[1., 5.], [7., 2.]]).amin(0)\ntensor([1., 2.])",
    forms: Forms::BOTH,
    forward: |a| over(Op::Min, "amin", &a),
    vjp: SHARE,
    node: "AminBackward0",
};

fn place(which: Extremum, name: &str, a: &Args) -> Result<Outputs> {
    let t = a.tensor(0)?;
    if t.dtype() == DType::Bool || t.dtype().is_complex() {
        let what = if t.dtype() == DType::Bool { "bool" } else { "complex" };
        bail!(Runtime, "{name}(): does not support {what} input");
    }
    let dims = dims_arg(a, 1, t.ndim())?;
    if a.opt_int(1)?.is_none() && t.numel() == 0 {
        bail!(
            Index,
            "{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument."
        );
    }
    check_some(name, t, &dims)?;
    Ok(smallvec![arg_reduce(which, &comparable(t)?, &dims, a.bool(2)?)?.1])
}

pub(crate) const ARGMAX: Structured = Structured {
    schema: "argmax(Tensor self, int? dim=None, bool keepdim=False) -> Tensor",
    aliases: &[],
    doc: "Where the largest element first occurs: along a dimension, or counted through all elements.\n\n>>> torch.tensor([[1., 5.], [7., 2.]]).argmax()\ntensor(2)",
    forms: Forms::BOTH,
    forward: |a| place(Extremum::Max, "argmax", &a),
    vjp: Vjp::None,
    node: "ArgmaxBackward0",
};

pub(crate) const ARGMIN: Structured = Structured {
    schema: "argmin(Tensor self, int? dim=None, bool keepdim=False) -> Tensor",
    aliases: &[],
    doc: "Where the smallest element first occurs: along a dimension, or counted through all elements.\n\n>>> torch.tensor([[1., 5.], [7., 2.]]).argmin()\ntensor(0)",
    forms: Forms::BOTH,
    forward: |a| place(Extremum::Min, "argmin", &a),
    vjp: Vjp::None,
    node: "ArgminBackward0",
};

/// Each side of `aminmax` as if it were alone.
fn share_both(cx: &Cx, v: &[&Tensor]) -> Result<Tensor> {
    let [g_min, g_max, x, min, max] = v else { bail!(Runtime, "five tensors") };
    shared(cx, g_min, x, min)?.add(&shared(cx, g_max, x, max)?)
}

pub(crate) const AMINMAX: Structured = Structured {
    schema: "aminmax(Tensor self, *, int? dim=None, bool keepdim=False) -> (Tensor min, Tensor max)",
    aliases: &[],
    doc: "The smallest and the largest element, of all or along a dimension.\n\n>>> torch.aminmax(torch.tensor([3., 1., 2.])).max\ntensor(3.)",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        let dims = dims_arg(&a, 1, t.ndim())?;
        if a.opt_int(1)?.is_none() && t.numel() == 0 {
            bail!(
                Runtime,
                "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."
            );
        }
        if let Some(d) = dims.iter().find(|&&d| t.shape()[d] == 0) {
            bail!(Index, "aminmax: Expected reduction dim {d} to have non-zero size.");
        }
        let side = |op| extremum(op, t, &dims, a.bool(2)?);
        Ok(smallvec![side(Op::Min)?, side(Op::Max)?])
    },
    vjp: Vjp::Many(|| {
        let reads = [X::Grad(0), X::Grad(1), X::In(0), X::Out(0), X::Out(1)];
        vec![X::verb("share", share_both, &reads)]
    }),
    node: "AminmaxBackward0",
};

impl Tensor {
    /// The largest element.
    ///
    /// # Errors
    /// RuntimeError if there is none.
    pub fn max_all(&self) -> Result<Tensor> {
        call1(Id::MAX, &[self.into()])
    }
}
