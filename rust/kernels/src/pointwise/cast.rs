//! Conversions between dtypes, as PyTorch's CPU does them.

use super::Kernel;
use super::half::{bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16};
use super::run::{self, Map};
use crate::dtype::{Bool, DType};
use crate::isa::{self, Isa, Level};
use half::{bf16, f16};
use num_complex::Complex;
use std::marker::PhantomData;

/// The kernel that converts blocks of `from` into blocks of `to`; it reads one source.
///
/// Floats become integers by truncation. Out of range the result is what PyTorch gives on x86:
/// through i32 for the types of one and two bytes, through i64 for the unsigned ones of four and
/// eight, and the least value where that overflows too (NaN included). Anything but zero becomes
/// `true`; complex numbers lose their imaginary part; floats round to nearest, ties to even.
#[inline]
pub fn cast(from: DType, to: DType) -> Kernel {
    TABLE[(isa::level() > Level::Baseline) as usize][from as usize][to as usize]
}

macro_rules! rows {
    ($level:ident) => {
        [
            row!($level, Bool),
            row!($level, u8),
            row!($level, i8),
            row!($level, i16),
            row!($level, i32),
            row!($level, i64),
            row!($level, u16),
            row!($level, u32),
            row!($level, u64),
            row!($level, f16),
            row!($level, bf16),
            row!($level, f32),
            row!($level, f64),
            row!($level, Complex<f32>),
            row!($level, Complex<f64>),
        ]
    };
}

macro_rules! row {
    ($level:ident, $from:ty) => {
        row!($level, $from, Bool u8 i8 i16 i32 i64 u16 u32 u64 f16 bf16 f32 f64 C64 C128)
    };
    ($level:ident, $from:ty, $($to:ident)*) => {
        [$(run::$level::<Cast<$from, $to>> as Kernel),*]
    };
}

/// Conversions gain little from AVX-512 beyond AVX2, and 225 pairs are many: two levels only.
static TABLE: [[[Kernel; 15]; 15]; 2] = {
    #[cfg(target_arch = "x86_64")]
    let wide = rows!(avx2);
    #[cfg(not(target_arch = "x86_64"))]
    let wide = rows!(baseline);
    [rows!(baseline), wide]
};

type C64 = Complex<f32>;
type C128 = Complex<f64>;

struct Cast<A, B>(PhantomData<(A, B)>);

impl<I: Isa, A: Number, B: Number> Map<I> for Cast<A, B> {
    type A = A;
    type B = A;
    type Out = B;
    const ARITY: usize = 1;
    #[inline(always)]
    fn map(a: A, _: A, _: A) -> B {
        B::new(a.value(), a.imaginary(), a.truth())
    }
}

/// The number in the middle of a conversion: i64, u64, f32 or f64, whichever holds the source.
trait Value: Copy {
    /// As i32: wrapping, and the least value for a float out of range.
    fn narrow(self) -> i32;
    /// As i64, likewise.
    fn wide(self) -> i64;
    /// As u64: floats through i64, with an offset of 2^63 from there on.
    fn unsigned(self) -> u64;
    fn single(self) -> f32;
    fn double(self) -> f64;
}

macro_rules! value {
    (int $($t:ident)*) => { $(impl Value for $t {
        #[inline(always)]
        fn narrow(self) -> i32 { self as i32 }
        #[inline(always)]
        fn wide(self) -> i64 { self as i64 }
        #[inline(always)]
        fn unsigned(self) -> u64 { self as u64 }
        #[inline(always)]
        fn single(self) -> f32 { self as f32 }
        #[inline(always)]
        fn double(self) -> f64 { self as f64 }
    })* };
    (float $($t:ident)*) => { $(impl Value for $t {
        #[inline(always)]
        fn narrow(self) -> i32 {
            const END: $t = 2147483648.0;
            // `as` saturates: only the top end differs from the hardware's conversion, and NaN.
            if self < END { self as i32 } else { i32::MIN }
        }
        #[inline(always)]
        fn wide(self) -> i64 {
            const END: $t = 9223372036854775808.0;
            if self < END { self as i64 } else { i64::MIN }
        }
        #[inline(always)]
        fn unsigned(self) -> u64 {
            const END: $t = 9223372036854775808.0;
            let low = self.wide() as u64;
            let high = (self - END).wide() as u64 ^ 1 << 63;
            if self >= END { high } else { low }
        }
        #[inline(always)]
        fn single(self) -> f32 { self as f32 }
        #[inline(always)]
        fn double(self) -> f64 { self as f64 }
    })* };
}

value!(int i64 u64);
value!(float f32 f64);

/// An element type, as conversions see it.
trait Number: Copy {
    type V: Value;
    fn value(self) -> Self::V;
    #[inline(always)]
    fn imaginary(self) -> Option<Self::V> {
        None
    }
    fn truth(self) -> bool;
    fn new<V: Value>(value: V, imaginary: Option<V>, truth: bool) -> Self;
}

macro_rules! number {
    ($($t:ty: $v:ident, $x:ident => $value:expr, $y:ident => $new:expr;)*) => { $(
        impl Number for $t {
            type V = $v;
            #[inline(always)]
            fn value(self) -> $v { let $x = self; $value }
            #[inline(always)]
            fn truth(self) -> bool { let $x = self; $value != 0 as $v }
            #[inline(always)]
            fn new<V: Value>($y: V, _: Option<V>, _: bool) -> $t { $new }
        }
    )* };
}

number! {
    u8: u64, x => x as u64, v => v.narrow() as u8;
    i8: i64, x => x as i64, v => v.narrow() as i8;
    i16: i64, x => x as i64, v => v.narrow() as i16;
    u16: u64, x => x as u64, v => v.narrow() as u16;
    i32: i64, x => x as i64, v => v.narrow();
    u32: u64, x => x as u64, v => v.wide() as u32;
    i64: i64, x => x, v => v.wide();
    u64: u64, x => x, v => v.unsigned();
    f16: f32, x => f16_to_f32(x), v => f32_to_f16(v.single());
    bf16: f32, x => bf16_to_f32(x), v => f32_to_bf16(v.single());
    f32: f32, x => x, v => v.single();
    f64: f64, x => x, v => v.double();
}

impl Number for Bool {
    type V = u64;
    #[inline(always)]
    fn value(self) -> u64 {
        self.get() as u64
    }
    #[inline(always)]
    fn truth(self) -> bool {
        self.get()
    }
    #[inline(always)]
    fn new<V: Value>(_: V, _: Option<V>, truth: bool) -> Bool {
        truth.into()
    }
}

macro_rules! complex {
    ($($t:ident $part:ident)*) => { $(impl Number for Complex<$t> {
        type V = $t;
        #[inline(always)]
        fn value(self) -> $t { self.re }
        #[inline(always)]
        fn imaginary(self) -> Option<$t> { Some(self.im) }
        #[inline(always)]
        fn truth(self) -> bool { self.re != 0.0 || self.im != 0.0 }
        #[inline(always)]
        fn new<V: Value>(value: V, imaginary: Option<V>, _: bool) -> Complex<$t> {
            Complex::new(value.$part(), imaginary.map_or(0.0, V::$part))
        }
    })* };
}

complex!(f32 single f64 double);
