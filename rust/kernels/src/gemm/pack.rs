//! Copies of operand panels in the order in which the micro-kernel reads them.

use super::simd::Number;
use std::cell::RefCell;
use std::mem::MaybeUninit;

/// Copies a panel of `width` x `depth` elements so that the elements of one depth are adjacent:
/// element (w, d) goes to `dst[d * pitch + w]`, and `pitch - width` zeros follow each depth.
///
/// # Safety
/// `src` must be valid for reads at `w * ws + d * ds`, `dst` for writes of `depth * pitch` elements;
/// `width <= pitch`.
pub unsafe fn pack<T: Number>(
    (width, ws): (usize, isize),
    (depth, ds): (usize, isize),
    src: *const T,
    dst: *mut T,
    pitch: usize,
) {
    // SAFETY: all offsets are those the caller vouches for.
    unsafe {
        if ws == 1 {
            for d in 0..depth {
                let (from, to) = (src.offset(d as isize * ds), dst.add(d * pitch));
                std::ptr::copy_nonoverlapping(from, to, width);
                pad(to, width, pitch);
            }
            return;
        }
        let (whole_w, whole_d) =
            if ds == 1 { (width - width % 4, depth - depth % 4) } else { (0, 0) };
        for w in (0..whole_w).step_by(4) {
            for d in (0..whole_d).step_by(4) {
                transpose(src.offset(w as isize * ws).add(d), ws, dst.add(d * pitch + w), pitch);
            }
        }
        for d in 0..depth {
            let (from, to) = (src.offset(d as isize * ds), dst.add(d * pitch));
            for w in if d < whole_d { whole_w } else { 0 }..width {
                *to.add(w) = *from.offset(w as isize * ws);
            }
            pad(to, width, pitch);
        }
    }
}

/// Zeros `row[width..pitch]`.
///
/// # Safety
/// `row` must be valid for writes of `pitch` elements.
#[inline(always)]
unsafe fn pad<T: Number>(row: *mut T, width: usize, pitch: usize) {
    for w in width..pitch {
        // SAFETY: the caller's promise.
        unsafe { *row.add(w) = T::ZERO };
    }
}

/// A 4 x 4 block, rows to columns; the compiler makes shuffles of it.
///
/// # Safety
/// Four rows of four must be valid at both ends.
#[inline(always)]
unsafe fn transpose<T: Number>(src: *const T, rs: isize, dst: *mut T, pitch: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let rows: [[T; 4]; 4] = std::array::from_fn(|i| {
            src.offset(i as isize * rs).cast::<[T; 4]>().read_unaligned()
        });
        for j in 0..4 {
            let column: [T; 4] = std::array::from_fn(|i| rows[i][j]);
            dst.add(j * pitch).cast::<[T; 4]>().write_unaligned(column);
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
