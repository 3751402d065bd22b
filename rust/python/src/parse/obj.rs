//! A borrowed Python object, and what the parser asks of it.

use crate::errors::{Raised, set_error};
use crate::{dtypes, object};
use pyo3::ffi::{self, PyObject};
use std::ffi::{CStr, c_int};
use wengert::{DType, Tensor};

/// A Python object that lives as long as the call being bound.
///
/// Built only from the arguments of a call and from what they hold, while the interpreter's lock is
/// held: that makes its methods safe. An item of a list may be dropped once Python code runs, so
/// what is read from a list is read again after that.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Obj(*mut PyObject);

/// What kind of number an object is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    Bool,
    Int,
    Float,
    Complex,
}

/// Why an object is not a 64-bit int.
pub(super) enum NotIndex {
    Type,
    TooLarge,
    TooSmall,
    Raised,
}

/// The items of a tuple.
///
/// # Safety
/// `tuple` is a live tuple.
#[inline(always)]
pub(super) unsafe fn tuple_items<'a>(tuple: *mut PyObject) -> &'a [Obj] {
    // SAFETY: a tuple holds its items in a row; `Obj` is a plain pointer.
    unsafe {
        let n = ffi::PyTuple_GET_SIZE(tuple) as usize;
        let items = (&raw const (*tuple.cast::<ffi::PyTupleObject>()).ob_item).cast::<Obj>();
        std::slice::from_raw_parts(items, n)
    }
}

impl Obj {
    /// # Safety
    /// A live object, to be used while it lives and the interpreter's lock is held.
    #[inline(always)]
    pub unsafe fn new(ptr: *mut PyObject) -> Obj {
        Obj(ptr)
    }

    #[inline(always)]
    pub fn ptr(self) -> *mut PyObject {
        self.0
    }

    #[inline(always)]
    fn class(self) -> *mut ffi::PyTypeObject {
        // SAFETY: a live object.
        unsafe { ffi::Py_TYPE(self.0) }
    }

    #[inline(always)]
    pub fn is_none(self) -> bool {
        // SAFETY: None always lives.
        self.0 == unsafe { ffi::Py_None() }
    }

    #[inline(always)]
    pub fn is_bool(self) -> bool {
        self.class() == &raw mut ffi::PyBool_Type
    }

    #[inline(always)]
    pub fn is_str(self) -> bool {
        // SAFETY: a live object.
        unsafe { ffi::PyUnicode_Check(self.0) != 0 }
    }

    #[inline(always)]
    pub fn tensor<'a>(self) -> Option<&'a Tensor> {
        object::tensor_ref(self.0)
    }

    /// A dtype, or Python's `float`, `int` or `bool`.
    #[inline]
    pub fn dtype(self) -> Option<DType> {
        dtypes::dtype_of(self.0)
    }

    /// A tensor that stands for a number: 0-d, and no gradient is lost by reading it.
    #[inline]
    pub fn scalar_tensor<'a>(self) -> Option<&'a Tensor> {
        self.tensor().filter(|t| t.ndim() == 0 && !t.requires_grad())
    }

    fn int_tensor<'a>(self) -> Option<&'a Tensor> {
        self.scalar_tensor().filter(|t| t.dtype().is_int())
    }

    /// The kind of a Python or NumPy number; None for anything else.
    #[inline]
    pub fn number(self) -> Option<Number> {
        let class = self.class();
        if class == &raw mut ffi::PyFloat_Type {
            return Some(Number::Float);
        }
        // SAFETY: a live object.
        unsafe {
            if ffi::PyLong_Check(self.0) != 0 {
                Some(if self.is_bool() { Number::Bool } else { Number::Int })
            } else if ffi::PyFloat_Check(self.0) != 0 {
                Some(Number::Float)
            } else if ffi::PyComplex_Check(self.0) != 0 {
                Some(Number::Complex)
            } else {
                numpy_number(class)
            }
        }
    }

    /// An int for a parameter of type int: not a bool, nor any object with an `__index__`.
    #[inline]
    pub fn is_int(self) -> bool {
        self.number() == Some(Number::Int) || self.int_tensor().is_some()
    }

    /// An int at the start of a tuple of ints: not a bool, but any object with an `__index__`.
    #[inline]
    pub fn is_index(self) -> Result<bool, Raised> {
        if self.is_bool() {
            return Ok(false);
        }
        match self.index() {
            Ok(_) | Err(NotIndex::TooLarge | NotIndex::TooSmall) => Ok(true),
            Err(NotIndex::Type) => Ok(false),
            Err(NotIndex::Raised) => Err(Raised),
        }
    }

    /// The value of an int, a bool, an object with an `__index__`, or a 0-d integer tensor.
    #[inline]
    pub fn index(self) -> Result<i64, NotIndex> {
        // SAFETY: a live object.
        if unsafe { ffi::PyLong_Check(self.0) } != 0 {
            return self.long();
        }
        self.slow_index()
    }

    /// The value of a PyLong.
    #[inline(always)]
    fn long(self) -> Result<i64, NotIndex> {
        let mut overflow: c_int = 0;
        // SAFETY: a PyLong, by the callers' tests: reading it cannot raise.
        let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(self.0, &mut overflow) };
        match overflow {
            0 => Ok(value),
            1.. => Err(NotIndex::TooLarge),
            _ => Err(NotIndex::TooSmall),
        }
    }

    #[cold]
    fn slow_index(self) -> Result<i64, NotIndex> {
        if self.tensor().is_some() {
            let tensor = self.int_tensor().ok_or(NotIndex::Type)?;
            let item = tensor.item().map_err(|e| {
                set_error(&e);
                NotIndex::Raised
            })?;
            return Ok(item.to_i64());
        }
        // SAFETY: a live object, kept so while its `__index__` runs; the result is a PyLong.
        unsafe {
            if ffi::PyIndex_Check(self.0) == 0 {
                return Err(NotIndex::Type);
            }
            ffi::Py_INCREF(self.0);
            let long = ffi::PyNumber_Index(self.0);
            ffi::Py_DECREF(self.0);
            if long.is_null() {
                if ffi::PyErr_ExceptionMatches(ffi::PyExc_TypeError) == 0 {
                    return Err(NotIndex::Raised);
                }
                ffi::PyErr_Clear();
                return Err(NotIndex::Type);
            }
            let value = Obj(long).long();
            ffi::Py_DECREF(long);
            value
        }
    }

    /// The value of a number as a double.
    pub fn double(self) -> Result<f64, Raised> {
        // SAFETY: a live object.
        let value = unsafe { ffi::PyFloat_AsDouble(self.0) };
        // SAFETY: asks for the exception of the call above.
        if value == -1.0 && !unsafe { ffi::PyErr_Occurred() }.is_null() {
            return Err(Raised);
        }
        Ok(value)
    }

    /// Python's truth of the object.
    pub fn truth(self) -> Result<bool, Raised> {
        // SAFETY: a live object.
        match unsafe { ffi::PyObject_IsTrue(self.0) } {
            -1 => Err(Raised),
            truth => Ok(truth != 0),
        }
    }

    /// The text of a str; None for another object, or for text that is not Unicode.
    #[inline]
    pub fn text<'a>(self) -> Option<&'a str> {
        if !self.is_str() {
            return None;
        }
        let mut len = 0;
        // SAFETY: a live str; its UTF-8 form lives as long as it does.
        unsafe {
            let text = ffi::PyUnicode_AsUTF8AndSize(self.0, &mut len);
            if text.is_null() {
                ffi::PyErr_Clear();
                return None;
            }
            let bytes = std::slice::from_raw_parts(text.cast(), len as usize);
            Some(std::str::from_utf8_unchecked(bytes))
        }
    }

    /// The items of a tuple or list.
    #[inline]
    pub fn items<'a>(self) -> Option<Items<'a>> {
        // SAFETY: a live object, of the class tested for.
        unsafe {
            if ffi::PyTuple_Check(self.0) != 0 {
                Some(Items::Fixed(tuple_items(self.0)))
            } else if ffi::PyList_Check(self.0) != 0 {
                Some(Items::List(self))
            } else {
                None
            }
        }
    }

    pub fn is_tuple(self) -> bool {
        // SAFETY: a live object.
        unsafe { ffi::PyTuple_Check(self.0) != 0 }
    }

    /// The class as errors name it: `Tensor`, `torch.dtype`, `int`, `numpy.float32`.
    pub fn class_name(self) -> String {
        let name = class_name(self.class()).to_string_lossy();
        if self.tensor().is_some() {
            return name.rsplit('.').next().unwrap_or_default().into();
        }
        // SAFETY: a live object.
        let is_class = unsafe { ffi::PyType_Check(self.0) != 0 };
        if !is_class && self.dtype().is_some() { "torch.dtype".into() } else { name.into() }
    }
}

/// The items of a tuple, a list, or arguments in a row.
#[derive(Clone, Copy)]
pub(super) enum Items<'a> {
    Fixed(&'a [Obj]),
    List(Obj),
}

impl Items<'_> {
    /// How many there are now: a list changes when Python code runs.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Items::Fixed(items) => items.len(),
            // SAFETY: a live list.
            Items::List(list) => unsafe { ffi::PyList_GET_SIZE(list.0) as usize },
        }
    }

    #[inline]
    pub fn get(&self, i: usize) -> Option<Obj> {
        if i >= self.len() {
            return None;
        }
        Some(match self {
            Items::Fixed(items) => items[i],
            // SAFETY: a live list, and the index is in range.
            Items::List(list) => Obj(unsafe { ffi::PyList_GET_ITEM(list.0, i as isize) }),
        })
    }
}

fn class_name<'a>(class: *mut ffi::PyTypeObject) -> &'a CStr {
    // SAFETY: a live class; its name lives as long.
    unsafe { CStr::from_ptr((*class).tp_name) }
}

/// The kind of a NumPy scalar, from the names of its base classes: NumPy is not linked.
#[cold]
fn numpy_number(class: *mut ffi::PyTypeObject) -> Option<Number> {
    if !class_name(class).to_bytes().starts_with(b"numpy.") {
        return None;
    }
    // SAFETY: a live class that is ready, so its base classes are a tuple of classes.
    let bases = unsafe { tuple_items((*class).tp_mro) };
    bases.iter().find_map(|base| match class_name(base.0.cast()).to_bytes() {
        b"numpy.bool" | b"numpy.bool_" => Some(Number::Bool),
        b"numpy.integer" => Some(Number::Int),
        b"numpy.floating" => Some(Number::Float),
        b"numpy.complexfloating" => Some(Number::Complex),
        _ => None,
    })
}
