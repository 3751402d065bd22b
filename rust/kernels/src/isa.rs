//! Instruction-set levels: which one this machine has, asked once per process.
//!
//! A kernel is compiled once per level inside a `#[target_feature]` function; the code inside is
//! generic over [`Isa`], which supplies the few operations that differ between levels.

use std::sync::OnceLock;

/// An instruction-set level a kernel can be compiled for, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// What every machine of the target has (SSE2 on x86-64, NEON on aarch64).
    Baseline,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512 F, BW, DQ, VL (with FMA).
    Avx512,
}

/// The best level of this machine. `WENGERT_ISA=baseline|avx2|avx512` lowers it (never raises it).
#[inline]
pub fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(detect)
}

fn detect() -> Level {
    let best = hardware();
    match std::env::var("WENGERT_ISA").as_deref() {
        Ok("baseline") => Level::Baseline,
        Ok("avx2") => best.min(Level::Avx2),
        _ => best,
    }
}

#[cfg(target_arch = "x86_64")]
fn hardware() -> Level {
    use std::arch::is_x86_feature_detected as has;
    let avx2 = has!("avx2") && has!("fma") && has!("bmi2") && has!("f16c");
    let avx512 =
        avx2 && has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
    if avx512 {
        Level::Avx512
    } else if avx2 {
        Level::Avx2
    } else {
        Level::Baseline
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn hardware() -> Level {
    Level::Baseline
}

/// From how many bytes moved on a pass should write past the caches: later on AMD's processors,
/// whose third-level cache keeps up with both cores (`docs/decisions/fusion.md`).
pub(crate) fn stream_min() -> usize {
    static BYTES: OnceLock<usize> = OnceLock::new();
    *BYTES.get_or_init(|| if is_amd() { 48 << 20 } else { 16 << 20 })
}

fn is_amd() -> bool {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        let id = std::arch::x86_64::__cpuid(0);
        [id.ebx, id.edx, id.ecx].map(u32::to_le_bytes).concat() == b"AuthenticAMD"
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    false
}

/// What differs between levels inside a kernel's source.
pub trait Isa: Copy + Default + 'static {
    const LEVEL: Level;
    /// Functions whose hard arguments need a branch give NaN for these instead; see [`Quick`].
    const QUICK: bool = false;
    /// `a * b + c`, with one rounding where the level has FMA and two where it has not.
    fn fma32(a: f32, b: f32, c: f32) -> f32;
    /// As [`Isa::fma32`], in double precision.
    fn fma64(a: f64, b: f64, c: f64) -> f64;
}

/// [`Level::Baseline`] as a type.
#[derive(Clone, Copy, Default)]
pub struct Baseline;
/// [`Level::Avx2`] as a type.
#[derive(Clone, Copy, Default)]
pub struct Avx2;
/// [`Level::Avx512`] as a type.
#[derive(Clone, Copy, Default)]
pub struct Avx512;

impl Isa for Baseline {
    const LEVEL: Level = Level::Baseline;
    #[inline(always)]
    fn fma32(a: f32, b: f32, c: f32) -> f32 {
        // aarch64 has FMA in its baseline; elsewhere `mul_add` would be a slow library call.
        if cfg!(target_arch = "aarch64") { a.mul_add(b, c) } else { a * b + c }
    }
    #[inline(always)]
    fn fma64(a: f64, b: f64, c: f64) -> f64 {
        if cfg!(target_arch = "aarch64") { a.mul_add(b, c) } else { a * b + c }
    }
}

macro_rules! with_fma {
    ($($t:ident),*) => { $(impl Isa for $t {
        const LEVEL: Level = Level::$t;
        #[inline(always)]
        fn fma32(a: f32, b: f32, c: f32) -> f32 { a.mul_add(b, c) }
        #[inline(always)]
        fn fma64(a: f64, b: f64, c: f64) -> f64 { a.mul_add(b, c) }
    })* };
}
with_fma!(Avx2, Avx512);

/// A level at which functions with rare, hard arguments (huge ones of sine, say) take the easy way
/// for all, without a branch, and give NaN where that is wrong: a loop at this level vectorises,
/// and what came out as NaN is computed again at the level itself.
#[derive(Clone, Copy, Default)]
pub struct Quick<I>(I);

impl<I: Isa> Isa for Quick<I> {
    const LEVEL: Level = I::LEVEL;
    const QUICK: bool = true;
    #[inline(always)]
    fn fma32(a: f32, b: f32, c: f32) -> f32 {
        I::fma32(a, b, c)
    }
    #[inline(always)]
    fn fma64(a: f64, b: f64, c: f64) -> f64 {
        I::fma64(a, b, c)
    }
}

/// Compiles `$body`, generic over an [`Isa`] named `$I`, once per level, and calls the best one.
///
/// ```ignore
/// dispatch!(I => unsafe { sum_block::<I>(ptr, n) })
/// ```
#[macro_export]
macro_rules! dispatch {
    ($I:ident, ($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? => $body:expr) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,bmi2,f16c")]
        fn avx2($($arg: $ty),*) $(-> $ret)? { type $I = $crate::isa::Avx2; $body }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi2,f16c")]
        fn avx512($($arg: $ty),*) $(-> $ret)? { type $I = $crate::isa::Avx512; $body }
        #[inline]
        fn baseline($($arg: $ty),*) $(-> $ret)? { type $I = $crate::isa::Baseline; $body }
        match $crate::isa::level() {
            // SAFETY: `level` returned this level because the machine has its features.
            #[cfg(target_arch = "x86_64")]
            $crate::isa::Level::Avx512 => unsafe { avx512($($arg),*) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            $crate::isa::Level::Avx2 => unsafe { avx2($($arg),*) },
            _ => baseline($($arg),*),
        }
    }};
}
