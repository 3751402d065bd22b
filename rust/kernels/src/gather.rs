//! Elements picked by index along a dimension, and the reverse: added up where they came from.

use smallvec::SmallVec;

/// The index space, and how each operand is walked through it (strides in elements).
///
/// At place `i` the element of the whole is the one at `i` with `i[dim]` replaced by the index
/// found at `i`.
#[derive(Clone, Copy, Debug)]
pub struct Along<'a> {
    /// Sizes of the index space; at least one dimension.
    pub shape: &'a [usize],
    /// The dimension that the indices replace.
    pub dim: usize,
    /// Strides of the tensor picked from, or added to.
    pub whole: &'a [isize],
    /// Strides of the indices.
    pub index: &'a [isize],
    /// Strides of the elements picked.
    pub part: &'a [isize],
}

/// One walk along the last dimension: offsets of its start, steps, and how many elements.
struct Row {
    whole: isize,
    index: isize,
    part: isize,
}

impl Along<'_> {
    /// Calls `f` with the start of each row.
    fn rows(&self, mut f: impl FnMut(Row)) {
        let last = self.shape.len() - 1;
        if self.shape.contains(&0) {
            return;
        }
        let mut at: SmallVec<[usize; 6]> = SmallVec::from_elem(0, last);
        loop {
            let offset = |strides: &[isize], skip: Option<usize>| -> isize {
                let keep = at.iter().zip(strides).enumerate().filter(|(d, _)| Some(*d) != skip);
                keep.map(|(_, (&i, &s))| i as isize * s).sum()
            };
            f(Row {
                whole: offset(self.whole, Some(self.dim)),
                index: offset(self.index, None),
                part: offset(self.part, None),
            });
            let Some(d) = (0..last).rev().find(|&d| at[d] + 1 < self.shape[d]) else { return };
            at[d] += 1;
            at[d + 1..].fill(0);
        }
    }

    /// Calls `f(whole, part, n)` with the offsets of `n` elements that lie `steps` apart.
    ///
    /// # Safety
    /// All indices can be read from `index`.
    unsafe fn runs(&self, index: *const i64, mut f: impl FnMut(isize, isize, usize)) {
        let last = self.shape.len() - 1;
        let n = self.shape[last];
        let by_row = self.dim != last && self.index[last] == 0;
        self.rows(|row| {
            if by_row {
                // SAFETY: the caller's promise.
                let i = unsafe { *index.offset(row.index) } as isize;
                return f(row.whole + i * self.whole[self.dim], row.part, n);
            }
            for j in 0..n as isize {
                // SAFETY: the caller's promise.
                let i = unsafe { *index.offset(row.index + j * self.index[last]) } as isize;
                let along = if self.dim == last { 0 } else { j * self.whole[last] };
                let whole = row.whole + i * self.whole[self.dim] + along;
                f(whole, row.part + j * self.part[last], 1);
            }
        });
    }

    fn steps(&self) -> (isize, isize) {
        let last = self.shape.len() - 1;
        (self.whole[last], self.part[last])
    }
}

/// Copies the elements (of `size` bytes) at the indices to `part`.
///
/// # Panics
/// If there is no dtype of this size.
///
/// # Safety
/// Everything `along` describes is inside the operands, the elements at all indices included;
/// `part` is apart from the others.
pub unsafe fn take(size: usize, along: &Along, whole: *const u8, index: *const i64, part: *mut u8) {
    // SAFETY: the caller's, handed on.
    unsafe {
        match size {
            1 => take_as::<u8>(along, whole.cast(), index, part.cast()),
            2 => take_as::<u16>(along, whole.cast(), index, part.cast()),
            4 => take_as::<u32>(along, whole.cast(), index, part.cast()),
            8 => take_as::<u64>(along, whole.cast(), index, part.cast()),
            16 => take_as::<[u64; 2]>(along, whole.cast(), index, part.cast()),
            _ => panic!("no element has {size} bytes"),
        }
    }
}

unsafe fn take_as<T: Copy>(along: &Along, whole: *const T, index: *const i64, part: *mut T) {
    let (from, to) = along.steps();
    // SAFETY: the caller's: each element is inside its operand.
    unsafe {
        along.runs(index, |w, p, n| {
            let (w, p) = (whole.offset(w), part.offset(p));
            if n > 1 && from == 1 && to == 1 {
                std::ptr::copy_nonoverlapping(w, p, n);
            } else {
                (0..n as isize).for_each(|j| *p.offset(j * to) = *w.offset(j * from));
            }
        });
    }
}

/// A number that can be added up.
pub trait Sum: Copy {
    /// The sum; integers wrap.
    fn plus(self, other: Self) -> Self;
}

impl Sum for f32 {
    fn plus(self, other: f32) -> f32 {
        self + other
    }
}
impl Sum for f64 {
    fn plus(self, other: f64) -> f64 {
        self + other
    }
}
impl Sum for i64 {
    fn plus(self, other: i64) -> i64 {
        self.wrapping_add(other)
    }
}

/// Adds each element of `part` to the one of `whole` at its index, in order.
///
/// # Safety
/// As [`take`], with `whole` written.
pub unsafe fn add<T: Sum>(along: &Along, whole: *mut T, index: *const i64, part: *const T) {
    let (to, from) = along.steps();
    // SAFETY: the caller's: each element is inside its operand.
    unsafe {
        along.runs(index, |w, p, n| {
            let (w, p) = (whole.offset(w), part.offset(p));
            for j in 0..n as isize {
                let at = w.offset(j * to);
                *at = (*at).plus(*p.offset(j * from));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_single_elements() {
        let whole = [1.0f32, 2., 3., 4., 5., 6.]; // 3 x 2
        let index = [2i64, 0];
        // Rows 2 and 0: the index stands still along the last dimension.
        let rows = Along { shape: &[2, 2], dim: 0, whole: &[2, 1], index: &[1, 0], part: &[2, 1] };
        let mut out = [0.0f32; 4];
        // SAFETY: all places are inside.
        unsafe { take(4, &rows, whole.as_ptr().cast(), index.as_ptr(), out.as_mut_ptr().cast()) };
        assert_eq!(out, [5., 6., 1., 2.]);
        // One element of each of two rows, the second row backwards.
        let ones = Along { shape: &[2, 1], dim: 1, whole: &[2, 1], index: &[1, 1], part: &[1, 1] };
        let index = [1i64, 0];
        let mut out = [0.0f32; 2];
        // SAFETY: all places are inside.
        unsafe { take(4, &ones, whole.as_ptr().cast(), index.as_ptr(), out.as_mut_ptr().cast()) };
        assert_eq!(out, [2., 3.]);
    }

    #[test]
    fn repeated_indices_add_up() {
        let along = Along { shape: &[3], dim: 0, whole: &[1], index: &[1], part: &[1] };
        let mut whole = [0i64; 2];
        // SAFETY: all places are inside.
        unsafe { add(&along, whole.as_mut_ptr(), [1i64, 0, 1].as_ptr(), [5i64, 7, 9].as_ptr()) };
        assert_eq!(whole, [7, 14]);
    }
}
