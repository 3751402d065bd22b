//! Circular and hyperbolic functions.

use crate::formula::Vjp;
use crate::op::{Forms, Pointwise, Range, Rule};
use wengert_kernels::kernel;

pub(crate) const SIN: Pointwise = Pointwise {
    schema: "sin(Tensor self) -> Tensor",
    aliases: &[],
    doc: "Sine of each element (radians).\n\n>>> torch.sin(torch.tensor([0.5, 1.0]))\ntensor([0.4794, 0.8415])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(quick | x | x.sin()),
    vjp: Vjp::One(|x, _y, g| g * x.cos()),
    node: "SinBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const COS: Pointwise = Pointwise {
    schema: "cos(Tensor self) -> Tensor",
    aliases: &[],
    doc: "Cosine of each element (radians).\n\n>>> torch.cos(torch.tensor([0.5, 1.0]))\ntensor([0.8776, 0.5403])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(quick | x | x.cos()),
    vjp: Vjp::One(|x, _y, g| g * -x.sin()),
    node: "CosBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const TAN: Pointwise = Pointwise {
    schema: "tan(Tensor self) -> Tensor",
    aliases: &[],
    doc: "Tangent of each element (radians).\n\n>>> torch.tan(torch.tensor([0.5, 1.0]))\ntensor([0.5463, 1.5574])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(quick | x | x.tan()),
    vjp: Vjp::One(|_x, y, g| g * (1.0 + y * y)),
    node: "TanBackward0",
    samples: &[Range(-1.2, 1.2)],
};

pub(crate) const ASIN: Pointwise = Pointwise {
    schema: "asin(Tensor self) -> Tensor",
    aliases: &["arcsin"],
    doc: "Inverse sine; NaN outside -1..1.\n\n>>> torch.asin(torch.tensor([0.5, 1.0]))\ntensor([0.5236, 1.5708])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | x | x.asin()),
    vjp: Vjp::One(|x, _y, g| g * (-x * x + 1.0).rsqrt()),
    node: "AsinBackward0",
    samples: &[Range(-0.9, 0.9)],
};

pub(crate) const ACOS: Pointwise = Pointwise {
    schema: "acos(Tensor self) -> Tensor",
    aliases: &["arccos"],
    doc: "Inverse cosine; NaN outside -1..1.\n\n>>> torch.acos(torch.tensor([0.5, 1.0]))\ntensor([1.0472, 0.0000])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | x | x.acos()),
    vjp: Vjp::One(|x, _y, g| g * -(-x * x + 1.0).rsqrt()),
    node: "AcosBackward0",
    samples: &[Range(-0.9, 0.9)],
};

pub(crate) const ATAN: Pointwise = Pointwise {
    schema: "atan(Tensor self) -> Tensor",
    aliases: &["arctan"],
    doc: "Inverse tangent.\n\n>>> torch.atan(torch.tensor([0.5, 1.0]))\ntensor([0.4636, 0.7854])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | x | x.atan()),
    vjp: Vjp::One(|x, _y, g| g / (x * x + 1.0)),
    node: "AtanBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const ATAN2: Pointwise = Pointwise {
    schema: "atan2(Tensor self, Tensor other) -> Tensor",
    aliases: &["arctan2"],
    doc: "Angle of the point (other, self), in -pi..pi.\n\n>>> torch.atan2(torch.tensor([1., -1.]), torch.tensor([1., 1.]))\ntensor([ 0.7854, -0.7854])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | a, b | a.atan2(b)),
    vjp: Vjp::Two(|a, b, _y, g| {
        let r = (a * a + b * b).recip();
        (g * b * r, g * -a * r)
    }),
    node: "Atan2Backward0",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const SINH: Pointwise = Pointwise {
    schema: "sinh(Tensor self) -> Tensor",
    aliases: &[],
    doc: "Hyperbolic sine.\n\n>>> torch.sinh(torch.tensor([0.5, 1.0]))\ntensor([0.5211, 1.1752])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | x | x.sinh()),
    vjp: Vjp::One(|x, _y, g| g * x.cosh()),
    node: "SinhBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const COSH: Pointwise = Pointwise {
    schema: "cosh(Tensor self) -> Tensor",
    aliases: &[],
    doc: "Hyperbolic cosine.\n\n>>> torch.cosh(torch.tensor([0.5, 1.0]))\ntensor([1.1276, 1.5431])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | x | x.cosh()),
    vjp: Vjp::One(|x, _y, g| g * x.sinh()),
    node: "CoshBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const TANH: Pointwise = Pointwise {
    schema: "tanh(Tensor self) -> Tensor",
    aliases: &[],
    doc: "Hyperbolic tangent.\n\n>>> torch.tanh(torch.tensor([0.5, 1.0]))\ntensor([0.4621, 0.7616])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | x | x.tanh()),
    vjp: Vjp::One(|_x, y, g| g * (1.0 - y * y)),
    node: "TanhBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const ASINH: Pointwise = Pointwise {
    schema: "asinh(Tensor self) -> Tensor",
    aliases: &["arcsinh"],
    doc: "Inverse hyperbolic sine.\n\n>>> torch.asinh(torch.tensor([0.5, 1.0]))\ntensor([0.4812, 0.8814])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | x | x.asinh()),
    vjp: Vjp::One(|x, _y, g| g * (x * x + 1.0).rsqrt()),
    node: "AsinhBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const ACOSH: Pointwise = Pointwise {
    schema: "acosh(Tensor self) -> Tensor",
    aliases: &["arccosh"],
    doc: "Inverse hyperbolic cosine; NaN below 1.\n\n>>> torch.acosh(torch.tensor([1.0, 2.0]))\ntensor([0.0000, 1.3170])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | x | x.acosh()),
    vjp: Vjp::One(|x, _y, g| g * (x * x - 1.0).rsqrt()),
    node: "AcoshBackward0",
    samples: &[Range(1.2, 4.0)],
};

pub(crate) const ATANH: Pointwise = Pointwise {
    schema: "atanh(Tensor self) -> Tensor",
    aliases: &["arctanh"],
    doc: "Inverse hyperbolic tangent; NaN outside -1..1.\n\n>>> torch.atanh(torch.tensor([0.0, 0.5]))\ntensor([0.0000, 0.5493])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | x | x.atanh()),
    vjp: Vjp::One(|x, _y, g| g / (1.0 - x * x)),
    node: "AtanhBackward0",
    samples: &[Range(-0.9, 0.9)],
};
