//! Where in the user's program a node was recorded.

use crate::convert::{Guarded, Held};
use crate::node::Node;
use pyo3::ffi;
use pyo3::prelude::*;
use std::rc::Rc;
use wengert::tape::{self, CallSite};

/// The Python frame that is running: its code object and instruction.
fn here() -> Option<CallSite> {
    // SAFETY: operations are called under the GIL; the frame is borrowed from the running thread.
    unsafe {
        let frame = ffi::PyEval_GetFrame();
        if frame.is_null() {
            return None;
        }
        let py = Python::assume_attached();
        let code = Bound::from_owned_ptr_or_opt(py, ffi::PyFrame_GetCode(frame).cast())?;
        let instruction = ffi::PyFrame_GetLasti(frame).max(0) as u32;
        Some(CallSite { code: Rc::new(Guarded(Held::from(code.unbind()))), instruction })
    }
}

/// Whether new nodes remember where they were recorded.
#[pyfunction]
pub fn _record_call_sites(on: bool) {
    tape::record_call_sites(on.then_some(here as fn() -> Option<CallSite>));
}

/// The code object and the instruction that recorded a node, if it remembers.
#[pyfunction]
pub fn _call_site(py: Python<'_>, node: &Node) -> Option<(Py<PyAny>, u32)> {
    let site = node.op()?.info()?.call_site.clone()?;
    let code = site.code.downcast_ref::<Guarded<Held>>()?;
    Some((code.0.clone_ref(py), site.instruction))
}
