//! What this machine can do at most: fused multiply-adds, reading, and writing while reading.
//!
//! Prints JSON on one line, in GFLOP/s and GB/s, on one thread and on all of them; each the best of
//! several short rounds, because machines are shared. `benches/versus_torch.py` puts it in its
//! header: a kernel is judged by its distance to these.

use std::hint::black_box;
use std::thread;
use std::time::Instant;
use wengert_kernels::dispatch;
use wengert_kernels::isa::{self, Isa, Level};

const FMA_STEPS: usize = 4_000_000;
/// Elements of each array: 128 MiB, beyond every cache.
const LEN: usize = 32 << 20;
const ROUNDS: usize = 5;

/// Multiplies and adds in `N` independent sums; one flat array, for nested ones are vectorised
/// with gathers.
#[inline(always)]
fn multiply_add<I: Isa, const N: usize>(steps: usize) -> usize {
    let mut sums = [1.0f32; N];
    let (factor, term) = (black_box(0.9999f32), black_box(1e-6f32));
    for _ in 0..steps {
        for sum in &mut sums {
            *sum = I::fma32(*sum, factor, term);
        }
    }
    black_box(sums);
    2 * N * steps
}

/// The number of operations done. Twelve vectors hide the latency of two pipelines, and leave
/// registers for the operands.
fn fma_loop(steps: usize) -> usize {
    dispatch!(I, (steps: usize) -> usize => match I::LEVEL {
        Level::Avx512 => multiply_add::<I, { 12 * 16 }>(steps),
        Level::Avx2 => multiply_add::<I, { 12 * 8 }>(steps),
        Level::Baseline => multiply_add::<I, { 12 * 4 }>(steps),
    })
}

#[inline(always)]
fn add_up(values: &[f32]) -> f32 {
    let mut sums = [0.0f32; 128];
    for chunk in values.chunks_exact(128) {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += x;
        }
    }
    sums.iter().sum()
}

fn read(values: &[f32]) -> f32 {
    dispatch!(I, (values: &[f32]) -> f32 => { let _ = I::LEVEL; add_up(values) })
}

/// `c = a + 1.5 b`, past the caches where the processor has a store for that.
fn triad(a: &[f32], b: &[f32], c: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_mm_add_ps, _mm_loadu_ps, _mm_mul_ps, _mm_set1_ps, _mm_stream_ps};
        assert!(a.len() == c.len() && b.len() == c.len());
        assert!(c.as_ptr().cast::<[f32; 4]>().is_aligned() && c.len().is_multiple_of(4));
        for i in (0..c.len()).step_by(4) {
            // SAFETY: SSE is part of x86-64; i + 4 <= len for all three; c is aligned to 16 bytes.
            unsafe {
                let scaled = _mm_mul_ps(_mm_loadu_ps(b.as_ptr().add(i)), _mm_set1_ps(1.5));
                let sum = _mm_add_ps(_mm_loadu_ps(a.as_ptr().add(i)), scaled);
                _mm_stream_ps(c.as_mut_ptr().add(i), sum);
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    for ((c, a), b) in c.iter_mut().zip(a).zip(b) {
        *c = a + 1.5 * b;
    }
}

/// Seconds of the fastest of several rounds.
fn best(mut round: impl FnMut()) -> f64 {
    (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            round();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}

fn fma(threads: usize) -> f64 {
    let mut operations = 0;
    let seconds = best(|| {
        operations = thread::scope(|scope| {
            let workers: Vec<_> =
                (0..threads).map(|_| scope.spawn(|| fma_loop(black_box(FMA_STEPS)))).collect();
            workers.into_iter().map(|worker| worker.join().expect("it cannot panic")).sum()
        });
    });
    operations as f64 / seconds / 1e9
}

fn main() {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let (a, b) = (vec![1.0f32; LEN], vec![2.0f32; LEN]);
    let mut store = vec![0.0f32; LEN + 16];
    let skip = store.as_ptr().align_offset(64);
    let c = &mut store[skip..skip + LEN];
    let part = LEN / threads / 64 * 64;
    let reading = best(|| {
        thread::scope(|scope| {
            for values in a.chunks_exact(part) {
                scope.spawn(move || black_box(read(values)));
            }
        });
    });
    let writing = best(|| {
        thread::scope(|scope| {
            let parts = a.chunks_exact(part).zip(b.chunks_exact(part));
            for ((a, b), c) in parts.zip(c.chunks_exact_mut(part)) {
                scope.spawn(move || triad(a, b, c));
            }
        });
    });
    let bytes = (part * threads * size_of::<f32>()) as f64;
    println!(
        "{{\"level\": \"{:?}\", \"threads\": {threads}, \"fma_one_thread\": {:.1}, \"fma\": {:.1}, \
         \"read\": {:.1}, \"triad\": {:.1}}}",
        isa::level(),
        fma(1),
        fma(threads),
        bytes / reading / 1e9,
        3.0 * bytes / writing / 1e9,
    );
}
