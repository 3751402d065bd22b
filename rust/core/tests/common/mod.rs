//! Helpers of the integration tests.
#![allow(dead_code)]

use wengert::op::{by_name, call};
use wengert::{DType, Error, Scalar, Tensor, Value, engine};

/// A tensor of the given shape and values.
pub fn tensor(shape: &[usize], values: &[f64]) -> Tensor {
    Tensor::from_slice(values).reshape(shape).unwrap()
}

/// A leaf with reproducible, unequal values between -1 and 1.
pub fn leaf(shape: &[usize], seed: usize) -> Tensor {
    let n: usize = shape.iter().product();
    let t = Tensor::build(n, DType::F64, |i| {
        Scalar::Float(((i * 37 + seed * 101 + 5) as f64 * 0.7391).sin())
    });
    t.unwrap().reshape(shape).unwrap().detach().requires_grad_(true).unwrap()
}

/// A tensor of int64.
pub fn longs(shape: &[usize], values: &[i64]) -> Tensor {
    Tensor::from_slice(values).reshape(shape).unwrap()
}

pub fn vec64(t: &Tensor) -> Vec<f64> {
    t.to_vec::<f64>().unwrap()
}

pub fn close(got: &Tensor, want: &[f64], tol: f64) {
    let got = vec64(got);
    assert_eq!(got.len(), want.len(), "{got:?} and {want:?}");
    for (g, w) in got.iter().zip(want) {
        let same = g == w || (g.is_nan() && w.is_nan());
        assert!(same || (g - w).abs() <= tol * w.abs().max(1.0), "{got:?}, expected {want:?}");
    }
}

/// Calls the first operation of a name, filling in defaults.
pub fn op(name: &str, args: &[Value]) -> Result<Tensor, Error> {
    let id = *by_name(name).first().unwrap_or_else(|| panic!("no operation {name}"));
    let mut all = args.to_vec();
    for p in &id.op().schema.params[args.len()..] {
        all.push(p.default.as_ref().map_or(Value::None, |d| d.value()));
    }
    Ok(call(id, &all)?.remove(0))
}

pub fn message(r: Result<Tensor, Error>) -> String {
    let e = r.err().expect("an error");
    format!("{:?}: {}", e.kind, e.message)
}

/// The name of the node that made `t`.
pub fn node(t: &Tensor) -> String {
    t.grad_node().unwrap().map_or("None".into(), |n| n.name())
}

fn weighted_sum(y: &Tensor) -> Tensor {
    let w = leaf(y.shape(), 9).detach();
    y.mul(&w).unwrap().sum_all().unwrap()
}

const GRAPH: engine::Options<'static> =
    engine::Options { retain_graph: true, create_graph: true, inputs: None, accumulate: false };

/// Compares first and second gradients of `f` with central differences.
pub fn gradcheck(name: &str, inputs: &[Tensor], f: &dyn Fn(&[Tensor]) -> Tensor) {
    let first = |x: &[Tensor]| weighted_sum(&f(x));
    compare(&format!("{name}, first"), inputs, &first);
    for k in 0..inputs.len() {
        let second = |x: &[Tensor]| {
            let g = engine::grad(&[first(x)], &[x[k].clone()], &[None], GRAPH).unwrap().remove(0);
            let g = g.unwrap_or_else(|| panic!("{name}: no gradient of input {k}"));
            weighted_sum(&g)
        };
        if second(inputs).requires_grad() {
            compare(&format!("{name}, second through {k}"), inputs, &second);
        }
    }
}

fn compare(name: &str, inputs: &[Tensor], f: &dyn Fn(&[Tensor]) -> Tensor) {
    let grads = engine::grad(&[f(inputs)], inputs, &[None], Default::default()).unwrap();
    for (k, x) in inputs.iter().enumerate() {
        let values = vec64(x);
        let at = |i: usize, h: f64| {
            let mut v = values.clone();
            v[i] += h;
            let mut moved = inputs.to_vec();
            moved[k] = tensor(x.shape(), &v).detach().requires_grad_(true).unwrap();
            f(&moved).item().unwrap().to_f64()
        };
        let h = 1e-5;
        let numeric: Vec<f64> =
            (0..values.len()).map(|i| (at(i, h) - at(i, -h)) / (2.0 * h)).collect();
        let got = grads[k].as_ref().map_or(vec![0.0; values.len()], |g| {
            assert_eq!(g.shape(), x.shape(), "{name}: shape of gradient {k}");
            vec64(g)
        });
        for (g, n) in got.iter().zip(&numeric) {
            assert!(
                (g - n).abs() <= 1e-6 * n.abs().max(1.0),
                "{name}, input {k}: {got:?}, differences {numeric:?}"
            );
        }
    }
}
