//! Random numbers whose distribution is a tensor's: no gradient flows through a draw.

use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Structured};
use crate::{Tensor, random};
use smallvec::smallvec;

/// Zeros, whatever the gradient.
const NOTHING: Vjp = Vjp::Many(|| {
    let back = |cx: &Cx, _: &[&Tensor]| Tensor::zeros(&cx.input(0).shape, cx.input(0).dtype);
    vec![X::verb("zeros", back, &[X::Grad(0)])]
});

pub(crate) const BERNOULLI: Structured = Structured {
    schema: "bernoulli(Tensor self) -> Tensor",
    aliases: &[],
    doc: "1 with the probability that stands at the same place, else 0.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let out = Tensor::empty_like(a.tensor(0)?, a.tensor(0)?.dtype())?;
        random::bernoulli_of(&out, a.tensor(0)?)?;
        out.reset_version();
        Ok(smallvec![out])
    },
    vjp: NOTHING,
    node: "BernoulliBackward0",
};

pub(crate) const POISSON: Structured = Structured {
    schema: "poisson(Tensor self) -> Tensor",
    aliases: &[],
    doc: "Poisson numbers of the rate that stands at the same place.",
    forms: Forms::HIDDEN,
    forward: |a| Ok(smallvec![random::poisson(a.tensor(0)?)?]),
    vjp: NOTHING,
    node: "PoissonBackward0",
};
