//! Batching: levels of `vmap`, and the tensors that go in and come out.

use crate::convert::{Arg, Guarded, Ret, py_result};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use wengert::batch::{self, Randomness, Shell};

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

/// A fresh tensor, one for each example of `t` if that is batched.
#[pyfunction]
pub fn _vmap_fresh(fresh: Arg, t: Arg) -> PyResult<Ret> {
    py_result(batch::for_each(&fresh.0, &t.0)).map(Ret)
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

/// The levels that tensors are batched at.
#[pyclass(frozen, module = "torch._C")]
pub struct _Shell(Guarded<Shell>);

#[pymethods]
impl _Shell {
    #[new]
    fn new(tensors: Vec<Arg>) -> _Shell {
        _Shell(Guarded(Shell::of(tensors.iter().map(|a| &a.0))))
    }

    /// The size of the batches of the highest level, and how it draws random numbers.
    fn info(&self) -> Option<(usize, &'static str)> {
        self.0.0.highest().map(|(_, size, randomness)| {
            let word = match randomness {
                Randomness::Error => "error",
                Randomness::Same => "same",
                Randomness::Different => "different",
            };
            (size, word)
        })
    }

    /// What a tensor is at the highest level, its batch first, or None if it is not batched there.
    fn whole(&self, t: Arg) -> Option<Ret> {
        self.0.0.whole(&t.0).map(Ret)
    }

    /// The tensor whose examples at the highest level lie along `dim`.
    fn split(&self, t: Arg, dim: i64) -> PyResult<Ret> {
        let level = self.0.0.highest().map_or(0, |h| h.0);
        py_result(batch::split(&t.0, dim, level)).map(Ret)
    }

    /// A tensor without wrappers, the batches first.
    fn out_of(&self, t: Arg) -> PyResult<Ret> {
        py_result(self.0.0.out_of(&t.0)).map(Ret)
    }

    /// A tensor whose first dimensions are the batches, in wrappers.
    fn put_in(&self, t: Arg) -> PyResult<Ret> {
        py_result(self.0.0.put_in(&t.0)).map(Ret)
    }

    /// Calls a function as if the highest level were not open.
    #[pyo3(signature = (f, *args))]
    fn outside<'py>(
        &self,
        f: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let level = self.0.0.highest().map_or(0, |h| h.0);
        batch::outside(level, || f.call1(args))
    }

    /// Calls a function with the levels open, under the numbers of the shell it is given.
    fn opened<'py>(&self, f: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.0.0.open(|now| f.call1((_Shell(Guarded(now.clone())),)))
    }
}

/// Calls `f` with tensors whose first dimension, of length `size`, is a batch; the tensors that it
/// returns (None where it returns None) have one too.
#[pyfunction]
#[pyo3(signature = (f, tensors, size, randomness = "error"))]
pub fn _vmap_call(
    f: &Bound<'_, PyAny>,
    tensors: Vec<Arg>,
    size: usize,
    randomness: &str,
) -> PyResult<Vec<Option<Ret>>> {
    let level = Level(_vmap_enter(size, randomness));
    let split = |t: &Arg| py_result(batch::split(&t.0, 0, level.0)).map(Ret);
    let args = tensors.iter().map(split).collect::<PyResult<Vec<_>>>()?;
    let results: Vec<Option<Arg>> = f.call1(PyTuple::new(f.py(), args)?)?.extract()?;
    let join =
        |t: Option<Arg>| t.map(|t| py_result(batch::join(&t.0, 0, level.0)).map(Ret)).transpose();
    results.into_iter().map(join).collect()
}

/// An open level, closed when it is dropped.
struct Level(usize);

impl Drop for Level {
    fn drop(&mut self) {
        batch::exit();
    }
}

/// How many levels are open.
#[pyfunction]
pub fn _vmap_depth() -> usize {
    batch::depth()
}

/// Inside it no random numbers are drawn.
#[pyclass(frozen, module = "torch._C")]
pub struct _NoRandom(Guarded<std::cell::RefCell<Option<batch::NoRandom>>>);

#[pymethods]
impl _NoRandom {
    #[new]
    fn new() -> _NoRandom {
        _NoRandom(Guarded(std::cell::RefCell::new(None)))
    }

    fn __enter__(&self) {
        self.0.0.replace(Some(batch::NoRandom::new()));
    }

    #[pyo3(signature = (*_exc))]
    fn __exit__(&self, _exc: &Bound<'_, PyTuple>) {
        self.0.0.replace(None);
    }
}
