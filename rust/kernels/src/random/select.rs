//! The first few of a list in order, with equal elements in the order PyTorch leaves them.
//!
//! PyTorch's `topk` on the CPU is `std::partial_sort`, or `std::nth_element` and `std::sort`. None
//! of them is stable, so which of two equal elements comes first is decided by libstdc++'s choice
//! of pivots and heap moves. The functions below make the same comparisons and moves; their names
//! are the standard's. Ties are not rare: of 100,000 `f32` keys of `multinomial`, 120 sat elsewhere
//! in stable order.

/// Below this length quicksort leaves the rest to insertion sort.
const SMALL: usize = 16;

/// Moves the `k` elements (at least one) that come first to the front, in order. `before` is a
/// strict weak order.
pub(super) fn top_k<E: Copy>(v: &mut [E], k: usize, before: impl Fn(&E, &E) -> bool + Copy) {
    if k * 64 <= v.len() {
        partial_sort(v, k, before);
    } else {
        nth_element(v, k - 1, before);
        sort(&mut v[..k - 1], before);
    }
}

fn partial_sort<E: Copy>(v: &mut [E], k: usize, before: impl Fn(&E, &E) -> bool + Copy) {
    heap_select(v, k, before);
    sort_heap(&mut v[..k], before);
}

/// Introselect: quicksort that goes on with one half only, or with a heap when the halves stay
/// uneven.
fn nth_element<E: Copy>(v: &mut [E], n: usize, before: impl Fn(&E, &E) -> bool + Copy) {
    let (mut first, mut last) = (0, v.len());
    let mut rounds = 2 * v.len().ilog2();
    while last - first > 3 {
        if rounds == 0 {
            heap_select(&mut v[first..last], n + 1 - first, before);
            v.swap(first, n);
            return;
        }
        rounds -= 1;
        let cut = first + partition(&mut v[first..last], before);
        if cut <= n {
            first = cut;
        } else {
            last = cut;
        }
    }
    insertion_sort(&mut v[first..last], before);
}

/// Introsort, and one insertion sort over the nearly sorted rest.
fn sort<E: Copy>(v: &mut [E], before: impl Fn(&E, &E) -> bool + Copy) {
    if let Some(depth) = v.len().checked_ilog2() {
        quicksort(v, 2 * depth, before);
        insertion_sort(v, before);
    }
}

fn quicksort<E: Copy>(mut v: &mut [E], mut rounds: u32, before: impl Fn(&E, &E) -> bool + Copy) {
    while v.len() > SMALL {
        if rounds == 0 {
            let k = v.len();
            return partial_sort(v, k, before);
        }
        rounds -= 1;
        let cut = partition(v, before);
        let (low, high) = v.split_at_mut(cut);
        quicksort(high, rounds, before);
        v = low;
    }
}

/// Partitions around the median of the second, middle and last element, which goes to the front.
/// Returns the length of the part that is not after it.
fn partition<E: Copy>(v: &mut [E], before: impl Fn(&E, &E) -> bool) -> usize {
    let (a, b, c) = (1, v.len() / 2, v.len() - 1);
    let less = |i: usize, j: usize| before(&v[i], &v[j]);
    let median = match (less(a, b), less(b, c), less(a, c)) {
        (true, true, _) | (false, false, false) => b,
        (true, false, true) | (false, true, false) => c,
        (true, false, false) | (false, _, true) => a,
    };
    v.swap(0, median);
    let pivot = v[0];
    let (mut first, mut last) = (1, v.len());
    loop {
        while before(&v[first], &pivot) {
            first += 1;
        }
        last -= 1;
        while before(&pivot, &v[last]) {
            last -= 1;
        }
        if first >= last {
            return first;
        }
        v.swap(first, last);
        first += 1;
    }
}

fn insertion_sort<E: Copy>(v: &mut [E], before: impl Fn(&E, &E) -> bool) {
    for i in 1..v.len() {
        let x = v[i];
        // libstdc++ looks at the front before it walks; both find the place after equal elements.
        let mut hole = i;
        while hole > 0 && before(&x, &v[hole - 1]) {
            v[hole] = v[hole - 1];
            hole -= 1;
        }
        v[hole] = x;
    }
}

/// Makes the `k` elements that come first a heap at the front; its top is the last of them.
fn heap_select<E: Copy>(v: &mut [E], k: usize, before: impl Fn(&E, &E) -> bool + Copy) {
    let (heap, rest) = v.split_at_mut(k);
    for hole in (0..k / 2).rev() {
        sift(heap, hole, heap[hole], before);
    }
    for x in rest {
        if before(x, &heap[0]) {
            let displaced = std::mem::replace(x, heap[0]);
            sift(heap, 0, displaced, before);
        }
    }
}

fn sort_heap<E: Copy>(v: &mut [E], before: impl Fn(&E, &E) -> bool + Copy) {
    for end in (1..v.len()).rev() {
        let displaced = v[end];
        v[end] = v[0];
        sift(&mut v[..end], 0, displaced, before);
    }
}

/// Puts `x` into the heap below `top`: takes the hole down to a leaf along the later children, then
/// up to where `x` belongs.
fn sift<E: Copy>(heap: &mut [E], top: usize, x: E, before: impl Fn(&E, &E) -> bool) {
    let mut hole = top;
    loop {
        let right = 2 * hole + 2;
        let child = if right < heap.len() && !before(&heap[right], &heap[right - 1]) {
            right
        } else if right <= heap.len() {
            right - 1
        } else {
            break;
        };
        heap[hole] = heap[child];
        hole = child;
    }
    while hole > top && before(&heap[(hole - 1) / 2], &x) {
        heap[hole] = heap[(hole - 1) / 2];
        hole = (hole - 1) / 2;
    }
    heap[hole] = x;
}
