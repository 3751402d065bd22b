//! Copies of operand panels in the order in which the micro-kernel reads them.

use super::simd::Number;
use std::cell::RefCell;
use std::mem::MaybeUninit;

/// Copies a panel of `width` x `depth` elements so that the elements of one depth are adjacent:
/// element (w, d), at `w * ws + d * ds`, goes to `d * pitch + w`.
///
/// # Safety
/// `src` must be valid for reads and `dst` for writes of all elements.
pub unsafe fn copy<T: Number>(
    (width, ws): (usize, isize),
    (depth, ds): (usize, isize),
    src: *const T,
    dst: *mut T,
    pitch: isize,
) {
    // SAFETY: all offsets are those the caller vouches for.
    unsafe {
        let from = |w: usize, d: usize| src.offset(w as isize * ws + d as isize * ds);
        let to = |w: usize, d: usize| dst.offset(d as isize * pitch).add(w);
        if ws == 1 && width == 8 {
            // A length the compiler knows: no call.
            (0..depth).for_each(|d| std::ptr::copy_nonoverlapping(from(0, d), to(0, d), 8));
            return;
        }
        if ws == 1 {
            (0..depth).for_each(|d| std::ptr::copy_nonoverlapping(from(0, d), to(0, d), width));
            return;
        }
        let blocks = |len: usize| if ds == 1 { len - len % 4 } else { 0 };
        let (blocks_w, blocks_d) = (blocks(width), blocks(depth));
        // Sixteen depths at a time: a cache line of the source, read once; few lines written.
        for start in (0..blocks_d).step_by(16) {
            for w in (0..blocks_w).step_by(4) {
                for d in (start..blocks_d.min(start + 16)).step_by(4) {
                    transpose(from(w, d), ws, to(w, d), pitch);
                }
            }
        }
        for d in 0..depth {
            for w in if d < blocks_d { blocks_w } else { 0 }..width {
                *to(w, d) = *from(w, d);
            }
        }
    }
}

/// As [`copy`], and `pitch - width` zeros after each depth.
///
/// # Safety
/// As [`copy`], and `width <= pitch`.
pub unsafe fn pack<T: Number>(
    width: (usize, isize),
    depth: (usize, isize),
    src: *const T,
    dst: *mut T,
    pitch: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        copy(width, depth, src, dst, pitch as isize);
        if width.0 < pitch {
            for d in 0..depth.0 {
                (width.0..pitch).for_each(|w| *dst.add(d * pitch + w) = T::ZERO);
            }
        }
    }
}

/// A 4 x 4 block, rows to columns.
///
/// # Safety
/// Four rows of four must be valid at both ends.
#[inline(always)]
unsafe fn transpose<T: Number>(src: *const T, rs: isize, dst: *mut T, pitch: isize) {
    // SAFETY: the caller's promise; 2 x 2 blocks tile the 4 x 4 one.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        match size_of::<T>() {
            4 => return x86::transpose4x32(src.cast(), rs, dst.cast(), pitch),
            8 => {
                for (i, j) in [(0, 0), (0, 2), (2, 0), (2, 2)] {
                    let (src, dst) = (src.offset(i * rs + j), dst.offset(j * pitch + i));
                    x86::transpose2x64(src.cast(), rs, dst.cast(), pitch);
                }
                return;
            }
            _ => {}
        }
        for (i, j) in (0..16).map(|x| (x / 4, x % 4)) {
            *dst.offset(j * pitch + i) = *src.offset(i * rs + j);
        }
    }
}

/// Transpositions in registers; the compiler makes scalar moves of the portable form (4 times slower).
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    /// # Safety
    /// Four rows of four 32-bit elements must be valid at both ends.
    #[inline(always)]
    pub unsafe fn transpose4x32(src: *const f32, rs: isize, dst: *mut f32, pitch: isize) {
        // SAFETY: the caller's promise; SSE2 is in the baseline. Moves and shuffles keep all bits.
        unsafe {
            let [a, b, c, d] = [0, 1, 2, 3].map(|i| _mm_loadu_ps(src.offset(i * rs)));
            let (ab, cd) = (_mm_unpacklo_ps(a, b), _mm_unpacklo_ps(c, d));
            let (ab_high, cd_high) = (_mm_unpackhi_ps(a, b), _mm_unpackhi_ps(c, d));
            _mm_storeu_ps(dst, _mm_movelh_ps(ab, cd));
            _mm_storeu_ps(dst.offset(pitch), _mm_movehl_ps(cd, ab));
            _mm_storeu_ps(dst.offset(2 * pitch), _mm_movelh_ps(ab_high, cd_high));
            _mm_storeu_ps(dst.offset(3 * pitch), _mm_movehl_ps(cd_high, ab_high));
        }
    }

    /// # Safety
    /// Two rows of two 64-bit elements must be valid at both ends.
    #[inline(always)]
    pub unsafe fn transpose2x64(src: *const f64, rs: isize, dst: *mut f64, pitch: isize) {
        // SAFETY: as above.
        unsafe {
            let (a, b) = (_mm_loadu_pd(src), _mm_loadu_pd(src.offset(rs)));
            _mm_storeu_pd(dst, _mm_unpacklo_pd(a, b));
            _mm_storeu_pd(dst.offset(pitch), _mm_unpackhi_pd(a, b));
        }
    }
}

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line {
    _bytes: MaybeUninit<[u8; 64]>,
}

thread_local! {
    static BUFFER: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f` with this thread's buffer, made to hold `len` elements; their contents are arbitrary.
pub fn with_buffer<T: Number, R>(len: usize, f: impl FnOnce(*mut T) -> R) -> R {
    let lines = (len * size_of::<T>()).div_ceil(64);
    BUFFER.with_borrow_mut(|buffer| {
        if buffer.len() < lines {
            // Not `resize`, which would copy: what the buffer holds is of no use.
            *buffer = Vec::new();
            buffer.resize(lines, Line { _bytes: MaybeUninit::uninit() });
        }
        f(buffer.as_mut_ptr().cast())
    })
}
