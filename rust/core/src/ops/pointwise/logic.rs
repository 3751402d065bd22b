//! Truth values, bits and classification.

use crate::formula::Vjp;
use crate::op::{Forms, Pointwise, Range, Rule};
use wengert_kernels::kernel;

pub(crate) const LOGICAL_NOT: Pointwise = Pointwise {
    schema: "logical_not(Tensor self) -> Tensor",
    aliases: &[],
    doc: "True where an element is zero.\n\n>>> torch.logical_not(torch.tensor([0.0, 2.0]))\ntensor([ True, False])",
    forms: Forms::ALL,
    dtype: Rule::Truth,
    forward: kernel!(bool | x | !x),
    vjp: Vjp::None,
    node: "Logical_notBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const LOGICAL_AND: Pointwise = Pointwise {
    schema: "logical_and(Tensor self, Tensor other) -> Tensor",
    aliases: &[],
    doc: "True where both are non-zero.\n\n>>> torch.logical_and(torch.tensor([True, False]), torch.tensor([True, True]))\ntensor([ True, False])",
    forms: Forms::ALL,
    dtype: Rule::Truth,
    forward: kernel!(bool | a, b | a & b),
    vjp: Vjp::None,
    node: "LogicalAndBackward0",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const LOGICAL_OR: Pointwise = Pointwise {
    schema: "logical_or(Tensor self, Tensor other) -> Tensor",
    aliases: &[],
    doc: "True where either is non-zero.\n\n>>> torch.logical_or(torch.tensor([True, False]), torch.tensor([True, True]))\ntensor([True, True])",
    forms: Forms::ALL,
    dtype: Rule::Truth,
    forward: kernel!(bool | a, b | a | b),
    vjp: Vjp::None,
    node: "LogicalOrBackward0",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const LOGICAL_XOR: Pointwise = Pointwise {
    schema: "logical_xor(Tensor self, Tensor other) -> Tensor",
    aliases: &[],
    doc: "True where exactly one is non-zero.\n\n>>> torch.logical_xor(torch.tensor([True, False]), torch.tensor([True, True]))\ntensor([False,  True])",
    forms: Forms::ALL,
    dtype: Rule::Truth,
    forward: kernel!(bool | a, b | a ^ b),
    vjp: Vjp::None,
    node: "LogicalXorBackward0",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const BITWISE_AND: Pointwise = Pointwise {
    schema: "bitwise_and(Tensor self, Operand other) -> Tensor",
    aliases: &[],
    doc: "Bits set in both.\n\n>>> torch.bitwise_and(torch.tensor([5, 6]), 3)\ntensor([1, 2])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    forward: kernel!(int |a, b| a & b; bool |a, b| a & b),
    vjp: Vjp::None,
    node: "BitwiseAndBackward0",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const BITWISE_OR: Pointwise = Pointwise {
    schema: "bitwise_or(Tensor self, Operand other) -> Tensor",
    aliases: &[],
    doc: "Bits set in either.\n\n>>> torch.bitwise_or(torch.tensor([5, 6]), 3)\ntensor([7, 7])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    forward: kernel!(int |a, b| a | b; bool |a, b| a | b),
    vjp: Vjp::None,
    node: "BitwiseOrBackward0",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const BITWISE_XOR: Pointwise = Pointwise {
    schema: "bitwise_xor(Tensor self, Operand other) -> Tensor",
    aliases: &[],
    doc: "Bits set in exactly one.\n\n>>> torch.bitwise_xor(torch.tensor([5, 6]), 3)\ntensor([6, 5])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    forward: kernel!(int |a, b| a ^ b; bool |a, b| a ^ b),
    vjp: Vjp::None,
    node: "BitwiseXorBackward0",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const BITWISE_NOT: Pointwise = Pointwise {
    schema: "bitwise_not(Tensor self) -> Tensor",
    aliases: &[],
    doc: "Each bit flipped; the negation of a bool.\n\n>>> torch.bitwise_not(torch.tensor([5, 6]))\ntensor([-6, -7])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    forward: kernel!(int |x| !x; bool |x| !x),
    vjp: Vjp::None,
    node: "Bitwise_notBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const SHIFT_LEFT: Pointwise = Pointwise {
    schema: "bitwise_left_shift(Tensor self, Operand other) -> Tensor",
    aliases: &[],
    doc: "Bits moved up.\n\n>>> torch.bitwise_left_shift(torch.tensor([1, 2]), 3)\ntensor([ 8, 16])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    forward: kernel!(int | a, b | a.shl(b)),
    vjp: Vjp::None,
    node: "BitwiseLeftShiftBackward0",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const SHIFT_RIGHT: Pointwise = Pointwise {
    schema: "bitwise_right_shift(Tensor self, Operand other) -> Tensor",
    aliases: &[],
    doc: "Bits moved down, the sign kept.\n\n>>> torch.bitwise_right_shift(torch.tensor([16, 32]), 3)\ntensor([2, 4])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    forward: kernel!(int | a, b | a.shr(b)),
    vjp: Vjp::None,
    node: "BitwiseRightShiftBackward0",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const ISNAN: Pointwise = Pointwise {
    schema: "isnan(Tensor self) -> Tensor",
    aliases: &[],
    doc: "True where an element is NaN.\n\n>>> torch.isnan(torch.tensor([1.0, float('nan')]))\ntensor([False,  True])",
    forms: Forms::BOTH,
    dtype: Rule::Compare,
    forward: kernel!(test |x| x.is_nan(); whole |_x| false),
    vjp: Vjp::None,
    node: "IsnanBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const ISINF: Pointwise = Pointwise {
    schema: "isinf(Tensor self) -> Tensor",
    aliases: &[],
    doc: "True where an element is an infinity.\n\n>>> torch.isinf(torch.tensor([1.0, float('inf')]))\ntensor([False,  True])",
    forms: Forms::BOTH,
    dtype: Rule::Compare,
    forward: kernel!(test |x| x.is_inf(); whole |_x| false),
    vjp: Vjp::None,
    node: "IsinfBackward0",
    samples: &[Range(-4.0, 4.0)],
};

pub(crate) const ISFINITE: Pointwise = Pointwise {
    schema: "isfinite(Tensor self) -> Tensor",
    aliases: &[],
    doc: "True where an element is neither NaN nor an infinity.\n\n>>> torch.isfinite(torch.tensor([1.0, float('inf')]))\ntensor([ True, False])",
    forms: Forms::BOTH,
    dtype: Rule::Compare,
    forward: kernel!(test |x| x.is_finite(); whole |_x| true),
    vjp: Vjp::None,
    node: "IsfiniteBackward0",
    samples: &[Range(-4.0, 4.0)],
};
