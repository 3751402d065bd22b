//! Sums, products, quotients and signs.

use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Pointwise, Range, Rule};
use crate::{Result, Tensor, bail};
use wengert_kernels::kernel;

pub(crate) const ADD: Pointwise = Pointwise {
    schema: "add(Tensor self, Operand other) -> Tensor",
    aliases: &[],
    doc: "Sum of two tensors, or of a tensor and a number.\n\n>>> torch.add(torch.tensor([1., 2.]), 10)\ntensor([11., 12.])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    forward: kernel!(float |a, b| a + b; int |a, b| a.wrapping_add(b); bool |a, b| a | b),
    vjp: Vjp::Two(|_a, _b, _y, g| (g, g)),
    node: "AddBackward0(alpha=1)",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const ADD_ALPHA: Pointwise = Pointwise {
    schema: "add.alpha(Tensor self, Operand other, *, Scalar alpha=1) -> Tensor",
    aliases: &[],
    doc: "`self + alpha * other`.\n\n>>> torch.add(torch.tensor([1., 2.]), torch.tensor([1., 1.]), alpha=3)\ntensor([4., 5.])",
    forms: Forms::ALL,
    dtype: Rule::Alpha,
    forward: kernel!(float |a, b, c| a + c * b; int |a, b, c| a.wrapping_add(c.wrapping_mul(b));
        bool |a, b, c| a | (b & c)),
    vjp: Vjp::Three(|_a, _b, c, _y, g| (g, g * c, X::None)),
    node: "AddBackward0",
    samples: &[Range(-4.0, 4.0), Range(-2.0, 2.0), Range(-2.0, 2.0)],
};

pub(crate) const SUB: Pointwise = Pointwise {
    schema: "sub(Tensor self, Operand other) -> Tensor",
    aliases: &["subtract"],
    doc: "Difference of two tensors, or of a tensor and a number. Not for two bool tensors.\n\n>>> torch.sub(torch.tensor([1., 2.]), 1)\ntensor([0., 1.])",
    forms: Forms::ALL,
    dtype: Rule::PromoteNoBool,
    forward: kernel!(float |a, b| a - b; int |a, b| a.wrapping_sub(b)),
    vjp: Vjp::Two(|_a, _b, _y, g| (g, -g)),
    node: "SubBackward0(alpha=1)",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const SUB_ALPHA: Pointwise = Pointwise {
    schema: "sub.alpha(Tensor self, Operand other, *, Scalar alpha=1) -> Tensor",
    aliases: &["subtract"],
    doc: "`self - alpha * other`.\n\n>>> torch.sub(torch.tensor([1., 2.]), torch.tensor([1., 1.]), alpha=3)\ntensor([-2., -1.])",
    forms: Forms::ALL,
    dtype: Rule::Alpha,
    forward: kernel!(float |a, b, c| a - c * b; int |a, b, c| a.wrapping_sub(c.wrapping_mul(b))),
    vjp: Vjp::Three(|_a, _b, c, _y, g| (g, -(g * c), X::None)),
    node: "SubBackward0",
    samples: &[Range(-4.0, 4.0), Range(-2.0, 2.0), Range(-2.0, 2.0)],
};

pub(crate) const RSUB: Pointwise = Pointwise {
    schema: "_rsub(Tensor self, Scalar other) -> Tensor",
    aliases: &[],
    doc: "A number less each element.",
    forms: Forms::HIDDEN,
    dtype: Rule::PromoteNoBool,
    forward: kernel!(float |a, b| b - a; int |a, b| b.wrapping_sub(a)),
    vjp: Vjp::Two(|_a, _b, _y, g| (-g, X::None)),
    node: "RsubBackward1(alpha=1)",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const RSUB_TENSOR: Pointwise = Pointwise {
    schema: "rsub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
    aliases: &[],
    doc: "`other - alpha * self`.\n\n>>> torch.rsub(torch.tensor([1., 2.]), torch.tensor([5., 5.]), alpha=2)\ntensor([3., 1.])",
    forms: Forms::FUNCTION,
    dtype: Rule::Alpha,
    forward: kernel!(float |a, b, c| b - c * a; int |a, b, c| b.wrapping_sub(c.wrapping_mul(a))),
    vjp: Vjp::Three(|_a, _b, c, _y, g| (-(g * c), g, X::None)),
    node: "RsubBackward0",
    samples: &[Range(-4.0, 4.0), Range(-2.0, 2.0), Range(-2.0, 2.0)],
};

pub(crate) const RSUB_NUMBER: Pointwise = Pointwise {
    schema: "rsub.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor",
    doc: "`other - alpha * self`.\n\n>>> torch.rsub(torch.tensor([1., 2.]), 1)\ntensor([ 0., -1.])",
    vjp: Vjp::Three(|_a, _b, c, _y, g| (-(g * c), X::None, X::None)),
    node: "RsubBackward1",
    ..RSUB_TENSOR
};

pub(crate) const MUL: Pointwise = Pointwise {
    schema: "mul(Tensor self, Operand other) -> Tensor",
    aliases: &["multiply"],
    doc: "Product of two tensors, or of a tensor and a number, element by element.\n\n>>> torch.mul(torch.tensor([1., 2.]), torch.tensor([3., 4.]))\ntensor([3., 8.])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    forward: kernel!(float |a, b| a * b; int |a, b| a.wrapping_mul(b); bool |a, b| a & b),
    vjp: Vjp::Two(|a, b, _y, g| (g * b, g * a)),
    node: "MulBackward0",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const DIV: Pointwise = Pointwise {
    schema: "div(Tensor self, Operand other) -> Tensor",
    aliases: &["divide", "true_divide"],
    doc: "True quotient; integers give the default float.\n\n>>> torch.div(torch.tensor([1., 2.]), 4)\ntensor([0.2500, 0.5000])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | a, b | a / b),
    vjp: Vjp::Two(|a, b, _y, g| (g / b, -g * ((a / b) / b))),
    node: "DivBackward0",
    samples: &[Range(-4.0, 4.0), Range(0.5, 3.0)],
};

// With a number, as PyTorch's functions that are not written in Python call them.
pub(crate) const ADD_NUMBER: Pointwise = Pointwise {
    schema: "_add_number(Tensor self, Scalar other) -> Tensor",
    aliases: &[],
    forms: Forms::HIDDEN,
    vjp: Vjp::Two(|_a, _b, _y, g| (g, X::None)),
    node: "AddBackward1()",
    ..ADD
};

pub(crate) const SUB_NUMBER: Pointwise = Pointwise {
    schema: "_sub_number(Tensor self, Scalar other) -> Tensor",
    aliases: &[],
    forms: Forms::HIDDEN,
    vjp: Vjp::Two(|_a, _b, _y, g| (g, X::None)),
    node: "SubBackward1()",
    ..SUB
};

pub(crate) const MUL_NUMBER: Pointwise = Pointwise {
    schema: "_mul_number(Tensor self, Scalar other) -> Tensor",
    aliases: &[],
    forms: Forms::HIDDEN,
    vjp: Vjp::Two(|_a, b, _y, g| (g * b, X::None)),
    node: "MulBackward1(other)",
    ..MUL
};

pub(crate) const DIV_NUMBER: Pointwise = Pointwise {
    schema: "_div_number(Tensor self, Scalar other) -> Tensor",
    aliases: &[],
    forms: Forms::HIDDEN,
    vjp: Vjp::Two(|_a, b, _y, g| (g / b, X::None)),
    node: "DivBackward1(other)",
    ..DIV
};

/// The zero gradient of a piecewise constant function of two tensors. It names both, because
/// PyTorch saves both.
fn flat(a: X, b: X, g: X) -> (X, X) {
    let never = X::Lit(0.0);
    (g.when(never.and(b)), g.when(never.and(a).and(b)))
}

/// The derivative of an operation for which PyTorch has none.
fn refuse(cx: &Cx, _: &[&Tensor]) -> Result<Tensor> {
    bail!(Runtime, "derivative for aten::{} is not implemented", cx.id.name())
}

pub(crate) const DIV_FLOOR: Pointwise = Pointwise {
    schema: "floor_divide(Tensor self, Operand other) -> Tensor",
    aliases: &[],
    doc: "Quotient rounded toward minus infinity. It has no derivative; `div` with `rounding_mode='floor'` has one, which is zero.\n\n>>> torch.floor_divide(torch.tensor([7., -7.]), 2)\ntensor([ 3., -4.])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    forward: kernel!(quick |a, b| a.div_floor(b); int |a, b| a.div_floor(b)),
    vjp: Vjp::Two(|_a, _b, _y, g| {
        let none = X::verb("not_implemented", refuse, &[g]);
        (none, none)
    }),
    node: "torch::autograd::NotImplemented()",
    samples: &[Range(-4.0, 4.0), Range(0.5, 3.0)],
};

pub(crate) const DIV_FLOOR_MODE: Pointwise = Pointwise {
    schema: "_div_floor(Tensor self, Operand other) -> Tensor",
    doc: "Quotient rounded toward minus infinity, with a gradient of zero.",
    forms: Forms::HIDDEN,
    vjp: Vjp::Two(|a, b, _y, g| flat(a, b, g)),
    node: "DivBackward2(rounding_mode='floor')",
    ..DIV_FLOOR
};

pub(crate) const DIV_TRUNC: Pointwise = Pointwise {
    schema: "_div_trunc(Tensor self, Operand other) -> Tensor",
    aliases: &[],
    doc: "Quotient rounded toward zero, with a gradient of zero.",
    forms: Forms::HIDDEN,
    dtype: Rule::Promote,
    forward: kernel!(float |a, b| (a / b).trunc(); int |a, b| a.div_trunc(b)),
    vjp: Vjp::Two(|a, b, _y, g| flat(a, b, g)),
    node: "DivBackward2(rounding_mode='trunc')",
    samples: &[Range(-4.0, 4.0), Range(0.5, 3.0)],
};

pub(crate) const DIV_TRUE_MODE: Pointwise = Pointwise {
    schema: "_div_true(Tensor self, Operand other) -> Tensor",
    aliases: &[],
    forms: Forms::HIDDEN,
    node: "DivBackward2(rounding_mode=None)",
    ..DIV
};

pub(crate) const REMAINDER: Pointwise = Pointwise {
    schema: "remainder(Tensor self, Operand other) -> Tensor",
    aliases: &[],
    doc: "Remainder with the sign of the divisor, as Python's `%`.\n\n>>> torch.remainder(torch.tensor([-3., 3.]), 2)\ntensor([1., 1.])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    forward: kernel!(quick |a, b| a.rem_floor(b); int |a, b| a.rem_floor(b)),
    vjp: Vjp::Two(|a, b, _y, g| (g, -g * a.floor_div(b))),
    node: "RemainderBackward1",
    samples: &[Range(-4.0, 4.0), Range(0.5, 3.0)],
};

pub(crate) const REMAINDER_NUMBER: Pointwise = Pointwise {
    schema: "_remainder(Tensor self, Scalar other) -> Tensor",
    doc: "Remainder by a number.",
    forms: Forms::HIDDEN,
    vjp: Vjp::Two(|_a, _b, _y, g| (g, X::None)),
    node: "RemainderBackward0",
    ..REMAINDER
};

pub(crate) const REMAINDER_BASE: Pointwise = Pointwise {
    schema: "remainder.Scalar_Tensor(Scalar self, Tensor other) -> Tensor",
    doc: "Remainder of a number by each element.",
    forms: Forms::FUNCTION,
    vjp: Vjp::Two(|_a, _b, _y, g| (X::None, X::verb("not_implemented", refuse, &[g]))),
    node: "torch::autograd::NotImplemented()",
    ..REMAINDER
};

pub(crate) const FMOD: Pointwise = Pointwise {
    schema: "fmod(Tensor self, Operand other) -> Tensor",
    aliases: &[],
    doc: "Remainder with the sign of the dividend, as C's `fmod`.\n\n>>> torch.fmod(torch.tensor([-3., 3.]), 2)\ntensor([-1.,  1.])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    forward: kernel!(quick |a, b| a.rem_trunc(b); int |a, b| a.rem_trunc(b)),
    vjp: Vjp::Two(|a, b, _y, g| (g, -g * a.trunc_div(b))),
    node: "FmodBackward1",
    samples: &[Range(-4.0, 4.0), Range(0.5, 3.0)],
};

pub(crate) const FMOD_NUMBER: Pointwise = Pointwise {
    schema: "_fmod(Tensor self, Scalar other) -> Tensor",
    doc: "Remainder by a number, with the sign of the dividend.",
    forms: Forms::HIDDEN,
    vjp: Vjp::Two(|_a, _b, _y, g| (g, X::None)),
    node: "FmodBackward0",
    ..FMOD
};

pub(crate) const NEG: Pointwise = Pointwise {
    schema: "neg(Tensor self) -> Tensor",
    aliases: &["negative"],
    doc: "Each element with its sign changed. Not for bool.\n\n>>> torch.neg(torch.tensor([0.5, 1.0]))\ntensor([-0.5000, -1.0000])",
    forms: Forms::ALL,
    dtype: Rule::PromoteNoBool,
    forward: kernel!(float |x| -x; int |x| x.wrapping_neg()),
    vjp: Vjp::One(|_x, _y, g| -g),
    node: "NegBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const ABS: Pointwise = Pointwise {
    schema: "abs(Tensor self) -> Tensor",
    aliases: &["absolute"],
    doc: "Absolute value.\n\n>>> torch.abs(torch.tensor([-1.0, 2.0]))\ntensor([1., 2.])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    forward: kernel!(float |x| x.abs(); int |x| x.wrapping_abs()),
    vjp: Vjp::One(|x, _y, g| g * x.sgn()),
    node: "AbsBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const SIGN: Pointwise = Pointwise {
    schema: "sign(Tensor self) -> Tensor",
    aliases: &[],
    doc: "-1, 0 or 1 by the sign of each element.\n\n>>> torch.sign(torch.tensor([-0.5, 0.0, 2.0]))\ntensor([-1.,  0.,  1.])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    forward: kernel!(float |x| x.sign(); int |x| x.sign(); bool |x| x),
    vjp: Vjp::One(|_x, _y, g| g.when(X::Lit(0.0))),
    node: "SignBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const BESIDE: Pointwise = Pointwise {
    schema: "_beside(Tensor self, Tensor other) -> Tensor",
    aliases: &[],
    doc: "`self`; it depends on `other` with the derivative zero.",
    forms: Forms::HIDDEN,
    dtype: Rule::Promote,
    forward: kernel!(float |x, _other| x; int |x, _other| x; bool |x, _other| x),
    vjp: Vjp::Two(|_a, _b, _y, g| (g, g.when(X::Lit(0.0)))),
    node: "ThresholdBackwardBackward0",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const SQUARE: Pointwise = Pointwise {
    schema: "square(Tensor self) -> Tensor",
    aliases: &[],
    doc: "Each element times itself.\n\n>>> torch.square(torch.tensor([0.5, 1.0]))\ntensor([0.2500, 1.0000])",
    forms: Forms::ALL,
    dtype: Rule::Whole,
    forward: kernel!(float |x| x * x; int |x| x.wrapping_mul(x)),
    vjp: Vjp::One(|x, _y, g| g * (x * 2.0)),
    node: "PowBackward0(exponent=2)",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const RECIPROCAL: Pointwise = Pointwise {
    schema: "reciprocal(Tensor self) -> Tensor",
    aliases: &[],
    doc: "One over each element; integers become the default float.\n\n>>> torch.reciprocal(torch.tensor([0.5, 1.0]))\ntensor([2., 1.])",
    forms: Forms::ALL,
    dtype: Rule::Float,
    forward: kernel!(float | x | T::lit(1.0) / x),
    vjp: Vjp::One(|_x, y, g| -g * (y * y)),
    node: "ReciprocalBackward0",
    samples: &[Range(0.1, 4.0)],
};

pub(crate) const COPY: Pointwise = Pointwise {
    schema: "_copy(Tensor self, Operand src) -> Tensor",
    aliases: &[],
    doc: "The values of `src`: what an assignment leaves.",
    forms: Forms::HIDDEN,
    dtype: Rule::Promote,
    forward: kernel!(float |_a, b| b; int |_a, b| b; bool |_a, b| b),
    vjp: Vjp::Two(|_a, _b, _y, g| (g.when(X::Lit(0.0)), g)),
    node: "torch::autograd::CopyBackwards",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};
