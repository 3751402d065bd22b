//! Attributes of tensors.

use crate::dtypes::{dtype_of, raw_object};
use crate::errors::{Raised, slot, warn};
use crate::object::{known, tensor_ref, wrap};
use crate::{node, shapes};
use pyo3::ffi;
use std::ffi::{CString, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};
use wengert::op::{Id, call1};
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
    ($($(#[doc = $doc:literal])+ $name:ident: |$t:ident| $body:expr;)*) => {
        $(#[allow(non_snake_case)]
        unsafe extern "C" fn $name(o: Obj, _: *mut c_void) -> Obj {
            slot(|| {
                // SAFETY: a getter of the type: `o` is a tensor.
                let $t = unsafe { known(o) };
                let r: Result<Obj, Raised> = $body;
                r
            })
        })*
        const GETTERS: &[(&str, ffi::getter, &[&str])] =
            &[$((stringify!($name), $name, &[$($doc),+])),*];
    };
}

getters! {
    /// The sizes of the dimensions.
    ///
    /// >>> torch.ones(2, 3).shape
    /// torch.Size([2, 3])
    shape: |t| shapes::size(t.shape());
    /// The type of the elements.
    ///
    /// >>> torch.ones(2).dtype
    /// torch.float32
    dtype: |t| raw_object(t.dtype());
    /// The number of dimensions.
    ///
    /// >>> torch.ones(2, 3).ndim
    /// 2
    ndim: |t| Ok(integer(t.ndim()));
    /// Bytes of one element.
    ///
    /// >>> torch.ones(2).itemsize
    /// 4
    itemsize: |t| Ok(integer(t.dtype().size()));
    /// Bytes of all elements.
    ///
    /// >>> torch.ones(2, 3).nbytes
    /// 24
    nbytes: |t| Ok(integer(t.dtype().size() * t.numel()));
    /// True for a tensor that is no result of a recorded operation.
    ///
    /// >>> torch.ones(2, requires_grad=True).is_leaf
    /// True
    is_leaf: |t| { t.grad_node()?; Ok(boolean(t.is_leaf())) };
    /// True if gradients are computed for it.
    ///
    /// >>> torch.ones(2).requires_grad
    /// False
    requires_grad: |t| Ok(boolean(t.requires_grad()));
    /// True for a tensor that is no leaf and keeps its gradient.
    ///
    /// >>> torch.ones(2).retains_grad
    /// False
    retains_grad: |t| Ok(boolean(!t.is_leaf() && t.retains_grad()));
    /// The gradient that `backward` has added up, or None.
    ///
    /// >>> x = torch.tensor(3.0, requires_grad=True)
    /// >>> (x * x).backward()
    /// >>> x.grad
    /// tensor(6.)
    grad: |t| grad_of(t);
    /// The dtype that the gradient has, or None for any; may be assigned.
    ///
    /// >>> torch.ones(2, requires_grad=True).grad_dtype
    /// torch.float32
    grad_dtype: |t| {
        t.grad_node()?;
        if !t.is_leaf() {
            return Err(err!(Runtime, "grad_dtype can only be accessed on leaf tensors.").into());
        }
        t.grad_dtype().map_or_else(|| Ok(none()), raw_object)
    };
    /// `grad`, without the warning for what is no leaf.
    _grad: |t| optional(t.grad());
    /// The node that made it, or None.
    ///
    /// >>> x = torch.ones(2, requires_grad=True)
    /// >>> (x * 2).grad_fn.name()
    /// 'MulBackward0'
    grad_fn: |t| node::grad_fn(t);
    /// Which of its node's outputs it is.
    ///
    /// >>> torch.ones(2).output_nr
    /// 0
    output_nr: |t| Ok(integer(t.output_nr()));
    /// How many in-place writes its memory has seen.
    _version: |t| match t.counts_versions() {
        true => Ok(integer(t.version() as usize)),
        false => Err(err!(Runtime, "Inference tensors do not track version counter.").into()),
    };
    /// What it is a view of, or None.
    _base: |t| optional(t.base().cloned());
    /// The same memory without history; may be assigned.
    ///
    /// >>> torch.ones(2, requires_grad=True).data
    /// tensor([1., 1.])
    data: |t| wrap(t.data()?);
    /// The view with all dimensions in reverse order.
    ///
    /// >>> torch.ones(2, 3).T.shape
    /// torch.Size([3, 2])
    T: |t| {
        if t.ndim() != 2 {
            warn_of_transpose(t.ndim())?;
        }
        let dims: Vec<i64> = (0..t.ndim() as i64).rev().collect();
        Ok(wrap(t.permute(&dims)?)?)
    };
    /// The view with the last two dimensions exchanged. Raises RuntimeError for fewer than two.
    ///
    /// >>> torch.ones(4, 2, 3).mT.shape
    /// torch.Size([4, 3, 2])
    mT: |t| {
        if t.ndim() == 0 {
            return wrap(t.clone());
        }
        if t.ndim() < 2 {
            let text = "tensor.mT is only supported on matrices or batches of matrices. Got ";
            return Err(err!(Runtime, "{text}{}-D tensor.", t.ndim()).into());
        }
        wrap(t.transpose(-2, -1)?)
    };
    /// The conjugate of the view with the last two dimensions exchanged. Raises RuntimeError for
    /// one dimension.
    ///
    /// >>> torch.ones(4, 2, 3).mH.shape
    /// torch.Size([4, 3, 2])
    mH: |t| {
        if t.ndim() == 1 {
            let text = "tensor.mH is only supported on matrices or batches of matrices. Got ";
            return Err(err!(Runtime, "{text}1-D tensor.").into());
        }
        Ok(wrap(call1(Id::ADJOINT, &[t.into()])?)?)
    };
    /// The conjugate of the transposed matrix. Raises RuntimeError for what is no matrix.
    ///
    /// >>> torch.ones(2, 3).H.shape
    /// torch.Size([3, 2])
    H: |t| {
        let text = "tensor.H is only supported on matrices (2-D tensors). Got";
        match t.ndim() {
            0 | 2 => Ok(wrap(call1(Id::ADJOINT, &[t.into()])?)?),
            1 => Err(err!(Runtime, "{text} 1-D tensor.").into()),
            n => {
                let hint = "For batches of matrices, consider using tensor.mH";
                Err(err!(Runtime, "{text} {n}-D tensor. {hint}").into())
            }
        }
    };
    /// Where the memory is.
    ///
    /// >>> torch.ones(2).device
    /// device(type='cpu')
    device: |_t| crate::call_python("wengert._types", "_cpu", &[]);
    /// How the elements are stored.
    ///
    /// >>> torch.ones(2).layout
    /// torch.strided
    layout: |_t| crate::call_python("wengert._types", "_strided", &[]);
    /// False: there are only dense tensors on the CPU.
    ///
    /// >>> torch.ones(2).is_ipu
    /// False
    is_ipu: |_t| Ok(boolean(false));
    /// False: there are only dense tensors on the CPU.
    ///
    /// >>> torch.ones(2).is_maia
    /// False
    is_maia: |_t| Ok(boolean(false));
    /// False: there are only dense tensors on the CPU.
    ///
    /// >>> torch.ones(2).is_mps
    /// False
    is_mps: |_t| Ok(boolean(false));
    /// False: there are only dense tensors on the CPU.
    ///
    /// >>> torch.ones(2).is_mtia
    /// False
    is_mtia: |_t| Ok(boolean(false));
    /// False: there are only dense tensors on the CPU.
    ///
    /// >>> torch.ones(2).is_vulkan
    /// False
    is_vulkan: |_t| Ok(boolean(false));
    /// False: there are only dense tensors on the CPU.
    ///
    /// >>> torch.ones(2).is_xla
    /// False
    is_xla: |_t| Ok(boolean(false));
    /// False: there are only dense tensors on the CPU.
    ///
    /// >>> torch.ones(2).is_xpu
    /// False
    is_xpu: |_t| Ok(boolean(false));
    /// False: there are only dense tensors on the CPU.
    ///
    /// >>> torch.ones(2).is_sparse_csr
    /// False
    is_sparse_csr: |_t| Ok(boolean(false));
    /// True: there are only tensors on the CPU.
    ///
    /// >>> torch.ones(2).is_cpu
    /// True
    is_cpu: |_t| Ok(boolean(true));
    /// None: only variables had names, long ago.
    ///
    /// >>> torch.ones(2).name
    name: |_t| Ok(none());
    /// False: an attribute of variables, long ago.
    ///
    /// >>> torch.ones(2).volatile
    /// False
    volatile: |_t| {
        warn(c"volatile was removed (Variable.volatile is always False)")?;
        Ok(boolean(false))
    };
    /// False: there are only dense tensors on the CPU.
    ///
    /// >>> torch.ones(2).is_cuda
    /// False
    is_cuda: |_t| Ok(boolean(false));
    /// False: there are only dense tensors on the CPU.
    ///
    /// >>> torch.ones(2).is_sparse
    /// False
    is_sparse: |_t| Ok(boolean(false));
    /// False: there are only dense tensors on the CPU.
    ///
    /// >>> torch.ones(2).is_quantized
    /// False
    is_quantized: |_t| Ok(boolean(false));
    /// False: there are only dense tensors on the CPU.
    ///
    /// >>> torch.ones(2).is_meta
    /// False
    is_meta: |_t| Ok(boolean(false));
    /// False: there are only dense tensors on the CPU.
    ///
    /// >>> torch.ones(2).is_nested
    /// False
    is_nested: |_t| Ok(boolean(false));
    /// False: there are only dense tensors on the CPU.
    ///
    /// >>> torch.ones(2).is_mkldnn
    /// False
    is_mkldnn: |_t| Ok(boolean(false));
}

/// PyTorch's warnings about `T` of what is no matrix, each given once.
#[cold]
fn warn_of_transpose(ndim: usize) -> Result<(), Raised> {
    static GIVEN: [AtomicBool; 2] = [AtomicBool::new(false), AtomicBool::new(false)];
    let text = match ndim {
        0 => {
            c"Tensor.T is deprecated on 0-D tensors. This function is the identity in these cases."
        }
        _ => {
            c"The use of `x.T` on tensors of dimension other than 2 to reverse their shape is deprecated and it will throw an error in a future release. Consider `x.mT` to transpose batches of matrices or `x.permute(*torch.arange(x.ndim - 1, -1, -1))` to reverse the dimensions of a tensor."
        }
    };
    if GIVEN[usize::from(ndim == 0)].swap(true, Ordering::Relaxed) { Ok(()) } else { warn(text) }
}

/// `.grad`, with PyTorch's warning for tensors that do not keep one.
fn grad_of(t: &Tensor) -> Result<Obj, Raised> {
    let g = t.grad();
    if g.is_none() && !t.is_leaf() && !t.retains_grad() {
        let text = c"The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be populated during autograd.backward(). If you indeed want the .grad field to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor. If you access the non-leaf Tensor by mistake, make sure you access the leaf Tensor instead. See github.com/pytorch/pytorch/pull/30531 for more informations.";
        warn(text)?;
    }
    optional(g)
}

unsafe extern "C" fn set_requires_grad(o: Obj, v: Obj, _: *mut c_void) -> c_int {
    slot(|| {
        // SAFETY: live objects under the GIL.
        let on = unsafe {
            if v.is_null() || ffi::PyBool_Check(v) == 0 {
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
            let text = "assigned grad expected to be a Tensor or None but got grad of type";
            return Err(err!(Type, "{text} {}", type_name(v)).into());
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
    if let Some(d) = t.grad_dtype()
        && g.dtype() != d
    {
        return Err(err!(
            Runtime,
            "attempting to assign a gradient with dtype '{}' to a tensor with grad_dtype '{}'. The gradient must match the tensor's grad_dtype (defaults to the tensor's dtype). You can set the tensor's grad_dtype attribute with a specific dtype, or None to allow any dtype. Set grad_dtype with caution.",
            g.dtype().cpp_name(),
            d.scalar_name()
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

unsafe extern "C" fn set_grad_dtype(o: Obj, v: Obj, _: *mut c_void) -> c_int {
    slot(|| {
        // SAFETY: a setter of the type: `o` is a tensor.
        let t = unsafe { known(o) };
        // SAFETY: comparing with a singleton.
        let any = !v.is_null() && v == unsafe { ffi::Py_None() };
        let dtype = if v.is_null() { None } else { dtype_of(v) };
        if dtype.is_none() && !any {
            let name = if v.is_null() { "NULL".into() } else { type_name(v) };
            let text = "grad_dtype must be a torch.dtype or None, but got";
            return Err(err!(Runtime, "{text} {name}").into());
        }
        t.grad_node()?;
        if !t.is_leaf() {
            return Err(err!(Runtime, "grad_dtype can only be set on leaf tensors.").into());
        }
        if let (Some(d), Some(g)) = (dtype, t.grad())
            && g.dtype() != d
        {
            return Err(err!(
                Runtime,
                "Cannot set grad_dtype to '{}' because there is already a gradient with dtype '{}'. Please clear the gradient (.grad = None) before changing grad_dtype, or ensure the new grad_dtype matches the existing gradient's dtype.",
                d.scalar_name(),
                g.dtype().cpp_name()
            )
            .into());
        }
        t.set_grad_dtype(dtype);
        Ok(0)
    })
}

fn type_name(o: Obj) -> std::borrow::Cow<'static, str> {
    // SAFETY: a live object under the GIL; the name lives as long as its type.
    unsafe { std::ffi::CStr::from_ptr((*ffi::Py_TYPE(o)).tp_name) }.to_string_lossy()
}

unsafe extern "C" fn set_data(o: Obj, v: Obj, _: *mut c_void) -> c_int {
    slot(|| {
        if v.is_null() {
            let text = "Deleting tensor data is not allowed. Delete tensor instead!";
            return Err(err!(Runtime, "{text}").into());
        }
        let Some(new) = tensor_ref(v) else {
            let text = "Variable data has to be a tensor, but got";
            return Err(err!(Type, "{text} {}", type_name(v)).into());
        };
        // SAFETY: a setter of the type: `o` is a tensor.
        let t = unsafe { known(o) };
        if t.requires_grad() && !new.dtype().is_differentiable() {
            let text = "data set to a tensor that requires gradients must be floating point or complex dtype";
            return Err(err!(Runtime, "{text}").into());
        }
        new.ptr()?;
        t.set_data(new)?;
        Ok(0)
    })
}

unsafe extern "C" fn set_volatile(_o: Obj, _v: Obj, _: *mut c_void) -> c_int {
    let text = c"volatile was removed and now has no effect. Use `with torch.no_grad():` instead.";
    slot(|| warn(text).map(|()| 0))
}

unsafe extern "C" fn set_node(o: Obj, v: Obj, _: *mut c_void) -> c_int {
    slot(|| {
        // SAFETY: comparing with a singleton.
        if v != unsafe { ffi::Py_None() } {
            return Err(err!(Runtime, "_grad_fn can be only set to None").into());
        }
        // SAFETY: a setter of the type: `o` is a tensor.
        unsafe { known(o) }.clear_history();
        Ok(0)
    })
}

/// The getset table of the type; it lives for ever, as the interpreter wants it.
pub fn table() -> Vec<ffi::PyGetSetDef> {
    let name = |s: &str| CString::new(s).unwrap_or_default().into_raw().cast_const();
    let def =
        |s: &str, get: ffi::getter, set: Option<ffi::setter>, doc: &[&str]| ffi::PyGetSetDef {
            name: name(s),
            get: Some(get),
            set,
            doc: name(&crate::methods::text(doc)),
            closure: null_mut(),
        };
    let mut out: Vec<ffi::PyGetSetDef> = GETTERS
        .iter()
        .map(|&(n, g, doc)| {
            let set: Option<ffi::setter> = match n {
                "requires_grad" => Some(set_requires_grad),
                "grad" | "_grad" => Some(set_grad),
                "data" => Some(set_data),
                "grad_dtype" => Some(set_grad_dtype),
                "volatile" => Some(set_volatile),
                _ => None,
            };
            def(n, g, set, doc)
        })
        .collect();
    out.push(def("_grad_fn", grad_fn, Some(set_node), &["`grad_fn`; may be set to None."]));
    let doc = "The attributes that were set on it.";
    out.push(def(
        "__dict__",
        ffi::PyObject_GenericGetDict,
        Some(ffi::PyObject_GenericSetDict),
        &[doc],
    ));
    // SAFETY: a table that ends in zeros is what the interpreter expects.
    out.push(unsafe { std::mem::zeroed() });
    out
}
