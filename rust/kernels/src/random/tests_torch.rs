//! Every fill against PyTorch 2.13, byte for byte.
//!
//! A check runs five seeds; for each, one generator fills slices of 68 lengths in turn, and gives
//! its state. The CRC-32 of all those bytes was printed by PyTorch (CPU, AVX-512; the same with
//! AVX2):
//!
//! ```python
//! import torch, zlib
//! f16, bf16, f32, f64 = torch.float16, torch.bfloat16, torch.float32, torch.float64
//! u8, i8, i16, i32, i64 = torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64
//! E = lambda n, d: torch.empty(n, dtype=d)
//! W = lambda n, d: (torch.arange(n) % 7 + 1).to(d) / 8  # weights, probabilities: exact in bf16
//! ops = {}
//! for d in (f32, f64, f16, bf16):
//!     s = str(d)[6:]
//!     ops["rand " + s] = lambda n, d=d: torch.rand(n, dtype=d)
//!     ops["uniform " + s] = lambda n, d=d: E(n, d).uniform_(-1.3, 7.7)
//!     ops["randn " + s] = lambda n, d=d: torch.randn(n, dtype=d)
//!     ops["normal " + s] = lambda n, d=d: E(n, d).normal_(0.3, 1.7)
//!     ops["exponential " + s] = lambda n, d=d: E(n, d).exponential_(1.3)
//!     ops["bernoulli each " + s] = lambda n, d=d: E(n, f32).bernoulli_(W(n, d))
//!     ops["multinomial " + s] = lambda n, d=d: torch.multinomial(W(n + 2, d), n + 1, True)
//!     ops["distinct " + s] = lambda n, d=d: torch.multinomial(W(n + 2, d), n // 2 + 1)
//!     ops["few distinct " + s] = lambda n, d=d: torch.multinomial(W(n + 2, d), n // 70 + 1)
//! for d in (torch.bool, u8, i8, i16, i32, i64, f16, bf16, f32, f64):
//!     ops["random " + str(d)[6:]] = lambda n, d=d: E(n, d).random_()
//! for d in (f32, f16, bf16):
//!     ops["long randn " + str(d)[6:]] = lambda n, d=d: torch.randn(n + 16, dtype=d)
//! ops["range i64"] = lambda n: torch.randint(-5, 12, (n,))
//! ops["range below 2^28"] = lambda n: torch.randint(-5, 2**28 - 6, (n,))
//! ops["range 2^28"] = lambda n: torch.randint(-5, 2**28 - 5, (n,))
//! ops["range u16"] = lambda n: E(n, torch.uint16).random_(7, 60000)
//! ops["range bool"] = lambda n: E(n, torch.bool).random_(0, 2)
//! ops["range u32"] = lambda n: E(n, torch.uint32).random_(0, 2**32)
//! ops["range u64"] = lambda n: E(n, torch.uint64).random_(2, 2**63 - 1)
//! ops["range f32"] = lambda n: E(n, f32).random_(-5, 2**40)
//! ops["range f16"] = lambda n: E(n, f16).random_(0, 65504)
//! ops["range bf16"] = lambda n: E(n, bf16).random_(-300, 1001)
//! ops["all i64"] = lambda n: E(n, i64).random_(-2**63, None)
//! ops["all f32"] = lambda n: E(n, f32).random_(-2**63, None)
//! ops["randperm i64"] = lambda n: torch.randperm(n)
//! ops["randperm i32"] = lambda n: torch.randperm(n, dtype=i32)
//! ops["bernoulli f32"] = lambda n: E(n, f32).bernoulli_(0.3)
//! ops["bernoulli bool"] = lambda n: E(n, torch.bool).bernoulli_(1 / 3)
//! ops["bernoulli 1"] = lambda n: E(n, i64).bernoulli_(1.0)
//! ops["cauchy f32"] = lambda n: E(n, f32).cauchy_(0.3, 1.3)
//! ops["cauchy f64"] = lambda n: E(n, f64).cauchy_(0.3, 1.3)
//! ops["log_normal f32"] = lambda n: E(n, f32).log_normal_(0.3, 1.3)
//! ops["log_normal f64"] = lambda n: E(n, f64).log_normal_(0.3, 1.3)
//! ops["geometric f32"] = lambda n: E(n, f32).geometric_(0.3)
//! ops["geometric i64"] = lambda n: E(n, i64).geometric_(0.003)
//! def mixed(n):
//!     yield from (
//!         torch.randn(3), torch.rand(5), torch.randn(17), torch.randperm(n % 99),
//!         torch.randint(0, 10, (n % 7,)), torch.randn(n % 20, dtype=bf16),
//!         E(9, f32).bernoulli_(0.5), torch.randn(2, dtype=f64), E(n % 5, f64).exponential_(),
//!         torch.rand(n % 13, dtype=f64))
//! ops["mixed"] = mixed
//! for name, op in ops.items():
//!     crc = 0
//!     for seed in (0, 1, 42, 2**32 + 7, 2**64 - 1):
//!         torch.manual_seed(seed)
//!         for n in (*range(65), 100, 1000, 10000):
//!             r = op(n)
//!             for t in (r if name == "mixed" else (r,)):
//!                 crc = zlib.crc32(t.view(u8).numpy(), crc)
//!         crc = zlib.crc32(torch.get_rng_state().numpy(), crc)
//!     print(f'("{name}", 0x{crc:08x}),')
//! ```

use half::{bf16, f16};

use super::sample::{FloatSample, Sample};
use super::{Generator, closest_from, closest_to};
use crate::dtype::{Bool, Element};

/// An element's bytes.
trait Bytes: Element {
    fn put(self, bytes: &mut Vec<u8>);
}
macro_rules! bytes {
    ($($t:ty),*) => { $(impl Bytes for $t {
        fn put(self, bytes: &mut Vec<u8>) { bytes.extend(self.to_le_bytes()) }
    })* };
}
bytes!(u8, i8, i16, i32, i64, u16, u32, u64, f16, bf16, f32, f64);
impl Bytes for Bool {
    fn put(self, bytes: &mut Vec<u8>) {
        bytes.push(self.0);
    }
}

/// `zlib.crc32`.
fn crc32(bytes: &[u8], crc: u32) -> u32 {
    let step = |c: u32, _| c >> 1 ^ (c & 1).wrapping_neg() & 0xedb88320;
    let table: [u32; 256] = std::array::from_fn(|i| (0..8).fold(i as u32, step));
    !bytes.iter().fold(!crc, |c, &b| c >> 8 ^ table[(c as u8 ^ b) as usize])
}

/// Runs `write(generator, n, bytes)` for the seeds and lengths of the recording.
fn run(mut write: impl FnMut(&mut Generator, usize, &mut Vec<u8>)) -> u32 {
    let mut crc = 0;
    for seed in [0, 1, 42, (1 << 32) + 7, u64::MAX] {
        let mut generator = Generator::new(seed);
        let mut bytes = vec![];
        for n in (0..65).chain([100, 1000, 10000]) {
            write(&mut generator, n, &mut bytes);
        }
        bytes.extend(generator.get_state());
        crc = crc32(&bytes, crc);
    }
    crc
}

/// A fill of `n` elements, as bytes.
fn put<T: Bytes>(bytes: &mut Vec<u8>, n: usize, fill: impl FnOnce(&mut [T])) {
    let mut out = vec![T::default(); n];
    fill(&mut out);
    out.into_iter().for_each(|x| x.put(bytes));
}

/// Checks `fill(generator, out)` of `out.len()` elements each.
fn check<T: Bytes>(name: &str, crc: u32, mut fill: impl FnMut(&mut Generator, &mut [T])) {
    let got = run(|generator, n, bytes| put(bytes, n, |out| fill(generator, out)));
    assert_eq!(got, crc, "{name}");
}

/// Weights and probabilities that every float type holds.
fn weights<T: Sample>(n: usize) -> Vec<T> {
    (0..n).map(|i| T::from_f64((i % 7 + 1) as f64 / 8.0)).collect()
}

/// `random_(from, to)` of a floating type.
fn float_range<T: FloatSample>(g: &mut Generator, out: &mut [T], from: i64, to: i64) {
    let (from, to) = (closest_from::<T>(from), closest_to::<T>(to));
    g.fill_range(out, from, to.wrapping_sub(from) as u64);
}

/// True if `log`, `sin` and so on of the C library are those that PyTorch called when the numbers
/// were recorded (glibc 2.36 on x86-64 with FMA). With others its numbers differ, as ours do.
fn recorded_libm() -> bool {
    let functions = [f64::ln, f64::ln_1p, f64::sin, f64::cos, f64::tan, f64::exp];
    let mut g = Generator::new(0);
    let mut values = vec![0f64; 20_000];
    g.fill_uniform(&mut values, -0.5, 2.0);
    let mut bytes = vec![];
    for x in values {
        functions.iter().for_each(|f| f(x).to_bits().put(&mut bytes));
    }
    crc32(&bytes, 0) == 0x921abe11
}

#[test]
fn uniform() {
    check::<f32>("rand float32", 0x87589377, |g, out| g.fill_uniform(out, 0.0, 1.0));
    check::<f32>("uniform float32", 0x40b849ac, |g, out| g.fill_uniform(out, -1.3, 7.7));
    check::<f64>("rand float64", 0xfb5fd0b8, |g, out| g.fill_uniform(out, 0.0, 1.0));
    check::<f64>("uniform float64", 0xca0fc2dd, |g, out| g.fill_uniform(out, -1.3, 7.7));
    check::<f16>("rand float16", 0xeedd9b64, |g, out| g.fill_uniform(out, 0.0, 1.0));
    check::<f16>("uniform float16", 0x233af926, |g, out| g.fill_uniform(out, -1.3, 7.7));
    check::<bf16>("rand bfloat16", 0x3272b0ef, |g, out| g.fill_uniform(out, 0.0, 1.0));
    check::<bf16>("uniform bfloat16", 0x4c453b88, |g, out| g.fill_uniform(out, -1.3, 7.7));
}

#[test]
fn bernoulli() {
    check::<f32>("bernoulli each float32", 0xf742198c, |g, out| {
        g.fill_bernoulli_each(out, &weights::<f32>(out.len()))
    });
    check::<f32>("bernoulli each float64", 0x7fabe171, |g, out| {
        g.fill_bernoulli_each(out, &weights::<f64>(out.len()))
    });
    check::<f32>("bernoulli each float16", 0xf742198c, |g, out| {
        g.fill_bernoulli_each(out, &weights::<f16>(out.len()))
    });
    check::<f32>("bernoulli each bfloat16", 0xf742198c, |g, out| {
        g.fill_bernoulli_each(out, &weights::<bf16>(out.len()))
    });
    check::<f32>("bernoulli f32", 0xfe64377b, |g, out| g.fill_bernoulli(out, 0.3));
    check::<Bool>("bernoulli bool", 0xd4b0c7d2, |g, out| g.fill_bernoulli(out, 1.0 / 3.0));
    check::<i64>("bernoulli 1", 0xede4f12d, |g, out| g.fill_bernoulli(out, 1.0));
}

#[test]
fn integers() {
    check::<Bool>("random bool", 0x4579f86c, |g, out| g.fill_integers(out));
    check::<u8>("random uint8", 0x6dd336c0, |g, out| g.fill_integers(out));
    check::<i8>("random int8", 0x7de4c52b, |g, out| g.fill_integers(out));
    check::<i16>("random int16", 0x81df0756, |g, out| g.fill_integers(out));
    check::<i32>("random int32", 0xae518327, |g, out| g.fill_integers(out));
    check::<i64>("random int64", 0x31c4433e, |g, out| g.fill_integers(out));
    check::<f16>("random float16", 0x6dfe7bfc, |g, out| g.fill_integers(out));
    check::<bf16>("random bfloat16", 0x3d301059, |g, out| g.fill_integers(out));
    check::<f32>("random float32", 0x7b7e4b04, |g, out| g.fill_integers(out));
    check::<f64>("random float64", 0x5c96761c, |g, out| g.fill_integers(out));
    check::<i64>("all i64", 0x1f0d7648, |g, out| g.fill_all_i64(out));
    check::<f32>("all f32", 0xf55af6b6, |g, out| g.fill_all_i64(out));
}

#[test]
fn ranges() {
    check::<i64>("range i64", 0x17166206, |g, out| g.fill_range(out, -5, 17));
    check::<i64>("range below 2^28", 0x39e86b7c, |g, out| g.fill_range(out, -5, (1 << 28) - 1));
    check::<i64>("range 2^28", 0x2f899638, |g, out| g.fill_range(out, -5, 1 << 28));
    check::<u16>("range u16", 0x8a61ae28, |g, out| g.fill_range(out, 7, 59993));
    check::<Bool>("range bool", 0x4579f86c, |g, out| g.fill_range(out, 0, 2));
    check::<u32>("range u32", 0x77f7b374, |g, out| g.fill_range(out, 0, 1 << 32));
    check::<u64>("range u64", 0x5b901862, |g, out| g.fill_range(out, 2, (1 << 63) - 3));
    check::<f32>("range f32", 0xe72f9830, |g, out| float_range(g, out, -5, 1 << 40));
    check::<f16>("range f16", 0x24322fda, |g, out| float_range(g, out, 0, 65504));
    check::<bf16>("range bf16", 0xd94ffeee, |g, out| float_range(g, out, -300, 1001));
}

#[test]
fn permutations() {
    check::<i64>("randperm i64", 0xbb440485, |g, out| g.fill_permutation(out));
    check::<i32>("randperm i32", 0x0672dcb2, |g, out| g.fill_permutation(out));
}

/// From 16 elements on no C library is asked.
#[test]
fn long_normal_in_single_precision() {
    fn check_long<T: FloatSample + Bytes>(crc: u32) {
        let got = run(|g, n, b| put::<T>(b, n + 16, |out| g.fill_normal(out, 0.0, 1.0)));
        assert_eq!(got, crc, "{:?}", T::DTYPE);
    }
    check_long::<f32>(0x1be5519e);
    check_long::<f16>(0xa3474261);
    check_long::<bf16>(0x3750f16c);
    let mut out = [0f32; 16];
    Generator::new(0).fill_normal(&mut out, 0.0, 1.0);
    assert_eq!(
        out.map(f64::from)[..3],
        [-1.1258398294448853, -1.152360200881958, -0.2505785822868347]
    );
}

#[test]
fn normal() {
    if !recorded_libm() {
        return;
    }
    check::<f32>("randn float32", 0x47d06be9, |g, out| g.fill_normal(out, 0.0, 1.0));
    check::<f32>("normal float32", 0x29f8a63e, |g, out| g.fill_normal(out, 0.3, 1.7));
    check::<f64>("randn float64", 0xed9d7e9e, |g, out| g.fill_normal(out, 0.0, 1.0));
    check::<f64>("normal float64", 0x41ba8e47, |g, out| g.fill_normal(out, 0.3, 1.7));
    check::<f16>("randn float16", 0x322fb092, |g, out| g.fill_normal(out, 0.0, 1.0));
    check::<f16>("normal float16", 0xb155c7bb, |g, out| g.fill_normal(out, 0.3, 1.7));
    check::<bf16>("randn bfloat16", 0x0e3de546, |g, out| g.fill_normal(out, 0.0, 1.0));
    check::<bf16>("normal bfloat16", 0x3f4b926e, |g, out| g.fill_normal(out, 0.3, 1.7));
    check::<f32>("log_normal f32", 0xbcf1e299, |g, out| g.fill_log_normal(out, 0.3, 1.3));
    check::<f64>("log_normal f64", 0x169921c2, |g, out| g.fill_log_normal(out, 0.3, 1.3));
}

#[test]
fn continuous() {
    if !recorded_libm() {
        return;
    }
    check::<f32>("exponential float32", 0x5498991d, |g, out| g.fill_exponential(out, 1.3));
    check::<f64>("exponential float64", 0x6c8d8a59, |g, out| g.fill_exponential(out, 1.3));
    check::<f16>("exponential float16", 0x4727521b, |g, out| g.fill_exponential(out, 1.3));
    check::<bf16>("exponential bfloat16", 0x6ccc83b6, |g, out| g.fill_exponential(out, 1.3));
    check::<f32>("cauchy f32", 0x56fa2795, |g, out| g.fill_cauchy(out, 0.3, 1.3));
    check::<f64>("cauchy f64", 0x8c460b66, |g, out| g.fill_cauchy(out, 0.3, 1.3));
    check::<f32>("geometric f32", 0x37ca97c0, |g, out| g.fill_geometric(out, 0.3));
    check::<i64>("geometric i64", 0xab3d69aa, |g, out| g.fill_geometric(out, 0.003));
}

/// The three kinds of draws from weights of type `T`.
fn check_multinomial<T: FloatSample>(name: &str, [any, half, few]: [u32; 3]) {
    let got = run(|g, n, bytes| {
        put(bytes, n + 1, |out| g.multinomial(out, &weights::<T>(n + 2), 1, true).unwrap())
    });
    assert_eq!(got, any, "{name}");
    for (crc, part) in [(half, 2), (few, 70)] {
        let got = run(|g, n, bytes| {
            put(bytes, n / part + 1, |out| {
                g.multinomial(out, &weights::<T>(n + 2), 1, false).unwrap()
            })
        });
        assert!(got == crc || !recorded_libm(), "one in {part}, {name}");
    }
}

#[test]
fn multinomial() {
    check_multinomial::<f32>("float32", [0xd886a677, 0xe162bff4, 0xd7b23028]);
    check_multinomial::<f64>("float64", [0xe518c370, 0x4672677f, 0xd7b23028]);
    check_multinomial::<f16>("float16", [0xd886a677, 0xe86c165d, 0xf3d0683d]);
    check_multinomial::<bf16>("bfloat16", [0xd886a677, 0x58b32b6f, 0x66aff92a]);
}

#[test]
fn calls_of_many_kinds_stay_in_step() {
    if !recorded_libm() {
        return;
    }
    let got = run(|g, n, b| {
        put::<f32>(b, 3, |out| g.fill_normal(out, 0.0, 1.0));
        put::<f32>(b, 5, |out| g.fill_uniform(out, 0.0, 1.0));
        put::<f32>(b, 17, |out| g.fill_normal(out, 0.0, 1.0));
        put::<i64>(b, n % 99, |out| g.fill_permutation(out));
        put::<i64>(b, n % 7, |out| g.fill_range(out, 0, 10));
        put::<bf16>(b, n % 20, |out| g.fill_normal(out, 0.0, 1.0));
        put::<f32>(b, 9, |out| g.fill_bernoulli(out, 0.5));
        put::<f64>(b, 2, |out| g.fill_normal(out, 0.0, 1.0));
        put::<f64>(b, n % 5, |out| g.fill_exponential(out, 1.0));
        put::<f64>(b, n % 13, |out| g.fill_uniform(out, 0.0, 1.0));
    });
    assert_eq!(got, 0x54b81dcc);
}
