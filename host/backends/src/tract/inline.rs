//! Weights that came along with a model, put into its tensors: tract itself reads
//! them from files alone.

use std::collections::BTreeMap;

use bytes::Bytes;
use tract_onnx::pb::tensor_proto::DataLocation;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};
use tract_onnx::prelude::TractResult;
use tract_onnx::tract_hir::internal::format_err;

/// Gives every tensor the data that it has in one of `files`.
///
/// # Errors
/// When one is not there, or too short.
pub(super) fn inline(model: &mut ModelProto, files: &BTreeMap<String, Bytes>) -> TractResult<()> {
    if let Some(graph) = &mut model.graph {
        of_graph(graph, files)?;
    }
    model.functions.iter_mut().try_for_each(|function| of_nodes(&mut function.node, files))
}

fn of_graph(graph: &mut GraphProto, files: &BTreeMap<String, Bytes>) -> TractResult<()> {
    graph.initializer.iter_mut().try_for_each(|tensor| of_tensor(tensor, files))?;
    of_nodes(&mut graph.node, files)
}

fn of_nodes(nodes: &mut [NodeProto], files: &BTreeMap<String, Bytes>) -> TractResult<()> {
    nodes
        .iter_mut()
        .flat_map(|node| &mut node.attribute)
        .try_for_each(|attribute| of_attribute(attribute, files))
}

fn of_attribute(attribute: &mut AttributeProto, files: &BTreeMap<String, Bytes>) -> TractResult<()> {
    attribute.t.iter_mut().chain(&mut attribute.tensors).try_for_each(|tensor| of_tensor(tensor, files))?;
    attribute.g.iter_mut().chain(&mut attribute.graphs).try_for_each(|graph| of_graph(graph, files))
}

fn of_tensor(tensor: &mut TensorProto, files: &BTreeMap<String, Bytes>) -> TractResult<()> {
    if tensor.data_location != Some(DataLocation::External as i32) {
        return Ok(());
    }
    let entry = |key: &str| {
        tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.trim())
    };
    let number = |key: &str| entry(key).map(str::parse::<usize>).transpose();
    let missing = || format_err!("the data of `{}` did not come along", tensor.name);
    let file = entry("location").and_then(|name| files.get(name)).ok_or_else(missing)?;
    let start = number("offset")?.unwrap_or(0);
    let end = match number("length")? {
        Some(length) => start.checked_add(length),
        None => Some(file.len()),
    };
    let data = end.and_then(|end| file.get(start..end)).ok_or_else(missing)?;
    tensor.raw_data = data.to_vec();
    tensor.data_location = None;
    tensor.external_data.clear();
    Ok(())
}
