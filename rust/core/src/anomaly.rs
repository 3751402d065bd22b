//! Anomaly mode: each node remembers where it was made, and says so when backward fails there.

use crate::sync::guarded;
use crate::tape::Node;
use crate::{Result, Tensor, bail, op, ops, pointwise};
use std::cell::RefCell;

#[derive(Clone, Copy)]
struct Mode {
    on: bool,
    check_nan: bool,
    host: Option<&'static dyn Host>,
}

guarded!(mode: Mode = Mode { on: false, check_nan: true, host: None });

/// What the front end does in the mode.
pub trait Host: Sync {
    /// A node was made, while `parent` ran if backward is being recorded.
    fn made(&self, node: &Node, parent: Option<&Node>);
    /// Backward failed at a node.
    fn failed(&self, node: &Node);
}

thread_local! {
    /// Nodes that are running, the innermost last.
    static RUNNING: RefCell<Vec<Node>> = const { RefCell::new(Vec::new()) };
}

/// Registers the front end.
pub fn set_host(host: &'static dyn Host) {
    mode(|m| m.host = Some(host));
}

/// True if the mode is on.
#[inline(always)]
pub fn enabled() -> bool {
    mode(|m| m.on)
}

/// True if gradients are searched for NaN while the mode is on.
pub fn checks_nan() -> bool {
    mode(|m| m.check_nan)
}

/// Switches the mode.
pub fn set(on: bool, check_nan: bool) {
    mode(|m| (m.on, m.check_nan) = (on, check_nan));
}

#[cold]
pub(crate) fn made(node: &Node) {
    if let Some(host) = mode(|m| m.host) {
        let parent = RUNNING.with_borrow(|r| r.last().cloned());
        host.made(node, parent.as_ref());
    }
}

/// Runs a node by `f` and looks at what comes out.
#[cold]
pub(crate) fn watch<G>(node: &Node, f: impl FnOnce() -> Result<G>) -> Result<G>
where
    G: AsRef<[Option<Tensor>]>,
{
    RUNNING.with_borrow_mut(|r| r.push(node.clone()));
    let out = f().and_then(|g| check(node, g.as_ref()).map(|()| g));
    drop(RUNNING.with_borrow_mut(Vec::pop));
    if out.is_err()
        && let Some(host) = mode(|m| m.host)
    {
        host.failed(node);
    }
    out
}

fn check(node: &Node, grads: &[Option<Tensor>]) -> Result<()> {
    if !checks_nan() {
        return Ok(());
    }
    let _off = crate::mode::Guard::new(false);
    for (i, g) in grads.iter().enumerate() {
        let Some(g) = g.as_ref().filter(|g| g.dtype().is_differentiable()) else { continue };
        let nan = pointwise::call(ops::Id::ISNAN, &[g.into()])?;
        if op::call1(ops::Id::ANY, &[nan.into()])?.item()?.is_true() {
            bail!(Runtime, "Function '{}' returned nan values in its {i}th output.", node.name());
        }
    }
    Ok(())
}
