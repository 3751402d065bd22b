//! Against plain loops, on every layout, with forbidden pages round inputs and results.

use super::*;
use crate::guard::Guarded;
use crate::threads;
use half::{bf16, f16};
use proptest::prelude::*;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A dimension: its size, whether it is kept, and how it lies in memory.
type Dim = (usize, bool, Lie);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    Dense,
    Backward,
    Gaps,
    Expanded,
}
use Lie::*;

/// Numbers in guarded memory, laid out as asked.
struct Input {
    dtype: DType,
    memory: Guarded,
    /// The first element, from the start of the memory.
    origin: isize,
    dims: Vec<(usize, isize)>,
}

impl Input {
    /// `order` names the dimensions from the outermost in memory to the innermost.
    fn new(dtype: DType, dims: &[Dim], order: &[usize], at_end: bool) -> Input {
        let mut out = vec![(0, 0); dims.len()];
        let (mut step, mut origin, mut span) = (1, 0, 1);
        for &d in order.iter().rev() {
            let (size, _, lie) = dims[d];
            let stride = match lie {
                Dense => step,
                Backward => -step,
                Gaps => 3 * step,
                Expanded => 0,
            };
            out[d] = (size, stride);
            let reach = (size as isize - 1).max(0) * stride;
            origin -= reach.min(0);
            span += reach.abs();
            step = if stride == 0 { step } else { stride.abs() * size.max(1) as isize };
        }
        if dims.iter().any(|d| d.0 == 0) {
            (span, origin) = (0, 0);
        }
        let memory = Guarded::new(span as usize * dtype.size(), at_end);
        let input = Input { dtype, memory, origin, dims: out };
        input.fill(|i| value(dtype, i));
        input
    }

    fn fill(&self, value: impl Fn(usize) -> f64) {
        let n = self.dims.iter().map(|d| d.0.saturating_sub(1) * d.1.unsigned_abs()).sum::<usize>();
        if !self.dims.iter().any(|d| d.0 == 0) {
            (0..=n).for_each(|i| write(self.dtype, self.memory.ptr(), i, value(i)));
        }
    }

    fn start(&self) -> *const u8 {
        // SAFETY: inside the memory.
        unsafe { self.memory.ptr().offset(self.origin * self.dtype.size() as isize) }
    }

    fn get(&self, index: &[usize]) -> f64 {
        let at: isize = index.iter().zip(&self.dims).map(|(&i, d)| i as isize * d.1).sum();
        read(self.dtype, self.memory.ptr(), (self.origin + at) as usize)
    }
}

/// Reproducible small numbers, most of them of magnitude 1 so that products stay exact.
fn value(dtype: DType, i: usize) -> f64 {
    let x = i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    match dtype {
        DType::Bool => (x % 3 == 0) as u8 as f64,
        _ if i % 1009 == 7 => 2.0,
        d if d.is_signed() && x % 2 == 0 => -1.0,
        _ => 1.0,
    }
}

macro_rules! access {
    ($($d:ident $t:ty, $from:expr, $to:expr;)*) => {
        fn write(dtype: DType, p: *mut u8, i: usize, v: f64) {
            match dtype {
                // SAFETY: the tests' own memory, of this dtype.
                $(DType::$d => unsafe { p.cast::<$t>().add(i).write($from(v)) },)*
            }
        }

        fn read(dtype: DType, p: *const u8, i: usize) -> f64 {
            match dtype {
                // SAFETY: as above.
                $(DType::$d => $to(unsafe { p.cast::<$t>().add(i).read() }),)*
            }
        }
    };
}

access! {
    Bool u8, |v| v as u8, |v| f64::from((v != 0) as u8);
    U8 u8, |v| v as u8, f64::from;
    I8 i8, |v| v as i8, f64::from;
    U16 u16, |v| v as u16, f64::from;
    I16 i16, |v| v as i16, f64::from;
    U32 u32, |v| v as u32, f64::from;
    I32 i32, |v| v as i32, f64::from;
    U64 u64, |v| v as u64, |v| v as f64;
    I64 i64, |v| v as i64, |v| v as f64;
    F16 f16, f16::from_f64, f16::to_f64;
    BF16 bf16, bf16::from_f64, bf16::to_f64;
    F32 f32, |v| v as f32, f64::from;
    F64 f64, |v| v, |v| v;
    C64 Complex<f32>, |v| Complex::new(v as f32, 0.0), |v: Complex<f32>| v.re.into();
    C128 Complex<f64>, |v| Complex::new(v, 0.0), |v: Complex<f64>| v.re;
}

/// Calls `f` with every index below `sizes`, the last dimension fastest.
fn indices(sizes: &[usize], mut f: impl FnMut(&[usize])) {
    if sizes.contains(&0) {
        return;
    }
    let mut at = vec![0; sizes.len()];
    loop {
        f(&at);
        let Some(d) = (0..sizes.len()).rev().find(|&d| at[d] + 1 < sizes[d]) else { return };
        at[d] += 1;
        at[d + 1..].fill(0);
    }
}

const OPS: [Op; 8] =
    [Op::Sum, Op::Prod, Op::SumSquares, Op::SumMagnitudes, Op::Max, Op::Min, Op::Any, Op::All];

fn takes(op: Op, d: DType) -> bool {
    let wide = matches!(d, DType::I64 | DType::U64 | DType::F32 | DType::F64) || d.is_complex();
    match op {
        Op::Sum | Op::Prod => wide,
        Op::SumSquares | Op::SumMagnitudes => matches!(d, DType::F32 | DType::F64),
        Op::Max | Op::Min => !matches!(d, DType::F16 | DType::BF16) && !d.is_complex(),
        Op::Any | Op::All => true,
    }
}

/// The reduction as a loop in order, in double precision.
fn oracle(op: Op, values: &[f64]) -> f64 {
    let truth = |b: bool| b as u8 as f64;
    let pick = |better: fn(f64, f64) -> bool| {
        let first = values.first().copied().unwrap_or(0.0);
        values.iter().fold(first, |a, &b| if b.is_nan() || better(b, a) { b } else { a })
    };
    match op {
        Op::Sum => values.iter().sum(),
        Op::Prod => values.iter().product(),
        Op::SumSquares => values.iter().map(|v| v * v).sum(),
        Op::SumMagnitudes => values.iter().map(|v| v.abs()).sum(),
        Op::Max => pick(|b, a| b > a),
        Op::Min => pick(|b, a| b < a),
        Op::Any => truth(values.iter().any(|&v| v != 0.0)),
        Op::All => truth(values.iter().all(|&v| v != 0.0)),
    }
}

/// The values each result is made of, in order.
fn groups(x: &Input, dims: &[Dim]) -> Vec<Vec<f64>> {
    let sizes =
        |kept: bool| -> Vec<usize> { dims.iter().filter(|d| d.1 == kept).map(|d| d.0).collect() };
    let mut out = Vec::new();
    indices(&sizes(true), |k| {
        let mut values = Vec::new();
        indices(&sizes(false), |r| {
            let (mut k, mut r) = (k.iter(), r.iter());
            let index: Vec<usize> = dims
                .iter()
                .filter_map(|d| if d.1 { k.next() } else { r.next() })
                .copied()
                .collect();
            values.push(x.get(&index));
        });
        out.push(values);
    });
    out
}

fn split(x: &Input, dims: &[Dim]) -> [Vec<(usize, isize)>; 2] {
    [true, false]
        .map(|kept| x.dims.iter().zip(dims).filter(|(_, d)| d.1 == kept).map(|(d, _)| *d).collect())
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 2e-6 * b.abs().max(1.0)
}

/// Runs everything that takes the dtype over one layout, and compares.
fn check(dtype: DType, dims: &[Dim], order: &[usize], at_end: bool, fill: impl Fn(usize) -> f64) {
    let x = Input::new(dtype, dims, order, at_end);
    x.fill(fill);
    let groups = groups(&x, dims);
    let [kept, reduced] = split(&x, dims);
    let walk = Dims { kept: &kept, reduced: &reduced };
    let empty = groups.iter().any(Vec::is_empty);
    let what = || format!("{dtype:?} {dims:?} {order:?} {at_end}");
    for op in OPS.into_iter().filter(|&op| takes(op, dtype)) {
        let out = if matches!(op, Op::Any | Op::All) { DType::Bool } else { dtype };
        let result = Guarded::new(groups.len() * out.size(), at_end);
        // SAFETY: the layout of the input, and room for the result.
        unsafe { reduce(op, dtype, x.start(), &walk, result.ptr()) };
        assert!(result.intact(), "{op:?} {}", what());
        for (i, values) in groups.iter().enumerate() {
            let (got, want) = (read(out, result.ptr(), i), oracle(op, values));
            // No value is promised for extrema of nothing; large products wrap or overflow.
            let skip = empty && matches!(op, Op::Max | Op::Min) || want.abs() > 1e15;
            assert!(skip || same(got, want), "{op:?} {}: {got}, not {want} at {i}", what());
        }
    }
    if takes(Op::SumSquares, dtype) {
        check_variance(&x, &walk, &groups, at_end, &what);
    }
    if takes(Op::Max, dtype) && !empty {
        check_arg(&x, &walk, &groups, at_end, &what);
    }
}

fn check_arg(x: &Input, walk: &Dims, groups: &[Vec<f64>], at_end: bool, what: &dyn Fn() -> String) {
    for (which, op) in [(Extremum::Max, Op::Max), (Extremum::Min, Op::Min)] {
        let values = Guarded::new(groups.len() * x.dtype.size(), at_end);
        let places = Guarded::new(groups.len() * 8, at_end);
        let to = places.ptr().cast();
        // SAFETY: the layout of the input, and room for both results.
        unsafe { arg_reduce(which, x.dtype, x.start(), walk, Some(values.ptr()), to) };
        assert!(values.intact() && places.intact(), "{which:?} {}", what());
        for (i, group) in groups.iter().enumerate() {
            let want = oracle(op, group);
            let first = group.iter().position(|&v| v == want || (v.is_nan() && want.is_nan()));
            let place = read(DType::I64, places.ptr(), i) as usize;
            assert_eq!(Some(place), first, "{which:?} {} at {i}", what());
            assert!(same(read(x.dtype, values.ptr(), i), want), "{which:?} {} at {i}", what());
        }
    }
}

fn check_variance(
    x: &Input,
    walk: &Dims,
    groups: &[Vec<f64>],
    at_end: bool,
    what: &dyn Fn() -> String,
) {
    let [var, mean] = [0, 1].map(|_| Guarded::new(groups.len() * x.dtype.size(), at_end));
    let n = groups.first().map_or(0, Vec::len) as f64;
    // SAFETY: the layout of the input, and room for both results.
    unsafe { variance(x.dtype, x.start(), walk, (n, false), var.ptr(), mean.ptr()) };
    assert!(var.intact() && mean.intact(), "variance {}", what());
    for (i, group) in groups.iter().enumerate() {
        let middle = group.iter().sum::<f64>() / n;
        let want = group.iter().map(|v| (v - middle).powi(2)).sum::<f64>() / n;
        let got = [&mean, &var].map(|m| read(x.dtype, m.ptr(), i));
        let infinite = group.iter().any(|v| v.is_infinite());
        let fine = infinite || same(got[0], middle) && same(got[1], want);
        assert!(fine, "variance {} at {i}: {got:?}, not {middle} {want}", what());
    }
}

/// Sizes around those of vectors, blocks and their halves.
const SIZES: [usize; 18] = [0, 1, 2, 3, 5, 7, 8, 9, 10, 15, 16, 17, 31, 32, 33, 40, 255, 257];

#[test]
fn every_small_matrix() {
    for dtype in DType::ALL {
        for (rows, cols) in (0..=40).flat_map(|r| (0..=40).map(move |c| (r, c))) {
            // All sizes for the most common type, a seventh of them for the others.
            if dtype != DType::F32 && (rows * 41 + cols) % 17 != dtype as usize {
                continue;
            }
            for kept in [[true, false], [false, true], [false, false]] {
                let dims = [(rows, kept[0], Dense), (cols, kept[1], Dense)];
                check(dtype, &dims, &[0, 1], true, |i| value(dtype, i));
            }
        }
    }
}

#[test]
fn every_layout() {
    let lies = [Dense, Backward, Gaps, Expanded];
    for (k, n) in SIZES.into_iter().enumerate() {
        for (lie, other) in lies.into_iter().flat_map(|a| lies.map(|b| (a, b))) {
            for kept in [[true, false], [false, true], [false, false], [true, true]] {
                let dims = [(n, kept[0], lie), (SIZES[(k * 5 + 3) % 17], kept[1], other)];
                for (order, dtype) in [
                    ([0, 1], DType::F32),
                    ([1, 0], DType::F32),
                    ([0, 1], DType::U8),
                    ([1, 0], DType::C64),
                ] {
                    check(dtype, &dims, &order, k % 2 == 0, |i| value(dtype, i));
                }
            }
        }
    }
}

#[test]
fn nothing_to_walk() {
    for dtype in DType::ALL {
        check(dtype, &[], &[], true, |_| 1.0);
        check(dtype, &[(1, true, Dense)], &[0], false, |_| 0.0);
    }
}

#[test]
fn ties_and_nans() {
    let nan_at = |k: usize| move |i: usize| if i % 97 == k { f64::NAN } else { (i % 5) as f64 };
    for dtype in [DType::F32, DType::F64] {
        for n in [1, 2, 7, 8, 9, 31, 33, 100, 255, 256, 257, 300, 1000] {
            for kept in [[true, false], [false, true], [false, false]] {
                let dims = [(3, kept[0], Dense), (n, kept[1], Dense)];
                check(dtype, &dims, &[0, 1], true, |i| (i % 5) as f64 - 2.0);
                check(dtype, &dims, &[0, 1], true, |_| f64::NEG_INFINITY);
                check(dtype, &dims, &[0, 1], true, |_| f64::INFINITY);
                for k in [0, 1, 50, 96] {
                    check(dtype, &dims, &[0, 1], true, nan_at(k));
                }
            }
        }
    }
    for (dtype, low, high) in [(DType::I8, -128., 127.), (DType::U8, 0., 255.)] {
        let dims = [(300, false, Dense)];
        check(dtype, &dims, &[0], true, |i| if i % 2 == 0 { low } else { high });
        check(dtype, &dims, &[0], true, |_| low);
    }
}

fn lies() -> impl Strategy<Value = Lie> {
    prop_oneof![3 => Just(Dense), 1 => Just(Backward), 1 => Just(Gaps), 1 => Just(Expanded)]
}

proptest! {
    #[test]
    fn any_walk(
        dims in prop::collection::vec((0usize..14, any::<bool>(), lies()), 0..5),
        dtype in prop::sample::select(DType::ALL.to_vec()),
        at_end: bool,
        seed: u64,
    ) {
        let mut order: Vec<usize> = (0..dims.len()).collect();
        order.sort_by_key(|&d| seed.rotate_left(d as u32 * 13) % 97);
        check(dtype, &dims, &order, at_end, |i| value(dtype, i + seed as usize % 1000));
    }
}

/// Shapes that are cut in chunks, strips and pieces; enough of them to be shared among threads.
const LARGE: [&[Dim]; 9] = [
    &[(100_003, false, Dense)],
    &[(300_001, false, Backward)],
    &[(65_536, false, Gaps)],
    &[(1_100, false, Dense), (301, true, Dense)],
    &[(301, true, Dense), (1_100, false, Dense)],
    &[(3_000, false, Dense), (17, true, Dense), (5, false, Dense)],
    &[(3, true, Dense), (5_000, false, Dense), (9, true, Dense)],
    &[(2, false, Dense), (1_500, true, Dense), (70, false, Expanded)],
    &[(9, false, Dense), (20_011, true, Dense)],
];

#[test]
fn large() {
    for dims in LARGE {
        let order: Vec<usize> = (0..dims.len()).collect();
        for dtype in [DType::F32, DType::F64, DType::I64, DType::U8, DType::C64] {
            // Of 2 alone a product grows too large.
            let plain = |i| if value(DType::I8, i) < 0.0 && dtype.is_signed() { -1.0 } else { 1.0 };
            check(dtype, dims, &order, true, plain);
        }
    }
}

#[test]
fn long_sums_stay_accurate() {
    let dims = [(1 << 20, false, Dense)];
    let x = Input::new(DType::F32, &dims, &[0], true);
    x.fill(|i| (i as f64 * 0.7391).sin() + 1.0);
    let want: f64 = groups(&x, &dims)[0].iter().sum();
    let mut got = 0f32;
    let walk = Dims { kept: &[], reduced: &x.dims };
    // SAFETY: the layout of the input, and one result.
    unsafe { reduce(Op::Sum, DType::F32, x.start(), &walk, (&raw mut got).cast()) };
    assert!((f64::from(got) - want).abs() <= 2e-7 * want, "{got} {want}");
}

/// A fingerprint of results whose rounding shows the order of every addition.
fn digest() -> u64 {
    let mut hash = DefaultHasher::new();
    for dims in LARGE {
        let order: Vec<usize> = (0..dims.len()).collect();
        for dtype in [DType::F32, DType::F64] {
            let x = Input::new(dtype, dims, &order, true);
            x.fill(|i| (i as f64 * 0.7391).sin());
            let [kept, reduced] = split(&x, dims);
            let n: usize = kept.iter().map(|d| d.0).product();
            let walk = Dims { kept: &kept, reduced: &reduced };
            let mut out = vec![0u8; n * dtype.size()];
            for op in [Op::Sum, Op::SumSquares, Op::Max, Op::Min] {
                // SAFETY: the layout of the input, and room for the result.
                unsafe { reduce(op, dtype, x.start(), &walk, out.as_mut_ptr()) };
                out.hash(&mut hash);
            }
            let mut whole = vec![0u8; x.dims.iter().map(|d| d.0).product::<usize>() * dtype.size()];
            for d in 0..dims.len() {
                // SAFETY: as above.
                unsafe { scan(Scan::Sum, dtype, x.start(), &x.dims, d, whole.as_mut_ptr()) };
                whole.hash(&mut hash);
            }
        }
    }
    hash.finish()
}

#[test]
fn threads_do_not_change_results() {
    let digests = [1, 2, 3, 7].map(|n| {
        threads::set_num_threads(n);
        digest()
    });
    assert_eq!(digests, [digests[0]; 4]);
}

/// Each level runs in a process of its own, which prints its fingerprint.
#[test]
fn levels_do_not_change_results() {
    if std::env::var("WENGERT_PRINT_DIGEST").is_ok() {
        return println!("digest {}", digest());
    }
    let run = |level: &str| {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "--nocapture", "reduce::tests::levels_do_not_change_results"]);
        let out = command.env("WENGERT_PRINT_DIGEST", "1").env("WENGERT_ISA", level).output();
        let text = String::from_utf8(out.unwrap().stdout).unwrap();
        let digest = text.split("digest ").nth(1).and_then(|rest| rest.split_whitespace().next());
        digest.unwrap_or_else(|| panic!("{text}")).to_string()
    };
    let own = digest().to_string();
    assert_eq!([run("baseline"), run("avx2")], [own.clone(), own]);
}

/// All the above at the lower levels: nothing is written outside at any of them.
#[test]
fn lower_levels() {
    if std::env::var("WENGERT_ISA").is_ok() {
        return;
    }
    for level in ["baseline", "avx2"] {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["reduce::tests::", "softmax::tests::"]).env("WENGERT_ISA", level);
        let out = command.output().unwrap();
        assert!(out.status.success(), "{level}: {}", String::from_utf8_lossy(&out.stdout));
    }
}

mod scans {
    use super::*;

    fn check_scan(dtype: DType, dims: &[Dim], order: &[usize], dim: usize, at_end: bool) {
        let x = Input::new(dtype, dims, order, at_end);
        let sizes: Vec<usize> = dims.iter().map(|d| d.0).collect();
        let total: usize = sizes.iter().product();
        for op in [Scan::Sum, Scan::Prod] {
            let result = Guarded::new(total * dtype.size(), at_end);
            // SAFETY: the layout of the input, and room for the result.
            unsafe { scan(op, dtype, x.start(), &x.dims, dim, result.ptr()) };
            let what = format!("{op:?} {dtype:?} {dims:?} {order:?} along {dim}");
            assert!(result.intact(), "{what}");
            let inner: usize = sizes[dim + 1..].iter().product();
            let (mut i, mut before) = (0, vec![0.0; total]);
            indices(&sizes, |index| {
                let v = x.get(index);
                before[i] = match (index[dim], op) {
                    (0, _) => v,
                    (_, Scan::Sum) => before[i - inner] + v,
                    (_, Scan::Prod) => before[i - inner] * v,
                };
                let got = read(dtype, result.ptr(), i);
                assert!(same(got, before[i]), "{what}: {got}, not {} at {i}", before[i]);
                i += 1;
            });
        }
    }

    const DTYPES: [DType; 5] = [DType::I64, DType::F32, DType::F64, DType::C64, DType::C128];

    #[test]
    fn every_small_matrix() {
        for (rows, cols) in (0..=40).flat_map(|r| (0..=40).map(move |c| (r, c))) {
            let dims = [(rows, true, Dense), (cols, true, Dense)];
            for dtype in [DType::F32, DTYPES[(rows + cols) % 5]] {
                check_scan(dtype, &dims, &[0, 1], 0, true);
                check_scan(dtype, &dims, &[0, 1], 1, true);
            }
        }
    }

    proptest! {
        #[test]
        fn any_walk(
            dims in prop::collection::vec((0usize..12, Just(true), lies()), 1..5),
            dtype in prop::sample::select(DTYPES.to_vec()),
            at_end: bool,
            seed: u64,
        ) {
            let mut order: Vec<usize> = (0..dims.len()).collect();
            order.sort_by_key(|&d| seed.rotate_left(d as u32 * 13) % 97);
            check_scan(dtype, &dims, &order, seed as usize % dims.len(), at_end);
        }
    }

    #[test]
    fn large() {
        check_scan(DType::F64, &[(100_003, true, Dense)], &[0], 0, true);
        check_scan(DType::F32, &[(40, true, Dense), (3_001, true, Dense)], &[0, 1], 0, true);
        check_scan(DType::F32, &[(3_001, true, Dense), (41, true, Dense)], &[0, 1], 1, false);
        check_scan(DType::I64, &[(70, true, Gaps), (1_001, true, Backward)], &[0, 1], 0, true);
    }
}
