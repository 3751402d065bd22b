//! The 16-bit floats, converted by branchless integer arithmetic that vectorises at every level.
//!
//! (The methods of the `half` crate ask for the machine's features at each call.)

use half::{bf16, f16};

/// Exact.
#[inline(always)]
pub fn bf16_to_f32(x: bf16) -> f32 {
    f32::from_bits((x.to_bits() as u32) << 16)
}

/// Nearest, ties to even; every NaN becomes the one PyTorch writes, 0x7fc0.
#[inline(always)]
pub fn f32_to_bf16(x: f32) -> bf16 {
    let bits = x.to_bits();
    let odd = bits >> 16 & 1;
    let rounded = (bits.wrapping_add(0x7fff + odd) >> 16) as u16;
    bf16::from_bits(if x.is_nan() { 0x7fc0 } else { rounded })
}

/// Exact.
#[inline(always)]
pub fn f16_to_f32(x: f16) -> f32 {
    let bits = x.to_bits() as u32;
    let magnitude = (bits & 0x7fff) << 13;
    // The exponent's bias is 15 there and 127 here; the product also normalises subnormals.
    const REBIAS: f32 = f32::from_bits((127 + 112) << 23);
    let finite = (f32::from_bits(magnitude) * REBIAS).to_bits();
    let magnitude = if bits & 0x7c00 == 0x7c00 { magnitude | 0x7f80_0000 } else { finite };
    f32::from_bits(magnitude | (bits & 0x8000) << 16)
}

/// Nearest, ties to even; a NaN stays one.
#[inline(always)]
pub fn f32_to_f16(x: f32) -> f16 {
    let bits = x.to_bits();
    let magnitude = bits & 0x7fff_ffff;
    // Below 2^-14 the addition of 0.5 rounds to multiples of 2^-24, the smallest subnormal.
    let tiny = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0x3f00_0000);
    let odd = magnitude >> 13 & 1;
    let normal = magnitude.wrapping_sub(112 << 23).wrapping_add(0xfff + odd) >> 13;
    let finite = if magnitude < 0x3880_0000 { tiny } else { normal };
    let special = if magnitude > 0x7f80_0000 { 0x7e00 } else { 0x7c00 };
    let y = if magnitude >= 0x4780_0000 { special } else { finite };
    f16::from_bits((y | bits >> 16 & 0x8000) as u16)
}
