//! Elements combined with those that are there already.

use super::{Both, Places};
use crate::DType;
use crate::dtype::Bool;
use half::{bf16, f16};
use num_complex::Complex;

/// How an element is combined with the one at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    Add,
    Mul,
    Max,
    Min,
}

/// A number that can be combined. Integers wrap; a NaN stays.
trait Number: Copy + Sync {
    fn add(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn max(self, other: Self) -> Self;
    fn min(self, other: Self) -> Self;
}

macro_rules! integers {
    ($($t:ty)*) => { $(impl Number for $t {
        fn add(self, other: $t) -> $t { self.wrapping_add(other) }
        fn mul(self, other: $t) -> $t { self.wrapping_mul(other) }
        fn max(self, other: $t) -> $t { Ord::max(self, other) }
        fn min(self, other: $t) -> $t { Ord::min(self, other) }
    })* };
}
integers! { u8 i8 i16 i32 i64 u16 u32 u64 }

macro_rules! floats {
    ($($t:ty)*) => { $(impl Number for $t {
        fn add(self, other: $t) -> $t { self + other }
        fn mul(self, other: $t) -> $t { self * other }
        fn max(self, other: $t) -> $t {
            if self.is_nan() || self > other { self } else { other }
        }
        fn min(self, other: $t) -> $t {
            if self.is_nan() || self < other { self } else { other }
        }
    })* };
}
floats! { f32 f64 f16 bf16 }

impl Number for Bool {
    fn add(self, other: Bool) -> Bool {
        (self.get() | other.get()).into()
    }
    fn mul(self, other: Bool) -> Bool {
        (self.get() & other.get()).into()
    }
    fn max(self, other: Bool) -> Bool {
        self.add(other)
    }
    fn min(self, other: Bool) -> Bool {
        self.mul(other)
    }
}

macro_rules! complex {
    ($($t:ty)*) => { $(impl Number for Complex<$t> {
        fn add(self, other: Self) -> Self { self + other }
        fn mul(self, other: Self) -> Self { self * other }
        // Complex numbers have no order: callers refuse them.
        fn max(self, _: Self) -> Self { self }
        fn min(self, _: Self) -> Self { self }
    })* };
}
complex! { f32 f64 }

/// Combines each element of `part` with the one at its place, in the order of the places.
///
/// # Safety
/// Everything `places` describes is inside the operands, whose elements are of `dtype`; they do
/// not overlap.
pub unsafe fn combine(
    how: Combine,
    dtype: DType,
    places: &Places,
    whole: *mut u8,
    part: *const u8,
) {
    macro_rules! go {
        ($t:ty) => {{
            let both = Both::<$t>(whole.cast(), part.cast_mut().cast());
            // SAFETY: the caller's, handed on.
            unsafe {
                match how {
                    Combine::Add => run(places, both, <$t as Number>::add),
                    Combine::Mul => run(places, both, <$t as Number>::mul),
                    Combine::Max => run(places, both, <$t as Number>::max),
                    Combine::Min => run(places, both, <$t as Number>::min),
                }
            }
        }};
    }
    match dtype {
        DType::Bool => go!(Bool),
        DType::U8 => go!(u8),
        DType::I8 => go!(i8),
        DType::I16 => go!(i16),
        DType::I32 => go!(i32),
        DType::I64 => go!(i64),
        DType::U16 => go!(u16),
        DType::U32 => go!(u32),
        DType::U64 => go!(u64),
        DType::F16 => go!(f16),
        DType::BF16 => go!(bf16),
        DType::F32 => go!(f32),
        DType::F64 => go!(f64),
        DType::C64 => go!(Complex<f32>),
        DType::C128 => go!(Complex<f64>),
    }
}

unsafe fn run<T: Copy>(places: &Places, both: Both<T>, f: impl Fn(T, T) -> T + Sync) {
    places.write(|run| {
        // SAFETY: the caller's: each element is inside its operand.
        unsafe {
            let (to, from) = both.start(&run);
            for j in 0..run.n as isize {
                let at = to.offset(j * run.steps.0);
                *at = f(*at, *from.offset(j * run.steps.1));
            }
        }
    });
}
