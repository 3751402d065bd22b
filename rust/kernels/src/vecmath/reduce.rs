//! Sine and cosine of huge arguments: exact reduction by pi/2, one number at a time.
//!
//! Payne and Hanek's method. x = m 2^e with an integer m of 53 bits. Of the product of m with
//! 2/pi, what matters lies between the weights 2 (the quadrant) and about 2^-120 (the fraction,
//! with
//! up to 62 leading bits lost to cancellation), so 192 bits of 2/pi from the right place suffice.

/// 2/pi in binary, after the point (mpmath: `floor(2 / pi * 2**1280)`).
const TWO_OVER_PI: [u64; 20] = [
    0xa2f9836e4e441529,
    0xfc2757d1f534ddc0,
    0xdb6295993c439041,
    0xfe5163abdebbc561,
    0xb7246e3a424dd2e0,
    0x06492eea09d1921c,
    0xfe1deb1cb129a73e,
    0xe88235f52ebb4484,
    0xe99c7026b45f7e41,
    0x3991d639835339f4,
    0x9c845f8bbdf9283b,
    0x1ff897ffde05980f,
    0xef2f118b5a0a6d1f,
    0x6d367ecf27cb09b7,
    0x4f463f669e5fea2d,
    0x7527bac7ebe5f17b,
    0x3d0739f78a5292ea,
    0x6bfb5fb11f8d5d08,
    0x56033046fc7b6bab,
    0xf0cfbc209af4361d,
];

/// 64 bits of 2/pi, from the one of weight `2^-(from + 1)` on; zeros before the point.
fn bits(from: i32) -> u64 {
    let word = |i: i32| if i < 0 { 0 } else { TWO_OVER_PI[i as usize] };
    let (i, shift) = (from.div_euclid(64), from.rem_euclid(64));
    if shift == 0 { word(i) } else { word(i) << shift | word(i + 1) >> (64 - shift) }
}

/// `x = (4 n + quadrant) pi/2 + r`, `|r|` up to pi/4, with `r` as a sum of two; `|x| >= 1`, finite.
fn reduce(x: f64) -> (u32, f64, f64) {
    let m = (x.to_bits() & ((1 << 52) - 1)) | 1 << 52;
    let e = ((x.to_bits() >> 52) & 0x7ff) as i32 - 1075;
    // Product modulo 4: bits of 2/pi of weight 2^(2 - e) and above do not count.
    let from = e - 2;
    let (w2, w1, w0) = (bits(from), bits(from + 64), bits(from + 128));
    let low = m as u128 * w0 as u128;
    let middle = m as u128 * w1 as u128 + (low >> 64);
    let high = m.wrapping_mul(w2).wrapping_add((middle >> 64) as u64);
    let product = (high as u128) << 64 | (middle as u64) as u128;
    // Two bits of quadrant, then the fraction; from one half on, the next quadrant's negative.
    let quadrant = ((product >> 126) as u32).wrapping_add((product >> 125) as u32 & 1);
    let fraction = (product << 2) as i128;
    let unit = 2f64.powi(-128);
    let hi = fraction as f64;
    let lo = (fraction.wrapping_sub(hi as i128)) as f64;
    let (hi, lo) = (hi * unit, lo * unit);
    // Times pi/2, in two parts.
    const HI: f64 = std::f64::consts::FRAC_PI_2;
    const LO: f64 = 6.123_233_995_736_766e-17;
    let r = hi * HI;
    let tail = super::f64::double::product_error(hi, HI, r) + (hi * LO + lo * HI);
    let sign = if x < 0.0 { -1.0 } else { 1.0 };
    let quadrant = if x < 0.0 { quadrant.wrapping_neg() } else { quadrant };
    (quadrant & 3, sign * r, sign * tail)
}

/// Sine and cosine of `x`, `|x| >= 1`; NaN for NaN and the infinities.
#[cold]
#[inline(never)]
pub fn sin_cos(x: f64) -> (f64, f64) {
    if !x.is_finite() {
        return (f64::NAN, f64::NAN);
    }
    let (quadrant, r, tail) = reduce(x);
    let (s, c) = super::f64::sin_cos_near_0::<crate::isa::Baseline>(r, tail);
    match quadrant {
        0 => (s, c),
        1 => (c, -s),
        2 => (-s, -c),
        _ => (-c, s),
    }
}
