//! Memory between two pages that may not be touched: a test that reads or writes outside crashes.

/// Bytes that touch the forbidden page behind them, or the one before.
pub struct Guarded {
    base: *mut u8,
    len: usize,
    bytes: usize,
    at_end: bool,
}

const PAGE: usize = 4096;
/// What unused bytes of the pages hold, so that writes to them show.
const UNUSED: u8 = 0xa5;

impl Guarded {
    pub fn new(bytes: usize, at_end: bool) -> Guarded {
        let len = bytes.next_multiple_of(PAGE).max(PAGE);
        let rw = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh mapping, whose outer pages are then closed.
        unsafe {
            let all = libc::mmap(std::ptr::null_mut(), len + 2 * PAGE, rw, flags, -1, 0);
            assert_ne!(all, libc::MAP_FAILED);
            let base = all.cast::<u8>().add(PAGE);
            assert_eq!(libc::mprotect(all, PAGE, libc::PROT_NONE), 0);
            assert_eq!(libc::mprotect(base.add(len).cast(), PAGE, libc::PROT_NONE), 0);
            base.write_bytes(UNUSED, len);
            Guarded { base, len, bytes, at_end }
        }
    }

    /// Where the bytes begin.
    pub fn ptr(&self) -> *mut u8 {
        // SAFETY: inside the mapping.
        unsafe { self.base.add(if self.at_end { self.len - self.bytes } else { 0 }) }
    }

    /// Whether the rest of the pages is as it was.
    pub fn intact(&self) -> bool {
        // SAFETY: the mapping.
        let all = unsafe { std::slice::from_raw_parts(self.base, self.len) };
        let rest = if self.at_end { &all[..self.len - self.bytes] } else { &all[self.bytes..] };
        rest.iter().all(|&b| b == UNUSED)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`.
        unsafe { libc::munmap(self.base.sub(PAGE).cast(), self.len + 2 * PAGE) };
    }
}
