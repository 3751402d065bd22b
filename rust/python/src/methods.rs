//! Methods of tensors that are not operations: sizes, numbers, history.

use crate::errors::{Raised, slot};
use crate::number::{python_number, python_value, scalar_of};
use crate::object::{known, tensor_ref, wrap};
use crate::{shapes, table};
use pyo3::ffi;
use pyo3::prelude::*;
use wengert::pointwise::{self, Operand};
use wengert::{Tensor, err, shape::wrap_dim};

type Obj = *mut ffi::PyObject;

/// Arguments of one call: positional and keyword, as the interpreter hands them over.
pub struct Given<'a> {
    name: &'static str,
    args: &'a [Obj],
    /// Positional arguments come first among `args`.
    positional: usize,
    keywords: Vec<&'a str>,
}

impl<'a> Given<'a> {
    /// # Safety
    /// The arguments are as the interpreter gave them, and live as long.
    pub unsafe fn new(
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
    pub fn take<const N: usize>(&self, names: [&str; N]) -> Result<[Option<Obj>; N], Raised> {
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
                Some(i) if out[i].is_some() => {
                    let name = self.name;
                    return Err(
                        err!(Type, "{name}() got multiple values for argument '{k}'").into()
                    );
                }
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
    (bare { $($(#[doc = $about:literal])+ $bare:ident: |$t:ident, $o:ident| $made:expr;)* }
     given {
         $($(#[doc = $doc:literal])+ $name:ident: |$s:ident, $p:ident, $given:ident| $body:expr;)*
     }) => {
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
                $(table::bare_method_def(stringify!($bare), $bare, &text(&[$($about),+])),)*
                $(table::method_def(stringify!($name), $name, &text(&[$($doc),+]))),*
            ]
        }
    };
}

/// The lines of a documentation, without the blank each begins with.
pub fn text(lines: &[&str]) -> String {
    let lines: Vec<&str> = lines.iter().map(|l| l.strip_prefix(' ').unwrap_or(l)).collect();
    lines.join("\n")
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
        /// The number of dimensions.
        ///
        /// >>> torch.ones(2, 3).dim()
        /// 2
        dim: |t, o| number(t.ndim());
        /// The number of dimensions.
        ///
        /// >>> torch.ones(2, 3).ndimension()
        /// 2
        ndimension: |t, o| number(t.ndim());
        /// The number of elements.
        ///
        /// >>> torch.ones(2, 3).numel()
        /// 6
        numel: |t, o| number(t.numel());
        /// The number of elements.
        ///
        /// >>> torch.ones(2, 3).nelement()
        /// 6
        nelement: |t, o| number(t.numel());
        /// Bytes of one element.
        ///
        /// >>> torch.ones(2).element_size()
        /// 4
        element_size: |t, o| number(t.dtype().size());
        /// Where in its memory the tensor begins, in elements.
        ///
        /// >>> torch.ones(4)[1:].storage_offset()
        /// 1
        storage_offset: |t, o| number(t.layout().offset as usize);
        /// The address of the first element.
        ///
        /// >>> x = torch.ones(2)
        /// >>> x.data_ptr() == x.detach().data_ptr()
        /// True
        data_ptr: |t, o| number(t.ptr()? as usize);
        /// True if the dtype is a floating one.
        ///
        /// >>> torch.ones(2).is_floating_point()
        /// True
        is_floating_point: |t, o| boolean(t.dtype().is_float());
        /// True if the dtype is complex.
        ///
        /// >>> torch.ones(2).is_complex()
        /// False
        is_complex: |t, o| boolean(t.dtype().is_complex());
        /// True if the dtype holds negative numbers.
        ///
        /// >>> torch.ones(2).is_signed()
        /// True
        is_signed: |t, o| boolean(t.dtype().is_signed());
        /// True for a tensor made inside `inference_mode`, and for its views.
        ///
        /// >>> torch.ones(2).is_inference()
        /// False
        is_inference: |t, o| boolean(t.is_inference());
        /// True for a view of another tensor.
        _is_view: |t, o| boolean(t.base().is_some());
        /// The only element, as a Python number. Raises RuntimeError if there is not exactly one.
        ///
        /// >>> torch.tensor([1.5]).item()
        /// 1.5
        item: |t, o| Ok(python_value(t, t.item()?));
        /// The elements as Python numbers in nested lists.
        ///
        /// >>> torch.tensor([[1, 2], [3, 4]]).tolist()
        /// [[1, 2], [3, 4]]
        tolist: |t, o| {
            t.ptr()?;
            list(t, 0, 0)
        };
        /// The same memory, without history; gradients do not flow through it.
        ///
        /// >>> x = torch.ones(2, requires_grad=True)
        /// >>> (x * 2).detach().requires_grad
        /// False
        detach: |t, o| wrap(t.detach());
        /// Takes the history away from the tensor itself.
        ///
        /// >>> x = torch.ones(2, requires_grad=True)
        /// >>> (x * 2).detach_().is_leaf
        /// True
        detach_: |t, o| {
            t.detach_()?;
            itself(o)
        };
        /// Keeps the gradient of a tensor that is no leaf, in `.grad`.
        ///
        /// >>> x = torch.ones(2, requires_grad=True)
        /// >>> y = x * 2
        /// >>> y.retain_grad()
        /// >>> y.sum().backward()
        /// >>> y.grad
        /// tensor([1., 1.])
        retain_grad: |t, o| {
            t.retain_grad()?;
            // SAFETY: a singleton.
            itself(unsafe { ffi::Py_None() })
        };
    }
    given {
        /// The shape, or the size of one dimension.
        ///
        /// >>> torch.ones(2, 3).size()
        /// torch.Size([2, 3])
        /// >>> torch.ones(2, 3).size(1)
        /// 3
        size: |t, o, given| match given.take(["dim"])?[0] {
            None => shapes::size(t.shape()),
            Some(d) => number(t.shape()[dim_of(t, d, "size")?]),
        };
        /// The steps between neighbours in each dimension, in elements, or that of one dimension.
        ///
        /// >>> torch.ones(2, 3).stride()
        /// (3, 1)
        stride: |t, o, given| match given.take(["dim"])?[0] {
            None => shapes::tuple(t.strides().iter().map(|&s| s as i64)),
            Some(d) => Ok(python_number((t.strides()[dim_of(t, d, "stride")?] as i64).into())),
        };
        /// True if the elements lie in memory in row-major order.
        ///
        /// >>> torch.ones(2, 3).t().is_contiguous()
        /// False
        is_contiguous: |t, o, given| boolean(match given.take(["memory_format"])?[0] {
            // SAFETY: a live argument under the GIL.
            Some(f) => match unsafe { Bound::from_borrowed_ptr(Python::assume_attached(), f) }
                .to_string()
                .as_str()
            {
                "torch.channels_last" => t.ndim() == 4 && dense_in(t, [1, 3, 2, 0]),
                "torch.channels_last_3d" => t.ndim() == 5 && dense_in(t, [1, 4, 3, 2, 0]),
                _ => t.is_contiguous(),
            },
            None => t.is_contiguous(),
        });
        /// Sets whether gradients are computed for this leaf. Raises RuntimeError for dtypes that
        /// carry none.
        ///
        /// >>> torch.ones(2).requires_grad_()
        /// tensor([1., 1.], requires_grad=True)
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
            if crate::function::transforms_run() {
                return Err(err!(Runtime, "{NOT_INSIDE}").into());
            }
            t.requires_grad_(on)?;
            itself(o)
        };
        /// Copies the elements of another tensor, converted and broadcast, into this one. Raises
        /// RuntimeError for a shape that does not broadcast.
        ///
        /// >>> torch.zeros(2).copy_(torch.tensor([1, 2]))
        /// tensor([1., 2.])
        copy_: |t, o, given| {
            let [other, _] = given.take(["other", "non_blocking"])?;
            let Some(other) = other else {
                let text = "got (), but expected (Tensor other, bool non_blocking = False)";
                return Err(given.invalid(text));
            };
            match (tensor_ref(other), scalar_of(other)) {
                (Some(s), _) => pointwise::assign(t, Operand::Tensor(s))?,
                (None, Some(n)) => {
                    let n = n?;
                    pointwise::assign(t, Operand::Tensor(&Tensor::full(&[], n, n.dtype())?))?
                }
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

/// True if the elements lie without gaps, the first of these dimensions innermost.
fn dense_in<const N: usize>(t: &Tensor, dims: [usize; N]) -> bool {
    let mut step = 1;
    dims.into_iter().all(|d| {
        let fits = t.shape()[d] == 1 || t.strides()[d] == step;
        step *= t.shape()[d] as isize;
        fits
    })
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

const NOT_INSIDE: &str = "You are attempting to call Tensor.requires_grad_() (or perhaps using torch.autograd.functional.* APIs) inside of a function being transformed by a functorch transform. This is unsupported, please attempt to use the functorch transforms (e.g. grad, vjp, jacrev, jacfwd, hessian) or call requires_grad_() outside of a function being transformed instead.";

/// Nested lists of numbers from dimension `dim` on, at `offset` elements from the first.
fn list(t: &Tensor, dim: usize, offset: isize) -> Result<Obj, Raised> {
    if dim == t.ndim() {
        return Ok(python_value(t, t.number_at(offset)));
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
