//! Every datatype, each input given back under the name of its output.

use samara_sdk::Tensor;

/// One input and one output per datatype, of any size along one axis.
#[samara_sdk::function(outputs(
    bool_out(datatype = BOOL, shape = [-1]),
    uint8_out(datatype = UINT8, shape = [-1]),
    uint16_out(datatype = UINT16, shape = [-1]),
    uint32_out(datatype = UINT32, shape = [-1]),
    uint64_out(datatype = UINT64, shape = [-1]),
    int8_out(datatype = INT8, shape = [-1]),
    int16_out(datatype = INT16, shape = [-1]),
    int32_out(datatype = INT32, shape = [-1]),
    int64_out(datatype = INT64, shape = [-1]),
    fp16_out(datatype = FP16, shape = [-1]),
    bf16_out(datatype = BF16, shape = [-1]),
    fp32_out(datatype = FP32, shape = [-1]),
    fp64_out(datatype = FP64, shape = [-1]),
    bytes_out(datatype = BYTES, shape = [-1]),
))]
#[allow(clippy::too_many_arguments, clippy::type_complexity, reason = "one per datatype")]
fn datatypes(
    bool_in: Vec<bool>,
    uint8_in: Vec<u8>,
    uint16_in: Vec<u16>,
    uint32_in: Vec<u32>,
    uint64_in: Vec<u64>,
    int8_in: Vec<i8>,
    int16_in: Vec<i16>,
    int32_in: Vec<i32>,
    int64_in: Vec<i64>,
    #[tensor(datatype = FP16, shape = [-1])] fp16_in: Tensor,
    #[tensor(datatype = BF16, shape = [-1])] bf16_in: Tensor,
    fp32_in: Vec<f32>,
    fp64_in: Vec<f64>,
    #[tensor(datatype = BYTES, shape = [-1])] bytes_in: Tensor,
) -> (
    Vec<bool>,
    Vec<u8>,
    Vec<u16>,
    Vec<u32>,
    Vec<u64>,
    Vec<i8>,
    Vec<i16>,
    Vec<i32>,
    Vec<i64>,
    Tensor,
    Tensor,
    Vec<f32>,
    Vec<f64>,
    Tensor,
) {
    (
        bool_in, uint8_in, uint16_in, uint32_in, uint64_in, int8_in, int16_in, int32_in, int64_in, fp16_in,
        bf16_in, fp32_in, fp64_in, bytes_in,
    )
}
