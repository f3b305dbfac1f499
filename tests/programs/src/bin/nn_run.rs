//! Runs one model once: `MODEL INPUT... -- OUTPUT...`, where `MODEL` is
//! `name:NAME` or `file:PATH`, `INPUT` is `TYPE:DIMENSIONS:VALUES` such as
//! `f32:1x2:0.5,1`, and `OUTPUT` is `TYPE:COUNT`. Prints a line per output.

use std::error::Error;

use wasi_nn::{ExecutionTarget, Graph, GraphBuilder, GraphEncoding, TensorType};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (model, rest) = arguments.split_first().ok_or("no model")?;
    let mut parts = rest.split(|argument| argument == "--");
    let (inputs, outputs) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let graph = graph(model)?;
    let mut context = graph.init_execution_context()?;
    for (index, input) in inputs.iter().enumerate() {
        let [ty, dimensions, values] = fields(input)?;
        let dimensions: Vec<usize> = dimensions.split('x').map(str::parse).collect::<Result<_, _>>()?;
        let bytes: Vec<u8> =
            values.split(',').map(|value| encode(ty, value)).collect::<Result<Vec<_>, _>>()?.concat();
        context.set_input(index, tensor_type(ty)?, &dimensions, bytes)?;
    }
    context.compute()?;
    for (index, output) in outputs.iter().enumerate() {
        let [ty, count] = fields(output)?;
        let size = tensor_type(ty)?.byte_size();
        let mut buffer = vec![0u8; size * count.parse::<usize>()?];
        let length = context.get_output(index, &mut buffer)?;
        let values: Vec<String> = buffer[..length].chunks(size).map(|value| decode(ty, value)).collect();
        println!("{}", values.join(" "));
    }
    Ok(())
}

fn graph(model: &str) -> Result<Graph, Box<dyn Error>> {
    let builder = GraphBuilder::new(GraphEncoding::Onnx, ExecutionTarget::CPU);
    Ok(match model.split_once(':') {
        Some(("name", name)) => builder.build_from_cache(name)?,
        Some(("file", path)) => builder.build_from_files([path])?,
        _ => return Err("a model is `name:NAME` or `file:PATH`".into()),
    })
}

fn fields<const N: usize>(text: &str) -> Result<[&str; N], String> {
    text.split(':').collect::<Vec<_>>().try_into().map_err(|_| format!("`{text}` has not {N} fields"))
}

fn tensor_type(ty: &str) -> Result<TensorType, String> {
    Ok(match ty {
        "f16" => TensorType::F16,
        "f32" => TensorType::F32,
        "f64" => TensorType::F64,
        "u8" => TensorType::U8,
        "i32" => TensorType::I32,
        "i64" => TensorType::I64,
        _ => return Err(format!("no type `{ty}`")),
    })
}

/// Half floats go by their bits, as numbers.
fn encode(ty: &str, value: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    Ok(match ty {
        "f16" => value.parse::<u16>()?.to_le_bytes().to_vec(),
        "f32" => value.parse::<f32>()?.to_le_bytes().to_vec(),
        "f64" => value.parse::<f64>()?.to_le_bytes().to_vec(),
        "i32" => value.parse::<i32>()?.to_le_bytes().to_vec(),
        "i64" => value.parse::<i64>()?.to_le_bytes().to_vec(),
        _ => vec![value.parse()?],
    })
}

fn decode(ty: &str, bytes: &[u8]) -> String {
    match (ty, bytes) {
        ("f16", &[a, b]) => u16::from_le_bytes([a, b]).to_string(),
        ("f32", &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]).to_string(),
        ("i32", &[a, b, c, d]) => i32::from_le_bytes([a, b, c, d]).to_string(),
        ("f64", &[a, b, c, d, e, f, g, h]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]).to_string(),
        ("i64", &[a, b, c, d, e, f, g, h]) => i64::from_le_bytes([a, b, c, d, e, f, g, h]).to_string(),
        _ => bytes.iter().map(u8::to_string).collect(),
    }
}
