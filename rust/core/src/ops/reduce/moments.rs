//! Variance and standard deviation.

use super::{DimList, dims_arg, unreduce, with_dims};
use crate::formula::{Vjp, X};
use crate::op::{self, Cx, Forms, Outputs, Structured};
use crate::ops::Id;
use crate::pointwise::{self, Operand, binary};
use crate::value::Args;
use crate::{Result, Scalar, Tensor, Value, bail};
use smallvec::smallvec;

fn number(id: Id, t: &Tensor, n: f64) -> Result<Tensor> {
    pointwise::call(id, &[t.into(), n.into()])
}

/// Elements per result, as a float.
fn count(t: &Tensor, dims: &[usize]) -> f64 {
    dims.iter().map(|&d| t.shape()[d] as f64).product()
}

/// 1 if it is not given.
fn correction(a: &Args) -> Result<f64> {
    Ok(a.opt_number(2)?.map_or(1.0, Scalar::to_f64))
}

/// Variance (its root if `root`) and mean: the squared distances from the mean, added up and divided
/// by the degrees of freedom, `count - correction`.
fn moments(name: &str, a: &Args, root: bool) -> Result<(Tensor, Tensor)> {
    let t = a.tensor(0)?;
    if !t.dtype().is_float() {
        bail!(Runtime, "{name} only support floating point and complex dtypes");
    }
    let (dims, keepdim) = (dims_arg(a, 1, t.ndim())?, a.bool(3)?);
    let freedom = (count(t, &dims) - correction(a)?).max(0.0);
    let wide = t.to(super::wide(t.dtype()))?;
    let (var, mean) = super::variance(&wide, &dims, keepdim, (freedom, root))?;
    Ok((var.to(t.dtype())?, mean.to(t.dtype())?))
}

/// `2 (x - mean) g / freedom`, for `g` the gradient of the variance.
fn var_back(cx: &Cx, g: &Tensor, x: &Tensor) -> Result<Tensor> {
    let dims = dims_arg(&cx.args, 1, x.ndim())?;
    let freedom = count(x, &dims) - correction(&cx.args)?;
    let (g, mean) = (with_dims(cx, g)?, mean_of(x, &dims)?);
    if (x.ndim() == 0 || matches!(cx.args.get(1), Value::None)) && freedom <= 0.0 {
        let (nan, inf) = (f64::NAN.into(), f64::INFINITY.into());
        let at_mean = binary(Id::EQ, x, &mean)?;
        return g.mul(&pointwise::call(Id::WHERE, &[(&at_mean).into(), nan, inf])?.to(x.dtype())?);
    }
    number(Id::MUL, &g, 2.0 / freedom)?.mul(&x.sub(&mean)?)
}

fn mean_of(x: &Tensor, dims: &DimList) -> Result<Tensor> {
    if x.ndim() == 0 {
        return Ok(x.clone());
    }
    let dims = Value::Ints(dims.iter().map(|&d| d as i64).collect());
    op::call1(Id::MEAN_DIM, &[x.into(), dims, true.into(), Value::None])
}

/// The gradient of the variance from that of its root; zero where the root is.
fn through_root(g: &Tensor, std: &Tensor) -> Result<Tensor> {
    let zero = number(Id::EQ, std, 0.0)?;
    let inside = g.div(&number(Id::MUL, std, 2.0)?)?;
    let nothing: Operand = Scalar::Bool(false).into();
    pointwise::call(Id::WHERE, &[(&zero).into(), nothing, (&inside).into()])
}

fn mean_back(cx: &Cx, g: &Tensor, x: &Tensor) -> Result<Tensor> {
    let dims = dims_arg(&cx.args, 1, x.ndim())?;
    number(Id::DIV, &unreduce(cx, &[g])?, count(x, &dims))
}

pub(crate) const VAR: Structured = Structured {
    schema: "_var(Tensor self, int[1]? dim, Scalar? correction, bool keepdim) -> Tensor",
    aliases: &[],
    doc: "Variance with `count - correction` degrees of freedom.",
    forms: Forms::HIDDEN,
    forward: |a| Ok(smallvec![moments("std and var", &a, false)?.0]),
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, v: &[&Tensor]| var_back(cx, v[0], v[1]);
        vec![X::verb("var_backward", back, &[X::Grad(0), X::In(0)])]
    }),
    node: "VarBackward0",
};

pub(crate) const STD: Structured = Structured {
    schema: "_std(Tensor self, int[1]? dim, Scalar? correction, bool keepdim) -> Tensor",
    aliases: &[],
    doc: "Root of the variance with `count - correction` degrees of freedom.",
    forms: Forms::HIDDEN,
    forward: |a| Ok(smallvec![moments("std and var", &a, true)?.0]),
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, v: &[&Tensor]| var_back(cx, &through_root(v[0], v[1])?, v[2]);
        vec![X::verb("std_backward", back, &[X::Grad(0), X::Out(0), X::In(0)])]
    }),
    node: "StdBackward0",
};

pub(crate) const VAR_MEAN: Structured = Structured {
    schema: "_var_mean(Tensor self, int[1]? dim, Scalar? correction, bool keepdim) -> (Tensor, Tensor)",
    aliases: &[],
    doc: "Variance and mean.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let (var, mean) = moments("var_mean", &a, false)?;
        Ok(smallvec![var, mean])
    },
    vjp: Vjp::Many(|| {
        let back =
            |cx: &Cx, v: &[&Tensor]| var_back(cx, v[0], v[2])?.add(&mean_back(cx, v[1], v[2])?);
        vec![X::verb("var_mean_backward", back, &[X::Grad(0), X::Grad(1), X::In(0)])]
    }),
    node: "VarMeanBackward0",
};

pub(crate) const STD_MEAN: Structured = Structured {
    schema: "_std_mean(Tensor self, int[1]? dim, Scalar? correction, bool keepdim) -> (Tensor, Tensor)",
    aliases: &[],
    doc: "Standard deviation and mean.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let (std, mean) = moments("std_mean", &a, true)?;
        Ok(smallvec![std, mean])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, v: &[&Tensor]| {
            let var = var_back(cx, &through_root(v[0], v[2])?, v[3])?;
            var.add(&mean_back(cx, v[1], v[3])?)
        };
        let reads = [X::Grad(0), X::Grad(1), X::Out(0), X::In(0)];
        vec![X::verb("std_mean_backward", back, &reads)]
    }),
    node: "StdMeanBackward0",
};

/// `unbiased=` as a correction.
fn unbiased(a: &Args, i: usize) -> Result<Value> {
    Ok(Value::Number(Scalar::Int(a.bool(i)? as i64)))
}

/// The overload with `unbiased` alone.
fn whole(id: Id, a: &Args) -> Result<Outputs> {
    // Without it, PyTorch takes the overload with `correction`.
    let correction = if a.bool(1)? { Value::None } else { unbiased(a, 1)? };
    op::call(id, &[a.tensor(0)?.into(), Value::None, correction, false.into()])
}

/// The overload with `dim` and `unbiased`.
fn along(id: Id, a: &Args) -> Result<Outputs> {
    op::call(id, &[a.tensor(0)?.into(), a.get(1).clone(), unbiased(a, 2)?, a.bool(3)?.into()])
}

/// The overload with `dim` and `correction`.
fn corrected(id: Id, a: &Args) -> Result<Outputs> {
    let [dims, correction] = [a.get(1).clone(), a.get(2).clone()];
    op::call(id, &[a.tensor(0)?.into(), dims, correction, a.bool(3)?.into()])
}

/// The three overloads of one name.
macro_rules! overloads {
    ($run:ident, $name:literal, $out:literal, $forms:expr, $doc:literal;
     $whole:ident $along:ident $corrected:ident) => {
        pub(crate) const $whole: Structured = Structured {
            schema: concat!($name, "(Tensor self, bool unbiased=True) -> ", $out),
            aliases: &[],
            doc: $doc,
            forms: $forms,
            forward: |a| whole(Id::$run, &a),
            vjp: Vjp::Composed,
            node: "",
        };
        pub(crate) const $along: Structured = Structured {
            schema: concat!(
                $name,
                ".dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> ",
                $out
            ),
            forward: |a| along(Id::$run, &a),
            ..$whole
        };
        pub(crate) const $corrected: Structured = Structured {
            schema: concat!(
                $name,
                ".correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, ",
                "bool keepdim=False) -> ",
                $out
            ),
            forward: |a| corrected(Id::$run, &a),
            ..$whole
        };
    };
}

overloads! {
    VAR, "var", "Tensor", Forms::BOTH,
    "Variance: the sum of squared distances from the mean over `count - correction`; `unbiased` says whether the correction is 1 or 0.\n\n>>> torch.tensor([1., 2., 4.]).var()\ntensor(2.3333)";
    VAR_ALL VAR_DIM VAR_CORRECTION
}
overloads! {
    STD, "std", "Tensor", Forms::BOTH,
    "Standard deviation, the root of `var`.\n\n>>> torch.tensor([1., 2., 4.]).std()\ntensor(1.5275)";
    STD_ALL STD_DIM STD_CORRECTION
}
overloads! {
    VAR_MEAN, "var_mean", "(Tensor, Tensor)", Forms::FUNCTION,
    "Variance and mean.\n\n>>> torch.var_mean(torch.tensor([1., 2., 3.]))\n(tensor(1.), tensor(2.))";
    VAR_MEAN_ALL VAR_MEAN_DIM VAR_MEAN_CORRECTION
}
overloads! {
    STD_MEAN, "std_mean", "(Tensor, Tensor)", Forms::FUNCTION,
    "Standard deviation and mean.\n\n>>> torch.std_mean(torch.tensor([1., 2., 3.]))\n(tensor(1.), tensor(2.))";
    STD_MEAN_ALL STD_MEAN_DIM STD_MEAN_CORRECTION
}
