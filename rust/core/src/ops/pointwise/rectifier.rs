//! Activation functions that bend at one or two points; Python sees them through `ops::nn`.

use crate::formula::{Vjp, X};
use crate::op::{Forms, Pointwise, Range, Rule};
use wengert_kernels::kernel;

pub(crate) const LEAKY_RELU: Pointwise = Pointwise {
    schema: "_leaky_relu(Tensor input, Scalar negative_slope) -> Tensor",
    aliases: &[],
    doc: "`x` above zero, `negative_slope * x` below.",
    forms: Forms::HIDDEN,
    dtype: Rule::First,
    forward: kernel!(float | x, s | T::select(x > T::lit(0.0), x, x * s)),
    vjp: Vjp::Two(|x, s, _y, g| (g.when_else(x.gt(0.0), g * s).beside(x), X::None)),
    node: "LeakyReluBackward0",
    samples: &[Range(-4.0, 4.0), Range(0.01, 0.5)],
};

pub(crate) const ELU: Pointwise = Pointwise {
    schema: "_elu(Tensor input, Scalar alpha) -> Tensor",
    aliases: &[],
    doc: "`x` above zero, `alpha * (exp(x) - 1)` below.",
    forms: Forms::HIDDEN,
    dtype: Rule::First,
    forward: kernel!(float | x, a | T::select(x < T::lit(0.0), x.expm1() * a, x)),
    vjp: Vjp::Two(|x, a, _y, g| ((g * (a * x.exp())).when_else(x.le(0.0), g), X::None)),
    node: "EluBackward0(alpha, scale=1, input_scale=1)",
    samples: &[Range(-4.0, 4.0), Range(0.5, 2.0)],
};

/// Alpha and scale of Klambauer et al. (2017), for which activations keep mean 0 and variance 1.
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;

pub(crate) const SELU: Pointwise = Pointwise {
    schema: "_selu(Tensor input) -> Tensor",
    aliases: &[],
    doc: "A scaled `elu` that keeps mean 0 and variance 1.",
    forms: Forms::HIDDEN,
    dtype: Rule::Promote,
    forward: kernel!(
        float | x | {
            let below = x.expm1() * (T::lit(SELU_ALPHA) * T::lit(SELU_SCALE));
            T::select(x < T::lit(0.0), below, x * T::lit(SELU_SCALE))
        }
    ),
    vjp: Vjp::One(|x, _y, g| {
        (g * (x.exp() * (SELU_ALPHA * SELU_SCALE))).when_else(x.le(0.0), g * SELU_SCALE)
    }),
    node: "EluBackward0(alpha=1.6732632423543772, scale=1.0507009873554805, input_scale=1)",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const CELU: Pointwise = Pointwise {
    schema: "_celu(Tensor input, Scalar alpha, Scalar inverse) -> Tensor",
    aliases: &[],
    doc: "`x` above zero, `alpha * (exp(x / alpha) - 1)` below.",
    forms: Forms::HIDDEN,
    dtype: Rule::First,
    forward: kernel!(float | x, a, i | T::select(x < T::lit(0.0), (x * i).expm1() * a, x)),
    vjp: Vjp::Three(|x, a, i, _y, g| {
        ((g * (i * a * (x * i).exp())).when_else(x.le(0.0), g), X::None, X::None)
    }),
    node: "CeluBackward0(alpha)",
    samples: &[Range(-4.0, 4.0), Range(1.0, 1.0), Range(1.0, 1.0)],
};

pub(crate) const HARDTANH: Pointwise = Pointwise {
    schema: "_hardtanh(Tensor input, Scalar min_val, Scalar max_val) -> Tensor",
    aliases: &[],
    doc: "`x` moved into `min_val..max_val`; no gradient at the limits.",
    forms: Forms::HIDDEN,
    dtype: Rule::First,
    forward: kernel!(float |x, a, b| x.max_nan(a).min_nan(b); int |x, a, b| x.max(a).min(b)),
    vjp: Vjp::Three(|x, a, b, _y, g| {
        (X::Lit(0.0).when_else(x.le(a).or(x.ge(b)), g).beside(x), X::None, X::None)
    }),
    node: "HardtanhBackward0",
    samples: &[Range(-4.0, 4.0), Range(-2.0, -1.0), Range(1.0, 2.0)],
};

pub(crate) const MISH: Pointwise = Pointwise {
    schema: "_mish(Tensor input) -> Tensor",
    aliases: &[],
    doc: "`x * tanh(log(1 + exp(x)))`.",
    forms: Forms::HIDDEN,
    dtype: Rule::Promote,
    forward: kernel!(float | x | x * x.exp().log1p().tanh()),
    vjp: Vjp::One(|x, _y, g| {
        let t = X::op(crate::ops::Id::SOFTPLUS, &[x, X::Lit(1.0), X::Lit(20.0)]).tanh();
        g * (t + x * x.sigmoid() * (1.0 - t * t))
    }),
    node: "MishBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const HARDSWISH: Pointwise = Pointwise {
    schema: "_hardswish(Tensor input) -> Tensor",
    aliases: &[],
    doc: "`x * clamp(x + 3, 0, 6) / 6`.",
    forms: Forms::HIDDEN,
    dtype: Rule::Promote,
    forward: kernel!(
        float | x | x * (x + T::lit(3.0)).max_nan(T::lit(0.0)).min_nan(T::lit(6.0)) / T::lit(6.0)
    ),
    vjp: Vjp::One(|x, _y, g| {
        let inside = (g * (x / 3.0 + 0.5)).when_else(x.lt(3.0), g);
        X::Lit(0.0).when_else(x.le(-3.0), inside)
    }),
    node: "HardswishBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const HARDSIGMOID: Pointwise = Pointwise {
    schema: "_hardsigmoid(Tensor input) -> Tensor",
    aliases: &[],
    doc: "`clamp(x + 3, 0, 6) / 6`.",
    forms: Forms::HIDDEN,
    dtype: Rule::Promote,
    forward: kernel!(
        float | x | (x + T::lit(3.0)).max_nan(T::lit(0.0)).min_nan(T::lit(6.0)) / T::lit(6.0)
    ),
    vjp: Vjp::One(|x, _y, g| (g / 6.0).when(x.gt(-3.0).and(x.lt(3.0))).beside(x)),
    node: "HardsigmoidBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const LOGSIGMOID: Pointwise = Pointwise {
    schema: "_logsigmoid(Tensor input) -> Tensor",
    aliases: &[],
    doc: "`-log(1 + exp(-x))`.",
    forms: Forms::HIDDEN,
    dtype: Rule::Promote,
    forward: kernel!(float | x | x.min_nan(T::lit(0.0)) - (-x.abs()).exp().log1p()),
    vjp: Vjp::One(|x, _y, g| {
        // 1 / (1 + exp(x)), by way of exp(-|x|), which does not overflow.
        let z = (-x.abs()).exp();
        let z = z / (z + 1.0);
        g * (1.0 - z).when_else(x.lt(0.0), z)
    }),
    node: "LogSigmoidBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const HARDSHRINK: Pointwise = Pointwise {
    schema: "_hardshrink(Tensor input, Scalar lambd) -> Tensor",
    aliases: &[],
    doc: "`x`, and zero where it lies within `lambd` of zero.",
    forms: Forms::HIDDEN,
    dtype: Rule::First,
    forward: kernel!(float | x, l | T::select(x >= -l && x <= l, T::lit(0.0), x)),
    vjp: Vjp::Two(|x, l, _y, g| {
        (X::Lit(0.0).when_else(x.ge(-l).and(x.le(l)), g).beside(x), X::None)
    }),
    node: "HardshrinkBackward0",
    samples: &[Range(-4.0, 4.0), Range(0.5, 1.0)],
};

pub(crate) const SOFTSHRINK: Pointwise = Pointwise {
    schema: "_softshrink(Tensor input, Scalar lambd) -> Tensor",
    aliases: &[],
    doc: "`x` moved toward zero by `lambd`, and zero within.",
    forms: Forms::HIDDEN,
    dtype: Rule::First,
    // `x * 0` keeps a NaN.
    forward: kernel!(
        float | x,
        l | T::select(x > l, x - l, T::select(x < -l, x + l, x * T::lit(0.0)))
    ),
    vjp: Vjp::Two(|x, l, _y, g| {
        (X::Lit(0.0).when_else(x.ge(-l).and(x.le(l)), g).beside(x), X::None)
    }),
    node: "SoftshrinkBackward0",
    samples: &[Range(-4.0, 4.0), Range(0.5, 1.0)],
};

pub(crate) const THRESHOLD: Pointwise = Pointwise {
    schema: "_threshold(Tensor input, Scalar threshold, Scalar value) -> Tensor",
    aliases: &[],
    doc: "`x` above the threshold, `value` elsewhere.",
    forms: Forms::HIDDEN,
    dtype: Rule::First,
    forward: kernel!(
        float |x, t, v| T::select(x <= t, v, x);
        int |x, t, v| T::select(x <= t, v, x)
    ),
    vjp: Vjp::Three(|x, t, _v, _y, g| {
        (X::Lit(0.0).when_else(x.le(t), g).beside(x), X::None, X::None)
    }),
    node: "ThresholdBackward0",
    samples: &[Range(-4.0, 4.0), Range(-1.0, 1.0), Range(0.0, 1.0)],
};
