//! Losses that compare two tensors element by element.

use super::{Reduction, check_float, one, same_shape, shared, with};
use crate::formula::{Vjp, X};
use crate::op::{Forms, Outputs, Pointwise, Range, Rule, Structured, call1};
use crate::ops::Id;
use crate::promote::promote;
use crate::value::Args;
use crate::{Result, Tensor, Value, bail};
use smallvec::smallvec;
use wengert_kernels::kernel;

/// The arguments (input, target) of a hidden block, whose promoted dtype must be floating.
fn pair<'a>(a: &Args<'a>, kernel: &str) -> Result<(&'a Tensor, &'a Tensor)> {
    let (x, y) = (a.tensor(0)?, a.tensor(1)?);
    check_float(kernel, promote(x.dtype(), y.dtype()))?;
    Ok((x, y))
}

/// Calls a hidden block (input, target, reduction, ...) on tensors of one shape.
fn on_pair(id: Id, x: &Tensor, y: &Tensor, how: Reduction, rest: Option<Value>) -> Result<Outputs> {
    let (x, y) = same_shape(x, y)?;
    let mut args = vec![x.into(), y.into(), how.value()];
    args.extend(rest);
    Ok(smallvec![call1(id, &args)?])
}

/// The reduction of losses that have weights: the mean is that of the weights.
fn weighted(
    losses: &Tensor,
    x: &Tensor,
    weight: &Tensor,
    how: &str,
    by_sum: bool,
) -> Result<Outputs> {
    if weight.shape() != x.shape() {
        bail!(Value, "Weights and input must have the same size.");
    }
    let losses = losses.mul(weight)?;
    Ok(smallvec![match how {
        "none" => losses,
        "sum" => losses.sum_all()?,
        "mean" if by_sum => losses.sum_all()?.div(&weight.sum_all()?)?,
        "mean" => Reduction::Mean.apply(losses)?,
        _ => bail!(Value, "Invalid reduction mode: {how}. Expected one of 'none', 'mean', 'sum'."),
    }])
}

/// `mse_loss` and `l1_loss` with weights, given the loss of a difference.
fn weighted_difference(a: &Args, loss: Id) -> Result<Outputs> {
    let (x, y) = same_shape(a.tensor(0)?, a.tensor(1)?)?;
    let how = match Reduction::older(a, 2, 3)? {
        Some(Reduction::Mean) => "mean",
        Some(Reduction::Sum) => "sum",
        Some(Reduction::None) => "none",
        None => a.str(4)?,
    };
    weighted(&one(loss, &x.sub(&y)?)?, a.tensor(0)?, a.tensor(5)?, how, true)
}

pub(crate) const MSE_LOSS: Structured = Structured {
    schema: "mse_loss(Tensor input, Tensor target, bool? size_average=None, bool? reduce=None, str? reduction='mean', Tensor? weight=None) -> Tensor",
    aliases: &[],
    doc: "Squared difference of each two elements; their mean, or as `reduction` says.\n\n>>> torch.nn.functional.mse_loss(torch.tensor([1., 2.]), torch.tensor([1., 4.]))\ntensor(2.)",
    forms: Forms::NN,
    forward: |a| match a.opt_tensor(5)? {
        Some(_) => weighted_difference(&a, Id::SQUARE),
        None => {
            on_pair(Id::SQUARED_LOSS, a.tensor(0)?, a.tensor(1)?, Reduction::of(&a, 2, 3)?, None)
        }
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const SQUARED_LOSS: Structured = Structured {
    schema: "_mse_loss(Tensor self, Tensor target, int reduction) -> Tensor",
    aliases: &[],
    doc: "`(self - target) ** 2`, reduced.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let (x, y) = pair(&a, "mse_cpu")?;
        Reduction::number(&a, 2)?.outputs(one(Id::SQUARE, &x.sub(y)?)?)
    },
    vjp: Vjp::Many(|| {
        let slope = (X::In(0) - X::In(1)) * (shared() * 2.0);
        vec![slope, -slope]
    }),
    node: "MseLossBackward0",
};

pub(crate) const L1_LOSS: Structured = Structured {
    schema: "l1_loss(Tensor input, Tensor target, bool? size_average=None, bool? reduce=None, str? reduction='mean', Tensor? weight=None) -> Tensor",
    aliases: &[],
    doc: "Absolute difference of each two elements; their mean, or as `reduction` says.\n\n>>> torch.nn.functional.l1_loss(torch.tensor([1., 2.]), torch.tensor([1., 4.]))\ntensor(1.)",
    forms: Forms::NN,
    forward: |a| match a.opt_tensor(5)? {
        Some(_) => weighted_difference(&a, Id::ABS),
        None => absolute(a.tensor(0)?, a.tensor(1)?, Reduction::of(&a, 2, 3)?),
    },
    vjp: Vjp::Composed,
    node: "",
};

fn absolute(x: &Tensor, y: &Tensor, how: Reduction) -> Result<Outputs> {
    let (x, y) = same_shape(x, y)?;
    how.outputs(one(Id::ABS, &x.sub(&y)?)?)
}

pub(crate) const SMOOTH_L1_LOSS: Structured = Structured {
    schema: "smooth_l1_loss(Tensor input, Tensor target, bool? size_average=None, bool? reduce=None, str? reduction='mean', float beta=1.0) -> Tensor",
    aliases: &[],
    doc: "The difference of each two elements: squared, halved and divided by `beta` where it is below `beta`, else its absolute value less `beta / 2`.\n\n>>> torch.nn.functional.smooth_l1_loss(torch.tensor([1., 2.]), torch.tensor([1., 4.]))\ntensor(0.7500)",
    forms: Forms::NN,
    forward: |a| {
        let (x, y, how) = (a.tensor(0)?, a.tensor(1)?, Reduction::of(&a, 2, 3)?);
        let beta = a.number(5)?;
        if beta.to_f64() == 0.0 {
            return absolute(x, y, how);
        }
        if beta.to_f64() < 0.0 {
            bail!(Runtime, "smooth_l1_loss does not support negative values for beta.");
        }
        on_pair(Id::SMOOTH_LOSS, x, y, how, Some(beta.into()))
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const HUBER: Pointwise = Pointwise {
    schema: "_huber(Tensor self, Scalar delta) -> Tensor",
    aliases: &[],
    doc: "`d * d / 2` where `d = abs(self)` is at most `delta`, else `delta * (d - delta / 2)`.",
    forms: Forms::HIDDEN,
    dtype: Rule::First,
    forward: kernel!(
        float | x,
        delta | {
            let (d, half) = (x.abs(), T::lit(0.5));
            T::select(d <= delta, d * d * half, delta * (d - half * delta))
        }
    ),
    vjp: Vjp::Two(|x, delta, _y, g| (g * X::op(Id::CLAMP, &[x, -delta, delta]), X::None)),
    node: "HuberLossBackward0",
    samples: &[Range(-4.0, 4.0), Range(0.5, 2.0)],
};

pub(crate) const SMOOTH_SLOPE: Pointwise = Pointwise {
    schema: "_smooth_l1_slope(Tensor self, Scalar beta) -> Tensor",
    aliases: &[],
    doc: "`self / beta` where that lies between -1 and 1, else the sign.",
    forms: Forms::HIDDEN,
    dtype: Rule::First,
    forward: kernel!(float | x, beta | T::select(x.abs() >= beta, x.sign(), x / beta)),
    vjp: Vjp::Two(|x, beta, _y, g| ((g / beta).when(x.abs().lt(beta)), X::None)),
    node: "SmoothL1LossBackwardBackward0",
    samples: &[Range(-4.0, 4.0), Range(0.5, 2.0)],
};

pub(crate) const SMOOTH_LOSS: Structured = Structured {
    schema: "_smooth_l1_loss(Tensor self, Tensor target, int reduction, float beta) -> Tensor",
    aliases: &[],
    doc: "`d * d / (2 * beta)` where `d = abs(self - target)` is below `beta`, else `d - beta / 2`.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let (x, y) = pair(&a, "smooth_l1_cpu")?;
        let losses = with(Id::DIV, &with(Id::HUBER, &x.sub(y)?, a.number(3)?)?, a.number(3)?)?;
        Reduction::number(&a, 2)?.outputs(losses)
    },
    vjp: Vjp::Many(|| {
        let slope = shared() * X::op(Id::SMOOTH_SLOPE, &[X::In(0) - X::In(1), X::Arg(3)]);
        vec![slope, -slope]
    }),
    node: "SmoothL1LossBackward0",
};

pub(crate) const HUBER_LOSS: Structured = Structured {
    schema: "huber_loss(Tensor input, Tensor target, str? reduction='mean', float delta=1.0, Tensor? weight=None) -> Tensor",
    aliases: &[],
    doc: "The difference of each two elements: squared and halved up to `delta`, growing linearly from there (Huber, 1964).\n\n>>> torch.nn.functional.huber_loss(torch.tensor([1., 2.]), torch.tensor([1., 4.]))\ntensor(0.7500)",
    forms: Forms::NN,
    forward: |a| {
        let (x, y, delta) = (a.tensor(0)?, a.tensor(1)?, a.number(3)?);
        let Some(weight) = a.opt_tensor(4)? else {
            return on_pair(Id::HUBER_REDUCED, x, y, Reduction::arg(&a, 2)?, Some(delta.into()));
        };
        let losses = on_pair(Id::HUBER_REDUCED, x, y, Reduction::None, Some(delta.into()))?;
        weighted(&losses[0], x, weight, a.str(2)?, false)
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const HUBER_REDUCED: Structured = Structured {
    schema: "_huber_loss(Tensor self, Tensor target, int reduction, float delta) -> Tensor",
    aliases: &[],
    doc: "`d * d / 2` where `d = abs(self - target)` is at most `delta`, else `delta * (d - delta / 2)`.",
    forms: Forms::HIDDEN,
    forward: |a| {
        if a.number(3)?.to_f64() <= 0.0 {
            bail!(Runtime, "huber_loss does not support non-positive values for delta.");
        }
        let (x, y) = pair(&a, "huber_cpu")?;
        Reduction::number(&a, 2)?.outputs(with(Id::HUBER, &x.sub(y)?, a.number(3)?)?)
    },
    vjp: Vjp::Many(|| {
        let (d, delta) = (X::In(0) - X::In(1), X::Arg(3));
        let slope = shared() * X::op(Id::CLAMP, &[d, -delta, delta]);
        vec![slope, -slope]
    }),
    node: "HuberLossBackward0",
};
