//! `out=`: results copied into tensors of the caller's.

use crate::convert::Arg;
use crate::errors::{Raised, show_warning};
use crate::object::tensor_ref;
use pyo3::ffi;
use pyo3::prelude::*;
use wengert::op::{self, Outputs};
use wengert::shape::show;
use wengert::{Tensor, err};

type Obj = *mut ffi::PyObject;

/// The result is copied to `o`; to an expanded tensor only if it may go `anywhere`.
pub fn into_one(name: &str, o: Obj, mut result: Outputs, anywhere: bool) -> Result<Obj, Raised> {
    let (Some(target), Some(t)) = (tensor_ref(o), result.pop()) else {
        return Err(err!(Type, "out must be a Tensor").into());
    };
    write(name, target, &t, std::slice::from_ref(&t), anywhere)?;
    // SAFETY: a live object.
    unsafe { ffi::Py_INCREF(o) };
    Ok(o)
}

/// Each of several results is copied into its tensor of the tuple `o`; returns those tensors.
pub fn into_each(name: &str, o: Obj, results: &Outputs) -> Result<Outputs, Raised> {
    // SAFETY: a live object under the GIL.
    let given = unsafe { Bound::from_borrowed_ptr(Python::assume_attached(), o) };
    let given: Vec<Arg> = given.extract()?;
    if given.len() != results.len() {
        let (n, given) = (results.len(), given.len());
        let text = format!("expected tuple of {n} elements but got {given}");
        return Err(err!(Type, "{name}(): argument 'out' must be tuple of Tensors, {text}").into());
    }
    for (target, t) in given.iter().zip(results) {
        write(name, &target.0, t, results, false)?;
    }
    Ok(given.into_iter().map(|a| a.0).collect())
}

/// Writes one of `results` to its target.
fn write(
    name: &str,
    target: &Tensor,
    t: &Tensor,
    results: &[Tensor],
    anywhere: bool,
) -> Result<(), Raised> {
    let recorded = target.requires_grad() || results.iter().any(Tensor::requires_grad);
    if wengert::mode::grad_enabled() && recorded {
        return Err(err!(
            Runtime,
            "{name}(): functions with out=... arguments don't support automatic differentiation, but one of the arguments requires grad."
        )
        .into());
    }
    if target.shape() != t.shape() && target.numel() > 0 {
        let (old, new) = (show(target.shape()), show(t.shape()));
        let text = format!(
            "An output with one or more elements was resized since it had shape {old}, which does not match the required output shape {new}. This behavior is deprecated, and in a future PyTorch release outputs will not be resized unless they have zero elements. You can explicitly reuse an out tensor t by resizing it, inplace, to zero elements with t.resize_(0)."
        );
        show_warning(&text)?;
    }
    Ok(op::write_out(target, t, anywhere)?)
}
