//! Powers, roots, exponentials and logarithms.

use crate::formula::{Vjp, X};
use crate::op::{Forms, Pointwise, Range, Rule};
use wengert_kernels::kernel;

pub(crate) const POW_NUMBER: Pointwise = Pointwise {
    schema: "pow.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor",
    aliases: &[],
    doc: "Each element raised to a number.\n\n>>> torch.pow(torch.tensor([1., 2., 3.]), 2)\ntensor([1., 4., 9.])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    forward: kernel!(float |a, b| a.pow(b); int |a, b| a.pow(b); bool |a, b| a | !b),
    vjp: Vjp::Two(|a, b, _y, g| ((g * (b * a.pow(b - 1.0))).when(b.ne(0.0)), X::None)),
    node: "PowBackward0",
    samples: &[Range(0.1, 3.0), Range(-2.0, 3.0)],
};

pub(crate) const POW: Pointwise = Pointwise {
    schema: "pow.Tensor_Tensor(Tensor self, Tensor exponent) -> Tensor",
    aliases: &[],
    doc: "Each element raised to the matching exponent.\n\n>>> torch.pow(torch.tensor([1., 2.]), torch.tensor([3., 4.]))\ntensor([ 1., 16.])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    forward: kernel!(float |a, b| a.pow(b); int |a, b| a.pow(b)),
    vjp: Vjp::Two(|a, b, y, g| {
        let zero = a.eq(0.0).and(b.ge(0.0));
        ((g * (b * a.pow(b - 1.0))).when(b.ne(0.0)), X::Lit(0.0).when_else(zero, g * (y * a.log())))
    }),
    node: "PowBackward1",
    samples: &[Range(0.1, 3.0), Range(-2.0, 3.0)],
};

pub(crate) const POW_BASE: Pointwise = Pointwise {
    schema: "pow.Scalar(Scalar self, Tensor exponent) -> Tensor",
    aliases: &[],
    doc: "A number raised to each element.\n\n>>> torch.pow(2, torch.tensor([1., 2., 3.]))\ntensor([2., 4., 8.])",
    forms: Forms::FUNCTION,
    dtype: Rule::Promote,
    forward: kernel!(float |a, b| a.pow(b); int |a, b| a.pow(b)),
    vjp: Vjp::Two(|a, b, y, g| {
        let zero = a.eq(0.0).and(b.ge(0.0));
        (X::None, X::Lit(0.0).when_else(zero, g * (y * a.log())))
    }),
    node: "PowBackward2",
    samples: &[Range(0.1, 3.0), Range(-2.0, 3.0)],
};

pub(crate) const CUBE: Pointwise = Pointwise {
    schema: "_cube(Tensor self) -> Tensor",
    aliases: &[],
    doc: "Each element to the third power.",
    forms: Forms::HIDDEN,
    dtype: Rule::Promote,
    forward: kernel!(float |x| x * x * x; int |x| x.wrapping_mul(x).wrapping_mul(x)),
    vjp: Vjp::One(|x, _y, g| g * (x * x * 3.0)),
    node: "PowBackward0(exponent=3)",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const INVERSE_SQUARE: Pointwise = Pointwise {
    schema: "_inverse_square(Tensor self) -> Tensor",
    aliases: &[],
    doc: "One over the square of each element.",
    forms: Forms::HIDDEN,
    dtype: Rule::Promote,
    forward: kernel!(float | x | T::lit(1.0) / (x * x)),
    vjp: Vjp::One(|x, _y, g| g * (-2.0 / (x * x * x))),
    node: "PowBackward0(exponent=-2)",
    samples: &[Range(0.1, 4.0)],
};

pub(crate) const SQRT: Pointwise = Pointwise {
    schema: "sqrt(Tensor self) -> Tensor",
    aliases: &[],
    doc: "Square root; NaN below zero.\n\n>>> torch.sqrt(torch.tensor([0.5, 1.0]))\ntensor([0.7071, 1.0000])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | x | x.sqrt()),
    vjp: Vjp::One(|_x, y, g| g / (2.0 * y)),
    node: "SqrtBackward0",
    samples: &[Range(0.1, 4.0)],
};

pub(crate) const RSQRT: Pointwise = Pointwise {
    schema: "rsqrt(Tensor self) -> Tensor",
    aliases: &[],
    doc: "One over the square root.\n\n>>> torch.rsqrt(torch.tensor([0.5, 1.0]))\ntensor([1.4142, 1.0000])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | x | x.rsqrt()),
    vjp: Vjp::One(|_x, y, g| -0.5 * g * (y * y * y)),
    node: "RsqrtBackward0",
    samples: &[Range(0.1, 4.0)],
};

pub(crate) const EXP: Pointwise = Pointwise {
    schema: "exp(Tensor self) -> Tensor",
    aliases: &[],
    doc: "e to the power of each element.\n\n>>> torch.exp(torch.tensor([0.5, 1.0]))\ntensor([1.6487, 2.7183])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | x | x.exp()),
    vjp: Vjp::One(|_x, y, g| g * y),
    node: "ExpBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const EXP2: Pointwise = Pointwise {
    schema: "exp2(Tensor self) -> Tensor",
    aliases: &["special_exp2"],
    doc: "2 to the power of each element.\n\n>>> torch.exp2(torch.tensor([0.5, 1.0]))\ntensor([1.4142, 2.0000])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | x | x.exp2()),
    vjp: Vjp::One(|_x, y, g| g * y * std::f64::consts::LN_2),
    node: "Exp2Backward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const EXPM1: Pointwise = Pointwise {
    schema: "expm1(Tensor self) -> Tensor",
    aliases: &["special_expm1"],
    doc: "`exp(x) - 1`, accurate near zero.\n\n>>> torch.expm1(torch.tensor([0.5, 1.0]))\ntensor([0.6487, 1.7183])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | x | x.expm1()),
    vjp: Vjp::One(|_x, y, g| g * (y + 1.0)),
    node: "Expm1Backward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const LOG: Pointwise = Pointwise {
    schema: "log(Tensor self) -> Tensor",
    aliases: &[],
    doc: "Natural logarithm; NaN below zero.\n\n>>> torch.log(torch.tensor([0.5, 1.0]))\ntensor([-0.6931,  0.0000])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | x | x.log()),
    vjp: Vjp::One(|x, _y, g| g / x),
    node: "LogBackward0",
    samples: &[Range(0.1, 4.0)],
};

pub(crate) const LOG2: Pointwise = Pointwise {
    schema: "log2(Tensor self) -> Tensor",
    aliases: &[],
    doc: "Logarithm to base 2.\n\n>>> torch.log2(torch.tensor([0.5, 1.0]))\ntensor([-1.,  0.])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | x | x.log2()),
    vjp: Vjp::One(|x, _y, g| g / (x * std::f64::consts::LN_2)),
    node: "Log2Backward0",
    samples: &[Range(0.1, 4.0)],
};

pub(crate) const LOG10: Pointwise = Pointwise {
    schema: "log10(Tensor self) -> Tensor",
    aliases: &[],
    doc: "Logarithm to base 10.\n\n>>> torch.log10(torch.tensor([0.5, 1.0]))\ntensor([-0.3010,  0.0000])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | x | x.log10()),
    vjp: Vjp::One(|x, _y, g| g / (x * std::f64::consts::LN_10)),
    node: "Log10Backward0",
    samples: &[Range(0.1, 4.0)],
};

pub(crate) const LOG1P: Pointwise = Pointwise {
    schema: "log1p(Tensor self) -> Tensor",
    aliases: &["special_log1p"],
    doc: "`log(1 + x)`, accurate near zero.\n\n>>> torch.log1p(torch.tensor([0.5, 1.0]))\ntensor([0.4055, 0.6931])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | x | x.log1p()),
    vjp: Vjp::One(|x, _y, g| g / (x + 1.0)),
    node: "Log1PBackward0",
    samples: &[Range(0.1, 4.0)],
};
