//! Blends, angles, and functions of two arguments with care at the edges.

use crate::formula::{Vjp, X};
use crate::op::{Forms, Pointwise, Range, Rule};
use crate::ops::Id;
use std::f64::consts::{LN_2, PI};
use wengert_kernels::kernel;

pub(crate) const LERP: Pointwise = Pointwise {
    schema: "_lerp(Tensor self, Tensor end, Scalar weight) -> Tensor",
    aliases: &[],
    doc: "`self + weight * (end - self)`, from the nearer end.",
    forms: Forms::HIDDEN,
    dtype: Rule::First,
    forward: kernel!(
        float | a,
        b,
        w | T::select(w.abs() < T::lit(0.5), a + w * (b - a), b - (b - a) * (T::lit(1.0) - w))
    ),
    vjp: Vjp::Three(|_a, _b, w, _y, g| (g * (1.0 - w), g * w, X::None)),
    node: "LerpBackward0",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0), Range(0.0, 1.0)],
};

pub(crate) const LERP_TENSOR: Pointwise = Pointwise {
    schema: "_lerp.Tensor(Tensor self, Tensor end, Tensor weight) -> Tensor",
    vjp: Vjp::Three(|a, b, w, _y, g| (g * (1.0 - w), g * w, g * (b - a))),
    node: "LerpBackward1",
    ..LERP
};

pub(crate) const LOGADDEXP: Pointwise = Pointwise {
    schema: "logaddexp(Tensor self, Tensor other) -> Tensor",
    aliases: &[],
    doc: "`log(exp(self) + exp(other))`, without overflow.\n\n>>> torch.logaddexp(torch.tensor([1000.]), torch.tensor([1000.]))\ntensor([1000.6932])",
    forms: Forms::BOTH,
    dtype: Rule::Promote,
    forward: kernel!(
        float | a,
        b | T::select(a.is_inf() && a == b, a, a.max_nan(b) + (-(a - b).abs()).exp().log1p())
    ),
    vjp: Vjp::Two(|a, b, _y, g| (g / (1.0 + (b - a).exp()), g / (1.0 + (a - b).exp()))),
    node: "LogaddexpBackward0",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const LOGADDEXP2: Pointwise = Pointwise {
    schema: "logaddexp2(Tensor self, Tensor other) -> Tensor",
    aliases: &[],
    doc: "`log2(2 ** self + 2 ** other)`, without overflow.\n\n>>> torch.logaddexp2(torch.tensor([1000.]), torch.tensor([1000.]))\ntensor([1001.])",
    forms: Forms::BOTH,
    dtype: Rule::Promote,
    forward: kernel!(
        float | a,
        b | T::select(
            a.is_inf() && a == b,
            a,
            a.max_nan(b) + (-(a - b).abs()).exp2().log1p() * T::lit(1.0 / LN_2)
        )
    ),
    vjp: Vjp::Two(|a, b, _y, g| {
        let share = |d: X| 1.0 + (d * LN_2).exp();
        (g / share(b - a), g / share(a - b))
    }),
    node: "Logaddexp2Backward0",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const XLOGY: Pointwise = Pointwise {
    schema: "xlogy(Tensor self, Tensor other) -> Tensor",
    aliases: &["special_xlogy"],
    doc: "`self * log(other)`; 0 where `self` is 0, unless `other` is NaN.\n\n>>> torch.xlogy(torch.tensor([0., 2.]), torch.tensor([0., 1.]))\ntensor([0., 0.])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(
        float | a,
        b | T::select(b.is_nan(), b, T::select(a == T::lit(0.0), T::lit(0.0), a * b.log()))
    ),
    vjp: Vjp::Two(|a, b, _y, g| {
        let undefined = a.eq(0.0).and(b.le(0.0));
        (X::Lit(0.0).when_else(undefined, X::op(Id::XLOGY, &[g, b])), g * a / b)
    }),
    node: "XlogyBackward0",
    samples: &[Range(-4.0, 4.0), Range(0.1, 4.0)],
};

pub(crate) const XLOGY_SELF: Pointwise = Pointwise {
    schema: "xlogy.Scalar_Self(Scalar self, Tensor other) -> Tensor",
    forms: Forms::FUNCTION,
    node: "XlogyBackward1",
    ..XLOGY
};

pub(crate) const XLOGY_OTHER: Pointwise = Pointwise {
    schema: "xlogy.Scalar_Other(Tensor self, Scalar other) -> Tensor",
    node: "XlogyBackward2",
    ..XLOGY
};

pub(crate) const HYPOT: Pointwise = Pointwise {
    schema: "hypot(Tensor self, Tensor other) -> Tensor",
    aliases: &[],
    doc: "`sqrt(self ** 2 + other ** 2)`, without overflow.\n\n>>> torch.hypot(torch.tensor([3.]), torch.tensor([4.]))\ntensor([5.])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    // Scaled by the larger side; an infinity wins over a NaN.
    forward: kernel!(
        float | a,
        b | {
            let (x, y) = (a.abs(), b.abs());
            let (high, low) = (x.max_nan(y), x.min_nan(y));
            let ratio = low / high;
            let scaled = high * (T::lit(1.0) + ratio * ratio).sqrt();
            let finite = T::select(high == T::lit(0.0), high, scaled);
            T::select(x.is_inf() || y.is_inf(), T::lit(f64::INFINITY), finite)
        }
    ),
    vjp: Vjp::Two(|a, b, y, g| (g * a / y, g * b / y)),
    node: "HypotBackward0",
    samples: &[Range(0.1, 4.0), Range(0.1, 4.0)],
};

pub(crate) const SINC: Pointwise = Pointwise {
    schema: "sinc(Tensor self) -> Tensor",
    aliases: &["special_sinc"],
    doc: "`sin(pi x) / (pi x)`, and 1 at 0.\n\n>>> torch.sinc(torch.tensor([0., 0.5]))\ntensor([1.0000, 0.6366])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(
        float | x | {
            let p = x * T::lit(PI);
            T::select(x == T::lit(0.0), T::lit(1.0), p.sin() / p)
        }
    ),
    vjp: Vjp::One(|x, _y, g| {
        let (p, square) = (x * PI, x * x * PI);
        let slope = (p * p.cos() - p.sin()) / square;
        g * X::Lit(0.0).when_else(square.eq(0.0), slope)
    }),
    node: "SincBackward0",
    samples: &[Range(0.2, 3.0)],
};

pub(crate) const DEG2RAD: Pointwise = Pointwise {
    schema: "deg2rad(Tensor self) -> Tensor",
    aliases: &[],
    doc: "Degrees as radians.\n\n>>> torch.deg2rad(torch.tensor([180., 90.]))\ntensor([3.1416, 1.5708])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | x | x * T::lit(PI / 180.0)),
    vjp: Vjp::One(|_x, _y, g| g * (PI / 180.0)),
    node: "Deg2RadBackward0",
    samples: &[Range(-180.0, 180.0)],
};

pub(crate) const RAD2DEG: Pointwise = Pointwise {
    schema: "rad2deg(Tensor self) -> Tensor",
    aliases: &[],
    doc: "Radians as degrees.\n\n>>> torch.rad2deg(torch.tensor([0., 3.14159274]))\ntensor([  0., 180.])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | x | x * T::lit(180.0 / PI)),
    vjp: Vjp::One(|_x, _y, g| g * (180.0 / PI)),
    node: "Rad2DegBackward0",
    samples: &[Range(-3.0, 3.0)],
};
