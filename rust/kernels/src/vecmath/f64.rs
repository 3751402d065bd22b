//! Elementary functions of f64; see [the module above](super).

pub(super) mod double;
mod erf;
mod exponential;
mod inverse;
mod logarithm;
mod power;
mod trigonometric;

pub use erf::*;
pub use exponential::*;
pub use inverse::*;
pub use logarithm::*;
pub use power::*;
pub use trigonometric::*;

use super::{has_fma, has_rounding};

/// Bound on the error of every function here, in units of the last place, at every level.
pub const MAX_ULP: f64 = 2.0;

super::shared!(f64, u64, fma64, 2251799813685248.0);

/// `x - q * y`, exact where the difference is representable.
#[inline(always)]
fn minus_product<I: Isa>(x: f64, q: f64, y: f64) -> f64 {
    if has_fma::<I>() {
        return I::fma64(-q, y, x);
    }
    let (p, e) = double::two_prod::<I>(q, y);
    (x - p) - e
}
