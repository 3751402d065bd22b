//! mt19937 and the byte format of its state.

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::dispatch;

/// The seed of a fresh `torch.Generator()`.
pub const DEFAULT_SEED: u64 = 67280421310721;

/// Length of [`Generator::get_state`], as of `torch.get_rng_state()`.
pub const STATE_BYTES: usize = 5056;

/// Words of state, and offset of the word mixed in (Matsumoto and Nishimura, 1998).
pub(super) const N: usize = 624;
const M: usize = 397;

/// Elements that the fills draw words for at a time, so that the converting pass finds them in L1.
/// 1,024 is no faster at a million elements, and clearing them costs 50 ns at one.
pub(super) const BUFFER: usize = 256;

/// A stream of random numbers: `torch.Generator` on the CPU.
#[derive(Clone, Debug, PartialEq)]
pub struct Generator {
    seed: u64,
    /// Untempered words; those before `next` are used up.
    state: [u32; N],
    next: usize,
    /// Words that may still be drawn before the state is advanced, plus one (PyTorch's count).
    left: usize,
    /// The second sample of a scalar Box-Muller pair, waiting for the next call.
    pub(super) next_normal: Option<f64>,
    /// Only carried from `set_state` to `get_state`: nothing on a CPU draws from it.
    next_normal_f32: Option<f32>,
}

impl Default for Generator {
    fn default() -> Generator {
        Generator::new(DEFAULT_SEED)
    }
}

impl Generator {
    /// A generator in the state that `torch.manual_seed(seed)` leaves; only the low 32 bits of the
    /// seed influence the numbers.
    pub fn new(seed: u64) -> Generator {
        let mut state = [0; N];
        state[0] = seed as u32;
        for j in 1..N {
            let last = state[j - 1];
            state[j] = (last ^ last >> 30).wrapping_mul(1812433253).wrapping_add(j as u32);
        }
        Generator { seed, state, next: 0, left: 1, next_normal: None, next_normal_f32: None }
    }

    /// Starts again from `seed`, and forgets a cached normal sample.
    pub fn manual_seed(&mut self, seed: u64) {
        *self = Generator::new(seed);
    }

    /// The seed last set.
    pub fn initial_seed(&self) -> u64 {
        self.seed
    }

    /// Starts again from a seed that nobody can foresee, and returns it (`torch.seed()`).
    pub fn seed_from_entropy(&mut self) -> u64 {
        // `RandomState` has keys from the operating system. They are shared by the threads' later
        // states and by forked processes, hence the process and the clock.
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        if let Ok(now) = std::time::SystemTime::UNIX_EPOCH.elapsed() {
            hasher.write_u128(now.as_nanos());
        }
        self.manual_seed(hasher.finish());
        self.seed
    }

    /// The next 32 random bits.
    #[inline]
    pub fn random(&mut self) -> u32 {
        self.left -= 1;
        if self.left == 0 {
            self.advance();
        }
        let word = self.state[self.next];
        self.next += 1;
        temper(word)
    }

    /// The next 64 random bits; the first word drawn is the high half.
    #[inline]
    pub fn random64(&mut self) -> u64 {
        let high = self.random();
        join(high, self.random())
    }

    /// A uniform double in [0, 1), a multiple of 2⁻⁵³.
    #[inline]
    pub(super) fn unit_f64(&mut self) -> f64 {
        unit_f64(self.random64())
    }

    /// What `torch.get_rng_state()` returns: [`STATE_BYTES`] bytes.
    pub fn get_state(&self) -> Vec<u8> {
        let mut bytes = vec![0; STATE_BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(at::SEED, &self.seed.to_le_bytes());
        put(at::LEFT, &(self.left as u32).to_le_bytes());
        put(at::SEEDED, &1u32.to_le_bytes());
        put(at::NEXT, &(self.next as u64).to_le_bytes());
        for (j, &word) in self.state.iter().enumerate() {
            put(at::WORDS + 8 * j, &u64::from(word).to_le_bytes());
        }
        if let Some(x) = self.next_normal {
            put(at::NORMAL, &x.to_le_bytes());
            put(at::HAS_NORMAL, &1u32.to_le_bytes());
        }
        if let Some(x) = self.next_normal_f32 {
            put(at::NORMAL_F32, &x.to_le_bytes());
            put(at::HAS_NORMAL_F32, &[1]);
        }
        bytes
    }

    /// Continues from a state that [`Generator::get_state`] or `torch.get_rng_state()` returned.
    ///
    /// The error is a sentence in PyTorch's words; the generator is then unchanged.
    pub fn set_state(&mut self, bytes: &[u8]) -> Result<(), String> {
        if bytes.len() != STATE_BYTES {
            return Err(format!(
                "Expected a CPUGeneratorImplState of size {STATE_BYTES} but found the input RNG \
                 state size to be {}",
                bytes.len()
            ));
        }
        let int = |at: usize| u32::from_le_bytes(array(bytes, at));
        let long = |at: usize| u64::from_le_bytes(array(bytes, at));
        let (left, next) = (int(at::LEFT) as usize, long(at::NEXT) as u32 as usize);
        // PyTorch accepts any `left` and `next` up to 624, and reads past its array if they do not
        // fit together.
        let fits = left == 1 || left + next <= N + 1;
        if int(at::SEEDED) == 0 || !(1..=N).contains(&left) || next > N || !fits {
            return Err("Invalid mt19937 state".into());
        }
        let mut state = [0; N];
        for (j, word) in state.iter_mut().enumerate() {
            *word = long(at::WORDS + 8 * j) as u32;
        }
        *self = Generator {
            seed: long(at::SEED),
            state,
            next,
            left,
            next_normal: (int(at::HAS_NORMAL) != 0)
                .then(|| f64::from_le_bytes(array(bytes, at::NORMAL))),
            next_normal_f32: (bytes[at::HAS_NORMAL_F32] != 0)
                .then(|| f32::from_le_bytes(array(bytes, at::NORMAL_F32))),
        };
        Ok(())
    }

    /// Makes the next 624 words.
    fn advance(&mut self) {
        twist(&mut self.state);
        self.left = N;
        self.next = 0;
    }

    /// Writes the next `out.len()` words, as so many calls of [`Generator::random`] would.
    pub(super) fn fill_words(&mut self, mut out: &mut [u32]) {
        while !out.is_empty() {
            // As `random`: `left` counts the word about to be drawn.
            if self.left == 1 {
                self.advance();
                self.left += 1;
            }
            let count = out.len().min(self.left - 1);
            let (head, rest) = out.split_at_mut(count);
            temper_all(head, &self.state[self.next..self.next + count]);
            self.next += count;
            self.left -= count;
            out = rest;
        }
    }

    /// Fills `out` by pieces: `convert` turns `W` words into each element of a piece.
    pub(super) fn fill_from_words<T, const W: usize>(
        &mut self,
        out: &mut [T],
        mut convert: impl FnMut(&mut [T], &[[u32; W]]),
    ) {
        let mut buffer = [[0; W]; BUFFER];
        for piece in out.chunks_mut(BUFFER) {
            let words = &mut buffer[..piece.len()];
            self.fill_words(words.as_flattened_mut());
            convert(piece, words);
        }
    }

    /// Fills `out` with `f` of each next uniform double.
    pub(super) fn fill_from_units<T>(&mut self, out: &mut [T], f: impl Fn(f64) -> T) {
        self.fill_from_words(out, |piece, words| {
            for (y, &[high, low]) in piece.iter_mut().zip(words) {
                *y = f(unit_f64(join(high, low)));
            }
        });
    }
}

/// Offsets in the state's bytes: a C struct of 64-bit alignment, little-endian.
mod at {
    pub const SEED: usize = 0;
    pub const LEFT: usize = 8;
    pub const SEEDED: usize = 12;
    pub const NEXT: usize = 16;
    pub const WORDS: usize = 24;
    pub const NORMAL: usize = 5024;
    pub const HAS_NORMAL: usize = 5040;
    pub const NORMAL_F32: usize = 5048;
    pub const HAS_NORMAL_F32: usize = 5052;
}

fn array<const L: usize>(bytes: &[u8], at: usize) -> [u8; L] {
    std::array::from_fn(|i| bytes[at + i])
}

/// Two words as one, in the order they are drawn.
#[inline(always)]
pub(super) fn join(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// The low 53 bits as a fraction of 2⁵³.
#[inline(always)]
pub(super) fn unit_f64(bits: u64) -> f64 {
    const MASK: u64 = (1 << f64::MANTISSA_DIGITS) - 1;
    (bits & MASK) as i64 as f64 * (1.0 / (MASK + 1) as f64)
}

/// The low 24 bits as a fraction of 2²⁴.
#[inline(always)]
pub(super) fn unit_f32(bits: u32) -> f32 {
    const MASK: u32 = (1 << f32::MANTISSA_DIGITS) - 1;
    (bits & MASK) as i32 as f32 * (1.0 / (MASK + 1) as f32)
}

#[inline(always)]
fn temper(mut y: u32) -> u32 {
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680;
    y ^= y << 15 & 0xefc60000;
    y ^ y >> 18
}

fn temper_all(out: &mut [u32], state: &[u32]) {
    dispatch!(_I, (out: &mut [u32], state: &[u32]) => {
        for (y, &word) in out.iter_mut().zip(state) {
            *y = temper(word);
        }
    })
}

fn twist(state: &mut [u32; N]) {
    /// The top bit of `u` and the rest of `v`, times the twist matrix.
    #[inline(always)]
    fn mix(u: u32, v: u32) -> u32 {
        const MATRIX: u32 = 0x9908b0df;
        (u & 1 << 31 | v & !(1 << 31)) >> 1 ^ (v & 1).wrapping_neg() & MATRIX
    }
    // A word needs its old successor and a word 397 ahead or 227 behind: far enough for vectors.
    dispatch!(_I, (state: &mut [u32; N]) => {
        for i in 0..N - M {
            state[i] = state[i + M] ^ mix(state[i], state[i + 1]);
        }
        for i in N - M..N - 1 {
            state[i] = state[i + M - N] ^ mix(state[i], state[i + 1]);
        }
        state[N - 1] = state[M - 1] ^ mix(state[N - 1], state[0]);
    })
}
