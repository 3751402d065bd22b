//! Backward passes, grad modes and hooks.

use crate::convert::{Arg, Guarded, Ret, py_result};
use crate::errors::from_python;
use crate::object::tensor_ref;
use pyo3::prelude::*;
use std::rc::Rc;
use wengert::engine::{self, Options};
use wengert::tape::Hook;
use wengert::{Error, Tensor, error::Kind, mode};

/// Runs backward from `roots`; gradients go to leaves, or to `inputs` only.
#[pyfunction]
#[pyo3(signature = (roots, grads, retain_graph, create_graph, inputs))]
pub fn _backward(
    roots: Vec<Arg>,
    grads: Vec<Option<Arg>>,
    retain_graph: bool,
    create_graph: bool,
    inputs: Option<Vec<Arg>>,
) -> PyResult<()> {
    let roots: Vec<Tensor> = roots.into_iter().map(|a| a.0).collect();
    let grads: Vec<Option<Tensor>> = grads.into_iter().map(|g| g.map(|a| a.0)).collect();
    let inputs: Option<Vec<Tensor>> = inputs.map(|l| l.into_iter().map(|a| a.0).collect());
    let options =
        Options { retain_graph, create_graph, inputs: inputs.as_deref(), accumulate: true };
    py_result(engine::backward(&roots, &grads, options))
}

/// Backward from one tensor with default options: the fast path of `Tensor.backward()`.
#[pyfunction]
pub fn _backward_one(root: Arg) -> PyResult<()> {
    py_result(root.0.backward())
}

/// Gradients of `roots` with respect to `inputs`; None where there is no path.
#[pyfunction]
pub fn _grad(
    roots: Vec<Arg>,
    inputs: Vec<Arg>,
    grads: Vec<Option<Arg>>,
    retain_graph: bool,
    create_graph: bool,
) -> PyResult<Vec<Option<Ret>>> {
    let roots: Vec<Tensor> = roots.into_iter().map(|a| a.0).collect();
    let inputs: Vec<Tensor> = inputs.into_iter().map(|a| a.0).collect();
    let grads: Vec<Option<Tensor>> = grads.into_iter().map(|g| g.map(|a| a.0)).collect();
    let options = Options { retain_graph, create_graph, ..Options::default() };
    let out = py_result(engine::grad(&roots, &inputs, &grads, options))?;
    Ok(out.into_iter().map(|g| g.map(Ret)).collect())
}

/// True if operations are recorded in this thread.
#[pyfunction]
pub fn is_grad_enabled() -> bool {
    mode::grad_enabled()
}

/// Switches recording on or off in this thread; returns what it was.
#[pyfunction]
pub fn _set_grad_enabled(on: bool) -> bool {
    mode::set_grad_enabled(on)
}

/// A Python callable as a hook of the core.
fn hook_of(f: Py<PyAny>) -> Hook {
    let f = Guarded(f);
    Rc::new(move |g: &Tensor| {
        // SAFETY: the core is only entered under the GIL.
        let py = unsafe { Python::assume_attached() };
        let f = &f.0;
        let out = f.call1(py, (Ret(g.clone()),)).map_err(from_python)?;
        if out.is_none(py) {
            return Ok(None);
        }
        match tensor_ref(out.as_ptr()) {
            Some(t) => Ok(Some(t.clone())),
            None => {
                let name = out.bind(py).get_type().name().map_err(from_python)?.to_string();
                Err(Error::new(Kind::Type, format!("expected Variable, but hook returned '{name}'")))
            }
        }
    })
}

/// Registers a hook on the gradient of a tensor; returns its id.
#[pyfunction]
pub fn _register_hook(t: Arg, f: Py<PyAny>) -> PyResult<u64> {
    py_result(t.0.register_hook(hook_of(f)))
}

/// Registers a hook called after the gradient of a leaf was accumulated; returns its id.
#[pyfunction]
pub fn _register_post_accumulate_grad_hook(t: Arg, f: Py<PyAny>) -> PyResult<u64> {
    let f = Guarded(f);
    let hook: Hook = Rc::new(move |t: &Tensor| {
        // SAFETY: the core is only entered under the GIL.
        let py = unsafe { Python::assume_attached() };
        let f = &f.0;
        let out = f.call1(py, (Ret(t.clone()),)).map_err(from_python)?;
        if out.is_none(py) {
            return Ok(None);
        }
        Err(Error::new(Kind::Runtime, "Tensor post accumulate grad hooks should return None."))
    });
    py_result(t.0.register_post_accumulate_grad_hook(hook))
}

/// Takes a hook away.
#[pyfunction]
pub fn _remove_hook(t: Arg, id: u64) {
    t.0.remove_hook(id);
}

/// Nodes and tensors alive, for tests of leaks.
#[pyfunction]
pub fn _live() -> (usize, usize) {
    (wengert::tape::live_nodes(), wengert::live_tensors())
}

/// Switches deferred evaluation on or off; returns what it was.
#[pyfunction]
pub fn _set_fusion(on: bool) -> bool {
    wengert::lazy::set_fusion(on)
}

/// True if large pointwise work may be deferred.
#[pyfunction]
pub fn _fusion_enabled() -> bool {
    wengert::lazy::fusion_enabled()
}
