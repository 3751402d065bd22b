//! Python's index objects, understood.

use crate::errors::{Raised, check};
use crate::object::{is_tensor, tensor_ref};
use pyo3::ffi;
use smallvec::{SmallVec, smallvec};
use std::ffi::CStr;
use wengert::{DType, Tensor, err};

type Obj = *mut ffi::PyObject;

/// One item of an index.
pub enum Item {
    Int(i64),
    Slice {
        start: Option<i64>,
        stop: Option<i64>,
        step: i64,
    },
    /// `None`: a new dimension.
    New,
    Ellipsis,
    /// `True` or `False`: a new dimension of size 1 or 0.
    Truth(bool),
    /// Indices or a mask.
    Tensor(Tensor),
}

pub type Items = SmallVec<[Item; 4]>;

impl Item {
    /// How many dimensions the item uses up.
    pub fn dims(&self) -> usize {
        match self {
            Item::Int(_) | Item::Slice { .. } => 1,
            Item::Tensor(t) if is_mask(t) => t.ndim(),
            Item::Tensor(_) => 1,
            Item::New | Item::Ellipsis | Item::Truth(_) => 0,
        }
    }
}

fn is_mask(t: &Tensor) -> bool {
    matches!(t.dtype(), DType::Bool | DType::U8)
}

fn warn(message: &CStr) -> Result<(), Raised> {
    // SAFETY: under the GIL; the text ends in 0.
    match unsafe { ffi::PyErr_WarnEx(ffi::PyExc_UserWarning, message.as_ptr(), 1) } {
        0 => Ok(()),
        _ => Err(Raised),
    }
}

fn int_of(o: Obj) -> Result<i64, Raised> {
    // SAFETY: a live object under the GIL.
    unsafe {
        let i = check(ffi::PyNumber_Index(o))?;
        let v = ffi::PyLong_AsLongLong(i);
        ffi::Py_DECREF(i);
        if v == -1 && !ffi::PyErr_Occurred().is_null() { Err(Raised) } else { Ok(v) }
    }
}

fn slice(o: Obj) -> Result<Item, Raised> {
    // SAFETY: a live slice under the GIL.
    unsafe {
        let s = o.cast::<ffi::PySliceObject>();
        let part = |p: Obj| -> Result<Option<i64>, Raised> {
            if p == ffi::Py_None() {
                return Ok(None);
            }
            if ffi::PyIndex_Check(p) == 0 {
                let text = "slice indices must be integers or None or have an __index__ method";
                return Err(err!(Type, "{text}").into());
            }
            // An int too large for 64 bits counts as the largest.
            let v = ffi::PyNumber_AsSsize_t(p, std::ptr::null_mut());
            if v == -1 && !ffi::PyErr_Occurred().is_null() {
                return Err(Raised);
            }
            Ok(Some(v as i64))
        };
        let step = part((*s).step)?.unwrap_or(1);
        Ok(Item::Slice { start: part((*s).start)?, stop: part((*s).stop)?, step })
    }
}

/// A tensor as an index: one without dimensions stands for a number or a truth value.
fn tensor(t: &Tensor) -> Result<Item, Raised> {
    let whole = t.dtype().is_int() || t.dtype() == DType::Bool;
    if t.ndim() == 0 && whole && !wengert::batch::is_batched(t) {
        let value = t.item()?;
        return Ok(if is_mask(t) {
            Item::Truth(value.is_true())
        } else {
            Item::Int(value.to_i64())
        });
    }
    if t.dtype() == DType::U8 {
        warn(
            c"indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead.",
        )?;
    }
    Ok(Item::Tensor(t.clone()))
}

/// A sequence as a tensor of indices.
fn sequence(o: Obj) -> Result<Item, Raised> {
    let made = crate::call_python("wengert._tensor", "as_index", &[o])?;
    let item = tensor_ref(made).map_or_else(|| Err(invalid(o)), tensor);
    // SAFETY: a new reference, not used any more.
    unsafe { ffi::Py_DECREF(made) };
    item
}

#[cold]
fn invalid(o: Obj) -> Raised {
    // SAFETY: a live object; the name of a class lives as long as it.
    let name = unsafe { CStr::from_ptr((*ffi::Py_TYPE(o)).tp_name) }.to_string_lossy();
    err!(
        Index,
        "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got {name})"
    )
    .into()
}

fn item(o: Obj) -> Result<Item, Raised> {
    // SAFETY: a live object under the GIL.
    unsafe {
        if ffi::PyLong_CheckExact(o) != 0 {
            return Ok(Item::Int(int_of(o)?));
        }
        if ffi::PySlice_Check(o) != 0 {
            return slice(o);
        }
        if o == ffi::Py_None() {
            return Ok(Item::New);
        }
        if o == ffi::Py_Ellipsis() {
            return Ok(Item::Ellipsis);
        }
        if ffi::PyBool_Check(o) != 0 {
            return Ok(Item::Truth(o == ffi::Py_True()));
        }
        if let Some(t) = tensor_ref(o) {
            return tensor(t);
        }
        if ffi::PySequence_Check(o) != 0 {
            return sequence(o);
        }
        if ffi::PyIndex_Check(o) == 0 {
            return Err(invalid(o));
        }
        let i = ffi::PyNumber_Index(o);
        if i.is_null() {
            ffi::PyErr_Clear();
            return Err(invalid(o));
        }
        ffi::Py_DECREF(i);
        Ok(Item::Int(int_of(o)?))
    }
}

/// Whether a sequence stands for a tuple: PyTorch still reads `x[[0, slice(1)]]` so.
fn is_like_tuple(o: Obj) -> Result<bool, Raised> {
    // SAFETY: a live object under the GIL; items are new references, given back.
    unsafe {
        if ffi::PySequence_Check(o) == 0 || is_tensor(o) || is_array(o) {
            return Ok(false);
        }
        let n = ffi::PySequence_Size(o);
        if n < 0 {
            ffi::PyErr_Clear();
        }
        for i in 0..n.min(32) {
            if n >= 32 {
                return Ok(false);
            }
            let part = ffi::PySequence_GetItem(o, i);
            if part.is_null() {
                ffi::PyErr_Clear();
                return Ok(false);
            }
            let found = is_tensor(part)
                || ffi::PySequence_Check(part) != 0
                || ffi::PySlice_Check(part) != 0
                || part == ffi::Py_None()
                || part == ffi::Py_Ellipsis();
            ffi::Py_DECREF(part);
            if found {
                warn(c"Using a non-tuple sequence for multidimensional indexing is deprecated and will be changed in pytorch 2.9; use x[tuple(seq)] instead of x[seq]. In pytorch 2.9 this will be interpreted as tensor index, x[torch.tensor(seq)], which will result either in an error or a different result")?;
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn is_array(o: Obj) -> bool {
    // SAFETY: a live object; the name of a class lives as long as it.
    unsafe { CStr::from_ptr((*ffi::Py_TYPE(o)).tp_name) == c"numpy.ndarray" }
}

/// The items of an index.
pub fn items(index: Obj) -> Result<Items, Raised> {
    // SAFETY: a live object under the GIL; the tuple of a sequence is a new reference.
    unsafe {
        if ffi::PyTuple_Check(index) != 0 {
            return of_tuple(index);
        }
        let plain = ffi::PyLong_CheckExact(index) != 0 || ffi::PySlice_Check(index) != 0;
        if plain || !is_like_tuple(index)? {
            return Ok(smallvec![item(index)?]);
        }
        let tuple = check(ffi::PySequence_Tuple(index))?;
        let found = of_tuple(tuple);
        ffi::Py_DECREF(tuple);
        found
    }
}

fn of_tuple(tuple: Obj) -> Result<Items, Raised> {
    // SAFETY: a live tuple under the GIL.
    unsafe {
        let n = ffi::PyTuple_GET_SIZE(tuple);
        (0..n).map(|i| item(ffi::PyTuple_GET_ITEM(tuple, i))).collect()
    }
}
