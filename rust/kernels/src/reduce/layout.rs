//! How a reduction walks memory: dimensions merged, the inner loop chosen, work cut into units.

use super::block::CHUNK;

/// Sizes and signed strides (in elements) of the input, outermost dimension first.
///
/// The output is contiguous, row-major over `kept`.
#[derive(Clone, Copy, Debug)]
pub struct Dims<'a> {
    /// The dimensions of the output.
    pub kept: &'a [(usize, isize)],
    /// The dimensions reduced over; their order gives the flat index of `arg_reduce`.
    pub reduced: &'a [(usize, isize)],
}

impl Dims<'_> {
    pub(super) fn reduced_len(&self) -> usize {
        self.reduced.iter().map(|d| d.0).product()
    }
}

/// A short list: no allocation up to eight items, which merged dimensions rarely pass.
#[derive(Default)]
pub(super) struct List<T> {
    inline: [T; 8],
    /// Holds all items once they do not fit.
    heap: Vec<T>,
    len: usize,
}

impl<T: Copy + Default> List<T> {
    pub fn push(&mut self, item: T) {
        if self.len < self.inline.len() {
            self.inline[self.len] = item;
        } else {
            if self.heap.is_empty() {
                self.heap.extend_from_slice(&self.inline);
            }
            self.heap.truncate(self.len);
            self.heap.push(item);
        }
        self.len += 1;
    }

    pub fn remove(&mut self, i: usize) -> T {
        let item = self[i];
        self.copy_within(i + 1.., i);
        self.len -= 1;
        item
    }
}

impl<T> std::ops::Deref for List<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        if self.heap.is_empty() { &self.inline[..self.len] } else { &self.heap[..self.len] }
    }
}

impl<T> std::ops::DerefMut for List<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        if self.heap.is_empty() { &mut self.inline[..self.len] } else { &mut self.heap[..self.len] }
    }
}

/// A kept dimension.
#[derive(Clone, Copy, Default)]
pub(super) struct Kept {
    pub size: usize,
    /// Stride in the input.
    pub stride: isize,
    /// Stride in the output.
    pub out: usize,
}

/// The shape of the inner loop.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Mode {
    /// One output at a time, over a contiguous run.
    Run,
    /// One output at a time, its elements gathered into blocks.
    Gather,
    /// Many neighbouring outputs at a time.
    Columns,
}

/// Where everything is, and the order of work. A *group* is one value of the outer kept indices.
pub(super) struct Layout {
    /// Where the first element is, seen from the pointer given.
    pub start: isize,
    /// Outer kept dimensions.
    pub kept: List<Kept>,
    pub reduced: List<(usize, isize)>,
    pub mode: Mode,
    /// Outputs per group, contiguous in the input: 1 unless `mode` is `Columns`.
    pub width: usize,
    /// Distance of the group's outputs.
    pub width_out: usize,
    pub groups: usize,
    /// Elements per output.
    pub len: usize,
    /// The chunks a reduction is cut in, whose partial results are joined at the end.
    pub chunks: usize,
    /// Elements per output and chunk (the last chunk may have fewer).
    pub chunk: usize,
    /// Columns per unit (the last strip may have fewer).
    pub strip: usize,
    pub strips: usize,
    /// Units per piece of work.
    pub per_piece: usize,
}

/// One step of work: a chunk of a strip of a group.
pub(super) struct Unit {
    pub group: usize,
    pub chunk: usize,
    pub strip: usize,
}

/// Widest strip: its accumulators stay in the innermost cache.
const STRIP: usize = 1024;

impl Layout {
    /// `ordered` keeps the order of the reduced dimensions, for indices.
    pub fn new(dims: &Dims, ordered: bool) -> Layout {
        let (start, reduced) = merge_reduced(dims.reduced, ordered);
        let mut kept = merge_kept(contiguous(dims.kept));
        let mut inner = Kept { size: 1, stride: 0, out: 0 };
        let mut mode = if reduced.len() == 1 { Mode::Run } else { Mode::Gather };
        if reduced.last().is_none_or(|d| d.1 != 1) {
            mode = Mode::Gather;
            if let Some(i) = kept.iter().rposition(|d| d.stride == 1) {
                mode = Mode::Columns;
                inner = kept.remove(i);
            }
        }
        let (groups, len) = (kept.iter().map(|d| d.size).product(), dims.reduced_len());
        let strip = inner.size.min(STRIP);
        // A strip of columns is cut into chunks of at most 1,024 rows, to bound scratch memory.
        let chunk = match mode {
            Mode::Columns => (4 * CHUNK / strip.max(1)).clamp(128, 1024),
            _ => CHUNK,
        };
        let work = chunk.min(len.max(1)) * strip;
        Layout {
            start,
            kept,
            reduced,
            mode,
            width: inner.size,
            width_out: inner.out,
            groups,
            len,
            chunks: len.div_ceil(chunk).max(1),
            chunk,
            strip,
            strips: inner.size.div_ceil(strip.max(1)),
            per_piece: (CHUNK / work.max(1)).max(1),
        }
    }

    pub fn units(&self) -> usize {
        self.groups * self.chunks * self.strips
    }

    pub fn pieces(&self) -> usize {
        self.units().div_ceil(self.per_piece)
    }

    /// The units of a piece.
    #[inline(always)]
    pub fn piece(&self, i: usize) -> std::ops::Range<usize> {
        let first = i * self.per_piece;
        first..(first + self.per_piece).min(self.units())
    }

    #[inline(always)]
    pub fn unit(&self, i: usize) -> Unit {
        // Divisions would dominate short rows.
        if self.chunks * self.strips == 1 {
            return Unit { group: i, chunk: 0, strip: 0 };
        }
        let (rest, strip) = (i / self.strips, i % self.strips);
        Unit { group: rest / self.chunks, chunk: rest % self.chunks, strip }
    }

    /// The elements (or rows) of a chunk.
    #[inline(always)]
    pub fn chunk(&self, i: usize) -> std::ops::Range<usize> {
        let first = i * self.chunk;
        first..(first + self.chunk).min(self.len)
    }

    /// The columns of a strip.
    #[inline(always)]
    pub fn strip(&self, i: usize) -> std::ops::Range<usize> {
        let first = i * self.strip;
        first..(first + self.strip).min(self.width)
    }

    /// Where a group starts, in the input and in the output.
    #[inline(always)]
    pub fn group(&self, i: usize) -> (isize, usize) {
        let (input, output) = place(&self.kept, i);
        (self.start + input, output)
    }

    /// The offset of element (or row) `i` from its group's start.
    #[inline(always)]
    pub fn element(&self, mut i: usize) -> isize {
        let Some((first, rest)) = self.reduced.split_first() else {
            return 0;
        };
        let mut offset = 0;
        for &(size, stride) in rest.iter().rev() {
            offset += (i % size) as isize * stride;
            i /= size;
        }
        offset + i as isize * first.1
    }
}

/// The offsets of the `i`-th index of `dims` in the input and in the output.
#[inline(always)]
pub(super) fn place(dims: &[Kept], mut i: usize) -> (isize, usize) {
    let Some((first, rest)) = dims.split_first() else {
        return (0, 0);
    };
    let (mut input, mut output) = (0, 0);
    for d in rest.iter().rev() {
        let k = i % d.size;
        i /= d.size;
        input += k as isize * d.stride;
        output += k * d.out;
    }
    (input + i as isize * first.stride, output + i * first.out)
}

/// Merges neighbours that are one dimension in both input and output.
pub(super) fn merge_kept(dims: impl Iterator<Item = Kept>) -> List<Kept> {
    let mut list = List::<Kept>::default();
    for d in dims.filter(|d| d.size != 1) {
        match list.last_mut() {
            Some(l) if l.stride == d.stride * d.size as isize && l.out == d.out * d.size => {
                *l = Kept { size: l.size * d.size, ..d };
            }
            _ => list.push(d),
        }
    }
    list
}

/// Dimensions with the strides of a contiguous output.
pub(super) fn contiguous(dims: &[(usize, isize)]) -> impl Iterator<Item = Kept> {
    let mut out: usize = dims.iter().map(|d| d.0).product();
    dims.iter().map(move |&(size, stride)| {
        out /= size.max(1);
        Kept { size, stride, out }
    })
}

/// The reduced dimensions, and how far the first element moved: where order is free, dimensions
/// walk upwards, the longest stride outermost.
fn merge_reduced(dims: &[(usize, isize)], ordered: bool) -> (isize, List<(usize, isize)>) {
    let mut start = 0;
    let mut sorted = List::<(usize, isize)>::default();
    for &(size, stride) in dims.iter().filter(|d| d.0 != 1) {
        if stride < 0 && !ordered {
            start += (size as isize - 1).max(0) * stride;
            sorted.push((size, -stride));
        } else {
            sorted.push((size, stride));
        }
    }
    if !ordered {
        sorted.sort_by_key(|d| std::cmp::Reverse(d.1));
    }
    let mut list = List::<(usize, isize)>::default();
    for &(size, stride) in sorted.iter() {
        match list.last_mut() {
            Some(last) if last.1 == stride * size as isize => *last = (last.0 * size, stride),
            _ => list.push((size, stride)),
        }
    }
    (start, list)
}
