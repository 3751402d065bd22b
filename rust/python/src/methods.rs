//! Methods of tensors that are not operations: sizes, numbers, history.

use crate::errors::{Raised, slot};
use crate::number::{python_number, scalar_of};
use crate::object::{known, tensor_ref, wrap};
use crate::{shapes, table};
use pyo3::ffi;
use wengert::pointwise::{self, Operand};
use wengert::{Tensor, err, shape::wrap_dim};

type Obj = *mut ffi::PyObject;

/// Arguments of one call: positional and keyword, as the interpreter hands them over.
struct Given<'a> {
    name: &'static str,
    args: &'a [Obj],
    /// Positional arguments come first among `args`.
    positional: usize,
    keywords: Vec<&'a str>,
}

impl<'a> Given<'a> {
    unsafe fn new(
        name: &'static str,
        args: *const Obj,
        n: isize,
        kwnames: Obj,
    ) -> Result<Given<'a>, Raised> {
        // SAFETY: the arguments as the interpreter gave them.
        unsafe {
            let mut keywords = Vec::new();
            if !kwnames.is_null() {
                for i in 0..ffi::PyTuple_GET_SIZE(kwnames) {
                    let mut len = 0;
                    let p =
                        ffi::PyUnicode_AsUTF8AndSize(ffi::PyTuple_GET_ITEM(kwnames, i), &mut len);
                    if p.is_null() {
                        return Err(Raised);
                    }
                    let bytes = std::slice::from_raw_parts(p.cast::<u8>(), len as usize);
                    keywords.push(std::str::from_utf8_unchecked(bytes));
                }
            }
            let total = n as usize + keywords.len();
            let args = if total == 0 { &[] } else { std::slice::from_raw_parts(args, total) };
            Ok(Given { name, args, positional: n as usize, keywords })
        }
    }

    /// The arguments for parameters of these names, in order; None where one was left out.
    fn take<const N: usize>(&self, names: [&str; N]) -> Result<[Option<Obj>; N], Raised> {
        let mut out = [None; N];
        if self.positional > N {
            let given = self.positional;
            let most = if N == 0 { "0".into() } else { format!("from 0 to {N}") };
            let were = if given == 1 { "was" } else { "were" };
            let text = format!("takes {most} positional arguments but {given} {were} given");
            return Err(err!(Type, "{}() {text}", self.name).into());
        }
        for (slot, &a) in out.iter_mut().zip(&self.args[..self.positional]) {
            *slot = Some(a);
        }
        for (k, &a) in self.keywords.iter().zip(&self.args[self.positional..]) {
            match names.iter().position(|n| n == k) {
                Some(i) => out[i] = Some(a),
                None => {
                    return Err(err!(
                        Type,
                        "{}() got an unexpected keyword argument '{k}'",
                        self.name
                    )
                    .into());
                }
            }
        }
        Ok(out)
    }
}

impl Given<'_> {
    fn invalid(&self, why: &str) -> Raised {
        let text = "received an invalid combination of arguments -";
        err!(Type, "{}() {text} {why}", self.name).into()
    }
}

/// The name of an object's class, for messages.
pub fn type_name(o: Obj) -> String {
    // SAFETY: a live object; the name of a type lives as long as the type.
    unsafe { std::ffi::CStr::from_ptr((*ffi::Py_TYPE(o)).tp_name) }.to_string_lossy().into_owned()
}

fn int(o: Obj) -> Result<i64, Raised> {
    match scalar_of(o) {
        Some(s) => Ok(s?.to_i64()),
        None => match tensor_ref(o) {
            Some(t) => Ok(t.item()?.to_i64()),
            None => Err(err!(Type, "an integer is required").into()),
        },
    }
}

/// Methods without arguments (`bare`) and with (`given`).
macro_rules! methods {
    (bare { $($bare:ident: |$t:ident, $o:ident| $made:expr;)* }
     given { $($name:ident: |$s:ident, $p:ident, $given:ident| $body:expr;)* }) => {
        $(unsafe extern "C" fn $bare(o: Obj, _: Obj) -> Obj {
            slot(|| {
                // SAFETY: a method of the type: `o` is a tensor.
                let $t = unsafe { known(o) };
                #[allow(unused_variables)]
                let $o = o;
                let r: Result<Obj, Raised> = $made;
                r
            })
        })*
        $(unsafe extern "C" fn $name(o: Obj, args: *const Obj, n: isize, kw: Obj) -> Obj {
            slot(|| {
                // SAFETY: a method of the type: `o` is a tensor.
                let $s = unsafe { known(o) };
                // SAFETY: the arguments are the interpreter's.
                let $given = unsafe { Given::new(stringify!($name), args, n, kw)? };
                #[allow(unused_variables)]
                let $p = o;
                let r: Result<Obj, Raised> = $body;
                r
            })
        })*

        /// The method table of this file.
        pub fn table() -> Vec<ffi::PyMethodDef> {
            vec![
                $(table::bare_method_def(stringify!($bare), $bare),)*
                $(table::method_def(stringify!($name), $name, "")),*
            ]
        }
    };
}

fn itself(o: Obj) -> Result<Obj, Raised> {
    // SAFETY: a live object.
    unsafe { ffi::Py_INCREF(o) };
    Ok(o)
}

fn number(v: usize) -> Result<Obj, Raised> {
    Ok(python_number(wengert::Scalar::Int(v as i64)))
}

fn boolean(b: bool) -> Result<Obj, Raised> {
    Ok(python_number(wengert::Scalar::Bool(b)))
}

methods! {
    bare {
        dim: |t, o| number(t.ndim());
        ndimension: |t, o| number(t.ndim());
        numel: |t, o| number(t.numel());
        nelement: |t, o| number(t.numel());
        element_size: |t, o| number(t.dtype().size());
        storage_offset: |t, o| number(t.layout().offset as usize);
        data_ptr: |t, o| number(t.ptr()? as usize);
        is_floating_point: |t, o| boolean(t.dtype().is_float());
        is_complex: |t, o| boolean(t.dtype().is_complex());
        is_signed: |t, o| boolean(t.dtype().is_signed());
        _is_view: |t, o| boolean(t.base().is_some());
        item: |t, o| Ok(python_number(t.item()?));
        tolist: |t, o| {
            t.ptr()?;
            list(t, 0, 0)
        };
        detach: |t, o| wrap(t.detach());
        detach_: |t, o| {
            t.detach_()?;
            itself(o)
        };
        retain_grad: |t, o| {
            t.retain_grad()?;
            // SAFETY: a singleton.
            itself(unsafe { ffi::Py_None() })
        };
    }
    given {
        size: |t, o, given| match given.take(["dim"])?[0] {
            None => shapes::size(t.shape()),
            Some(d) => number(t.shape()[dim_of(t, d, "size")?]),
        };
        stride: |t, o, given| match given.take(["dim"])?[0] {
            None => shapes::tuple(t.strides().iter().map(|&s| s as i64)),
            Some(d) => Ok(python_number((t.strides()[dim_of(t, d, "stride")?] as i64).into())),
        };
        is_contiguous: |t, o, given| {
            let [] = given.take([])?;
            boolean(t.is_contiguous())
        };
        requires_grad_: |t, o, given| {
            let on = match given.take(["requires_grad"])?[0] {
                // SAFETY: a live object under the GIL.
                Some(v) if unsafe { ffi::PyBool_Check(v) } == 0 => {
                    let got = type_name(v);
                    let text = "argument 'requires_grad' (position 1) must be bool, not";
                    return Err(err!(Type, "requires_grad_(): {text} {got}").into());
                }
                // SAFETY: comparing with a singleton.
                Some(v) => v == unsafe { ffi::Py_True() },
                None => true,
            };
            t.requires_grad_(on)?;
            itself(o)
        };
        copy_: |t, o, given| {
            let [other, _] = given.take(["other", "non_blocking"])?;
            let Some(other) = other else {
                let text = "got (), but expected (Tensor other, bool non_blocking = False)";
                return Err(given.invalid(text));
            };
            match (tensor_ref(other), scalar_of(other)) {
                (Some(s), _) => pointwise::assign(t, Operand::Tensor(s))?,
                (None, Some(n)) => pointwise::assign(t, Operand::Number(n?))?,
                _ => {
                    let got = type_name(other);
                    let text = "argument 'other' (position 1) must be Tensor, not";
                    return Err(err!(Type, "copy_(): {text} {got}").into());
                }
            };
            itself(o)
        };
    }
}

fn dim_of(t: &Tensor, d: Obj, method: &str) -> Result<usize, Raised> {
    // SAFETY: a live object.
    if unsafe { ffi::PyIndex_Check(d) } == 0 {
        let got = type_name(d);
        return Err(
            err!(Type, "{method}(): argument 'dim' (position 1) must be int, not {got}").into()
        );
    }
    let d = int(d)?;
    if t.ndim() == 0 {
        let text = "Dimension specified as";
        return Err(err!(Index, "{text} {d} but tensor has no dimensions").into());
    }
    Ok(wrap_dim(d, t.ndim())?)
}

/// Nested lists of numbers from dimension `dim` on, at `offset` elements from the first.
fn list(t: &Tensor, dim: usize, offset: isize) -> Result<Obj, Raised> {
    if dim == t.ndim() {
        return Ok(python_number(t.number_at(offset)));
    }
    let n = t.shape()[dim];
    // SAFETY: a new list, filled with new references; a half-filled one may be dropped.
    unsafe {
        let l = crate::errors::check(ffi::PyList_New(n as isize))?;
        for i in 0..n {
            match list(t, dim + 1, offset + i as isize * t.strides()[dim]) {
                Ok(item) => ffi::PyList_SET_ITEM(l, i as isize, item),
                Err(e) => {
                    ffi::Py_DECREF(l);
                    return Err(e);
                }
            }
        }
        Ok(l)
    }
}

/// `len(x)`.
pub unsafe extern "C" fn length(o: Obj) -> isize {
    slot(|| {
        // SAFETY: a slot of the type: `o` is a tensor.
        match unsafe { known(o) }.shape().first() {
            Some(&n) => Ok(n as isize),
            None => Err(err!(Type, "len() of a 0-d tensor").into()),
        }
    })
}

/// `iter(x)`: over the slices of the first dimension.
pub unsafe extern "C" fn iterate(o: Obj) -> Obj {
    slot(|| {
        // SAFETY: a slot of the type: `o` is a tensor.
        if unsafe { known(o) }.ndim() == 0 {
            return Err(err!(Type, "iteration over a 0-d tensor").into());
        }
        let parts = crate::call_method(o, "unbind")?;
        // SAFETY: a new tuple; the iterator holds its own reference.
        unsafe {
            let it = ffi::PyObject_GetIter(parts);
            ffi::Py_DECREF(parts);
            Ok(it)
        }
    })
}

/// `hash(x)`: by identity.
pub unsafe extern "C" fn hash(o: Obj) -> ffi::Py_hash_t {
    (o as usize >> 4) as ffi::Py_hash_t
}
