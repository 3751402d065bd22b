//! The Python module of wengert: argument parsing, number slots, indexing, exceptions, buffers.
//! No arithmetic and no derivative is here.

mod anomaly;
mod attrs;
mod autograd;
mod batch;
mod buffer;
mod convert;
mod create;
mod data;
mod depth;
mod dtypes;
mod errors;
mod forward;
mod function;
mod generator;
mod hooks;
mod index;
mod kind;
mod memory;
mod methods;
mod named;
mod node;
mod number;
mod object;
mod out;
mod parse;
mod saved;
mod shapes;
mod shared;
mod sites;
mod table;
mod text;
mod threads;
mod tree;

use errors::Raised;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// Calls a Python function by name (a new reference).
fn call_python(
    module: &str,
    name: &str,
    args: &[*mut ffi::PyObject],
) -> Result<*mut ffi::PyObject, Raised> {
    // SAFETY: called under the GIL with live arguments.
    unsafe {
        let py = Python::assume_attached();
        let f = py.import(module)?.getattr(name)?;
        let args: Vec<Bound<'_, PyAny>> =
            args.iter().map(|&a| Bound::from_borrowed_ptr(py, a)).collect();
        Ok(f.call1(PyTuple::new(py, args)?)?.into_ptr())
    }
}

/// Calls a method without arguments (a new reference).
fn call_method(o: *mut ffi::PyObject, name: &str) -> Result<*mut ffi::PyObject, Raised> {
    // SAFETY: called under the GIL with a live object.
    unsafe {
        let py = Python::assume_attached();
        Ok(Bound::from_borrowed_ptr(py, o).call_method0(name)?.into_ptr())
    }
}

#[pymodule]
mod _wengert {
    use super::*;

    #[pymodule_export]
    use crate::anomaly::{_set_anomaly, is_anomaly_check_nan_enabled, is_anomaly_enabled};
    #[pymodule_export]
    use crate::autograd::{
        _Preserve, _backward, _backward_one, _current_pass, _enforce_grad_layout, _enter_transform,
        _exit_transform, _fusion_enabled, _grad, _grad_one, _increment_version, _inputs_given,
        _is_plain, _leads_out, _live, _queue_callback, _requiring, _set_fusion, _set_grad_enabled,
        _set_modes, _times_off, _will_run, is_grad_enabled, is_inference_mode_enabled,
    };
    #[pymodule_export]
    use crate::batch::{
        _NoRandom, _Shell, _is_batched, _vmap_call, _vmap_depth, _vmap_enter, _vmap_exit,
        _vmap_fresh, _vmap_join, _vmap_loops, _vmap_split,
    };
    #[pymodule_export]
    use crate::errors::_LinAlgError;
    #[pymodule_export]
    use crate::forward::{
        _enter_dual_level, _exit_dual_level, _make_dual, _private_alias, _private_leaf, _released,
        _unpack_dual,
    };
    #[pymodule_export]
    use crate::function::_transforms;
    #[pymodule_export]
    use crate::hooks::{_Hook, _register_hook, _register_post_accumulate_grad_hook};
    #[pymodule_export]
    use crate::node::_gradient_edge;
    #[pymodule_export]
    use crate::saved::{
        _disable_saved_tensors_hooks, _pop_saved_tensors_hooks, _push_saved_tensors_hooks,
    };
    #[pymodule_export]
    use crate::shapes::_set_size_class;
    #[pymodule_export]
    use crate::sites::{_call_site, _freed_site, _record_call_sites, _write_site};
    #[pymodule_export]
    use crate::table::_op_table;
    #[pymodule_export]
    use crate::threads::{get_num_threads, set_num_threads};
    #[pymodule_export]
    use crate::tree::{_flatten, _unflatten, Spec};

    #[pymodule_init]
    fn init(m: &Bound<'_, PyModule>) -> PyResult<()> {
        dtypes::register(m)?;
        node::register(m)?;
        let class = convert::owned(m.py(), kind::make())?;
        m.add("Tensor", class)?;
        table::register(m)?;
        create::register(m)?;
        data::register(m)?;
        memory::register(m)?;
        generator::register(m)?;
        text::register(m)
    }
}
