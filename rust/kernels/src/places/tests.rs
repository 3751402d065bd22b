use super::*;

fn dim(size: usize, whole: isize, part: isize) -> Dim {
    Dim { size, whole, part }
}

#[test]
fn rows_and_single_elements() {
    let whole = [1.0f32, 2., 3., 4., 5., 6.]; // 3 x 2
    let inner = [dim(2, 1, 1)];
    let rows = Places { outer: &[], offsets: &[4, 0], step: 2, inner: &inner };
    let mut out = [0.0f32; 4];
    // SAFETY: all places are inside.
    unsafe { take(DType::F32, &rows, whole.as_ptr().cast(), out.as_mut_ptr().cast()) };
    assert_eq!(out, [5., 6., 1., 2.]);
    let outer = [dim(3, 2, 1)];
    let column = Places { outer: &outer, offsets: &[1], step: 0, inner: &[] };
    let mut out = [0.0f32; 3];
    // SAFETY: all places are inside.
    unsafe { take(DType::F32, &column, whole.as_ptr().cast(), out.as_mut_ptr().cast()) };
    assert_eq!(out, [2., 4., 6.]);
}

#[test]
fn the_last_write_stays_and_sums_accumulate() {
    let places = Places { outer: &[], offsets: &[1, 0, 1], step: 1, inner: &[] };
    let (mut whole, part) = ([0i64; 2], [5i64, 7, 9]);
    // SAFETY: all places are inside.
    unsafe { put(DType::I64, &places, whole.as_mut_ptr().cast(), part.as_ptr().cast()) };
    assert_eq!(whole, [7, 9]);
    let to = whole.as_mut_ptr().cast();
    // SAFETY: as above.
    unsafe { combine(Combine::Add, DType::I64, &places, to, part.as_ptr().cast()) };
    assert_eq!(whole, [14, 23]);
}

/// Threads share the writes by owner; the result is that of a plain loop.
#[test]
fn many_writes_are_those_of_a_loop() {
    let n = 4 * SHARE + 3;
    let offsets: Vec<isize> = (0..n).map(|j| (j * 7919 % 1009) as isize).collect();
    let part: Vec<f32> = (0..n).map(|j| 1.0 / (j + 1) as f32).collect();
    let mut expected = vec![0f32; 1009];
    offsets.iter().zip(&part).for_each(|(&o, &x)| expected[o as usize] += x);
    let places = Places { outer: &[], offsets: &offsets, step: 1, inner: &[] };
    for threads in [1, 3] {
        threads::set_num_threads(threads);
        let mut whole = vec![0f32; 1009];
        let to = whole.as_mut_ptr().cast();
        // SAFETY: all places are inside.
        unsafe { combine(Combine::Add, DType::F32, &places, to, part.as_ptr().cast()) };
        assert_eq!(whole, expected);
    }
}

#[test]
fn indices_are_checked_and_counted_from_the_end() {
    let (i, j) = ([0i64, -1, 2], [1i64, 5, -4]);
    let index = |v: &[i64], size, step| Index {
        ptr: v.as_ptr(),
        strides: &[1],
        size,
        negative: true,
        step,
    };
    let mut offsets = [0; 3];
    let both = [index(&i, 3, 10), index(&j, 6, 1)];
    // SAFETY: both have three elements.
    assert_eq!(unsafe { locate(&[3], &both, &[], offsets.as_mut_ptr()) }, Ok(()));
    assert_eq!(offsets, [1, 25, 22]);
    let narrow = [index(&i, 3, 10), index(&j, 3, 1)];
    // SAFETY: both have three elements.
    let bad = unsafe { locate(&[3], &narrow, &[], offsets.as_mut_ptr()) };
    assert_eq!(bad, Err(Outside { index: 1, place: 1, value: 5 }));
}

#[test]
fn trues_of_a_mask() {
    let mut mask = vec![0u8; 3 * BLOCKS];
    for at in [0, 9, BLOCKS, 3 * BLOCKS - 1] {
        mask[at] = 2;
    }
    let n = BLOCKS as isize;
    let trues = Trues::of(&mask);
    assert_eq!((trues.count(), Trues::of(&[]).count()), (4, 0));
    let (mut offsets, mut places) = ([0; 4], [0; 8]);
    // SAFETY: room for four, twice in the second case.
    unsafe {
        trues.offsets(&[3, BLOCKS], &[n, 1], offsets.as_mut_ptr());
        trues.places(&[3, BLOCKS], places.as_mut_ptr());
    }
    assert_eq!(offsets, [0, 9, n, 3 * n - 1]);
    assert_eq!(places, [0, 0, 1, 2, 0, 9, 0, n as i64 - 1]);
}

const BLOCKS: usize = 40_000;

#[test]
fn joined_dimensions() {
    let dims = [dim(2, 12, 12), dim(1, 7, 7), dim(3, 4, 4), dim(2, 1, 2)];
    assert_eq!(join(&dims).as_slice(), [dim(6, 4, 4), dim(2, 1, 2)]);
}
