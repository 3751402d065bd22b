//! Functions that make tensors from nothing, numbers, or others' memory.

use crate::convert::{Arg, py_result};
use crate::dtypes::{self, dtype_of};
use crate::errors::{Raised, slot};
use crate::generator::with_argument;
use crate::object::{tensor_ref, wrap};
use crate::parse::{Values, bind_schema};
use crate::shared::Cleaned;
use crate::table;
use pyo3::ffi;
use pyo3::prelude::*;
use smallvec::{SmallVec, smallvec};
use std::sync::OnceLock;
use wengert::op::{self, Id};
use wengert::pointwise::Operand;
use wengert::promote::default_dtype;
use wengert::schema::{Schema, Type};
use wengert::value::Args;
use wengert::{DType, Scalar, Tensor, Value, batch, err, random};

type Obj = *mut ffi::PyObject;

/// A function with a signature of its own.
struct Creator {
    schema: &'static str,
    /// Of the name; given with its first signature.
    doc: &'static str,
    run: fn(&Args) -> wengert::Result<Tensor>,
}

/// Sizes; `name` says so if one is negative, as PyTorch's `zeros` does.
fn sizes(a: &Args, i: usize, name: Option<&str>) -> wengert::Result<Vec<usize>> {
    let all = a.ints(i)?;
    let size = |&s: &i64| {
        usize::try_from(s).map_err(|_| match name {
            Some(name) => err!(Runtime, "{name}: Dimension size must be non-negative."),
            None => {
                let shown = wengert::shape::show(all);
                err!(Runtime, "Trying to create tensor with negative dimension {s}: {shown}")
            }
        })
    };
    all.iter().map(size).collect()
}

fn shape(a: &Args, i: usize) -> wengert::Result<Vec<usize>> {
    sizes(a, i, None)
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

/// Complex dtypes exist by name only.
pub fn refuse_complex(d: DType) -> wengert::Result<()> {
    match d.is_complex() {
        true => Err(err!(NotImplemented, "complex numbers are not supported")),
        false => Ok(()),
    }
}

/// Makes a fresh tensor a leaf that gradients are computed for.
pub fn require_grad(t: &Tensor) -> wengert::Result<()> {
    if !t.dtype().is_differentiable() {
        return Err(err!(
            Runtime,
            "Only Tensors of floating point and complex dtype can require gradients"
        ));
    }
    t.requires_grad_(true).map(drop)
}

/// Applies `requires_grad=`, which is argument `i`.
fn finish(t: Tensor, a: &Args, i: usize) -> wengert::Result<Tensor> {
    if a.opt_bool(i)?.unwrap_or(false) {
        require_grad(&t)?;
    }
    Ok(t)
}

/// Fills a fresh tensor with random numbers.
fn drawn(t: Tensor, fill: impl Fn(&Tensor) -> wengert::Result<()>) -> wengert::Result<Tensor> {
    let t = batch::drawn(t, &fill)?;
    t.reset_version();
    Ok(t)
}

/// Fills a fresh tensor; that does not count as a write.
fn filled(t: Tensor, fill: impl FnOnce(&Tensor) -> wengert::Result<()>) -> wengert::Result<Tensor> {
    fill(&t)?;
    t.reset_version();
    Ok(t)
}

/// An empty tensor like argument 0; its dtype is argument `i`.
fn like(a: &Args, i: usize) -> wengert::Result<Tensor> {
    let t = a.tensor(0)?;
    Tensor::empty_like(t, a.opt_dtype(i)?.unwrap_or(t.dtype()))
}

/// A tensor like argument 0, one for each example inside `vmap`, filled with a number.
fn constant_like(a: &Args, i: usize, value: Scalar) -> wengert::Result<Tensor> {
    batch::for_each(&constant(like(a, i)?, value)?, a.tensor(0)?)
}

fn size_arg(v: i64, name: &str) -> wengert::Result<usize> {
    usize::try_from(v).map_err(|_| err!(Runtime, "{name} must be greater or equal to 0, got {v}"))
}

fn constant(t: Tensor, value: Scalar) -> wengert::Result<Tensor> {
    let value = value.fitted(t.dtype())?;
    filled(t, |t| t.fill_raw(value))
}

fn strided(a: &Args) -> wengert::Result<Tensor> {
    let (shape, strides) = (shape(a, 0)?, a.ints(1)?);
    let (n, m) = (shape.len(), strides.len());
    if n != m {
        let text = format!("dimensionality of sizes ({n}) must match dimensionality of strides");
        return Err(err!(Runtime, "{text} ({m})"));
    }
    if strides.iter().any(|&s| s < 0) {
        let (a, b) = (wengert::shape::show(&shape), wengert::shape::show(strides));
        let text = "Storage size calculation overflowed with sizes";
        return Err(err!(Runtime, "{text}={a} and strides={b}"));
    }
    let strides = strides.iter().map(|&s| s as isize).collect();
    Tensor::empty_strided(shape.into(), strides, dtype(a, 2)?)
}

/// `a.normal_(mean, std)` of a size.
fn normal(a: &Args) -> wengert::Result<Tensor> {
    let (mean, std) = (a.number(0)?.to_f64(), a.number(1)?.to_f64());
    drawn(Tensor::empty(&shape(a, 2)?, dtype(a, 3)?)?, |t| random::normal(t, mean, std))
}

fn randint(t: Tensor, low: i64, high: i64) -> wengert::Result<Tensor> {
    drawn(t, |t| random::integers(t, low, high))
}

fn integers(a: &Args, low: i64, at: usize) -> wengert::Result<Tensor> {
    let dtype = a.opt_dtype(at + 2)?.unwrap_or(DType::I64);
    finish(randint(Tensor::empty(&shape(a, at + 1)?, dtype)?, low, a.int(at)?)?, a, at + 3)
}

fn spaced(a: &Args) -> wengert::Result<Tensor> {
    finish(Tensor::linspace(a.number(0)?, a.number(1)?, a.int(2)?, dtype(a, 3)?)?, a, 4)
}

/// `name(parameters) -> Tensor`: a documentation and what it does; overloads follow, undocumented.
macro_rules! creators {
    ($($schema:literal, $doc:literal, |$a:ident| $body:expr;)*) => {
        const CREATORS: &[Creator] = &[$(Creator {
            schema: concat!($schema, " -> Tensor"),
            doc: $doc,
            run: |$a| $body,
        }),*];
    };
}

creators! {
    "zeros(int[] size, *, ScalarType? dtype=None, bool requires_grad=False)",
        "Every element 0. Raises RuntimeError for a negative size.

>>> torch.zeros(2, 3)
tensor([[0., 0., 0.],
        [0., 0., 0.]])",
        |a| finish(Tensor::zeros(&sizes(a, 0, Some("zeros"))?, dtype(a, 1)?)?, a, 2);
    "ones(int[] size, *, ScalarType? dtype=None, bool requires_grad=False)",
        "Every element 1. Raises RuntimeError for a negative size.

>>> torch.ones(2, 3)
tensor([[1., 1., 1.],
        [1., 1., 1.]])",
        |a| finish(Tensor::full(&shape(a, 0)?, 1.into(), dtype(a, 1)?)?, a, 2);
    "empty(int[] size, *, ScalarType? dtype=None, bool requires_grad=False)",
        "A tensor whose elements are whatever its memory holds. Raises RuntimeError for a \
        negative size.

>>> torch.empty(2, 3).shape
torch.Size([2, 3])",
        |a| finish(Tensor::empty(&shape(a, 0)?, dtype(a, 1)?)?, a, 2);
    "empty_strided(int[] size, int[] stride, *, ScalarType? dtype=None, bool requires_grad=False)",
        "As `empty`, with the given steps between elements. Raises RuntimeError if there are \
        not as many
steps as sizes.

>>> torch.empty_strided((2, 3), (1, 2)).stride()
(1, 2)",
        |a| finish(strided(a)?, a, 3);
    "full(int[] size, Scalar fill_value, *, ScalarType? dtype=None, bool requires_grad=False)",
        "Every element `fill_value`, which decides the dtype if none is given. Raises \
        RuntimeError for a value
that the dtype cannot hold.

>>> torch.full((2,), 7)
tensor([7, 7])",
        |a| {
        let v = a.number(1)?;
        finish(constant(Tensor::empty(&shape(a, 0)?, fill_dtype(a, 2, v)?)?, v)?, a, 3)
    };
    "zeros_like(Tensor self, *, ScalarType? dtype=None, bool requires_grad=False)",
        "Zeros of the shape, dtype and memory order of `input`.

>>> torch.zeros_like(torch.tensor([1, 2]))
tensor([0, 0])",
        |a| finish(constant_like(a, 1, 0.into())?, a, 2);
    "ones_like(Tensor self, *, ScalarType? dtype=None, bool requires_grad=False)",
        "Ones of the shape, dtype and memory order of `input`.

>>> torch.ones_like(torch.tensor([1, 2]))
tensor([1, 1])",
        |a| finish(constant_like(a, 1, 1.into())?, a, 2);
    "empty_like(Tensor self, *, ScalarType? dtype=None, bool requires_grad=False)",
        "As `empty`, of the shape, dtype and memory order of `input`.

>>> torch.empty_like(torch.ones(2, 3).t()).stride()
(1, 3)",
        |a| {
        let t = a.tensor(0)?;
        let own = if batch::is_batched(t) { constant_like(a, 1, 0.into()) } else { like(a, 1) };
        finish(own?, a, 2)
    };
    "full_like(Tensor self, Scalar fill_value, *, ScalarType? dtype=None, bool \
    requires_grad=False)",
        "Every element `fill_value`, of the shape, dtype and memory order of `input`.

>>> torch.full_like(torch.ones(2), 3)
tensor([3., 3.])",
        |a| finish(constant_like(a, 2, a.number(1)?)?, a, 3);
    "arange(Scalar end, *, ScalarType? dtype=None, bool requires_grad=False)",
        "The numbers from `start` (0 if not given) up to `end`, `end` itself excluded, `step` apart.

Integers give int64. Raises RuntimeError for a step of 0 and for bounds that contradict its sign.

>>> torch.arange(4)
tensor([0, 1, 2, 3])
>>> torch.arange(1, 2, 0.25)
tensor([1.0000, 1.2500, 1.5000, 1.7500])",
        |a| finish(Tensor::arange(0.into(), a.number(0)?, 1.into(), a.opt_dtype(1)?)?, a, 2);
    "arange(Scalar start, Scalar end, Scalar step=1, *, ScalarType? dtype=None, bool \
    requires_grad=False)",
        "",
        |a| {
            let (start, end, step) = (a.number(0)?, a.number(1)?, a.number(2)?);
            finish(Tensor::arange(start, end, step, a.opt_dtype(3)?)?, a, 4)
        };
    "linspace(Scalar start, Scalar end, int steps, *, ScalarType? dtype=None, bool \
    requires_grad=False)",
        "`steps` numbers from `start` to `end`, both included, evenly spaced. Raises \
        RuntimeError for a
negative number of steps.

>>> torch.linspace(0, 1, 5)
tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])",
        |a| spaced(a);
    "logspace(Scalar start, Scalar end, int steps, float base=10.0, *, ScalarType? dtype=None, \
    bool requires_grad=False)",
        "`base` to the powers that `linspace` gives. Raises RuntimeError for a negative number \
        of steps.

>>> torch.logspace(0, 2, 3)
tensor([  1.,  10., 100.])",
        |a| {
        let (s, e, base) = (a.number(0)?, a.number(1)?, a.number(3)?.to_f64());
        finish(Tensor::logspace(s, e, a.int(2)?, base, dtype(a, 4)?)?, a, 5)
    };
    "eye(int n, *, ScalarType? dtype=None, bool requires_grad=False)",
        "Ones on the diagonal of an `n` by `m` matrix (`n` by `n` if there is no `m`), zeros \
        elsewhere. Raises
RuntimeError for a negative size.

>>> torch.eye(2)
tensor([[1., 0.],
        [0., 1.]])",
        |a| {
        let n = size_arg(a.int(0)?, "n")?;
        finish(Tensor::eye(n, n, dtype(a, 1)?)?, a, 2)
    };
    "eye(int n, int m, *, ScalarType? dtype=None, bool requires_grad=False)",
        "",
        |a| {
        let (n, m) = (size_arg(a.int(0)?, "n")?, size_arg(a.int(1)?, "m")?);
        finish(Tensor::eye(n, m, dtype(a, 2)?)?, a, 3)
    };
    "tril_indices(int row, int col, int offset=0, *, ScalarType? dtype=None)",
        "Rows and columns of the elements of a `row` by `col` matrix on its diagonal number \
        `offset` and below,
as a tensor of two rows.

>>> torch.tril_indices(2, 2)
tensor([[0, 1, 1],
        [0, 0, 1]])",
        |a| {
        let dtype = a.opt_dtype(3)?.unwrap_or(DType::I64);
        Tensor::triangle(true, a.int(0)?, a.int(1)?, a.int(2)?, dtype)
    };
    "triu_indices(int row, int col, int offset=0, *, ScalarType? dtype=None)",
        "Rows and columns of the elements of a `row` by `col` matrix on its diagonal number \
        `offset` and above,
as a tensor of two rows.

>>> torch.triu_indices(2, 2)
tensor([[0, 0, 1],
        [0, 1, 1]])",
        |a| {
        let dtype = a.opt_dtype(3)?.unwrap_or(DType::I64);
        Tensor::triangle(false, a.int(0)?, a.int(1)?, a.int(2)?, dtype)
    };
    "rand(int[] size, *, ScalarType? dtype=None, bool requires_grad=False)",
        "Uniform random numbers between 0 and 1, 1 excluded. Raises NotImplementedError for \
        integer dtypes.

>>> _ = torch.manual_seed(0)
>>> torch.rand(2)
tensor([0.4963, 0.7682])",
        |a| {
        let t = Tensor::empty(&shape(a, 0)?, dtype(a, 1)?)?;
        finish(drawn(t, |t| random::uniform(t, 0.0, 1.0))?, a, 2)
    };
    "randn(int[] size, *, ScalarType? dtype=None, bool requires_grad=False)",
        "Normal random numbers of mean 0 and deviation 1. Raises NotImplementedError for \
        integer dtypes.

>>> _ = torch.manual_seed(0)
>>> torch.randn(2)
tensor([ 1.5410, -0.2934])",
        |a| {
        let t = Tensor::empty(&shape(a, 0)?, dtype(a, 1)?)?;
        finish(drawn(t, |t| random::normal(t, 0.0, 1.0))?, a, 2)
    };
    "rand_like(Tensor self, *, ScalarType? dtype=None, bool requires_grad=False)",
        "`rand` of the shape, dtype and memory order of `input`.

>>> torch.rand_like(torch.ones(2, 3)).shape
torch.Size([2, 3])",
        |a| finish(drawn(like(a, 1)?, |t| random::uniform(t, 0.0, 1.0))?, a, 2);
    "randn_like(Tensor self, *, ScalarType? dtype=None, bool requires_grad=False)",
        "`randn` of the shape, dtype and memory order of `input`.

>>> torch.randn_like(torch.ones(2, 3)).shape
torch.Size([2, 3])",
        |a| finish(drawn(like(a, 1)?, |t| random::normal(t, 0.0, 1.0))?, a, 2);
    "randint(int high, int[] size, *, ScalarType? dtype=None, bool requires_grad=False)",
        "Random integers from `low` (0 if not given) up to `high`, `high` itself excluded. \
        Raises RuntimeError
if there are none between them.

>>> _ = torch.manual_seed(0)
>>> torch.randint(10, (3,))
tensor([4, 9, 3])",
        |a| integers(a, 0, 0);
    "randint(int low, int high, int[] size, *, ScalarType? dtype=None, bool requires_grad=False)",
        "",
        |a| integers(a, a.int(0)?, 1);
    "randint_like(Tensor self, int high, *, ScalarType? dtype=None, bool requires_grad=False)",
        "`randint` of the shape, dtype and memory order of `input`.

>>> torch.randint_like(torch.ones(2, 3), 10).shape
torch.Size([2, 3])",
        |a| finish(randint(like(a, 2)?, 0, a.int(1)?)?, a, 3);
    "randint_like(Tensor self, int low, int high, *, ScalarType? dtype=None, bool \
    requires_grad=False)",
        "",
        |a| finish(randint(like(a, 3)?, a.int(1)?, a.int(2)?)?, a, 4);
    "randperm(int n, *, ScalarType? dtype=None, bool requires_grad=False)",
        "The numbers from 0 to `n - 1` in random order. Raises RuntimeError for a negative `n`.

>>> torch.randperm(5).sum()
tensor(10)",
        |a| {
        let n = a.int(0)?;
        let text = "Trying to create tensor with negative dimension";
        let n = usize::try_from(n).map_err(|_| err!(Runtime, "{text} {n}: [{n}]"))?;
        finish(random::permutation(n, a.opt_dtype(1)?.unwrap_or(DType::I64))?, a, 2)
    };
    "normal(Tensor mean, Tensor std)",
        "Normal random numbers; `mean` and `std` may be tensors, whose shapes broadcast.

Raises RuntimeError for a negative deviation.

>>> _ = torch.manual_seed(0)
>>> torch.normal(0.0, 1.0, (2,))
tensor([ 1.5410, -0.2934])
>>> torch.normal(torch.tensor([1.0, 2.0]), 0.0)
tensor([1., 2.])",
        |a| random::normal_of(a.tensor(0)?.into(), a.tensor(1)?.into());
    "normal(Tensor mean, float std=1)",
        "",
        |a| random::normal_of(a.tensor(0)?.into(), Operand::Number(a.number(1)?));
    "normal(float mean, Tensor std)",
        "",
        |a| random::normal_of(Operand::Number(a.number(0)?), a.tensor(1)?.into());
    "normal(float mean, float std, int[] size, *, ScalarType? dtype=None, bool \
    requires_grad=False)",
        "",
        |a| finish(normal(a)?, a, 4);
    "bernoulli(Tensor self)",
        "1 with the probability that stands at the same place of `input` (or with the one \
        probability `p`),
else 0. Raises RuntimeError for numbers that are no probabilities.

>>> torch.bernoulli(torch.tensor([0.0, 1.0]))
tensor([0., 1.])",
        |a| op::call1(Id::BERNOULLI, &[a.tensor(0)?.into()]);
    "bernoulli(Tensor self, float p)",
        "",
        |a| drawn(like(a, 2)?, |t| random::bernoulli(t, a.number(1)?.to_f64()));
    "poisson(Tensor self)",
        "Poisson numbers of the rate that stands at the same place of `input`. Raises \
        RuntimeError for\na negative rate.\n\n>>> torch.poisson(torch.tensor([0.0, \
        0.0]))\ntensor([0., 0.])",
        |a| op::call1(Id::POISSON, &[a.tensor(0)?.into()]);
    "multinomial(Tensor self, int num_samples, bool replacement=False)",
        "Indices drawn in proportion to the weights in `input`, or in each of its rows. Raises \
        RuntimeError for
weights that are negative or all zero.

>>> torch.multinomial(torch.tensor([0.0, 1.0]), 1)
tensor([1])",
        |a| random::multinomial(a.tensor(0)?, a.int(1)?, a.bool(2)?);
    "scalar_tensor(Scalar s, *, ScalarType? dtype=None, bool requires_grad=False)",
        "A tensor without dimensions, of the default dtype if none is given.

>>> torch.scalar_tensor(3)
tensor(3.)",
        |a| finish(Tensor::full(&[], a.number(0)?, dtype(a, 1)?)?, a, 2);
}

/// One Python name: its overloads.
struct Named {
    name: String,
    doc: &'static str,
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
                    let name = schema.name.clone();
                    out.push(Named { name, doc: c.doc, overloads: vec![(schema, c.run)] });
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
    // SAFETY: the arguments as the interpreter gave them; `cleaned` keeps what it points to.
    slot(|| unsafe {
        let entry = &named()[I];
        let shared = Cleaned::new(args, n as usize, kw)?;
        let (args, kw) = (shared.args(args), shared.names(kw));
        let schemas: SmallVec<[&Schema; 4]> = entry.overloads.iter().map(|o| &o.0).collect();
        let (which, mut values) = bind_schema(&entry.name, &schemas, args, n as usize, kw)?;
        adjust(schemas[which], &mut values, &shared)?;
        let run = || Ok((entry.overloads[which].1)(&Args(&values))?);
        let made = with_argument(shared.generator, run)?;
        match shared.out {
            Some(out) => {
                let anywhere = FILLED.contains(&entry.name.as_str());
                crate::out::into_one(
                    &format!("aten::{}", entry.name),
                    out,
                    smallvec![made],
                    anywhere,
                )
            }
            None => wrap(made),
        }
    })
}

/// Functions whose `out=` tensor PyTorch lets be expanded.
const FILLED: [&str; 6] = ["empty", "eye", "full", "ones", "randperm", "zeros"];

/// Lets `out=` decide the dtype, and `memory_format=` the memory order of what is made like `self`.
fn adjust(schema: &Schema, values: &mut Values, shared: &Cleaned) -> Result<(), Raised> {
    if let Some(Value::Tensor(t)) = values.first()
        && shared.rows
        && !t.is_contiguous()
    {
        values[0] = Value::Tensor(Tensor::empty(t.shape(), t.dtype())?);
    }
    let (Some(out), Some(at)) =
        (shared.out, schema.params.iter().position(|p| p.ty == Type::DType))
    else {
        return Ok(());
    };
    let Some(out) = tensor_ref(out) else {
        let (name, class) = (&schema.name, crate::data::class_name(out));
        return Err(err!(Type, "{name}(): argument 'out' must be Tensor, not {class}").into());
    };
    match values[at] {
        Value::DType(d) if d != out.dtype() => {
            let (a, b) = (d.scalar_name(), out.dtype().scalar_name());
            let text = format!("dtype {a} does not match dtype of out parameter ({b})");
            Err(err!(Runtime, "{text}").into())
        }
        _ => {
            values[at] = Value::DType(out.dtype());
            Ok(())
        }
    }
}

/// The floating dtype of new tensors.
///
/// >>> torch.get_default_dtype()
/// torch.float32
#[pyfunction]
fn get_default_dtype(py: Python<'_>) -> PyResult<Py<PyAny>> {
    dtypes::object(py, default_dtype())
}

/// Sets the floating dtype of new tensors. Raises TypeError for one that is not floating.
///
/// >>> torch.set_default_dtype(torch.float64)
/// >>> torch.tensor(1.0).dtype
/// torch.float64
/// >>> torch.set_default_dtype(torch.float32)
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
macro_rules! entries {
    ($($i:literal)*) => { [$(create::<$i> as ffi::PyCFunctionFastWithKeywords),*] };
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    let entries = entries!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
        16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
    for (n, &f) in named().iter().zip(&entries) {
        table::add_function(m, table::method_def(&n.name, f, n.doc))?;
    }
    m.add_function(wrap_pyfunction!(get_default_dtype, m)?)?;
    m.add_function(wrap_pyfunction!(set_default_dtype, m)?)?;
    m.add_function(wrap_pyfunction!(_resize, m)?)?;
    m.add_function(wrap_pyfunction!(_set, m)?)
}
