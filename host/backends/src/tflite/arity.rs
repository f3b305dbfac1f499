//! How many inputs operators need: kernels of the library reach for these without a look
//! at how many there are.

/// Tensors that an operator of this number must read, none of them left out. 0 for those
/// that are not listed, which look themselves.
pub(super) fn needed_inputs(operator: i32) -> usize {
    match operator {
        // Of one element each, pools, and changes of shape or datatype.
        1 | 2 | 5 | 6 | 8 | 11 | 12 | 13 | 14 | 17 | 19 | 20 | 21 | 22 | 25 | 26 | 28 | 43 | 47 | 50 | 53
        | 59 | 66 | 73 | 75 | 76 | 77 | 80 | 83 | 87 | 88 | 92 | 93 | 98 | 101 | 103 | 104 | 106 | 108
        | 109 | 110 | 111 | 114 | 116 | 117 | 133 | 134 | 135 | 150 | 158 => 1,
        // Of two operands, or of one with axes, sizes or indices. A layer's bias may be
        // left out.
        0 | 7 | 9 | 18 | 23 | 34 | 36 | 39 | 40 | 41 | 42 | 48 | 49 | 54 | 55 | 56 | 57 | 58 | 61 | 62
        | 63 | 69 | 70 | 71 | 72 | 74 | 78 | 79 | 81 | 82 | 84 | 86 | 89 | 90 | 91 | 94 | 95 | 97 | 99
        | 100 | 105 | 107 | 112 | 115 | 126 | 128 | 130 | 140 | 156 | 160 | 161 => 2,
        // Convolutions with their weights and biases, slices, choices and ranges.
        3 | 4 | 37 | 38 | 60 | 64 | 65 | 67 | 96 | 102 | 122 | 123 | 137 | 151 => 3,
        // Slices with steps, and one-hot codes.
        45 | 85 => 4,
        _ => 0,
    }
}
