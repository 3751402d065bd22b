//! Functions, methods and in-place methods made from the op table, without a second list.
//!
//! Each name of the table gets a number; a const-generic function per number is the C entry that
//! Python calls. All entries share one body, which binds the arguments by PyTorch's signature.

use crate::errors::{Raised, slot};
use crate::number::python_number;
use crate::object::{known, wrap};
use crate::out;
use crate::parse::{Call, bind};
use pyo3::ffi;
use pyo3::prelude::*;
use smallvec::SmallVec;
use std::ffi::CString;
use std::ptr::null_mut;
use std::sync::OnceLock;
use wengert::Value;
use wengert::op::{self, Block, Forms, Id, Outputs};
use wengert::pointwise;

type Obj = *mut ffi::PyObject;

/// How the names of functions in `torch.special` begin, as PyTorch's own do.
const SPECIAL: &str = "special_";

/// How many names of each kind there can be.
const MAX: usize = 512;

/// One Python name.
struct Entry {
    name: String,
    /// The overloads, in the order they are tried.
    ops: Vec<Id>,
    /// The call without further arguments: the op, and the values of its parameters but the first.
    bare: Option<(Id, Vec<Value>)>,
    /// A function that writes into its first argument: `torch.exp_`.
    writes: bool,
}

#[derive(Default)]
struct Names {
    functions: Vec<Entry>,
    methods: Vec<Entry>,
    in_place: Vec<Entry>,
    nn: Vec<Entry>,
    linalg: Vec<Entry>,
}

struct Shared(Names);
// SAFETY: made once and then only read, under the GIL; the default values hold no tensors.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

fn names() -> &'static Names {
    static NAMES: OnceLock<Shared> = OnceLock::new();
    &NAMES.get_or_init(|| Shared(collect())).0
}

fn collect() -> Names {
    let mut all = Names::default();
    for op in op::all() {
        let forms = op.block.forms();
        let aliases = op.block.aliases().iter().copied();
        for name in std::iter::once(op.schema.name.as_str()).chain(aliases) {
            if name.starts_with(SPECIAL) {
                add(&mut all.functions, name, op.id);
                continue;
            }
            if forms.has(Forms::FUNCTION) {
                add(&mut all.functions, name, op.id);
            }
            if forms.has(Forms::METHOD) {
                add(&mut all.methods, name, op.id);
            }
            if forms.has(Forms::IN_PLACE) {
                let name = format!("{name}_");
                add(&mut all.in_place, &name, op.id);
                if one_tensor(op.id) {
                    add(&mut all.functions, &name, op.id);
                }
            }
            if forms.has(Forms::NN) {
                add(&mut all.nn, name, op.id);
            }
            if forms.has(Forms::LINALG) {
                add(&mut all.linalg, name, op.id);
            }
        }
    }
    for list in [&all.functions, &all.methods, &all.in_place, &all.nn, &all.linalg] {
        assert!(list.len() <= MAX, "more names than entries");
    }
    all
}

/// True if the operation takes one tensor: PyTorch has such in-place forms as functions, too.
fn one_tensor(id: Id) -> bool {
    use wengert::schema::Type;
    let is_tensor =
        |p: &&wengert::schema::Param| matches!(p.ty, Type::Tensor | Type::Operand | Type::Tensors);
    id.op().schema.params.iter().filter(is_tensor).count() == 1
}

fn add(list: &mut Vec<Entry>, name: &str, id: Id) {
    match list.iter_mut().find(|e| e.name == name) {
        Some(e) => {
            e.ops.push(id);
            if e.bare.is_none() {
                e.bare = bare(id);
            }
        }
        None => {
            let writes = name.ends_with('_');
            list.push(Entry { name: name.into(), ops: vec![id], bare: bare(id), writes });
        }
    }
}

/// The values of all parameters but the first, if they all have defaults.
fn bare(id: Id) -> Option<(Id, Vec<Value>)> {
    let params = &id.op().schema.params;
    let first = params.first()?;
    if first.ty != wengert::schema::Type::Tensor {
        return None;
    }
    let rest: Option<Vec<Value>> =
        params[1..].iter().map(|p| p.default.as_ref().map(|d| d.value())).collect();
    Some((id, rest?))
}

/// A Python object for what an operation returned.
fn results(id: Id, mut out: Outputs) -> Result<Obj, Raised> {
    let schema = &id.op().schema;
    if schema.outputs == 1
        && let Some(t) = out.pop()
    {
        return if schema.truth { Ok(python_number(t.item()?)) } else { wrap(t) };
    }
    // SAFETY: a new tuple, filled with new references.
    unsafe {
        let tuple = crate::errors::check(ffi::PyTuple_New(out.len() as isize))?;
        for (i, t) in out.into_iter().enumerate() {
            ffi::PyTuple_SET_ITEM(tuple, i as isize, wrap(t)?);
        }
        if schema.fields.is_empty() {
            return Ok(tuple);
        }
        crate::named::named_tuple(&schema.name, &schema.fields, tuple)
    }
}

fn run(id: Id, values: &[Value]) -> Result<Outputs, Raised> {
    Ok(op::call(id, values)?)
}

unsafe fn general(
    entry: &Entry,
    self_: Obj,
    args: *const Obj,
    nargs: isize,
    kwnames: Obj,
) -> Result<Obj, Raised> {
    let call = Call { name: &entry.name, ops: &entry.ops, method: !self_.is_null() };
    // SAFETY: the arguments as the interpreter gave them.
    let (id, values, out) = unsafe { bind(&call, self_, args, nargs as usize, kwnames)? };
    if entry.writes {
        return wrap(op::call_in_place(id, &values)?);
    }
    if let Some(target) = out.and_then(crate::object::tensor_ref) {
        op::check_out(id, target, &values)?;
    }
    let result = run(id, &values)?;
    let name = id.name().trim_start_matches('_');
    match out {
        None => results(id, result),
        Some(o) if result.len() > 1 => results(id, out::into_each(name, o, &result)?),
        Some(o) => out::into_one(name, o, result, op::out_anywhere(id)),
    }
}

/// The C entries of one kind: each knows its number, and jumps to the body they share.
macro_rules! kind {
    ($entry:ident, |$i:ident, $o:ident, $args:ident, $n:ident, $names:ident| $body:expr) => {
        unsafe extern "C" fn $entry<const I: usize>(
            self_: Obj,
            args: *const Obj,
            nargs: isize,
            kwnames: Obj,
        ) -> Obj {
            #[inline(never)]
            fn shared($i: usize, $o: Obj, $args: *const Obj, $n: isize, $names: Obj) -> Obj {
                slot(|| $body)
            }
            shared(I, self_, args, nargs, kwnames)
        }
    };
}

kind!(function, |i, _module, args, nargs, kwnames| {
    // SAFETY: the arguments as the interpreter gave them.
    unsafe { general(&names().functions[i], null_mut(), args, nargs, kwnames) }
});
kind!(nn_function, |i, _module, args, nargs, kwnames| {
    // SAFETY: the arguments as the interpreter gave them.
    unsafe { general(&names().nn[i], null_mut(), args, nargs, kwnames) }
});
kind!(linalg_function, |i, _module, args, nargs, kwnames| {
    // SAFETY: the arguments as the interpreter gave them.
    unsafe { general(&names().linalg[i], null_mut(), args, nargs, kwnames) }
});
kind!(method, |i, self_, args, nargs, kwnames| {
    let entry = &names().methods[i];
    if nargs == 0
        && kwnames.is_null()
        && let Some((id, rest)) = &entry.bare
    {
        // SAFETY: a method descriptor has checked the type of `self`.
        let t = unsafe { known(self_) };
        if rest.is_empty() && matches!(id.block(), Block::Pointwise(_)) {
            return wrap(pointwise::call(*id, &[t.into()])?);
        }
        let mut values: SmallVec<[Value; 4]> = SmallVec::new();
        values.push(t.into());
        values.extend(rest.iter().cloned());
        return results(*id, run(*id, &values)?);
    }
    // SAFETY: the arguments as the interpreter gave them.
    unsafe { general(entry, self_, args, nargs, kwnames) }
});
kind!(in_place, |i, self_, args, nargs, kwnames| {
    let entry = &names().in_place[i];
    let call = Call { name: &entry.name, ops: &entry.ops, method: true };
    // SAFETY: the arguments as the interpreter gave them.
    let (id, values, _) = unsafe { bind(&call, self_, args, nargs as usize, kwnames)? };
    op::call_in_place(id, &values)?;
    // SAFETY: a live object.
    unsafe { ffi::Py_INCREF(self_) };
    Ok(self_)
});

/// `[entry::<0>, entry::<1>, ...]`, 512 of them.
macro_rules! entries {
    ($f:ident) => { entries!(@rows $f; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15) };
    (@rows $f:ident; $($hi:literal)*) => { [$(entries!(@row $f, $hi)),*] };
    (@row $f:ident, $hi:literal) => { entries!(@cells $f, $hi;
        0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31) };
    (@cells $f:ident, $hi:literal; $($lo:literal)*) => {
        [$($f::<{ $hi * 32 + $lo }> as ffi::PyCFunctionFastWithKeywords),*]
    };
}

type Rows = [[ffi::PyCFunctionFastWithKeywords; 32]; 16];
static FUNCTIONS: Rows = entries!(function);
static NN: Rows = entries!(nn_function);
static LINALG: Rows = entries!(linalg_function);
static METHODS: Rows = entries!(method);
static IN_PLACE: Rows = entries!(in_place);

fn defs(list: &[Entry], entry: &Rows) -> Vec<ffi::PyMethodDef> {
    let short = |e: &Entry| e.name.strip_prefix("linalg_").unwrap_or(&e.name).to_string();
    let one = |(i, e): (usize, &Entry)| method_def(&short(e), entry[i / 32][i % 32], &doc(e));
    list.iter().enumerate().map(one).collect()
}

fn doc(e: &Entry) -> String {
    // Of several overloads, the one that shows an example explains the name.
    let docs = || e.ops.iter().map(|id| id.block().doc());
    docs().find(|d| d.contains(">>>")).or_else(|| docs().next()).unwrap_or_default().to_string()
}

/// A method definition that lives for ever, as the interpreter wants it.
pub fn method_def(name: &str, f: ffi::PyCFunctionFastWithKeywords, doc: &str) -> ffi::PyMethodDef {
    let call = ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: f };
    definition(name, call, ffi::METH_FASTCALL | ffi::METH_KEYWORDS, doc)
}

/// As [`method_def`], for a method without arguments.
pub fn bare_method_def(name: &str, f: ffi::PyCFunction, doc: &str) -> ffi::PyMethodDef {
    definition(name, ffi::PyMethodDefPointer { PyCFunction: f }, ffi::METH_NOARGS, doc)
}

fn definition(
    name: &str,
    call: ffi::PyMethodDefPointer,
    flags: std::ffi::c_int,
    doc: &str,
) -> ffi::PyMethodDef {
    let leak = |s: &str| CString::new(s).unwrap_or_default().into_raw();
    ffi::PyMethodDef { ml_name: leak(name), ml_meth: call, ml_flags: flags, ml_doc: leak(doc) }
}

/// The methods of `Tensor` that come from the table.
pub fn methods() -> Vec<ffi::PyMethodDef> {
    let mut out = defs(&names().methods, &METHODS);
    out.extend(defs(&names().in_place, &IN_PLACE));
    out
}

/// Adds the functions of the table to the module, those of `nn.functional` to its `_nn`, of `special`
/// to its `_special`, of `linalg` to its `_linalg`.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    let nn = PyModule::new(m.py(), "_nn")?;
    let special = PyModule::new(m.py(), "_special")?;
    let linalg = PyModule::new(m.py(), "_linalg")?;
    for (entry, def) in names().functions.iter().zip(defs(&names().functions, &FUNCTIONS)) {
        match entry.name.strip_prefix(SPECIAL) {
            Some(name) => add_as(&special, name, def)?,
            None => add_as(m, &entry.name, def)?,
        }
    }
    for def in defs(&names().nn, &NN) {
        add_function(&nn, def)?;
    }
    for def in defs(&names().linalg, &LINALG) {
        add_function(&linalg, def)?;
    }
    m.add("_special", special)?;
    m.add("_linalg", linalg)?;
    m.add("_nn", nn)
}

/// Adds one C function to a module.
pub fn add_function(m: &Bound<'_, PyModule>, def: ffi::PyMethodDef) -> PyResult<()> {
    // SAFETY: the name is a C string that lives for ever.
    let name = unsafe { std::ffi::CStr::from_ptr(def.ml_name) }.to_string_lossy().into_owned();
    add_as(m, &name, def)
}

fn add_as(m: &Bound<'_, PyModule>, name: &str, def: ffi::PyMethodDef) -> PyResult<()> {
    let def = Box::leak(Box::new(def));
    // SAFETY: the definition lives for ever; the interpreter returns a new reference.
    unsafe {
        let f = ffi::PyCFunction_NewEx(def, null_mut(), null_mut());
        m.add(name, Bound::from_owned_ptr_or_err(m.py(), f)?)
    }
}

/// The table as Python sees it: (kind, name, schema, doc) of every form, for stubs and tests.
#[pyfunction]
pub fn _op_table() -> Vec<(String, String, String, String)> {
    let kinds: [(&str, &[Entry]); 5] = [
        ("function", &names().functions),
        ("method", &names().methods),
        ("in_place", &names().in_place),
        ("nn", &names().nn),
        ("linalg", &names().linalg),
    ];
    let mut out = Vec::new();
    for (kind, list) in kinds {
        for e in list {
            for id in &e.ops {
                let b = id.block();
                let special = e.name.strip_prefix(SPECIAL).map(|name| ("special", name));
                let (kind, name) = special.unwrap_or((kind, &e.name));
                out.push((kind.into(), name.into(), b.schema().into(), b.doc().into()));
            }
        }
    }
    out
}
