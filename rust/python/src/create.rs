//! Functions that make tensors from nothing, numbers, lists, or others' memory.

use crate::convert::{Arg, Ret, py_result};
use crate::dtypes::{self, dtype_of};
use crate::errors::{Raised, slot};
use crate::ignored::Cleaned;
use crate::number::scalar_of;
use crate::object::{tensor_ref, wrap};
use crate::parse::bind_schema;
use crate::{buffer, table};
use pyo3::ffi;
use pyo3::prelude::*;
use std::sync::OnceLock;
use wengert::promote::default_dtype;
use wengert::schema::Schema;
use wengert::value::Args;
use wengert::{DType, Scalar, Tensor, err, random};

type Obj = *mut ffi::PyObject;

/// A function with a signature of its own.
struct Creator {
    schema: &'static str,
    run: fn(&Args) -> wengert::Result<Tensor>,
}

fn shape(a: &Args, i: usize) -> wengert::Result<Vec<usize>> {
    a.ints(i)?
        .iter()
        .map(|&s| {
            usize::try_from(s).map_err(|_| {
                err!(Runtime, "Trying to create tensor with negative dimension {s}: {}", {
                    wengert::shape::show(a.ints(i).unwrap_or(&[]))
                })
            })
        })
        .collect()
}

fn dtype(a: &Args, i: usize) -> wengert::Result<DType> {
    Ok(a.opt_dtype(i)?.unwrap_or_else(default_dtype))
}

/// The natural dtype of a fill value.
fn fill_dtype(a: &Args, i: usize, value: Scalar) -> wengert::Result<DType> {
    Ok(a.opt_dtype(i)?.unwrap_or(match value {
        Scalar::Float(_) => default_dtype(),
        s => s.dtype(),
    }))
}

/// Applies `requires_grad=`, which is argument `i`.
fn finish(t: Tensor, a: &Args, i: usize) -> wengert::Result<Tensor> {
    if a.opt_bool(i)?.unwrap_or(false) {
        if !t.dtype().is_differentiable() {
            return Err(err!(
                Runtime,
                "Only Tensors of floating point and complex dtype can require gradients"
            ));
        }
        t.requires_grad_(true)?;
    }
    Ok(t)
}

fn like(a: &Args, i: usize) -> wengert::Result<(Tensor, DType)> {
    let t = a.tensor(0)?;
    let dtype = a.opt_dtype(i)?.unwrap_or(t.dtype());
    Ok((Tensor::empty_like(t, dtype)?, dtype))
}

fn size_arg(v: i64, name: &str) -> wengert::Result<usize> {
    usize::try_from(v).map_err(|_| err!(Runtime, "{name} must be greater or equal to 0, got {v}"))
}

fn random_tensor(
    a: &Args,
    fill: impl Fn(&Tensor) -> wengert::Result<()>,
) -> wengert::Result<Tensor> {
    let t = Tensor::empty(&shape(a, 0)?, dtype(a, 1)?)?;
    fill(&t)?;
    t.reset_version();
    finish(t, a, 2)
}

fn random_like(a: &Args, fill: impl Fn(&Tensor) -> wengert::Result<()>) -> wengert::Result<Tensor> {
    let (t, _) = like(a, 1)?;
    fill(&t)?;
    t.reset_version();
    finish(t, a, 2)
}

fn arange(a: &Args, s: Scalar, e: Scalar, step: Scalar, at: usize) -> wengert::Result<Tensor> {
    finish(Tensor::arange(s, e, step, a.opt_dtype(at)?)?, a, at + 1)
}

fn randint(a: &Args, low: i64, at: usize) -> wengert::Result<Tensor> {
    let high = a.int(at)?;
    if low >= high {
        return Err(err!(
            Runtime,
            "random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        ));
    }
    let dtype = a.opt_dtype(at + 2)?.unwrap_or(DType::I64);
    let t = Tensor::empty(&shape(a, at + 1)?, dtype)?;
    random::integers(&t, low, high)?;
    t.reset_version();
    finish(t, a, at + 3)
}

const CREATORS: &[Creator] = &[
    Creator {
        schema: "zeros(int[] size, *, ScalarType? dtype=None, bool requires_grad=False) -> Tensor",
        run: |a| finish(Tensor::zeros(&shape(a, 0)?, dtype(a, 1)?)?, a, 2),
    },
    Creator {
        schema: "ones(int[] size, *, ScalarType? dtype=None, bool requires_grad=False) -> Tensor",
        run: |a| finish(Tensor::full(&shape(a, 0)?, 1.into(), dtype(a, 1)?)?, a, 2),
    },
    Creator {
        schema: "empty(int[] size, *, ScalarType? dtype=None, bool requires_grad=False) -> Tensor",
        run: |a| finish(Tensor::empty(&shape(a, 0)?, dtype(a, 1)?)?, a, 2),
    },
    Creator {
        schema: "full(int[] size, Scalar fill_value, *, ScalarType? dtype=None, bool requires_grad=False) -> Tensor",
        run: |a| {
            let v = a.number(1)?;
            finish(Tensor::full(&shape(a, 0)?, v, fill_dtype(a, 2, v)?)?, a, 3)
        },
    },
    Creator {
        schema: "zeros_like(Tensor self, *, ScalarType? dtype=None, bool requires_grad=False) -> Tensor",
        run: |a| {
            let (t, _) = like(a, 1)?;
            t.fill_raw(0.into())?;
            t.reset_version();
            finish(t, a, 2)
        },
    },
    Creator {
        schema: "ones_like(Tensor self, *, ScalarType? dtype=None, bool requires_grad=False) -> Tensor",
        run: |a| {
            let (t, _) = like(a, 1)?;
            t.fill_raw(1.into())?;
            t.reset_version();
            finish(t, a, 2)
        },
    },
    Creator {
        schema: "empty_like(Tensor self, *, ScalarType? dtype=None, bool requires_grad=False) -> Tensor",
        run: |a| finish(like(a, 1)?.0, a, 2),
    },
    Creator {
        schema: "full_like(Tensor self, Scalar fill_value, *, ScalarType? dtype=None, bool requires_grad=False) -> Tensor",
        run: |a| {
            let (t, _) = like(a, 2)?;
            t.fill_raw(a.number(1)?)?;
            t.reset_version();
            finish(t, a, 3)
        },
    },
    Creator {
        schema: "arange(Scalar end, *, ScalarType? dtype=None, bool requires_grad=False) -> Tensor",
        run: |a| arange(a, 0.into(), a.number(0)?, 1.into(), 1),
    },
    Creator {
        schema: "arange(Scalar start, Scalar end, Scalar step=1, *, ScalarType? dtype=None, bool requires_grad=False) -> Tensor",
        run: |a| arange(a, a.number(0)?, a.number(1)?, a.number(2)?, 3),
    },
    Creator {
        schema: "linspace(Scalar start, Scalar end, int steps, *, ScalarType? dtype=None, bool requires_grad=False) -> Tensor",
        run: |a| {
            let (s, e) = (a.number(0)?.to_f64(), a.number(1)?.to_f64());
            finish(Tensor::linspace(s, e, a.int(2)?, dtype(a, 3)?)?, a, 4)
        },
    },
    Creator {
        schema: "eye(int n, *, ScalarType? dtype=None, bool requires_grad=False) -> Tensor",
        run: |a| {
            let n = size_arg(a.int(0)?, "n")?;
            finish(Tensor::eye(n, n, dtype(a, 1)?)?, a, 2)
        },
    },
    Creator {
        schema: "eye(int n, int m, *, ScalarType? dtype=None, bool requires_grad=False) -> Tensor",
        run: |a| {
            let (n, m) = (size_arg(a.int(0)?, "n")?, size_arg(a.int(1)?, "m")?);
            finish(Tensor::eye(n, m, dtype(a, 2)?)?, a, 3)
        },
    },
    Creator {
        schema: "rand(int[] size, *, ScalarType? dtype=None, bool requires_grad=False) -> Tensor",
        run: |a| random_tensor(a, |t| random::uniform(t, 0.0, 1.0)),
    },
    Creator {
        schema: "randn(int[] size, *, ScalarType? dtype=None, bool requires_grad=False) -> Tensor",
        run: |a| random_tensor(a, |t| random::normal(t, 0.0, 1.0)),
    },
    Creator {
        schema: "rand_like(Tensor self, *, ScalarType? dtype=None, bool requires_grad=False) -> Tensor",
        run: |a| random_like(a, |t| random::uniform(t, 0.0, 1.0)),
    },
    Creator {
        schema: "randn_like(Tensor self, *, ScalarType? dtype=None, bool requires_grad=False) -> Tensor",
        run: |a| random_like(a, |t| random::normal(t, 0.0, 1.0)),
    },
    Creator {
        schema: "randint(int high, int[] size, *, ScalarType? dtype=None, bool requires_grad=False) -> Tensor",
        run: |a| randint(a, 0, 0),
    },
    Creator {
        schema: "randint(int low, int high, int[] size, *, ScalarType? dtype=None, bool requires_grad=False) -> Tensor",
        run: |a| randint(a, a.int(0)?, 1),
    },
    Creator {
        schema: "randperm(int n, *, ScalarType? dtype=None, bool requires_grad=False) -> Tensor",
        run: |a| {
            let n = a.int(0)?;
            let n =
                usize::try_from(n).map_err(|_| err!(Runtime, "n must be non-negative, got{n}"))?;
            finish(random::permutation(n, a.opt_dtype(1)?.unwrap_or(DType::I64))?, a, 2)
        },
    },
    Creator {
        schema: "scalar_tensor(Scalar s, *, ScalarType? dtype=None, bool requires_grad=False) -> Tensor",
        run: |a| finish(Tensor::full(&[], a.number(0)?, dtype(a, 1)?)?, a, 2),
    },
];

/// One Python name: its overloads.
struct Named {
    name: String,
    #[allow(clippy::type_complexity)]
    overloads: Vec<(Schema, fn(&Args) -> wengert::Result<Tensor>)>,
}

fn named() -> &'static [Named] {
    static ALL: OnceLock<Vec<Named>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut out: Vec<Named> = Vec::new();
        for c in CREATORS {
            let schema = Schema::parse(c.schema);
            match out.iter_mut().find(|n| n.name == schema.name) {
                Some(n) => n.overloads.push((schema, c.run)),
                None => {
                    out.push(Named { name: schema.name.clone(), overloads: vec![(schema, c.run)] })
                }
            }
        }
        out
    })
}

unsafe extern "C" fn create<const I: usize>(
    _module: Obj,
    args: *const Obj,
    n: isize,
    kw: Obj,
) -> Obj {
    slot(|| {
        let entry = &named()[I];
        // SAFETY: the arguments as the interpreter gave them; `cleaned` keeps what it points to.
        unsafe {
            let cleaned = Cleaned::new(args, n as usize, kw)?;
            let (args, kw) = (cleaned.args(args), cleaned.names(kw));
            let schemas: Vec<&Schema> = entry.overloads.iter().map(|o| &o.0).collect();
            let (which, values) = bind_schema(&entry.name, &schemas, args, n as usize, kw)?;
            wrap((entry.overloads[which].1)(&Args(&values))?)
        }
    })
}

/// Fills a tensor with the numbers of nested sequences, checking that they are not ragged.
struct Filler {
    shape: Vec<usize>,
    values: Vec<Scalar>,
}

impl Filler {
    fn read(o: Obj) -> Result<Filler, Raised> {
        let mut f = Filler { shape: Vec::new(), values: Vec::new() };
        f.measure(o)?;
        f.collect(o, 0)?;
        Ok(f)
    }

    fn measure(&mut self, mut o: Obj) -> Result<(), Raised> {
        while is_list(o) {
            // SAFETY: a live list or tuple.
            let n = unsafe { ffi::PySequence_Size(o) };
            self.shape.push(n as usize);
            if n == 0 {
                return Ok(());
            }
            if self.shape.len() > 128 {
                return Err(err!(Value, "too many dimensions 'list'").into());
            }
            o = item(o, 0);
        }
        if let Some(t) = tensor_ref(o) {
            self.shape.extend_from_slice(t.shape());
        }
        Ok(())
    }

    fn collect(&mut self, o: Obj, dim: usize) -> Result<(), Raised> {
        if is_list(o) {
            // SAFETY: a live list or tuple.
            let n = unsafe { ffi::PySequence_Size(o) } as usize;
            let expected = self.shape.get(dim).copied();
            if expected.is_none() {
                // SAFETY: a live object.
                let kind = unsafe { std::ffi::CStr::from_ptr((*ffi::Py_TYPE(o)).tp_name) };
                let what = kind.to_string_lossy();
                return Err(err!(Type, "not a sequence where one was expected: {what}").into());
            }
            if expected != Some(n) {
                return Err(err!(
                    Value,
                    "expected sequence of length {} at dim {dim} (got {n})",
                    self.shape[dim]
                )
                .into());
            }
            for i in 0..n {
                self.collect(item(o, i), dim + 1)?;
            }
            return Ok(());
        }
        if let Some(t) = tensor_ref(o) {
            if t.shape() != &self.shape[dim.min(self.shape.len())..] {
                return Err(err!(
                    Value,
                    "only one element tensors can be converted to Python scalars"
                )
                .into());
            }
            t.for_each(|s| self.values.push(s))?;
            return Ok(());
        }
        if dim != self.shape.len() {
            // SAFETY: a live object.
            let kind = unsafe { std::ffi::CStr::from_ptr((*ffi::Py_TYPE(o)).tp_name) };
            return Err(err!(
                Type,
                "expected sequence object with len >= 0 or a buffer, but got {}",
                kind.to_string_lossy()
            )
            .into());
        }
        match scalar_of(o) {
            Some(s) => self.values.push(s?),
            None => return Err(no_data(o)),
        }
        Ok(())
    }

    /// The dtype of the numbers: the highest of bool, int, float.
    fn dtype(&self) -> DType {
        let rank = |s: &Scalar| match s {
            Scalar::Bool(_) => 0,
            Scalar::Int(_) => 1,
            Scalar::Float(_) => 2,
        };
        match self.values.iter().map(rank).max() {
            Some(0) => DType::Bool,
            Some(1) => DType::I64,
            _ => default_dtype(),
        }
    }
}

fn no_data(o: Obj) -> Raised {
    // SAFETY: a live object under the GIL.
    let name = unsafe { std::ffi::CStr::from_ptr((*ffi::Py_TYPE(o)).tp_name) };
    let name = name.to_string_lossy();
    if name == "str" {
        return err!(Type, "new(): invalid data type 'str'").into();
    }
    err!(Runtime, "Could not infer dtype of {name}").into()
}

fn is_list(o: Obj) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyList_Check(o) != 0 || ffi::PyTuple_Check(o) != 0 }
}

/// A borrowed item of a list or tuple.
fn item(o: Obj, i: usize) -> Obj {
    // SAFETY: `i` is below the length, which was just read.
    unsafe {
        if ffi::PyList_Check(o) != 0 {
            ffi::PyList_GET_ITEM(o, i as isize)
        } else {
            ffi::PyTuple_GET_ITEM(o, i as isize)
        }
    }
}

/// `torch.tensor(data)`: always a copy.
#[pyfunction]
#[pyo3(signature = (data, dtype=None, requires_grad=false))]
fn _make_tensor(
    data: &Bound<'_, PyAny>,
    dtype: Option<&Bound<'_, PyAny>>,
    requires_grad: bool,
) -> PyResult<Ret> {
    let want = dtype.and_then(|d| dtype_of(d.as_ptr()));
    let t = from_data(data.as_ptr(), want).map_err(|Raised| PyErr::fetch(data.py()))?;
    if requires_grad {
        if !t.dtype().is_differentiable() {
            return Err(pyo3::exceptions::PyRuntimeError::new_err(
                "Only Tensors of floating point and complex dtype can require gradients",
            ));
        }
        py_result(t.requires_grad_(true))?;
    }
    Ok(Ret(t))
}

fn from_data(o: Obj, want: Option<DType>) -> Result<Tensor, Raised> {
    if let Some(t) = tensor_ref(o) {
        return Ok(t.fresh_copy(want.unwrap_or(t.dtype()))?);
    }
    // SAFETY: a live object.
    let buffer = unsafe { ffi::PyObject_CheckBuffer(o) } != 0;
    if buffer && scalar_of(o).is_none() {
        let (t, _) = buffer::tensor_over(o)?;
        return Ok(t.fresh_copy(want.unwrap_or(t.dtype()))?);
    }
    if !is_list(o) {
        let Some(s) = scalar_of(o) else { return Err(no_data(o)) };
        let s = s?;
        let natural = match s {
            Scalar::Float(_) => default_dtype(),
            s => s.dtype(),
        };
        return Ok(Tensor::full(&[], s, want.unwrap_or(natural))?);
    }
    let f = Filler::read(o)?;
    let values = f.values.iter().copied();
    let natural = f.dtype();
    let flat = {
        let mut values = values;
        Tensor::build(f.values.len(), want.unwrap_or(natural), |_| {
            values.next().unwrap_or(Scalar::Int(0))
        })?
    };
    Ok(flat.alias(wengert::shape::Layout::contiguous(&f.shape)))
}

/// `torch.from_numpy`: a tensor over the array's memory, and whether it may be written.
#[pyfunction]
fn _from_buffer(o: &Bound<'_, PyAny>) -> PyResult<(Ret, bool)> {
    let (t, writable) = buffer::tensor_over(o.as_ptr()).map_err(|Raised| PyErr::fetch(o.py()))?;
    Ok((Ret(t), writable))
}

/// A copy in another dtype that gradients flow through.
#[pyfunction]
fn _to_dtype(t: Arg, dtype: &Bound<'_, PyAny>) -> PyResult<Ret> {
    let Some(d) = dtype_of(dtype.as_ptr()) else {
        return Err(pyo3::exceptions::PyTypeError::new_err("dtype expected"));
    };
    Ok(Ret(py_result(t.0.to(d))?))
}

/// Another object of a subclass over the same tensor's memory.
#[pyfunction]
fn _as_subclass<'py>(
    t: Arg,
    class: &Bound<'py, PyAny>,
    requires_grad: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let new = t.0.detach();
    if requires_grad {
        py_result(new.requires_grad_(true))?;
    }
    crate::convert::owned(class.py(), crate::object::wrap_as(new, class.as_ptr().cast()))
}

#[pyfunction]
fn get_default_dtype(py: Python<'_>) -> PyResult<Py<PyAny>> {
    dtypes::object(py, default_dtype())
}

#[pyfunction]
fn set_default_dtype(d: &Bound<'_, PyAny>) -> PyResult<()> {
    match dtype_of(d.as_ptr()) {
        Some(d) => py_result(wengert::promote::set_default_dtype(d)),
        None => Err(pyo3::exceptions::PyTypeError::new_err(
            "invalid dtype object: only floating-point types are supported as the default type",
        )),
    }
}

/// Changes a tensor's shape in place.
#[pyfunction]
fn _resize(t: Arg, shape: Vec<usize>) -> PyResult<()> {
    py_result(t.0.resize_(&shape))
}

/// Gives a tensor the memory and the layout of another.
#[pyfunction]
fn _set(t: Arg, source: Arg) -> PyResult<()> {
    py_result(t.0.set_(&source.0))
}

#[pyfunction]
fn _manual_seed(seed: u64) {
    random::manual_seed(seed);
}

#[pyfunction]
fn initial_seed() -> u64 {
    random::with_generator(|g| g.initial_seed())
}

#[pyfunction]
fn _seed() -> u64 {
    random::with_generator(|g| g.seed_from_entropy())
}

#[pyfunction]
fn _get_rng_state() -> Vec<u8> {
    random::with_generator(|g| g.get_state())
}

#[pyfunction]
fn _set_rng_state(state: Vec<u8>) -> PyResult<()> {
    random::with_generator(|g| g.set_state(&state))
        .map_err(pyo3::exceptions::PyRuntimeError::new_err)
}

/// Fills a tensor with random numbers of a distribution.
#[pyfunction]
fn _fill_random(t: Arg, kind: &str, a: f64, b: f64) -> PyResult<()> {
    py_result(match kind {
        "uniform" => random::uniform(&t.0, a, b),
        "normal" => random::normal(&t.0, a, b),
        "bernoulli" => random::bernoulli(&t.0, a),
        _ => random::integers(&t.0, a as i64, b as i64),
    })
}

macro_rules! entries {
    ($($i:literal)*) => { [$(create::<$i> as ffi::PyCFunctionFastWithKeywords),*] };
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    let entries = entries!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23);
    for (n, &f) in named().iter().zip(&entries) {
        table::add_function(m, table::method_def(&n.name, f, ""))?;
    }
    m.add_function(wrap_pyfunction!(_make_tensor, m)?)?;
    m.add_function(wrap_pyfunction!(_from_buffer, m)?)?;
    m.add_function(wrap_pyfunction!(_to_dtype, m)?)?;
    m.add_function(wrap_pyfunction!(_as_subclass, m)?)?;
    m.add_function(wrap_pyfunction!(get_default_dtype, m)?)?;
    m.add_function(wrap_pyfunction!(set_default_dtype, m)?)?;
    m.add_function(wrap_pyfunction!(_resize, m)?)?;
    m.add_function(wrap_pyfunction!(_set, m)?)?;
    m.add_function(wrap_pyfunction!(_manual_seed, m)?)?;
    m.add_function(wrap_pyfunction!(initial_seed, m)?)?;
    m.add_function(wrap_pyfunction!(_seed, m)?)?;
    m.add_function(wrap_pyfunction!(_get_rng_state, m)?)?;
    m.add_function(wrap_pyfunction!(_set_rng_state, m)?)?;
    m.add_function(wrap_pyfunction!(_fill_random, m)?)
}
