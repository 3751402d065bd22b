//! The tape, the engine, storages, views and hooks: what `make miri` runs.

mod common;

use common::{op, vec64};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use wengert::hooks::NodeHook;
use wengert::op::{by_name, call_in_place};
use wengert::tape::{Edge, Node, Rule, live_nodes};
use wengert::{DType, Error, Result, Storage, Tensor, Value, custom, engine, err, mode, saved};

/// Under miri a step takes a thousand times as long.
const DEEP: usize = if cfg!(miri) { 300 } else { 300_000 };

fn leaf(values: &[f64]) -> Tensor {
    Tensor::from_slice(values).requires_grad_(true).unwrap()
}

fn write(name: &str, args: &[Value]) -> Result<Tensor> {
    call_in_place(by_name(name)[0], args)
}

/// Runs `f`, after which as much must be alive as before.
fn nothing_left(f: impl FnOnce()) {
    let before = (live_nodes(), wengert::live_tensors());
    f();
    assert_eq!((live_nodes(), wengert::live_tensors()), before);
}

fn retain() -> engine::Options<'static> {
    engine::Options { retain_graph: true, ..Default::default() }
}

#[test]
fn chains_are_freed_without_recursion() {
    nothing_left(|| {
        let x = leaf(&[1.0]);
        let mut y = x.clone();
        for _ in 0..DEEP {
            y = y.mul(&x.detach()).unwrap();
        }
        y.backward().unwrap();
        assert_eq!(vec64(&x.grad().unwrap()), [1.0]);
    });
    nothing_left(|| {
        let x = leaf(&[1.0]);
        let mut y = x.clone();
        for _ in 0..DEEP {
            y = y.mul(&y).unwrap();
        }
    });
}

#[test]
fn one_leaf_used_often() {
    nothing_left(|| {
        let x = leaf(&[1.0, 2.0]);
        let mut sum = x.sum_all().unwrap();
        for _ in 0..DEEP / 10 {
            sum = sum.add(&x.mul(&x).unwrap().sum_all().unwrap()).unwrap();
        }
        sum.backward().unwrap();
        let n = (DEEP / 10) as f64;
        assert_eq!(vec64(&x.grad().unwrap()), [2.0 * n + 1.0, 4.0 * n + 1.0]);
    });
}

#[test]
fn passes_over_a_retained_graph_and_their_errors() {
    nothing_left(|| {
        let x = leaf(&[3.0]);
        let y = x.mul(&x).unwrap().mul(&x).unwrap();
        for _ in 0..3 {
            engine::backward(std::slice::from_ref(&y), &[None], retain()).unwrap();
        }
        assert_eq!(vec64(&x.grad().unwrap()), [81.0]);
        y.backward().unwrap();
        assert!(y.backward().unwrap_err().message.contains("a second time"));
        assert!(leaf(&[1.0, 2.0]).mul(&x).unwrap().backward().is_err());
    });
}

#[test]
fn gradients_of_gradients() {
    nothing_left(|| {
        let x = leaf(&[2.0]);
        let mut g = op("sin", &[(&x).into()]).unwrap().mul(&x).unwrap();
        let options =
            engine::Options { create_graph: true, retain_graph: true, ..Default::default() };
        for _ in 0..3 {
            let inputs = std::slice::from_ref(&x);
            g = engine::grad(&[g], inputs, &[None], options).unwrap().remove(0).unwrap();
        }
        assert!((vec64(&g)[0] - (-3.0 * 2f64.sin() - 2.0 * 2f64.cos())).abs() < 1e-12);
    });
}

#[test]
fn views_and_writes() {
    nothing_left(|| {
        let x = leaf(&[1.0, 2.0, 3.0, 4.0]);
        let y = x.mul(&x).unwrap().reshape(&[2, 2]).unwrap();
        let row = y.select(0, 1).unwrap();
        let column = y.slice(1, Some(1), None, 1).unwrap();
        write("mul", &[(&row).into(), Value::from(&Tensor::from_slice(&[10.0]))]).unwrap();
        write("exp", &[(&column).into()]).unwrap();
        assert_eq!(y.version(), 2);
        let names: Vec<String> =
            [&row, &column, &y].map(|t| t.grad_node().unwrap().unwrap().name()).to_vec();
        assert_eq!(names[1], "AsStridedBackward0");
        y.t().unwrap().expand(&[2, 2, 2]).unwrap().sum_all().unwrap().backward().unwrap();
        let e = |v: f64, d: f64| 2.0 * v.exp() * d;
        let want = [4.0, e(4.0, 4.0), 120.0, e(160.0, 80.0)];
        for (g, w) in vec64(&x.grad().unwrap()).iter().zip(want) {
            assert!((g - w).abs() <= 1e-9 * w, "{g} {w}");
        }
        let saved = y.mul(&y).unwrap();
        write("zero", &[(&y).into()]).ok();
        write("mul", &[(&y).into(), (&y).into()]).unwrap();
        assert!(saved.sum_all().unwrap().backward().is_err());
    });
}

#[test]
fn a_tensor_that_saved_itself() {
    nothing_left(|| {
        let x = leaf(&[2.0]).mul(&leaf(&[3.0])).unwrap();
        let y = x.add(&x).unwrap();
        write("add", &[(&x).into(), (&y).into()]).unwrap();
        x.backward().unwrap();
        let z = leaf(&[2.0]).mul(&leaf(&[3.0])).unwrap();
        write("mul", &[(&z).into(), (&z).into()]).unwrap();
    });
}

#[test]
fn hooks_in_order_and_their_errors() {
    nothing_left(|| {
        let log = Rc::new(RefCell::new(Vec::new()));
        let note = |what: &'static str| {
            let log = log.clone();
            Rc::new(move |_: &Tensor| {
                log.borrow_mut().push(what);
                Ok(None)
            })
        };
        struct Counts(Rc<Cell<u32>>);
        impl NodeHook for Counts {
            fn call(
                &self,
                _: Option<&[Option<Tensor>]>,
                _: &[Option<Tensor>],
            ) -> Result<Option<Vec<Option<Tensor>>>> {
                self.0.set(self.0.get() + 1);
                Ok(None)
            }
        }
        let x = leaf(&[1.0, 2.0]);
        let y = x.mul(&x).unwrap();
        let count = Rc::new(Cell::new(0));
        y.register_hook(note("y")).unwrap();
        y.retain_grad().unwrap();
        x.register_hook(note("x")).unwrap();
        x.register_post_accumulate_grad_hook(note("post")).unwrap();
        x.register_accumulator_prehook(Rc::new(Counts(count.clone())));
        let node = y.grad_node().unwrap().unwrap();
        node.register_prehook(Rc::new(Counts(count.clone())));
        node.register_hook(Rc::new(Counts(count.clone())));
        let sum = y.sum_all().unwrap();
        engine::backward(std::slice::from_ref(&sum), &[None], retain()).unwrap();
        assert_eq!(*log.borrow(), ["y", "x", "post"]);
        assert_eq!((count.get(), vec64(&y.grad().unwrap())), (3, vec![1.0; 2]));
        y.register_hook(Rc::new(|_: &Tensor| Err(err!(Runtime, "no")))).unwrap();
        assert_eq!(sum.backward().unwrap_err().message, "no");
        // The engine is as it was.
        x.mul(&x).unwrap().sum_all().unwrap().backward().unwrap();
    });
}

/// A hook may register hooks where it runs, write to what it is given, and drop what it belongs to.
#[test]
fn hooks_that_change_what_they_run_at() {
    nothing_left(|| {
        let x = leaf(&[1.0, 2.0]);
        let kept = Rc::new(RefCell::new(Some(x.mul(&x).unwrap())));
        let y = kept.borrow().clone().unwrap();
        y.retain_grad().unwrap();
        let (inner, at) = (kept.clone(), x.clone());
        y.register_hook(Rc::new(move |_: &Tensor| {
            if let Some(y) = inner.take() {
                y.register_hook(Rc::new(|g: &Tensor| g.mul(g).map(Some)))?;
            }
            at.register_hook(Rc::new(|_: &Tensor| Ok(None)))?;
            let _on = mode::Guard::new(true);
            at.mul(&at)?.sum_all()?.backward()?;
            Ok(None)
        }))
        .unwrap();
        let again = x.clone();
        x.register_hook(Rc::new(move |g: &Tensor| {
            again.register_hook(Rc::new(|_: &Tensor| Ok(None)))?;
            g.mul(g).map(Some)
        }))
        .unwrap();
        let sum = y.sum_all().unwrap();
        drop(y);
        sum.backward().unwrap();
        x.clear_leaf_hooks();
        x.replace_grad(None);
    });
}

/// The gradient of twice its input, and what it is told to keep.
struct Twice {
    kept: RefCell<Option<Tensor>>,
    fails: bool,
}

impl Rule for Twice {
    fn name(&self) -> String {
        "TwiceBackward".into()
    }
    fn apply(&self, node: &Node, grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        if self.fails {
            return Err(Error::new(wengert::error::Kind::Runtime, "fails"));
        }
        assert!(node.saved_at(0)?.is_some());
        let g = grads[0].clone().unwrap();
        // Backward inside backward.
        let inner = mode::Guard::new(true);
        let z = leaf(&[1.0]);
        z.mul(&z)?.backward()?;
        drop(inner);
        Ok(vec![Some(g.add(&g)?)])
    }
    fn release(&self) {
        drop(self.kept.take());
    }
}

#[test]
fn custom_rules() {
    for fails in [false, true] {
        nothing_left(|| {
            let x = leaf(&[1.0, 2.0]);
            let rule = Rc::new(Twice { kept: RefCell::new(Some(x.clone())), fails });
            let node = custom::node([&x].into_iter(), rule).unwrap();
            let y = {
                let _off = mode::Guard::new(false);
                x.add(&x).unwrap()
            };
            let facts = custom::Output {
                number: 0,
                input: false,
                dirty: false,
                differentiable: true,
                several: false,
                multiple: false,
            };
            let y = custom::attach(Some(&node), &y, facts).unwrap();
            custom::save(&node, [Some(&x), Some(&y), None].into_iter()).unwrap();
            let sum = y.sum_all().unwrap();
            assert_eq!(sum.backward().is_err(), fails);
            if !fails {
                assert_eq!(vec64(&x.grad().unwrap()), [2.0, 2.0]);
            }
        });
    }
}

struct Numbers(Vec<f64>);

impl saved::Unpack for Numbers {
    fn unpack(&self) -> Result<Tensor> {
        Ok(Tensor::from_slice(&self.0))
    }
}

struct ToNumbers;

impl saved::Pack for ToNumbers {
    fn pack(&self, t: &Tensor) -> Result<Rc<dyn saved::Unpack>> {
        Ok(Rc::new(Numbers(t.to_vec::<f64>()?)))
    }
}

#[test]
fn packed_values() {
    nothing_left(|| {
        let x = leaf(&[1.0, 2.0]);
        saved::push(Rc::new(ToNumbers));
        let y = op("exp", &[(&x.mul(&x).unwrap()).into()]).unwrap();
        saved::pop();
        let g = engine::Options { create_graph: true, ..Default::default() };
        engine::grad(&[y.sum_all().unwrap()], std::slice::from_ref(&x), &[None], g).unwrap();
        let preserve = saved::Preserve::open().unwrap();
        let z = x.mul(&x).unwrap();
        let w = z.mul(&z).unwrap();
        write("mul", &[(&z).into(), (&z).into()]).unwrap();
        w.sum_all().unwrap().backward().unwrap();
        preserve.close();
        assert_eq!(vec64(&x.grad().unwrap()), [4.0, 32.0]);
    });
}

#[test]
fn storages() {
    let dropped = Rc::new(Cell::new(false));
    struct Tells(Rc<Cell<bool>>);
    impl Drop for Tells {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let mut memory = vec![1.0f64, 2.0, 3.0, 4.0];
    // SAFETY: `memory` outlives the storage.
    let foreign = unsafe {
        Storage::foreign(memory.as_mut_ptr().cast(), 32, Box::new(Tells(dropped.clone())))
    };
    let layout = wengert::shape::Layout::contiguous(&[4]);
    let t = Tensor::from_parts(foreign, layout, DType::F64);
    let part = t.slice(0, Some(1), Some(3), 1).unwrap();
    write("mul", &[(&part).into(), (&part).into()]).unwrap();
    let outside = t.detach();
    drop(t);
    assert_eq!(vec64(&outside), [1.0, 4.0, 9.0, 4.0]);
    drop((part, outside));
    assert!(dropped.get());
    assert_eq!(memory, [1.0, 4.0, 9.0, 4.0]);
    for size in [0usize, 1, 8, 9, 40, 100, 1000, 70_000] {
        let t = Tensor::zeros(&[size], DType::F64).unwrap();
        let u = Tensor::from_slice(&vec![1.0f64; size]);
        t.set_data(&u).unwrap();
        write("add", &[(&t).into(), (&u).into()]).unwrap();
        assert_eq!(vec64(&u), vec![2.0; size]);
    }
    wengert::empty_cache();
}

#[test]
fn deferred_work() {
    let n = if cfg!(miri) { 33_000 } else { 100_000 };
    nothing_left(|| {
        let x = Tensor::from_slice(&vec![0.5f64; n]).requires_grad_(true).unwrap();
        let y = x.mul(&x).unwrap().add(&x).unwrap();
        let z = op("neg", &[(&y).into()]).unwrap();
        drop(op("neg", &[(&z).into()]).unwrap());
        let off = mode::Guard::new(false);
        write("mul", &[(&x).into(), Value::from(&Tensor::from_slice(&[2.0]))]).unwrap();
        drop(off);
        assert_eq!(vec64(&z)[n - 1], -0.75);
        drop((y, z));
        x.mul(&x).unwrap().sum_all().unwrap().backward().unwrap();
        assert_eq!(vec64(&x.grad().unwrap())[0], 2.0);
    });
}

#[test]
fn edges_and_single_nodes() {
    nothing_left(|| {
        let x = leaf(&[1.0, 2.0]);
        let y = x.mul(&x).unwrap();
        assert!(matches!(x.gradient_edge().unwrap(), Edge::Leaf(t) if t.same(&x)));
        let Edge::Node(n, 0) = y.gradient_edge().unwrap() else { panic!("a node") };
        let g = engine::apply(&n, &[Some(Tensor::from_slice(&[1.0f64, 1.0]))]).unwrap();
        assert_eq!(vec64(g[0].as_ref().unwrap()), [1.0, 2.0]);
        let sum = y.sum_all().unwrap();
        drop(y);
        let found = engine::run(
            &[sum.gradient_edge().unwrap()],
            vec![Tensor::from_slice(&[1.0f64]).reshape(&[]).unwrap()],
            engine::Options { inputs: Some(&[Edge::Node(n, 0), Edge::None]), ..retain() },
        );
        assert_eq!(vec64(found.unwrap()[0].as_ref().unwrap()), [1.0, 1.0]);
    });
}

#[test]
fn one_thread_each() {
    let each = |k: usize| {
        let x = leaf(&[k as f64]);
        for _ in 0..10 {
            x.mul(&x).unwrap().backward().unwrap();
        }
        assert_eq!(vec64(&x.grad().unwrap()), [20.0 * k as f64]);
        live_nodes()
    };
    std::thread::scope(|s| {
        let all: Vec<_> = (0..3).map(|k| s.spawn(move || each(k))).collect();
        for t in all {
            assert_eq!(t.join().unwrap(), 0);
        }
    });
}
