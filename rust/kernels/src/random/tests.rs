//! Against PyTorch.
use super::*;

#[test]
fn first_words_of_mt19937() {
    // C++ std::mt19937{5489}: 3499211612, and the 10,000th is 4123659995 (C++ standard).
    let mut g = Generator::new(5489);
    let words: Vec<u32> = (0..10_000).map(|_| g.random()).collect();
    assert_eq!((words[0], words[9_999]), (3499211612, 4123659995));
}
