//! Backward inside backward: beyond some depth a pass goes to a thread of its own, whose stack (and
//! the interpreter's count of it) begins anew.

use crate::convert::Guarded;
use crate::errors::{from_python, to_python};
use crate::hooks::python;
use pyo3::prelude::*;
use std::cell::Cell;
use wengert::{Error, Result, engine, err, mode, saved};

/// Passes inside one another on one stack.
const MOST: u32 = 60;
const STACK: usize = 16 << 20;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Notes that one more pass runs, while it lives.
struct Deeper;

impl Drop for Deeper {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// Runs a pass, here or in another thread.
pub fn run<T>(pass: impl FnOnce() -> Result<T>) -> Result<T> {
    let depth = DEPTH.get();
    DEPTH.set(depth + 1);
    let _deeper = Deeper;
    if depth < MOST { pass() } else { elsewhere(pass) }
}

/// Runs a pass in a new thread, under this one's modes, while this one waits.
fn elsewhere<T>(pass: impl FnOnce() -> Result<T>) -> Result<T> {
    let state = (mode::current(), saved::packers(), engine::inputs_given());
    let work = Guarded((pass, state));
    let body = move || {
        let (pass, (mode, packers, inputs)) = work.into_inner();
        Python::attach(|_| {
            mode::set(mode);
            saved::set_packers(packers);
            engine::set_inputs_given(inputs);
            DEPTH.set(1);
            let out = pass().map_err(|e| to_python(&e));
            saved::set_packers(Vec::new());
            Guarded(out)
        })
    };
    let out = python().detach(|| {
        std::thread::scope(|s| {
            let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(s, body);
            thread.map(|t| t.join())
        })
    });
    match out {
        Ok(Ok(out)) => out.into_inner().map_err(from_python),
        Ok(Err(_)) => Err(err!(Runtime, "internal error in wengert: a backward pass panicked")),
        Err(e) => Err(Error::new(
            wengert::error::Kind::Runtime,
            format!("no thread for a nested backward pass: {e}"),
        )),
    }
}
