//! What a recorded operation, a backward pass and a fused chain cost, without Python.
//!
//! `cargo bench -p wengert --bench tape`

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use wengert::{DType, Scalar, Tensor, lazy, op};

fn full(n: usize, value: f64) -> Tensor {
    Tensor::full(&[n], Scalar::Float(value), DType::F32).expect("memory")
}

fn leaf(n: usize, value: f64) -> Tensor {
    full(n, value).requires_grad_(true).expect("a float")
}

/// One operation on 8 elements: alone, and recorded.
fn one_operation(c: &mut Criterion) {
    let mut group = c.benchmark_group("one operation on 8 floats");
    let (x, y, recorded) = (full(8, 1.5), full(8, 0.5), leaf(8, 1.5));
    group.bench_function("x * y", |b| b.iter(|| black_box(&x).mul(black_box(&y))));
    group.bench_function("x * y, recorded", |b| b.iter(|| black_box(&recorded).mul(&y)));
    let column = full(2, 0.5).reshape(&[2, 1]).expect("a view");
    group.bench_function("x * column", |b| b.iter(|| black_box(&x).mul(&column)));
    group.finish();
}

/// A chain of multiplications of 8 elements: recorded, and run backward.
fn chains(c: &mut Criterion) {
    let mut group = c.benchmark_group("chain of multiplications, 8 floats");
    for length in [1_000, 50_000] {
        let (x, y) = (leaf(8, 1.0), full(8, 1.0));
        let record = || (0..length).try_fold(x.clone(), |z, _| z.mul(&y));
        group.throughput(Throughput::Elements(length));
        group.bench_function(BenchmarkId::new("record and free", length), |b| b.iter(record));
        group.bench_function(BenchmarkId::new("with backward", length), |b| {
            b.iter(|| {
                record()?.sum_all()?.backward()?;
                x.replace_grad(None);
                Ok::<(), wengert::Error>(())
            })
        });
    }
    group.finish();
}

/// `((x * y + 1.5) * x - y * 0.25).sum()` forward and backward on 2 million elements.
fn fused(c: &mut Criterion) {
    let mut group = c.benchmark_group("pointwise chain into a sum, 2 M floats");
    let n = 2 << 20;
    let (x, y) = (leaf(n, 1.5), leaf(n, 0.5));
    let number = |id, t: &Tensor, v: f64| op::call1(id, &[t.into(), Scalar::Float(v).into()]);
    let step = || {
        let inner = number(op::Id::ADD, &x.mul(&y)?, 1.5)?.mul(&x)?;
        inner.sub(&number(op::Id::MUL, &y, 0.25)?)?.sum_all()?.backward()?;
        let grads = (x.grad(), y.grad());
        x.replace_grad(None);
        y.replace_grad(None);
        Ok::<_, wengert::Error>(grads)
    };
    group.throughput(Throughput::Elements(n as u64));
    for fusion in [true, false] {
        let before = lazy::set_fusion(fusion);
        group.bench_function(if fusion { "fused" } else { "unfused" }, |b| b.iter(step));
        lazy::set_fusion(before);
    }
    group.finish();
}

fn all(c: &mut Criterion) {
    one_operation(c);
    chains(c);
    fused(c);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = all
}
criterion_main!(benches);
