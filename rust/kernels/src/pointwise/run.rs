//! The loop every block kernel runs, and its three instantiations.

use crate::isa::{Avx2, Avx512, Baseline, Isa, Quick};

/// A function of up to three lanes, compiled at level `I`.
pub(super) trait Map<I: Isa> {
    /// Type of the first argument.
    type A: Copy;
    /// Type of the second and third argument.
    type B: Copy;
    type Out: Copy;
    const ARITY: usize;
    fn map(a: Self::A, b: Self::B, c: Self::B) -> Self::Out;
}

/// Applies `M` to `n` lanes.
///
/// # Safety
/// As for [`Kernel`](super::Kernel).
#[inline(always)]
unsafe fn run<I: Isa, M: Map<I>>(dst: *mut u8, src: &[*const u8; 3], n: usize) {
    let out = dst.cast::<M::Out>();
    let a = src[0].cast::<M::A>();
    let b = src[if M::ARITY > 1 { 1 } else { 0 }].cast::<M::B>();
    let c = src[if M::ARITY > 2 { 2 } else { 0 }].cast::<M::B>();
    for i in 0..n {
        // SAFETY: the caller vouches for `n` elements behind the pointers of the arity; with an
        // arity of one, `B` is never wider than `A`.
        unsafe {
            let y = M::map(
                a.add(i).read_unaligned(),
                b.add(i).read_unaligned(),
                c.add(i).read_unaligned(),
            );
            out.add(i).write_unaligned(y);
        }
    }
}

/// # Safety
/// As for [`Kernel`](super::Kernel).
pub(super) unsafe fn baseline<M: Map<Baseline>>(dst: *mut u8, src: &[*const u8; 3], n: usize) {
    // SAFETY: the caller's promise.
    unsafe { run::<Baseline, M>(dst, src, n) }
}

/// # Safety
/// As for [`Kernel`](super::Kernel), on a machine of [`Level::Avx2`](crate::isa::Level).
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,bmi2,f16c")]
pub(super) unsafe fn avx2<M: Map<Avx2>>(dst: *mut u8, src: &[*const u8; 3], n: usize) {
    // SAFETY: the caller's promise.
    unsafe { run::<Avx2, M>(dst, src, n) }
}

/// # Safety
/// As for [`Kernel`](super::Kernel), on a machine of [`Level::Avx512`](crate::isa::Level).
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi2,f16c")]
pub(super) unsafe fn avx512<M: Map<Avx512>>(dst: *mut u8, src: &[*const u8; 3], n: usize) {
    // SAFETY: the caller's promise.
    unsafe { run::<Avx512, M>(dst, src, n) }
}

/// Lanes that are computed before anyone looks for NaN.
const AT_ONCE: usize = 64;

/// Applies `M` to `n` lanes: the quick way, and again where that gave NaN.
///
/// # Safety
/// As for [`Kernel`](super::Kernel).
#[inline(always)]
unsafe fn run_twice<I: Isa, M, T: Copy + PartialEq + Default>(
    dst: *mut u8,
    src: &[*const u8; 3],
    n: usize,
) where
    M: Map<I, A = T, B = T, Out = T> + Map<Quick<I>, A = T, B = T, Out = T>,
{
    let arity = <M as Map<I>>::ARITY;
    let at = |k: usize| src[if k < arity { k } else { 0 }].cast::<T>();
    let [a, b, c] = [at(0), at(1), at(2)];
    let mut start = 0;
    while start < n {
        let m = AT_ONCE.min(n - start);
        let mut lanes = [T::default(); AT_ONCE];
        let mut hard = false;
        // SAFETY: the caller vouches for `n` elements behind each pointer.
        unsafe {
            let read = |p: *const T, i: usize| p.add(start + i).read_unaligned();
            for (i, y) in lanes[..m].iter_mut().enumerate() {
                *y = <M as Map<Quick<I>>>::map(read(a, i), read(b, i), read(c, i));
                #[allow(clippy::eq_op)]
                {
                    hard |= *y != *y;
                }
            }
            if hard {
                for (i, y) in lanes[..m].iter_mut().enumerate() {
                    *y = <M as Map<I>>::map(read(a, i), read(b, i), read(c, i));
                }
            }
            dst.cast::<T>().add(start).copy_from(lanes.as_ptr(), m);
        }
        start += m;
    }
}

macro_rules! twice {
    ($name:ident $level:ident $(#[$feature:meta])*) => {
        /// # Safety
        /// As for [`Kernel`](super::Kernel), on a machine of the level.
        $(#[$feature])*
        pub(super) unsafe fn $name<M, T: Copy + PartialEq + Default>(
            dst: *mut u8,
            src: &[*const u8; 3],
            n: usize,
        ) where
            M: Map<$level, A = T, B = T, Out = T> + Map<Quick<$level>, A = T, B = T, Out = T>,
        {
            // SAFETY: the caller's promise.
            unsafe { run_twice::<$level, M, T>(dst, src, n) }
        }
    };
}
twice!(baseline_twice Baseline);
twice!(avx2_twice Avx2
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,bmi2,f16c")]);
twice!(avx512_twice Avx512
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi2,f16c")]);
