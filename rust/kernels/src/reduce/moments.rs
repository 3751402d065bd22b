//! Variance: two passes in double precision.
//!
//! The mean is found as distance from the first element, so equal elements have exactly no
//! variance, as with PyTorch's running update; then squared distances from the mean are added up.

use super::fold::Distances;
use super::layout::{Dims, contiguous, merge_kept, place};
use crate::DType;

/// Writes the variance of float32 or float64 over `dims.reduced` (the root of it if `root`) and the
/// mean, contiguous over `dims.kept`, in the dtype of the input.
///
/// The sum of squared distances is divided by `freedom`.
///
/// # Panics
/// If `dtype` is another.
///
/// # Safety
/// As [`super::reduce`], `var` and `mean` both being written.
pub unsafe fn variance(
    dtype: DType,
    src: *const u8,
    dims: &Dims,
    (freedom, root): (f64, bool),
    var: *mut u8,
    mean: *mut u8,
) {
    let finish = |sum: f64| {
        let var = sum / freedom;
        if root { var.sqrt() } else { var }
    };
    // SAFETY: the caller's, handed on.
    unsafe {
        match dtype {
            DType::F32 => {
                let (sums, means) = moments_f32(src.cast(), dims);
                put(var.cast(), &sums, |x| finish(x) as f32);
                put(mean.cast(), &means, |x| x as f32);
            }
            DType::F64 => {
                let (sums, means) = moments_f64(src.cast(), dims);
                put(var.cast(), &sums, finish);
                put(mean.cast(), &means, |x| x);
            }
            _ => panic!("no variance of {}", dtype.name()),
        }
    }
}

/// # Safety
/// `dst` has room for the values.
unsafe fn put<T>(dst: *mut T, values: &[f64], f: impl Fn(f64) -> T) {
    for (i, &x) in values.iter().enumerate() {
        // SAFETY: the caller's.
        unsafe { dst.add(i).write(f(x)) };
    }
}

/// Defines: sums of squared distances from the mean, and means.
macro_rules! moments {
    ($name:ident, $t:ty) => {
        /// # Safety
        /// As [`super::reduce`].
        unsafe fn $name(src: *const $t, dims: &Dims) -> (Vec<f64>, Vec<f64>) {
            // SAFETY: the caller's.
            let mut means = unsafe { first_elements(src, dims) };
            let mut sums = vec![0.0; means.len()];
            let dst = sums.as_mut_ptr();
            let n = dims.reduced_len() as f64;
            let fold = Distances::<$t, false>::from(means.as_ptr());
            fold!(Distances<$t, false>, fold, src, dims, dst);
            means.iter_mut().zip(&sums).for_each(|(mean, sum)| *mean += sum / n);
            let fold = Distances::<$t, true>::from(means.as_ptr());
            fold!(Distances<$t, true>, fold, src, dims, dst);
            (sums, means)
        }
    };
}

moments!(moments_f32, f32);
moments!(moments_f64, f64);

/// The first element of each output; zeros where there is none.
///
/// # Safety
/// As [`super::reduce`].
unsafe fn first_elements<T: Copy + Into<f64>>(src: *const T, dims: &Dims) -> Vec<f64> {
    let mut first = vec![0.0; dims.kept.iter().map(|d| d.0).product()];
    if dims.reduced_len() > 0 {
        let kept = merge_kept(contiguous(dims.kept));
        for i in 0..first.len() {
            let (input, output) = place(&kept, i);
            // SAFETY: an element of the layout.
            first[output] = unsafe { *src.offset(input) }.into();
        }
    }
    first
}
