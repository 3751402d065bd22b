//! Forward mode: levels and dual tensors.

use crate::convert::{Arg, Ret, py_result};
use pyo3::prelude::*;
use wengert::forward;

/// Opens a level; returns its number.
#[pyfunction]
pub fn _enter_dual_level() -> usize {
    forward::enter()
}

/// Closes the innermost level.
#[pyfunction]
pub fn _exit_dual_level(level: usize) -> PyResult<()> {
    py_result(forward::exit(level))
}

/// A view of `primal` that carries `tangent`.
#[pyfunction]
pub fn _make_dual(primal: Arg, tangent: Arg, level: usize) -> PyResult<Ret> {
    py_result(forward::make_dual(&primal.0, &tangent.0, level)).map(Ret)
}

/// A tensor without its tangent, and that tangent or None.
#[pyfunction]
pub fn _unpack_dual(t: Arg, level: usize) -> PyResult<(Ret, Option<Ret>)> {
    let (primal, tangent) = py_result(forward::unpack_dual(&t.0, level))?;
    Ok((Ret(primal), tangent.map(Ret)))
}

/// A recorded alias of `t`, one for each example inside `vmap`.
#[pyfunction]
pub fn _private_alias(t: Arg) -> PyResult<Ret> {
    py_result(forward::private_alias(&t.0)).map(Ret)
}

/// A leaf of its own for a transform, over the memory of `t`.
#[pyfunction]
pub fn _private_leaf(t: Arg) -> PyResult<Ret> {
    py_result(forward::private_leaf(&t.0)).map(Ret)
}

/// A tensor without a history that ends at private leaves only.
#[pyfunction]
pub fn _released(t: Arg, outer: Vec<Arg>) -> PyResult<Ret> {
    let outer: Vec<_> = outer.into_iter().map(|a| a.0).collect();
    py_result(forward::released(&t.0, &outer)).map(Ret)
}
