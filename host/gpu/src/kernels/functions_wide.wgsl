// Functions of integers of 64 bits.

// A whole power; what does not fit is cut off at the top.
fn wide_power(base: i64, exponent: u32) -> i64 {
    var result = 1li;
    var square = base;
    for (var rest = exponent; rest != 0u; rest >>= 1u) {
        result = select(result, result * square, (rest & 1u) != 0u);
        square *= square;
    }
    return result;
}
