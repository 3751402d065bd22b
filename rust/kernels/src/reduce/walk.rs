//! One output at a time: its elements in blocks, wherever they lie.

use std::ops::Range;

use super::block::BLOCK;
use super::layout::{Layout, Mode};

/// Yields the elements of one output in blocks of [`BLOCK`], the last of which may be shorter.
pub(super) struct Source<'a, T> {
    layout: &'a Layout,
    /// Where the output's elements begin.
    src: *const T,
    /// The next element, and the end.
    at: usize,
    end: usize,
}

impl<'a, T: Copy> Source<'a, T> {
    /// # Safety
    /// The elements of `layout` from `src` on can be read.
    #[inline(always)]
    pub unsafe fn new(layout: &'a Layout, src: *const T, range: Range<usize>) -> Source<'a, T> {
        Source { layout, src, at: range.start, end: range.end }
    }

    /// The next block; elements that are not neighbours are copied to `buffer`.
    #[inline(always)]
    pub fn next<'b>(&mut self, buffer: &'b mut [T; BLOCK]) -> Option<&'b [T]>
    where
        'a: 'b,
    {
        let n = (self.end - self.at).min(BLOCK);
        if n == 0 {
            return None;
        }
        if self.layout.mode == Mode::Run {
            // SAFETY: a single dimension of stride 1, which has the elements up to `end`.
            let block = unsafe { std::slice::from_raw_parts(self.src.add(self.at), n) };
            self.at += n;
            return Some(block);
        }
        let (run, stride) = self.layout.reduced.last().copied().unwrap_or((1, 1));
        let mut filled = 0;
        while filled < n {
            let left = run - self.at % run;
            // SAFETY: element `at` of the layout, of a row that has `left` more.
            let p = unsafe { self.src.offset(self.layout.element(self.at)) };
            if left >= BLOCK && stride == 1 && filled == 0 && n == BLOCK {
                self.at += BLOCK;
                // SAFETY: as above, one after the other.
                return Some(unsafe { std::slice::from_raw_parts(p, BLOCK) });
            }
            let take = left.min(n - filled);
            for (i, x) in buffer[filled..filled + take].iter_mut().enumerate() {
                // SAFETY: as above, `stride` apart.
                *x = unsafe { *p.offset(i as isize * stride) };
            }
            filled += take;
            self.at += take;
        }
        Some(&buffer[..n])
    }
}
