//! Where in the user's program nodes were recorded and freed, and memory was written to.

use crate::convert::{Guarded, Held};
use crate::node::Node;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;
use std::rc::Rc;
use wengert::sites::{self, CallSite, Program};

/// The innermost Python frame outside this package: its code object and instruction.
fn here() -> Option<CallSite> {
    // SAFETY: operations are called under the GIL; the frame is borrowed from the running thread,
    // and those it was called by are kept by it.
    unsafe {
        let py = Python::assume_attached();
        let mut frame = Bound::from_borrowed_ptr_or_opt(py, ffi::PyEval_GetFrame().cast())?;
        loop {
            let raw = frame.as_ptr().cast::<ffi::PyFrameObject>();
            let code = Bound::from_owned_ptr_or_opt(py, ffi::PyFrame_GetCode(raw).cast())?;
            if !is_own(&code) {
                let instruction = ffi::PyFrame_GetLasti(raw).max(0) as u32;
                return Some(CallSite {
                    code: Rc::new(Guarded(Held::from(code.unbind()))),
                    instruction,
                });
            }
            frame = Bound::from_owned_ptr_or_opt(py, ffi::PyFrame_GetBack(raw).cast())?;
        }
    }
}

/// True for code of this package.
fn is_own(code: &Bound<'_, PyAny>) -> bool {
    static FOLDER: PyOnceLock<Option<String>> = PyOnceLock::new();
    let py = code.py();
    let folder = || py.import("wengert")?.getattr("__path__")?.get_item(0)?.extract::<String>();
    let Some(folder) = FOLDER.get_or_init(py, || folder().ok()) else { return false };
    let Ok(name) = code.getattr(intern!(py, "co_filename")) else { return false };
    name.cast::<PyString>().is_ok_and(|s| s.to_str().is_ok_and(|s| s.starts_with(folder)))
}

fn show(site: &CallSite) -> Option<String> {
    // SAFETY: errors are made under the GIL.
    let py = unsafe { Python::assume_attached() };
    let (code, instruction) = python(py, site.clone())?;
    let inspect = py.import("wengert.inspect").ok()?;
    inspect.call_method1("_place", (code, instruction)).ok()?.extract().ok()
}

/// Whether nodes, writes and backward passes are remembered with where they happened.
#[pyfunction]
pub fn _record_call_sites(on: bool) {
    sites::record(on.then_some(Program { here, show }));
}

/// A code object and an instruction.
type Site = (Py<PyAny>, u32);

fn python(py: Python<'_>, site: CallSite) -> Option<Site> {
    let code = site.code.downcast_ref::<Guarded<Held>>()?;
    Some((code.0.clone_ref(py), site.instruction))
}

/// Where a node was recorded, if it remembers.
#[pyfunction]
pub fn _call_site(py: Python<'_>, node: &Node) -> Option<Site> {
    python(py, node.op()?.info()?.call_site.clone()?)
}

/// Where the backward pass was called that freed a node.
#[pyfunction]
pub fn _freed_site(py: Python<'_>, node: &Node) -> Option<Site> {
    python(py, node.op()?.info()?.freed_at.clone()?)
}

/// Where a tensor that a node saved was written to since.
#[pyfunction]
pub fn _write_site(py: Python<'_>, node: &Node) -> Option<Site> {
    python(py, node.op()?.written_at()?)
}
