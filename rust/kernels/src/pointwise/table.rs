//! Which function runs for which dtype at which level.

use super::Kernel;
use super::half::{bf16_to_f32, f16_to_f32};
use super::run::{self, Map};
use crate::dtype::{Bool, DType};
use crate::isa::{self, Avx2, Avx512, Baseline, Isa, Level, Quick};
use crate::lane::{Int, Real};
use half::{bf16, f16};
use num_complex::Complex;
use std::marker::PhantomData;

/// A formula for f32 and f64; written by `kernel!(float ..)`.
pub trait FloatOp {
    const ARITY: usize;
    fn apply<I: Isa, T: Real<I>>(args: [T; 3]) -> T;
}

/// A predicate of f32 and f64; written by `kernel!(test ..)`.
pub trait TestOp {
    const ARITY: usize;
    fn apply<I: Isa, T: Real<I>>(args: [T; 3]) -> bool;
}

/// A formula for the integers; written by `kernel!(int ..)`.
pub trait IntOp {
    const ARITY: usize;
    fn apply<T: Int>(args: [T; 3]) -> T;
}

/// A formula for booleans; written by `kernel!(bool ..)`.
pub trait BoolOp {
    const ARITY: usize;
    fn apply(args: [bool; 3]) -> bool;
}

/// A comparison for all real dtypes, or for bool and the integers only; written by
/// `kernel!(compare ..)` and `kernel!(whole ..)`.
pub trait CompareOp {
    const ARITY: usize;
    fn apply<T: PartialOrd + Copy>(args: [T; 3]) -> bool;
}

/// An equality test for all dtypes, complex included; written by `kernel!(equate ..)`.
pub trait EquateOp {
    const ARITY: usize;
    fn apply<T: PartialEq + Copy>(args: [T; 3]) -> bool;
}

/// The kernels of one operation: a function for each dtype it takes.
#[derive(Clone, Copy)]
pub struct Kernels {
    table: &'static Table,
}

impl Kernels {
    /// Of a finished table.
    pub const fn new(table: &'static Table) -> Kernels {
        Kernels { table }
    }

    /// The kernel for elements of dtype `d`, compiled for the best level of this machine; `None`
    /// if the operation has no clause for it.
    #[inline]
    pub fn get(&self, d: DType) -> Option<Kernel> {
        self.get_at(isa::level(), d)
    }

    /// As [`Kernels::get`], for a given level, which the machine must have.
    #[inline]
    pub(crate) fn get_at(&self, level: Level, d: DType) -> Option<Kernel> {
        self.table.rows[level as usize][d as usize]
    }

    /// How many sources a kernel reads.
    #[inline]
    pub const fn arity(&self) -> usize {
        self.table.arity
    }
}

/// What [`kernel!`](crate::kernel) builds, one clause after the other.
#[derive(Clone, Copy)]
pub struct Table {
    rows: [[Option<Kernel>; 15]; 3],
    arity: usize,
}

/// A formula together with the type it is compiled for.
struct Float<Op, T>(PhantomData<(Op, T)>);
struct Test<Op, T>(PhantomData<(Op, T)>);
struct Integer<Op, T>(PhantomData<(Op, T)>);
struct Logic<Op>(PhantomData<Op>);
struct Compare<Op, T>(PhantomData<(Op, T)>);
struct Equate<Op, T>(PhantomData<(Op, T)>);
struct Select<T>(PhantomData<T>);

impl<I: Isa, O: FloatOp, T: Real<I>> Map<I> for Float<O, T> {
    type A = T;
    type B = T;
    type Out = T;
    const ARITY: usize = O::ARITY;
    #[inline(always)]
    fn map(a: T, b: T, c: T) -> T {
        O::apply::<I, T>([a, b, c])
    }
}

impl<I: Isa, O: TestOp, T: Real<I>> Map<I> for Test<O, T> {
    type A = T;
    type B = T;
    type Out = Bool;
    const ARITY: usize = O::ARITY;
    #[inline(always)]
    fn map(a: T, b: T, c: T) -> Bool {
        O::apply::<I, T>([a, b, c]).into()
    }
}

impl<I: Isa, O: IntOp, T: Int> Map<I> for Integer<O, T> {
    type A = T;
    type B = T;
    type Out = T;
    const ARITY: usize = O::ARITY;
    #[inline(always)]
    fn map(a: T, b: T, c: T) -> T {
        O::apply([a, b, c])
    }
}

impl<I: Isa, O: BoolOp> Map<I> for Logic<O> {
    type A = Bool;
    type B = Bool;
    type Out = Bool;
    const ARITY: usize = O::ARITY;
    #[inline(always)]
    fn map(a: Bool, b: Bool, c: Bool) -> Bool {
        O::apply([a.get(), b.get(), c.get()]).into()
    }
}

impl<I: Isa, O: CompareOp, T: Key<K: PartialOrd>> Map<I> for Compare<O, T> {
    type A = T;
    type B = T;
    type Out = Bool;
    const ARITY: usize = O::ARITY;
    #[inline(always)]
    fn map(a: T, b: T, c: T) -> Bool {
        O::apply([a.key(), b.key(), c.key()]).into()
    }
}

impl<I: Isa, O: EquateOp, T: Key> Map<I> for Equate<O, T> {
    type A = T;
    type B = T;
    type Out = Bool;
    const ARITY: usize = O::ARITY;
    #[inline(always)]
    fn map(a: T, b: T, c: T) -> Bool {
        O::apply([a.key(), b.key(), c.key()]).into()
    }
}

impl<I: Isa, T: Copy> Map<I> for Select<T> {
    type A = Bool;
    type B = T;
    type Out = T;
    const ARITY: usize = 3;
    #[inline(always)]
    fn map(a: Bool, b: T, c: T) -> T {
        if a.get() { b } else { c }
    }
}

/// An element as comparisons see it.
trait Key: Copy {
    type K: PartialEq + Copy;
    fn key(self) -> Self::K;
}

macro_rules! keys {
    ($($t:ty => $k:ty, $x:ident $e:expr;)*) => { $(impl Key for $t {
        type K = $k;
        #[inline(always)]
        fn key(self) -> $k { let $x = self; $e }
    })* };
}

keys! {
    Bool => bool, x x.get(); f16 => f32, x f16_to_f32(x); bf16 => f32, x bf16_to_f32(x);
    u8 => u8, x x; u16 => u16, x x; u32 => u32, x x; u64 => u64, x x;
    i8 => i8, x x; i16 => i16, x x; i32 => i32, x x; i64 => i64, x x;
    f32 => f32, x x; f64 => f64, x x;
    Complex<f32> => Complex<f32>, x x; Complex<f64> => Complex<f64>, x x;
}

impl Table {
    /// No kernels.
    pub const EMPTY: Table = Table { rows: [[None; 15]; 3], arity: 0 };

    const fn set<M: Map<Baseline> + Map<Avx2> + Map<Avx512>>(mut self, d: DType) -> Table {
        let arity = <M as Map<Baseline>>::ARITY;
        assert!(self.arity == 0 || self.arity == arity, "clauses differ in their arguments");
        assert!(self.rows[0][d as usize].is_none(), "two clauses for one dtype");
        self.arity = arity;
        self.rows[0][d as usize] = Some(run::baseline::<M>);
        #[cfg(target_arch = "x86_64")]
        {
            self.rows[1][d as usize] = Some(run::avx2::<M>);
            self.rows[2][d as usize] = Some(run::avx512::<M>);
        }
        self
    }

    /// Adds f32 and f64.
    pub const fn float<O: FloatOp>(self) -> Table {
        self.set::<Float<O, f32>>(DType::F32).set::<Float<O, f64>>(DType::F64)
    }

    /// Adds f32 and f64, for a formula with functions that [`Quick`](crate::isa::Quick) speeds up.
    ///
    /// What such a function gives must not be hidden from the result: NaN in, NaN out.
    pub const fn quick<O: FloatOp>(self) -> Table {
        self.set_quick::<O, f32>(DType::F32).set_quick::<O, f64>(DType::F64)
    }

    const fn set_quick<O: FloatOp, T>(mut self, d: DType) -> Table
    where
        T: Real<Baseline> + Real<Quick<Baseline>> + Real<Avx2> + Real<Quick<Avx2>>,
        T: Real<Avx512> + Real<Quick<Avx512>> + Default,
    {
        assert!(self.arity == 0 || self.arity == O::ARITY, "clauses differ in their arguments");
        self.arity = O::ARITY;
        self.rows[0][d as usize] = Some(run::baseline_twice::<Float<O, T>, T>);
        #[cfg(target_arch = "x86_64")]
        {
            self.rows[1][d as usize] = Some(run::avx2_twice::<Float<O, T>, T>);
            self.rows[2][d as usize] = Some(run::avx512_twice::<Float<O, T>, T>);
        }
        self
    }

    /// Adds f32 and f64 with boolean results.
    pub const fn test<O: TestOp>(self) -> Table {
        self.set::<Test<O, f32>>(DType::F32).set::<Test<O, f64>>(DType::F64)
    }

    /// Adds i8, i16, i32, i64 and u8.
    pub const fn int<O: IntOp>(self) -> Table {
        self.set::<Integer<O, u8>>(DType::U8)
            .set::<Integer<O, i8>>(DType::I8)
            .set::<Integer<O, i16>>(DType::I16)
            .set::<Integer<O, i32>>(DType::I32)
            .set::<Integer<O, i64>>(DType::I64)
    }

    /// Adds booleans.
    pub const fn bool<O: BoolOp>(self) -> Table {
        self.set::<Logic<O>>(DType::Bool)
    }

    /// Adds bool and the integers, with boolean results.
    pub const fn whole<O: CompareOp>(self) -> Table {
        self.set::<Compare<O, Bool>>(DType::Bool)
            .set::<Compare<O, u8>>(DType::U8)
            .set::<Compare<O, i8>>(DType::I8)
            .set::<Compare<O, i16>>(DType::I16)
            .set::<Compare<O, i32>>(DType::I32)
            .set::<Compare<O, i64>>(DType::I64)
            .set::<Compare<O, u16>>(DType::U16)
            .set::<Compare<O, u32>>(DType::U32)
            .set::<Compare<O, u64>>(DType::U64)
    }

    /// Adds every real dtype, with boolean results.
    pub const fn compare<O: CompareOp>(self) -> Table {
        self.whole::<O>()
            .set::<Compare<O, f16>>(DType::F16)
            .set::<Compare<O, bf16>>(DType::BF16)
            .set::<Compare<O, f32>>(DType::F32)
            .set::<Compare<O, f64>>(DType::F64)
    }

    /// Adds every dtype, with boolean results.
    pub const fn equate<O: EquateOp>(self) -> Table {
        self.set::<Equate<O, Bool>>(DType::Bool)
            .set::<Equate<O, u8>>(DType::U8)
            .set::<Equate<O, i8>>(DType::I8)
            .set::<Equate<O, i16>>(DType::I16)
            .set::<Equate<O, i32>>(DType::I32)
            .set::<Equate<O, i64>>(DType::I64)
            .set::<Equate<O, u16>>(DType::U16)
            .set::<Equate<O, u32>>(DType::U32)
            .set::<Equate<O, u64>>(DType::U64)
            .set::<Equate<O, f16>>(DType::F16)
            .set::<Equate<O, bf16>>(DType::BF16)
            .set::<Equate<O, f32>>(DType::F32)
            .set::<Equate<O, f64>>(DType::F64)
            .set::<Equate<O, Complex<f32>>>(DType::C64)
            .set::<Equate<O, Complex<f64>>>(DType::C128)
    }

    const fn select(mut self) -> Table {
        let mut i = 0;
        while i < DType::ALL.len() {
            let d = DType::ALL[i];
            self = match d.size() {
                1 => self.set::<Select<u8>>(d),
                2 => self.set::<Select<u16>>(d),
                4 => self.set::<Select<u32>>(d),
                8 => self.set::<Select<u64>>(d),
                _ => self.set::<Select<[u64; 2]>>(d),
            };
            i += 1;
        }
        self
    }
}

/// `torch.where`: sources are a condition (boolean) and two blocks of the dtype asked for.
pub const SELECT: Kernels = Kernels { table: &Table::EMPTY.select() };
