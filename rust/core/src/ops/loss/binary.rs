//! Losses of two classes, told apart by the sign or by a probability.

use super::{Reduction, check_constant, check_float, from, one, share, shared, size, with};
use crate::formula::{Vjp, X};
use crate::op::{Forms, Structured, call1};
use crate::ops::Id;
use crate::pointwise::binary;
use crate::promote::promote;
use crate::{Result, Scalar, Tensor, bail};
use smallvec::smallvec;

pub(crate) const BINARY_CROSS_ENTROPY: Structured = Structured {
    schema: "binary_cross_entropy(Tensor input, Tensor target, Tensor? weight=None, bool? size_average=None, bool? reduce=None, str? reduction='mean') -> Tensor",
    aliases: &[],
    doc: "`-(y * log(x) + (1 - y) * log(1 - x))` for probabilities `x`; the logarithms are at least -100.\n\n>>> torch.nn.functional.binary_cross_entropy(torch.tensor([0.5]), torch.tensor([1.]))\ntensor(0.6931)",
    forms: Forms::NN,
    forward: |a| {
        let (x, y, weight) = (a.tensor(0)?, a.tensor(1)?, a.opt_tensor(2)?);
        let how = Reduction::of(&a, 3, 4)?;
        if x.shape() != y.shape() {
            bail!(
                Value,
                "Using a target size ({}) that is different to the input size ({}) is deprecated. Please ensure they have the same size.",
                size(y),
                size(x)
            );
        }
        check_constant("binary_cross_entropy", "weight", weight)?;
        let args = [x.into(), y.into(), how.value(), weight.into()];
        Ok(smallvec![call1(Id::BINARY_LOSS, &args)?])
    },
    vjp: Vjp::Composed,
    node: "",
};

fn check_probabilities(x: &Tensor, y: &Tensor) -> Result<()> {
    check_float("binary_cross_entropy", x.dtype())?;
    if x.dtype() != y.dtype() {
        let (got, want) = (y.dtype().scalar_name(), x.dtype().scalar_name());
        bail!(Runtime, "Found dtype {got} but expected {want}");
    }
    let inside = binary(Id::LOGICAL_AND, &with(Id::GE, x, 0.0)?, &with(Id::LE, x, 1.0)?)?;
    if !crate::ops::reduce::all_true(&inside)? {
        bail!(Runtime, "all elements of input should be between 0 and 1");
    }
    Ok(())
}

fn times_weight(losses: Tensor, weight: Option<&Tensor>) -> Result<Tensor> {
    weight.map_or(Ok(losses.clone()), |w| losses.mul(w))
}

/// As `shared`, times the weight, input `i` of the block.
fn shared_weighted(i: u8) -> X {
    X::verb("share", share, &[X::Grad(0), X::In(i)])
}

pub(crate) const BINARY_LOSS: Structured = Structured {
    schema: "_binary_cross_entropy(Tensor self, Tensor target, int reduction, Tensor? weight) -> Tensor",
    aliases: &[],
    doc: "As `binary_cross_entropy`.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let (x, y) = (a.tensor(0)?, a.tensor(1)?);
        check_probabilities(x, y)?;
        let log = |t| with(Id::CLAMP_LOW, &t, -100.0);
        let no = with(Id::SUB, y, 1.0)?.mul(&log(one(Id::LOG1P, &one(Id::NEG, x)?)?)?)?;
        let losses = no.sub(&y.mul(&log(one(Id::LOG, x)?)?)?)?;
        Reduction::number(&a, 2)?.outputs(times_weight(losses, a.opt_tensor(3)?)?)
    },
    vjp: Vjp::Many(|| {
        let (x, y, g) = (X::In(0), X::In(1), shared_weighted(2));
        let spread = X::op(Id::CLAMP_LOW, &[(1.0 - x) * x, X::Lit(1e-12)]);
        vec![g * (x - y) / spread, (g * ((1.0 - x).log() - x.log())).saving(y)]
    }),
    node: "BinaryCrossEntropyBackward0",
};

const WITH_LOGITS: &str = "binary_cross_entropy_with_logits";

pub(crate) const BINARY_LOGITS: Structured = Structured {
    schema: "binary_cross_entropy_with_logits(Tensor input, Tensor target, Tensor? weight=None, bool? size_average=None, bool? reduce=None, str? reduction='mean', Tensor? pos_weight=None) -> Tensor",
    aliases: &[],
    doc: "`binary_cross_entropy(sigmoid(x), y)`, without overflow; `pos_weight` multiplies the losses of positives.\n\n>>> torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor([0.]), torch.tensor([1.]))\ntensor(0.6931)",
    forms: Forms::NN,
    forward: |a| {
        let (x, y) = (a.tensor(0)?, a.tensor(1)?);
        let (weight, positives) = (a.opt_tensor(2)?, a.opt_tensor(6)?);
        let how = Reduction::of(&a, 3, 4)?;
        if x.shape() != y.shape() {
            bail!(Value, "Target size ({}) must be the same as input size ({})", size(y), size(x));
        }
        check_constant(WITH_LOGITS, "weight", weight)?;
        check_constant(WITH_LOGITS, "pos_weight", positives)?;
        let (id, mut args) = (Id::LOGITS, vec![x.into(), y.into(), how.value()]);
        let id = positives.map_or(id, |p| {
            args.push(p.into());
            Id::LOGITS_POSITIVE
        });
        args.push(weight.into());
        Ok(smallvec![call1(id, &args)?])
    },
    vjp: Vjp::Composed,
    node: "",
};

/// The losses (input, target) of logits, in the dtype of the target: `factor` is that of
/// `log(sigmoid(input))`.
fn logit_losses(x: &Tensor, y: &Tensor, factor: Option<&Tensor>) -> Result<Tensor> {
    check_float("log_sigmoid_cpu", x.dtype())?;
    if !y.dtype().is_float() {
        bail!(
            Runtime,
            "result type {} can't be cast to the desired output type {}",
            x.dtype().scalar_name(),
            y.dtype().scalar_name()
        );
    }
    let log = times_weight(one(Id::LOGSIGMOID, x)?, factor)?;
    from(1.0, y)?.mul(x)?.sub(&log)?.to(y.dtype())
}

pub(crate) const LOGITS: Structured = Structured {
    schema: "_bce_with_logits(Tensor self, Tensor target, int reduction, Tensor? weight) -> Tensor",
    aliases: &[],
    doc: "`(1 - target) * self - log(sigmoid(self))`, reduced.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let losses = logit_losses(a.tensor(0)?, a.tensor(1)?, None)?;
        Reduction::number(&a, 2)?.outputs(times_weight(losses, a.opt_tensor(3)?)?)
    },
    vjp: Vjp::Many(|| {
        let (x, y, g) = (X::In(0), X::In(1), shared_weighted(2));
        vec![g * (x.sigmoid() - y), (-(g * x)).saving(y)]
    }),
    node: "BinaryCrossEntropyWithLogitsBackward0(reduction, pos_weight=None)",
};

pub(crate) const LOGITS_POSITIVE: Structured = Structured {
    schema: "_bce_with_logits.positive(Tensor self, Tensor target, int reduction, Tensor pos_weight, Tensor? weight) -> Tensor",
    forward: |a| {
        let (x, y, p) = (a.tensor(0)?, a.tensor(1)?, a.tensor(3)?);
        let factor = with(Id::ADD, &with(Id::SUB, p, 1.0)?.mul(y)?, 1.0)?;
        let losses = logit_losses(x, y, Some(&factor))?;
        Reduction::number(&a, 2)?.outputs(times_weight(losses, a.opt_tensor(4)?)?)
    },
    vjp: Vjp::Many(|| {
        let (x, y, p, g) = (X::In(0), X::In(1), X::In(2), shared_weighted(3));
        let positive = p * y;
        let log = |x: X| X::op(Id::LOGSIGMOID, &[x]);
        let by_x = g * ((positive + 1.0 - y) * x.sigmoid() - positive);
        let by_y = (g * (log(-x) - p * log(x))).saving(y);
        vec![by_x, by_y, X::None, X::None]
    }),
    node: "BinaryCrossEntropyWithLogitsBackward0(reduction)",
    ..LOGITS
};

pub(crate) const SOFT_MARGIN_LOSS: Structured = Structured {
    schema: "soft_margin_loss(Tensor input, Tensor target, bool? size_average=None, bool? reduce=None, str? reduction='mean') -> Tensor",
    aliases: &[],
    doc: "`log(1 + exp(-y * x))` for labels `y` of 1 and -1.\n\n>>> torch.nn.functional.soft_margin_loss(torch.tensor([0.]), torch.tensor([1.]))\ntensor(0.6931)",
    forms: Forms::NN,
    forward: |a| {
        let (x, y, how) = (a.tensor(0)?, a.tensor(1)?, Reduction::of(&a, 2, 3)?);
        check_constant("soft_margin_loss", "target", Some(y))?;
        Ok(smallvec![call1(Id::SOFT_MARGIN, &[x.into(), y.into(), how.value()])?])
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const SOFT_MARGIN: Structured = Structured {
    schema: "_soft_margin_loss(Tensor self, Tensor target, int reduction) -> Tensor",
    aliases: &[],
    doc: "`log(1 + exp(-target * self))`, reduced.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let (x, y) = (a.tensor(0)?, a.tensor(1)?);
        let d = promote(x.dtype(), y.dtype());
        if !d.is_float() {
            let name = d.scalar_name();
            bail!(Runtime, "result type Float can't be cast to the desired output type {name}");
        }
        let losses = one(Id::LOG1P, &one(Id::EXP, &x.mul(&one(Id::NEG, y)?)?)?)?;
        Reduction::number(&a, 2)?.outputs(losses)
    },
    vjp: Vjp::Many(|| {
        let (x, y, g) = (X::In(0), X::In(1), shared());
        vec![-(g * y * (-(y * x)).sigmoid()), X::None]
    }),
    node: "SoftMarginLossBackward0",
};

pub(crate) const MULTILABEL_SOFT_MARGIN_LOSS: Structured = Structured {
    schema: "multilabel_soft_margin_loss(Tensor input, Tensor target, Tensor? weight=None, bool? size_average=None, bool? reduce=None, str? reduction='mean') -> Tensor",
    aliases: &[],
    doc: "`binary_cross_entropy_with_logits`, averaged over the classes (the last dimension).\n\n>>> torch.nn.functional.multilabel_soft_margin_loss(torch.zeros(1, 2), torch.ones(1, 2))\ntensor(0.6931)",
    forms: Forms::NN,
    forward: |a| {
        let (x, y) = (a.tensor(0)?, a.tensor(1)?);
        let how = match Reduction::older(&a, 3, 4)? {
            Some(how) => how,
            None => match a.opt_str(5)?.unwrap_or("None") {
                name @ ("none" | "mean" | "sum") => Reduction::named(name)?,
                name => bail!(Value, "{name} is not valid"),
            },
        };
        let yes = y.mul(&one(Id::LOGSIGMOID, x)?)?;
        let no = from(1.0, y)?.mul(&one(Id::LOGSIGMOID, &one(Id::NEG, x)?)?)?;
        let losses = times_weight(one(Id::NEG, &yes.add(&no)?)?, a.opt_tensor(2)?)?;
        let Some(&classes) = x.shape().last() else {
            bail!(Index, "Dimension specified as -1 but tensor has no dimensions");
        };
        how.outputs(with(
            Id::DIV,
            &losses.sum(&[x.ndim() as i64 - 1], false)?,
            Scalar::Int(classes as i64),
        )?)
    },
    vjp: Vjp::Composed,
    node: "",
};
