//! Elementary functions of f32; see [the module above](super).

mod exponential;
mod other;
mod trigonometric;

pub use exponential::*;
pub use other::*;
pub use trigonometric::*;

use super::{has_fma, has_rounding};

/// Bound on the error of every function here, in units of the last place, at every level.
/// (Those that compute in double reach 0.51.)
pub const MAX_ULP: f64 = 2.0;

super::shared!(f32, u32, fma32, 4194304.0);

/// `x - q * y`, exact where the difference is representable.
#[inline(always)]
fn minus_product<I: Isa>(x: f32, q: f32, y: f32) -> f32 {
    if has_fma::<I>() {
        return I::fma32(-q, y, x);
    }
    (x as f64 - q as f64 * y as f64) as f32
}
