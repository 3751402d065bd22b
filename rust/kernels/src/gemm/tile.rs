//! The micro-kernel: one tile of C, held in registers while k runs.

use super::simd::{Number, Vector, Vectors};
use super::vector::{self, VectorKernels};
use crate::isa::Level;

/// One tile's operands. A is read through two strides, B and C in rows of adjacent elements.
pub struct Tile<T> {
    pub k: usize,
    pub alpha: T,
    pub a: *const T,
    pub rsa: isize,
    pub csa: isize,
    pub b: *const T,
    pub rsb: isize,
    /// Not read from C where zero.
    pub beta: T,
    pub c: *mut T,
    pub rsc: isize,
    /// Lanes of the last vector that exist, in B and C.
    pub last: usize,
}

type TileFn<T> = unsafe fn(&Tile<T>);

/// The kernels of one element type at one level.
pub struct Kernels<T: 'static> {
    /// Elements per vector.
    pub lanes: usize,
    /// `tiles[rows - 1][vectors - 1]` computes a tile of that many rows and vectors per row.
    pub tiles: &'static [&'static [TileFn<T>]],
    pub vector: VectorKernels<T>,
}

/// No tile has more elements: eight rows of three vectors of 64 bytes.
pub const TILE: usize = 8 * 3 * 64;

impl<T> Kernels<T> {
    /// The most rows of a tile.
    pub fn rows(&self) -> usize {
        self.tiles.len()
    }
    /// The most vectors in a row of a tile.
    pub fn vectors(&self) -> usize {
        self.tiles[0].len()
    }
}

/// `c = alpha * (a @ b) + beta * c` for a tile of `R` rows and `N` vectors.
///
/// ```text
/// for p in 0..k:
///     load N vectors of row p of B          (the last one masked)
///     for i in 0..R: acc[i][..] += A[i, p] * those
/// ```
///
/// # Safety
/// As [`Vector`] asks, for the elements of A, B and C that the tile covers.
#[inline(always)]
unsafe fn tile<V: Vector, const R: usize, const N: usize>(t: &Tile<V::Elem>) {
    // SAFETY: the caller's promise; pointers step past the end without being read there.
    unsafe {
        let mask = V::mask(t.last);
        let zero = V::splat(V::Elem::ZERO);
        let mut acc = [[zero; N]; R];
        let (mut a, mut b) = (t.a, t.b);
        for _ in 0..t.k {
            let mut row = [zero; N];
            for (j, v) in row.iter_mut().enumerate() {
                let p = b.add(j * V::LANES);
                *v = if j + 1 < N { V::load(p) } else { V::load_masked(p, mask) };
            }
            for (i, acc) in acc.iter_mut().enumerate() {
                let x = V::splat(*a.offset(i as isize * t.rsa));
                for j in 0..N {
                    acc[j] = x.times_plus(row[j], acc[j]);
                }
            }
            a = a.wrapping_offset(t.csa);
            b = b.wrapping_offset(t.rsb);
        }
        let (alpha, beta) = (V::splat(t.alpha), V::splat(t.beta));
        for (i, acc) in acc.iter().enumerate() {
            let c = t.c.offset(i as isize * t.rsc);
            for (j, &sum) in acc.iter().enumerate() {
                let p = c.add(j * V::LANES);
                let whole = j + 1 < N;
                let out = if t.beta == V::Elem::ZERO {
                    alpha.times(sum)
                } else {
                    let old = if whole { V::load(p) } else { V::load_masked(p, mask) };
                    alpha.times_plus(sum, beta.times(old))
                };
                if whole { out.store(p) } else { out.store_masked(p, mask) }
            }
        }
    }
}

/// A module per level: the kernels compiled with its instructions, and their table.
macro_rules! level {
    ($name:ident, $vector:ident, $(#[$features:meta])?, $table:tt) => {
        mod $name {
            use super::*;
            $(#[$features])?
            unsafe fn at<V: Vector, const R: usize, const N: usize>(t: &Tile<V::Elem>) {
                // SAFETY: the caller's promise.
                unsafe { tile::<V, R, N>(t) }
            }
            $(#[$features])?
            unsafe fn rows<V: Vector, const R: usize>(
                len: usize,
                a: *const V::Elem,
                rs: isize,
                x: *const V::Elem,
                out: *mut V::Elem,
            ) {
                // SAFETY: the caller's promise.
                unsafe { vector::rows::<V, R>(len, a, rs, x, out) }
            }
            $(#[$features])?
            unsafe fn cols<V: Vector, const C: usize>(
                len: usize,
                a: *const V::Elem,
                cs: isize,
                x: *const V::Elem,
                y: *mut V::Elem,
            ) {
                // SAFETY: the caller's promise.
                unsafe { vector::cols::<V, C>(len, a, cs, x, y) }
            }
            struct Table<T>(T);
            impl<T: Vectors> Table<T> {
                const KERNELS: Kernels<T> = Kernels {
                    lanes: T::$vector::LANES,
                    tiles: level!(@table T::$vector, $table),
                    vector: VectorKernels {
                        rows: rows::<T::$vector, { vector::ROWS }>,
                        row: rows::<T::$vector, 1>,
                        cols: cols::<T::$vector, { vector::COLS }>,
                        col: cols::<T::$vector, 1>,
                    },
                };
            }
            pub fn kernels<T: Vectors>() -> &'static Kernels<T> {
                &Table::<T>::KERNELS
            }
        }
    };
    (@table $v:ty, [$($r:literal)*; $n:tt]) => { &[$(level!(@row $v, $r, $n)),*] };
    (@row $v:ty, $r:literal, [$($n:literal)*]) => { &[$(at::<$v, $r, $n>),*] };
}

#[cfg(target_arch = "x86_64")]
level!(avx512, Avx512, #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")],
    [1 2 3 4 5 6 7 8; [1 2 3]]);
#[cfg(target_arch = "x86_64")]
level!(avx2, Avx2, #[target_feature(enable = "avx2,fma")], [1 2 3 4 5 6; [1 2]]);
// Sixteen registers without fused multiply-add need one for products.
#[cfg(not(target_arch = "aarch64"))]
level!(base, Base, , [1 2 3 4; [1 2]]);
#[cfg(target_arch = "aarch64")]
level!(base, Base, , [1 2 3 4 5 6 7 8; [1 2 3]]);

/// The kernels of a level, which the machine must have for them to be called.
pub fn kernels<T: Vectors>(level: Level) -> &'static Kernels<T> {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => avx512::kernels(),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => avx2::kernels(),
        _ => base::kernels(),
    }
}
