//! Norms and the logarithm of a sum of exponentials.

use super::{DimList, dims_arg, empty_dim, extremum::extremum, reduce, with_dims};
use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Outputs, Structured, call1};
use crate::ops::Id;
use crate::pointwise::{self, Operand, binary};
use crate::promote::{default_dtype, promote};
use crate::value::Args;
use crate::{DType, Result, Scalar, Tensor, Value, bail};
use smallvec::smallvec;
use wengert_kernels::reduce::Op;

fn one(id: Id, t: &Tensor) -> Result<Tensor> {
    pointwise::call(id, &[t.into()])
}

fn number(id: Id, t: &Tensor, n: f64) -> Result<Tensor> {
    pointwise::call(id, &[t.into(), n.into()])
}

/// Zero where the mask is true, `t` elsewhere.
fn zero_where(mask: &Tensor, t: &Tensor) -> Result<Tensor> {
    let zero: Operand = Scalar::Bool(false).into();
    pointwise::call(Id::WHERE, &[mask.into(), zero, t.into()])
}

fn dims_of(cx: &Cx) -> Result<Vec<i64>> {
    let dims = dims_arg(&cx.args, 1, cx.input(0).shape.len())?;
    Ok(dims.into_iter().map(|d| d as i64).collect())
}

pub(crate) const LOGSUMEXP: Structured = Structured {
    schema: "logsumexp(Tensor self, int[1] dim, bool keepdim=False) -> Tensor",
    aliases: &["special_logsumexp"],
    doc: "`log(sum(exp(x)))` over dimensions, without overflow.\n\n>>> torch.logsumexp(torch.tensor([1000., 1000.]), 0)\ntensor(1000.6932)",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        let out = if t.dtype().is_float() { t.dtype() } else { default_dtype() };
        let (dims, keepdim) = (dims_arg(&a, 1, t.ndim())?, a.bool(2)?);
        let x = t.to(super::wide(out))?;
        if x.numel() == 0 {
            let sum = reduce(Op::Sum, &one(Id::EXP, &x)?, &dims, keepdim)?;
            return Ok(smallvec![one(Id::LOG, &sum)?.to(out)?]);
        }
        let max = extremum(Op::Max, &x, &dims, true)?;
        let max = zero_where(&one(Id::ISINF, &max)?, &max)?;
        let sum = reduce(Op::Sum, &one(Id::EXP, &x.sub(&max)?)?, &dims, keepdim)?;
        let max = max.reshape(sum.shape())?;
        Ok(smallvec![one(Id::LOG, &sum)?.add(&max)?.to(out)?])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, v: &[&Tensor]| {
            let share = one(Id::EXP, &v[1].sub(&with_dims(cx, v[2])?)?)?;
            with_dims(cx, v[0])?.mul(&share)
        };
        vec![X::verb("logsumexp_backward", back, &[X::Grad(0), X::In(0), X::Out(0)])]
    }),
    node: "LogsumexpBackward0",
};

/// PyTorch's refusal of a norm that has no value for no elements.
fn check_some(t: &Tensor, p: f64, a: &Args) -> Result<()> {
    if t.numel() != 0 || (p >= 0.0 && p != f64::INFINITY) {
        return Ok(());
    }
    let shown = if p == f64::INFINITY { "inf".to_string() } else { p.to_string() };
    if a.opt_ints(1)?.is_none_or(<[i64]>::is_empty) {
        bail!(
            Runtime,
            "linalg.vector_norm cannot compute the {shown} norm on an empty tensor because the operation does not have an identity"
        );
    }
    match empty_dim(a, 1, t)? {
        None => Ok(()),
        Some(d) => bail!(
            Runtime,
            "linalg.vector_norm cannot compute the {shown} norm on the dimension {d}because this dimension is empty and the operation does not have an identity"
        ),
    }
}

/// The norm of order `p` of a float32 or float64 tensor.
fn norm(x: &Tensor, p: f64, dims: &DimList, keepdim: bool) -> Result<Tensor> {
    let sum = |t: &Tensor| reduce(Op::Sum, t, dims, keepdim);
    Ok(match p {
        2.0 => one(Id::SQRT, &reduce(Op::SumSquares, x, dims, keepdim)?)?,
        1.0 => reduce(Op::SumMagnitudes, x, dims, keepdim)?,
        0.0 => sum(&number(Id::NE, x, 0.0)?.to(x.dtype())?)?,
        f64::INFINITY => extremum(Op::Max, &one(Id::ABS, x)?, dims, keepdim)?,
        f64::NEG_INFINITY => extremum(Op::Min, &one(Id::ABS, x)?, dims, keepdim)?,
        p => {
            let powers = number(Id::POW_NUMBER, &one(Id::ABS, x)?, p)?;
            number(Id::POW_NUMBER, &sum(&powers)?, 1.0 / p)?
        }
    })
}

/// The gradient of the norm, with care where the norm or an element is zero.
fn norm_back(cx: &Cx, v: &[&Tensor]) -> Result<Tensor> {
    let [g, x, y] = v else { bail!(Runtime, "three tensors") };
    let p = cx.args.number(3)?.to_f64();
    let x = &x.to(g.dtype())?;
    let (g, y) = (&with_dims(cx, g)?, &with_dims(cx, y)?);
    let sign = || one(Id::SIGN, x);
    let power = |q: f64| number(Id::POW_NUMBER, &one(Id::ABS, x)?, q);
    let flat = || number(Id::EQ, y, 0.0);
    let scale = || zero_where(&flat()?, &g.div(&number(Id::POW_NUMBER, y, p - 1.0)?)?);
    match p {
        1.0 => sign()?.mul(g),
        2.0 => g.mul(&zero_where(&flat()?, &x.div(y)?)?),
        p if p.is_infinite() => {
            let abs = one(Id::ABS, x)?;
            let (hit, nan) = (binary(Id::EQ, &abs, y)?, one(Id::ISNAN, &abs)?);
            let mask = binary(Id::LOGICAL_OR, &hit, &nan)?;
            let count = if x.ndim() == 0 { mask.clone() } else { mask.sum(&dims_of(cx)?, true)? };
            sign()?.mul(&g.div(&count)?.mul(&mask)?)
        }
        p if p < 1.0 => {
            let slope = zero_where(&number(Id::EQ, x, 0.0)?, &power(p - 1.0)?)?;
            sign()?.mul(&slope)?.mul(g)?.mul(&number(Id::POW_NUMBER, y, 1.0 - p)?)
        }
        p if p < 2.0 => sign()?.mul(&power(p - 1.0)?)?.mul(&scale()?),
        p => x.mul(&power(p - 2.0)?)?.mul(&scale()?),
    }
}

/// PyTorch's refusals of a dtype to compute a norm in.
pub(super) fn check_dtype(name: &str, t: &Tensor, out: DType) -> Result<()> {
    let (from, to) = (t.dtype().scalar_name(), out.scalar_name());
    if !out.is_differentiable() {
        bail!(Runtime, "linalg.{name}: dtype should be floating point or complex, but got {to}");
    }
    if promote(t.dtype(), out) != out {
        bail!(
            Runtime,
            "linalg.{name}: the dtype of the input ({from}) should be convertible without narrowing to the specified dtype ({to})"
        );
    }
    Ok(())
}

fn vector_norm(a: &Args) -> Result<Outputs> {
    let t = a.tensor(0)?;
    if !t.dtype().is_float() {
        bail!(
            Runtime,
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got {}",
            t.dtype().scalar_name()
        );
    }
    let out = a.opt_dtype(4)?.unwrap_or(t.dtype());
    check_dtype("vector_norm", t, out)?;
    let (dims, p) = (dims_arg(a, 1, t.ndim())?, a.number(3)?.to_f64());
    check_some(t, p, a)?;
    let x = t.to(out)?.to(super::wide(out))?;
    Ok(smallvec![norm(&x, p, &dims, a.bool(2)?)?.to(out)?])
}

pub(crate) const VECTOR_NORM: Structured = Structured {
    schema: "_linalg_vector_norm(Tensor self, int[1]? dim, bool keepdim, Scalar ord, ScalarType? dtype) -> Tensor",
    aliases: &[],
    doc: "The norm of an order over dimensions.",
    forms: Forms::HIDDEN,
    forward: |a| vector_norm(&a),
    vjp: Vjp::Many(|| {
        vec![X::verb("norm_backward", norm_back, &[X::Grad(0), X::In(0), X::Out(0)])]
    }),
    node: "LinalgVectorNormBackward0(ord, dim, keepdim)",
};

/// Of order 0: a count, through which no gradient flows.
pub(crate) const NORM_DIM: Structured = Structured {
    schema: "_norm(Tensor self, int[1]? dim, bool keepdim, Scalar p, ScalarType? dtype) -> Tensor",
    node: "NormBackward1(p, dim, keepdim)",
    ..VECTOR_NORM
};

pub(crate) const VECTOR_NORM_0: Structured = Structured {
    schema: "_linalg_vector_norm.zero(Tensor self, int[1]? dim, bool keepdim, Scalar ord, ScalarType? dtype) -> Tensor",
    vjp: Vjp::Many(|| vec![X::None]),
    ..VECTOR_NORM
};

/// The norm of order `p`, the other arguments standing from `dim_at` on.
fn of_order(a: &Args, p: Scalar, dim_at: usize) -> Result<Outputs> {
    let rest = |i: usize| a.get(dim_at + i).clone();
    let id = if p.to_f64() == 0.0 { Id::VECTOR_NORM_0 } else { Id::VECTOR_NORM };
    Ok(smallvec![call1(id, &[a.tensor(0)?.into(), rest(0), rest(1), p.into(), rest(2)])?])
}

pub(crate) const LINALG_VECTOR_NORM: Structured = Structured {
    schema: "linalg_vector_norm(Tensor self, Scalar ord=2, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    aliases: &[],
    doc: "The norm of order `ord` over dimensions: `sum(abs(x) ** ord) ** (1 / ord)`, the largest or smallest absolute value for an infinity, the number of non-zeros for 0.\n\n>>> torch.linalg.vector_norm(torch.tensor([3., 4.]))\ntensor(5.)",
    forms: Forms::LINALG,
    forward: |a| of_order(&a, a.number(1)?, 2),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const NORM: Structured = Structured {
    schema: "norm(Tensor self, Scalar? p=2, int[1]? dim=None, bool keepdim=False, ScalarType? dtype=None) -> Tensor",
    aliases: &[],
    doc: "The norm of order `p` over dimensions (all of them without `dim`).\n\n>>> torch.norm(torch.tensor([3., 4.]))\ntensor(5.)",
    forms: Forms::BOTH,
    forward: |a| of_order(&a, a.opt_number(1)?.unwrap_or(Scalar::Int(2)), 2),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const NORM_NAME: Structured = Structured {
    schema: "norm.name(Tensor self, str p='fro', int[1]? dim=None, bool keepdim=False, ScalarType? dtype=None) -> Tensor",
    forward: |a| {
        let (t, dims) = (a.tensor(0)?, a.opt_ints(2)?);
        if a.str(1)? == "fro" && dims.is_none_or(|d| d.len() <= 2) {
            return of_order(&a, Scalar::Int(2), 2);
        }
        let dims = dims.map_or_else(|| Value::Ints((0..t.ndim() as i64).collect()), Value::from);
        let rest = |i: usize| a.get(i).clone();
        Ok(smallvec![call1(Id::MATRIX_NORM_NAME, &[t.into(), rest(1), dims, rest(3), rest(4)])?])
    },
    ..NORM
};

impl Tensor {
    /// The Euclidean norm of all elements.
    ///
    /// # Errors
    /// RuntimeError for integers.
    pub fn norm(&self) -> Result<Tensor> {
        call1(
            Id::NORM,
            &[self.into(), Scalar::Int(2).into(), Value::None, false.into(), Value::None],
        )
    }
}
