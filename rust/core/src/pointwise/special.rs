//! What PyTorch does differently for some operations, depending on the numbers they are given.

use super::Operand;
use crate::op::{Id, Rule};
use crate::{DType, Result, Scalar, bail, ops};
use smallvec::{SmallVec, smallvec};

/// Integer division, which must not meet a zero.
#[inline]
pub(super) fn divides(id: Id) -> bool {
    [
        Id::DIV_FLOOR,
        Id::DIV_FLOOR_MODE,
        Id::DIV_TRUNC,
        Id::REMAINDER,
        Id::REMAINDER_NUMBER,
        Id::FMOD,
        Id::FMOD_NUMBER,
    ]
    .contains(&id)
}

/// PyTorch's refusals of operands by their dtypes.
#[inline]
pub(super) fn check_operands(id: Id, rule: Rule, args: &[Operand]) -> Result<()> {
    match rule {
        Rule::PromoteNoBool => no_bools(args),
        Rule::Mask if id == Id::WHERE => match args[0].tensor().map(|t| t.dtype()) {
            None | Some(DType::Bool | DType::U8) => Ok(()),
            Some(d) => bail!(
                Runtime,
                "where expected condition to be a boolean tensor, but got a tensor with dtype {}",
                d.scalar_name()
            ),
        },
        _ => Ok(()),
    }
}

/// `-` is not for truth values.
fn no_bools(args: &[Operand]) -> Result<()> {
    let is_bool = |a: &Operand| match a {
        Operand::Tensor(t) => t.dtype() == DType::Bool,
        Operand::Number(n) => matches!(n, Scalar::Bool(_)),
    };
    match args {
        [a] if is_bool(a) => bail!(
            Runtime,
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
        ),
        [a, b, ..] if is_bool(a) && is_bool(b) => bail!(
            Runtime,
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` operator instead."
        ),
        [a, b, ..] if is_bool(a) || is_bool(b) => bail!(
            Runtime,
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
        ),
        _ => Ok(()),
    }
}

/// PyTorch's refusals of arguments by their values.
pub(super) fn check_values(
    id: Id,
    args: &[Operand],
    compute: DType,
    shape: &[usize],
) -> Result<()> {
    if id == Id::FILL_IN_PLACE
        && let [Operand::Tensor(t), Operand::Number(n)] = args
    {
        fitting(*n, t.dtype())?;
    }
    if !compute.is_int() {
        return Ok(());
    }
    if divides(id) && !shape.contains(&0) && has_zero(&args[1])? {
        bail!(Runtime, "ZeroDivisionError");
    }
    if id == Id::POW_NUMBER
        && let Some(Operand::Number(e)) = args.get(1)
        && e.to_i64() < 0
    {
        bail!(Runtime, "Integers to negative integer powers are not allowed.");
    }
    Ok(())
}

fn has_zero(divisor: &Operand) -> Result<bool> {
    match divisor {
        Operand::Number(n) => Ok(!n.is_true()),
        Operand::Tensor(t) => Ok(!ops::reduce::all_true(t)?),
    }
}

/// The overload for a number, where its node differs from that for a tensor.
#[inline]
pub(super) fn overload(id: Id, args: &[Operand]) -> Id {
    match (id, args) {
        (Id::REMAINDER, [_, Operand::Number(_)]) => Id::REMAINDER_NUMBER,
        (Id::FMOD, [_, Operand::Number(_)]) => Id::FMOD_NUMBER,
        _ => id,
    }
}

/// An operation that computes the same with less work: powers that PyTorch, too, takes by
/// multiplication or root.
#[inline]
pub(super) fn cheaper<'a>(
    id: Id,
    args: &[Operand<'a>],
    compute: DType,
) -> Option<(Id, SmallVec<[Operand<'a>; 2]>)> {
    let [x, Operand::Number(exponent)] = args else { return None };
    if id != Id::POW_NUMBER && id != Id::POW {
        return None;
    }
    let float = compute.is_float();
    let run = match exponent.to_f64() {
        2.0 => Id::SQUARE,
        3.0 => Id::CUBE,
        1.0 => return Some((Id::MUL, smallvec![*x, Operand::from(1i64)])),
        0.5 if float => Id::SQRT,
        -0.5 if float => Id::RSQRT,
        -1.0 if float => Id::RECIPROCAL,
        -2.0 if float => Id::INVERSE_SQUARE,
        _ => return None,
    };
    Some((run, smallvec![*x]))
}

/// How PyTorch names the kernel of an operation in `"..." not implemented for '...'`.
pub(super) fn kernel_label(id: Id) -> &'static str {
    match id.name().trim_start_matches('_') {
        "floor_divide" | "div_floor" => "div_floor_cpu",
        "div_trunc" => "div_trunc_cpu",
        "remainder" => "remainder_cpu",
        "fmod" => "fmod_cpu",
        "abs" => "abs_cpu",
        "floor" => "floor_vml_cpu",
        "ceil" => "ceil_vml_cpu",
        "round" => "round_vml_cpu",
        "trunc" => "trunc_vml_cpu",
        "frac" => "frac_cpu",
        "logaddexp" => "logaddexp_cpu",
        "logaddexp2" => "logaddexp2_cpu",
        "hypot" => "hypot_cpu",
        "bitwise_and" => "bitwise_and_cpu",
        "bitwise_or" => "bitwise_or_cpu",
        "bitwise_xor" => "bitwise_xor_cpu",
        "bitwise_not" => "bitwise_not_cpu",
        "bitwise_left_shift" => "lshift_cpu",
        "bitwise_right_shift" => "rshift_cpu",
        "clamp" => "clamp_scalar_cpu",
        "clamp_min" => "clamp_min_scalar_cpu",
        "clamp_max" => "clamp_max_scalar_cpu",
        "gelu" | "gelu_tanh" => "GeluKernelImpl",
        "silu" => "silu_cpu",
        "softplus" => "softplus_cpu",
        "leaky_relu" => "leaky_relu_cpu",
        "elu" | "selu" | "celu" => "elu_cpu",
        "mish" => "mish_cpu",
        "hardswish" => "hardswish_cpu",
        "hardsigmoid" => "hardsigmoid_cpu",
        "hardshrink" => "hardshrink_cpu",
        "softshrink" => "softshrink_cpu",
        "logsigmoid" => "log_sigmoid_cpu",
        "lerp" => "lerp_kernel_scalar",
        name => name,
    }
}

/// The value as PyTorch writes it into a tensor of `dtype`.
pub(crate) fn fitting(value: Scalar, dtype: DType) -> Result<Scalar> {
    let v = value.to_f64();
    if dtype == DType::F32 && v.is_finite() && v.abs() > f32::MAX as f64 {
        bail!(Runtime, "value cannot be converted to type float without overflow");
    }
    if !dtype.is_int() {
        return Ok(value);
    }
    let (bits, signed) = (8 * dtype.size() as i32, dtype.is_signed());
    let (low, high) = match signed {
        true => (-2f64.powi(bits - 1), 2f64.powi(bits - 1)),
        false => (-2f64.powi(bits), 2f64.powi(bits)),
    };
    if v.is_nan() || v.trunc() < low || v.trunc() >= high {
        bail!(
            Runtime,
            "value cannot be converted to type {} without overflow",
            match dtype {
                DType::U8 => "uint8_t",
                DType::I8 => "int8_t",
                DType::I16 => "int16_t",
                DType::I32 => "int",
                _ => "int64_t",
            }
        );
    }
    Ok(Scalar::Int(value.to_i64()))
}
