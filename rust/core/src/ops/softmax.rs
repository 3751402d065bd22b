//! Softmax and its logarithm.

use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Outputs, Structured, call1};
use crate::ops::{Id, convert::to_dtype};
use crate::shape::wrap_dim;
use crate::value::Args;
use crate::{DType, Result, Tensor, bail, pointwise};
use smallvec::smallvec;
use wengert_kernels::softmax::{self as kernels, Dims, Kind};

fn dims(t: &Tensor, dim: i64) -> Result<Dims> {
    let d = wrap_dim(dim, t.ndim())?;
    let n = t.shape().get(d).copied().unwrap_or(1);
    let inner = t.shape().get(d + 1..).map_or(1, |rest| rest.iter().product());
    Ok(Dims { outer: t.shape().iter().take(d).product(), n, inner })
}

/// The dtype a kernel runs in.
fn compute(d: DType) -> DType {
    if matches!(d, DType::F16 | DType::BF16) { DType::F32 } else { d }
}

/// Runs (self, dim) into a row-major result.
fn forward(kind: Kind, a: Args) -> Result<Outputs> {
    let (t, dims) = (a.tensor(0)?, dims(a.tensor(0)?, a.int(1)?)?);
    let d = t.dtype();
    if t.numel() == 0 {
        return Ok(smallvec![Tensor::empty(t.shape(), d)?]);
    }
    if !d.is_float() {
        let log = if kind == Kind::Softmax { "" } else { "log_" };
        let last = wrap_dim(a.int(1)?, t.ndim())? + 1 >= t.ndim();
        let last = if last { "lastdim_" } else { "" };
        bail!(
            NotImplemented,
            "\"{log}softmax_{last}kernel_impl\" not implemented for '{}'",
            d.scalar_name()
        );
    }
    let x = to_dtype(t, compute(d))?.contiguous()?;
    let out = Tensor::empty(t.shape(), x.dtype())?;
    // SAFETY: row-major memory of the sizes, and a fresh result of the same.
    unsafe { kernels::forward(kind, x.dtype(), dims, x.ptr()?, out.ptr()?) };
    Ok(smallvec![to_dtype(&out, d)?])
}

/// Runs (grad, result, dim).
fn backward(kind: Kind, a: Args) -> Result<Outputs> {
    let (g, y) = (a.tensor(0)?, a.tensor(1)?);
    let (d, dims) = (compute(y.dtype()), dims(y, a.int(2)?)?);
    let (g, x) = (to_dtype(g, d)?.contiguous()?, to_dtype(y, d)?.contiguous()?);
    let out = Tensor::empty(y.shape(), d)?;
    // SAFETY: row-major memory of the sizes (a gradient has the result's shape), and a fresh
    // result.
    unsafe { kernels::backward(kind, d, dims, g.ptr()?, x.ptr()?, out.ptr()?) };
    Ok(smallvec![to_dtype(&out, y.dtype())?])
}

/// `softmax(self, dim, dtype)` by the operation `id`, with the other arguments where `at` says.
fn converted(id: Id, a: Args, dtype_at: usize) -> Result<Outputs> {
    let t = a.tensor(0)?;
    let t = to_dtype(t, a.opt_dtype(dtype_at)?.unwrap_or(t.dtype()))?;
    Ok(smallvec![call1(id, &[t.into(), a.int(1)?.into()])?])
}

pub(crate) const SOFTMAX: Structured = Structured {
    schema: "softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor",
    aliases: &["special_softmax"],
    doc: "Exponentials along a dimension, scaled to sum to 1.\n\n>>> torch.softmax(torch.tensor([0., 0.]), 0)\ntensor([0.5000, 0.5000])",
    forms: Forms::BOTH,
    forward: |a| converted(Id::SOFTMAX_ROWS, a, 2),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const SOFTMAX_NN: Structured = Structured {
    schema: "softmax.nn(Tensor input, int dim, int _stacklevel=3, ScalarType? dtype=None) -> Tensor",
    aliases: &[],
    doc: "Exponentials along a dimension, scaled to sum to 1.\n\n>>> torch.nn.functional.softmax(torch.tensor([0., 0.]), dim=0)\ntensor([0.5000, 0.5000])",
    forms: Forms::NN,
    forward: |a| converted(Id::SOFTMAX_ROWS, a, 3),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const LOG_SOFTMAX: Structured = Structured {
    schema: "log_softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor",
    aliases: &["special_log_softmax"],
    doc: "Logarithm of the softmax along a dimension.\n\n>>> torch.log_softmax(torch.tensor([0., 0.]), 0)\ntensor([-0.6931, -0.6931])",
    forms: Forms::BOTH,
    forward: |a| converted(Id::LOG_SOFTMAX_ROWS, a, 2),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const LOG_SOFTMAX_NN: Structured = Structured {
    schema: "log_softmax.nn(Tensor input, int dim, int _stacklevel=3, ScalarType? dtype=None) -> Tensor",
    aliases: &[],
    doc: "Logarithm of the softmax along a dimension.\n\n>>> torch.nn.functional.log_softmax(torch.tensor([0., 0.]), dim=0)\ntensor([-0.6931, -0.6931])",
    forms: Forms::NN,
    forward: |a| converted(Id::LOG_SOFTMAX_ROWS, a, 3),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const SOFTMIN: Structured = Structured {
    schema: "softmin(Tensor input, int dim, int _stacklevel=3, ScalarType? dtype=None) -> Tensor",
    aliases: &[],
    doc: "Softmax of the negated input.\n\n>>> torch.nn.functional.softmin(torch.tensor([0., 0.]), dim=0)\ntensor([0.5000, 0.5000])",
    forms: Forms::NN,
    forward: |a| {
        let t = pointwise::call(Id::NEG, &[a.tensor(0)?.into()])?;
        let t = to_dtype(&t, a.opt_dtype(3)?.unwrap_or(t.dtype()))?;
        Ok(smallvec![call1(Id::SOFTMAX_ROWS, &[t.into(), a.int(1)?.into()])?])
    },
    vjp: Vjp::Composed,
    node: "",
};

/// A rule's call of a backward operation: gradient and result, with the dimension of the call.
fn back(id: Id, cx: &Cx, v: &[&Tensor]) -> Result<Tensor> {
    call1(id, &[v[0].into(), v[1].into(), cx.args.int(1)?.into()])
}

pub(crate) const SOFTMAX_ROWS: Structured = Structured {
    schema: "_softmax(Tensor self, int dim) -> Tensor",
    aliases: &[],
    doc: "Softmax in the input's dtype.",
    forms: Forms::HIDDEN,
    forward: |a| forward(Kind::Softmax, a),
    vjp: Vjp::Many(|| {
        let f = |cx: &Cx, v: &[&Tensor]| back(Id::SOFTMAX_BACK, cx, v);
        vec![X::verb("softmax_backward", f, &[X::Grad(0), X::Out(0)])]
    }),
    node: "SoftmaxBackward0",
};

pub(crate) const LOG_SOFTMAX_ROWS: Structured = Structured {
    schema: "_log_softmax(Tensor self, int dim) -> Tensor",
    aliases: &[],
    doc: "Logarithm of the softmax in the input's dtype.",
    forms: Forms::HIDDEN,
    forward: |a| forward(Kind::LogSoftmax, a),
    vjp: Vjp::Many(|| {
        let f = |cx: &Cx, v: &[&Tensor]| back(Id::LOG_SOFTMAX_BACK, cx, v);
        vec![X::verb("log_softmax_backward", f, &[X::Grad(0), X::Out(0)])]
    }),
    node: "LogSoftmaxBackward0",
};

/// Sum over the dimension of a backward call, kept at size 1.
fn sum_dim(cx: &Cx, v: &[&Tensor]) -> Result<Tensor> {
    if v[0].ndim() == 0 {
        return Ok(v[0].clone());
    }
    v[0].sum(&[cx.args.int(2)?], true)
}

fn summed(x: X) -> X {
    X::verb("sum_dim", sum_dim, &[x])
}

pub(crate) const SOFTMAX_BACK: Structured = Structured {
    schema: "_softmax_backward_data(Tensor grad_output, Tensor output, int dim) -> Tensor",
    aliases: &[],
    doc: "The gradient of the input of softmax.",
    forms: Forms::HIDDEN,
    forward: |a| backward(Kind::Softmax, a),
    vjp: Vjp::Two(|g, y, _, v| {
        // The map from g to (g - sum(g y)) y is its own transpose.
        let by_g = (v - summed(v * y)) * y;
        (by_g, v * (g - summed(g * y)) - g * summed(v * y))
    }),
    node: "SoftmaxBackwardDataBackward0",
};

pub(crate) const LOG_SOFTMAX_BACK: Structured = Structured {
    schema: "_log_softmax_backward_data(Tensor grad_output, Tensor output, int dim) -> Tensor",
    aliases: &[],
    doc: "The gradient of the input of log_softmax.",
    forms: Forms::HIDDEN,
    forward: |a| backward(Kind::LogSoftmax, a),
    vjp: Vjp::Two(|g, y, _, v| {
        let p = y.exp();
        (v - summed(v * p), -(v * p * summed(g)))
    }),
    node: "LogSoftmaxBackwardDataBackward0",
};

impl Tensor {
    /// Exponentials along a dimension, scaled to sum to 1.
    ///
    /// # Errors
    /// IndexError for a dimension that does not exist, NotImplementedError for a dtype that is not
    /// floating.
    pub fn softmax(&self, dim: i64) -> Result<Tensor> {
        call1(Id::SOFTMAX_ROWS, &[self.into(), dim.into()])
    }

    /// Logarithm of [`Tensor::softmax`], accurate where that underflows.
    ///
    /// # Errors
    /// As [`Tensor::softmax`].
    pub fn log_softmax(&self, dim: i64) -> Result<Tensor> {
        call1(Id::LOG_SOFTMAX_ROWS, &[self.into(), dim.into()])
    }
}
