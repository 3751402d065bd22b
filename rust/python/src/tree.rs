//! Nested dicts, lists and tuples as a list of leaves and a form.

use crate::convert::Guarded;
use pyo3::exceptions::PyStopIteration;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyIterator, PyList, PyTuple, PyType};

/// The form of a nested value: type, keys and parts; a leaf has no type.
#[pyclass(frozen, name = "_Spec", module = "torch._C")]
pub struct Spec {
    kind: Option<Py<PyType>>,
    keys: Option<Py<PyList>>,
    parts: Guarded<Vec<Py<Spec>>>,
    /// How many leaves it has.
    count: usize,
}

/// What a container is made of.
enum Container<'py> {
    Keyed(Bound<'py, PyList>),
    Listed,
    Named,
}

fn ordered_dict(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "collections", "OrderedDict")
}

fn container<'py>(o: &Bound<'py, PyAny>) -> PyResult<Option<Container<'py>>> {
    let py = o.py();
    if o.is_exact_instance_of::<PyTuple>() || o.is_exact_instance_of::<PyList>() {
        return Ok(Some(Container::Listed));
    }
    if let Ok(dict) = o.cast::<PyDict>() {
        let keys = dict.keys();
        if o.is_exact_instance_of::<PyDict>() {
            // Keys that have no order stay as they are.
            let sorted = PyList::new(py, keys.iter())?;
            return Ok(Some(Container::Keyed(if sorted.sort().is_ok() { sorted } else { keys })));
        }
        let ordered = o.get_type().is(ordered_dict(py)?);
        return Ok(ordered.then_some(Container::Keyed(keys)));
    }
    let named = o.is_instance_of::<PyTuple>() && o.get_type().hasattr(intern!(py, "_fields"))?;
    Ok(named.then_some(Container::Named))
}

fn leaf(py: Python<'_>) -> PyResult<Py<Spec>> {
    static LEAF: PyOnceLock<Py<Spec>> = PyOnceLock::new();
    LEAF.get_or_try_init(py, || Py::new(py, Spec::new())).map(|s| s.clone_ref(py))
}

fn flatten_into(o: &Bound<'_, PyAny>, leaves: &mut Vec<Py<PyAny>>) -> PyResult<Py<Spec>> {
    let py = o.py();
    let Some(found) = container(o)? else {
        leaves.push(o.clone().unbind());
        return leaf(py);
    };
    let before = leaves.len();
    let (parts, keys) = match &found {
        Container::Keyed(keys) => {
            let part = |k: Bound<'_, PyAny>| flatten_into(&o.get_item(k)?, leaves);
            (keys.iter().map(part).collect::<PyResult<Vec<_>>>()?, Some(keys.clone().unbind()))
        }
        _ => {
            let part = |p: PyResult<Bound<'_, PyAny>>| flatten_into(&p?, leaves);
            (o.try_iter()?.map(part).collect::<PyResult<Vec<_>>>()?, None)
        }
    };
    let kind = Some(o.get_type().unbind());
    let count = leaves.len() - before;
    Py::new(py, Spec { kind, keys, parts: Guarded(parts), count })
}

/// `(leaves, form)` of a nested value.
#[pyfunction]
pub fn _flatten(tree: &Bound<'_, PyAny>) -> PyResult<(Vec<Py<PyAny>>, Py<Spec>)> {
    let mut leaves = Vec::new();
    let spec = flatten_into(tree, &mut leaves)?;
    Ok((leaves, spec))
}

fn built<'py>(leaves: &mut Bound<'py, PyIterator>, spec: &Spec) -> PyResult<Bound<'py, PyAny>> {
    let py = leaves.py();
    let Some(kind) = &spec.kind else {
        return leaves.next().unwrap_or_else(|| Err(PyStopIteration::new_err(())));
    };
    let parts = spec.parts.0.iter().map(|p| built(leaves, p.get()));
    let parts = parts.collect::<PyResult<Vec<_>>>()?;
    let kind = kind.bind(py);
    if let Some(keys) = &spec.keys {
        let made = kind.call0()?;
        for (k, v) in keys.bind(py).iter().zip(parts) {
            made.set_item(k, v)?;
        }
        return Ok(made);
    }
    if kind.is(py.get_type::<PyTuple>()) {
        return Ok(PyTuple::new(py, parts)?.into_any());
    }
    if kind.is(py.get_type::<PyList>()) {
        return Ok(PyList::new(py, parts)?.into_any());
    }
    kind.call1(PyTuple::new(py, parts)?)
}

/// The nested value again, with these leaves.
#[pyfunction]
pub fn _unflatten<'py>(leaves: &Bound<'py, PyAny>, spec: &Spec) -> PyResult<Bound<'py, PyAny>> {
    built(&mut leaves.try_iter()?, spec)
}

impl Spec {
    fn same(&self, other: &Spec, py: Python<'_>) -> PyResult<bool> {
        let kinds = match (&self.kind, &other.kind) {
            (None, None) => return Ok(true),
            (Some(a), Some(b)) => a.is(b),
            _ => false,
        };
        let keys = match (&self.keys, &other.keys) {
            (None, None) => true,
            (Some(a), Some(b)) => a.bind(py).eq(b.bind(py))?,
            _ => false,
        };
        if !(kinds && keys && self.parts.0.len() == other.parts.0.len()) {
            return Ok(false);
        }
        for (a, b) in self.parts.0.iter().zip(&other.parts.0) {
            if !a.get().same(b.get(), py)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[pymethods]
impl Spec {
    #[new]
    fn new() -> Spec {
        Spec { kind: None, keys: None, parts: Guarded(Vec::new()), count: 1 }
    }

    #[getter]
    fn kind(&self, py: Python<'_>) -> Option<Py<PyType>> {
        self.kind.as_ref().map(|k| k.clone_ref(py))
    }

    #[getter]
    fn keys(&self, py: Python<'_>) -> Option<Py<PyList>> {
        self.keys.as_ref().map(|k| k.clone_ref(py))
    }

    #[getter]
    fn parts(&self, py: Python<'_>) -> Vec<Py<Spec>> {
        self.parts.0.iter().map(|p| p.clone_ref(py)).collect()
    }

    fn __len__(&self) -> usize {
        self.count
    }

    fn __eq__(&self, other: &Spec, py: Python<'_>) -> PyResult<bool> {
        self.same(other, py)
    }

    fn __str__(&self, py: Python<'_>) -> PyResult<String> {
        let Some(kind) = &self.kind else { return Ok("*".into()) };
        let parts = self.parts.0.iter().map(|p| p.get().__str__(py));
        let parts = parts.collect::<PyResult<Vec<_>>>()?;
        if let Some(keys) = &self.keys {
            let pair = |(k, p): (Bound<'_, PyAny>, &String)| Ok(format!("{}: {p}", k.repr()?));
            let pairs = keys.bind(py).iter().zip(&parts).map(pair);
            return Ok(format!("{{{}}}", pairs.collect::<PyResult<Vec<_>>>()?.join(", ")));
        }
        if kind.bind(py).is(py.get_type::<PyList>()) {
            return Ok(format!("[{}]", parts.join(", ")));
        }
        let end = if parts.len() == 1 { "," } else { "" };
        Ok(format!("({}{end})", parts.join(", ")))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let Some(kind) = &self.kind else { return Ok("*".into()) };
        let part = |p: &Py<Spec>| Ok(p.get().__repr__(py)?.replace('\n', "\n  "));
        let parts = self.parts.0.iter().map(part).collect::<PyResult<Vec<_>>>()?;
        let keys = match &self.keys {
            Some(keys) => keys.bind(py).repr()?.to_string(),
            None => "None".into(),
        };
        let name = kind.bind(py).name()?;
        Ok(format!("TreeSpec({name}, {keys}, [{}])", parts.join(",\n  ")))
    }
}
