//! Rounding to integers.

use crate::formula::{Vjp, X};
use crate::op::{Forms, Pointwise, Range, Rule};
use wengert_kernels::kernel;

pub(crate) const FLOOR: Pointwise = Pointwise {
    schema: "floor(Tensor self) -> Tensor",
    aliases: &[],
    doc: "The largest integer not above each element.\n\n>>> torch.floor(torch.tensor([-1.5, 2.5]))\ntensor([-2.,  2.])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    forward: kernel!(float |x| x.floor(); int |x| x),
    vjp: Vjp::One(|_x, _y, g| g.when(X::Lit(0.0))),
    node: "FloorBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const CEIL: Pointwise = Pointwise {
    schema: "ceil(Tensor self) -> Tensor",
    aliases: &[],
    doc: "The smallest integer not below each element.\n\n>>> torch.ceil(torch.tensor([-1.5, 2.5]))\ntensor([-1.,  3.])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    forward: kernel!(float |x| x.ceil(); int |x| x),
    vjp: Vjp::One(|_x, _y, g| g.when(X::Lit(0.0))),
    node: "CeilBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const ROUND: Pointwise = Pointwise {
    schema: "round(Tensor self) -> Tensor",
    aliases: &["special_round"],
    doc: "The nearest integer; halves go to the even one.\n\n>>> torch.round(torch.tensor([-1.5, 2.5]))\ntensor([-2.,  2.])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    forward: kernel!(float |x| x.round_even(); int |x| x),
    vjp: Vjp::One(|_x, _y, g| g.when(X::Lit(0.0))),
    node: "RoundBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const TRUNC: Pointwise = Pointwise {
    schema: "trunc(Tensor self) -> Tensor",
    aliases: &["fix"],
    doc: "Each element without its fraction.\n\n>>> torch.trunc(torch.tensor([-1.5, 2.5]))\ntensor([-1.,  2.])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    forward: kernel!(float |x| x.trunc(); int |x| x),
    vjp: Vjp::One(|_x, _y, g| g.when(X::Lit(0.0))),
    node: "TruncBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const FRAC: Pointwise = Pointwise {
    schema: "frac(Tensor self) -> Tensor",
    aliases: &[],
    doc: "The fraction of each element, with its sign.\n\n>>> torch.frac(torch.tensor([-1.5, 2.5]))\ntensor([-0.5000,  0.5000])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    forward: kernel!(float | x | x - x.trunc()),
    vjp: Vjp::One(|_x, _y, g| g),
    node: "FracBackward0",
    samples: &[Range(-4.0, 4.0)],
};
