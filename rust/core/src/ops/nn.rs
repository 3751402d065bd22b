//! `torch.nn.functional`'s activation functions: their arguments, over pointwise operations.

use crate::formula::Vjp;
use crate::op::{Forms, Outputs, Structured, call1};
use crate::ops::Id;
use crate::pointwise::{self, Operand};
use crate::value::Args;
use crate::{DType, Result, Scalar, bail};
use smallvec::smallvec;

/// Runs `id` on the input and `numbers`, in place if argument `at` says so.
fn activate(id: Id, a: &Args, numbers: &[Scalar], at: usize) -> Result<Outputs> {
    let mut args: smallvec::SmallVec<[Operand; 3]> = smallvec![a.tensor(0)?.into()];
    args.extend(numbers.iter().map(|&n| Operand::Number(n)));
    let run = if a.opt_bool(at)?.unwrap_or(false) { pointwise::in_place } else { pointwise::call };
    Ok(smallvec![run(id, &args)?])
}

pub(crate) const RELU_NN: Structured = Structured {
    schema: "relu(Tensor input, bool inplace=False) -> Tensor",
    aliases: &[],
    doc: "`max(x, 0)`.\n\n>>> torch.nn.functional.relu(torch.tensor([-1., 2.]))\ntensor([0., 2.])",
    forms: Forms::NN,
    forward: |a| activate(Id::RELU, &a, &[], 1),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const SILU_NN: Structured = Structured {
    schema: "silu(Tensor input, bool inplace=False) -> Tensor",
    aliases: &[],
    doc: "`x * sigmoid(x)` (Elfwing et al., 2018).\n\n>>> torch.nn.functional.silu(torch.tensor([-1., 2.]))\ntensor([-0.2689,  1.7616])",
    forms: Forms::NN,
    forward: |a| activate(Id::SILU, &a, &[], 1),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const GELU_NN: Structured = Structured {
    schema: "gelu(Tensor input, *, str approximate='none') -> Tensor",
    aliases: &[],
    doc: "`x * Phi(x)`, with Phi the normal distribution function, or its approximation by `'tanh'` (Hendrycks and Gimpel, 2016).\n\n>>> torch.nn.functional.gelu(torch.tensor([-1., 2.]))\ntensor([-0.1587,  1.9545])",
    forms: Forms::NN,
    forward: |a| match a.str(1)? {
        "none" => activate(Id::GELU, &a, &[], 2),
        "tanh" => activate(Id::GELU_TANH, &a, &[], 2),
        _ => bail!(Runtime, "approximate argument must be either none or tanh."),
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const LEAKY_RELU_NN: Structured = Structured {
    schema: "leaky_relu(Tensor input, Scalar negative_slope=0.01, bool inplace=False) -> Tensor",
    aliases: &[],
    doc: "`x` above zero, `negative_slope * x` below.\n\n>>> torch.nn.functional.leaky_relu(torch.tensor([-1., 2.]))\ntensor([-0.0100,  2.0000])",
    forms: Forms::NN,
    forward: |a| activate(Id::LEAKY_RELU, &a, &[a.number(1)?], 2),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const ELU_NN: Structured = Structured {
    schema: "elu(Tensor input, Scalar alpha=1.0, bool inplace=False) -> Tensor",
    aliases: &[],
    doc: "`x` above zero, `alpha * (exp(x) - 1)` below (Clevert et al., 2016).\n\n>>> torch.nn.functional.elu(torch.tensor([-1., 2.]))\ntensor([-0.6321,  2.0000])",
    forms: Forms::NN,
    forward: |a| activate(Id::ELU, &a, &[a.number(1)?], 2),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const SELU_NN: Structured = Structured {
    schema: "selu(Tensor input, bool inplace=False) -> Tensor",
    aliases: &[],
    doc: "A scaled `elu` that keeps mean 0 and variance 1 (Klambauer et al., 2017).\n\n>>> torch.nn.functional.selu(torch.tensor([-1., 2.]))\ntensor([-1.1113,  2.1014])",
    forms: Forms::NN.and(Forms::FUNCTION),
    forward: |a| activate(Id::SELU, &a, &[], 1),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const CELU_NN: Structured = Structured {
    schema: "celu(Tensor input, Scalar alpha=1.0, bool inplace=False) -> Tensor",
    aliases: &[],
    doc: "`x` above zero, `alpha * (exp(x / alpha) - 1)` below (Barron, 2017).\n\n>>> torch.nn.functional.celu(torch.tensor([-1., 2.]))\ntensor([-0.6321,  2.0000])",
    forms: Forms::NN.and(Forms::FUNCTION),
    forward: |a| {
        let alpha = a.number(1)?.to_f64();
        if alpha == 0.0 {
            bail!(Runtime, "ZeroDivisionError: alpha cannot be 0 for CELU");
        }
        activate(Id::CELU, &a, &[alpha.into(), (1.0 / alpha).into()], 2)
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const HARDTANH_NN: Structured = Structured {
    schema: "hardtanh(Tensor input, Scalar min_val=-1.0, Scalar max_val=1.0, bool inplace=False) -> Tensor",
    aliases: &[],
    doc: "`x` moved into `min_val..max_val`.\n\n>>> torch.nn.functional.hardtanh(torch.tensor([-3., 0.5]))\ntensor([-1.0000,  0.5000])",
    forms: Forms::NN,
    forward: |a| {
        let (low, high) = (a.number(1)?, a.number(2)?);
        if low.to_f64() > high.to_f64() {
            bail!(Value, "min_val cannot be greater than max_val");
        }
        activate(Id::HARDTANH, &a, &[low, high], 3)
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const RELU6_NN: Structured = Structured {
    schema: "relu6(Tensor input, bool inplace=False) -> Tensor",
    aliases: &[],
    doc: "`min(max(x, 0), 6)`.\n\n>>> torch.nn.functional.relu6(torch.tensor([-3., 8.]))\ntensor([0., 6.])",
    forms: Forms::NN,
    forward: |a| activate(Id::HARDTANH, &a, &[Scalar::Int(0), Scalar::Int(6)], 1),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const MISH_NN: Structured = Structured {
    schema: "mish(Tensor input, bool inplace=False) -> Tensor",
    aliases: &[],
    doc: "`x * tanh(log(1 + exp(x)))` (Misra, 2019).\n\n>>> torch.nn.functional.mish(torch.tensor([-1., 2.]))\ntensor([-0.3034,  1.9440])",
    forms: Forms::NN,
    forward: |a| activate(Id::MISH, &a, &[], 1),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const HARDSWISH_NN: Structured = Structured {
    schema: "hardswish(Tensor input, bool inplace=False) -> Tensor",
    aliases: &[],
    doc: "`x * relu6(x + 3) / 6` (Howard et al., 2019).\n\n>>> torch.nn.functional.hardswish(torch.tensor([-1., 2.]))\ntensor([-0.3333,  1.6667])",
    forms: Forms::NN,
    forward: |a| activate(Id::HARDSWISH, &a, &[], 1),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const HARDSIGMOID_NN: Structured = Structured {
    schema: "hardsigmoid(Tensor input, bool inplace=False) -> Tensor",
    aliases: &[],
    doc: "`relu6(x + 3) / 6`.\n\n>>> torch.nn.functional.hardsigmoid(torch.tensor([-1., 2.]))\ntensor([0.3333, 0.8333])",
    forms: Forms::NN,
    forward: |a| activate(Id::HARDSIGMOID, &a, &[], 1),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const LOGSIGMOID_NN: Structured = Structured {
    schema: "logsigmoid(Tensor input) -> Tensor",
    aliases: &[],
    doc: "`log(sigmoid(x))`, without overflow.\n\n>>> torch.nn.functional.logsigmoid(torch.tensor([-1., 2.]))\ntensor([-1.3133, -0.1269])",
    forms: Forms::NN,
    forward: |a| activate(Id::LOGSIGMOID, &a, &[], 1),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const HARDSHRINK_NN: Structured = Structured {
    schema: "hardshrink(Tensor input, Scalar lambd=0.5) -> Tensor",
    aliases: &[],
    doc: "`x`, and zero where it lies within `lambd` of zero.\n\n>>> torch.nn.functional.hardshrink(torch.tensor([-1., 0.2]))\ntensor([-1.,  0.])",
    forms: Forms::NN,
    forward: |a| activate(Id::HARDSHRINK, &a, &[a.number(1)?], 2),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const SOFTSHRINK_NN: Structured = Structured {
    schema: "softshrink(Tensor input, Scalar lambd=0.5) -> Tensor",
    aliases: &[],
    doc: "`x` moved toward zero by `lambd`, and zero within.\n\n>>> torch.nn.functional.softshrink(torch.tensor([-1., 0.2]))\ntensor([-0.5000,  0.0000])",
    forms: Forms::NN,
    forward: |a| {
        let (dtype, lambd) = (a.tensor(0)?.dtype(), a.number(1)?);
        if lambd.to_f64() < 0.0 {
            let most = match dtype {
                DType::F16 => "65504",
                DType::BF16 => "3.38953e+38",
                DType::F32 => "3.40282e+38",
                _ => "1.79769e+308",
            };
            bail!(
                Runtime,
                "lambda must be in range [0, {most}] for input dtype {}, but found {}",
                dtype.scalar_name(),
                lambd.to_f64()
            );
        }
        activate(Id::SOFTSHRINK, &a, &[lambd], 2)
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const THRESHOLD_NN: Structured = Structured {
    schema: "threshold(Tensor input, Scalar threshold, Scalar value, bool inplace=False) -> Tensor",
    aliases: &[],
    doc: "`x` above the threshold, `value` elsewhere.\n\n>>> torch.nn.functional.threshold(torch.tensor([1., 3.]), 2, 0)\ntensor([0., 3.])",
    forms: Forms::NN,
    forward: |a| activate(Id::THRESHOLD, &a, &[a.number(1)?, a.number(2)?], 3),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const SOFTSIGN_NN: Structured = Structured {
    schema: "softsign(Tensor input) -> Tensor",
    aliases: &[],
    doc: "`x / (1 + abs(x))`.\n\n>>> torch.nn.functional.softsign(torch.tensor([-1., 3.]))\ntensor([-0.5000,  0.7500])",
    forms: Forms::NN,
    forward: |a| {
        let x = a.tensor(0)?;
        let abs = pointwise::call(Id::ABS, &[x.into()])?;
        let under = pointwise::call(Id::ADD, &[(&abs).into(), 1i64.into()])?;
        Ok(smallvec![x.div(&under)?])
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const TANHSHRINK_NN: Structured = Structured {
    schema: "tanhshrink(Tensor input) -> Tensor",
    aliases: &[],
    doc: "`x - tanh(x)`.\n\n>>> torch.nn.functional.tanhshrink(torch.tensor([-1., 2.]))\ntensor([-0.2384,  1.0360])",
    forms: Forms::NN,
    forward: |a| {
        let x = a.tensor(0)?;
        Ok(smallvec![x.sub(&call1(Id::TANH, &[x.into()])?)?])
    },
    vjp: Vjp::Composed,
    node: "",
};
