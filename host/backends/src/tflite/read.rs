//! From the tables of a TFLite file to its outline. The numbers of fields are those of
//! the format's schema.

use super::wire::{Buffer, Damage, Table};
use super::{Graph, Operator, Outline, Quantisation, SignatureDef, TensorInfo};

pub(super) fn model<'a>(buffer: &Buffer<'a>) -> Result<Outline<'a>, Damage> {
    if buffer.bytes().get(4..8) != Some(b"TFL3") {
        return Err(Damage::Missing { what: "mark `TFL3` of a TFLite file of version 3" });
    }
    let root = buffer.root()?;
    if !root.tables(8)?.is_empty() || !root.tables(9)?.is_empty() {
        return Err(Damage::Missing { what: "weights inside: they are in other files" });
    }
    let codes: Result<Vec<_>, Damage> = root.tables(1)?.iter().map(code).collect();
    let graphs: Result<Vec<_>, Damage> = root.tables(2)?.iter().map(graph).collect();
    let signatures: Result<Vec<_>, Damage> = root.tables(7)?.iter().map(signature).collect();
    let buffers: Result<Vec<_>, Damage> =
        root.tables(4)?.iter().map(|table| data(table, buffer.bytes())).collect();
    Ok(Outline { codes: codes?, graphs: graphs?, buffers: buffers?, signatures: signatures? })
}

/// Numbers above 127 have a field of their own, and the old one holds 127 then.
fn code(table: &Table<'_, '_>) -> Result<i32, Damage> {
    let old = i32::from(table.number::<i8>(0, 0)?);
    Ok(table.number(3, 0i32)?.max(old))
}

fn graph<'a>(table: &Table<'_, 'a>) -> Result<Graph<'a>, Damage> {
    let tensors: Result<Vec<_>, Damage> = table.tables(0)?.iter().map(tensor).collect();
    let operators: Result<Vec<_>, Damage> = table.tables(3)?.iter().map(operator).collect();
    Ok(Graph {
        tensors: tensors?,
        inputs: table.numbers(1)?.unwrap_or_default(),
        outputs: table.numbers(2)?.unwrap_or_default(),
        operators: operators?,
    })
}

fn tensor<'a>(table: &Table<'_, 'a>) -> Result<TensorInfo<'a>, Damage> {
    let quantisation = table.table(4)?;
    let quantisation = quantisation.as_ref().map(quantised).transpose()?.unwrap_or_default();
    Ok(TensorInfo {
        name: table.text(3)?,
        shape: table.numbers(0)?.unwrap_or_default(),
        open_shape: table.numbers(7)?.filter(|shape: &Vec<i32>| !shape.is_empty()),
        kind: table.number(1, 0)?,
        buffer: table.number(2, 0)?,
        is_variable: table.number::<u8>(5, 0)? != 0,
        is_sparse: table.table(6)?.is_some(),
        quantisation,
    })
}

fn quantised(table: &Table<'_, '_>) -> Result<Quantisation, Damage> {
    Ok(Quantisation {
        scales: table.numbers(2)?.unwrap_or_default(),
        zero_points: table.numbers(3)?.unwrap_or_default(),
        axis: table.number(6, 0)?,
    })
}

fn operator(table: &Table<'_, '_>) -> Result<Operator, Damage> {
    if table.number::<u64>(9, 0)? != 0 {
        return Err(Damage::Missing { what: "options of an operator inside: they are behind the model" });
    }
    Ok(Operator {
        code: table.number(0, 0)?,
        inputs: table.numbers(1)?.unwrap_or_default(),
        outputs: table.numbers(2)?.unwrap_or_default(),
        intermediates: table.numbers(8)?.unwrap_or_default(),
        calls: calls(table)?,
    })
}

/// The graphs that an operator runs, by the kinds of its options.
fn calls(table: &Table<'_, '_>) -> Result<Vec<i32>, Damage> {
    let mut calls = Vec::new();
    if let Some(options) = table.table(4)? {
        match table.number::<u8>(3, 0)? {
            16 => calls.push(options.number::<u32>(0, 0)?.cast_signed()), // a call
            92 | 93 => calls.extend([options.number(0, 0)?, options.number(1, 0)?]), // if, while
            103 => calls.push(options.number(0, 0)?),                     // a call at the start
            _ => {}
        }
    }
    if let Some(options) = table.table(12)? {
        match table.number::<u8>(11, 0)? {
            6 | 21 => calls.push(options.number(1, 0)?), // a reduction, a composite
            7 => calls.push(options.number(6, 0)?),      // a scatter
            13 => calls.push(options.number(5, 0)?),     // a reduction of windows
            14 => calls.push(options.number(2, 0)?),     // a sort
            15 => calls.extend([options.number(0, 0)?, options.number(1, 0)?]), // while
            23 => calls.extend(options.numbers::<i32>(0)?.unwrap_or_default()), // cases
            _ => {}
        }
    }
    Ok(calls)
}

/// The data of a buffer: inside the model, or behind it in the same file.
fn data<'a>(table: &Table<'_, 'a>, file: &'a [u8]) -> Result<&'a [u8], Damage> {
    let (offset, size) = (table.number::<u64>(1, 0)?, table.number::<u64>(2, 0)?);
    if offset <= 1 {
        return Ok(table.bytes(0)?.unwrap_or_default());
    }
    let outside =
        Damage::Outside { offset: usize::try_from(offset).unwrap_or(usize::MAX), length: file.len() };
    let end = offset.checked_add(size).ok_or(outside)?;
    let range = usize::try_from(offset).ok().zip(usize::try_from(end).ok());
    range.and_then(|(start, end)| file.get(start..end)).ok_or(outside)
}

fn signature<'a>(table: &Table<'_, 'a>) -> Result<SignatureDef<'a>, Damage> {
    let entries = |field| -> Result<Vec<_>, Damage> {
        table.tables(field)?.iter().map(|entry| Ok((entry.text(0)?, entry.number(1, 0)?))).collect()
    };
    Ok(SignatureDef {
        key: table.text(2)?,
        graph: table.number(4, 0)?,
        inputs: entries(0)?,
        outputs: entries(1)?,
    })
}
