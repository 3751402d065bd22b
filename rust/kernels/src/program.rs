//! Runs a straight-line sequence of block kernels over strided memory in one pass.
//!
//! ```text
//! for each block of up to 256 elements of the (broadcast) index space:
//!     load     inputs that are contiguous are pointed at; the others are gathered into registers
//!     compute  each step reads registers and writes one
//!     finish   outputs are stored, or the last value is added to a sum
//! ```
//!
//! A register is a block-sized piece of stack, so all intermediate values stay in the L1 cache.
//! Blocks of 256 were measured best (see `docs/decisions/fusion.md`). Every step rounds to its
//! dtype, so results are bit for bit those of running the steps one after the other over memory.

use crate::pointwise::{Kernel, copy_strided, fill};
use crate::reduce::{BlockSum, CHUNK, combine};
use crate::{DType, isa, threads};
use smallvec::SmallVec;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Elements per block.
pub const BLOCK: usize = 256;
/// Work below this many elements stays on the calling thread.
pub const PARALLEL_MIN: usize = 1 << 15;
/// Bytes of registers one block has; bounds [`Program::register_bytes`].
pub const SCRATCH: usize = 64 << 10;
/// Rows of at least this many elements are walked one by one rather than as one long sequence.
const ROW_MIN: usize = 64;
/// Elements of a row taken at a time where an operand lies across: as many cache lines of it stay
/// for the rows below.
const PANEL: usize = 128;

/// One instruction: `registers[dst] = kernel(registers[src])`.
#[derive(Clone, Copy)]
pub struct Step {
    pub kernel: Kernel,
    pub dst: u16,
    pub src: [u16; 3],
}

/// A sequence of steps; registers `0..inputs` are the inputs.
#[derive(Clone, Default)]
pub struct Program {
    pub inputs: usize,
    pub steps: SmallVec<[Step; 4]>,
    /// Registers in all, inputs included.
    pub registers: usize,
    /// Size in bytes of the widest element any register holds.
    pub element: usize,
    /// The register each output is taken from.
    pub results: SmallVec<[u16; 2]>,
}

impl Program {
    /// Bytes of registers a block needs; at most [`SCRATCH`] for a program that may run.
    pub fn register_bytes(&self) -> usize {
        self.registers * self.element * BLOCK
    }
}

/// Memory of one input or output: where it starts, and how it is walked.
#[derive(Clone, Debug)]
pub struct Operand {
    pub ptr: *mut u8,
    /// Bytes per element.
    pub size: usize,
    /// Signed strides in bytes, one per dimension of the index space; 0 broadcasts.
    pub strides: SmallVec<[isize; 6]>,
}

/// How an operand is reached once dimensions have been merged.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Access {
    /// Element `i` lies at `ptr + i * size`.
    Linear,
    /// One value for all.
    Constant,
    Strided,
}

/// An input of [`run_small`].
pub enum Small {
    Memory(*const u8),
    /// The same value for all elements, as bytes of an element.
    Number([u8; 16]),
}

/// Elements times registers that [`run_small`] has room for, times 8 bytes.
const SMALL_SCRATCH: usize = 16 << 10;

/// Evaluates a program whose operands are all contiguous, on few elements, on this thread.
///
/// # Safety
/// Every pointer is valid for `n` elements of `size` bytes; `n * registers * size` is at most
/// 16 KiB; outputs do not overlap inputs.
pub unsafe fn run_small(p: &Program, n: usize, size: usize, inputs: &[Small], outputs: &[*mut u8]) {
    #[repr(align(64))]
    struct Scratch(MaybeUninit<[u8; SMALL_SCRATCH]>);
    let mut scratch = Scratch(MaybeUninit::uninit());
    let stride = n * size;
    assert!(stride * p.registers <= SMALL_SCRATCH, "too many registers");
    let base = scratch.0.as_mut_ptr().cast::<u8>();
    let mut at: SmallVec<[*mut u8; 24]> = SmallVec::new();
    // SAFETY: registers fit by the assertion; the rest is the caller's promise.
    unsafe {
        for (r, input) in inputs.iter().enumerate() {
            at.push(match input {
                Small::Memory(ptr) => ptr.cast_mut(),
                Small::Number(bytes) => {
                    let to = base.add(r * stride);
                    fill(size, to, bytes, n);
                    to
                }
            });
        }
        at.extend((p.inputs..p.registers).map(|r| base.add(r * stride)));
        for (&r, &out) in p.results.iter().zip(outputs) {
            if r as usize >= p.inputs {
                at[r as usize] = out;
            }
        }
        for s in &p.steps {
            (s.kernel)(at[s.dst as usize], &s.src.map(|r| at[r as usize].cast_const()), n);
        }
        for (&r, &out) in p.results.iter().zip(outputs) {
            if at[r as usize] != out {
                std::ptr::copy_nonoverlapping(at[r as usize], out, stride);
            }
        }
    }
}

struct Job<'a> {
    program: &'a Program,
    shape: SmallVec<[usize; 6]>,
    inputs: SmallVec<[(Operand, Access); 4]>,
    outputs: SmallVec<[(Operand, Access); 2]>,
    stream: bool,
    /// An output is an input, too: kernels may not write there while they read.
    in_place: bool,
    order: Order,
}

/// How the index space is walked.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    /// As one sequence.
    Linear,
    /// Row by row, so that operands with rows of their own are pointed at, not gathered.
    Rows,
    /// In panels of columns, for an operand whose columns lie in a row.
    Panels,
}

// SAFETY: the pointers are read and written at disjoint ranges per task, as `run` requires.
unsafe impl Sync for Job<'_> {}

/// Evaluates `program` over the index space `shape`, one output operand per result.
///
/// # Safety
/// Every operand must be valid for the whole index space (outputs for writing, without two indices
/// on the same element). An output may share memory with an input only where both walk the same
/// elements in the same order. `program` fits its operands: kernels, sizes, register numbers.
pub unsafe fn run(program: &Program, shape: &[usize], inputs: &[Operand], outputs: &[Operand]) {
    let total: usize = shape.iter().product();
    if total == 0 {
        return;
    }
    let mut job = Job::new(program, shape, inputs, outputs, total);
    job.order = job.best_order();
    if total < PARALLEL_MIN || threads::num_threads() == 1 {
        // SAFETY: the caller's promise.
        unsafe { job.run_range(0..total, &mut |_, _, _| ()) };
        return;
    }
    let piece = job.piece();
    // SAFETY: the caller's promise; pieces are disjoint.
    threads::parallel_for(total.div_ceil(piece), &|i| unsafe {
        job.run_range(i * piece..((i + 1) * piece).min(total), &mut |_, _, _| ())
    });
}

/// Evaluates `program` and returns the sum of its last result, which is not stored; the earlier
/// results go to `outputs`. Bit for bit what [`crate::reduce`] gives for the stored value.
///
/// # Safety
/// As [`run`]; `dtype` (F32 or F64) is that of the last result.
pub unsafe fn run_sum(
    program: &Program,
    shape: &[usize],
    inputs: &[Operand],
    outputs: &[Operand],
    dtype: DType,
    dst: *mut u8,
) {
    // SAFETY: the caller's promise, with T the type that `dtype` names.
    unsafe {
        match dtype {
            DType::F64 => *dst.cast::<f64>() = sum_f64(program, shape, inputs, outputs),
            _ => *dst.cast::<f32>() = sum_f32(program, shape, inputs, outputs),
        }
    }
}

macro_rules! sum_of {
    ($name:ident, $t:ty) => {
        unsafe fn $name(
            program: &Program,
            shape: &[usize],
            inputs: &[Operand],
            outputs: &[Operand],
        ) -> $t {
            let total: usize = shape.iter().product();
            let job = Job::new(program, shape, inputs, outputs, total);
            let pieces = total.div_ceil(CHUNK);
            let mut partials: Vec<$t> = vec![0.0; pieces];
            let slots = partials.as_mut_ptr() as usize;
            let task = |i: usize| {
                let mut sum = BlockSum::<$t>::new();
                // SAFETY: the caller's promise; a block holds `n` values; slot i is this task's.
                unsafe {
                    job.run_range(i * CHUNK..((i + 1) * CHUNK).min(total), &mut |block, n, _| {
                        sum.push(std::slice::from_raw_parts(block.cast::<$t>(), n));
                    });
                    *(slots as *mut $t).add(i) = sum.finish();
                }
            };
            if total < PARALLEL_MIN {
                (0..pieces).for_each(task);
            } else {
                threads::parallel_for(pieces, &task);
            }
            combine(&partials)
        }
    };
}
sum_of!(sum_f32, f32);
sum_of!(sum_f64, f64);

impl<'a> Job<'a> {
    fn new(
        program: &'a Program,
        shape: &[usize],
        inputs: &[Operand],
        outputs: &[Operand],
        total: usize,
    ) -> Job<'a> {
        let mut all: SmallVec<[Operand; 6]> = inputs.iter().chain(outputs).cloned().collect();
        let shape = coalesce(shape, &mut all);
        let mut all: SmallVec<[(Operand, Access); 6]> =
            all.into_iter().map(|o| (o.access(&shape), o)).map(|(a, o)| (o, a)).collect();
        let outputs: SmallVec<[(Operand, Access); 2]> = all.drain(inputs.len()..).collect();
        let in_place = outputs.iter().any(|(o, _)| all.iter().any(|(i, _)| i.ptr == o.ptr));
        let moved = |(o, access): &(Operand, Access)| match access {
            Access::Constant => 0,
            _ => o.size * total,
        };
        let bytes: usize = all.iter().chain(&outputs).map(moved).sum();
        Job {
            program,
            shape,
            inputs: all.into_iter().collect(),
            outputs,
            stream: bytes >= isa::stream_min() && !in_place,
            in_place,
            order: Order::Linear,
        }
    }

    /// The length of a row; 1 without dimensions.
    fn row(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    fn best_order(&self) -> Order {
        let strided = |list: &[(Operand, Access)]| list.iter().any(|o| o.1 == Access::Strided);
        if self.shape.len() < 2
            || self.row() < ROW_MIN
            || !(strided(&self.inputs) || strided(&self.outputs))
        {
            return Order::Linear;
        }
        let across = |(o, access): &(Operand, Access)| {
            let [.., above, last] = &o.strides[..] else { return false };
            *access == Access::Strided && above.unsigned_abs() == o.size && last.abs() > *above
        };
        if self.inputs.iter().any(across) { Order::Panels } else { Order::Rows }
    }

    /// Elements one task takes: whole rows, where rows are walked.
    fn piece(&self) -> usize {
        match self.order {
            Order::Linear => CHUNK,
            _ => (CHUNK / self.row()).max(1) * self.row(),
        }
    }

    /// Evaluates the elements `range`; `last` sees each block of the last result, its length and
    /// its position.
    ///
    /// # Safety
    /// As [`run`], for the elements of `range`.
    unsafe fn run_range(&self, range: Range<usize>, last: &mut dyn FnMut(*const u8, usize, usize)) {
        // Small work must not pay for touching 64 KiB of stack.
        let small = range.len().min(BLOCK).next_multiple_of(16);
        let bytes = self.program.registers * self.program.element * small;
        // SAFETY: the caller's promise; the scratch is large enough by the test.
        unsafe {
            if bytes <= 4096 && range.len() <= small {
                self.blocks::<4096>(range, small, last);
            } else {
                self.blocks::<SCRATCH>(range, BLOCK, last);
            }
        }
    }

    unsafe fn blocks<const BYTES: usize>(
        &self,
        range: Range<usize>,
        block: usize,
        last: &mut dyn FnMut(*const u8, usize, usize),
    ) {
        #[repr(align(64))]
        struct Scratch<const N: usize>(MaybeUninit<[u8; N]>);
        let mut scratch = Scratch::<BYTES>(MaybeUninit::uninit());
        let base = scratch.0.as_mut_ptr().cast::<u8>();
        let stride = self.program.element * block;
        assert!(self.program.registers * stride <= BYTES, "too many registers");
        // SAFETY: register r is bytes r*stride..(r+1)*stride of the scratch, which fits.
        let register = |r: usize| unsafe { base.add(r * stride) };
        let mut at: SmallVec<[*mut u8; 24]> =
            (0..self.program.registers).map(|r| register(r).cast()).collect();
        for (r, (o, access)) in self.inputs.iter().enumerate() {
            if *access == Access::Constant {
                // SAFETY: one readable element; the register holds `block` of them.
                unsafe { copy_strided(o.size, at[r], o.size as isize, o.ptr, 0, block) };
            }
        }
        let mut step = |start: usize, index: &[usize], n: usize| {
            // SAFETY: the caller's promise; `index` is the index of element `start`.
            unsafe {
                for (r, (o, access)) in self.inputs.iter().enumerate() {
                    match access {
                        Access::Linear => at[r] = o.ptr.add(start * o.size),
                        Access::Constant => (),
                        Access::Strided => at[r] = self.row_of(o, index, register(r), n),
                    }
                }
                self.direct_outputs(&mut at, start);
                for s in &self.program.steps {
                    let src = s.src.map(|r| at[r as usize].cast_const());
                    (s.kernel)(at[s.dst as usize], &src, n);
                }
                for ((o, access), &r) in self.outputs.iter().zip(&self.program.results) {
                    self.store(o, *access, at[r as usize], index, start, n);
                }
                if let Some(&r) = self.program.results.last() {
                    last(at[r as usize], n, start);
                }
            }
        };
        let mut index = self.index_of(range.start);
        let row = self.row();
        match self.order {
            Order::Linear => {
                for start in range.clone().step_by(block) {
                    let n = block.min(range.end - start);
                    step(start, &index, n);
                    self.advance(&mut index, n);
                }
            }
            Order::Rows => {
                for top in range.step_by(row) {
                    for j in (0..row).step_by(block) {
                        index[self.shape.len() - 1] = j;
                        step(top + j, &index, block.min(row - j));
                    }
                    index[self.shape.len() - 1] = 0;
                    self.advance(&mut index, row);
                }
            }
            Order::Panels => {
                for j in (0..row).step_by(PANEL) {
                    let mut index = index.clone();
                    index[self.shape.len() - 1] = j;
                    for top in range.clone().step_by(row) {
                        step(top + j, &index, PANEL.min(row - j));
                        self.advance(&mut index, row);
                    }
                }
            }
        }
    }

    /// `n` elements of a strided input from `index` on: where they lie, or gathered in `register`.
    #[inline]
    unsafe fn row_of(&self, o: &Operand, index: &[usize], register: *mut u8, n: usize) -> *mut u8 {
        // SAFETY: the caller's promise: n elements from `index` on are inside the input.
        unsafe {
            let inner = o.strides.last().copied();
            if self.order != Order::Linear && inner == Some(o.size as isize) {
                let walked = index.iter().zip(&o.strides).map(|(&i, &s)| i as isize * s);
                return o.ptr.offset(walked.sum());
            }
            // One value for a whole row is there already, from the row's first block.
            if self.order == Order::Rows && inner == Some(0) && index.last() != Some(&0) {
                return register;
            }
            self.gather(o, index, register, n);
        }
        register
    }

    /// Lets the step that makes an output write where the output lies, if that is possible.
    unsafe fn direct_outputs(&self, at: &mut [*mut u8], start: usize) {
        if self.stream || self.in_place {
            return;
        }
        for ((o, access), &r) in self.outputs.iter().zip(&self.program.results) {
            if *access == Access::Linear && r as usize >= self.program.inputs {
                // SAFETY: inside the output, by the caller's promise.
                at[r as usize] = unsafe { o.ptr.add(start * o.size) };
            }
        }
    }

    unsafe fn store(
        &self,
        o: &Operand,
        access: Access,
        from: *const u8,
        index: &[usize],
        start: usize,
        n: usize,
    ) {
        // SAFETY: the caller's promise: n elements from `start` on are inside the output.
        unsafe {
            if access == Access::Strided || (access == Access::Constant && n == 1) {
                self.walk(o, index, n, |ptr, stride, done, run| {
                    copy_strided(
                        o.size,
                        ptr,
                        stride,
                        from.add(done * o.size),
                        o.size as isize,
                        run,
                    );
                });
                return;
            }
            let to = o.ptr.add(start * o.size);
            if to.cast_const() == from {
                return;
            }
            if self.stream {
                stream_copy(to, from, n * o.size);
            } else {
                std::ptr::copy(from, to, n * o.size);
            }
        }
    }

    unsafe fn gather(&self, o: &Operand, index: &[usize], to: *mut u8, n: usize) {
        // SAFETY: the caller's promise: n elements from `index` on are inside the input.
        unsafe {
            self.walk(o, index, n, |ptr, stride, done, run| {
                copy_strided(o.size, to.add(done * o.size), o.size as isize, ptr, stride, run);
            });
        }
    }

    /// Visits `n` elements from `index` on as runs along the last dimension:
    /// `visit(pointer, stride in bytes, elements done, elements in the run)`.
    unsafe fn walk(
        &self,
        o: &Operand,
        index: &[usize],
        n: usize,
        mut visit: impl FnMut(*mut u8, isize, usize, usize),
    ) {
        let Some(d) = self.shape.len().checked_sub(1) else {
            visit(o.ptr, o.size as isize, 0, n);
            return;
        };
        let mut index: SmallVec<[usize; 6]> = SmallVec::from_slice(index);
        let mut done = 0;
        while done < n {
            let offset: isize = index.iter().zip(&o.strides).map(|(&i, &s)| i as isize * s).sum();
            let run = (self.shape[d] - index[d]).min(n - done);
            // SAFETY: `index` stays inside the shape.
            visit(unsafe { o.ptr.offset(offset) }, o.strides[d], done, run);
            done += run;
            if done < n {
                self.advance(&mut index, run);
            }
        }
    }

    fn index_of(&self, mut i: usize) -> SmallVec<[usize; 6]> {
        let mut index = SmallVec::from_elem(0, self.shape.len());
        for d in (0..self.shape.len()).rev() {
            index[d] = i % self.shape[d];
            i /= self.shape[d];
        }
        index
    }

    fn advance(&self, index: &mut [usize], n: usize) {
        let mut carry = n;
        for d in (0..index.len()).rev() {
            index[d] += carry;
            if index[d] < self.shape[d] {
                return;
            }
            carry = index[d] / self.shape[d];
            index[d] %= self.shape[d];
        }
    }
}

impl Operand {
    fn access(&self, shape: &[usize]) -> Access {
        match shape {
            [] => Access::Linear,
            [_] if self.strides[0] == self.size as isize => Access::Linear,
            _ if self.strides.iter().all(|&s| s == 0) => Access::Constant,
            _ => {
                let mut expect = self.size as isize;
                for d in (0..shape.len()).rev() {
                    if self.strides[d] != expect {
                        return Access::Strided;
                    }
                    expect *= shape[d] as isize;
                }
                Access::Linear
            }
        }
    }
}

/// Drops dimensions of size 1 and merges neighbours that every operand walks as one.
fn coalesce(shape: &[usize], operands: &mut [Operand]) -> SmallVec<[usize; 6]> {
    let mut merged: SmallVec<[usize; 6]> = SmallVec::new();
    for d in 0..shape.len() {
        if shape[d] == 1 {
            continue;
        }
        let k = merged.len();
        let joins =
            k > 0 && operands.iter().all(|o| o.strides[k - 1] == o.strides[d] * shape[d] as isize);
        for o in operands.iter_mut() {
            let s = o.strides[d];
            o.strides[if joins { k - 1 } else { k }] = s;
        }
        if joins {
            merged[k - 1] *= shape[d];
        } else {
            merged.push(shape[d]);
        }
    }
    for o in operands {
        o.strides.truncate(merged.len());
    }
    merged
}

/// Copies without reading the destination into the caches: an output far larger than them would
/// only push the inputs out.
unsafe fn stream_copy(to: *mut u8, from: *const u8, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_sfence, _mm_stream_si128};
        if to as usize % 16 == 0 && bytes % 64 == 0 {
            // SAFETY: 16-byte aligned stores inside the destination.
            unsafe {
                for i in (0..bytes).step_by(64) {
                    for j in (i..i + 64).step_by(16) {
                        let v = _mm_loadu_si128(from.add(j).cast::<__m128i>());
                        _mm_stream_si128(to.add(j).cast::<__m128i>(), v);
                    }
                }
                _mm_sfence();
            }
            return;
        }
    }
    // SAFETY: the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping(from, to, bytes) };
}
