//! PyTorch's CPU generator and its fills: with the same seed, the same numbers, bit for bit.
//!
//! A [`Generator`] is a Mersenne Twister (mt19937); every `fill_*` method writes a contiguous slice
//! and advances the generator exactly as the PyTorch 2.13 function of that name does, so calls of
//! different kinds can be interleaved and stay in step with a PyTorch program.
//!
//! | here | PyTorch |
//! |---|---|
//! | [`fill_uniform`](Generator::fill_uniform) | `rand`, `uniform_` |
//! | [`fill_normal`](Generator::fill_normal) | `randn`, `normal_` |
//! | [`fill_range`](Generator::fill_range) | `randint`, `random_(from, to)` |
//! | [`fill_integers`](Generator::fill_integers), [`fill_all_i64`](Generator::fill_all_i64) | `random_()`, `random_(-2**63, None)` |
//! | [`fill_permutation`](Generator::fill_permutation) | `randperm` |
//! | [`fill_bernoulli`](Generator::fill_bernoulli) and its two siblings | `bernoulli_`, `bernoulli`, `dropout` |
//! | [`fill_exponential`](Generator::fill_exponential), `fill_cauchy`, `fill_log_normal`, `fill_geometric` | the same with `_` |
//! | [`multinomial`](Generator::multinomial) | `multinomial` |
//!
//! Which numbers "PyTorch's" are depends a little on the machine. These are those of its x86-64
//! build on a CPU with AVX2 or AVX-512, and they are the same here at every instruction-set level.
//! Functions that PyTorch computes in double precision call the platform's `log`, `log1p`, `sin`,
//! `cos`, `tan` and `exp` there and here; so those bits are a property of the C library.
//!
//! Arguments are not checked for meaning (a negative standard deviation, a probability above 1):
//! the caller does that, because the messages name tensors.

mod bernoulli;
mod continuous;
mod generator;
mod integer;
mod multinomial;
mod normal;
mod sample;
mod select;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_torch;
mod uniform;

pub use generator::{DEFAULT_SEED, Generator, STATE_BYTES};
pub use integer::{closest_from, closest_to};
pub use sample::{FloatSample, IntSample, Sample};
