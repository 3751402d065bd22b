use proptest::prelude::*;

use super::generator::N;
use super::integer::Modulus;
use super::select::top_k;
use super::*;

#[test]
fn first_words_of_mt19937() {
    // std::mt19937 with its default seed; the C++ standard states the 10,000th.
    let mut g = Generator::new(5489);
    let words: Vec<u32> = (0..10_000).map(|_| g.random()).collect();
    assert_eq!((words[0], words[9_999]), (3499211612, 4123659995));
}

#[test]
fn default_seed() {
    // torch.Generator(); torch.rand(2, generator=g)
    let mut out = [0f32; 2];
    let mut g = Generator::default();
    g.fill_uniform(&mut out, 0.0, 1.0);
    assert_eq!(g.initial_seed(), DEFAULT_SEED);
    assert_eq!(out.map(f64::from), [0.267295241355896, 0.8725283145904541]);
}

#[test]
fn seeding_forgets_the_cached_sample() {
    let mut g = Generator::new(1);
    g.fill_normal(&mut [0f64], 0.0, 1.0);
    g.manual_seed(1);
    assert_eq!(g, Generator::new(1));
}

#[test]
fn entropy_differs() {
    let mut g = Generator::default();
    let seeds = [g.seed_from_entropy(), g.seed_from_entropy()];
    assert_ne!(seeds[0], seeds[1]);
    assert_eq!(g, Generator::new(seeds[1]));
}

#[test]
fn bad_states_are_refused() {
    let mut g = Generator::new(3);
    g.random();
    let before = g.clone();
    let good = g.get_state();
    assert_eq!(
        g.set_state(&good[1..]).unwrap_err(),
        "Expected a CPUGeneratorImplState of size 5056 but found the input RNG state size to be \
         5055"
    );
    // left, seeded, next (twice), and a left beyond what next leaves.
    for (at, value) in [(8, 0), (8, 626), (12, 0), (16, 625), (17, 255), (8, 625), (16, 200)] {
        let mut bad = good.clone();
        bad[at..at + 2].copy_from_slice(&u16::to_le_bytes(value));
        assert_eq!(g.set_state(&bad), Err("Invalid mt19937 state".into()), "{at} {value}");
    }
    assert_eq!(g, before);
}

#[test]
fn single_precision_samples_are_carried() {
    let mut state = Generator::new(3).get_state();
    state[5048..5053].copy_from_slice(&[1, 2, 3, 64, 1]);
    let mut g = Generator::default();
    g.set_state(&state).unwrap();
    assert_eq!(g.get_state(), state);
}

#[test]
fn long_permutations() {
    // The rule for lengths from 214,748,364 on. For that length plus 5 and seed 11 all numbers were
    // compared with PyTorch's; here a short one against the textbook.
    let mut g = Generator::new(11);
    let mut out = [0i64; 50];
    let mut expected = vec![];
    for i in 0..50 {
        let place = (g.random64() % (i + 1)) as usize;
        expected.push(i as i64);
        expected.swap(place, i as usize);
    }
    g.manual_seed(11);
    g.insert_at_random(&mut out);
    assert_eq!(out[..], expected);
}

#[test]
fn impossible_weights() {
    let mut g = Generator::new(0);
    let mut error = |w: &[f32], replacement| {
        g.multinomial(&mut [0; 2], w, 1, replacement).expect_err("an impossible weight")
    };
    let entry = "invalid multinomial distribution (encountering probability entry";
    assert_eq!(error(&[1.0, -1.0], true), format!("{entry} < 0)"));
    assert_eq!(error(&[1.0, f32::NAN], true), format!("{entry} < 0)"));
    assert_eq!(error(&[1.0, f32::INFINITY], true), format!("{entry} = infinity or NaN)"));
    let sum = "invalid multinomial distribution (sum of probabilities <= 0)";
    assert_eq!(error(&[0.0, 0.0], true), sum);
    assert_eq!(error(&[0.0, 0.0], false), sum);
    let any = "probability tensor contains either `inf`, `nan` or element < 0";
    for bad in [-1.0, f32::NAN, f32::INFINITY] {
        assert_eq!(error(&[1.0, bad], false), any);
    }
    assert_eq!(g, Generator::new(0));
}

#[test]
fn rows_of_weights() {
    let weights = [1f64, 2.0, 0.0, 3.0, 0.0, 5.0];
    for replacement in [true, false] {
        let (mut whole, mut parts) = (Generator::new(5), Generator::new(5));
        let mut out = [0; 4];
        whole.multinomial(&mut out, &weights, 2, replacement).unwrap();
        for (out, weights) in out.chunks(2).zip(weights.chunks(3)) {
            let mut row = [0; 2];
            parts.multinomial(&mut row, weights, 1, replacement).unwrap();
            assert_eq!(row, out);
        }
        assert_eq!(whole, parts);
    }
}

#[test]
fn uniform_never_reaches_its_end() {
    // In f16 a third of all units round up to 1 here: they become the lower bound.
    let mut out = [half::f16::ONE; 1000];
    Generator::new(0).fill_uniform(&mut out, 0.999, 1.0);
    assert!(out.iter().all(|x| x.to_f32() < 1.0));
}

proptest! {
    #[test]
    fn words_come_in_order(seed: u64, pieces in prop::collection::vec(0..2000usize, 1..5)) {
        let (mut one, mut many) = (Generator::new(seed), Generator::new(seed));
        for n in pieces {
            let mut words = vec![0; n];
            many.fill_words(&mut words);
            prop_assert!(words.iter().all(|&w| w == one.random()));
            prop_assert_eq!(&one, &many);
        }
    }

    #[test]
    fn states_come_back(seed: u64, words in 0..3 * N, samples in 0..3usize) {
        let mut g = Generator::new(seed);
        g.fill_words(&mut vec![0; words]);
        g.fill_normal(&mut vec![0f32; samples], 0.0, 1.0);
        let mut other = Generator::default();
        other.set_state(&g.get_state()).unwrap();
        prop_assert_eq!(other, g);
    }

    #[test]
    fn remainders(x: u32, d in 1..=u32::MAX, small in 1..100u32) {
        prop_assert_eq!(Modulus::new(d).remainder(x), x % d);
        prop_assert_eq!(Modulus::new(small).remainder(x), x % small);
    }

    #[test]
    fn bounds_hold_after_rounding(from in -70_000..70_000i64, length in 1..70_000i64, x: u64) {
        let low = closest_from::<half::bf16>(from);
        let high = closest_to::<half::bf16>(from + length);
        prop_assume!(low < high);
        let y = half::bf16::from_i64(low + (x % (high - low) as u64) as i64).to_f64() as i64;
        prop_assert!((from..from + length).contains(&y));
    }

    #[test]
    fn top_k_sorts(mut v in prop::collection::vec(0..50u32, 1..300), k: prop::sample::Index) {
        let k = k.index(v.len()) + 1;
        let mut sorted = v.clone();
        sorted.sort_by(|a, b| b.cmp(a));
        top_k(&mut v, k, |a, b| a > b);
        prop_assert_eq!(&v[..k], &sorted[..k]);
        v.sort_by(|a, b| b.cmp(a));
        prop_assert_eq!(v, sorted);
    }

    #[test]
    fn permutations_are_complete(seed: u64, n in 0..3000usize) {
        let mut out = vec![0i32; n];
        Generator::new(seed).fill_permutation(&mut out);
        out.sort();
        prop_assert!(out.into_iter().eq(0..n as i32));
    }
}
