//! Limits, blends, fills and quotients with arguments that pointwise kernels do not take.

use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Outputs, Structured};
use crate::ops::Id;
use crate::ops::reduce::all_true;
use crate::pointwise::{self, Operand, binary};
use crate::promote::{Promotion, default_dtype};
use crate::value::Args;
use crate::{DType, Result, Scalar, Tensor, Value, bail};
use smallvec::smallvec;

/// Calls a pointwise operation on arguments of this call.
fn with(id: Id, args: &[&Value]) -> Result<Outputs> {
    let operands: Result<smallvec::SmallVec<[Operand; 3]>> =
        args.iter().map(|v| Operand::from_value(v)).collect();
    Ok(smallvec![pointwise::call(id, &operands?)?])
}

fn clamp(a: &Args, both: Id, low: Id, high: Id) -> Result<Outputs> {
    match [a.get(0), a.get(1), a.get(2)] {
        [_, Value::None, Value::None] => {
            bail!(Runtime, "torch.clamp: At least one of 'min' or 'max' must not be None")
        }
        [x, min, Value::None] => with(low, &[x, min]),
        [x, Value::None, max] => with(high, &[x, max]),
        all => with(both, &all),
    }
}

pub(crate) const CLAMP_TENSORS: Structured = Structured {
    schema: "clamp.Tensor(Tensor self, Tensor? min=None, Tensor? max=None) -> Tensor",
    aliases: &["clip"],
    doc: "Each element moved between the elements of two tensors, either of which may be missing.\n\n>>> torch.clamp(torch.tensor([-1., 2.]), min=torch.tensor([0., 3.]))\ntensor([0., 3.])",
    forms: Forms::ALL,
    forward: |a| clamp(&a, Id::CLAMP_TENSOR, Id::CLAMP_LOW_TENSOR, Id::CLAMP_HIGH_TENSOR),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const CLAMP_NUMBERS: Structured = Structured {
    schema: "clamp(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor",
    aliases: &["clip"],
    doc: "Each element moved into `min..max`, either of which may be missing.\n\n>>> torch.clamp(torch.tensor([-1., 2.]), 0, 1)\ntensor([0., 1.])",
    forms: Forms::ALL,
    forward: |a| clamp(&a, Id::CLAMP, Id::CLAMP_LOW, Id::CLAMP_HIGH),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const DIV_MODE: Structured = Structured {
    schema: "div.mode(Tensor self, Operand other, *, str? rounding_mode) -> Tensor",
    aliases: &["divide"],
    doc: "Quotient, rounded toward zero (`'trunc'`) or minus infinity (`'floor'`), or true (None). Rounding has a gradient of zero.\n\n>>> torch.div(torch.tensor([7., -7.]), 2, rounding_mode='trunc')\ntensor([ 3., -3.])",
    forms: Forms::ALL,
    forward: |a| {
        let id = match a.opt_str(2)? {
            None => Id::DIV_TRUE_MODE,
            Some("trunc") => Id::DIV_TRUNC,
            Some("floor") => Id::DIV_FLOOR_MODE,
            Some(mode) => bail!(
                Runtime,
                "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{mode}'"
            ),
        };
        with(id, &[a.get(0), a.get(1)])
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const ROUND_DECIMALS: Structured = Structured {
    schema: "round.decimals(Tensor self, *, int decimals) -> Tensor",
    aliases: &["special_round"],
    doc: "Rounded to so many decimals; halves go to the even digit.\n\n>>> torch.round(torch.tensor([0.1234567]), decimals=3)\ntensor([0.1230])",
    forms: Forms::ALL,
    forward: |a| {
        let (t, decimals) = (a.tensor(0)?, a.int(1)?);
        if !t.dtype().is_float() {
            let label = if decimals == 0 { "round_vml_cpu" } else { "round_cpu" };
            bail!(NotImplemented, "\"{label}\" not implemented for '{}'", t.dtype().scalar_name());
        }
        let round = |t: &Tensor| pointwise::call(Id::ROUND, &[t.into()]);
        let power = 10f64.powi(decimals.unsigned_abs().min(400) as i32);
        let by = |id, t: &Tensor| pointwise::call(id, &[t.into(), power.into()]);
        Ok(smallvec![match decimals {
            0 => round(t)?,
            d if d > 0 => by(Id::DIV, &round(&by(Id::MUL, t)?)?)?,
            _ => by(Id::MUL, &round(&by(Id::DIV, t)?)?)?,
        }])
    },
    vjp: Vjp::Many(|| vec![X::Grad(0).when(X::Lit(0.0))]),
    node: "RoundBackward1()",
};

fn check_mask(mask: &Tensor) -> Result<()> {
    if mask.dtype() != DType::Bool {
        let name = mask.dtype().cpp_name();
        bail!(Runtime, "masked_fill_ only supports boolean masks, but got mask with dtype {name}");
    }
    Ok(())
}

/// `value` where the mask is true, row-major as PyTorch's.
fn masked(t: &Tensor, mask: &Tensor, value: &Tensor) -> Result<Outputs> {
    let out = pointwise::call(Id::WHERE, &[mask.into(), value.into(), t.into()])?;
    Ok(smallvec![out.contiguous()?])
}

pub(crate) const MASKED_FILL_TENSOR: Structured = Structured {
    schema: "masked_fill.Tensor(Tensor self, Tensor mask, Tensor value) -> Tensor",
    aliases: &[],
    doc: "`value`, of no dimension, where the mask is true.\n\n>>> torch.ones(2).masked_fill(torch.tensor([True, False]), torch.tensor(5.))\ntensor([5., 1.])",
    forms: Forms::ALL,
    forward: |a| {
        let (t, mask, value) = (a.tensor(0)?, a.tensor(1)?, a.tensor(2)?);
        if value.ndim() != 0 {
            bail!(
                Runtime,
                "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with {} dimension(s).",
                value.ndim()
            );
        }
        check_mask(mask)?;
        let value = value.to(t.dtype())?;
        masked(t, mask, &value)
    },
    vjp: Vjp::Many(|| {
        let (g, mask) = (X::Grad(0), X::In(1));
        vec![X::Lit(0.0).when_else(mask, g), X::None, g.when(mask)]
    }),
    node: "MaskedFillBackward1",
};

pub(crate) const MASKED_FILL: Structured = Structured {
    schema: "masked_fill.Scalar(Tensor self, Tensor mask, Scalar value) -> Tensor",
    aliases: &[],
    doc: "`value` where the mask is true; no gradient flows there.\n\n>>> torch.ones(2).masked_fill(torch.tensor([True, False]), 0)\ntensor([0., 1.])",
    forms: Forms::ALL,
    forward: |a| {
        let (t, mask) = (a.tensor(0)?, a.tensor(1)?);
        check_mask(mask)?;
        let value = Tensor::full(&[], a.number(2)?.fitted(t.dtype())?, t.dtype())?;
        masked(t, mask, &value)
    },
    vjp: Vjp::Many(|| vec![X::Lit(0.0).when_else(X::In(1), X::Grad(0)), X::None]),
    node: "MaskedFillBackward0()",
};

/// A tensor like argument 0, with the value of argument 1 everywhere.
fn filled(a: &Args) -> Result<Outputs> {
    let t = a.tensor(0)?;
    let out = Tensor::empty_like(t, t.dtype())?;
    match a.get(1) {
        Value::Tensor(v) if v.ndim() > 0 => bail!(
            Runtime,
            "fill_ only supports 0-dimension value tensor but got tensor with {} dimensions.",
            v.ndim()
        ),
        Value::Tensor(v) => pointwise::copy(v, &out)?,
        _ => out.fill_raw(a.number(1)?.fitted(t.dtype())?)?,
    }
    out.reset_version();
    Ok(smallvec![out])
}

pub(crate) const FILL: Structured = Structured {
    schema: "fill.Scalar(Tensor self, Scalar value) -> Tensor",
    aliases: &[],
    doc: "A tensor of the same shape, with one value everywhere.\n\n>>> torch.fill(torch.ones(2), 3)\ntensor([3., 3.])",
    forms: Forms::FUNCTION,
    forward: |a| filled(&a),
    vjp: Vjp::Many(|| vec![X::Grad(0).when(X::Lit(0.0))]),
    node: "FillBackward0()",
};

pub(crate) const FILL_TENSOR: Structured = Structured {
    schema: "fill.Tensor(Tensor self, Tensor value) -> Tensor",
    aliases: &[],
    doc: "A tensor of the same shape, with the value of a 0-d tensor everywhere.\n\n>>> torch.fill(torch.ones(2), torch.tensor(3.))\ntensor([3., 3.])",
    forms: Forms::FUNCTION,
    forward: |a| filled(&a),
    vjp: Vjp::Many(|| vec![X::Grad(0).when(X::Lit(0.0)), X::Grad(0)]),
    node: "FillBackward1",
};

pub(crate) const FILL_TENSOR_IN_PLACE: Structured =
    Structured { forms: Forms::IN_PLACE, node: "FillBackward3", ..FILL_TENSOR };

fn lerp(a: &Args, id: Id) -> Result<Outputs> {
    let (start, end) = (a.tensor(0)?, a.tensor(1)?);
    for (name, t) in [("end", Some(end)), ("weight", a.tensor(2).ok())] {
        if let Some(t) = t
            && t.dtype() != start.dtype()
        {
            bail!(
                Runtime,
                "expected dtype {} for `{name}` but got dtype {}",
                start.dtype().cpp_name(),
                t.dtype().cpp_name()
            );
        }
    }
    with(id, &[a.get(0), a.get(1), a.get(2)])
}

pub(crate) const LERP_TENSORS: Structured = Structured {
    schema: "lerp.Tensor(Tensor self, Tensor end, Tensor weight) -> Tensor",
    aliases: &[],
    doc: "`self + weight * (end - self)`.\n\n>>> torch.lerp(torch.tensor([0., 0.]), torch.tensor([4., 8.]), torch.tensor([0.5, 0.25]))\ntensor([2., 2.])",
    forms: Forms::ALL,
    forward: |a| lerp(&a, Id::LERP_TENSOR),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const LERP_NUMBER: Structured = Structured {
    schema: "lerp.Scalar(Tensor self, Tensor end, Scalar weight) -> Tensor",
    aliases: &[],
    doc: "`self + weight * (end - self)`.\n\n>>> torch.lerp(torch.tensor([0., 0.]), torch.tensor([4., 8.]), 0.5)\ntensor([2., 4.])",
    forms: Forms::ALL,
    forward: |a| lerp(&a, Id::LERP),
    vjp: Vjp::Composed,
    node: "",
};

/// `self + value * f(tensor1, tensor2)`, all promoted together; the number takes no part in that.
fn add_scaled(a: &Args, f: Id) -> Result<Outputs> {
    let [x, s, t] = [a.tensor(0)?, a.tensor(1)?, a.tensor(2)?];
    let mut promotion = Promotion::default();
    [x, s, t].iter().for_each(|t| promotion.tensor(t));
    let value = match promotion.result() {
        d if d.is_differentiable() => a.number(3)?,
        _ => Scalar::Int(a.number(3)?.to_i64()),
    };
    let scaled = pointwise::call(Id::MUL, &[s.into(), value.into()])?;
    Ok(smallvec![x.add(&binary(f, &scaled, t)?)?])
}

fn times_value(cx: &Cx, t: &Tensor) -> Result<Tensor> {
    pointwise::call(Id::MUL, &[t.into(), cx.args.number(3)?.into()])
}

pub(crate) const ADDCMUL: Structured = Structured {
    schema: "addcmul(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor",
    aliases: &[],
    doc: "`self + value * tensor1 * tensor2`.\n\n>>> torch.addcmul(torch.ones(2), torch.tensor([1., 2.]), torch.tensor([3., 4.]), value=2)\ntensor([ 7., 17.])",
    forms: Forms::ALL,
    forward: |a| add_scaled(&a, Id::MUL),
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, v: &[&Tensor]| v[0].mul(&times_value(cx, v[1])?);
        let other = |i| X::verb("times_value", back, &[X::Grad(0), X::In(i)]);
        vec![X::Grad(0), other(2), other(1)]
    }),
    node: "AddcmulBackward0",
};

pub(crate) const ADDCDIV: Structured = Structured {
    schema: "addcdiv(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor",
    aliases: &[],
    doc: "`self + value * tensor1 / tensor2`.\n\n>>> torch.addcdiv(torch.ones(2), torch.tensor([1., 2.]), torch.tensor([2., 4.]), value=2)\ntensor([2., 2.])",
    forms: Forms::ALL,
    forward: |a| {
        let whole = |i: usize| Ok::<_, crate::Error>(!a.tensor(i)?.dtype().is_differentiable());
        if whole(1)? && whole(2)? {
            bail!(
                Runtime,
                "Integer division with addcdiv is no longer supported, and in a future  release addcdiv will perform a true division of tensor1 and tensor2. The historic addcdiv behavior can be implemented as (input + value * torch.trunc(tensor1 / tensor2)).to(input.dtype) for integer inputs and as (input + value * tensor1 / tensor2) for float inputs. The future addcdiv behavior is just the latter implementation: (input + value * tensor1 / tensor2), for all dtypes."
            );
        }
        add_scaled(&a, Id::DIV)
    },
    vjp: Vjp::Many(|| {
        let first = |cx: &Cx, v: &[&Tensor]| {
            v[0].mul(&pointwise::call(Id::DIV, &[cx.args.number(3)?.into(), v[1].into()])?)
        };
        let second = |cx: &Cx, v: &[&Tensor]| {
            let slope = times_value(cx, v[1])?.div(&v[2].mul(v[2])?)?;
            pointwise::call(Id::NEG, &[(&v[0].mul(&slope)?).into()])
        };
        let g = X::Grad(0);
        let first = X::verb("value_over", first, &[g, X::In(2)]);
        vec![g, first, X::verb("value_times_over_square", second, &[g, X::In(1), X::In(2)])]
    }),
    node: "AddcdivBackward0",
};

pub(crate) const ISCLOSE: Structured = Structured {
    schema: "isclose(Tensor self, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> Tensor",
    aliases: &[],
    doc: "True where `abs(self - other) <= atol + rtol * abs(other)`.\n\n>>> torch.isclose(torch.tensor([1., 2.]), torch.tensor([1., 2.1]))\ntensor([ True, False])",
    forms: Forms::BOTH,
    forward: |a| {
        let (x, y) = (a.tensor(0)?, a.tensor(1)?);
        let (rtol, atol) = (a.number(2)?.to_f64(), a.number(3)?.to_f64());
        if x.dtype() != y.dtype() {
            bail!(Runtime, "{} did not match {}", x.dtype().scalar_name(), y.dtype().scalar_name());
        }
        for (name, v) in [("rtol", rtol), ("atol", atol)] {
            if v < 0.0 {
                bail!(Runtime, "{name} must be greater than or equal to zero, but got {v}");
            }
        }
        let run = |id, args: &[Operand]| pointwise::call(id, args);
        let mut close = binary(Id::EQ, x, y)?;
        let float = x.dtype().is_float();
        if float && a.bool(4)? {
            let (p, q) = (run(Id::ISNAN, &[x.into()])?, run(Id::ISNAN, &[y.into()])?);
            close = binary(Id::LOGICAL_OR, &close, &binary(Id::LOGICAL_AND, &p, &q)?)?;
        }
        if rtol == 0.0 && atol == 0.0 {
            return Ok(smallvec![close]);
        }
        let (x, y) = match float {
            true => (x.clone(), y.clone()),
            false => (x.to(default_dtype())?, y.to(default_dtype())?),
        };
        let relative = run(Id::ABS, &[(&run(Id::MUL, &[(&y).into(), rtol.into()])?).into()])?;
        let allowed = run(Id::ADD, &[(&relative).into(), atol.into()])?;
        let actual = run(Id::ABS, &[(&x.sub(&y)?).into()])?;
        let inside = binary(Id::LE, &actual, &allowed)?;
        let finite = run(Id::ISFINITE, &[(&actual).into()])?;
        let near = binary(Id::LOGICAL_AND, &finite, &inside)?;
        Ok(smallvec![binary(Id::LOGICAL_OR, &close, &near)?])
    },
    vjp: Vjp::None,
    node: "IscloseBackward0",
};

pub(crate) const ALLCLOSE: Structured = Structured {
    schema: "allclose(Tensor self, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> bool",
    doc: "True if `isclose` holds everywhere.\n\n>>> torch.allclose(torch.tensor([1., 2.]), torch.tensor([1., 2.1]))\nFalse",
    forward: |a| {
        let close = (ISCLOSE.forward)(a)?;
        Ok(smallvec![Tensor::full(&[], all_true(&close[0])?.into(), DType::Bool)?])
    },
    ..ISCLOSE
};

pub(crate) const EQUAL: Structured = Structured {
    schema: "equal(Tensor self, Tensor other) -> bool",
    aliases: &[],
    doc: "True if both have the same shape and the same elements.\n\n>>> torch.equal(torch.ones(2), torch.ones(2))\nTrue",
    forms: Forms::BOTH,
    forward: |a| {
        let (x, y) = (a.tensor(0)?, a.tensor(1)?);
        let same = x.shape() == y.shape() && all_true(&binary(Id::EQ, x, y)?)?;
        Ok(smallvec![Tensor::full(&[], same.into(), DType::Bool)?])
    },
    vjp: Vjp::None,
    node: "",
};

pub(crate) const POSITIVE: Structured = Structured {
    schema: "positive(Tensor self) -> Tensor",
    aliases: &[],
    doc: "The tensor itself. Not for bool.\n\n>>> torch.positive(torch.tensor([-1., 2.]))\ntensor([-1.,  2.])",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        if t.dtype() == DType::Bool {
            bail!(Runtime, "The `+` operator, on a bool tensor is not supported.");
        }
        Ok(smallvec![t.clone()])
    },
    vjp: Vjp::Composed,
    node: "",
};

/// A power in double precision.
fn float_power(a: &Args, id: Id) -> Result<Outputs> {
    let double = |v: &Value| match v {
        Value::Tensor(t) => Ok(Value::Tensor(t.to(DType::F64)?)),
        _ => Ok::<_, crate::Error>(Value::Number(Scalar::Float(number_of(v)?))),
    };
    with(id, &[&double(a.get(0))?, &double(a.get(1))?])
}

fn number_of(v: &Value) -> Result<f64> {
    match Operand::from_value(v)? {
        Operand::Number(n) => Ok(n.to_f64()),
        Operand::Tensor(_) => bail!(Type, "expected a number"),
    }
}

pub(crate) const FLOAT_POWER: Structured = Structured {
    schema: "float_power(Tensor self, Tensor exponent) -> Tensor",
    aliases: &[],
    doc: "Each element raised to the matching exponent, in double precision.\n\n>>> torch.float_power(torch.tensor([1, 2]), torch.tensor([3, -1]))\ntensor([1.0000, 0.5000], dtype=torch.float64)",
    forms: Forms::ALL,
    forward: |a| float_power(&a, Id::POW),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const FLOAT_POWER_BASE: Structured = Structured {
    schema: "float_power.Scalar(Scalar self, Tensor exponent) -> Tensor",
    forms: Forms::FUNCTION,
    forward: |a| float_power(&a, Id::POW_BASE),
    ..FLOAT_POWER
};

pub(crate) const FLOAT_POWER_NUMBER: Structured = Structured {
    schema: "float_power.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor",
    forward: |a| float_power(&a, Id::POW_NUMBER),
    ..FLOAT_POWER
};
