//! Batching: levels of `vmap`, and the tensors that go in and come out.

use crate::convert::{Arg, Ret, py_result};
use pyo3::prelude::*;
use wengert::batch::{self, Randomness};

/// Opens a level for batches of `size`; returns its number.
#[pyfunction]
pub fn _vmap_enter(size: usize, randomness: &str) -> usize {
    let randomness = match randomness {
        "same" => Randomness::Same,
        "different" => Randomness::Different,
        _ => Randomness::Error,
    };
    batch::enter(size, randomness)
}

/// Closes the innermost level.
#[pyfunction]
pub fn _vmap_exit() {
    batch::exit();
}

/// An argument: the tensor with one of its dimensions as the batch.
#[pyfunction]
pub fn _vmap_split(t: Arg, dim: i64, level: usize) -> PyResult<Ret> {
    py_result(batch::split(&t.0, dim, level)).map(Ret)
}

/// A result: the whole, its batch at `dim`.
#[pyfunction]
pub fn _vmap_join(t: Arg, dim: i64, level: usize) -> PyResult<Ret> {
    py_result(batch::join(&t.0, dim, level)).map(Ret)
}

/// True if `t` is batched at the level.
#[pyfunction]
pub fn _is_batched(t: Arg, level: usize) -> bool {
    batch::at(&t.0, level)
}

/// Names of the operations that ran example by example since the last call.
#[pyfunction]
pub fn _vmap_loops() -> Vec<&'static str> {
    batch::take_loops().into_iter().map(|id| id.name()).collect()
}
