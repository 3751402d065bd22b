//! What PyTorch does differently for some operations, depending on the numbers they are given.

use super::Operand;
use crate::op::{Id, Pointwise, Rule};
use crate::{DType, Result, Scalar, Tensor, bail, ops};
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

/// PyTorch's refusals of operands by their dtypes, and of numbers that a tensor cannot hold.
#[inline]
pub(super) fn check_operands(id: Id, p: &Pointwise, args: &[Operand]) -> Result<()> {
    match (p.dtype, args) {
        (Rule::PromoteNoBool | Rule::Alpha, _) => check_bool(id, p, args),
        (Rule::Mask, [Operand::Tensor(mask), ..]) if id == Id::WHERE => check_condition(mask),
        (Rule::First, [Operand::Tensor(t), Operand::Number(n)]) if id == Id::FILL_IN_PLACE => {
            n.fitted(t.dtype()).map(drop)
        }
        _ => Ok(()),
    }
}

/// PyTorch's refusal of conditions that are neither bool nor, as long ago, uint8.
fn check_condition(mask: &Tensor) -> Result<()> {
    if !matches!(mask.dtype(), DType::Bool | DType::U8) {
        bail!(
            Runtime,
            "where expected condition to be a boolean tensor, but got a tensor with dtype {}",
            mask.dtype().scalar_name()
        );
    }
    Ok(())
}

/// PyTorch's refusals of bool arguments by operations that have no kernel for bool.
fn check_bool(id: Id, p: &Pointwise, args: &[Operand]) -> Result<()> {
    if p.forward.get(DType::Bool).is_some() {
        return Ok(());
    }
    let bools = args.iter().take(2).filter(|a| a.is_bool()).count();
    match (bools, id) {
        (0, _) => Ok(()),
        (_, Id::NEG) => bail!(
            Runtime,
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
        ),
        (1, _) => bail!(
            Runtime,
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
        ),
        _ => bail!(
            Runtime,
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` operator instead."
        ),
    }
}

/// PyTorch's refusals of factors that a result of dtype `promoted` cannot hold.
pub(super) fn check_alpha(alpha: Scalar, promoted: DType) -> Result<()> {
    match alpha {
        Scalar::Bool(_) if promoted != DType::Bool => {
            bail!(Runtime, "Boolean alpha only supported for Boolean results.")
        }
        Scalar::Float(_) if !promoted.is_differentiable() => bail!(
            Runtime,
            "For integral input tensors, argument alpha must not be a floating point number."
        ),
        _ => Ok(()),
    }
}

/// The dtype of the tensor that an in-place operation cannot write to, as its error names it.
pub(crate) fn target_name(id: Id, dtype: DType) -> &'static str {
    match id {
        Id::CLAMP_NUMBERS | Id::CLAMP_MIN | Id::CLAMP_MAX => dtype.cpp_name(),
        _ => dtype.scalar_name(),
    }
}

/// PyTorch's refusal to write a power in double precision to a tensor of another dtype.
pub(crate) fn check_target(id: Id, target: DType, result: DType) -> Result<()> {
    let powers = [Id::FLOAT_POWER, Id::FLOAT_POWER_NUMBER];
    if powers.contains(&id) && target != result {
        bail!(
            Runtime,
            "the base given to float_power_ has dtype {} but the operation's result requires dtype {}",
            target.scalar_name(),
            result.scalar_name()
        );
    }
    Ok(())
}

/// PyTorch's refusal to divide integers by zero.
pub(super) fn check_integers(id: Id, args: &[Operand], shape: &[usize]) -> Result<()> {
    if divides(id) && !shape.contains(&0) && has_zero(&args[1])? {
        bail!(Runtime, "ZeroDivisionError");
    }
    Ok(())
}

/// PyTorch's refusal of negative powers of integers.
pub(super) fn check_exponent(args: &[Operand]) -> Result<()> {
    match args.get(1) {
        Some(Operand::Number(e)) if e.to_i64() < 0 => {
            bail!(Runtime, "Integers to negative integer powers are not allowed.")
        }
        _ => Ok(()),
    }
}

fn has_zero(divisor: &Operand) -> Result<bool> {
    match divisor {
        Operand::Number(n) => Ok(!n.is_true()),
        Operand::Tensor(t) => Ok(!ops::reduce::all_true(t)?),
    }
}

/// The overload for a number or for a tensor, where their nodes differ.
#[inline]
pub(super) fn overload(id: Id, args: &[Operand]) -> Id {
    let number = matches!(args.get(1), Some(Operand::Number(_)));
    match id {
        Id::REMAINDER if number => Id::REMAINDER_NUMBER,
        Id::FMOD if number => Id::FMOD_NUMBER,
        Id::EQ if !number => Id::EQ_TENSOR,
        Id::NE if !number => Id::NE_TENSOR,
        Id::LT if !number => Id::LT_TENSOR,
        Id::LE if !number => Id::LE_TENSOR,
        Id::GT if !number => Id::GT_TENSOR,
        Id::GE if !number => Id::GE_TENSOR,
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
    if id == Id::CLAMP_TENSOR {
        return "clamp_cpu";
    }
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
        "clamp_min" | "clamp_low" => "clamp_min_scalar_cpu",
        "clamp_max" | "clamp_high" => "clamp_max_scalar_cpu",
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
