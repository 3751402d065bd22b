//! Loss functions.
//!
//! The functions of `torch.nn.functional` settle their arguments and are otherwise made of
//! differentiable operations. Where PyTorch has a node of its own, there is a hidden block, whose
//! rule multiplies the slope of each element by its share of the gradient.

pub(crate) mod binary;
pub(crate) mod classes;
pub(crate) mod distance;
pub(crate) mod elementwise;
pub(crate) mod likelihood;

use crate::error::warn;
use crate::formula::X;
use crate::op::{Cx, Outputs, call1};
use crate::ops::Id;
use crate::pointwise;
use crate::shape::{broadcast, show};
use crate::value::Args;
use crate::{DType, Result, Scalar, Tensor, Value, bail};
use smallvec::smallvec;

/// What becomes of the losses of the elements; PyTorch's numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reduction {
    None = 0,
    Mean = 1,
    Sum = 2,
}

impl Reduction {
    fn named(name: &str) -> Result<Reduction> {
        match name {
            "none" => Ok(Reduction::None),
            "mean" => Ok(Reduction::Mean),
            "sum" => Ok(Reduction::Sum),
            "elementwise_mean" => {
                let text = "reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead.";
                warn(text)?;
                Ok(Reduction::Mean)
            }
            _ => bail!(Value, "{name} is not a valid value for reduction"),
        }
    }

    /// Of a call with a reduction by name, argument `at`.
    fn arg(a: &Args, at: usize) -> Result<Reduction> {
        Reduction::named(a.opt_str(at)?.unwrap_or("None"))
    }

    /// Of a call that also takes PyTorch's older arguments: `size_average`, and `reduce` just
    /// before the name. They win over the name.
    fn of(a: &Args, size_average: usize, reduce: usize) -> Result<Reduction> {
        Ok(match Reduction::older(a, size_average, reduce)? {
            Some(older) => older,
            None => Reduction::arg(a, reduce + 1)?,
        })
    }

    fn older(a: &Args, size_average: usize, reduce: usize) -> Result<Option<Reduction>> {
        let (average, reduce) = (a.opt_bool(size_average)?, a.opt_bool(reduce)?);
        if average.is_none() && reduce.is_none() {
            return Ok(None);
        }
        let (name, reduction) = match (average.unwrap_or(true), reduce.unwrap_or(true)) {
            (true, true) => ("mean", Reduction::Mean),
            (false, true) => ("sum", Reduction::Sum),
            (_, false) => ("none", Reduction::None),
        };
        warn(&format!(
            "size_average and reduce args will be deprecated, please use reduction='{name}' instead."
        ))?;
        Ok(Some(reduction))
    }

    /// Of a hidden block, argument `at`.
    fn number(a: &Args, at: usize) -> Result<Reduction> {
        Ok(match a.int(at)? {
            0 => Reduction::None,
            1 => Reduction::Mean,
            _ => Reduction::Sum,
        })
    }

    fn value(self) -> Value {
        Value::Int(self as i64)
    }

    /// The loss of a whole from those of its elements.
    fn apply(self, losses: Tensor) -> Result<Tensor> {
        match self {
            Reduction::None => Ok(losses),
            Reduction::Mean => call1(Id::MEAN, &[losses.into(), Value::None]),
            Reduction::Sum => losses.sum_all(),
        }
    }

    fn outputs(self, losses: Tensor) -> Result<Outputs> {
        Ok(smallvec![self.apply(losses)?])
    }
}

/// A pointwise operation on a tensor and a number.
fn with(id: Id, t: &Tensor, n: impl Into<Scalar>) -> Result<Tensor> {
    pointwise::call(id, &[t.into(), pointwise::Operand::Number(n.into())])
}

fn one(id: Id, t: &Tensor) -> Result<Tensor> {
    pointwise::call(id, &[t.into()])
}

/// `n - t`
fn from(n: impl Into<Scalar>, t: &Tensor) -> Result<Tensor> {
    with(Id::RSUB, t, n)
}

/// The elements of `t` where the mask is true, zero elsewhere.
fn zero_unless(mask: &Tensor, t: &Tensor) -> Result<Tensor> {
    pointwise::call(Id::WHERE, &[mask.into(), t.into(), Scalar::Int(0).into()])
}

/// The shape as PyTorch prints it.
fn size(t: &Tensor) -> String {
    format!("torch.Size({})", show(t.shape()))
}

/// Both tensors in the shape they broadcast to, with a warning where that is not the shape of each.
fn same_shape(x: &Tensor, y: &Tensor) -> Result<(Tensor, Tensor)> {
    if x.shape() == y.shape() {
        return Ok((x.clone(), y.clone()));
    }
    warn(&format!(
        "Using a target size ({}) that is different to the input size ({}). This will likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
        size(y),
        size(x)
    ))?;
    let shape = broadcast(x.shape(), y.shape())?;
    let fitted =
        |t: &Tensor| if t.shape() == shape.as_slice() { Ok(t.clone()) } else { t.expand(&shape) };
    Ok((fitted(x)?, fitted(y)?))
}

/// PyTorch's refusal to differentiate by some arguments.
fn check_constant(name: &str, arg: &str, t: Option<&Tensor>) -> Result<()> {
    if crate::mode::grad_enabled() && t.is_some_and(Tensor::requires_grad) {
        bail!(
            Runtime,
            "The function '{name}' is not differentiable with respect to argument '{arg}'. This input cannot have requires_grad True."
        );
    }
    Ok(())
}

/// The share of the gradient that each element's loss has, in a hidden block whose argument 2 is
/// the reduction; times the weight where there is one.
fn share(cx: &Cx, v: &[&Tensor]) -> Result<Tensor> {
    let mut g = v[0].clone();
    if Reduction::number(&cx.args, 2)? == Reduction::Mean {
        let shape = broadcast(&cx.input(0).shape, &cx.input(1).shape)?;
        g = with(Id::DIV, &g, shape.iter().product::<usize>().max(1) as f64)?;
    }
    match v.get(1) {
        Some(weight) => g.mul(weight),
        None => Ok(g),
    }
}

/// Each element's share of the gradient; of a hidden block (input, target, reduction, ...).
fn shared() -> X {
    X::verb("share", share, &[X::Grad(0)])
}

/// Refuses tensors that are not floating, as the kernel of this name does.
fn check_float(kernel: &str, d: DType) -> Result<()> {
    if !d.is_float() {
        bail!(NotImplemented, "\"{kernel}\" not implemented for '{}'", d.scalar_name());
    }
    Ok(())
}
