//! Arguments of a Python call, bound to PyTorch's signatures.
//!
//! One parser serves every operation: [`bind`] tries the overloads of a name in the order of the
//! table and takes the first that fits. A try has two steps: `fit` lines the objects of the call up
//! with the parameters, testing types only; then each object is converted to a [`Value`]. Where
//! nothing fits, `explain` fits once more to say why, in PyTorch's words.
//!
//! Rules that are easy to miss, all of them PyTorch's:
//! - A function calls its tensor parameter `self` by the name `input`.
//! - Sizes may be given in a row (`x.view(2, 3)`) if they are the only positional parameter.
//! - Only the first item of a tuple of ints takes part in choosing the overload.
//! - NumPy's `axis`, `keepdims`, `x`, `x1` and `x2` are other names of `dim`, `keepdim`, ...

mod convert;
mod explain;
mod obj;

use crate::errors::Raised;
use obj::{Items, Number, Obj};
use pyo3::ffi::PyObject;
use smallvec::SmallVec;
use wengert::Value;
use wengert::op::{Block, Id};
use wengert::schema::{Literal, Param, Schema, Type};

/// What is being called.
pub struct Call<'a> {
    /// The name that errors show: `add_` for the in-place form of `add`.
    pub name: &'a str,
    /// The overloads, in the order they are tried.
    pub ops: &'a [Id],
    /// A method: its tensor is not among the arguments.
    pub method: bool,
}

/// The arguments of a call, one for each parameter of the signature.
pub type Values = SmallVec<[Value; 6]>;

/// Chooses the overload that takes these arguments, and converts them.
///
/// Takes arguments as a vectorcall function does: `nargs` positional ones at `args`, then the
/// values of the keywords in the tuple `kwnames`. The last item of the result is what a function
/// was given as `out=`, not None: a tensor, or a tuple or list if the operation returns several.
///
/// # Errors
/// A Python exception is set: TypeError with PyTorch's sentence if the arguments do not fit,
/// ValueError or OverflowError for an int beyond 64 bits, NotImplementedError for a complex number,
/// or whatever an `__index__` raised.
///
/// # Safety
/// The thread holds the interpreter's lock. `args` holds `nargs` live objects and one for each item
/// of `kwnames`; `kwnames` is null or a tuple of str; `self_` is a live object if `call.method`.
/// `out` in the result is borrowed from `args`.
#[inline]
pub unsafe fn bind(
    call: &Call,
    self_: *mut PyObject,
    args: *const *mut PyObject,
    nargs: usize,
    kwnames: *mut PyObject,
) -> Result<(Id, Values, Option<*mut PyObject>), ()> {
    // SAFETY: the caller's promise.
    let mut frame = unsafe {
        let this = call.method.then(|| Obj::new(self_));
        Frame::new(call.name, this, args, nargs, kwnames)
    };
    if !call.method && !frame.names.is_empty() {
        frame.out = frame.keyword("out");
    }
    let mut values = Values::new();
    for &id in call.ops {
        match try_bind(&id.op().schema, &frame, &mut values) {
            Ok(()) => {
                let out = frame.out.filter(|o| !o.is_none()).map(Obj::ptr);
                return Ok((id, values, out));
            }
            Err(Misfit::Raised) => return Err(()),
            Err(_) => {}
        }
    }
    explain::overloads(&Overload::of(call), &frame);
    Err(())
}

/// As [`bind`], for a function written by hand: takes the first of its signatures that fits, and
/// says which. There is no `out=` unless a signature has one.
///
/// # Errors
/// As [`bind`].
///
/// # Safety
/// As [`bind`].
pub unsafe fn bind_schema(
    name: &str,
    schemas: &[&Schema],
    args: *const *mut PyObject,
    nargs: usize,
    kwnames: *mut PyObject,
) -> Result<(usize, Values), ()> {
    // SAFETY: the caller's promise.
    let frame = unsafe { Frame::new(name, None, args, nargs, kwnames) };
    let mut values = Values::new();
    for (i, schema) in schemas.iter().enumerate() {
        match try_bind(schema, &frame, &mut values) {
            Ok(()) => return Ok((i, values)),
            Err(Misfit::Raised) => return Err(()),
            Err(_) => {}
        }
    }
    let overloads: Vec<Overload> =
        schemas.iter().map(|&schema| Overload { schema, out: false }).collect();
    explain::overloads(&overloads, &frame);
    Err(())
}

/// Fits and converts into `values`, which is empty.
#[inline]
fn try_bind(schema: &Schema, frame: &Frame, values: &mut Values) -> Result<(), Misfit> {
    let mut slots = Slots::new();
    let row = fit(schema, frame, &mut slots)?;
    for (i, param) in schema.params.iter().enumerate() {
        let pushed = match slots[i] {
            Some(_) if row && !param.keyword_only && Some(i) != frame.this_index(schema) => {
                convert::push_ints(Items::Fixed(frame.args), param, frame, values)
            }
            Some(given) => convert::push(param, i, given, schema, frame, values),
            None => {
                values.push(param.default.as_ref().map_or(Value::None, Literal::value));
                Ok(())
            }
        };
        pushed.map_err(|Raised| Misfit::Raised)?;
    }
    Ok(())
}

/// One signature of a name, for errors.
struct Overload<'a> {
    schema: &'a Schema,
    /// PyTorch shows its `out=`.
    out: bool,
}

impl Overload<'_> {
    /// The table does not say which operations have `out=` in PyTorch: nearly all of the pointwise
    /// ones and of the reductions over dimensions do, views do not.
    fn of(call: &Call) -> Vec<Overload<'static>> {
        let one = |id: &Id| {
            let schema = &id.op().schema;
            let reduces = schema.params.iter().any(|p| p.name == "keepdim");
            let writes = reduces || matches!(id.block(), Block::Pointwise(_));
            Overload { schema, out: writes && !call.method }
        };
        call.ops.iter().map(one).collect()
    }
}

/// One call as Python makes it.
struct Frame<'a> {
    name: &'a str,
    /// The tensor of a method.
    this: Option<Obj>,
    args: &'a [Obj],
    /// Names of the keywords, and their values.
    names: &'a [Obj],
    named: &'a [Obj],
    /// `out=` of a function of the table.
    out: Option<Obj>,
}

impl<'a> Frame<'a> {
    /// # Safety
    /// As [`bind`].
    #[inline(always)]
    unsafe fn new(
        name: &'a str,
        this: Option<Obj>,
        args: *const *mut PyObject,
        nargs: usize,
        kwnames: *mut PyObject,
    ) -> Frame<'a> {
        // SAFETY: the caller's promise; `Obj` is a plain pointer, and a null `args` is not read.
        unsafe {
            let names = if kwnames.is_null() { &[] } else { obj::tuple_items(kwnames) };
            let all: &[Obj] = match nargs + names.len() {
                0 => &[],
                n => std::slice::from_raw_parts(args.cast(), n),
            };
            let (args, named) = all.split_at(nargs);
            Frame { name, this, args, names, named, out: None }
        }
    }

    /// The value of a keyword.
    #[inline]
    fn keyword(&self, name: &str) -> Option<Obj> {
        let found = self.names.iter().position(|n| n.text() == Some(name))?;
        Some(self.named[found])
    }

    /// The value of a parameter given by keyword, under its own name or NumPy's.
    #[inline]
    fn keyword_of(&self, param: &Param) -> Option<Obj> {
        let name = self.shown_name(param);
        self.keyword(name).or_else(|| numpy_names(name).iter().find_map(|n| self.keyword(n)))
    }

    /// What the caller knows a parameter as.
    #[inline]
    fn shown_name<'p>(&self, param: &'p Param) -> &'p str {
        let is_tensor = matches!(param.ty, Type::Tensor | Type::Operand);
        if self.this.is_none() && is_tensor && param.name == "self" { "input" } else { &param.name }
    }

    /// Which parameter of a method is its own tensor.
    #[inline]
    fn this_index(&self, schema: &Schema) -> Option<usize> {
        self.this?;
        Some(schema.params.iter().position(|p| p.name == "self").unwrap_or(0))
    }

    /// The parameters but the method's own tensor.
    fn params<'s>(&self, schema: &'s Schema) -> impl Iterator<Item = &'s Param> {
        let this = self.this_index(schema);
        schema.params.iter().enumerate().filter(move |(i, _)| Some(*i) != this).map(|(_, p)| p)
    }
}

fn numpy_names(name: &str) -> &'static [&'static str] {
    match name {
        "dim" => &["axis"],
        "keepdim" => &["keepdims"],
        "input" => &["x", "a", "x1"],
        "other" => &["x2"],
        _ => &[],
    }
}

/// The argument of each parameter; None where its default holds.
type Slots = SmallVec<[Option<Obj>; 8]>;

/// Why a signature does not take a call.
#[derive(Clone, Copy)]
enum Misfit {
    TooMany,
    /// From this parameter on.
    Missing(usize),
    Wrong(Wrong),
    /// A keyword that no parameter used.
    Keyword,
    /// A Python exception is set.
    Raised,
}

/// An argument of the wrong type.
#[derive(Clone, Copy)]
struct Wrong {
    /// Which parameter; the number of them stands for `out`.
    param: usize,
    given: Obj,
    /// Counted from 1; None for a keyword.
    position: Option<usize>,
    /// The item at fault is the first of the sequence.
    item: bool,
}

/// Lines the arguments up with the parameters and tests their types; converts nothing. True if
/// sizes are given in a row: then all positional arguments belong to the one positional parameter.
#[inline]
fn fit(schema: &Schema, frame: &Frame, slots: &mut Slots) -> Result<bool, Misfit> {
    let this = frame.this_index(schema);
    let row = check_count(schema, this, frame)?;
    let (mut next, mut named) = (0, 0);
    for (i, param) in schema.params.iter().enumerate() {
        if Some(i) == this {
            slots.push(frame.this);
            continue;
        }
        let positional = next < frame.args.len() && !param.keyword_only;
        let given = if positional {
            next += 1;
            Some(frame.args[next - 1])
        } else if frame.names.is_empty() {
            None
        } else {
            frame.keyword_of(param)
        };
        slots.push(given);
        let Some(given) = given else {
            if param.default.is_none() {
                return Err(Misfit::Missing(i));
            }
            continue;
        };
        if positional && row {
            next = frame.args.len();
            continue;
        }
        named += !positional as usize;
        let fits = accepts(param, given);
        if fits != Fit::Yes {
            let position = positional.then_some(next);
            let item = fits == Fit::Item;
            return Err(match fits {
                Fit::Raised => Misfit::Raised,
                _ => Misfit::Wrong(Wrong { param: i, given, position, item }),
            });
        }
    }
    if !frame.names.is_empty() {
        named += check_out(schema, frame)? as usize;
        if named < frame.names.len() {
            return Err(Misfit::Keyword);
        }
    }
    Ok(row)
}

/// Refuses more positional arguments than there are parameters. True if sizes are given in a row.
#[inline]
fn check_count(schema: &Schema, this: Option<usize>, frame: &Frame) -> Result<bool, Misfit> {
    let mut room = 0;
    let mut sizes = false;
    for (i, param) in schema.params.iter().enumerate() {
        if !param.keyword_only && Some(i) != this {
            room += 1;
            sizes = matches!(param.ty, Type::Ints(_));
        }
    }
    let count = frame.args.len();
    if room == 1 && sizes && count > 0 && frame.args[0].is_index().map_err(|_| Misfit::Raised)? {
        return Ok(true);
    }
    if count > room { Err(Misfit::TooMany) } else { Ok(false) }
}

/// Tests `out=`. True if it was given.
#[inline]
fn check_out(schema: &Schema, frame: &Frame) -> Result<bool, Misfit> {
    let Some(given) = frame.out else { return Ok(false) };
    let fits = match schema.outputs {
        // A list of tensors cannot be written into: an unknown keyword.
        0 => return Ok(false),
        1 => given.tensor().is_some(),
        _ => given.items().is_some(),
    };
    if fits || given.is_none() {
        return Ok(true);
    }
    let param = schema.params.len();
    Err(Misfit::Wrong(Wrong { param, given, position: None, item: false }))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    Yes,
    No,
    /// A sequence whose first item does not fit.
    Item,
    /// A Python exception is set.
    Raised,
}

/// Whether an object can be the argument of a parameter, by its type.
#[inline]
fn accepts(param: &Param, given: Obj) -> Fit {
    let fits = match param.ty {
        Type::Tensor => given.tensor().is_some(),
        Type::Operand => {
            given.is_plain_number() || given.tensor().is_some() || given.number().is_some()
        }
        Type::Tensors | Type::Indices => given.items().is_some(),
        Type::Number => given.number().is_some() || given.scalar_tensor().is_some(),
        Type::Int => given.is_int(),
        Type::Float => match given.number() {
            Some(number) => number != Number::Complex,
            None => given.scalar_tensor().is_some(),
        },
        Type::Bool => given.is_bool(),
        Type::Ints(single) => match accepts_ints(given, single) {
            Fit::No => false,
            other => return other,
        },
        Type::DType => given.dtype().is_some(),
        Type::Str => given.is_str(),
    };
    if fits || (given.is_none() && takes_none(param)) { Fit::Yes } else { Fit::No }
}

fn takes_none(param: &Param) -> bool {
    param.optional || matches!(param.default, Some(Literal::None))
}

fn accepts_ints(given: Obj, single: bool) -> Fit {
    let (first, otherwise) = match given.items() {
        Some(items) => (items.get(0), Fit::Item),
        None if single => (Some(given), Fit::No),
        None => return Fit::No,
    };
    match first.map_or(Ok(true), Obj::is_index) {
        Ok(true) => Fit::Yes,
        Ok(false) => otherwise,
        Err(Raised) => Fit::Raised,
    }
}
