//! Losses that are negative log likelihoods, or divergences of distributions.

use super::{Reduction, one, with, zero_unless};
use crate::error::warn;
use crate::formula::Vjp;
use crate::op::{Forms, Structured, call1};
use crate::ops::Id;
use crate::ops::reduce::all_true;
use crate::pointwise::{self, Operand, binary};
use crate::{Result, Scalar, Tensor, Value, bail};
use smallvec::smallvec;
use std::f64::consts::TAU;

pub(crate) const KL_DIV: Structured = Structured {
    schema: "kl_div(Tensor input, Tensor target, bool? size_average=None, bool? reduce=None, str? reduction='mean', bool log_target=False) -> Tensor",
    aliases: &[],
    doc: "`y * (log(y) - x)` for the logarithm `x` of a distribution (Kullback and Leibler, 1951); the divergence is the sum, or `'batchmean'` for a batch.\n\n>>> torch.nn.functional.kl_div(torch.tensor([0.5, 0.5]).log(), torch.tensor([0., 1.]), reduction='sum')\ntensor(0.6931)",
    forms: Forms::NN,
    forward: |a| {
        let (x, y, log_target) = (a.tensor(0)?, a.tensor(1)?, a.bool(5)?);
        let older = Reduction::older(&a, 2, 3)?;
        let name = if older.is_some() { "" } else { a.opt_str(4)?.unwrap_or("None") };
        if name == "mean" {
            warn(
                "reduction: 'mean' divides the total loss by both the batch size and the support size.'batchmean' divides only by the batch size, and aligns with the KL div math definition.'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            )?;
        }
        let how = match (older, name) {
            (Some(how), _) => how,
            (_, "batchmean") => Reduction::Sum,
            _ => Reduction::named(name)?,
        };
        if x.dtype().is_int() || y.dtype().is_int() {
            bail!(Runtime, "kl_div: Integral inputs not supported.");
        }
        let losses = if log_target {
            one(Id::EXP, y)?.mul(&y.sub(x)?)?
        } else {
            binary(Id::XLOGY, y, y)?.sub(&y.mul(x)?)?
        };
        let loss = how.apply(losses)?;
        Ok(smallvec![match (name, x.shape().first()) {
            ("batchmean", Some(&n)) => with(Id::DIV, &loss, Scalar::Int(n as i64))?,
            _ => loss,
        }])
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const POISSON_NLL_LOSS: Structured = Structured {
    schema: "poisson_nll_loss(Tensor input, Tensor target, bool log_input=True, bool full=False, bool? size_average=None, float eps=1e-8, bool? reduce=None, str? reduction='mean') -> Tensor",
    aliases: &[],
    doc: "Negative log likelihood of counts under Poisson distributions of mean `exp(input)` (`input` without `log_input`); `full` adds Stirling's approximation of the constant term.\n\n>>> torch.nn.functional.poisson_nll_loss(torch.tensor([0.]), torch.tensor([2.]))\ntensor(1.)",
    forms: Forms::NN,
    forward: |a| {
        let (x, y, how) = (a.tensor(0)?, a.tensor(1)?, Reduction::of(&a, 4, 6)?);
        let mut losses = if a.bool(2)? {
            one(Id::EXP, x)?.sub(&y.mul(x)?)?
        } else {
            let x_eps = with(Id::ADD, x, a.number(5)?)?;
            x.sub(&y.mul(&one(Id::LOG, &x_eps)?)?)?
        };
        if a.bool(3)? {
            let half_log = with(Id::MUL, &one(Id::LOG, &with(Id::MUL, y, TAU)?)?, 0.5)?;
            let stirling = y.mul(&one(Id::LOG, y)?)?.sub(y)?.add(&half_log)?;
            losses = losses.add(&zero_unless(&with(Id::GT, y, 1.0)?, &stirling)?)?;
        }
        how.outputs(losses)
    },
    vjp: Vjp::Composed,
    node: "",
};

/// The variances of `gaussian_nll_loss`, in a shape that broadcasts with the input.
fn variances(x: &Tensor, var: &Value) -> Result<Tensor> {
    let negative = "var has negative entry/entries";
    let var = match Operand::from_value(var)? {
        Operand::Number(v) if v.to_f64() < 0.0 => bail!(Value, "{negative}"),
        Operand::Number(v) => return Tensor::full(x.shape(), v, x.dtype()),
        Operand::Tensor(t) => t,
    };
    if !all_true(&with(Id::GE, var, 0.0)?)? {
        bail!(Value, "{negative}");
    }
    if var.shape() == x.shape() {
        return Ok(var.clone());
    }
    if x.shape().split_last().is_some_and(|(_, lead)| lead == var.shape()) {
        return var.unsqueeze(-1);
    }
    let differing = x.shape().iter().zip(var.shape()).filter(|(a, b)| a != b);
    if x.ndim() != var.ndim() || differing.map(|(_, n)| n).sum::<usize>() != 1 {
        bail!(Value, "var is of incorrect size");
    }
    Ok(var.clone())
}

pub(crate) const GAUSSIAN_NLL_LOSS: Structured = Structured {
    schema: "gaussian_nll_loss(Tensor input, Tensor target, Operand var, bool full=False, float eps=1e-6, str? reduction='mean') -> Tensor",
    aliases: &[],
    doc: "Negative log likelihood under normal distributions of mean `input` and variance `var`, which is at least `eps`; `full` adds the constant term.\n\n>>> torch.nn.functional.gaussian_nll_loss(torch.tensor([0.]), torch.tensor([2.]), torch.tensor([1.]))\ntensor(2.)",
    forms: Forms::NN,
    forward: |a| {
        let (x, y) = (a.tensor(0)?, a.tensor(1)?);
        let var = call1(Id::CLONE, &[variances(x, a.get(2))?.into()])?;
        let how = match a.opt_str(5)?.unwrap_or("None") {
            name @ ("none" | "mean" | "sum") => Reduction::named(name)?,
            name => bail!(Value, "{name} is not valid"),
        };
        {
            // The limit has no part in the derivative.
            let _off = crate::mode::Guard::new(false);
            pointwise::in_place(Id::CLAMP_LOW, &[(&var).into(), a.number(4)?.into()])?;
        }
        let square = with(Id::POW_NUMBER, &x.sub(y)?, Scalar::Int(2))?;
        let losses = with(Id::MUL, &one(Id::LOG, &var)?.add(&square.div(&var)?)?, 0.5)?;
        how.outputs(if a.bool(3)? { with(Id::ADD, &losses, 0.5 * TAU.ln())? } else { losses })
    },
    vjp: Vjp::Composed,
    node: "",
};
