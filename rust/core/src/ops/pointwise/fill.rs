//! One value everywhere, in place.

use crate::formula::{Vjp, X};
use crate::op::{Forms, Pointwise, Range, Rule};
use wengert_kernels::kernel;

pub(crate) const FILL_IN_PLACE: Pointwise = Pointwise {
    schema: "fill.Scalar(Tensor self, Scalar value) -> Tensor",
    aliases: &[],
    doc: "One value everywhere.\n\n>>> torch.ones(2).fill_(3)\ntensor([3., 3.])",
    forms: Forms::IN_PLACE,
    dtype: Rule::First,
    forward: kernel!(float |_a, b| b; int |_a, b| b; bool |_a, b| b),
    vjp: Vjp::Two(|_a, _b, _y, g| (g.when(X::Lit(0.0)), X::None)),
    node: "FillBackward2",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const ZERO_IN_PLACE: Pointwise = Pointwise {
    schema: "zero(Tensor self) -> Tensor",
    aliases: &[],
    doc: "Zero everywhere.\n\n>>> torch.ones(2).zero_()\ntensor([0., 0.])",
    forms: Forms::IN_PLACE,
    dtype: Rule::First,
    forward: kernel!(float |_x| T::lit(0.0); int |x| x.wrapping_sub(x); bool |x| x & !x),
    vjp: Vjp::One(|_x, _y, g| g.when(X::Lit(0.0))),
    node: "ZeroBackward0",
    samples: &[Range(-4.0, 4.0)],
};
