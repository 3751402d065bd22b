//! The reductions as types: what is accumulated, how two accumulators join.
//!
//! Few instances serve every dtype: an order-reversing bit flip makes a minimum of a maximum, and
//! unsigned order of signed order; "is there a one bit under this mask" serves `any` and `all` of
//! any type.

use std::marker::PhantomData;

use num_complex::Complex;

use crate::Bool;

/// A reduction over elements `In`.
pub trait Fold: Copy + Send + Sync {
    type In: Copy + Default;
    type Acc: Copy + Send + Sync;
    type Out: Copy;
    /// `join(IDENTITY, a)` is `a`, except that a sum makes +0 of -0.
    const IDENTITY: Self::Acc;
    fn load(self, x: Self::In) -> Self::Acc;
    /// Whether `load` differs from output to output.
    const BY_OUTPUT: bool = false;
    /// The fold of an output, or of several, `stride` apart.
    #[inline(always)]
    fn at(self, _output: usize, _stride: usize) -> Self {
        self
    }
    /// `load` for the `j`-th of several outputs.
    #[inline(always)]
    fn load_column(self, _j: usize, x: Self::In) -> Self::Acc {
        self.load(x)
    }
    /// Associative up to rounding; `a` comes before `b`.
    fn join(a: Self::Acc, b: Self::Acc) -> Self::Acc;
    /// Whether rounding makes the order of joins matter, so that they are done pairwise.
    const PAIRWISE: bool;
    /// Eight joined as a tree.
    #[inline(always)]
    fn join8(x: [Self::Acc; 8]) -> Self::Acc {
        let [a, b, c, d, e, f, g, h] = x;
        let (a, b) = (Self::join(a, b), Self::join(c, d));
        let (c, d) = (Self::join(e, f), Self::join(g, h));
        Self::join(Self::join(a, b), Self::join(c, d))
    }
    /// Whether `join` consists of the two parts below, which are faster apart.
    const NANS: bool = false;
    /// `join` that may lose a NaN.
    #[inline(always)]
    fn join_number(a: Self::Acc, b: Self::Acc) -> Self::Acc {
        Self::join(a, b)
    }
    /// `join` that sees NaNs only.
    #[inline(always)]
    fn join_nan(a: Self::Acc, _b: Self::Acc) -> Self::Acc {
        a
    }
    fn out(self, acc: Self::Acc) -> Self::Out;
}

/// Sum; integers wrap.
#[derive(Clone, Copy, Default)]
pub struct Sum<T>(PhantomData<T>);

/// Product; integers wrap.
#[derive(Clone, Copy, Default)]
pub struct Prod<T>(PhantomData<T>);

macro_rules! arithmetic {
    ($($fold:ident<$t:ty>, $identity:expr, |$a:ident, $b:ident| $join:expr;)*) => {
        $(impl Fold for $fold<$t> {
            type In = $t;
            type Acc = $t;
            type Out = $t;
            const IDENTITY: $t = $identity;
            const PAIRWISE: bool = true;
            #[inline(always)]
            fn load(self, x: $t) -> $t { x }
            #[inline(always)]
            fn join($a: $t, $b: $t) -> $t { $join }
            #[inline(always)]
            fn out(self, acc: $t) -> $t { acc }
        })*
    };
}

arithmetic! {
    Sum<f32>, 0., |a, b| a + b;
    Sum<f64>, 0., |a, b| a + b;
    Sum<i64>, 0, |a, b| a.wrapping_add(b);
    Prod<f32>, 1., |a, b| a * b;
    Prod<f64>, 1., |a, b| a * b;
    Prod<i64>, 1, |a, b| a.wrapping_mul(b);
    Prod<Complex<f32>>, Complex::new(1., 0.), |a, b| a * b;
    Prod<Complex<f64>>, Complex::new(1., 0.), |a, b| a * b;
}

/// Sum of squares.
#[derive(Clone, Copy, Default)]
pub struct Squares<T>(PhantomData<T>);

/// Sum of magnitudes.
#[derive(Clone, Copy, Default)]
pub struct Magnitudes<T>(PhantomData<T>);

/// Sum of the distances from a centre, one for each output, in double precision; of their squares
/// if `SQUARE`.
#[derive(Clone, Copy)]
pub struct Distances<T, const SQUARE: bool> {
    centres: *const f64,
    /// The centre of the output at hand.
    centre: f64,
    stride: usize,
    of: PhantomData<T>,
}

impl<T, const SQUARE: bool> From<*const f64> for Distances<T, SQUARE> {
    fn from(centres: *const f64) -> Self {
        Distances { centres, centre: 0.0, stride: 0, of: PhantomData }
    }
}

// SAFETY: the centres are only read.
unsafe impl<T, const SQUARE: bool> Send for Distances<T, SQUARE> {}
// SAFETY: as above.
unsafe impl<T, const SQUARE: bool> Sync for Distances<T, SQUARE> {}

macro_rules! floats {
    ($($t:ty)*) => { $(
        impl Fold for Squares<$t> {
            type In = $t;
            type Acc = $t;
            type Out = $t;
            const IDENTITY: $t = 0.;
            const PAIRWISE: bool = true;
            #[inline(always)]
            fn load(self, x: $t) -> $t { x * x }
            #[inline(always)]
            fn join(a: $t, b: $t) -> $t { a + b }
            #[inline(always)]
            fn out(self, acc: $t) -> $t { acc }
        }
        impl Fold for Magnitudes<$t> {
            type In = $t;
            type Acc = $t;
            type Out = $t;
            const IDENTITY: $t = 0.;
            const PAIRWISE: bool = true;
            #[inline(always)]
            fn load(self, x: $t) -> $t { x.abs() }
            #[inline(always)]
            fn join(a: $t, b: $t) -> $t { a + b }
            #[inline(always)]
            fn out(self, acc: $t) -> $t { acc }
        }
        impl<const SQUARE: bool> Fold for Distances<$t, SQUARE> {
            type In = $t;
            type Acc = f64;
            type Out = f64;
            const IDENTITY: f64 = 0.;
            const PAIRWISE: bool = true;
            const BY_OUTPUT: bool = true;
            #[inline(always)]
            fn at(self, output: usize, stride: usize) -> Self {
                // SAFETY: there is a centre for each output.
                let (centres, centre) = unsafe {
                    let p = self.centres.add(output);
                    (p, *p)
                };
                Self { centres, centre, stride, ..self }
            }
            #[inline(always)]
            fn load(self, x: $t) -> f64 {
                let d = x as f64 - self.centre;
                if SQUARE { d * d } else { d }
            }
            #[inline(always)]
            fn load_column(self, j: usize, x: $t) -> f64 {
                // SAFETY: as in `at`.
                let d = x as f64 - unsafe { *self.centres.add(j * self.stride) };
                if SQUARE { d * d } else { d }
            }
            #[inline(always)]
            fn join(a: f64, b: f64) -> f64 { a + b }
            #[inline(always)]
            fn out(self, acc: f64) -> f64 { acc }
        }
    )* };
}

floats!(f32 f64);

/// A signed integer or float, as [`Order`] compares it.
pub trait Ordered: Copy + Default + PartialOrd + Send + Sync {
    /// No value is smaller.
    const LOWEST: Self;
    const HAS_NAN: bool;
    /// Of a type that has no NaN, any value.
    const NAN: Self;
    /// The value with the bits of `mask` (of which the low ones count) flipped.
    fn flip(self, mask: u64) -> Self;
    fn is_nan(self) -> bool;
}

macro_rules! ordered {
    ($($t:ty, $lowest:expr, $has_nan:expr, $nan_value:expr, |$x:ident, $mask:ident| $flip:expr,
        $nan:expr;)*) => {
        $(impl Ordered for $t {
            const LOWEST: $t = $lowest;
            const HAS_NAN: bool = $has_nan;
            const NAN: $t = $nan_value;
            #[inline(always)]
            fn flip(self, $mask: u64) -> $t { let $x = self; $flip }
            #[inline(always)]
            fn is_nan(self) -> bool { let $x = self; $nan($x) }
        })*
    };
}

ordered! {
    i8, i8::MIN, false, 0, |x, mask| x ^ mask as i8, |_| false;
    i16, i16::MIN, false, 0, |x, mask| x ^ mask as i16, |_| false;
    i32, i32::MIN, false, 0, |x, mask| x ^ mask as i32, |_| false;
    i64, i64::MIN, false, 0, |x, mask| x ^ mask as i64, |_| false;
    f32, f32::NEG_INFINITY, true, f32::NAN, |x, mask| f32::from_bits(x.to_bits() ^ mask as u32),
        f32::is_nan;
    f64, f64::NEG_INFINITY, true, f64::NAN, |x, mask| f64::from_bits(x.to_bits() ^ mask),
        f64::is_nan;
}

/// Maximum after flipping the bits of a mask, and flipped back; a NaN beats every number.
///
/// A minimum flips all bits of an integer, the sign of a float; unsigned integers (read as signed)
/// flip the sign bit once more.
#[derive(Clone, Copy)]
pub struct Order<T> {
    pub mask: u64,
    pub of: PhantomData<T>,
}

impl<T> Order<T> {
    pub fn new(mask: u64) -> Order<T> {
        Order { mask, of: PhantomData }
    }
}

/// Whether `b`, coming later, replaces `a`: the first of equal values, and the first NaN, stay.
#[inline(always)]
pub fn beats<T: Ordered>(b: T, a: T) -> bool {
    b > a || (b.is_nan() & !a.is_nan())
}

impl<T: Ordered> Fold for Order<T> {
    type In = T;
    type Acc = T;
    type Out = T;
    const IDENTITY: T = T::LOWEST;
    const PAIRWISE: bool = false;
    const NANS: bool = T::HAS_NAN;
    #[inline(always)]
    fn load(self, x: T) -> T {
        x.flip(self.mask)
    }
    #[inline(always)]
    fn join(a: T, b: T) -> T {
        // Which of two NaNs is kept does not matter, which saves a comparison against `beats`.
        if (b > a) | b.is_nan() { b } else { a }
    }
    #[inline(always)]
    fn join8([a, b, c, d, e, f, g, h]: [T; 8]) -> T {
        // Unordered pairs are one comparison.
        let nan = |a: T, b: T| a.is_nan() | b.is_nan();
        let is_nan = nan(a, b) | nan(c, d) | nan(e, f) | nan(g, h);
        let (a, b) = (Self::join_number(a, b), Self::join_number(c, d));
        let (c, d) = (Self::join_number(e, f), Self::join_number(g, h));
        let max = Self::join_number(Self::join_number(a, b), Self::join_number(c, d));
        if is_nan { T::NAN } else { max }
    }
    #[inline(always)]
    fn join_number(a: T, b: T) -> T {
        if b > a { b } else { a }
    }
    #[inline(always)]
    fn join_nan(a: T, b: T) -> T {
        if b.is_nan() { b } else { a }
    }
    #[inline(always)]
    fn out(self, acc: T) -> T {
        acc.flip(self.mask)
    }
}

/// `max` and `min` of booleans with their index; any non-zero byte is true.
#[derive(Clone, Copy)]
pub struct BoolOrder {
    /// All ones for the minimum, 0 for the maximum.
    pub mask: i8,
}

impl Fold for BoolOrder {
    type In = u8;
    type Acc = i8;
    type Out = Bool;
    const IDENTITY: i8 = i8::MIN;
    const PAIRWISE: bool = false;
    #[inline(always)]
    fn load(self, x: u8) -> i8 {
        i8::from(x != 0) ^ self.mask
    }
    #[inline(always)]
    fn join(a: i8, b: i8) -> i8 {
        a.max(b)
    }
    #[inline(always)]
    fn out(self, acc: i8) -> Bool {
        Bool::from(acc ^ self.mask == 1)
    }
}

/// Whether any element has a bit of `mask` set, or (`all`) none lacks them all.
#[derive(Clone, Copy)]
pub struct Bits<T> {
    /// The bits that make an element true: all but the sign of a float.
    pub mask: T,
    pub all: bool,
}

/// [`Bits`] of complex numbers: those of both parts.
#[derive(Clone, Copy)]
pub struct PairBits<T>(pub Bits<T>);

macro_rules! bits {
    ($($fold:ident<$t:ty>: $in:ty, |$self:ident, $x:ident| $load:expr;)*) => {
        $(impl Fold for $fold<$t> {
            type In = $in;
            type Acc = $t;
            type Out = Bool;
            const IDENTITY: $t = 0;
            const PAIRWISE: bool = false;
            #[inline(always)]
            fn load($self, $x: $in) -> $t { $load }
            #[inline(always)]
            fn join(a: $t, b: $t) -> $t { a | b }
            #[inline(always)]
            fn out(self, acc: $t) -> Bool { Bool::from((acc != 0) != self.all()) }
        })*
    };
}

impl<T> Bits<T> {
    fn all(self) -> bool {
        self.all
    }
}

impl<T> PairBits<T> {
    fn all(self) -> bool {
        self.0.all
    }
}

/// Non-zero where the element decides: true for `any`, false for `all`.
macro_rules! decides {
    ($bits:expr, $x:expr) => {{
        let x = $x & $bits.mask;
        if $bits.all { (x == 0).into() } else { x }
    }};
}

bits! {
    Bits<u8>: u8, |self, x| decides!(self, x);
    Bits<u16>: u16, |self, x| decides!(self, x);
    Bits<u32>: u32, |self, x| decides!(self, x);
    Bits<u64>: u64, |self, x| decides!(self, x);
    PairBits<u32>: [u32; 2], |self, x| decides!(self.0, (x[0] | x[1]));
    PairBits<u64>: [u64; 2], |self, x| decides!(self.0, (x[0] | x[1]));
}
