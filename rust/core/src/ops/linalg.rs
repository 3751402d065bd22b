//! The singular value decomposition of matrices.

use crate::formula::{Vjp, X};
use crate::mode::grad_enabled;
use crate::op::{Cx, Forms, Outputs, Structured, call, call1};
use crate::ops::Id;
use crate::shape::{Shape, contiguous_strides};
use crate::value::Args;
use crate::{DType, Result, Tensor, Value, bail, forward, pointwise};
use smallvec::smallvec;
use wengert_kernels::svd::{Fault, Vectors, svd};

/// The sizes of a tensor of matrices: those of the batch, rows and columns.
fn sizes(t: &Tensor) -> Result<(&[usize], usize, usize)> {
    let [batch @ .., m, n] = t.shape() else {
        bail!(Runtime, "linalg.svd: The input tensor A must have at least 2 dimensions.");
    };
    Ok((batch, *m, *n))
}

fn check(t: &Tensor, driver: Option<&str>) -> Result<()> {
    sizes(t)?;
    let name = t.dtype().scalar_name();
    if !t.dtype().is_differentiable() {
        bail!(
            Runtime,
            "linalg.svd: Expected a floating point or complex tensor as input. Got {name}"
        );
    }
    if driver.is_some() {
        bail!(
            Runtime,
            "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER backend."
        );
    }
    if !matches!(t.dtype(), DType::F32 | DType::F64) {
        bail!(NotImplemented, "\"linalg_svd_cpu\" not implemented for '{name}'");
    }
    Ok(())
}

/// PyTorch's sentence for matrix number `i`, if it is one of a batch.
fn failed<T>(fault: Fault, i: usize, batched: bool) -> Result<T> {
    let which = if batched { format!("(Batch element {i}): ") } else { String::new() };
    let why = match fault {
        Fault::Nan => "contained non-finite values.",
        Fault::NoConvergence => "is ill-conditioned or has too many repeated singular values.",
    };
    bail!(
        LinAlg,
        "linalg.svd: {which}The algorithm failed to converge because the input matrix {why}"
    )
}

/// Matrices with each column in one piece, as LAPACK and PyTorch leave them.
fn column_major(t: &Tensor, dtype: DType) -> Result<Tensor> {
    let last = t.ndim() - 1;
    let mut shape = Shape::from_slice(t.shape());
    shape.swap(last - 1, last);
    let mut strides = contiguous_strides(&shape);
    strides.swap(last - 1, last);
    shape.swap(last - 1, last);
    let out = Tensor::empty_strided(shape, strides, dtype)?;
    pointwise::copy(t, &out)?;
    Ok(out)
}

fn decompose(a: &Args) -> Result<Outputs> {
    let (t, full, vectors) = (a.tensor(0)?, a.bool(1)?, a.bool(2)?);
    check(t, a.opt_str(3)?)?;
    let (batch, m, n) = sizes(t)?;
    let (k, count) = (m.min(n), batch.iter().product());
    let vectors = match (vectors, full) {
        (false, _) => Vectors::None,
        (true, false) => Vectors::Thin,
        (true, true) => Vectors::Full,
    };
    let numbers = t.detach().to(DType::F64)?.contiguous()?.to_vec::<f64>()?;
    let (mut u, mut s, mut v) = (Vec::new(), Vec::new(), Vec::new());
    for (i, found) in svd(&numbers, count, (m, n), vectors).into_iter().enumerate() {
        let one = found.or_else(|fault| failed(fault, i, !batch.is_empty()))?;
        u.extend(one.u);
        s.extend(one.s);
        v.extend(one.v);
    }
    let shaped = |values: &[f64], sizes: &[usize]| {
        Tensor::from_slice(values).reshape(&[batch, sizes].concat())
    };
    let s = shaped(&s, &[k])?.fresh_copy(t.dtype())?;
    if vectors == Vectors::None {
        let none = || Tensor::empty(&[0], t.dtype());
        return Ok(smallvec![none()?, s, none()?]);
    }
    let u = shaped(&u, &[vectors.count(m, k), m])?.transpose(-2, -1)?;
    let vh = shaped(&v, &[vectors.count(n, k), n])?;
    Ok(smallvec![column_major(&u, t.dtype())?, s, column_major(&vh, t.dtype())?])
}

/// The gradient of the thin decomposition (J. Townsend, Differentiating the Singular Value
/// Decomposition, 2016), with `E[i, j] = s[j]² - s[i]²` off its diagonal and 1 on it:
///
/// ```text
/// U [skew(Uᵀ gU) / E diag(s) + diag(s) skew(Vᵀ gV) / E + diag(gS)] Vᵀ
///   + (I - U Uᵀ) gU diag(1/s) Vᵀ + U diag(1/s) gVᵀ (I - V Vᵀ)
/// ```
fn svd_back(cx: &Cx, v: &[&Tensor]) -> Result<Tensor> {
    let [gu, gs, gvh, u, s, vh] = v else { bail!(Runtime, "six tensors") };
    let (k, [.., m, n]) = (s.shape()[s.ndim() - 1], cx.input(0).shape.as_slice()) else {
        bail!(Runtime, "a matrix")
    };
    let first = |t: &Tensor, dim: i64| t.slice(dim, Some(0), Some(k as i64), 1);
    let (gu, u) = (&first(gu, -1)?, &first(u, -1)?);
    let (gvh, vh) = (&first(gvh, -2)?, &first(vh, -2)?);
    // Along rows (of U, of the inner matrix), and along columns.
    let (row, column) = (|t: &Tensor| t.unsqueeze(-2), |t: &Tensor| t.unsqueeze(-1));
    let [with_u, with_s, with_v] = [0, 1, 2].map(|i| cx.given & (1 << i) != 0);
    if !with_u && !with_v {
        // Nothing is divided by: singular values may be equal, or zero.
        return u.mul(&row(gs)?)?.matmul(vh);
    }
    let eye = Tensor::eye(k, k, s.dtype())?;
    let squares = s.mul(s)?;
    let e = row(&squares)?.sub(&column(&squares)?)?.add(&eye)?;
    let skew = |x: &Tensor| x.sub(&x.transpose(-2, -1)?)?.div(&e);
    let (ut, v) = (u.transpose(-2, -1)?, vh.transpose(-2, -1)?);
    let mut inner = Vec::new();
    let mut outer = Vec::new();
    if with_u {
        inner.push(skew(&ut.matmul(gu)?)?.mul(&row(s)?)?);
        if *m > k {
            let g = gu.div(&row(s)?)?;
            outer.push(g.sub(&u.matmul(&ut.matmul(&g)?)?)?.matmul(vh)?);
        }
    }
    if with_v {
        inner.push(skew(&vh.matmul(&gvh.transpose(-2, -1)?)?)?.mul(&column(s)?)?);
        if *n > k {
            let g = gvh.div(&column(s)?)?;
            outer.push(u.matmul(&g.sub(&g.matmul(&v)?.matmul(vh)?)?)?);
        }
    }
    if with_s {
        inner.push(column(gs)?.mul(&eye)?);
    }
    let total = |terms: Vec<Tensor>| terms.into_iter().map(Ok).reduce(|a, b| a?.add(&b?));
    let inner = total(inner).unwrap_or_else(|| Tensor::zeros(&[k, k], s.dtype()))?;
    outer.push(u.matmul(&inner)?.matmul(vh)?);
    total(outer).unwrap_or_else(|| bail!(Runtime, "no gradient"))
}

pub(crate) const SVD_PARTS: Structured = Structured {
    schema: "_linalg_svd(Tensor A, bool full_matrices=False, bool compute_uv=True, *, str? driver=None) -> (Tensor U, Tensor S, Tensor Vh)",
    aliases: &[],
    doc: "The singular value decomposition; without vectors those are empty.",
    forms: Forms::HIDDEN,
    forward: |a| decompose(&a),
    vjp: Vjp::Many(|| {
        let reads = [X::Grad(0), X::Grad(1), X::Grad(2), X::Out(0), X::Out(1), X::Out(2)];
        vec![X::verb("svd_backward", svd_back, &reads)]
    }),
    node: "LinalgSvdBackward0(full_matrices, S_sym_argsize_minus_1)",
};

fn parts(t: &Tensor, full: bool, vectors: bool, driver: &Value) -> Result<Outputs> {
    call(Id::SVD_PARTS, &[t.into(), full.into(), vectors.into(), driver.clone()])
}

pub(crate) const LINALG_SVD: Structured = Structured {
    schema: "linalg_svd(Tensor A, bool full_matrices=True, *, str? driver=None) -> (Tensor U, Tensor S, Tensor Vh)",
    aliases: &[],
    doc: "The singular value decomposition `A = U @ diag(S) @ Vh` of matrices: U and Vh orthogonal, S in descending order. Without `full_matrices` only as many vectors as singular values.\n\n>>> torch.linalg.svd(torch.tensor([[3., 0.], [0., -4.]])).S\ntensor([4., 3.])",
    forms: Forms::LINALG,
    forward: |a| parts(a.tensor(0)?, a.bool(1)?, true, a.get(2)),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const SVDVALS: Structured = Structured {
    schema: "linalg_svdvals(Tensor A, *, str? driver=None) -> Tensor",
    aliases: &[],
    doc: "The singular values of matrices, in descending order.\n\n>>> torch.linalg.svdvals(torch.tensor([[3., 0.], [0., -4.]]))\ntensor([4., 3.])",
    forms: Forms::LINALG,
    forward: |a| {
        let t = a.tensor(0)?;
        // Derivatives need the vectors.
        let vectors = forward::active() || (grad_enabled() && t.requires_grad());
        Ok(smallvec![parts(t, false, vectors, a.get(1))?.swap_remove(1)])
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const SVD: Structured = Structured {
    schema: "svd(Tensor self, bool some=True, bool compute_uv=True) -> (Tensor U, Tensor S, Tensor V)",
    aliases: &[],
    doc: "As `linalg.svd`, with V instead of its transpose, and zeros for vectors not wanted.\n\n>>> torch.svd(torch.tensor([[3., 0.], [0., -4.]])).S\ntensor([4., 3.])",
    forms: Forms::BOTH,
    forward: |a| {
        let (t, some, vectors) = (a.tensor(0)?, a.bool(1)?, a.bool(2)?);
        let [batch @ .., m, n] = t.shape() else {
            let d = t.ndim();
            bail!(
                Runtime,
                "linalg.svd: input should have at least 2 dimensions, but has {d} dimensions instead"
            );
        };
        if !vectors {
            let s = call1(Id::SVDVALS, &[t.into(), Value::None])?;
            let square = |n: usize| Tensor::zeros(&[batch, &[n, n]].concat(), t.dtype());
            return Ok(smallvec![square(*m)?, s, column_major(&square(*n)?, t.dtype())?]);
        }
        let mut out = parts(t, !some, true, &Value::None)?;
        out[2] = out[2].transpose(-2, -1)?;
        Ok(out)
    },
    vjp: Vjp::Composed,
    node: "",
};
