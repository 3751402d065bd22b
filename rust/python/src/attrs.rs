//! Attributes of tensors.

use crate::dtypes::raw_object;
use crate::errors::{Raised, slot};
use crate::object::{known, tensor_ref, wrap};
use crate::{node, shapes};
use pyo3::ffi;
use std::ffi::{CString, c_int, c_void};
use std::ptr::null_mut;
use wengert::{Tensor, err};

type Obj = *mut ffi::PyObject;

fn boolean(b: bool) -> Obj {
    // SAFETY: under the GIL.
    unsafe { ffi::PyBool_FromLong(b as _) }
}

fn integer(v: usize) -> Obj {
    // SAFETY: under the GIL.
    unsafe { ffi::PyLong_FromSize_t(v) }
}

fn none() -> Obj {
    // SAFETY: a new reference to a singleton.
    unsafe {
        let n = ffi::Py_None();
        ffi::Py_INCREF(n);
        n
    }
}

fn optional(t: Option<Tensor>) -> Result<Obj, Raised> {
    t.map_or_else(|| Ok(none()), wrap)
}

/// Getters as a table: a C function and a name for each.
macro_rules! getters {
    ($($name:ident: |$t:ident| $body:expr;)*) => {
        $(#[allow(non_snake_case)]
        unsafe extern "C" fn $name(o: Obj, _: *mut c_void) -> Obj {
            slot(|| {
                // SAFETY: a getter of the type: `o` is a tensor.
                let $t = unsafe { known(o) };
                let r: Result<Obj, Raised> = $body;
                r
            })
        })*
        const GETTERS: &[(&str, ffi::getter)] = &[$((stringify!($name), $name)),*];
    };
}

getters! {
    shape: |t| shapes::size(t.shape());
    dtype: |t| raw_object(t.dtype());
    ndim: |t| Ok(integer(t.ndim()));
    itemsize: |t| Ok(integer(t.dtype().size()));
    nbytes: |t| Ok(integer(t.dtype().size() * t.numel()));
    is_leaf: |t| { t.grad_node(); Ok(boolean(t.is_leaf())) };
    requires_grad: |t| Ok(boolean(t.requires_grad()));
    retains_grad: |t| Ok(boolean(!t.is_leaf() && t.retains_grad()));
    grad: |t| grad_of(t);
    _grad: |t| optional(t.grad());
    grad_fn: |t| node::grad_fn(t);
    output_nr: |t| Ok(integer(t.output_nr()));
    _version: |t| Ok(integer(t.version() as usize));
    _base: |t| optional(t.base().cloned());
    data: |t| wrap(t.data()?);
    T: |t| {
        let dims: Vec<i64> = (0..t.ndim() as i64).rev().collect();
        Ok(wrap(t.permute(&dims)?)?)
    };
    mT: |t| {
        if t.ndim() < 2 {
            let text = "tensor.mT is only supported on matrices or batches of matrices. Got ";
            return Err(err!(Runtime, "{text}{}-D tensor.", t.ndim()).into());
        }
        wrap(t.transpose(-2, -1)?)
    };
    device: |_t| crate::call_python("wengert._types", "_cpu", &[]);
    layout: |_t| crate::call_python("wengert._types", "_strided", &[]);
    is_cuda: |_t| Ok(boolean(false));
    is_sparse: |_t| Ok(boolean(false));
    is_quantized: |_t| Ok(boolean(false));
    is_meta: |_t| Ok(boolean(false));
    is_nested: |_t| Ok(boolean(false));
    is_mkldnn: |_t| Ok(boolean(false));
}

/// `.grad`, with PyTorch's warning for tensors that do not keep one.
fn grad_of(t: &Tensor) -> Result<Obj, Raised> {
    let g = t.grad();
    if g.is_none() && !t.is_leaf() && !t.retains_grad() {
        let text = c"The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be populated during autograd.backward(). If you indeed want the .grad field to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor. If you access the non-leaf Tensor by mistake, make sure you access the leaf Tensor instead. See github.com/pytorch/pytorch/pull/30531 for more informations.";
        // SAFETY: under the GIL.
        let r = unsafe { ffi::PyErr_WarnEx(ffi::PyExc_UserWarning, text.as_ptr(), 1) };
        if r < 0 {
            return Err(Raised);
        }
    }
    optional(g)
}

unsafe extern "C" fn set_requires_grad(o: Obj, v: Obj, _: *mut c_void) -> c_int {
    slot(|| {
        if v.is_null() {
            return Err(err!(Attribute, "requires_grad cannot be deleted").into());
        }
        // SAFETY: live objects under the GIL.
        let on = unsafe {
            if ffi::PyBool_Check(v) == 0 {
                return Err(err!(Runtime, "requires_grad must be a bool").into());
            }
            v == ffi::Py_True()
        };
        // SAFETY: a setter of the type: `o` is a tensor.
        let t = unsafe { known(o) };
        if on && !t.dtype().is_differentiable() {
            return Err(err!(
                Runtime,
                "only Tensors of floating point and complex dtype can require gradients"
            )
            .into());
        }
        t.requires_grad_(on)?;
        Ok(0)
    })
}

unsafe extern "C" fn set_grad(o: Obj, v: Obj, _: *mut c_void) -> c_int {
    slot(|| {
        // SAFETY: a setter of the type: `o` is a tensor.
        let t = unsafe { known(o) };
        // SAFETY: comparing with a singleton.
        if v.is_null() || v == unsafe { ffi::Py_None() } {
            t.replace_grad(None);
            return Ok(0);
        }
        let Some(g) = tensor_ref(v) else {
            // SAFETY: a live object.
            let name = unsafe { std::ffi::CStr::from_ptr((*ffi::Py_TYPE(v)).tp_name) };
            return Err(err!(
                Type,
                "assigned grad expected to be a Tensor or None but got grad of type {}",
                name.to_string_lossy()
            )
            .into());
        };
        check_grad(t, g)?;
        t.replace_grad(Some(g.clone()));
        Ok(0)
    })
}

fn check_grad(t: &Tensor, g: &Tensor) -> wengert::Result<()> {
    if t.same(g) {
        return Err(err!(Runtime, "can't assign Variable as its own grad"));
    }
    if g.dtype() != t.dtype() {
        return Err(err!(
            Runtime,
            "attempting to assign a gradient with dtype '{}' to a tensor with grad_dtype '{}'. The gradient must match the tensor's grad_dtype (defaults to the tensor's dtype). You can set the tensor's grad_dtype attribute with a specific dtype, or None to allow any dtype. Set grad_dtype with caution.",
            g.dtype().cpp_name(),
            t.dtype().scalar_name()
        ));
    }
    if g.shape() != t.shape() {
        return Err(err!(
            Runtime,
            "attempting to assign a gradient of size '{}' to a tensor of size '{}'. Please ensure that the gradient and the tensor are the same size",
            wengert::shape::show(g.shape()),
            wengert::shape::show(t.shape())
        ));
    }
    Ok(())
}

unsafe extern "C" fn set_data(o: Obj, v: Obj, _: *mut c_void) -> c_int {
    slot(|| {
        let Some(new) = (if v.is_null() { None } else { tensor_ref(v) }) else {
            return Err(
                err!(Type, "Variable data has to be a tensor, but got something else").into()
            );
        };
        // SAFETY: a setter of the type: `o` is a tensor.
        let t = unsafe { known(o) };
        new.ptr()?;
        t.set_data(new);
        Ok(0)
    })
}

unsafe extern "C" fn set_node(o: Obj, v: Obj, _: *mut c_void) -> c_int {
    slot(|| {
        // SAFETY: comparing with a singleton.
        if v != unsafe { ffi::Py_None() } {
            return Err(err!(Type, "_grad_fn can be only set to None").into());
        }
        // SAFETY: a setter of the type: `o` is a tensor.
        unsafe { known(o) }.clear_history();
        Ok(0)
    })
}

/// The getset table of the type; it lives for ever, as the interpreter wants it.
pub fn table() -> Vec<ffi::PyGetSetDef> {
    let name = |s: &str| CString::new(s).unwrap_or_default().into_raw().cast_const();
    let def = |s: &str, get: ffi::getter, set: Option<ffi::setter>| ffi::PyGetSetDef {
        name: name(s),
        get: Some(get),
        set,
        doc: std::ptr::null(),
        closure: null_mut(),
    };
    let mut out: Vec<ffi::PyGetSetDef> = GETTERS
        .iter()
        .map(|&(n, g)| {
            let set: Option<ffi::setter> = match n {
                "requires_grad" => Some(set_requires_grad),
                "grad" | "_grad" => Some(set_grad),
                "data" => Some(set_data),
                _ => None,
            };
            def(n, g, set)
        })
        .collect();
    out.push(def("_grad_fn", grad_fn, Some(set_node)));
    // SAFETY: a table that ends in zeros is what the interpreter expects.
    out.push(unsafe { std::mem::zeroed() });
    out
}
