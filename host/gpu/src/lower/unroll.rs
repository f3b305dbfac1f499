//! Loops whose number of rounds is known are written out, round by round, before
//! a model is lowered: each reads its own part of what the loop goes over, and
//! what the round before has left. Cells of recurrent layers are written out too,
//! as the functions of single elements that they are.

use std::collections::HashMap;

use tract_core::internal::{
    OutletId, SpecialOps, TVec, TractResult, TypedModel, TypedNode, TypedOp, bail, ensure, tvec,
};
use tract_core::ops::array::{Slice, TypedConcat};
use tract_core::ops::konst::Const;
use tract_core::ops::lstm_cell::LstmEpilogue;
use tract_core::ops::scan::{InputMapping, Scan, ScanInfo};
use tract_core::ops::source::TypedSource;
use tract_core::ops::{math, nn};

/// The most nodes that a loop becomes.
const MOST_NODES: usize = 8192;

/// The model with its loops and cells written out; `None` where there are none
/// of which that can be done.
pub(super) fn unrolled(model: &TypedModel) -> Option<TypedModel> {
    let is_written_out = |node: &TypedNode| match node.op_as::<Scan>() {
        Some(scan) => rounds(model, node, scan).is_some(),
        None => node.op_is::<LstmEpilogue>(),
    };
    // What cannot be followed stays as it is, and is refused as such.
    model.nodes().iter().any(is_written_out).then(|| rewrite(model).ok()).flatten()
}

fn rewrite(model: &TypedModel) -> TractResult<TypedModel> {
    let mut target = TypedModel { symbols: model.symbols.clone(), ..TypedModel::default() };
    let mut wires: HashMap<OutletId, OutletId> = HashMap::new();
    for &input in model.input_outlets()? {
        let node = model.node(input.node);
        wires.insert(input, target.add_source(node.name.clone(), model.outlet_fact(input)?.clone())?);
    }
    for id in model.eval_order()? {
        let node = model.node(id);
        if node.op_is::<TypedSource>() {
            continue;
        }
        let inputs: TVec<OutletId> = node.inputs.iter().map(|input| wires[input]).collect();
        let scan = node.op_as::<Scan>();
        let outputs = match scan.and_then(|scan| Some((scan, rounds(model, node, scan)?))) {
            Some((scan, count)) => write_out(model, node, (scan, count), &inputs, &mut target)?,
            None => copied(node, &node.name, &inputs, &mut target)?,
        };
        for (slot, wire) in outputs.into_iter().enumerate() {
            wires.insert(OutletId::new(id, slot), wire);
        }
    }
    let outputs: Vec<OutletId> = model.output_outlets()?.iter().map(|output| wires[output]).collect();
    target.select_output_outlets(&outputs)?;
    Ok(target)
}

/// A node as it is, over other tensors.
fn copied(
    node: &TypedNode,
    name: &str,
    inputs: &[OutletId],
    target: &mut TypedModel,
) -> TractResult<TVec<OutletId>> {
    if let Some(constant) = node.op_as::<Const>() {
        return Ok(tvec![target.add_const(name, constant.val().clone())?]);
    }
    if let Some(cell) = node.op_as::<LstmEpilogue>() {
        return lstm_cell(cell.hidden, name, inputs, target);
    }
    target.wire_node(name, node.op.clone(), inputs)
}

/// What a cell gives and what it keeps, out of what its four gates add up to, one
/// behind the other along the last axis, and what it has kept.
fn lstm_cell(
    hidden: usize,
    name: &str,
    inputs: &[OutletId],
    target: &mut TypedModel,
) -> TractResult<TVec<OutletId>> {
    let &[gates, kept] = inputs else { bail!("its cell takes {} tensors", inputs.len()) };
    let (sums, state) = (target.outlet_fact(gates)?.shape.clone(), target.outlet_fact(kept)?.shape.clone());
    let Some(axis) = sums.rank().checked_sub(1) else { bail!("its gates have no axis") };
    ensure!(sums.rank() == state.rank(), "its gates and its state differ in rank");
    let mut wire = |part: &str, op: Box<dyn TypedOp>, inputs: &[OutletId]| -> TractResult<OutletId> {
        Ok(target.wire_node(format!("{name}.{part}"), op, inputs)?[0])
    };
    let mut gate = |part: &str, at: usize, function: Box<dyn TypedOp>| -> TractResult<OutletId> {
        let slice = Slice::new(axis, at * hidden, (at + 1) * hidden);
        let sum = wire(&format!("{part}.sum"), Box::new(slice), &[gates])?;
        wire(part, function, &[sum])
    };
    let input = gate("input", 0, nn::sigmoid().into())?;
    let output = gate("output", 1, nn::sigmoid().into())?;
    let forget = gate("forget", 2, nn::sigmoid().into())?;
    let candidate = gate("candidate", 3, math::tanh().into())?;
    let remembered = wire("remembered", math::mul().into(), &[forget, kept])?;
    let learnt = wire("learnt", math::mul().into(), &[input, candidate])?;
    let state = wire("state", math::add().into(), &[remembered, learnt])?;
    let shown = wire("shown", math::tanh().into(), &[state])?;
    Ok(tvec![wire("hidden", math::mul().into(), &[output, shown])?, state])
}

/// How often a loop goes round; `None` where that is not known before a run, or
/// would become too many nodes.
fn rounds(model: &TypedModel, node: &TypedNode, scan: &Scan) -> Option<usize> {
    let mut count = None;
    for (input, mapping) in node.inputs.iter().zip(&scan.input_mapping) {
        let Some(info) = mapping.as_scan() else { continue };
        let size = model.outlet_fact(*input).ok()?.shape.get(info.axis)?.as_i64()?;
        let (size, chunk) = (usize::try_from(size).ok()?, info.chunk.unsigned_abs());
        let rounds = size.checked_div(chunk).filter(|rounds| rounds * chunk == size)?;
        if *count.get_or_insert(rounds) != rounds {
            return None;
        }
    }
    let count = count.filter(|&count| count > 0 && scan.skip == 0)?;
    let nodes = count.checked_mul(scan.body.nodes().len())?;
    (nodes <= MOST_NODES).then_some(count)
}

fn write_out(
    model: &TypedModel,
    node: &TypedNode,
    (scan, count): (&Scan, usize),
    inputs: &[OutletId],
    target: &mut TypedModel,
) -> TractResult<TVec<OutletId>> {
    let is_state = |mapping: &&InputMapping| mapping.is_state();
    let states = scan.input_mapping.iter().zip(inputs).filter(|(mapping, _)| is_state(mapping));
    let mut states: Vec<OutletId> = states.map(|(_, wire)| *wire).collect();
    let mut given: Vec<TVec<OutletId>> = Vec::with_capacity(count);
    for round in 0..count {
        let name = format!("{}.round{round}", node.name);
        let mut carried = states.into_iter();
        let mut taken: TVec<OutletId> = tvec![];
        for (slot, mapping) in scan.input_mapping.iter().enumerate() {
            taken.push(match mapping {
                InputMapping::Full => inputs[slot],
                InputMapping::State => match carried.next() {
                    Some(wire) => wire,
                    None => bail!("it has fewer states than it takes"),
                },
                InputMapping::Scan(info) => {
                    let part = part(*info, round, count);
                    target.wire_node(format!("{name}.input{slot}"), part, &[inputs[slot]])?[0]
                }
            });
        }
        let outputs = body(&scan.body, &name, &taken, target)?;
        let left = outputs.iter().zip(&scan.output_mapping).filter(|(_, mapping)| mapping.state);
        states = left.map(|(wire, _)| *wire).collect();
        given.push(outputs);
    }
    collect(model, node, scan, &given, target)
}

/// The part of an input that a round takes.
fn part(info: ScanInfo, round: usize, count: usize) -> Slice {
    let chunk = info.chunk.unsigned_abs();
    let at = if info.chunk < 0 { count - 1 - round } else { round };
    Slice::new(info.axis, at * chunk, (at + 1) * chunk)
}

/// One round.
fn body(
    body: &TypedModel,
    name: &str,
    inputs: &[OutletId],
    target: &mut TypedModel,
) -> TractResult<TVec<OutletId>> {
    let mut wires: HashMap<OutletId, OutletId> =
        body.input_outlets()?.iter().copied().zip(inputs.iter().copied()).collect();
    for id in body.eval_order()? {
        let node = body.node(id);
        if node.op_is::<TypedSource>() {
            continue;
        }
        let inputs: TVec<OutletId> = node.inputs.iter().map(|input| wires[input]).collect();
        let outputs = copied(node, &format!("{name}.{}", node.name), &inputs, target)?;
        for (slot, wire) in outputs.into_iter().enumerate() {
            wires.insert(OutletId::new(id, slot), wire);
        }
    }
    Ok(body.output_outlets()?.iter().map(|output| wires[output]).collect())
}

/// The outputs of the loop out of those of its rounds.
fn collect(
    model: &TypedModel,
    node: &TypedNode,
    scan: &Scan,
    given: &[TVec<OutletId>],
    target: &mut TypedModel,
) -> TractResult<TVec<OutletId>> {
    let mut outputs: Vec<Option<OutletId>> = vec![None; node.outputs.len()];
    for (index, mapping) in scan.output_mapping.iter().enumerate() {
        let rounds = given.iter().map(|outputs| outputs[index]);
        if let Some(slot) = mapping.last_value_slot {
            outputs[slot] = rounds.clone().next_back();
        }
        if let Some((slot, info)) = mapping.scan {
            let mut parts: Vec<OutletId> = rounds.collect();
            if info.chunk < 0 {
                parts.reverse();
            }
            let name = format!("{}.output{slot}", node.name);
            let joined = target.wire_node(name, TypedConcat::new(info.axis), &parts)?[0];
            let (found, expected) =
                (target.outlet_fact(joined)?, model.outlet_fact(OutletId::new(node.id, slot))?);
            ensure!(found.shape == expected.shape, "its rounds give more than it does");
            outputs[slot] = Some(joined);
        }
    }
    let outputs: Option<TVec<OutletId>> = outputs.into_iter().collect();
    match outputs {
        Some(outputs) => Ok(outputs),
        None => bail!("not all that it gives follows from its rounds"),
    }
}
