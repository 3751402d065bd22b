//! Block kernels and the passes that run them, of float32, in the innermost cache and beyond it.
//!
//! `cargo bench -p wengert-kernels --bench pointwise`

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use smallvec::smallvec;
use std::time::Duration;
use wengert_kernels::pointwise::Kernels;
use wengert_kernels::program::{self, Operand, Program, Step};
use wengert_kernels::{DType, kernel};

/// 16 KiB and 16 MiB an operand.
const SIZES: [usize; 2] = [4096, 4 << 20];

const FORMULAS: [(&str, Kernels); 9] = [
    ("add", kernel!(float | a, b | a + b)),
    ("div", kernel!(float | a, b | a / b)),
    ("sqrt", kernel!(float | x | x.sqrt())),
    ("exp", kernel!(float | x | x.exp())),
    ("log", kernel!(float | x | x.log())),
    ("sin", kernel!(quick | x | x.sin())),
    ("tanh", kernel!(float | x | x.tanh())),
    ("erf", kernel!(float | x | x.erf())),
    ("pow", kernel!(float | a, b | a.pow(b))),
];

fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| 0.1 + (i % 97) as f32 * 0.05).collect()
}

/// Elements in a row, after each other.
fn row(ptr: *const f32) -> Operand {
    Operand { ptr: ptr.cast_mut().cast(), size: 4, strides: smallvec![4] }
}

/// One step over two inputs.
fn single(kernels: &Kernels) -> Program {
    let kernel = kernels.get(DType::F32).expect("a clause for float32");
    Program {
        inputs: 2,
        steps: smallvec![Step { kernel, dst: 2, src: [0, 1, 0] }],
        registers: 3,
        element: 4,
        results: smallvec![2],
    }
}

fn passes(c: &mut Criterion) {
    let mut group = c.benchmark_group("pointwise");
    for n in SIZES {
        let (a, b, mut out) = (numbers(n), numbers(n), vec![0f32; n]);
        let inputs = [row(a.as_ptr()), row(b.as_ptr())];
        let outputs = [row(out.as_mut_ptr())];
        group.throughput(Throughput::Elements(n as u64));
        for (name, kernels) in &FORMULAS {
            let program = single(kernels);
            group.bench_function(BenchmarkId::new(*name, n), |bench| {
                // SAFETY: three vectors of `n` floats, none shared.
                bench.iter(|| unsafe { program::run(&program, &[n], &inputs, &outputs) });
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = passes
}
criterion_main!(benches);
