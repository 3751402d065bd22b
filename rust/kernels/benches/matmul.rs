//! Matrix products on one thread: `cargo bench -p wengert-kernels --bench matmul`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use wengert_kernels::gemm::{self, GemmElement};
use wengert_kernels::threads;

/// What is multiplied: `batch` products of m x k and k x n.
struct Case {
    name: &'static str,
    sizes: [usize; 4],
    /// A lies column by column.
    transposed: bool,
}

const fn square(name: &'static str, n: usize) -> Case {
    Case { name, sizes: [1, n, n, n], transposed: false }
}

const CASES: [Case; 8] = [
    square("8", 8),
    square("32", 32),
    square("64", 64),
    square("128", 128),
    square("512", 512),
    Case { name: "32x784x256", sizes: [1, 32, 256, 784], transposed: false },
    Case { name: "64 of 96x64x96", sizes: [64, 96, 96, 64], transposed: false },
    Case { name: "A^T B, 512", sizes: [1, 512, 512, 512], transposed: true },
];

/// Numbers that neither grow nor vanish.
fn numbers<T: From<f32>>(n: usize) -> Vec<T> {
    (0..n).map(|i| T::from((i % 7) as f32 * 0.25 - 0.75)).collect()
}

fn products<T: GemmElement + From<f32>>(c: &mut Criterion, dtype: &str) {
    let mut group = c.benchmark_group(format!("matmul {dtype}"));
    for Case { name, sizes: [batch, m, n, k], transposed } in CASES {
        let (a, b) = (numbers::<T>(batch * m * k), numbers::<T>(batch * k * n));
        let mut out = numbers::<T>(batch * m * n);
        let rows = |r: usize, c: usize| [(r * c) as isize, c as isize, 1];
        let a_strides = if transposed { [(m * k) as isize, 1, m as isize] } else { rows(m, k) };
        let (zero, one) = (T::from(0.0), T::from(1.0));
        group.throughput(Throughput::Elements((2 * batch * m * n * k) as u64));
        group.bench_function(name, |bench| {
            bench.iter(|| {
                let (a, b, out) = (black_box(a.as_ptr()), b.as_ptr(), out.as_mut_ptr());
                let (sb, so) = (rows(k, n), rows(m, n));
                // SAFETY: three vectors of the sizes and strides given.
                unsafe {
                    gemm::batched(batch, m, n, k, one, a, a_strides, b, sb, zero, out, so);
                }
            });
        });
    }
    group.finish();
}

fn all(c: &mut Criterion) {
    threads::set_num_threads(1);
    products::<f32>(c, "f32");
    products::<f64>(c, "f64");
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1200))
        .sample_size(20);
    targets = all
}
criterion_main!(benches);
