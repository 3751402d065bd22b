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
//! | [`fill_integers`](Generator::fill_integers) | `random_()` |
//! | [`fill_all_i64`](Generator::fill_all_i64) | `random_(-2**63, None)` |
//! | [`fill_permutation`](Generator::fill_permutation) | `randperm` |
//! | [`fill_bernoulli`](Generator::fill_bernoulli) | `bernoulli_(p)`, `dropout` |
//! | [`fill_bernoulli_each`](Generator::fill_bernoulli_each) | `bernoulli`, `bernoulli_(tensor)` |
//! | [`fill_exponential`](Generator::fill_exponential) | `exponential_` |
//! | [`fill_cauchy`](Generator::fill_cauchy) | `cauchy_` |
//! | [`fill_log_normal`](Generator::fill_log_normal) | `log_normal_` |
//! | [`fill_geometric`](Generator::fill_geometric) | `geometric_` |
//! | [`multinomial`](Generator::multinomial) | `multinomial` |
//!
//! Which numbers "PyTorch's" are depends a little on the machine. These are those of its x86-64
//! build on a CPU with AVX2 or AVX-512, of any maker, and they are the same here at every
//! instruction-set level. (Without AVX2, PyTorch rounds products before it adds: 40 % of its
//! `randn` differ then, in the last bits.) What PyTorch computes in double precision calls the C
//! library's `log`, `log1p`, `sin`, `cos`, `tan` and `exp`, there and here; so those bits are a
//! property of that library.
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
