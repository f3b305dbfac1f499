//! Declares `y` FP32 [2] and returns something else, as the input says.

use samara_sdk::{Datatype, Error, Function, Result, Signature, TensorSpec, Tensors};

struct WrongOutput;

impl Function for WrongOutput {
    fn describe() -> Signature {
        let how = TensorSpec::new("how", Datatype::Bytes, &[1]);
        Signature::new(vec![how], vec![TensorSpec::new("y", Datatype::Fp32, &[2])])
    }

    fn infer(mut inputs: Tensors) -> Result<Tensors> {
        let right = vec![1.0f32, 2.0];
        match inputs.take::<String>("how")?.as_str() {
            "right" => Tensors::new().with("y", right),
            "name" => Tensors::new().with("z", right),
            "datatype" => Tensors::new().with("y", vec![1i64, 2]),
            "raw" => Tensors::new().with("y", vec![1u8, 2]),
            "rank" => Tensors::new().with("y", 1.0f32),
            "shape" => Tensors::new().with("y", vec![1.0f32; 3]),
            "missing" => Ok(Tensors::new()),
            "extra" => Tensors::new().with("y", right)?.with("z", 0.0f32),
            other => Err(Error::invalid_input(format!("`{other}` is not a way to be wrong"))),
        }
    }
}

samara_sdk::export!(WrongOutput);
