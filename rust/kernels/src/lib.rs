//! Numbers in, numbers out: the kernels of wengert.
//!
//! This crate knows no tensor and no derivative. It takes pointers or slices and lengths, picks the
//! best instruction set of the machine at run time, and writes results.
//!
//! - [`dtype`]: the element types
//! - [`isa`]: instruction-set levels, chosen once per process
//! - [`vecmath`]: elementary functions, written once, vectorised per level
//! - [`lane`]: `Real`, the number type pointwise formulas are written in
//! - [`pointwise`]: block kernels made of such formulas
//! - [`program`]: runs a sequence of block kernels over memory in one pass
//! - [`gather`]: elements picked by index
//! - [`reduce`]: sums, extrema and scans
//! - [`gemm`]: matrix products
//! - [`softmax`]: softmax, its logarithm, and their gradients
//! - [`nll`]: the negative log likelihood of classes
//! - [`svd`]: singular values and vectors
//! - [`random`]: PyTorch's CPU generator, number for number
//! - [`threads`]: the worker pool

pub mod dtype;
pub mod gemm;
#[cfg(all(test, unix))]
mod guard;
pub mod isa;
pub mod lane;
pub mod nll;
pub mod order;
pub mod places;
pub mod pointwise;
pub mod program;
pub mod random;
pub mod reduce;
pub mod softmax;
pub mod svd;
pub mod threads;
pub mod vecmath;

pub use dtype::{Bool, DType, Element};
