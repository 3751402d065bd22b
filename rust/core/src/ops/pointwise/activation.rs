//! Activation functions and the error function.

use crate::formula::{Vjp, X};
use crate::op::{Forms, Pointwise, Range, Rule};
use wengert_kernels::kernel;

pub(crate) const SIGMOID: Pointwise = Pointwise {
    schema: "sigmoid(Tensor self) -> Tensor",
    aliases: &["special_expit"],
    doc: "`1 / (1 + exp(-x))`.\n\n>>> torch.sigmoid(torch.tensor([0.5, 1.0]))\ntensor([0.6225, 0.7311])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | x | x.sigmoid()),
    vjp: Vjp::One(|_x, y, g| g * (1.0 - y) * y),
    node: "SigmoidBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const RELU: Pointwise = Pointwise {
    schema: "relu(Tensor self) -> Tensor",
    aliases: &[],
    doc: "`max(x, 0)`.\n\n>>> torch.relu(torch.tensor([-1.0, 2.0]))\ntensor([0., 2.])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    // A zero keeps its sign.
    forward: kernel!(
        float |x| T::select(x < T::lit(0.0), T::lit(0.0), x);
        int |x| x.max(T::lit(0))
    ),
    vjp: Vjp::One(|_x, y, g| X::Lit(0.0).when_else(y.le(0.0), g).beside(y)),
    node: "ReluBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const GELU: Pointwise = Pointwise {
    schema: "_gelu(Tensor input) -> Tensor",
    aliases: &[],
    doc: "`x * Phi(x)`, with Phi the normal distribution function.",
    forms: Forms::HIDDEN,
    dtype: Rule::Promote,
    forward: kernel!(
        float
            | x
            | x * T::lit(0.5) * (T::lit(1.0) + (x * T::lit(std::f64::consts::FRAC_1_SQRT_2)).erf())
    ),
    vjp: Vjp::One(|x, _y, g| {
        let cdf = (1.0 + (x * std::f64::consts::FRAC_1_SQRT_2).erf()) * 0.5;
        let pdf = (x * x * -0.5).exp() * 0.398_942_280_401_432_7;
        g * (cdf + x * pdf)
    }),
    node: "GeluBackward0(approximate='none')",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const GELU_TANH: Pointwise = Pointwise {
    schema: "_gelu_tanh(Tensor input) -> Tensor",
    aliases: &[],
    doc: "The tanh approximation of gelu.",
    forms: Forms::HIDDEN,
    dtype: Rule::Promote,
    forward: kernel!(
        float
            | x
            | x * T::lit(0.5)
                * (T::lit(1.0)
                    + ((x + x * x * x * T::lit(0.044715)) * T::lit(0.797_884_560_802_865_4))
                        .tanh())
    ),
    vjp: Vjp::One(|x, _y, g| {
        let inner = (x + x * x * x * 0.044715) * 0.797_884_560_802_865_4;
        let t = inner.tanh();
        let slope = (1.0 + x * x * 0.134145) * 0.797_884_560_802_865_4;
        g * ((1.0 + t) * 0.5 + x * (1.0 - t * t) * slope * 0.5)
    }),
    node: "GeluBackward0(approximate='tanh')",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const SILU: Pointwise = Pointwise {
    schema: "_silu(Tensor input) -> Tensor",
    aliases: &[],
    doc: "`x * sigmoid(x)`.",
    forms: Forms::HIDDEN,
    dtype: Rule::Promote,
    forward: kernel!(float | x | x * x.sigmoid()),
    vjp: Vjp::One(|x, _y, g| {
        let s = x.sigmoid();
        g * (s * (1.0 + x * (1.0 - s)))
    }),
    node: "SiluBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const SOFTPLUS: Pointwise = Pointwise {
    schema: "softplus(Tensor input, Scalar beta=1, Scalar threshold=20) -> Tensor",
    aliases: &[],
    doc: "`log(1 + exp(beta * x)) / beta`, and `x` itself where `beta * x > threshold`.\n\n>>> torch.nn.functional.softplus(torch.tensor([-1., 2.]))\ntensor([0.3133, 2.1269])",
    forms: Forms::NN,
    dtype: Rule::First,
    forward: kernel!(float | x, b, t | T::select(x * b > t, x, (x * b).exp().log1p() / b)),
    vjp: Vjp::Three(|x, b, t, _y, g| {
        let z = (x * b).exp();
        (g.when_else((x * b).gt(t), g * z / (z + 1.0)), X::None, X::None)
    }),
    node: "SoftplusBackward0",
    samples: &[Range(-4.0, 4.0), Range(0.5, 2.0), Range(20.0, 30.0)],
};

pub(crate) const ERF: Pointwise = Pointwise {
    schema: "erf(Tensor self) -> Tensor",
    aliases: &["special_erf"],
    doc: "Error function.\n\n>>> torch.erf(torch.tensor([0.5, 1.0]))\ntensor([0.5205, 0.8427])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | x | x.erf()),
    vjp: Vjp::One(|x, _y, g| (x * x * -1.0).exp() * std::f64::consts::FRAC_2_SQRT_PI * g),
    node: "ErfBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const ERFC: Pointwise = Pointwise {
    schema: "erfc(Tensor self) -> Tensor",
    aliases: &["special_erfc"],
    doc: "Complementary error function.\n\n>>> torch.erfc(torch.tensor([0.5, 1.0]))\ntensor([0.4795, 0.1573])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | x | x.erfc()),
    vjp: Vjp::One(|x, _y, g| (x * x * -1.0).exp() * -std::f64::consts::FRAC_2_SQRT_PI * g),
    node: "ErfcBackward0",
    samples: &[Range(-4.0, 4.0)],
};
