//! Products, and sums that pass NaN over.

use super::{DimList, dims_arg, fold_over, sum_dtype, sum_over, unreduce};
use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Outputs, Structured};
use crate::ops::{Id, scan};
use crate::pointwise;
use crate::value::Args;
use crate::{Result, Scalar, Tensor, Value, bail};
use wengert_kernels::reduce::Op;

/// `g * y / x`; products of all other elements where an element is zero.
fn prod_back(cx: &Cx, v: &[&Tensor]) -> Result<Tensor> {
    let [g, x, y] = v else { bail!(Runtime, "three tensors") };
    let x = x.to(g.dtype())?;
    let wide = unreduce(cx, &[g])?;
    if super::all_true(&x)? {
        return wide.mul(&unreduce(cx, &[y])?.div(&x)?);
    }
    match cx.args.get(1) {
        Value::Int(dim) if x.ndim() > 0 => wide.mul(&scan::others(&x, *dim)?),
        _ => {
            let row = x.reshape(&[x.numel()])?;
            wide.mul(&scan::others(&row, 0)?.reshape(x.shape())?)
        }
    }
}

const PROD_BACK: Vjp =
    Vjp::Many(|| vec![X::verb("prod_backward", prod_back, &[X::Grad(0), X::In(0), X::Out(0)])]);

pub(crate) const PROD: Structured = Structured {
    schema: "prod(Tensor self, *, ScalarType? dtype=None) -> Tensor",
    aliases: &[],
    doc: "Product of all elements.\n\n>>> torch.tensor([2., 3.]).prod()\ntensor(6.)",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        let dims: DimList = (0..t.ndim()).collect();
        fold_over(Op::Prod, t, &dims, false, sum_dtype(&a, 1, t)?)
    },
    vjp: PROD_BACK,
    node: "ProdBackward0()",
};

pub(crate) const PROD_DIM: Structured = Structured {
    schema: "prod.dim_int(Tensor self, int dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    aliases: &[],
    doc: "Products along a dimension.\n\n>>> torch.tensor([[2., 3.], [4., 5.]]).prod(0)\ntensor([ 8., 15.])",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        let dims = dims_arg(&a, 1, t.ndim())?;
        fold_over(Op::Prod, t, &dims, a.bool(2)?, sum_dtype(&a, 3, t)?)
    },
    vjp: PROD_BACK,
    node: "ProdBackward1(dim, keepdim)",
};

fn nansum(a: &Args, dims: &[usize], keepdim: bool, dtype_at: usize) -> Result<Outputs> {
    let t = a.tensor(0)?;
    let dtype = sum_dtype(a, dtype_at, t)?;
    if !t.dtype().is_float() {
        return sum_over(t, dims, keepdim, dtype);
    }
    let nan = pointwise::call(Id::ISNAN, &[t.into()])?;
    let zero = Scalar::Bool(false).into();
    sum_over(&pointwise::call(Id::WHERE, &[(&nan).into(), zero, t.into()])?, dims, keepdim, dtype)
}

const NANSUM_BACK: Vjp = Vjp::Many(|| {
    let g = X::verb("expand", unreduce, &[X::Grad(0)]);
    vec![g * X::In(0).is_nan().not()]
});

pub(crate) const NANSUM: Structured = Structured {
    schema: "nansum(Tensor self, *, ScalarType? dtype=None) -> Tensor",
    aliases: &[],
    doc: "Sum of all elements that are not NaN.\n\n>>> torch.nansum(torch.tensor([1., float('nan'), 2.]))\ntensor(3.)",
    forms: Forms::BOTH,
    forward: |a| {
        let dims: DimList = (0..a.tensor(0)?.ndim()).collect();
        nansum(&a, &dims, false, 1)
    },
    vjp: NANSUM_BACK,
    node: "NansumBackward0(dim=None, keepdim=False)",
};

pub(crate) const NANSUM_DIM: Structured = Structured {
    schema: "nansum.dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    aliases: &[],
    doc: "Sums over dimensions of the elements that are not NaN.\n\n>>> torch.nansum(torch.tensor([[1., float('nan')], [2., 3.]]), 1)\ntensor([1., 5.])",
    forms: Forms::BOTH,
    forward: |a| {
        let dims = dims_arg(&a, 1, a.tensor(0)?.ndim())?;
        nansum(&a, &dims, a.bool(2)?, 3)
    },
    vjp: NANSUM_BACK,
    node: "NansumBackward0(dim, keepdim)",
};
