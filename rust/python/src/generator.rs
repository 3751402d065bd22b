//! `torch.Generator` objects, and the functions that seed the default one.

use crate::convert::{Arg, Guarded, Ret, py_result};
use crate::errors::Raised;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use std::sync::Mutex;
use wengert::random::{with_generator, with_other};
use wengert::{DType, Tensor, batch, err, random};
use wengert_kernels::random as numbers;

/// A source of random numbers with a state of its own.
///
/// Functions that draw take one as `generator=`; without it they draw from the default one.
///
/// >>> g = torch.Generator().manual_seed(0)
/// >>> torch.rand(2, generator=g)
/// tensor([0.4963, 0.7682])
#[pyclass(frozen, module = "torch._C")]
pub struct Generator(Option<Mutex<Guarded<numbers::Generator>>>);

impl Generator {
    fn with<R>(&self, f: impl FnOnce(&mut numbers::Generator) -> R) -> R {
        match &self.0 {
            None => with_generator(f),
            Some(own) => f(&mut own.lock().unwrap_or_else(|e| e.into_inner()).0),
        }
    }
}

/// A seed: an int of 64 bits, with or without sign.
fn seed_of(seed: &Bound<'_, PyAny>) -> PyResult<u64> {
    let Ok(index) = seed.call_method0("__index__") else {
        let name = seed.get_type().name()?;
        let text = format!("manual_seed expected a long, but got {name}");
        return Err(PyRuntimeError::new_err(text));
    };
    match (index.extract::<u64>(), index.extract::<i64>()) {
        (Ok(v), _) => Ok(v),
        (_, Ok(v)) => Ok(v as u64),
        _ => Err(pyo3::exceptions::PyValueError::new_err("Overflow when unpacking long long")),
    }
}

#[pymethods]
impl Generator {
    #[new]
    #[pyo3(signature = (device=None))]
    fn new(device: Option<&Bound<'_, PyAny>>) -> PyResult<Generator> {
        if let Some(d) = device {
            d.py().import("wengert._types")?.getattr("_check_device")?.call1((d,))?;
        }
        let fresh = numbers::Generator::new(numbers::DEFAULT_SEED);
        Ok(Generator(Some(Mutex::new(Guarded(fresh)))))
    }

    /// Starts the sequence of numbers that belongs to a seed; returns the generator.
    fn manual_seed<'py>(
        me: Bound<'py, Self>,
        seed: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, Self>> {
        let seed = seed_of(seed)?;
        me.get().with(|g| g.manual_seed(seed));
        Ok(me)
    }

    /// Seeds from the operating system; returns the seed.
    fn seed(&self) -> u64 {
        self.with(numbers::Generator::seed_from_entropy)
    }

    /// The seed the sequence started from.
    fn initial_seed(&self) -> u64 {
        self.with(|g| g.initial_seed())
    }

    /// The state, as a tensor of bytes.
    fn get_state(&self) -> Ret {
        Ret(Tensor::from_slice(&self.with(|g| g.get_state())))
    }

    /// Goes back to a state that `get_state` gave.
    fn set_state(&self, new_state: Arg) -> PyResult<()> {
        if new_state.0.dtype() != DType::U8 {
            return Err(PyTypeError::new_err("RNG state must be a torch.ByteTensor"));
        }
        let bytes: Vec<u8> = py_result(new_state.0.to_vec())?;
        self.with(|g| g.set_state(&bytes)).map_err(PyRuntimeError::new_err)
    }

    /// Another generator in the same state.
    fn clone_state(&self) -> PyResult<Generator> {
        let mut copy = numbers::Generator::new(numbers::DEFAULT_SEED);
        copy.set_state(&self.with(|g| g.get_state())).map_err(PyRuntimeError::new_err)?;
        Ok(Generator(Some(Mutex::new(Guarded(copy)))))
    }

    /// The device it draws for.
    #[getter]
    fn device<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("wengert._types")?.getattr("_cpu")?.call0()
    }
}

/// Calls `f` with the generator that an argument names in the place of the default one.
pub fn with_argument<R>(
    generator: Option<*mut ffi::PyObject>,
    f: impl FnOnce() -> Result<R, Raised>,
) -> Result<R, Raised> {
    // SAFETY: a live argument under the GIL.
    let object = generator
        .map(|g| unsafe { Bound::from_borrowed_ptr(Python::assume_attached(), g) })
        .filter(|g| !g.is_none());
    let Some(object) = object else { return f() };
    let Ok(generator) = object.cast::<Generator>() else {
        let class = crate::data::class_name(object.as_ptr());
        let text = format!("argument 'generator' must be torch.Generator, not {class}");
        return Err(err!(Type, "{text}").into());
    };
    match &generator.get().0 {
        None => f(),
        Some(own) => with_other(&mut own.lock().unwrap_or_else(|e| e.into_inner()).0, f),
    }
}

/// Fills a tensor with random numbers of a distribution.
#[pyfunction]
#[pyo3(signature = (t, kind, a, b, generator=None))]
fn _fill_random(
    t: Arg,
    kind: &str,
    a: &Bound<'_, PyAny>,
    b: &Bound<'_, PyAny>,
    generator: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let run = || -> Result<(), Raised> {
        batch::check_random()?;
        let t = Arg(batch::innermost(&t.0));
        if kind == "bernoulli"
            && let Ok(p) = a.extract::<Arg>()
        {
            return Ok(random::bernoulli_of(&t.0, &p.0)?);
        }
        if kind == "integers" {
            return Ok(random::integers(&t.0, a.extract()?, b.extract()?)?);
        }
        let (a, b): (f64, f64) = (a.extract()?, b.extract()?);
        Ok(match kind {
            "uniform" => random::uniform(&t.0, a, b),
            "normal" => random::normal(&t.0, a, b),
            "bernoulli" => random::bernoulli(&t.0, a),
            "exponential" => random::exponential(&t.0, a),
            "cauchy" => random::cauchy(&t.0, a, b),
            "log_normal" => random::log_normal(&t.0, a, b),
            "geometric" => random::geometric(&t.0, a),
            _ => random::any_integers(&t.0),
        }?)
    };
    with_argument(generator.map(|g| g.as_ptr()), run).map_err(|Raised| PyErr::fetch(a.py()))
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Generator>()?;
    m.add("default_generator", Generator(None))?;
    m.add_function(wrap_pyfunction!(_fill_random, m)?)
}
