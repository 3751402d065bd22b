//! `torch.tensor(data)`: a copy of numbers, nested sequences, NumPy arrays, tensors.
//!
//! Three walks over nested sequences, as PyTorch's: the shape from the first items, the dtype from
//! all, then the numbers themselves.

use crate::dtypes::dtype_of;
use crate::errors::{Raised, check, slot};
use crate::methods::Given;
use crate::number::scalar_of;
use crate::object::{is_tensor, tensor_ref, wrap};
use crate::{buffer, table};
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::CStr;
use wengert::promote::{default_dtype, promote};
use wengert::shape::Layout;
use wengert::{DType, Scalar, Tensor, err};

type Obj = *mut ffi::PyObject;

/// How deeply sequences may be nested.
const MAX_DIMS: usize = 128;

const DOC: &str = "A new tensor with a copy of `data`: numbers, nested sequences, arrays.

`dtype` follows from the data if it is not given; Python floats become the default dtype. The shape
is that of the nesting. Raises ValueError for ragged sequences and for ints beyond 64 bits,
TypeError or RuntimeError for what is no number.

>>> torch.tensor([[1, 2], [3, 4]])
tensor([[1, 2],
        [3, 4]])
>>> torch.tensor(1.5, dtype=torch.float64)
tensor(1.5000, dtype=torch.float64)";

/// Name of an object's class.
pub fn class_name(o: Obj) -> String {
    // SAFETY: a live object under the GIL.
    unsafe { CStr::from_ptr((*ffi::Py_TYPE(o)).tp_name) }.to_string_lossy().into_owned()
}

fn owned(o: Obj) -> Result<Bound<'static, PyAny>, Raised> {
    // SAFETY: under the GIL; a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_opt(Python::assume_attached(), check(o)?).ok_or(Raised) }
}

fn is_text(o: Obj) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyUnicode_Check(o) != 0 || ffi::PyBytes_Check(o) != 0 }
}

fn is_sequence(o: Obj) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PySequence_Check(o) != 0 && !is_tensor(o) }
}

/// True for arrays and scalars of NumPy.
fn is_numpy(o: Obj) -> bool {
    // SAFETY: a live object; only heap types and NumPy's own can be its.
    unsafe {
        let class = ffi::Py_TYPE(o);
        let plain = class == &raw mut ffi::PyFloat_Type
            || class == &raw mut ffi::PyLong_Type
            || class == &raw mut ffi::PyList_Type
            || class == &raw mut ffi::PyTuple_Type;
        let numpy = |c: *mut ffi::PyTypeObject| {
            let name = CStr::from_ptr((*c).tp_name).to_bytes();
            name == b"numpy.ndarray" || name == b"numpy.generic"
        };
        let bases = (*class).tp_mro;
        !plain
            && (0..ffi::PyTuple_GET_SIZE(bases))
                .any(|i| numpy(ffi::PyTuple_GET_ITEM(bases, i).cast()))
    }
}

/// The shape that the nesting of first items has.
fn shape_of(data: Obj) -> Result<Vec<usize>, Raised> {
    let mut shape = Vec::new();
    // SAFETY: a live object of the caller.
    let mut o = unsafe { Bound::from_borrowed_ptr(Python::assume_attached(), data) };
    while is_sequence(o.as_ptr()) {
        // SAFETY: a live object.
        let n = unsafe { ffi::PySequence_Size(o.as_ptr()) };
        if n < 0 {
            return Err(Raised);
        }
        shape.push(n as usize);
        if shape.len() > MAX_DIMS {
            return Err(err!(Value, "too many dimensions '{}'", class_name(o.as_ptr())).into());
        }
        if n == 0 {
            break;
        }
        // SAFETY: a live sequence.
        let first = unsafe { ffi::PySequence_GetItem(o.as_ptr(), 0) };
        if first.is_null() {
            // SAFETY: under the GIL.
            unsafe { ffi::PyErr_Clear() };
            let name = class_name(o.as_ptr());
            return Err(err!(Value, "could not determine the shape of object type '{name}'").into());
        }
        o = owned(first)?;
    }
    Ok(shape)
}

/// The dtype that holds everything in the data.
fn infer(o: Obj) -> Result<DType, Raised> {
    if is_numpy(o) {
        return Ok(buffer::tensor_over(o)?.0.dtype());
    }
    if let Some(t) = tensor_ref(o) {
        return Ok(t.dtype());
    }
    // SAFETY: a live object.
    unsafe {
        if ffi::PyFloat_Check(o) != 0 {
            return Ok(default_dtype());
        }
        if ffi::PyBool_Check(o) != 0 {
            return Ok(DType::Bool);
        }
        if ffi::PyLong_Check(o) != 0 {
            return Ok(DType::I64);
        }
        if ffi::PyComplex_Check(o) != 0 {
            return Err(err!(NotImplemented, "complex numbers are not supported").into());
        }
    }
    if is_text(o) {
        return Err(err!(Type, "new(): invalid data type '{}'", class_name(o)).into());
    }
    if !is_sequence(o) {
        return Err(err!(Runtime, "Could not infer dtype of {}", class_name(o)).into());
    }
    let mut dtype = None;
    for_items(o, &mut |item| {
        if item == o {
            return Err(err!(Type, "new(): self-referential lists are incompatible").into());
        }
        let d = infer(item)?;
        dtype = Some(dtype.map_or(d, |known| promote(known, d)));
        Ok(())
    })?;
    Ok(dtype.unwrap_or_else(default_dtype))
}

/// Calls `f` with each item of a sequence; returns how many there are.
fn for_items(o: Obj, f: &mut dyn FnMut(Obj) -> Result<(), Raised>) -> Result<usize, Raised> {
    // SAFETY: a live object; the result is a list or tuple that is ours to hold.
    let fast = owned(unsafe { ffi::PySequence_Fast(o, c"not a sequence".as_ptr()) })?;
    let mut i = 0;
    // A conversion may run Python code that changes the list, so its length is asked anew.
    // SAFETY: `i` is below the length; the item is held while `f` runs.
    unsafe {
        let py = Python::assume_attached();
        let list = ffi::PyList_Check(fast.as_ptr()) != 0;
        while i < ffi::Py_SIZE(fast.as_ptr()) {
            let item = match list {
                true => ffi::PyList_GET_ITEM(fast.as_ptr(), i),
                false => ffi::PyTuple_GET_ITEM(fast.as_ptr(), i),
            };
            let item = Bound::from_borrowed_ptr(py, item);
            f(item.as_ptr())?;
            i += 1;
        }
    }
    Ok(i as usize)
}

/// Where the numbers go: bytes of one dtype, in row-major order.
struct Store<'a> {
    shape: &'a [usize],
    dtype: DType,
    bytes: Vec<u8>,
}

impl Store<'_> {
    fn fill(&mut self, o: Obj, dim: usize) -> Result<(), Raised> {
        let Some(&expected) = self.shape.get(dim) else {
            let bytes = element(o, self.dtype)?;
            self.bytes.extend_from_slice(&bytes[..self.dtype.size()]);
            return Ok(());
        };
        let mut seen = 0;
        // SAFETY: a live object.
        let n = match unsafe { ffi::PySequence_Check(o) != 0 && !is_tensor(o) } {
            // SAFETY: a live sequence.
            true => unsafe { ffi::PySequence_Size(o) },
            false => return Err(err!(Type, "not a sequence").into()),
        };
        if n != expected as isize {
            let text = format!("expected sequence of length {expected} at dim {dim} (got {n})");
            return Err(err!(Value, "{text}").into());
        }
        for_items(o, &mut |item| {
            seen += 1;
            if seen > expected {
                return Err(err!(Value, "the sequence grew while it was read").into());
            }
            self.fill(item, dim + 1)
        })?;
        if seen < expected {
            return Err(err!(Value, "the sequence shrank while it was read").into());
        }
        Ok(())
    }
}

/// The bytes of one number as an element of a dtype.
fn element(o: Obj, dtype: DType) -> Result<[u8; 16], Raised> {
    if let Some(t) = tensor_ref(o) {
        if t.numel() != 1 {
            let text = "only one element tensors can be converted to Python scalars";
            return Err(err!(Value, "{text}").into());
        }
        return Ok(t.item()?.bytes(dtype));
    }

    if dtype.is_float() {
        // SAFETY: a live object under the GIL.
        let x = unsafe { ffi::PyFloat_AsDouble(o) };
        // SAFETY: asks for the exception of the call above.
        if x == -1.0 && !unsafe { ffi::PyErr_Occurred() }.is_null() {
            return Err(Raised);
        }
        return Ok(Scalar::Float(x).bytes(dtype));
    }
    let value = match scalar_of_float(o) {
        Some(x) => Scalar::Float(x),
        None => integer(o, dtype)?,
    };
    let fitted = if dtype == DType::Bool { Ok(value) } else { value.fitted(dtype) };
    match fitted {
        Ok(s) => Ok(s.bytes(dtype)),
        Err(_) => Err(err!(
            Runtime,
            "value cannot be converted to type {} without overflow",
            dtype.name()
        )
        .into()),
    }
}

/// The value of a Python or NumPy float.
fn scalar_of_float(o: Obj) -> Option<f64> {
    match scalar_of_plain(o)? {
        Ok(Scalar::Float(x)) => Some(x),
        _ => None,
    }
}

fn scalar_of_plain(o: Obj) -> Option<Result<Scalar, Raised>> {
    // SAFETY: a live object. An int is read elsewhere, with its own error for a large one.
    if unsafe { ffi::PyLong_Check(o) } != 0 { None } else { scalar_of(o) }
}

/// The value of anything with an `__index__`.
fn integer(o: Obj, dtype: DType) -> Result<Scalar, Raised> {
    // SAFETY: a live object; the results are read once.
    unsafe {
        let index = owned(ffi::PyNumber_Index(o))?;
        let mut overflow = 0;
        let v = ffi::PyLong_AsLongLongAndOverflow(index.as_ptr(), &mut overflow);
        if overflow == 0 {
            return Ok(Scalar::Int(v));
        }
        if dtype == DType::U64 && overflow > 0 {
            let v = ffi::PyLong_AsUnsignedLongLong(index.as_ptr());
            if ffi::PyErr_Occurred().is_null() {
                return Ok(Scalar::Int(v as i64));
            }
            ffi::PyErr_Clear();
        }
        Err(err!(Value, "Overflow when unpacking long long").into())
    }
}

/// A fresh tensor of the numbers in `o`.
pub fn from_data(o: Obj, want: Option<DType>) -> Result<Tensor, Raised> {
    if is_text(o) {
        return Err(err!(Type, "new(): invalid data type '{}'", class_name(o)).into());
    }
    if let Some(t) = tensor_ref(o) {
        return Ok(t.fresh_copy(want.unwrap_or(t.dtype()))?);
    }
    if is_numpy(o) {
        let (t, _) = buffer::tensor_over(o)?;
        return Ok(t.fresh_copy(want.unwrap_or(t.dtype()))?);
    }
    let shape = shape_of(o)?;
    let dtype = match want {
        Some(d) => d,
        None => infer(o)?,
    };
    // Nothing is reserved by what the first items promise: they may be wrong.
    let mut store = Store { shape: &shape, dtype, bytes: Vec::new() };
    store.fill(o, 0)?;
    Ok(Tensor::from_bytes(Layout::contiguous(&shape), dtype, &store.bytes)?)
}

/// The options of a function that makes a tensor from data.
struct Options {
    dtype: Option<DType>,
    requires_grad: bool,
}

fn options(name: &str, [dtype, device, grad]: [Option<Obj>; 3]) -> Result<Options, Raised> {
    // SAFETY: comparing with a singleton.
    let given = |o: Option<Obj>| o.filter(|&o| o != unsafe { ffi::Py_None() });
    let wrong = |what: &str, kind: &str, o: Obj| -> Raised {
        let class = class_name(o);
        err!(Type, "{name}(): argument '{what}' must be {kind}, not {class}").into()
    };
    let dtype = match given(dtype) {
        None => None,
        Some(o) => Some(dtype_of(o).ok_or_else(|| wrong("dtype", "torch.dtype", o))?),
    };
    crate::create::refuse_complex(dtype.unwrap_or(DType::Bool))?;
    if let Some(d) = given(device) {
        drop(owned(crate::call_python("wengert._types", "_check_device", &[d])?)?);
    }
    let requires_grad = match grad {
        None => false,
        // SAFETY: a live object; True always lives.
        Some(o) if unsafe { ffi::PyBool_Check(o) } != 0 => o == unsafe { ffi::Py_True() },
        Some(o) => return Err(wrong("requires_grad", "bool", o)),
    };
    Ok(Options { dtype, requires_grad })
}

const COPY_WARNING: &CStr = c"To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).";

unsafe extern "C" fn tensor(_: Obj, args: *const Obj, n: isize, kw: Obj) -> Obj {
    slot(|| {
        // SAFETY: the arguments as the interpreter gave them.
        let given = unsafe { Given::new("tensor", args, n, kw)? };
        if n > 1 {
            return Err(
                err!(Type, "tensor() takes 1 positional argument but {n} were given").into()
            );
        }
        let [data, dtype, device, grad, _] =
            given.take(["data", "dtype", "device", "requires_grad", "pin_memory"])?;
        let missing = "tensor() missing 1 required positional arguments: \"data\"";
        let data = data.ok_or_else(|| err!(Type, "{missing}"))?;
        let options = options("tensor", [dtype, device, grad])?;
        if is_tensor(data) {
            // SAFETY: under the GIL.
            let r = unsafe { ffi::PyErr_WarnEx(ffi::PyExc_UserWarning, COPY_WARNING.as_ptr(), 1) };
            if r < 0 {
                return Err(Raised);
            }
        }
        let t = from_data(data, options.dtype)?;
        if options.requires_grad {
            crate::create::require_grad(&t)?;
        }
        wrap(t)
    })
}

/// `as_tensor` for what has to be copied.
#[pyfunction]
#[pyo3(signature = (data, dtype=None))]
fn _copied(
    data: &Bound<'_, PyAny>,
    dtype: Option<&Bound<'_, PyAny>>,
) -> PyResult<crate::convert::Ret> {
    let make = || -> Result<Tensor, Raised> {
        let options = options("as_tensor", [dtype.map(|d| d.as_ptr()), None, None])?;
        from_data(data.as_ptr(), options.dtype)
    };
    make().map(crate::convert::Ret).map_err(|Raised| PyErr::fetch(data.py()))
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    table::add_function(m, table::method_def("tensor", tensor, DOC))?;
    m.add_function(wrap_pyfunction!(_copied, m)?)
}
