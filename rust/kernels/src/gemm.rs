//! Matrix products: `c = alpha * (a @ b) + beta * c`, for any signed strides.
//!
//! - `simd`: vectors, one type per element type and instruction-set level
//! - `tile`: the micro-kernel and its table per level
//! - `pack`: panels copied in the order of use, transposed in registers where needed
//! - `product`: loops, panels, the cut into parts for threads
//! - `vector`: products with vectors and dot products, bound by memory
//!
//! An element of C is summed in an order that depends on the shapes and strides alone, so results do
//! not depend on the number of threads. Floats are accumulated with fused multiply-add where the
//! level has it; integers wrap. Numbers and rejected alternatives: `docs/decisions/matmul.md`.

mod pack;
mod product;
mod simd;
#[cfg(test)]
mod tests;
mod tile;
mod vector;

use crate::isa::{self, Level};
use product::{Matrix, Product};
use vector::Dot;

/// An element type that matrices can be multiplied in: `f32`, `f64`, `i8`, `u8`, `i16`, `i32`, `i64`.
pub trait GemmElement: simd::Vectors {}
impl<T: simd::Vectors> GemmElement for T {}

/// `c = alpha * (a @ b) + beta * c` for `a` of m x k, `b` of k x n and `c` of m x n elements.
///
/// Element (i, j) of `a` stands at `a + i * rsa + j * csa`, and so on; strides are in elements, of any
/// sign. Where `beta` is 0, C is written without being read (a NaN in it does not matter); where
/// `alpha` or `k` is 0, A and B are not read.
///
/// # Safety
/// All elements of A and B must be valid for reads (they may coincide, as with stride 0), those of C
/// for writes, and reads unless `beta` is 0. Elements of C must be distinct, and apart from A and B.
#[expect(clippy::too_many_arguments, reason = "the shape of BLAS")]
pub unsafe fn gemm<T: GemmElement>(
    m: usize,
    n: usize,
    k: usize,
    alpha: T,
    a: *const T,
    rsa: isize,
    csa: isize,
    b: *const T,
    rsb: isize,
    csb: isize,
    beta: T,
    c: *mut T,
    rsc: isize,
    csc: isize,
) {
    let (a, b, c) = ((a, [0, rsa, csa]), (b, [0, rsb, csb]), (c, [0, rsc, csc]));
    // SAFETY: the caller's promise; the levels of `isa` are the machine's.
    unsafe { run(isa::level(), [1, m, n, k], alpha, a, b, beta, c) }
}

/// `batch` products, as [`gemm`]; strides are `[batch, row, column]`.
///
/// A batch stride of 0 for A or B says that all products share it; it is then packed once per thread.
///
/// # Safety
/// As [`gemm`], for every product; elements of C must be distinct over all products.
#[expect(clippy::too_many_arguments, reason = "the shape of BLAS")]
pub unsafe fn batched<T: GemmElement>(
    batch: usize,
    m: usize,
    n: usize,
    k: usize,
    alpha: T,
    a: *const T,
    a_strides: [isize; 3],
    b: *const T,
    b_strides: [isize; 3],
    beta: T,
    c: *mut T,
    c_strides: [isize; 3],
) {
    let (a, b, c) = ((a, a_strides), (b, b_strides), (c, c_strides));
    // SAFETY: the caller's promise; the levels of `isa` are the machine's.
    unsafe { run(isa::level(), [batch, m, n, k], alpha, a, b, beta, c) }
}

/// `y = alpha * (a @ x) + beta * y` for `a` of m x k elements.
///
/// # Safety
/// As [`gemm`].
#[expect(clippy::too_many_arguments, reason = "the shape of BLAS")]
pub unsafe fn gemv<T: GemmElement>(
    m: usize,
    k: usize,
    alpha: T,
    a: *const T,
    rsa: isize,
    csa: isize,
    x: *const T,
    stride_x: isize,
    beta: T,
    y: *mut T,
    stride_y: isize,
) {
    // SAFETY: the caller's promise.
    unsafe { gemm(m, 1, k, alpha, a, rsa, csa, x, stride_x, 0, beta, y, stride_y, 0) }
}

/// The sum of `a[i * stride_a] * b[i * stride_b]` for `i` in `0..n`.
///
/// # Safety
/// All those elements must be valid for reads.
pub unsafe fn dot<T: GemmElement>(
    n: usize,
    a: *const T,
    stride_a: isize,
    b: *const T,
    stride_b: isize,
) -> T {
    let kernels = tile::kernels(isa::level());
    // SAFETY: the caller's promise; the levels of `isa` are the machine's.
    unsafe { Dot { kernels, len: n, a: (a, stride_a), b: (b, stride_b) }.run() }
}

/// [`batched`] at a given level, sizes as `[batch, m, n, k]`.
unsafe fn run<T: GemmElement>(
    level: Level,
    [batch, m, n, k]: [usize; 4],
    alpha: T,
    a: (*const T, [isize; 3]),
    b: (*const T, [isize; 3]),
    beta: T,
    c: (*mut T, [isize; 3]),
) {
    fn matrix<P>((ptr, [step, rs, cs]): (P, [isize; 3])) -> Matrix<P> {
        Matrix { ptr, rs, cs, step }
    }
    let (a, b, c) = (matrix(a), matrix(b), matrix(c));
    let kernels = tile::kernels(level);
    let product = Product { kernels, batch, m, n, k, alpha, a, b, beta, c };
    if batch == 0 || m == 0 || n == 0 {
        return;
    }
    // SAFETY: the caller's promise.
    unsafe { if k == 0 || alpha == T::ZERO { product.scale() } else { product.run() } }
}
