//! Matrix products.
mod pack;
mod product;
mod simd;
mod tile;
mod vector;
use crate::isa;
use product::{Matrix, Product};
/// An element type that matrices can be multiplied in.
pub trait GemmElement: simd::Vectors {}
impl<T: simd::Vectors> GemmElement for T {}

/// # Safety
/// todo
#[allow(clippy::too_many_arguments)]
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
    unsafe { batched(1, m, n, k, alpha, a, 0, rsa, csa, b, 0, rsb, csb, beta, c, 0, rsc, csc) }
}
/// # Safety
/// todo
#[allow(clippy::too_many_arguments)]
pub unsafe fn batched<T: GemmElement>(
    batch: usize,
    m: usize,
    n: usize,
    k: usize,
    alpha: T,
    a: *const T,
    sa: isize,
    rsa: isize,
    csa: isize,
    b: *const T,
    sb: isize,
    rsb: isize,
    csb: isize,
    beta: T,
    c: *mut T,
    sc: isize,
    rsc: isize,
    csc: isize,
) {
    let p = Product {
        kernels: tile::kernels(isa::level()),
        batch,
        m,
        n,
        k,
        alpha,
        a: Matrix { ptr: a, rs: rsa, cs: csa, step: sa },
        b: Matrix { ptr: b, rs: rsb, cs: csb, step: sb },
        beta,
        c: Matrix { ptr: c, rs: rsc, cs: csc, step: sc },
    };
    unsafe { p.run() }
}
