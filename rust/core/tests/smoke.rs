//! The life of a small graph, without Python.

use wengert::{DType, Scalar, Tensor, engine};

fn vec32(t: &Tensor) -> Vec<f32> {
    t.to_vec::<f32>().unwrap()
}

#[test]
fn broadcast_gradients_are_reduced() {
    let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0]).requires_grad_(true).unwrap();
    let y = Tensor::from_slice(&[4.0f32, 5.0]).reshape(&[2, 1]).unwrap();
    let y = y.requires_grad_(true).unwrap();
    let z = x.mul(&y).unwrap().add(&y.mul(&y).unwrap()).unwrap();
    z.retain_grad().unwrap();
    z.sum_all().unwrap().backward().unwrap();
    assert_eq!(vec32(&x.grad().unwrap()), [9.0, 9.0, 9.0]);
    assert_eq!(vec32(&y.grad().unwrap()), [30.0, 36.0]);
    assert_eq!(vec32(&z.grad().unwrap()), [1.0; 6]);
}

#[test]
fn gradients_of_gradients() {
    let x = Tensor::from_slice(&[2.0f64]).requires_grad_(true).unwrap();
    let y = x.mul(&x).unwrap().mul(&x).unwrap();
    let options = engine::Options { create_graph: true, retain_graph: true, ..Default::default() };
    let g =
        engine::grad(&[y], std::slice::from_ref(&x), &[None], options).unwrap().remove(0).unwrap();
    assert_eq!(g.item().unwrap(), Scalar::Float(12.0));
    let h = engine::grad(&[g], std::slice::from_ref(&x), &[None], Default::default())
        .unwrap()
        .remove(0);
    assert_eq!(h.unwrap().item().unwrap(), Scalar::Float(12.0));
}

#[test]
fn a_long_chain_runs_and_is_freed_without_recursion() {
    let before = wengert::tape::live_nodes();
    let x = Tensor::from_slice(&[1.0f32]).requires_grad_(true).unwrap();
    let one = Tensor::from_slice(&[1.0f32]);
    let mut y = x.mul(&one).unwrap();
    for _ in 0..300_000 {
        y = y.mul(&one).unwrap();
    }
    y.backward().unwrap();
    assert_eq!(vec32(&x.grad().unwrap()), [1.0]);
    drop(y);
    assert_eq!(wengert::tape::live_nodes(), before);
}

#[test]
fn fused_equals_unfused_bit_for_bit() {
    let n = 100_000;
    let run = |fused: bool| {
        let was = wengert::lazy::set_fusion(fused);
        let make = |f: fn(usize) -> f64| Tensor::build(n, DType::F32, |i| Scalar::Float(f(i)));
        let x = make(|i| (i as f64 * 0.37).sin()).unwrap().requires_grad_(true).unwrap();
        let y = make(|i| (i as f64 * 0.11).cos()).unwrap().requires_grad_(true).unwrap();
        let t =
            x.mul(&y).unwrap().add(&Tensor::full(&[], 1.5.into(), DType::F32).unwrap()).unwrap();
        let s = t.mul(&x).unwrap().sub(&y).unwrap().sum_all().unwrap();
        s.backward().unwrap();
        let out = (vec32(&s), vec32(&x.grad().unwrap()), vec32(&y.grad().unwrap()));
        wengert::lazy::set_fusion(was);
        out
    };
    let (a, b) = (run(true), run(false));
    assert!(a.0 == b.0, "sum: {:?} fused, {:?} not", a.0, b.0);
    assert!(a.1 == b.1 && a.2 == b.2, "gradients differ");
}

#[test]
fn a_write_flushes_what_reads_the_memory() {
    let x = Tensor::full(&[50_000], 2.0.into(), DType::F32).unwrap();
    let y = x.mul(&x).unwrap();
    x.fill_raw(7.0.into()).unwrap();
    assert_eq!(y.get(&[49_999]).unwrap(), Scalar::Float(4.0));
}
