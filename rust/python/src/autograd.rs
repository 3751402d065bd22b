//! Backward passes and grad modes.

use crate::convert::{Arg, Guarded, Held, Ret, py_result};
use crate::depth;
use crate::errors::from_python;
use crate::node::Node;
use crate::object::tensor_ref;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wengert::engine::{self, Options};
use wengert::saved::Preserve;
use wengert::tape::{Edge, Meta};
use wengert::{Tensor, batch, err, mode};

const IMPLICIT: &str = "grad can be implicitly created only for scalar outputs";

/// A root or an input of a pass: a tensor, or a `GradientEdge`.
pub enum Place {
    Tensor(Tensor),
    Edge(Edge),
}

impl<'a, 'py> FromPyObject<'a, 'py> for Place {
    type Error = PyErr;
    fn extract(o: Borrowed<'a, 'py, PyAny>) -> PyResult<Place> {
        if let Some(t) = tensor_ref(o.as_ptr()) {
            return Ok(Place::Tensor(t.clone()));
        }
        if let Ok(pair) = o.cast::<PyTuple>()
            && pair.len() >= 2
            && let Ok(node) = pair.get_item(0)?.cast::<Node>()
        {
            let output: u32 = pair.get_item(1)?.extract()?;
            return Ok(Place::Edge(node.get().edge(output)));
        }
        let name = o.get_type().name()?;
        Err(PyRuntimeError::new_err(format!(
            "all inputs have to be Tensors or GradientEdges, but got {name}"
        )))
    }
}

impl Place {
    fn edge(&self) -> wengert::Result<Edge> {
        match self {
            Place::Tensor(t) if batch::is_batched(t) => batch::innermost(t).gradient_edge(),
            Place::Tensor(t) => t.gradient_edge(),
            Place::Edge(e) => Ok(e.clone()),
        }
    }

    /// A gradient that arrived here, batched as the tensor is.
    fn wrapped(&self, g: Option<Tensor>) -> wengert::Result<Option<Tensor>> {
        match (self, g) {
            (Place::Tensor(t), Some(g)) if batch::is_batched(t) => batch::like(&g, t).map(Some),
            (_, g) => Ok(g),
        }
    }

    /// The edge and the gradient that a pass starts with.
    fn start(&self, i: usize, given: Option<&Tensor>) -> wengert::Result<(Edge, Tensor)> {
        if let Place::Tensor(t) = self
            && batch::is_batched(t)
        {
            let one = match given {
                Some(g) => g.clone(),
                None if t.numel() == 1 => Tensor::full(t.shape(), 1.0.into(), t.dtype())?,
                None => return Err(err!(Runtime, "{IMPLICIT}")),
            };
            return Place::Tensor(batch::innermost(t)).start(i, Some(&batch::beside(&one, t)?));
        }
        let (requires, edge, meta) = match self {
            Place::Tensor(t) if t.requires_grad() => (true, t.gradient_edge()?, Some(t.into())),
            Place::Tensor(t) => (false, Edge::None, Some(t.into())),
            Place::Edge(e) => (true, e.clone(), meta_of(e)),
        };
        // What a node does not know about its outputs is what was given.
        let Some(meta) = meta.or_else(|| given.map(Meta::from)) else {
            return Err(err!(Runtime, "{IMPLICIT}"));
        };
        let grad = engine::root_grad(i, requires, &edge, &meta, given)?;
        Ok((edge, grad))
    }
}

/// Shape and dtype of the gradients that go along an edge, if they are known.
fn meta_of(e: &Edge) -> Option<Meta> {
    match e {
        Edge::None => None,
        Edge::Leaf(t) => Some(Meta::from(t)),
        Edge::Node(n, k) => n.info()?.outputs.get(*k as usize).cloned(),
    }
}

type Started = (Vec<Edge>, Vec<Tensor>);

fn start(roots: &[Place], grads: &[Option<Arg>]) -> wengert::Result<Started> {
    let given = |i: usize| grads.get(i).and_then(Option::as_ref).map(|a| &a.0);
    roots.iter().enumerate().map(|(i, r)| r.start(i, given(i))).collect()
}

/// Runs backward from `roots`; gradients go to leaves, or to `inputs` only.
#[pyfunction]
#[pyo3(signature = (roots, grads, retain_graph, create_graph, inputs))]
pub fn _backward(
    roots: Vec<Place>,
    grads: Vec<Option<Arg>>,
    retain_graph: bool,
    create_graph: bool,
    inputs: Option<Vec<Place>>,
) -> PyResult<()> {
    check_outside()?;
    let pass = || {
        let (edges, grads) = start(&roots, &grads)?;
        let inputs = inputs.as_deref().map(kept).transpose()?;
        let options =
            Options { retain_graph, create_graph, inputs: inputs.as_deref(), accumulate: true };
        engine::run(&edges, grads, options)
    };
    py_result(depth::run(pass)).map(drop)
}

/// Inputs of `backward`, which keep their gradient.
fn kept(inputs: &[Place]) -> wengert::Result<Vec<Edge>> {
    let keep = |p: &Place| {
        if let Place::Tensor(t) = p {
            t.retain_grad()?;
        }
        p.edge()
    };
    inputs.iter().map(keep).collect()
}

/// Backward from one tensor with default options: the fast path of `Tensor.backward()`.
#[pyfunction]
pub fn _backward_one(root: Arg) -> PyResult<()> {
    check_outside()?;
    py_result(depth::run(|| root.0.backward()))
}

/// Gradients of `roots` with respect to `inputs`; None where there is no path.
#[pyfunction]
pub fn _grad(
    roots: Vec<Place>,
    inputs: Vec<Place>,
    grads: Vec<Option<Arg>>,
    retain_graph: bool,
    create_graph: bool,
) -> PyResult<Vec<Option<Ret>>> {
    gradients(&roots, &inputs, &grads, retain_graph, create_graph)
}

/// As [`_grad`], of one tensor with respect to one.
#[pyfunction]
pub fn _grad_one(
    root: Arg,
    input: Arg,
    grad: Option<Arg>,
    retain_graph: bool,
    create_graph: bool,
) -> PyResult<Option<Ret>> {
    let (root, input) = ([Place::Tensor(root.0)], [Place::Tensor(input.0)]);
    Ok(gradients(&root, &input, &[grad], retain_graph, create_graph)?.pop().flatten())
}

fn gradients(
    roots: &[Place],
    inputs: &[Place],
    grads: &[Option<Arg>],
    retain_graph: bool,
    create_graph: bool,
) -> PyResult<Vec<Option<Ret>>> {
    let pass = || {
        let (edges, grads) = start(roots, grads)?;
        let to: Vec<Edge> = inputs.iter().map(Place::edge).collect::<wengert::Result<_>>()?;
        let options = Options { retain_graph, create_graph, inputs: Some(&to), accumulate: false };
        let found = engine::run(&edges, grads, options)?;
        found.into_iter().zip(inputs).map(|(g, place)| place.wrapped(g)).collect()
    };
    let out: Vec<Option<Tensor>> = py_result(depth::run(pass))?;
    Ok(out.into_iter().map(|g| g.map(Ret)).collect())
}

/// True if the history of `root` leads to a leaf that is not private to a transform, or to one of
/// `outer`.
#[pyfunction]
pub fn _leads_out(root: Arg, outer: Vec<Arg>) -> PyResult<bool> {
    let outer: Vec<Tensor> = outer.into_iter().map(|a| a.0).collect();
    py_result(engine::leads_out(&root.0, &outer))
}

/// The same tensor, a leaf that requires a gradient from now on: as `requires_grad_`, also inside
/// transforms.
#[pyfunction]
pub fn _requiring(t: Arg) -> PyResult<Ret> {
    py_result(t.0.requires_grad_(true)).map(Ret)
}

/// True if no Python code runs when gradients go through the history of `root`.
#[pyfunction]
pub fn _is_plain(root: Arg) -> PyResult<bool> {
    py_result(engine::is_plain(&root.0))
}

/// Calls a function when the running pass ends.
#[pyfunction]
pub fn _queue_callback(f: Py<PyAny>) -> PyResult<()> {
    let f = Guarded(Held::from(f));
    py_result(engine::queue_callback(Rc::new(move || {
        let f = &f.0;
        // SAFETY: the core is only entered under the GIL.
        f.call0(unsafe { Python::assume_attached() }).map_err(from_python).map(drop)
    })))
}

/// A number that tells the running pass from others, or None.
#[pyfunction]
pub fn _current_pass() -> Option<u32> {
    engine::current_pass()
}

/// Which of these tensors the running pass computes a gradient for.
#[pyfunction]
pub fn _will_run(tensors: Vec<Place>) -> PyResult<Vec<bool>> {
    let edges = tensors.iter().map(Place::edge).collect::<wengert::Result<Vec<_>>>();
    Ok(engine::will_run(&py_result(edges)?))
}

/// True if a running pass computes the gradients of some inputs only.
#[pyfunction]
pub fn _inputs_given() -> bool {
    engine::inputs_given()
}

/// Counts a write to each of these tensors.
#[pyfunction]
pub fn _increment_version(tensors: Vec<Arg>) {
    tensors.iter().for_each(|t| t.0.bump_version());
}

/// Keeps the values of saved tensors while it is open.
#[pyclass(frozen, module = "torch.autograd.graph")]
pub struct _Preserve(Guarded<Rc<Preserve>>);

#[pymethods]
impl _Preserve {
    #[new]
    fn new() -> PyResult<_Preserve> {
        py_result(Preserve::open()).map(|p| _Preserve(Guarded(p)))
    }

    fn close(&self) {
        self.0.0.close();
    }
}

/// True if grad mode is on: operations on tensors that require gradients are recorded.
///
/// >>> torch.is_grad_enabled()
/// True
#[pyfunction]
pub fn is_grad_enabled() -> bool {
    mode::current().grad()
}

/// True inside `inference_mode`.
///
/// >>> torch.is_inference_mode_enabled()
/// False
#[pyfunction]
pub fn is_inference_mode_enabled() -> bool {
    mode::current().inference()
}

/// Switches grad mode on or off in this thread; returns what it was.
#[pyfunction]
pub fn _set_grad_enabled(on: bool) -> bool {
    if !on {
        OFF.fetch_add(1, Ordering::Relaxed);
    }
    mode::set_grad_enabled(on)
}

/// Sets grad mode and inference mode of this thread; returns what they were.
#[pyfunction]
pub fn _set_modes(grad: bool, inference: bool) -> (bool, bool) {
    let old = mode::set(mode::Mode::new(grad, inference));
    (old.grad(), old.inference())
}

/// Says whether gradients always get the layout of their leaf; returns what it was.
#[pyfunction]
pub fn _enforce_grad_layout(on: bool) -> bool {
    mode::set_enforces_layout(on)
}

/// Enters the function of a transform: normal mode, in which even inference tensors are saved.
/// Returns what [`_exit_transform`] is to restore.
#[pyfunction]
pub fn _enter_transform(grad: bool) -> (bool, bool, bool) {
    let (before, inference) = _set_modes(grad, false);
    (before, inference, mode::set_saves_inference(true))
}

#[pyfunction]
pub fn _exit_transform(grad: bool, inference: bool, saves_inference: bool) {
    _set_modes(grad, inference);
    mode::set_saves_inference(saves_inference);
}

static OFF: AtomicUsize = AtomicUsize::new(0);

/// How often recording was switched off so far.
#[pyfunction]
pub fn _times_off() -> usize {
    OFF.load(Ordering::Relaxed)
}

/// Fails inside the function of a transform, where PyTorch allows no backward pass.
fn check_outside() -> PyResult<()> {
    if crate::function::transforms_run() {
        return Err(PyRuntimeError::new_err(
            "backward() called inside a functorch transform. This is not supported, please use functorch.grad or functorch.vjp instead or call backward() outside of functorch transforms.",
        ));
    }
    Ok(())
}

/// Nodes and tensors alive, for tests of leaks.
#[pyfunction]
pub fn _live() -> (usize, usize) {
    (wengert::tape::live_nodes(), wengert::live_tensors())
}

/// Switches deferred evaluation on or off; returns what it was.
#[pyfunction]
pub fn _set_fusion(on: bool) -> bool {
    wengert::lazy::set_fusion(on)
}

/// True if large pointwise work may be deferred.
#[pyfunction]
pub fn _fusion_enabled() -> bool {
    wengert::lazy::fusion_enabled()
}
