//! A Rust library of tensors with reverse-mode automatic differentiation.
//!
//! ```
//! use wengert::Tensor;
//! let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0]).requires_grad_(true)?;
//! x.mul(&x)?.sum_all()?.backward()?;
//! assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [2.0, 4.0, 6.0]);
//! # Ok::<(), wengert::Error>(())
//! ```
//!
//! The rooms, from the bottom: [`shape`] and [`Storage`] make a [`Tensor`]; [`op`] says what an
//! operation is and [`ops`] holds all of them, one block each; [`pointwise`] and `record` run a
//! call and write it on the [`tape`]; [`engine`] runs the tape backward, each node by its
//! [`formula`]; [`lazy`] defers large pointwise work so that it runs in one pass.

pub mod anomaly;
pub mod batch;
pub mod custom;
pub mod engine;
pub mod error;
pub mod formula;
pub mod forward;
pub mod hooks;
pub mod lazy;
pub mod mode;
pub mod op;
pub mod ops;
mod overlap;
pub mod pointwise;
pub mod print;
pub mod promote;
pub mod random;
mod record;
pub mod saved;
pub mod scalar;
pub mod schema;
pub mod shape;
pub mod sites;
mod storage;
mod sync;
pub mod tape;
mod tensor;
pub mod value;
pub mod views;
mod vjp;

pub use error::{Error, Result};
pub use scalar::Scalar;
pub use storage::{Storage, empty_cache};
pub use tensor::{Host, Tensor, live_tensors, set_host};
pub use value::Value;
pub use wengert_kernels::threads::{num_threads, set_num_threads};
pub use wengert_kernels::{Bool, DType, Element};
