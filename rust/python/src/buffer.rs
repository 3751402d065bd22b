//! The buffer protocol, both ways: tensors as buffers, and tensors over others' buffers.

use crate::errors::{Raised, slot};
use crate::object::known;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;
use wengert::shape::Layout;
use wengert::{DType, Tensor, err};

/// The `struct` format of a dtype, None if it has none.
fn format_of(d: DType) -> Option<&'static std::ffi::CStr> {
    Some(match d {
        DType::Bool => c"?",
        DType::U8 => c"B",
        DType::I8 => c"b",
        DType::I16 => c"h",
        DType::U16 => c"H",
        DType::I32 => c"i",
        DType::U32 => c"I",
        DType::I64 => c"q",
        DType::U64 => c"Q",
        DType::F16 => c"e",
        DType::F32 => c"f",
        DType::F64 => c"d",
        DType::C64 => c"Zf",
        DType::C128 => c"Zd",
        DType::BF16 => return None,
    })
}

/// Shape and strides of an exported buffer, kept until it is released.
struct Export {
    shape: Vec<ffi::Py_ssize_t>,
    strides: Vec<ffi::Py_ssize_t>,
}

pub unsafe extern "C" fn get(
    o: *mut ffi::PyObject,
    view: *mut ffi::Py_buffer,
    flags: c_int,
) -> c_int {
    slot(|| {
        // SAFETY: a slot of the type: `o` is a tensor, `view` is to be filled.
        unsafe {
            let t = known(o);
            (*view).obj = null_mut();
            let refuse = |text: &str| -> Result<c_int, Raised> {
                let e = pyo3::exceptions::PyBufferError::new_err(text.to_string());
                Err(e.into())
            };
            if t.requires_grad() {
                return refuse("a Tensor that requires grad gives no buffer; use detach()");
            }
            let Some(format) = format_of(t.dtype()) else {
                return refuse("this dtype has no buffer format");
            };
            if flags & ffi::PyBUF_STRIDES != ffi::PyBUF_STRIDES && !t.is_contiguous() {
                return refuse("the Tensor is not contiguous");
            }
            let size = t.dtype().size();
            let ptr = t.ptr()?;
            t.share_memory_outside()?;
            let export = Box::new(Export {
                shape: t.shape().iter().map(|&s| s as isize).collect(),
                strides: t.strides().iter().map(|&s| s * size as isize).collect(),
            });
            let export = Box::into_raw(export);
            let has = |bits: c_int| flags & bits == bits;
            (*view).buf = ptr.cast();
            (*view).len = (t.numel() * size) as isize;
            (*view).readonly = 0;
            (*view).itemsize = size as isize;
            (*view).format =
                if has(ffi::PyBUF_FORMAT) { format.as_ptr().cast_mut() } else { null_mut() };
            (*view).ndim = t.ndim() as c_int;
            (*view).shape =
                if has(ffi::PyBUF_ND) { (*export).shape.as_mut_ptr() } else { null_mut() };
            (*view).strides =
                if has(ffi::PyBUF_STRIDES) { (*export).strides.as_mut_ptr() } else { null_mut() };
            (*view).suboffsets = null_mut();
            (*view).internal = export.cast::<c_void>();
            ffi::Py_INCREF(o);
            (*view).obj = o;
        }
        Ok(0)
    })
}

pub unsafe extern "C" fn release(_o: *mut ffi::PyObject, view: *mut ffi::Py_buffer) {
    // SAFETY: `internal` was made by `get`.
    drop(unsafe { Box::from_raw((*view).internal.cast::<Export>()) });
}

/// A buffer we hold; released when dropped, which happens under the GIL.
struct Held(Box<ffi::Py_buffer>);

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: filled by PyObject_GetBuffer; tensors die under the GIL.
        unsafe { ffi::PyBuffer_Release(&mut *self.0) };
    }
}

fn dtype_of(format: *const c_char, itemsize: usize) -> Option<DType> {
    let text = if format.is_null() {
        "B"
    } else {
        // SAFETY: a C string of the buffer's owner.
        unsafe { std::ffi::CStr::from_ptr(format) }.to_str().ok()?
    };
    let code = text.trim_start_matches(['@', '=', '<']);
    Some(match (code, itemsize) {
        ("?", 1) => DType::Bool,
        ("B" | "c", 1) => DType::U8,
        ("b", 1) => DType::I8,
        ("h", 2) => DType::I16,
        ("H", 2) => DType::U16,
        ("i" | "l", 4) => DType::I32,
        ("I" | "L", 4) => DType::U32,
        ("q" | "l" | "i", 8) => DType::I64,
        ("Q" | "L" | "I", 8) => DType::U64,
        ("e", 2) => DType::F16,
        ("f", 4) => DType::F32,
        ("d", 8) => DType::F64,
        ("Zf", 8) => DType::C64,
        ("Zd", 16) => DType::C128,
        _ => return None,
    })
}

/// The error for an object of NumPy without a buffer (dates), or of another library.
fn no_buffer(o: *mut ffi::PyObject) -> Raised {
    // SAFETY: under the GIL; an exception is set.
    unsafe {
        if ffi::PyObject_HasAttrString(o, c"dtype".as_ptr()) == 0 {
            return Raised;
        }
        ffi::PyErr_Clear();
    }
    unsupported(o, std::ptr::null())
}

/// The error for elements that no dtype stands for.
fn unsupported(o: *mut ffi::PyObject, format: *const c_char) -> Raised {
    // SAFETY: a format is a C string of the buffer's owner.
    let foreign = !format.is_null() && unsafe { *format } == b'>' as c_char;
    if foreign {
        let text = "given numpy array has byte order different from the native byte order. Conversion between byte orders is currently not supported.";
        return err!(Value, "{text}").into();
    }
    // SAFETY: a live object under the GIL.
    let o = unsafe { Bound::from_borrowed_ptr(Python::assume_attached(), o) };
    let name = || -> PyResult<String> {
        let class = o.getattr("dtype")?.getattr("type")?;
        Ok(format!("{}.{}", class.getattr("__module__")?, class.getattr("__name__")?))
    };
    let name = name().unwrap_or_else(|_| "this kind".into());
    err!(Type, "can't convert np.ndarray of type {name}. The only supported types are: float64, float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, uint16, uint8, and bool.").into()
}

/// A tensor over the memory of an object that has a buffer, without a copy; and whether the memory
/// may be written.
pub fn tensor_over(o: *mut ffi::PyObject) -> Result<(Tensor, bool), Raised> {
    let mut view: Box<ffi::Py_buffer> = Box::new(ffi::Py_buffer::new());
    // SAFETY: a live object under the GIL; the buffer is released by `Held`.
    let (held, writable) = unsafe {
        let full = ffi::PyBUF_FULL;
        let mut writable = true;
        if ffi::PyObject_GetBuffer(o, &mut *view, full) != 0 {
            ffi::PyErr_Clear();
            writable = false;
            if ffi::PyObject_GetBuffer(o, &mut *view, ffi::PyBUF_FULL_RO) != 0 {
                return Err(no_buffer(o));
            }
        }
        (Held(view), writable)
    };
    let v = &held.0;
    let size = v.itemsize as usize;
    let dtype = match dtype_of(v.format, size) {
        Some(d) if d.is_complex() => {
            return Err(err!(NotImplemented, "complex numbers are not supported").into());
        }
        Some(d) => d,
        None => return Err(unsupported(o, v.format)),
    };
    let n = v.ndim as usize;
    // SAFETY: a full buffer has `ndim` sizes and strides.
    let (shape, strides) = unsafe {
        let read = |p: *const isize| -> Vec<isize> {
            if n == 0 { Vec::new() } else { std::slice::from_raw_parts(p, n).to_vec() }
        };
        (read(v.shape), read(v.strides))
    };
    if strides.iter().any(|s| s % size as isize != 0) {
        return Err(err!(Value, "given numpy array strides not a multiple of the element byte size. Copy the numpy array to reallocate the memory.").into());
    }
    let layout = Layout::new(
        shape.iter().map(|&s| s as usize).collect(),
        strides.iter().map(|s| s / size as isize).collect(),
        0,
    );
    let lowest = layout.extent().map_or(0, |(lo, _)| lo);
    let ptr = v.buf.cast::<u8>().wrapping_offset(lowest * size as isize);
    let layout = Layout { offset: -lowest, ..layout };
    // SAFETY: the buffer's memory, from its lowest element on, held until the tensor dies.
    Ok((unsafe { Tensor::from_foreign(ptr, layout, dtype, Box::new(held)) }, writable))
}
