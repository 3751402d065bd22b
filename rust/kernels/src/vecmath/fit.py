"""Fits the polynomials of vecmath: `python fit.py [NAME...]` prints Rust constants.

Remez exchange in 60-digit arithmetic (mpmath), minimising the error relative to `scale`; then each
coefficient is rounded to its type. The comment above a constant is the error of the unrounded fit.
"""

import struct
import sys

from mpmath import (
    asin,
    atan,
    cos,
    erf,
    erfc,
    exp,
    log,
    log1p,
    lu_solve,
    matrix,
    mp,
    mpf,
    pi,
    polyval,
    sqrt,
)

mp.dps = 60


def remez(f, scale, a, b, degree):
    """Coefficients, lowest first, minimising max |(f - p) / scale| on [a, b], and that maximum."""
    n = degree + 2
    a, b = mpf(a), mpf(b)
    xs = [(a + b) / 2 - (b - a) / 2 * cos(pi * (2 * i + 1) / (2 * n)) for i in range(n)]
    error = lambda x: (f(x) - polyval(c[::-1], x)) / scale(x)
    for _ in range(30):
        m = matrix(n, n)
        for i, x in enumerate(xs):
            for j in range(degree + 1):
                m[i, j] = x**j
            m[i, degree + 1] = (-1) ** i * scale(x)
        solved = lu_solve(m, matrix([f(x) for x in xs]))
        c = [solved[i] for i in range(degree + 1)]
        # One extremum between neighbouring sign changes, on a grid refined by parabolas.
        grid = [(a + b) / 2 - (b - a) / 2 * cos(pi * i / (24 * n)) for i in range(24 * n + 1)]
        es = [error(x) for x in grid]
        peaks = []
        for i, (x, e) in enumerate(zip(grid, es)):
            if not peaks or (e > 0) != (peaks[-1][1] > 0):
                peaks.append([x, e, i])
            elif abs(e) > abs(peaks[-1][1]):
                peaks[-1] = [x, e, i]
        for p in peaks:
            i = p[2]
            if 0 < i < len(grid) - 1:
                x0, x1, x2 = grid[i - 1 : i + 2]
                y0, y1, y2 = es[i - 1 : i + 2]
                d0, d2 = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
                if d0 != d2:
                    p[0] = (x0 + x1) / 2 - d0 * (x2 - x0) / 2 / (d2 - d0)
                    p[1] = error(p[0])
        while len(peaks) > n:
            peaks.pop(0 if abs(peaks[0][1]) < abs(peaks[-1][1]) else -1)
        if len(peaks) < n:
            raise ArithmeticError(f"only {len(peaks)} extrema of {n}")
        xs = [p[0] for p in peaks]
        worst, least = max(abs(p[1]) for p in peaks), min(abs(p[1]) for p in peaks)
        if worst < least * (1 + mpf(10) ** -6):
            break
    return c, worst


def taylor(closed, terms, small):
    return lambda x: polyval(terms[::-1], x) if abs(x) < small else closed(x)


TERMS = 40
FACT = [mpf(1)]
for i in range(1, 2 * TERMS + 4):
    FACT.append(FACT[-1] * i)

# (e^r - 1 - r) / r^2
exp_rest = lambda r: polyval([1 / FACT[j + 2] for j in range(TERMS)][::-1], r)
# (log(1 + f) - f + f^2/2) / f^3
log_rest = taylor(
    lambda f: (log1p(f) - f + f * f / 2) / f**3,
    [mpf((-1) ** j) / (j + 3) for j in range(TERMS)],
    0.01,
)
# (log((1 + s) / (1 - s)) - 2 s) / s^3, in z = s^2
log_odd = lambda z: polyval([mpf(2) / (2 * j + 3) for j in range(TERMS)][::-1], z)
# the same less its first term: (... - 2/3) / z
log_odd2 = lambda z: polyval([mpf(2) / (2 * j + 5) for j in range(TERMS)][::-1], z)
# (sin r - r) / r^3, (cos r - 1 + r^2/2) / r^4, (sinh r - r) / r^3, in z = r^2
sin_rest = lambda z: polyval([(-1) ** (j + 1) / FACT[2 * j + 3] for j in range(TERMS)][::-1], z)
cos_rest = lambda z: polyval([(-1) ** j / FACT[2 * j + 4] for j in range(TERMS)][::-1], z)
sinh_rest = lambda z: polyval([1 / FACT[2 * j + 3] for j in range(TERMS)][::-1], z)
# (atan t - t) / t^3 and (asin t - t) / t^3, in z = t^2
atan_rest = taylor(
    lambda z: (atan(sqrt(z)) - sqrt(z)) / sqrt(z) ** 3,
    [mpf((-1) ** (j + 1)) / (2 * j + 3) for j in range(TERMS)],
    0.01,
)
asin_rest = taylor(
    lambda z: (asin(sqrt(z)) - sqrt(z)) / sqrt(z) ** 3,
    [FACT[2 * j + 2] / (mpf(4) ** (j + 1) * FACT[j + 1] ** 2 * (2 * j + 3)) for j in range(TERMS)],
    0.01,
)
# erf(x) / x - 1, in z = x^2
erf_rest = lambda z: (erf(sqrt(z)) / sqrt(z) if z > mpf(10) ** -30 else 2 / sqrt(pi)) - 1
# (1 + 2 x) e^(x^2) erfc(x), in t = (x - K) / (x + K)
K = mpf(3)


def erfc_scaled(t):
    x = K * (1 + t) / (1 - t)
    return (1 + 2 * x) * exp(x * x) * erfc(x)


T = lambda x: (mpf(x) - K) / (mpf(x) + K)

# -log(erfc(x)), for f32 erf
erf_log = lambda x: -log(erfc(x))

sin_scale = lambda z: (1 + z * sin_rest(z)) / max(z, mpf("4e-4"))
sinh_scale = lambda z: (1 + z * sinh_rest(z)) / max(z, mpf("4e-4"))
HALF_LN2 = log(2) / 2 * mpf("1.001")
S = (sqrt(mpf(2)) - 1) / (sqrt(mpf(2)) + 1)
FITS = {
    # name: (type, f, scale of the error, a, b, degree)
    "EXP_32": ("f32", exp_rest, lambda r: exp(r) / max(r * r, mpf("1e-9")), -HALF_LN2, HALF_LN2, 4),
    "EXPM1_32": (
        "f32",
        exp_rest,
        lambda r: (1 + r * exp_rest(r)) / max(abs(r), mpf("1e-4")),
        -HALF_LN2,
        HALF_LN2,
        5,
    ),
    "LOG_32": (
        "f32",
        log_rest,
        lambda f: abs(log1p(f)) / abs(f) ** 3 if abs(f) > 1e-2 else mpf(10) ** 4,
        sqrt(mpf("0.5")) - 1,
        sqrt(mpf(2)) - 1,
        7,
    ),
    "SIN_32": ("f32", sin_rest, sin_scale, 0, (pi / 4) ** 2 * mpf("1.02"), 2),
    "COS_32": (
        "f32",
        cos_rest,
        lambda z: cos(sqrt(z)) / max(z, mpf("1e-3")) ** 2,
        0,
        (pi / 4) ** 2 * mpf("1.02"),
        2,
    ),
    "ERF_SMALL_32": ("f32", erf_rest, lambda z: 1 + erf_rest(z), 0, 1, 6),
    "ERF_LARGE_32": ("f32", erf_log, lambda x: erf(x) / erfc(x), mpf("0.99"), 4, 6),
    "EXP_64": ("f64", exp_rest, lambda r: exp(r) / max(r * r, mpf("1e-9")), -HALF_LN2, HALF_LN2, 9),
    "EXPM1_64": (
        "f64",
        exp_rest,
        lambda r: (1 + r * exp_rest(r)) / max(abs(r), mpf("1e-4")),
        -HALF_LN2,
        HALF_LN2,
        10,
    ),
    "LOG_64": ("f64", log_odd, lambda z: 2 / max(z, mpf("1e-3")), 0, S**2, 6),
    "POW_LOG_64": ("f64", log_odd2, lambda z: 2 / max(z, mpf("1e-3")) ** 2, 0, S**2, 7),
    "SIN_64": ("f64", sin_rest, sin_scale, 0, (pi / 4) ** 2 * mpf("1.001"), 5),
    "COS_64": (
        "f64",
        cos_rest,
        lambda z: cos(sqrt(z)) / max(z, mpf("1e-3")) ** 2,
        0,
        (pi / 4) ** 2 * mpf("1.001"),
        5,
    ),
    "SINH_64": ("f64", sinh_rest, sinh_scale, 0, 1, 6),
    "ATAN_64": (
        "f64",
        atan_rest,
        lambda z: 1 / max(z, mpf("1e-3")),
        0,
        (sqrt(mpf(2)) - 1) ** 2,
        10,
    ),
    "ASIN_64": ("f64", asin_rest, lambda z: 1 / max(z, mpf("1e-3")), 0, mpf("0.25"), 11),
    "ERF_64": ("f64", erf_rest, lambda z: 1 + erf_rest(z), 0, 1, 11),
    "ERFC_64": ("f64", erfc_scaled, erfc_scaled, T(0.45), T(28), 21),
    "EXP_MID": (
        "f64",
        exp_rest,
        lambda r: exp(r) / max(r * r, mpf("1e-9")),
        -HALF_LN2,
        HALF_LN2,
        5,
    ),
    "EXPM1_MID": (
        "f64",
        exp_rest,
        lambda r: (1 + r * exp_rest(r)) / max(abs(r), mpf("1e-4")),
        -HALF_LN2,
        HALF_LN2,
        5,
    ),
    "LOG_MID": ("f64", log_odd, lambda z: 2 / max(z, mpf("1e-3")), 0, S**2, 3),
    "POW_LOG_MID": ("f64", log_odd, lambda z: 2 / max(z, mpf("1e-3")), 0, S**2, 4),
    "SIN_MID": ("f64", sin_rest, sin_scale, 0, (pi / 4) ** 2 * mpf("1.02"), 3),
    "COS_MID": (
        "f64",
        cos_rest,
        lambda z: cos(sqrt(z)) / max(z, mpf("1e-3")) ** 2,
        0,
        (pi / 4) ** 2 * mpf("1.02"),
        2,
    ),
    "SINH_MID": ("f64", sinh_rest, sinh_scale, 0, 1, 3),
    "ATAN_MID": (
        "f64",
        atan_rest,
        lambda z: 1 / max(z, mpf("1e-3")),
        0,
        (sqrt(mpf(2)) - 1) ** 2,
        4,
    ),
    "ASIN_MID": ("f64", asin_rest, lambda z: 1 / max(z, mpf("1e-3")), 0, mpf("0.25"), 5),
    "ERF_MID": ("f64", erf_rest, lambda z: 1 + erf_rest(z), 0, mpf("0.25"), 4),
    "ERFC_MID": ("f64", erfc_scaled, erfc_scaled, T(0.45), T(11), 10),
}


def short(x):
    """The shortest decimal that reads back as the same f32."""
    v = struct.unpack("f", struct.pack("f", x))[0]
    for digits in range(1, 12):
        s = f"{v:.{digits}e}"
        if struct.unpack("f", struct.pack("f", float(s)))[0] == v:
            return s.replace("e+00", "").replace("e-0", "e-").replace("e+0", "e")
    return repr(v)


if __name__ == "__main__":
    for name in sys.argv[1:] or FITS:
        kind, f, scale, a, b, degree = FITS[name]
        try:
            c, worst = remez(f, scale, a, b, degree)
        except ArithmeticError as e:
            print(f"// {name}: {e}")
            continue
        print(f"/// Error below 2^{float(log(worst, 2)):.1f}.")
        print(f"const {name}: [{kind}; {len(c)}] = [")
        for x in c:
            print(f"    {short(x) if kind == 'f32' else repr(float(x))},")
        print("];", flush=True)
