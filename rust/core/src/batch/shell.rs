//! The levels that tensors are batched at, for calls that rules of the front end batch.

use super::{Level, Randomness, batch_of, levels, spread, whole_at, wrap};
use crate::{Result, Tensor};

/// How many levels are open.
pub fn depth() -> usize {
    levels(|l| l.len())
}

/// Runs `f` as if `level` and those above it were not open.
pub fn outside<R>(level: usize, f: impl FnOnce() -> R) -> R {
    struct Aside(Vec<Level>);
    impl Drop for Aside {
        fn drop(&mut self) {
            levels(|l| l.append(&mut self.0));
        }
    }
    let _aside = Aside(levels(|l| l.split_off(level.min(l.len()))));
    f()
}

/// Levels, by their numbers, lowest first. Tensors are taken out of all of them and put in again,
/// also when the levels are no longer open.
#[derive(Clone)]
pub struct Shell(Vec<(usize, Level)>);

/// Levels opened again, until it is dropped.
struct Reopened(usize);

impl Drop for Reopened {
    fn drop(&mut self) {
        levels(|l| l.truncate(l.len() - self.0));
    }
}

impl Shell {
    /// The levels at which some of the tensors are batched.
    pub fn of<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> Shell {
        let mut found: Vec<usize> = Vec::new();
        for t in tensors {
            let mut inner = batch_of(t);
            while let Some(b) = inner {
                found.push(b.level);
                inner = batch_of(&b.whole);
            }
        }
        found.sort_unstable();
        found.dedup();
        levels(|l| Shell(found.into_iter().filter_map(|n| Some((n, *l.get(n)?))).collect()))
    }

    /// The highest level: its number, the size of its batches, how it draws random numbers.
    pub fn highest(&self) -> Option<(usize, usize, Randomness)> {
        self.0.last().map(|(n, l)| (*n, l.size, l.randomness))
    }

    /// What `t` is at the highest level, its batch first, if it is batched there.
    pub fn whole(&self, t: &Tensor) -> Option<Tensor> {
        whole_at(t, self.0.last()?.0)
    }

    /// `t` without the wrappers of these levels, their batches first; repeated where it has none.
    ///
    /// # Errors
    /// RuntimeError when memory cannot be had.
    pub fn out_of(&self, t: &Tensor) -> Result<Tensor> {
        let mut t = t.clone();
        for (number, level) in self.0.iter().rev() {
            t = spread(&t, *number, level.size)?;
        }
        Ok(t)
    }

    /// `t`, whose first dimensions are the batches, in wrappers of these levels.
    ///
    /// # Errors
    /// RuntimeError when memory cannot be had.
    pub fn put_in(&self, t: &Tensor) -> Result<Tensor> {
        self.0.iter().try_fold(t.clone(), |t, (number, _)| wrap(&t, *number))
    }

    /// Runs `f` with these levels open: under their numbers, or under new ones if they were closed.
    pub fn open<R>(&self, f: impl FnOnce(&Shell) -> R) -> R {
        let mut count = 0;
        let now = self.0.iter().map(|(number, level)| {
            let at = levels(|l| {
                if l.get(*number).is_some_and(|open| open.id == level.id) {
                    return *number;
                }
                count += 1;
                l.push(*level);
                l.len() - 1
            });
            (at, *level)
        });
        let shell = Shell(now.collect());
        let _reopened = Reopened(count);
        f(&shell)
    }
}
