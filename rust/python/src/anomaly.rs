//! Anomaly mode: what a node remembers of where it was made is kept in its `metadata`.

use crate::convert::{Guarded, Held};
use crate::hooks::python;
use crate::node::{Target, metadata_of, object_of};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::rc::Rc;
use wengert::anomaly::{self, Host};
use wengert::tape::{Node, Notes};

struct Watcher;

fn module(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import("wengert.autograd.anomaly_mode")
}

impl Host for Watcher {
    fn made(&self, node: &Node, parent: Option<&Node>) {
        let py = python();
        let fill = || -> PyResult<Py<PyDict>> {
            let dict = PyDict::new(py);
            dict.set_item("traceback_", module(py)?.call_method0("_stack")?)?;
            if let Some(parent) = parent {
                dict.set_item("parent_", object_of(py, Target::Op(parent.clone()))?)?;
            }
            Ok(dict.unbind())
        };
        // A node without its traceback is better than an operation that fails for want of it.
        if let Ok(dict) = fill() {
            let notes: Notes = Rc::new(Guarded(Held::from(dict)));
            node.with_info(|i| i.notes = Some(notes));
        }
    }

    fn failed(&self, node: &Node) {
        let py = python();
        let told = || {
            let metadata = metadata_of(py, &Target::Op(node.clone()));
            module(py)?.call_method1("_failed", (node.name(), metadata))
        };
        if let Err(e) = told() {
            e.write_unraisable(py, None);
        }
    }
}

/// Switches anomaly mode on or off.
#[pyfunction]
pub fn _set_anomaly(on: bool, check_nan: bool) {
    anomaly::set_host(&Watcher);
    anomaly::set(on, check_nan);
}

/// True if anomaly mode is on.
///
/// >>> torch.is_anomaly_enabled()
/// False
#[pyfunction]
pub fn is_anomaly_enabled() -> bool {
    anomaly::enabled()
}

/// True if anomaly mode looks for NaN.
///
/// >>> torch.is_anomaly_check_nan_enabled()
/// True
#[pyfunction]
pub fn is_anomaly_check_nan_enabled() -> bool {
    anomaly::checks_nan()
}
