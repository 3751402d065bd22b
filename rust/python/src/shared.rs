//! Keywords that all creation functions take, beside those of their signatures.

use crate::errors::{Raised, check};
use pyo3::ffi;
use pyo3::prelude::*;

type Obj = *mut ffi::PyObject;

/// The arguments of a call without the keywords that all creation functions share.
#[derive(Default)]
pub struct Cleaned {
    /// What is left, if something was taken out: the values, and the tuple of names.
    rest: Option<(Vec<Obj>, Obj)>,
    pub out: Option<Obj>,
    pub generator: Option<Obj>,
    /// `memory_format=torch.contiguous_format`.
    pub rows: bool,
}

impl Cleaned {
    /// Takes the shared keywords out; a device or a layout that is not there raises.
    ///
    /// # Safety
    /// The arguments are as the interpreter gave them, and outlive this.
    pub unsafe fn new(args: *const Obj, n: usize, kw: Obj) -> Result<Cleaned, Raised> {
        let mut me = Cleaned::default();
        if kw.is_null() {
            return Ok(me);
        }
        // SAFETY: the arguments as the interpreter gave them.
        unsafe {
            let py = Python::assume_attached();
            let total = ffi::PyTuple_GET_SIZE(kw);
            let mut kept = std::slice::from_raw_parts(args, n).to_vec();
            let mut names: Vec<Obj> = Vec::new();
            for i in 0..total {
                let name = ffi::PyTuple_GET_ITEM(kw, i);
                let value = *args.add(n + i as usize);
                let text = Bound::from_borrowed_ptr(py, name).to_string();
                if !me.take(&text, value)? {
                    names.push(name);
                    kept.push(value);
                }
            }
            if names.len() as isize == total {
                return Ok(me);
            }
            let tuple = check(ffi::PyTuple_New(names.len() as isize))?;
            for (i, &name) in names.iter().enumerate() {
                ffi::Py_INCREF(name);
                ffi::PyTuple_SET_ITEM(tuple, i as isize, name);
            }
            me.rest = Some((kept, tuple));
        }
        Ok(me)
    }

    /// Takes one keyword, if it is a shared one.
    ///
    /// # Safety
    /// A live object under the GIL.
    unsafe fn take(&mut self, name: &str, value: Obj) -> Result<bool, Raised> {
        // SAFETY: comparing with a singleton.
        let given = value != unsafe { ffi::Py_None() };
        match name {
            "out" => self.out = given.then_some(value),
            "generator" => self.generator = given.then_some(value),
            "device" | "layout" => {
                let r = crate::call_python("wengert._types", &format!("_check_{name}"), &[value])?;
                // SAFETY: a new reference.
                unsafe { ffi::Py_DECREF(r) };
            }
            "memory_format" => {
                // SAFETY: a live object under the GIL.
                let o = unsafe { Bound::from_borrowed_ptr(Python::assume_attached(), value) };
                self.rows = o.to_string() == "torch.contiguous_format";
            }
            "pin_memory" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Positional arguments, then the values of the keywords that are left.
    pub fn args(&self, given: *const Obj) -> *const Obj {
        self.rest.as_ref().map_or(given, |c| c.0.as_ptr())
    }

    /// The names of the keywords that are left.
    pub fn names(&self, given: Obj) -> Obj {
        self.rest.as_ref().map_or(given, |c| c.1)
    }
}

impl Drop for Cleaned {
    fn drop(&mut self) {
        if let Some((_, tuple)) = &self.rest {
            // SAFETY: our own reference.
            unsafe { ffi::Py_DECREF(*tuple) };
        }
    }
}
