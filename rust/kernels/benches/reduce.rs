//! Reductions, scans and softmax, of float32 in the innermost cache and beyond all of them.
//!
//! `cargo bench -p wengert-kernels --bench reduce`

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::time::Duration;
use wengert_kernels::DType;
use wengert_kernels::reduce::{Dims, Extremum, Op, Scan, arg_reduce, reduce, scan, variance};
use wengert_kernels::softmax::{self, Kind};

/// Square matrices: 16 KiB, and 64 MiB.
const SIDES: [usize; 2] = [64, 4096];

fn matrix(side: usize) -> Vec<f32> {
    (0..side * side).map(|i| (i as f32 * 0.739).sin()).collect()
}

/// Sizes and strides.
type Walk = Vec<(usize, isize)>;

/// Over all elements, along the rows, along the columns: dimensions kept and reduced.
fn walks(side: usize) -> [(&'static str, Walk, Walk); 3] {
    let (row, column) = ((side, side as isize), (side, 1));
    [
        ("all", vec![], vec![row, column]),
        ("rows", vec![row], vec![column]),
        ("columns", vec![column], vec![row]),
    ]
}

fn reductions(c: &mut Criterion) {
    let mut group = c.benchmark_group("reduce");
    for side in SIDES {
        let x = matrix(side);
        let (src, mut out, mut places) = (x.as_ptr().cast(), vec![0f32; side], vec![0; side]);
        let (mut var, dst) = (vec![0f32; side], out.as_mut_ptr().cast());
        group.throughput(Throughput::Elements(x.len() as u64));
        for (walk, kept, reduced) in walks(side) {
            let dims = Dims { kept: &kept, reduced: &reduced };
            for (name, op) in [("sum", Op::Sum), ("max", Op::Max), ("norm", Op::SumSquares)] {
                group.bench_function(BenchmarkId::new(format!("{name}/{walk}"), side), |b| {
                    // SAFETY: the layout of `x`; `out` has room for a row.
                    b.iter(|| unsafe { reduce(op, DType::F32, src, &dims, dst) });
                });
            }
            let to = places.as_mut_ptr();
            group.bench_function(BenchmarkId::new(format!("argmax/{walk}"), side), |b| {
                // SAFETY: as above.
                b.iter(|| unsafe { arg_reduce(Extremum::Max, DType::F32, src, &dims, None, to) });
            });
            let to = var.as_mut_ptr().cast();
            group.bench_function(BenchmarkId::new(format!("var/{walk}"), side), |b| {
                // SAFETY: as above.
                b.iter(|| unsafe { variance(DType::F32, src, &dims, (9.0, false), to, dst) });
            });
        }
    }
}

fn rows_to_rows(c: &mut Criterion) {
    for side in SIDES {
        let (x, mut out) = (matrix(side), vec![0f32; side * side]);
        let (src, dst) = (x.as_ptr().cast(), out.as_mut_ptr().cast());
        let shape = [(side, side as isize), (side, 1)];
        let mut group = c.benchmark_group("map");
        group.throughput(Throughput::Elements(x.len() as u64));
        for (dim, along) in ["columns", "rows"].into_iter().enumerate() {
            group.bench_function(BenchmarkId::new(format!("cumsum/{along}"), side), |b| {
                // SAFETY: the layout of `x`; `out` is as large.
                b.iter(|| unsafe { scan(Scan::Sum, DType::F32, src, &shape, dim, dst) });
            });
            let (outer, inner) = if dim == 0 { (1, side) } else { (side, 1) };
            let dims = softmax::Dims { outer, n: side, inner };
            for (name, kind) in [("softmax", Kind::Softmax), ("log_softmax", Kind::LogSoftmax)] {
                group.bench_function(BenchmarkId::new(format!("{name}/{along}"), side), |b| {
                    // SAFETY: as above.
                    b.iter(|| unsafe { softmax::forward(kind, DType::F32, dims, src, dst) });
                });
            }
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(300));
    targets = reductions, rows_to_rows
}
criterion_main!(benches);
