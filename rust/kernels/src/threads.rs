//! The worker pool: data-parallel loops with a cheap hand-off.
//!
//! One caller at a time publishes a job; workers that are awake join through one atomic word, and
//! the caller runs tasks itself, so it never waits for a worker that has not started:
//!
//! ```text
//! caller:  write job; gate = (new epoch, width, open, 0 inside); wake sleepers
//!          run tasks until none is left; clear `open`; wait until nobody is inside
//! worker:  gate open, epoch new, id < width?  inside += 1; run tasks; inside -= 1
//!          else spin for SPIN, then park
//! ```
//!
//! Numbers and rejected alternatives: `docs/decisions/threads.md`.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering::*};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Most threads a loop ever uses, the caller included.
pub const MAX_THREADS: usize = 256;

/// How long an idle worker spins before it parks: longer than the gap between two ops of a script,
/// short enough that an idle process is idle.
const SPIN: Duration = Duration::from_millis(1);

/// Chunks per thread that [`for_ranges`] makes of long loops, so that a disturbed core gets less.
const CHUNKS_PER_THREAD: usize = 4;

/// Threads to use; 0 until first asked for.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// The pool, never freed; null before first use and again in a forked child, whose workers are gone.
static POOL: AtomicPtr<Pool> = AtomicPtr::new(std::ptr::null_mut());

thread_local! {
    /// True inside a task (always, on workers): loops started there run serially.
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
}

/// The number of threads loops use, the caller included.
///
/// Unless set: `WENGERT_NUM_THREADS`, else `OMP_NUM_THREADS`, else the cores this process may use.
#[inline]
pub fn num_threads() -> usize {
    match THREADS.load(Relaxed) {
        0 => default_threads(),
        n => n,
    }
}

/// Sets [`num_threads`], for the whole process; clamped to `1..=MAX_THREADS`.
pub fn set_num_threads(n: usize) {
    THREADS.store(n.clamp(1, MAX_THREADS), Relaxed);
}

#[cold]
fn default_threads() -> usize {
    let variable = |name| std::env::var(name).ok()?.trim().parse().ok().filter(|&n| n > 0);
    let n = variable("WENGERT_NUM_THREADS")
        .or_else(|| variable("OMP_NUM_THREADS"))
        .unwrap_or_else(|| thread::available_parallelism().map_or(1, |n| n.get()))
        .clamp(1, MAX_THREADS);
    // Keep what `set_num_threads` may have stored meanwhile.
    THREADS.compare_exchange(0, n, Relaxed, Relaxed).err().unwrap_or(n)
}

/// Runs `f(0)`, ..., `f(n_tasks - 1)`, each once, on this thread and idle workers, in any order.
///
/// Returns when all have run. Calls from inside a task, or while another thread's loop runs, are
/// serial, on the calling thread.
///
/// # Panics
/// If a task panics: with the first payload, after every other task has run (at once when serial).
#[inline]
pub fn parallel_for(n_tasks: usize, f: &(dyn Fn(usize) + Sync)) {
    let width = num_threads().min(n_tasks);
    if width > 1 && !IN_TASK.get() && pool().try_run(width, n_tasks, f) {
        return;
    }
    (0..n_tasks).for_each(f);
}

/// Whether a worker is awake, so that handing it work costs a fraction of a microsecond. If not, the
/// call costs 5 to 20, and the worker comes 50 to 100 later: small loops should then stay serial.
#[inline]
pub fn are_hot() -> bool {
    let pool = pool();
    pool.started.load(Relaxed) > 0 && !pool.workers[0].asleep.load(Relaxed)
}

/// Cuts `0..len` into ranges of at least `min_per_task` (unless `len` is shorter) and runs `f` on each,
/// as [`parallel_for`]. Ranges start at multiples of 64, so no two share a cache line of bytes.
pub fn for_ranges(len: usize, min_per_task: usize, f: &(dyn Fn(Range<usize>) + Sync)) {
    let threads = num_threads();
    let chunks = (len / min_per_task.max(1)).min(threads * CHUNKS_PER_THREAD);
    if chunks <= 1 || threads == 1 {
        return if len > 0 {
            f(0..len)
        };
    }
    // Few chunks: as many as threads, or a multiple, else some thread works twice as long.
    let chunks = if chunks > threads { chunks - chunks % threads } else { chunks };
    let size = len.div_ceil(chunks).next_multiple_of(64);
    parallel_for(len.div_ceil(size), &|i| f(i * size..len.min((i + 1) * size)));
}

/// One word that workers watch: epoch (32 bits) | width (16) | open (1) | workers inside (15).
mod gate {
    pub const OPEN: u64 = 1 << 15;
    pub const INSIDE: u64 = OPEN - 1;
    pub const fn new(epoch: u32, width: usize) -> u64 {
        (epoch as u64) << 32 | (width as u64) << 16 | OPEN
    }
    pub const fn epoch(gate: u64) -> u32 {
        (gate >> 32) as u32
    }
    /// Whether the gate lets worker `id` in, whose last job was `seen`.
    pub const fn admits(gate: u64, id: usize, seen: u32) -> bool {
        gate & OPEN != 0 && epoch(gate) != seen && id < (gate >> 16 & 0xffff) as usize
    }
}

/// Keeps fields that different threads write off each other's cache lines.
#[repr(align(128))]
struct Padded<T>(T);

#[derive(Clone, Copy)]
struct Job {
    task: *const (dyn Fn(usize) + Sync),
    n_tasks: usize,
}

#[derive(Default)]
struct Worker {
    thread: OnceLock<Thread>,
    asleep: AtomicBool,
}

struct Pool {
    /// Held by the caller whose loop runs.
    busy: AtomicBool,
    /// Workers started; written by the holder of `busy`.
    started: AtomicUsize,
    gate: Padded<AtomicU64>,
    /// The next task to claim.
    next: Padded<AtomicUsize>,
    /// Written by the holder of `busy` while the gate is closed and nobody is inside.
    job: UnsafeCell<Job>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// Worker `id` (from 1: the caller is 0) stands at `id - 1`.
    workers: Box<[Worker]>,
}

// SAFETY: `job` is the only field that is not `Sync`; it is written only with `busy` held, the gate
// closed and nobody inside, and read only by those inside and the holder of `busy`.
unsafe impl Sync for Pool {}

fn pool() -> &'static Pool {
    // SAFETY: the pointer is null or from `Box::leak`.
    unsafe { POOL.load(Acquire).as_ref() }.unwrap_or_else(create)
}

#[cold]
fn create() -> &'static Pool {
    #[cfg(unix)]
    {
        extern "C" fn forked() {
            POOL.store(std::ptr::null_mut(), Release);
        }
        static ONCE: std::sync::Once = std::sync::Once::new();
        // SAFETY: the handler only stores to an atomic, which is allowed after `fork`. Without
        // memory for the registration it returns an error, and only forked children suffer.
        ONCE.call_once(|| unsafe {
            libc::pthread_atfork(None, None, Some(forked));
        });
    }
    let idle = Job { task: &|_| (), n_tasks: 0 };
    let new = Box::leak(Box::new(Pool {
        busy: AtomicBool::new(false),
        started: AtomicUsize::new(0),
        gate: Padded(AtomicU64::new(0)),
        next: Padded(AtomicUsize::new(0)),
        job: UnsafeCell::new(idle),
        panic: Mutex::new(None),
        workers: (1..MAX_THREADS).map(|_| Worker::default()).collect(),
    }));
    match POOL.compare_exchange(std::ptr::null_mut(), new, AcqRel, Acquire) {
        Ok(_) => new,
        // SAFETY: another thread was faster; its pointer came from `Box::leak`, and ours is dropped
        // unseen by anyone else.
        Err(theirs) => unsafe {
            drop(Box::from_raw(new));
            &*theirs
        },
    }
}

impl Pool {
    /// Runs the loop on up to `width` threads, or returns false if another caller's loop runs.
    fn try_run(&'static self, width: usize, n_tasks: usize, f: &(dyn Fn(usize) + Sync)) -> bool {
        if self.busy.swap(true, Acquire) {
            return false;
        }
        if self.started.load(Relaxed) < width - 1 {
            self.start_workers(width - 1);
        }
        // SAFETY: only the lifetime changes; nobody uses the pointer after `close` below.
        let task = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), *const _>(f) };
        let job = Job { task, n_tasks };
        // SAFETY: we hold `busy`, and the last caller left the gate closed and nobody inside.
        unsafe { *self.job.get() = job };
        self.next.0.store(0, Relaxed);
        let epoch = gate::epoch(self.gate.0.load(Relaxed)).wrapping_add(1);
        // Sequentially consistent, as are the accesses in `wake` and `sleep`: either we see the
        // sleeper or it sees the job.
        self.gate.0.store(gate::new(epoch, width), SeqCst);
        self.wake_children(0, width);
        IN_TASK.set(true);
        self.drain(job);
        IN_TASK.set(false);
        self.close();
        let panic = self.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.busy.store(false, Release);
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
        true
    }

    /// Shuts the gate and waits until the last worker has left.
    fn close(&self) {
        self.gate.0.fetch_and(!gate::OPEN, AcqRel);
        let mut spins = 0;
        while self.gate.0.load(Acquire) & gate::INSIDE != 0 {
            // A task that forked: in the child, those inside do not exist.
            if !std::ptr::eq(POOL.load(Relaxed), self) {
                return;
            }
            spin(&mut spins);
        }
    }

    /// Claims and runs tasks until none is left.
    fn drain(&self, job: Job) {
        loop {
            let i = self.next.0.fetch_add(1, Relaxed);
            if i >= job.n_tasks {
                return;
            }
            // SAFETY: the caller of `try_run` keeps the closure alive until nobody is inside.
            let run = AssertUnwindSafe(|| unsafe { (*job.task)(i) });
            if let Err(payload) = catch_unwind(run) {
                let mut first = self.panic.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert(payload);
            }
        }
    }

    /// Wakes the two workers below `id` in the binary tree of ids: each wakes its own in turn, so
    /// that waking many costs the caller no more than waking two.
    fn wake_children(&self, id: usize, width: usize) {
        for child in (2 * id + 1..=2 * id + 2).filter(|&child| child < width) {
            let worker = &self.workers[child - 1];
            if worker.asleep.load(SeqCst) && worker.asleep.swap(false, SeqCst) {
                worker.thread.get().inspect(|t| t.unpark());
            }
        }
    }

    /// Starts workers up to `wanted`; where the system refuses, lowers [`num_threads`] instead.
    #[cold]
    fn start_workers(&'static self, wanted: usize) {
        for id in self.started.load(Relaxed) + 1..=wanted {
            let builder = thread::Builder::new().name(format!("wengert-{id}"));
            match builder.spawn(move || self.work(id)) {
                Ok(handle) => {
                    // The slot is empty: ids are started once, under `busy`.
                    let _ = self.workers[id - 1].thread.set(handle.thread().clone());
                    self.started.store(id, Relaxed);
                }
                Err(_) => return set_num_threads(id),
            }
        }
    }

    /// A worker's life.
    fn work(&self, id: usize) {
        IN_TASK.set(true);
        let mut seen = 0;
        let mut spins = 0;
        let mut idle_since = Instant::now();
        loop {
            if let Some(gate) = self.enter(id, seen) {
                seen = gate::epoch(gate);
                self.wake_children(id, (gate >> 16 & 0xffff) as usize);
                // SAFETY: inside the gate, nobody writes the job.
                self.drain(unsafe { *self.job.get() });
                self.gate.0.fetch_sub(1, Release);
                idle_since = Instant::now();
            } else if spin(&mut spins) && idle_since.elapsed() > SPIN {
                self.sleep(id, seen);
                idle_since = Instant::now();
            }
        }
    }

    /// Joins the current job, if there is one for this worker that it has not seen.
    fn enter(&self, id: usize, seen: u32) -> Option<u64> {
        let mut gate = self.gate.0.load(Acquire);
        while gate::admits(gate, id, seen) {
            match self.gate.0.compare_exchange_weak(gate, gate + 1, AcqRel, Acquire) {
                Ok(gate) => return Some(gate),
                Err(changed) => gate = changed,
            }
        }
        None
    }

    /// Parks until someone clears the `asleep` flag.
    fn sleep(&self, id: usize, seen: u32) {
        let asleep = &self.workers[id - 1].asleep;
        asleep.store(true, SeqCst);
        if gate::admits(self.gate.0.load(SeqCst), id, seen) {
            return asleep.store(false, SeqCst);
        }
        while asleep.load(Acquire) {
            thread::park();
        }
    }
}

/// One turn of a waiting loop; true after a turn that offered the core to other threads, without
/// which a waiter on a busy machine takes the time slice of the one it waits for.
#[inline]
fn spin(turns: &mut u32) -> bool {
    *turns = turns.wrapping_add(1);
    if *turns % 32 == 0 {
        thread::yield_now();
        return true;
    }
    std::hint::spin_loop();
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tests share the pool and the thread count; one at a time, and more threads than cores.
    fn with_threads<R>(n: usize, f: impl FnOnce() -> R) -> R {
        static LOCK: Mutex<()> = Mutex::new(());
        let _guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        set_num_threads(n);
        f()
    }

    fn counts(n: usize) -> Vec<usize> {
        let counts: Vec<_> = (0..n).map(|_| AtomicUsize::new(0)).collect();
        parallel_for(n, &|i| {
            counts[i].fetch_add(1, Relaxed);
        });
        counts.into_iter().map(AtomicUsize::into_inner).collect()
    }

    #[test]
    fn every_task_runs_once() {
        for threads in [1, 2, 3, 9] {
            with_threads(threads, || {
                for round in 0..300 {
                    let n = round % 41;
                    assert_eq!(counts(n), vec![1; n]);
                }
            });
        }
    }

    /// Other tests of the process may hold the pool or change the thread count at any time, which
    /// makes a loop serial: what must happen in parallel gets many chances.
    fn eventually(what: &str, mut happens: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !happens() {
            assert!(Instant::now() < deadline, "never: {what}");
        }
    }

    #[test]
    fn workers_wake_after_sleeping() {
        with_threads(4, || {
            eventually("four threads at work", || {
                set_num_threads(4);
                thread::sleep(3 * SPIN);
                let seen = Mutex::new(std::collections::HashSet::new());
                parallel_for(8, &|_| {
                    thread::sleep(SPIN);
                    seen.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(thread::current().id());
                });
                seen.into_inner().unwrap_or_else(PoisonError::into_inner).len() == 4
            });
        });
    }

    #[test]
    fn nested_and_concurrent_loops() {
        with_threads(3, || {
            let total = AtomicUsize::new(0);
            thread::scope(|s| {
                for _ in 0..4 {
                    s.spawn(|| {
                        parallel_for(20, &|_| {
                            parallel_for(20, &|_| {
                                total.fetch_add(1, Relaxed);
                            });
                        });
                    });
                }
            });
            assert_eq!(total.into_inner(), 1600);
        });
    }

    #[test]
    fn panics_reach_the_caller_after_all_tasks() {
        with_threads(3, || {
            eventually("all tasks ran", || {
                set_num_threads(3);
                let ran = AtomicUsize::new(0);
                let result = catch_unwind(AssertUnwindSafe(|| {
                    parallel_for(50, &|i| {
                        ran.fetch_add(1, Relaxed);
                        assert!(i != 7, "task seven");
                    });
                }));
                let payload = result.expect_err("must panic");
                assert!(payload.downcast_ref::<&str>().is_some_and(|s| s.contains("task seven")));
                ran.into_inner() == 50
            });
            assert_eq!(counts(50), vec![1; 50]);
        });
    }

    #[test]
    fn ranges_cover_once() {
        for threads in [1, 2, 5] {
            with_threads(threads, || {
                for len in [0, 1, 63, 64, 65, 1000, 4097, 100_000] {
                    for min in [0, 1, 64, 500, 1_000_000] {
                        let seen: Vec<_> = (0..len).map(|_| AtomicUsize::new(0)).collect();
                        let calls = AtomicUsize::new(0);
                        for_ranges(len, min, &|r| {
                            assert!(r.start % 64 == 0 && !r.is_empty());
                            calls.fetch_add(1, Relaxed);
                            r.for_each(|i| {
                                seen[i].fetch_add(1, Relaxed);
                            });
                        });
                        assert!(seen.iter().all(|s| s.load(Relaxed) == 1), "{len} {min}");
                        assert!(calls.into_inner() <= (len / min.max(1)).max(1), "{len} {min}");
                    }
                }
            });
        }
    }

    #[cfg(unix)]
    #[test]
    fn forked_child_does_not_hang() {
        with_threads(4, || {
            assert_eq!(counts(30), vec![1; 30]);
            // SAFETY: the child calls only the pool and `_exit`.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                let ok = counts(30) == vec![1; 30];
                // SAFETY: always allowed.
                unsafe { libc::_exit(if ok { 0 } else { 1 }) };
            }
            let mut status = -1;
            let deadline = Instant::now() + Duration::from_secs(20);
            // SAFETY: `pid` is our child and `status` a valid place.
            while unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } == 0 {
                if Instant::now() > deadline {
                    // SAFETY: as above.
                    unsafe { libc::kill(pid, libc::SIGKILL) };
                }
                thread::sleep(Duration::from_millis(1));
            }
            assert_eq!(status, 0);
            assert_eq!(counts(30), vec![1; 30]);
        });
    }
}
