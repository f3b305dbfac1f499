// Functions that WGSL lacks, or leaves open for some values. Numbers that are
// none are told by their bits: compilers may assume that there are none.

fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn is_infinite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) == 0x7f800000u;
}

fn is_positive_infinity(x: f32) -> bool {
    return bitcast<u32>(x) == 0x7f800000u;
}

fn is_negative_infinity(x: f32) -> bool {
    return bitcast<u32>(x) == 0xff800000u;
}

// The other one where one is no number.
fn larger(a: f32, b: f32) -> f32 {
    return select(select(max(a, b), a, is_nan(b)), b, is_nan(a));
}

fn smaller(a: f32, b: f32) -> f32 {
    return select(select(min(a, b), a, is_nan(b)), b, is_nan(a));
}

fn reciprocal(x: f32) -> f32 {
    return 1.0 / x;
}

fn reciprocal_root(x: f32) -> f32 {
    return 1.0 / sqrt(x);
}

fn round_away(x: f32) -> f32 {
    let whole = trunc(x);
    return select(whole, whole + sign(x), abs(x - whole) >= 0.5);
}

fn tanh_of(x: f32) -> f32 {
    // A quotient of polynomials where the difference below would lose digits.
    let s = x * x;
    let small = x * (945.0 + s * (105.0 + s)) / (945.0 + s * (420.0 + 15.0 * s));
    let e = exp(-2.0 * abs(x));
    let large = (1.0 - e) / (1.0 + e);
    return select(select(large, -large, x < 0.0), small, abs(x) < 0.5);
}

fn asinh_of(x: f32) -> f32 {
    let a = abs(x);
    let s = a * a;
    let small = a * (1.0 - s * (1.0 / 6.0 - s * (0.075 - s * 0.0446428571)));
    let large = select(log(a + sqrt(s + 1.0)), log(a) + 0.6931471805599453, a > 1.0e9);
    let result = select(large, small, a < 0.2);
    return select(result, -result, x < 0.0);
}

// Its series, for at most a half.
fn asin_near_zero(x: f32) -> f32 {
    let s = x * x;
    let rest = 0.030381944 + s * (0.022372159 + s * (0.017352764 + s * (0.013964844 + s * 0.011551800)));
    return x + x * s * (0.16666667 + s * (0.075 + s * (0.044642857 + s * rest)));
}

fn asin_of(x: f32) -> f32 {
    let a = abs(x);
    let far = 1.5707963267948966 - 2.0 * asin_near_zero(sqrt((1.0 - a) * 0.5));
    let result = select(asin_near_zero(a), far, a > 0.5);
    return select(result, -result, x < 0.0);
}

fn acos_of(x: f32) -> f32 {
    let far = 2.0 * asin_near_zero(sqrt((1.0 - abs(x)) * 0.5));
    let near_end = select(far, 3.141592653589793 - far, x < 0.0);
    return select(1.5707963267948966 - asin_near_zero(x), near_end, abs(x) > 0.5);
}

fn sigmoid(x: f32) -> f32 {
    return 1.0 / (1.0 + exp(-x));
}

fn silu(x: f32) -> f32 {
    return x / (1.0 + exp(-x));
}

fn hard_swish(x: f32) -> f32 {
    return x * larger(0.0, smaller(1.0, x / 6.0 + 0.5));
}

fn leaky_relu(x: f32, slope: f32) -> f32 {
    return select(x, x * slope, x < 0.0);
}

// Near 0 by its series, elsewhere by formula 7.1.26 of Abramowitz and Stegun;
// off by at most 2e-7.
fn erf(x: f32) -> f32 {
    let a = abs(x);
    let s = x * x;
    let series = 1.1283791671 * a * (1.0 - s * (1.0 / 3.0 - s * (0.1 - s * (1.0 / 42.0 - s / 216.0))));
    let t = 1.0 / (1.0 + 0.3275911 * a);
    let polynomial = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    let far = 1.0 - polynomial * exp(-s);
    let result = select(far, series, a < 0.5);
    return select(result, -result, x < 0.0);
}

fn gelu_erf(x: f32) -> f32 {
    return 0.5 * x * (1.0 + erf(x * 0.70710678118654752));
}

fn gelu_tanh(x: f32) -> f32 {
    return 0.5 * x * (1.0 + tanh_of(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}

// As `powf` of Rust: a negative base has powers with whole exponents only.
fn power(base: f32, exponent: f32) -> f32 {
    if (exponent == 0.0 || base == 1.0) {
        return 1.0;
    }
    if (exponent == 2.0) {
        return base * base;
    }
    if (exponent == 3.0) {
        return base * base * base;
    }
    let magnitude = pow(abs(base), exponent);
    if (base >= 0.0) {
        return magnitude;
    }
    let is_whole = floor(exponent) == exponent;
    let half_exponent = exponent * 0.5;
    let is_odd = is_whole && floor(half_exponent) != half_exponent;
    // Not constant, or it would be refused for being no number.
    let none = bitcast<f32>(0x7fc00000u | (bitcast<u32>(base) & 1u));
    return select(none, select(magnitude, -magnitude, is_odd), is_whole);
}

// A whole power; what does not fit is cut off at the top.
fn whole_power(base: i32, exponent: u32) -> i32 {
    var result = 1;
    var square = base;
    for (var rest = exponent; rest != 0u; rest >>= 1u) {
        result = select(result, result * square, (rest & 1u) != 0u);
        square *= square;
    }
    return result;
}

// A number as `mantissa` times two to the power of `exponent`, with the highest
// bit of the mantissa in place 23.
struct Parts { mantissa: u32, exponent: i32 }

fn parts(bits: u32) -> Parts {
    let exponent = i32(bits >> 23u);
    if (exponent != 0) {
        return Parts((bits & 0x7fffffu) | 0x800000u, exponent);
    }
    let shift = countLeadingZeros(bits) - 8u;
    return Parts(bits << shift, 1 - i32(shift));
}

// What is left of `a` once `b` is taken away from it as often as it goes, with
// the sign of `a`: exact, bit by bit.
fn remainder(a: f32, b: f32) -> f32 {
    let x = bitcast<u32>(a) & 0x7fffffffu;
    let y = bitcast<u32>(b) & 0x7fffffffu;
    let sign = bitcast<u32>(a) & 0x80000000u;
    if (y == 0u || y > 0x7f800000u || x >= 0x7f800000u) {
        // Not constant, or it would be refused for being no number.
        return bitcast<f32>(0x7fc00000u | (x & 1u));
    }
    if (x < y) {
        return a;
    }
    let divisor = parts(y);
    let dividend = parts(x);
    var rest = dividend.mantissa;
    rest -= select(0u, divisor.mantissa, rest >= divisor.mantissa);
    // At most 276 rounds: so far apart are the exponents of two numbers.
    for (var exponent = dividend.exponent; exponent > divisor.exponent; exponent--) {
        rest <<= 1u;
        rest -= select(0u, divisor.mantissa, rest >= divisor.mantissa);
    }
    if (rest == 0u) {
        return bitcast<f32>(sign);
    }
    let shift = countLeadingZeros(rest) - 8u;
    let exponent = divisor.exponent - i32(shift);
    rest <<= shift;
    if (exponent > 0) {
        return bitcast<f32>(sign | (u32(exponent) << 23u) | (rest & 0x7fffffu));
    }
    return bitcast<f32>(sign | (rest >> u32(1 - exponent)));
}

fn to_i32(x: f32) -> i32 {
    let inside = i32(clamp(x, -2147483648.0, 2147483520.0));
    let bounded = select(inside, 2147483647, x >= 2147483648.0);
    return select(bounded, 0, is_nan(x));
}

fn to_u32(x: f32) -> u32 {
    let inside = u32(clamp(x, 0.0, 4294967040.0));
    let bounded = select(inside, 0xffffffffu, x >= 4294967296.0);
    return select(bounded, 0u, is_nan(x));
}

fn to_i8(x: f32) -> i32 {
    return clamp(to_i32(x), -128, 127);
}

fn to_i16(x: f32) -> i32 {
    return clamp(to_i32(x), -32768, 32767);
}

fn to_u8(x: f32) -> u32 {
    return min(to_u32(x), 255u);
}

fn to_u16(x: f32) -> u32 {
    return min(to_u32(x), 65535u);
}
