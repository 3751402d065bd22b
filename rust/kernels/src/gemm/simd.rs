//! The vectors a kernel is written in: one type per element type and instruction-set level.

use crate::dtype::Element;

/// The arithmetic of one element, as the portable vectors need it. Integers wrap.
pub trait Number: Element + PartialEq {
    const ZERO: Self;
    const ONE: Self;
    fn plus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    /// `self * b + c`, fused where `FUSED` says that this is one instruction.
    fn times_plus<const FUSED: bool>(self, b: Self, c: Self) -> Self;
}

macro_rules! numbers {
    (float: $($f:ty),*; int: $($i:ty),*) => {
        $(impl Number for $f {
            const ZERO: $f = 0.0;
            const ONE: $f = 1.0;
            #[inline(always)]
            fn plus(self, other: $f) -> $f { self + other }
            #[inline(always)]
            fn times(self, other: $f) -> $f { self * other }
            #[inline(always)]
            fn times_plus<const FUSED: bool>(self, b: $f, c: $f) -> $f {
                if FUSED { self.mul_add(b, c) } else { self * b + c }
            }
        })*
        $(impl Number for $i {
            const ZERO: $i = 0;
            const ONE: $i = 1;
            #[inline(always)]
            fn plus(self, other: $i) -> $i { self.wrapping_add(other) }
            #[inline(always)]
            fn times(self, other: $i) -> $i { self.wrapping_mul(other) }
            #[inline(always)]
            fn times_plus<const FUSED: bool>(self, b: $i, c: $i) -> $i {
                self.wrapping_mul(b).wrapping_add(c)
            }
        })*
    };
}
numbers!(float: f32, f64; int: i8, u8, i16, i32, i64);

/// A register of elements.
///
/// # Safety
/// Methods may be called only where the machine has the instructions of the type, and pointers must
/// be valid for the lanes that are read or written (with a mask: for the first lanes only).
pub unsafe trait Vector: Copy {
    type Elem: Number;
    type Mask: Copy;
    const LANES: usize;
    /// The mask of the first `lanes` lanes; `1..=LANES`.
    unsafe fn mask(lanes: usize) -> Self::Mask;
    unsafe fn splat(x: Self::Elem) -> Self;
    unsafe fn load(p: *const Self::Elem) -> Self;
    /// Lanes outside the mask are zero.
    unsafe fn load_masked(p: *const Self::Elem, mask: Self::Mask) -> Self;
    unsafe fn store(self, p: *mut Self::Elem);
    unsafe fn store_masked(self, p: *mut Self::Elem, mask: Self::Mask);
    unsafe fn plus(self, other: Self) -> Self;
    unsafe fn times(self, other: Self) -> Self;
    /// `self * b + c`.
    unsafe fn times_plus(self, b: Self, c: Self) -> Self;
    /// The sum of all lanes.
    #[inline(always)]
    unsafe fn sum(self) -> Self::Elem {
        let mut lanes = [Self::Elem::ZERO; 64];
        // SAFETY: no vector has more than 64 lanes.
        unsafe { self.store(lanes.as_mut_ptr()) };
        // By halves, as a tree: short chains, small error.
        let mut half = Self::LANES / 2;
        while half > 0 {
            for i in 0..half {
                lanes[i] = lanes[i].plus(lanes[i + half]);
            }
            half /= 2;
        }
        lanes[0]
    }
}

/// A vector the compiler makes of an array: for integers, and for the baseline level.
#[derive(Clone, Copy)]
pub struct Lanes<T, const L: usize, const FUSED: bool>([T; L]);

// SAFETY: plain Rust, needs no particular machine.
unsafe impl<T: Number, const L: usize, const FUSED: bool> Vector for Lanes<T, L, FUSED> {
    type Elem = T;
    type Mask = usize;
    const LANES: usize = L;
    #[inline(always)]
    unsafe fn mask(lanes: usize) -> usize {
        lanes
    }
    #[inline(always)]
    unsafe fn splat(x: T) -> Self {
        Lanes([x; L])
    }
    #[inline(always)]
    unsafe fn load(p: *const T) -> Self {
        // SAFETY: the caller's promise.
        Lanes(unsafe { p.cast::<[T; L]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn load_masked(p: *const T, mask: usize) -> Self {
        if mask == L {
            // SAFETY: the caller's promise.
            return unsafe { Self::load(p) };
        }
        // SAFETY: reads the first `mask` lanes only.
        Lanes(std::array::from_fn(|i| if i < mask { unsafe { *p.add(i) } } else { T::ZERO }))
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut T) {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[T; L]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn store_masked(self, p: *mut T, mask: usize) {
        // SAFETY: writes the first `mask` lanes only.
        self.0.iter().take(mask).enumerate().for_each(|(i, x)| unsafe { *p.add(i) = *x });
    }
    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        Lanes(std::array::from_fn(|i| self.0[i].plus(other.0[i])))
    }
    #[inline(always)]
    unsafe fn times(self, other: Self) -> Self {
        Lanes(std::array::from_fn(|i| self.0[i].times(other.0[i])))
    }
    #[inline(always)]
    unsafe fn times_plus(self, b: Self, c: Self) -> Self {
        Lanes(std::array::from_fn(|i| self.0[i].times_plus::<FUSED>(b.0[i], c.0[i])))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use std::arch::x86_64::*;

    macro_rules! vector {
        ($v:ty, $t:ty, $mask:ty, $lanes:literal, $make_mask:expr, $splat:ident, $load:ident,
         $mload:ident, $store:ident, $mstore:ident, $add:ident, $mul:ident, $fma:ident) => {
            // SAFETY: each method is the instruction of its name; masked forms touch no memory
            // outside the mask.
            unsafe impl Vector for $v {
                type Elem = $t;
                type Mask = $mask;
                const LANES: usize = $lanes;
                #[inline(always)]
                unsafe fn mask(lanes: usize) -> $mask {
                    // SAFETY: as the trait asks, here and below.
                    unsafe { $make_mask(lanes) }
                }
                #[inline(always)]
                unsafe fn splat(x: $t) -> $v {
                    // SAFETY: as above.
                    unsafe { $splat(x) }
                }
                #[inline(always)]
                unsafe fn load(p: *const $t) -> $v {
                    // SAFETY: as above.
                    unsafe { $load(p) }
                }
                #[inline(always)]
                unsafe fn load_masked(p: *const $t, mask: $mask) -> $v {
                    // SAFETY: as above.
                    unsafe { $mload(p, mask) }
                }
                #[inline(always)]
                unsafe fn store(self, p: *mut $t) {
                    // SAFETY: as above.
                    unsafe { $store(p, self) }
                }
                #[inline(always)]
                unsafe fn store_masked(self, p: *mut $t, mask: $mask) {
                    // SAFETY: as above.
                    unsafe { $mstore(p, mask, self) }
                }
                #[inline(always)]
                unsafe fn plus(self, other: $v) -> $v {
                    // SAFETY: as above.
                    unsafe { $add(self, other) }
                }
                #[inline(always)]
                unsafe fn times(self, other: $v) -> $v {
                    // SAFETY: as above.
                    unsafe { $mul(self, other) }
                }
                #[inline(always)]
                unsafe fn times_plus(self, b: $v, c: $v) -> $v {
                    // SAFETY: as above.
                    unsafe { $fma(self, b, c) }
                }
            }
        };
    }

    #[inline(always)]
    unsafe fn mask16(lanes: usize) -> __mmask16 {
        (0xffff_u32 >> (16 - lanes)) as __mmask16
    }
    #[inline(always)]
    unsafe fn mask8(lanes: usize) -> __mmask8 {
        (0xff_u32 >> (8 - lanes)) as __mmask8
    }
    #[inline(always)]
    unsafe fn zeroing_load_ps(p: *const f32, mask: __mmask16) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_maskz_loadu_ps(mask, p) }
    }
    #[inline(always)]
    unsafe fn zeroing_load_pd(p: *const f64, mask: __mmask8) -> __m512d {
        // SAFETY: the caller's promise.
        unsafe { _mm512_maskz_loadu_pd(mask, p) }
    }
    #[inline(always)]
    unsafe fn mask_epi32(lanes: usize) -> __m256i {
        static ONES: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
        debug_assert!(lanes <= 8);
        // SAFETY: a window of eight inside the sixteen.
        unsafe { _mm256_loadu_si256(ONES.as_ptr().add(8 - lanes).cast()) }
    }
    #[inline(always)]
    unsafe fn mask_epi64(lanes: usize) -> __m256i {
        // SAFETY: four lanes of 64 bits are eight of 32.
        unsafe { mask_epi32(2 * lanes) }
    }

    vector!(
        __m512,
        f32,
        __mmask16,
        16,
        mask16,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        zeroing_load_ps,
        _mm512_storeu_ps,
        _mm512_mask_storeu_ps,
        _mm512_add_ps,
        _mm512_mul_ps,
        _mm512_fmadd_ps
    );
    vector!(
        __m512d,
        f64,
        __mmask8,
        8,
        mask8,
        _mm512_set1_pd,
        _mm512_loadu_pd,
        zeroing_load_pd,
        _mm512_storeu_pd,
        _mm512_mask_storeu_pd,
        _mm512_add_pd,
        _mm512_mul_pd,
        _mm512_fmadd_pd
    );
    vector!(
        __m256,
        f32,
        __m256i,
        8,
        mask_epi32,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_maskload_ps,
        _mm256_storeu_ps,
        _mm256_maskstore_ps,
        _mm256_add_ps,
        _mm256_mul_ps,
        _mm256_fmadd_ps
    );
    vector!(
        __m256d,
        f64,
        __m256i,
        4,
        mask_epi64,
        _mm256_set1_pd,
        _mm256_loadu_pd,
        _mm256_maskload_pd,
        _mm256_storeu_pd,
        _mm256_maskstore_pd,
        _mm256_add_pd,
        _mm256_mul_pd,
        _mm256_fmadd_pd
    );
}

/// Whether the baseline of this target multiplies and adds in one instruction.
const BASE_FMA: bool = cfg!(target_arch = "aarch64");

/// The vector types of an element type, one per level.
pub trait Vectors: Number {
    type Base: Vector<Elem = Self>;
    #[cfg(target_arch = "x86_64")]
    type Avx2: Vector<Elem = Self>;
    #[cfg(target_arch = "x86_64")]
    type Avx512: Vector<Elem = Self>;
}

macro_rules! vectors {
    ($($t:ty: $base:literal, $avx2:ty, $avx512:ty;)*) => { $(impl Vectors for $t {
        type Base = Lanes<$t, $base, BASE_FMA>;
        #[cfg(target_arch = "x86_64")]
        type Avx2 = $avx2;
        #[cfg(target_arch = "x86_64")]
        type Avx512 = $avx512;
    })* };
}
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m256d, __m512, __m512d};
vectors! {
    f32: 4, __m256, __m512;
    f64: 2, __m256d, __m512d;
    i8: 16, Lanes<i8, 32, false>, Lanes<i8, 64, false>;
    u8: 16, Lanes<u8, 32, false>, Lanes<u8, 64, false>;
    i16: 8, Lanes<i16, 16, false>, Lanes<i16, 32, false>;
    i32: 4, Lanes<i32, 8, false>, Lanes<i32, 16, false>;
    i64: 2, Lanes<i64, 4, false>, Lanes<i64, 8, false>;
}
