//! Comparisons, extrema, limits and selection.

use crate::formula::{Vjp, X};
use crate::op::{Forms, Pointwise, Range, Rule};
use wengert_kernels::kernel;
use wengert_kernels::pointwise::SELECT;

/// The gradient of an in-place comparison, whose result is of a dtype that has one.
const FLAT: Vjp = Vjp::Two(|_a, _b, _y, g| (g.when(X::Lit(0.0)), g.when(X::Lit(0.0))));

pub(crate) const EQ: Pointwise = Pointwise {
    schema: "eq(Tensor self, Operand other) -> Tensor",
    aliases: &[],
    doc: "True where both are equal.\n\n>>> torch.eq(torch.tensor([1., 2., 3.]), 2)\ntensor([False,  True, False])",
    forms: Forms::ALL,
    dtype: Rule::Compare,
    forward: kernel!(equate | a, b | a == b),
    vjp: FLAT,
    node: "EqBackward0",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const EQ_TENSOR: Pointwise = Pointwise {
    schema: "_eq.Tensor(Tensor self, Tensor other) -> Tensor",
    forms: Forms::HIDDEN,
    node: "EqBackward1",
    ..EQ
};

pub(crate) const NE: Pointwise = Pointwise {
    schema: "ne(Tensor self, Operand other) -> Tensor",
    aliases: &["not_equal"],
    doc: "True where they differ.\n\n>>> torch.ne(torch.tensor([1., 2., 3.]), 2)\ntensor([ True, False,  True])",
    forms: Forms::ALL,
    dtype: Rule::Compare,
    forward: kernel!(equate | a, b | a != b),
    vjp: FLAT,
    node: "NeBackward0",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const NE_TENSOR: Pointwise = Pointwise {
    schema: "_ne.Tensor(Tensor self, Tensor other) -> Tensor",
    forms: Forms::HIDDEN,
    node: "NeBackward1",
    ..NE
};

pub(crate) const LT: Pointwise = Pointwise {
    schema: "lt(Tensor self, Operand other) -> Tensor",
    aliases: &["less"],
    doc: "True where `self < other`.\n\n>>> torch.lt(torch.tensor([1., 2., 3.]), 2)\ntensor([ True, False, False])",
    forms: Forms::ALL,
    dtype: Rule::Compare,
    forward: kernel!(compare | a, b | a < b),
    vjp: FLAT,
    node: "LtBackward0",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const LT_TENSOR: Pointwise = Pointwise {
    schema: "_lt.Tensor(Tensor self, Tensor other) -> Tensor",
    forms: Forms::HIDDEN,
    node: "LtBackward1",
    ..LT
};

pub(crate) const LE: Pointwise = Pointwise {
    schema: "le(Tensor self, Operand other) -> Tensor",
    aliases: &["less_equal"],
    doc: "True where `self <= other`.\n\n>>> torch.le(torch.tensor([1., 2., 3.]), 2)\ntensor([ True,  True, False])",
    forms: Forms::ALL,
    dtype: Rule::Compare,
    forward: kernel!(compare | a, b | a <= b),
    vjp: FLAT,
    node: "LeBackward0",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const LE_TENSOR: Pointwise = Pointwise {
    schema: "_le.Tensor(Tensor self, Tensor other) -> Tensor",
    forms: Forms::HIDDEN,
    node: "LeBackward1",
    ..LE
};

pub(crate) const GT: Pointwise = Pointwise {
    schema: "gt(Tensor self, Operand other) -> Tensor",
    aliases: &["greater"],
    doc: "True where `self > other`.\n\n>>> torch.gt(torch.tensor([1., 2., 3.]), 2)\ntensor([False, False,  True])",
    forms: Forms::ALL,
    dtype: Rule::Compare,
    forward: kernel!(compare | a, b | a > b),
    vjp: FLAT,
    node: "GtBackward0",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const GT_TENSOR: Pointwise = Pointwise {
    schema: "_gt.Tensor(Tensor self, Tensor other) -> Tensor",
    forms: Forms::HIDDEN,
    node: "GtBackward1",
    ..GT
};

pub(crate) const GE: Pointwise = Pointwise {
    schema: "ge(Tensor self, Operand other) -> Tensor",
    aliases: &["greater_equal"],
    doc: "True where `self >= other`.\n\n>>> torch.ge(torch.tensor([1., 2., 3.]), 2)\ntensor([False,  True,  True])",
    forms: Forms::ALL,
    dtype: Rule::Compare,
    forward: kernel!(compare | a, b | a >= b),
    vjp: FLAT,
    node: "GeBackward0",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const GE_TENSOR: Pointwise = Pointwise {
    schema: "_ge.Tensor(Tensor self, Tensor other) -> Tensor",
    forms: Forms::HIDDEN,
    node: "GeBackward1",
    ..GE
};

pub(crate) const MAXIMUM: Pointwise = Pointwise {
    schema: "maximum(Tensor self, Tensor other) -> Tensor",
    aliases: &[],
    doc: "The larger of both; NaN if either is NaN. Ties share the gradient.\n\n>>> torch.maximum(torch.tensor([1., 5.]), torch.tensor([3., 4.]))\ntensor([3., 5.])",
    forms: Forms::BOTH,
    dtype: Rule::Promote,
    forward: kernel!(float |a, b| a.max_nan(b); int |a, b| a.max(b); bool |a, b| a | b),
    vjp: Vjp::Two(|a, b, _y, g| {
        let half = (g / 2.0).when_else(a.eq(b), g);
        (X::Lit(0.0).when_else(a.lt(b), half), X::Lit(0.0).when_else(b.lt(a), half))
    }),
    node: "MaximumBackward0",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const MINIMUM: Pointwise = Pointwise {
    schema: "minimum(Tensor self, Tensor other) -> Tensor",
    aliases: &[],
    doc: "The smaller of both; NaN if either is NaN. Ties share the gradient.\n\n>>> torch.minimum(torch.tensor([1., 5.]), torch.tensor([3., 4.]))\ntensor([1., 4.])",
    forms: Forms::BOTH,
    dtype: Rule::Promote,
    forward: kernel!(float |a, b| a.min_nan(b); int |a, b| a.min(b); bool |a, b| a & b),
    vjp: Vjp::Two(|a, b, _y, g| {
        let half = (g / 2.0).when_else(a.eq(b), g);
        (X::Lit(0.0).when_else(a.gt(b), half), X::Lit(0.0).when_else(b.gt(a), half))
    }),
    node: "MinimumBackward0",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const FMAX: Pointwise = Pointwise {
    schema: "fmax(Tensor self, Tensor other) -> Tensor",
    aliases: &[],
    doc: "The larger of both; NaN only if both are NaN.\n\n>>> torch.fmax(torch.tensor([1., float('nan')]), torch.tensor([3., 4.]))\ntensor([3., 4.])",
    forms: Forms::BOTH,
    dtype: Rule::Promote,
    forward: kernel!(float |a, b| a.fmax(b); int |a, b| a.max(b); bool |a, b| a | b),
    vjp: Vjp::Two(|a, b, _y, g| pick(a.ge(b).or(b.is_nan()), g)),
    node: "FmaxBackward0",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const FMIN: Pointwise = Pointwise {
    schema: "fmin(Tensor self, Tensor other) -> Tensor",
    aliases: &[],
    doc: "The smaller of both; NaN only if both are NaN.\n\n>>> torch.fmin(torch.tensor([1., float('nan')]), torch.tensor([3., 4.]))\ntensor([1., 4.])",
    forms: Forms::BOTH,
    dtype: Rule::Promote,
    forward: kernel!(float |a, b| a.fmin(b); int |a, b| a.min(b); bool |a, b| a & b),
    vjp: Vjp::Two(|a, b, _y, g| pick(a.le(b).or(b.is_nan()), g)),
    node: "FminBackward0",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

/// The gradient for the first input where `first` is true, for the second elsewhere.
fn pick(first: X, g: X) -> (X, X) {
    (g.when(first), X::Lit(0.0).when_else(first, g))
}

pub(crate) const CLAMP: Pointwise = Pointwise {
    schema: "_clamp(Tensor self, Scalar min, Scalar max) -> Tensor",
    aliases: &[],
    doc: "Each element moved into `min..max`.",
    forms: Forms::HIDDEN,
    dtype: Rule::Promote,
    forward: kernel!(float |x, a, b| x.max_nan(a).min_nan(b); int |x, a, b| x.max(a).min(b)),
    vjp: Vjp::Three(|x, a, b, _y, g| (g.when(x.ge(a).and(x.le(b))), X::None, X::None)),
    node: "ClampBackward1",
    samples: &[Range(-4.0, 4.0), Range(-2.0, -1.0), Range(1.0, 2.0)],
};

pub(crate) const CLAMP_TENSOR: Pointwise = Pointwise {
    schema: "_clamp.Tensor(Tensor self, Tensor min, Tensor max) -> Tensor",
    aliases: &[],
    doc: "Each element moved between two tensors.",
    forms: Forms::HIDDEN,
    dtype: Rule::Promote,
    forward: kernel!(float |x, a, b| x.max_nan(a).min_nan(b); int |x, a, b| x.max(a).min(b)),
    vjp: Vjp::Three(|x, a, b, _y, g| {
        let (low, high) = (x.lt(a), x.gt(b));
        let inside = low.or(high).not();
        (g.when(inside), g.when(a.lt(b).and(low)), g.when(high.or(b.lt(a))))
    }),
    node: "ClampBackward0",
    samples: &[Range(-4.0, 4.0), Range(-2.0, 2.0), Range(-2.0, 2.0)],
};

pub(crate) const CLAMP_MIN: Pointwise = Pointwise {
    schema: "clamp_min(Tensor self, Scalar min) -> Tensor",
    aliases: &[],
    doc: "Each element raised to at least `min`.\n\n>>> torch.clamp_min(torch.tensor([-1., 2.]), 0)\ntensor([0., 2.])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    forward: kernel!(float |x, a| x.max_nan(a); int |x, a| x.max(a)),
    vjp: Vjp::Two(|x, a, _y, g| (g.when(x.ge(a)), X::None)),
    node: "ClampMinBackward0",
    samples: &[Range(-4.0, 4.0), Range(-2.0, 2.0)],
};

pub(crate) const CLAMP_MAX: Pointwise = Pointwise {
    schema: "clamp_max(Tensor self, Scalar max) -> Tensor",
    aliases: &[],
    doc: "Each element lowered to at most `max`.\n\n>>> torch.clamp_max(torch.tensor([-1., 2.]), 0)\ntensor([-1.,  0.])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    forward: kernel!(float |x, a| x.min_nan(a); int |x, a| x.min(a)),
    vjp: Vjp::Two(|x, a, _y, g| (g.when(x.le(a)), X::None)),
    node: "ClampMaxBackward0",
    samples: &[Range(-4.0, 4.0), Range(-2.0, 2.0)],
};

pub(crate) const CLAMP_MIN_TENSOR: Pointwise = Pointwise {
    schema: "clamp_min.Tensor(Tensor self, Tensor min) -> Tensor",
    aliases: &[],
    doc: "Each element raised to at least `min`.\n\n>>> torch.clamp_min(torch.tensor([-1., 2.]), torch.tensor([0., 3.]))\ntensor([0., 3.])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    forward: kernel!(float |x, a| x.max_nan(a); int |x, a| x.max(a); bool |x, a| x | a),
    vjp: Vjp::Two(|x, a, _y, g| (g.when(x.ge(a)), g.when(x.lt(a)))),
    node: "ClampMinBackward1",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

pub(crate) const CLAMP_MAX_TENSOR: Pointwise = Pointwise {
    schema: "clamp_max.Tensor(Tensor self, Tensor max) -> Tensor",
    aliases: &[],
    doc: "Each element lowered to at most `max`.\n\n>>> torch.clamp_max(torch.tensor([-1., 2.]), torch.tensor([0., 1.]))\ntensor([-1.,  1.])",
    forms: Forms::ALL,
    dtype: Rule::Promote,
    forward: kernel!(float |x, a| x.min_nan(a); int |x, a| x.min(a); bool |x, a| x & a),
    vjp: Vjp::Two(|x, a, _y, g| (g.when(x.le(a)), g.when(x.gt(a)))),
    node: "ClampMaxBackward1",
    samples: &[Range(-4.0, 4.0), Range(-4.0, 4.0)],
};

/// As `clamp_min` and `clamp_max`, when called as `clamp` with one limit.
pub(crate) const CLAMP_LOW: Pointwise = Pointwise {
    schema: "_clamp_low(Tensor self, Scalar min) -> Tensor",
    forms: Forms::HIDDEN,
    node: "ClampBackward1(min, max=None)",
    ..CLAMP_MIN
};

pub(crate) const CLAMP_HIGH: Pointwise = Pointwise {
    schema: "_clamp_high(Tensor self, Scalar max) -> Tensor",
    forms: Forms::HIDDEN,
    node: "ClampBackward1(min=None, max)",
    ..CLAMP_MAX
};

pub(crate) const CLAMP_LOW_TENSOR: Pointwise = Pointwise {
    schema: "_clamp_low.Tensor(Tensor self, Tensor min) -> Tensor",
    forms: Forms::HIDDEN,
    node: "ClampBackward0(max=None)",
    ..CLAMP_MIN_TENSOR
};

pub(crate) const CLAMP_HIGH_TENSOR: Pointwise = Pointwise {
    schema: "_clamp_high.Tensor(Tensor self, Tensor max) -> Tensor",
    forms: Forms::HIDDEN,
    node: "ClampBackward0(min=None)",
    ..CLAMP_MAX_TENSOR
};

pub(crate) const WHERE: Pointwise = Pointwise {
    schema: "where(Tensor condition, Operand self, Operand other) -> Tensor",
    aliases: &[],
    doc: "`self` where the condition is true, `other` elsewhere. No gradient, not even NaN, reaches the side not taken.\n\n>>> torch.where(torch.tensor([True, False]), torch.tensor([1., 2.]), 0.)\ntensor([1., 0.])",
    forms: Forms::BOTH,
    dtype: Rule::Mask,
    forward: SELECT,
    vjp: Vjp::Three(|c, _a, _b, _y, g| (X::None, g.when(c), X::Lit(0.0).when_else(c, g))),
    node: "WhereBackward0",
    samples: &[Range(-1.0, 1.0), Range(-4.0, 4.0), Range(-4.0, 4.0)],
};
