//! Where in the user's program things happened: which call recorded a node, wrote to memory, or
//! freed a node. Off by default; then it costs a look at one flag.

use crate::Storage;
use crate::sync::guarded;
use crate::tape::{self, Notes};
use std::collections::VecDeque;

/// A place in a program, as the front end knows it: a code object and an instruction. Which line
/// that is, is found out when somebody asks.
#[derive(Clone)]
pub struct CallSite {
    pub code: Notes,
    pub instruction: u32,
}

/// What the front end knows of its program.
#[derive(Clone, Copy)]
pub struct Program {
    /// Where it is now.
    pub here: fn() -> Option<CallSite>,
    /// `file:line` of a place.
    pub show: fn(&CallSite) -> Option<String>,
}

guarded!(program: Option<Program> = None);
guarded!(recording: bool = false);
guarded!(writes: VecDeque<Write> = VecDeque::new());

/// A write, by the memory it was to and the version that this got.
struct Write {
    memory: usize,
    version: u32,
    /// The newest node then.
    seq: u64,
    site: CallSite,
}

/// Only the latest writes are remembered.
const MOST: usize = 1 << 14;

/// From now on each new node, write and freed node remembers where it happened; None ends that.
pub fn record(p: Option<Program>) {
    recording(|on| *on = p.is_some());
    if p.is_some() {
        program(|slot| *slot = p);
    }
}

/// The place where the program is, if that is being recorded.
#[inline(always)]
pub(crate) fn here() -> Option<CallSite> {
    if recording(|on| *on) { find() } else { None }
}

#[cold]
fn find() -> Option<CallSite> {
    let known = program(|p| *p)?;
    (known.here)()
}

/// Notes a write to memory whose version is `counter`'s.
#[inline(always)]
pub(crate) fn written(counter: &Storage) {
    if recording(|on| *on) {
        note(counter);
    }
}

#[cold]
fn note(counter: &Storage) {
    let Some(site) = find() else { return };
    let (memory, version, seq) = (counter.id(), counter.version(), tape::newest());
    let old = writes(|w| {
        w.push_back(Write { memory, version, seq, site });
        if w.len() > MOST { w.pop_front() } else { None }
    });
    // Not before: it may run code of the front end.
    drop(old);
}

/// The write that gave memory the version `version`, after node number `since` was recorded. (The
/// same address may have been another's memory before.)
pub(crate) fn write_to(counter: &Storage, version: u32, since: u64) -> Option<CallSite> {
    let is = |w: &&Write| w.memory == counter.id() && w.version == version && w.seq >= since;
    writes(|list| list.iter().rev().find(is).map(|w| w.site.clone()))
}

/// `text`, and on a line of its own where `what` happened, if that is known.
pub(crate) fn explain(text: String, what: &str, site: Option<CallSite>) -> String {
    let shown = site.and_then(|s| program(|p| *p).and_then(|p| (p.show)(&s)));
    match shown {
        Some(place) => format!("{text}\n{what} was at {place}."),
        None => text,
    }
}
