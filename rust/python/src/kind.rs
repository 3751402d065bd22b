//! Makes the Python type `Tensor` from the tables and slots of the other files.
//!
//! As in PyTorch, all that is native belongs to a base class, `torch._C.TensorBase`, whose name some
//! error messages show; `Tensor` itself adds construction only.

use crate::errors::{Raised, check, slot};
use crate::object::{self, Object};
use crate::{attrs, buffer, index, methods, number, table};
use pyo3::ffi;
use std::ffi::{c_int, c_void};
use wengert::op::Id;

type Obj = *mut ffi::PyObject;

const DOC: &std::ffi::CStr =
    c"Numbers of one dtype in a grid of any number of dimensions, with the history of how they were
computed if `requires_grad` is set.

Made by `torch.tensor` and other functions; `torch.Tensor(2, 3)` is an uninitialised one.

>>> x = torch.tensor([1.0, 2.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
tensor([2., 4.])";

/// `Tensor(...)`: the legacy constructor, written in Python.
unsafe extern "C" fn new(class: *mut ffi::PyTypeObject, args: Obj, kwargs: Obj) -> Obj {
    slot(|| {
        let none = {
            // SAFETY: a singleton, borrowed.
            unsafe { ffi::Py_None() }
        };
        let kwargs = if kwargs.is_null() { none } else { kwargs };
        crate::call_python("wengert._tensor", "_legacy_new", &[class.cast(), args, kwargs])
    })
}

/// The arguments belong to `new`; subclasses may have others.
unsafe extern "C" fn init(_o: Obj, _args: Obj, _kwargs: Obj) -> c_int {
    0
}

unsafe extern "C" fn repr(o: Obj) -> Obj {
    slot(|| crate::call_python("wengert._tensor", "_repr", &[o]))
}

unsafe extern "C" fn init_subclass(class: Obj, _args: Obj, _kwargs: Obj) -> Obj {
    slot(|| {
        object::adopt_subclass(class.cast());
        // SAFETY: a new reference to a singleton.
        unsafe {
            ffi::Py_INCREF(ffi::Py_None());
            Ok(ffi::Py_None())
        }
    })
}

fn slots() -> Vec<(c_int, *mut c_void)> {
    use crate::number::{binary, in_place, unary};
    macro_rules! slots {
        ($($slot:ident = $f:expr => $t:ty),* $(,)?) => {
            vec![$((ffi::$slot, $f as $t as *mut c_void)),*]
        };
    }
    macro_rules! op {
        ($f:ident $id:ident) => {
            $f::<{ Id::$id.0 }>
        };
    }
    let mut all = slots! {
        Py_tp_setattro = object::setattro => ffi::setattrofunc,
        Py_tp_init = init => ffi::initproc,
        Py_tp_repr = repr => ffi::reprfunc,
        Py_tp_hash = methods::hash => ffi::hashfunc,
        Py_tp_iter = methods::iterate => ffi::getiterfunc,
        Py_tp_richcompare = number::compare => ffi::richcmpfunc,
        Py_mp_length = methods::length => ffi::lenfunc,
        Py_mp_subscript = index::get => ffi::binaryfunc,
        Py_mp_ass_subscript = index::set => ffi::objobjargproc,
        Py_bf_getbuffer = buffer::get => ffi::getbufferproc,
        Py_bf_releasebuffer = buffer::release => ffi::releasebufferproc,
        Py_nb_add = op!(binary ADD) => ffi::binaryfunc,
        Py_nb_subtract = op!(binary SUB) => ffi::binaryfunc,
        Py_nb_multiply = op!(binary MUL) => ffi::binaryfunc,
        Py_nb_true_divide = op!(binary DIV) => ffi::binaryfunc,
        Py_nb_floor_divide = op!(binary DIV_FLOOR) => ffi::binaryfunc,
        Py_nb_remainder = op!(binary REMAINDER) => ffi::binaryfunc,
        Py_nb_and = op!(binary BITWISE_AND) => ffi::binaryfunc,
        Py_nb_or = op!(binary BITWISE_OR) => ffi::binaryfunc,
        Py_nb_xor = op!(binary BITWISE_XOR) => ffi::binaryfunc,
        Py_nb_lshift = op!(binary SHIFT_LEFT) => ffi::binaryfunc,
        Py_nb_rshift = op!(binary SHIFT_RIGHT) => ffi::binaryfunc,
        Py_nb_matrix_multiply = number::matmul => ffi::binaryfunc,
        Py_nb_power = number::power => ffi::ternaryfunc,
        Py_nb_negative = op!(unary NEG) => ffi::unaryfunc,
        Py_nb_absolute = op!(unary ABS) => ffi::unaryfunc,
        Py_nb_invert = number::invert => ffi::unaryfunc,
        Py_nb_positive = number::positive => ffi::unaryfunc,
    };
    all.extend(slots! {
        Py_nb_inplace_add = op!(in_place ADD) => ffi::binaryfunc,
        Py_nb_inplace_subtract = op!(in_place SUB) => ffi::binaryfunc,
        Py_nb_inplace_multiply = op!(in_place MUL) => ffi::binaryfunc,
        Py_nb_inplace_true_divide = op!(in_place DIV) => ffi::binaryfunc,
        Py_nb_inplace_floor_divide = op!(in_place DIV_FLOOR) => ffi::binaryfunc,
        Py_nb_inplace_remainder = op!(in_place REMAINDER) => ffi::binaryfunc,
        Py_nb_inplace_and = op!(in_place BITWISE_AND) => ffi::binaryfunc,
        Py_nb_inplace_or = op!(in_place BITWISE_OR) => ffi::binaryfunc,
        Py_nb_inplace_xor = op!(in_place BITWISE_XOR) => ffi::binaryfunc,
        Py_nb_inplace_lshift = op!(in_place SHIFT_LEFT) => ffi::binaryfunc,
        Py_nb_inplace_rshift = op!(in_place SHIFT_RIGHT) => ffi::binaryfunc,
        Py_nb_inplace_power = number::in_place_power => ffi::ternaryfunc,
        Py_nb_bool = number::truth => ffi::inquiry,
        Py_nb_float = number::to_float => ffi::unaryfunc,
        Py_nb_int = number::to_int => ffi::unaryfunc,
        Py_nb_index = number::to_index => ffi::unaryfunc,
    });
    all
}

/// Makes a type; its name and tables live for ever, as the interpreter wants them.
fn make_type(
    name: &'static std::ffi::CStr,
    base: Obj,
    flags: std::ffi::c_ulong,
    slots: Vec<(c_int, *mut c_void)>,
) -> Result<Obj, Raised> {
    let mut slots: Vec<ffi::PyType_Slot> =
        slots.into_iter().map(|(slot, pfunc)| ffi::PyType_Slot { slot, pfunc }).collect();
    slots.push(ffi::PyType_Slot { slot: 0, pfunc: std::ptr::null_mut() });
    let mut spec = ffi::PyType_Spec {
        name: name.as_ptr(),
        basicsize: size_of::<Object>() as c_int,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT
            | ffi::Py_TPFLAGS_BASETYPE
            | ffi::Py_TPFLAGS_HAVE_GC
            | flags) as std::ffi::c_uint,
        slots: slots.leak().as_mut_ptr(),
    };
    // SAFETY: all tables are leaked and end in zeros; slots have the types of their names.
    check(unsafe { ffi::PyType_FromSpecWithBases(&mut spec, base) })
}

/// What no class may inherit silently: how objects are freed and traversed.
fn life() -> Vec<(c_int, *mut c_void)> {
    vec![
        (ffi::Py_tp_dealloc, object::dealloc as ffi::destructor as *mut c_void),
        (ffi::Py_tp_traverse, object::traverse as ffi::traverseproc as *mut c_void),
        (ffi::Py_tp_clear, object::clear as ffi::inquiry as *mut c_void),
    ]
}

/// Makes the type object (a new reference).
pub fn make() -> Result<Obj, Raised> {
    let base = make_base()?;
    let subclass = ffi::PyMethodDef {
        ml_name: c"__init_subclass__".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionWithKeywords: init_subclass },
        ml_flags: ffi::METH_VARARGS | ffi::METH_KEYWORDS | ffi::METH_CLASS,
        ml_doc: std::ptr::null(),
    };
    let mut all = life();
    all.push((ffi::Py_tp_doc, DOC.as_ptr().cast_mut().cast()));
    all.push((ffi::Py_tp_new, new as ffi::newfunc as *mut c_void));
    let defs = vec![subclass, ffi::PyMethodDef::zeroed()];
    all.push((ffi::Py_tp_methods, defs.leak().as_mut_ptr().cast()));
    let class = make_type(c"torch.Tensor", base, 0, all)?;
    // SAFETY: a class of ours. Errors show its name without the module, as for classes of Python.
    unsafe {
        let name = check(ffi::PyUnicode_FromString(c"Tensor".as_ptr()))?;
        let failed = ffi::PyObject_SetAttrString(class, c"__name__".as_ptr(), name) < 0;
        ffi::Py_DECREF(name);
        if failed {
            return Err(Raised);
        }
    }
    object::set_tensor_type(class.cast());
    Ok(class)
}

fn make_base() -> Result<Obj, Raised> {
    let mut defs = table::methods();
    // A method written here wins over one of the table.
    let own = methods::table();
    let name = |d: &ffi::PyMethodDef| {
        // SAFETY: names are leaked C strings.
        unsafe { std::ffi::CStr::from_ptr(d.ml_name) }
    };
    defs.retain(|d| own.iter().all(|m| name(m) != name(d)));
    defs.extend(own);
    defs.push(ffi::PyMethodDef::zeroed());
    let offset = |at: usize| at as ffi::Py_ssize_t;
    let member = |name: &'static std::ffi::CStr, at: usize| ffi::PyMemberDef {
        name: name.as_ptr(),
        type_code: ffi::Py_T_PYSSIZET,
        offset: offset(at),
        flags: ffi::Py_READONLY,
        doc: std::ptr::null(),
    };
    let mut members = vec![
        member(c"__dictoffset__", std::mem::offset_of!(Object, dict)),
        member(c"__weaklistoffset__", std::mem::offset_of!(Object, weakrefs)),
    ];
    // SAFETY: a table that ends in zeros is what the interpreter expects.
    members.push(unsafe { std::mem::zeroed() });
    let mut all = slots();
    all.extend(life());
    all.push((ffi::Py_tp_methods, defs.leak().as_mut_ptr().cast()));
    all.push((ffi::Py_tp_members, members.leak().as_mut_ptr().cast()));
    all.push((ffi::Py_tp_getset, attrs::table().leak().as_mut_ptr().cast()));
    let flags = ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    make_type(c"torch._C.TensorBase", std::ptr::null_mut(), flags, all)
}
