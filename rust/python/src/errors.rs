//! Errors of the core as Python exceptions, and Python exceptions inside the core.

use pyo3::exceptions;
use pyo3::ffi;
use pyo3::prelude::*;
use std::cell::RefCell;
use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use wengert::Error;
use wengert::error::Kind;

pyo3::create_exception!(
    torch._C,
    _LinAlgError,
    exceptions::PyRuntimeError,
    "A matrix has no result: it is not finite, say."
);

thread_local! {
    /// The exception behind an error of kind `Host`, while it travels through the core.
    static RAISED: RefCell<Option<PyErr>> = const { RefCell::new(None) };
}

/// Puts a Python exception into an error that the core can hand on.
pub fn from_python(e: PyErr) -> Error {
    let message = e.to_string();
    RAISED.set(Some(e));
    Error::new(Kind::Host, message)
}

/// Shows a warning of the core; an exception if the user's filters make it one.
pub fn show_warning(text: &str) -> wengert::Result<()> {
    let text = std::ffi::CString::new(text).unwrap_or_default();
    // SAFETY: whoever calls into the core from Python holds the GIL.
    let py = unsafe { Python::assume_attached() };
    PyErr::warn(py, &py.get_type::<exceptions::PyUserWarning>(), &text, 1).map_err(from_python)
}

/// The Python exception for an error.
pub fn to_python(e: &Error) -> PyErr {
    let text = e.message.clone();
    match e.kind {
        Kind::Runtime => exceptions::PyRuntimeError::new_err(text),
        Kind::Index => exceptions::PyIndexError::new_err(text),
        Kind::Type => exceptions::PyTypeError::new_err(text),
        Kind::Value => exceptions::PyValueError::new_err(text),
        Kind::NotImplemented => exceptions::PyNotImplementedError::new_err(text),
        Kind::Memory => exceptions::PyMemoryError::new_err(text),
        Kind::ZeroDivision => exceptions::PyZeroDivisionError::new_err(text),
        Kind::Attribute => exceptions::PyAttributeError::new_err(text),
        Kind::LinAlg => _LinAlgError::new_err(text),
        Kind::Assertion => exceptions::PyAssertionError::new_err(text),
        Kind::Host => RAISED.take().unwrap_or_else(|| exceptions::PyRuntimeError::new_err(text)),
    }
}

/// Sets the Python exception for an error.
#[cold]
pub fn set_error(e: &Error) {
    // SAFETY: whoever calls into the core from Python holds the GIL.
    let py = unsafe { Python::assume_attached() };
    to_python(e).restore(py);
}

/// What a C slot returns: an object, or the error value with an exception set.
pub trait Slot {
    const FAILED: Self;
}
impl<T> Slot for *mut T {
    const FAILED: Self = std::ptr::null_mut();
}
impl Slot for std::ffi::c_int {
    const FAILED: Self = -1;
}
impl Slot for isize {
    const FAILED: Self = -1;
}

/// Runs a slot's body: its error, or a panic of ours, becomes a Python exception.
#[inline(always)]
pub fn slot<R: Slot>(body: impl FnOnce() -> Result<R, Raised>) -> R {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(r)) => r,
        Ok(Err(Raised)) => R::FAILED,
        Err(panic) => {
            panicked(panic);
            R::FAILED
        }
    }
}

#[cold]
fn panicked(panic: Box<dyn std::any::Any + Send>) {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    set_error(&Error::new(Kind::Runtime, format!("internal error in wengert: {text}")));
}

/// A Python exception is set.
#[derive(Debug)]
pub struct Raised;

impl From<Error> for Raised {
    #[cold]
    fn from(e: Error) -> Raised {
        set_error(&e);
        Raised
    }
}

impl From<PyErr> for Raised {
    #[cold]
    fn from(e: PyErr) -> Raised {
        // SAFETY: errors are made and handed on under the GIL.
        e.restore(unsafe { Python::assume_attached() });
        Raised
    }
}

impl From<()> for Raised {
    fn from((): ()) -> Raised {
        Raised
    }
}

/// `p`, or the exception that its being null announces.
#[inline(always)]
pub fn check(p: *mut ffi::PyObject) -> Result<*mut ffi::PyObject, Raised> {
    if p.is_null() { Err(Raised) } else { Ok(p) }
}

/// Gives a UserWarning, which the user may have made an error.
pub fn warn(text: &CStr) -> Result<(), Raised> {
    // SAFETY: under the GIL.
    let r = unsafe { ffi::PyErr_WarnEx(ffi::PyExc_UserWarning, text.as_ptr(), 1) };
    if r < 0 { Err(Raised) } else { Ok(()) }
}
