//! Keywords of creation functions that choose nothing on a CPU.

use crate::errors::{Raised, check};
use pyo3::ffi;
use pyo3::prelude::*;

type Obj = *mut ffi::PyObject;

/// Keywords that choose nothing on a CPU.
const IGNORED: [&str; 5] = ["device", "layout", "pin_memory", "memory_format", "generator"];

/// The arguments without those that are ignored here.
pub struct Cleaned(Option<(Vec<Obj>, Obj)>);

impl Cleaned {
    /// Takes the ignored keywords out; a device that is not there raises.
    ///
    /// # Safety
    /// The arguments are as the interpreter gave them.
    pub unsafe fn new(args: *const Obj, n: usize, kw: Obj) -> Result<Cleaned, Raised> {
        // SAFETY: the arguments as the interpreter gave them.
        unsafe {
            if kw.is_null() {
                return Ok(Cleaned(None));
            }
            let py = Python::assume_attached();
            let total = ffi::PyTuple_GET_SIZE(kw);
            let mut kept = std::slice::from_raw_parts(args, n).to_vec();
            let mut names: Vec<Obj> = Vec::new();
            for i in 0..total {
                let name = ffi::PyTuple_GET_ITEM(kw, i);
                let value = *args.add(n + i as usize);
                let text = Bound::from_borrowed_ptr(py, name).to_string();
                if !IGNORED.contains(&text.as_str()) {
                    names.push(name);
                    kept.push(value);
                } else if text == "device" {
                    let r = crate::call_python("wengert._types", "_check_device", &[value])?;
                    ffi::Py_DECREF(r);
                }
            }
            if names.len() as isize == total {
                return Ok(Cleaned(None));
            }
            let tuple = check(ffi::PyTuple_New(names.len() as isize))?;
            for (i, &name) in names.iter().enumerate() {
                ffi::Py_INCREF(name);
                ffi::PyTuple_SET_ITEM(tuple, i as isize, name);
            }
            Ok(Cleaned(Some((kept, tuple))))
        }
    }

    /// Positional arguments, then the values of the keywords that are left.
    pub fn args(&self, given: *const Obj) -> *const Obj {
        self.0.as_ref().map_or(given, |c| c.0.as_ptr())
    }

    /// The names of the keywords that are left.
    pub fn names(&self, given: Obj) -> Obj {
        self.0.as_ref().map_or(given, |c| c.1)
    }
}

impl Drop for Cleaned {
    fn drop(&mut self) {
        if let Some((_, tuple)) = &self.0 {
            // SAFETY: our own reference.
            unsafe { ffi::Py_DECREF(*tuple) };
        }
    }
}
