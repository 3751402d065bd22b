//! Reductions of truth values.

use super::{DimList, dims_arg, reduce};
use crate::formula::Vjp;
use crate::op::{Forms, Outputs, Structured};
use crate::ops::Id;
use crate::value::Args;
use crate::{DType, Result, Tensor, pointwise};
use smallvec::smallvec;
use wengert_kernels::reduce::Op;

/// `any` or `all` over `dims`; uint8 stays uint8, as in PyTorch.
fn truth(op: Op, t: &Tensor, dims: &[usize], keepdim: bool) -> Result<Outputs> {
    let out = reduce(op, t, dims, keepdim)?;
    Ok(smallvec![if t.dtype() == DType::U8 { out.to(DType::U8)? } else { out }])
}

fn everywhere(op: Op, a: &Args) -> Result<Outputs> {
    let t = a.tensor(0)?;
    truth(op, t, &(0..t.ndim()).collect::<DimList>(), false)
}

/// Unlike other reductions, an empty tuple of dimensions reduces none.
fn along(op: Op, a: &Args) -> Result<Outputs> {
    let t = a.tensor(0)?;
    let none = matches!(a.get(1), crate::Value::Ints(d) if d.is_empty());
    let dims = if none { DimList::new() } else { dims_arg(a, 1, t.ndim())? };
    truth(op, t, &dims, a.bool(2)?)
}

pub(crate) const ANY: Structured = Structured {
    schema: "any(Tensor self) -> Tensor",
    aliases: &[],
    doc: "True if an element is not zero.\n\n>>> torch.tensor([0., 2.]).any()\ntensor(True)",
    forms: Forms::BOTH,
    forward: |a| everywhere(Op::Any, &a),
    vjp: Vjp::None,
    node: "AnyBackward0",
};

pub(crate) const ANY_DIM: Structured = Structured {
    schema: "any.dim(Tensor self, int dim, bool keepdim=False) -> Tensor",
    aliases: &[],
    doc: "True where an element along a dimension is not zero.\n\n>>> torch.tensor([[0., 2.], [0., 0.]]).any(1)\ntensor([ True, False])",
    forms: Forms::BOTH,
    forward: |a| along(Op::Any, &a),
    vjp: Vjp::None,
    node: "AnyBackward1",
};

pub(crate) const ANY_DIMS: Structured = Structured {
    schema: "any.dims(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor",
    aliases: &[],
    doc: "True where an element over several dimensions is not zero.\n\n>>> torch.tensor([[0., 2.], [0., 0.]]).any((0, 1))\ntensor(True)",
    forms: Forms::BOTH,
    forward: |a| along(Op::Any, &a),
    vjp: Vjp::None,
    node: "AnyBackward2",
};

pub(crate) const ALL: Structured = Structured {
    schema: "all(Tensor self) -> Tensor",
    aliases: &[],
    doc: "True if no element is zero.\n\n>>> torch.tensor([0., 2.]).all()\ntensor(False)",
    forms: Forms::BOTH,
    forward: |a| everywhere(Op::All, &a),
    vjp: Vjp::None,
    node: "AllBackward0",
};

pub(crate) const ALL_DIM: Structured = Structured {
    schema: "all.dim(Tensor self, int dim, bool keepdim=False) -> Tensor",
    aliases: &[],
    doc: "True where no element along a dimension is zero.\n\n>>> torch.tensor([[1., 2.], [0., 0.]]).all(1)\ntensor([ True, False])",
    forms: Forms::BOTH,
    forward: |a| along(Op::All, &a),
    vjp: Vjp::None,
    node: "AllBackward1",
};

pub(crate) const ALL_DIMS: Structured = Structured {
    schema: "all.dims(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor",
    aliases: &[],
    doc: "True where no element over several dimensions is zero.\n\n>>> torch.tensor([[1., 2.], [0., 0.]]).all((0, 1))\ntensor(False)",
    forms: Forms::BOTH,
    forward: |a| along(Op::All, &a),
    vjp: Vjp::None,
    node: "AllBackward2",
};

fn count(a: &Args) -> Result<Outputs> {
    let t = a.tensor(0)?;
    let dims = dims_arg(a, 1, t.ndim())?;
    let truth = pointwise::call(Id::NE, &[t.into(), 0i64.into()])?;
    Ok(smallvec![reduce(Op::Sum, &truth.to(DType::I64)?, &dims, false)?])
}

pub(crate) const COUNT_NONZERO: Structured = Structured {
    schema: "count_nonzero(Tensor self, int? dim=None) -> Tensor",
    aliases: &[],
    doc: "How many elements are not zero, in all or along a dimension.\n\n>>> torch.count_nonzero(torch.tensor([0., 2., 3.]))\ntensor(2)",
    forms: Forms::BOTH,
    forward: |a| count(&a),
    vjp: Vjp::None,
    node: "CountNonzeroBackward0",
};

pub(crate) const COUNT_NONZERO_DIMS: Structured = Structured {
    schema: "count_nonzero.dim_IntList(Tensor self, int[] dim) -> Tensor",
    aliases: &[],
    doc: "How many elements are not zero, over several dimensions.\n\n>>> torch.count_nonzero(torch.ones(2, 3), (0, 1))\ntensor(6)",
    forms: Forms::BOTH,
    forward: |a| count(&a),
    vjp: Vjp::None,
    node: "CountNonzeroBackward1",
};
