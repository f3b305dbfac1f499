//! NumPy files: `.npy`, and `.npz` archives of them.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};
use half::f16;
use npyz::{DType, NpyFile, Order, TypeChar};
use samara_nn::{Datatype, Element, Tensor, TensorSpec};
use zip::ZipArchive;

use super::fit::{self, Layout};

/// Reads a `.npy` file.
///
/// # Errors
/// When it is damaged or holds what no tensor can.
pub(crate) fn read(path: &Path) -> Result<Tensor> {
    let file = open(path)?;
    let bytes = file.metadata()?.len();
    parse(BufReader::new(file), bytes)
}

/// Reads every array of a `.npz` archive, by name.
///
/// # Errors
/// When the archive or one of its arrays is damaged.
pub(crate) fn read_archive(path: &Path) -> Result<Vec<(String, Tensor)>> {
    let mut archive = open_archive(path)?;
    let names = entry_names(&archive)?;
    let named = |file: String| {
        let tensor = parse_entry(&mut archive, &file)?;
        Ok((file.strip_suffix(".npy").unwrap_or(&file).to_owned(), tensor))
    };
    names.into_iter().map(named).collect()
}

/// Reads the array called `name` of a `.npz` archive, or its only one.
///
/// # Errors
/// When there is none, or it is damaged.
pub(crate) fn read_from_archive(path: &Path, name: &str) -> Result<Tensor> {
    let mut archive = open_archive(path)?;
    let names = entry_names(&archive)?;
    let file = format!("{name}.npy");
    match names.as_slice() {
        _ if names.contains(&file) => parse_entry(&mut archive, &file),
        [only] => parse_entry(&mut archive, only),
        _ => bail!("the archive has no array `{name}`; it has {}", list(&names)),
    }
}

/// Puts an array into the shape of `spec`. Datatypes are never converted.
///
/// # Errors
/// When datatype or shape differ.
pub(crate) fn fit(tensor: Tensor, spec: &TensorSpec) -> Result<Tensor> {
    if tensor.datatype() != spec.datatype {
        bail!(
            "the array holds {}, and the input asks for {}\nhint: convert it first, e.g. `array.astype(\"{}\")` in Python",
            tensor.datatype(),
            spec.datatype,
            numpy_name(spec.datatype)
        );
    }
    let shape = tensor.shape().to_vec();
    fit::fit(tensor, &shape, Layout::Nested, spec)
}

fn open(path: &Path) -> Result<File> {
    File::open(path).with_context(|| format!("cannot read `{}`", path.display()))
}

fn open_archive(path: &Path) -> Result<ZipArchive<BufReader<File>>> {
    ZipArchive::new(BufReader::new(open(path)?))
        .with_context(|| format!("`{}` is no .npz archive", path.display()))
}

fn entry_names(archive: &ZipArchive<BufReader<File>>) -> Result<Vec<String>> {
    let names = archive.file_names().map(|name| name.map(|name| name.into_owned()));
    names.collect::<Result<_, _>>().context("the archive is damaged")
}

fn parse_entry(archive: &mut ZipArchive<BufReader<File>>, name: &str) -> Result<Tensor> {
    let entry = archive.by_name(name).with_context(|| format!("the archive's `{name}` is damaged"))?;
    let bytes = entry.size();
    parse(entry, bytes).with_context(|| format!("the archive's `{name}` cannot be used"))
}

/// Parses an array out of a stream of `bytes` bytes.
fn parse(reader: impl Read, bytes: u64) -> Result<Tensor> {
    let array = NpyFile::new(reader).context("it is no .npy file")?;
    let DType::Plain(dtype) = array.dtype() else {
        bail!("it is a structured array, and a tensor holds plain elements");
    };
    // The header's claim is checked before memory is taken for it.
    let claimed = array.len().checked_mul(dtype.size_field());
    if claimed.is_none_or(|claimed| claimed > bytes) {
        bail!(
            "the file is damaged: its header tells of {} elements, which {bytes} bytes do not hold",
            array.len()
        );
    }
    match (dtype.type_char(), dtype.size_field()) {
        (TypeChar::Bool, 1) => {
            let (shape, order) = layout(&array)?;
            let values = in_rows(array.into_vec::<bool>().context("the file is cut short")?, &shape, order);
            Ok(Tensor::from_bools(shape, &values)?)
        }
        (TypeChar::Uint, 1) => numbers::<u8>(array),
        (TypeChar::Uint, 2) => numbers::<u16>(array),
        (TypeChar::Uint, 4) => numbers::<u32>(array),
        (TypeChar::Uint, 8) => numbers::<u64>(array),
        (TypeChar::Int, 1) => numbers::<i8>(array),
        (TypeChar::Int, 2) => numbers::<i16>(array),
        (TypeChar::Int, 4) => numbers::<i32>(array),
        (TypeChar::Int, 8) => numbers::<i64>(array),
        (TypeChar::Float, 2) => numbers::<f16>(array),
        (TypeChar::Float, 4) => numbers::<f32>(array),
        (TypeChar::Float, 8) => numbers::<f64>(array),
        _ => bail!("its elements are `{dtype}`, which no tensor holds"),
    }
}

fn numbers<T: Element + npyz::Deserialize>(array: NpyFile<impl Read>) -> Result<Tensor> {
    let (shape, order) = layout(&array)?;
    let values = array.into_vec::<T>().context("the file is cut short")?;
    Ok(Tensor::from_vec(shape.clone(), in_rows(values, &shape, order))?)
}

fn layout(array: &NpyFile<impl Read>) -> Result<(Vec<usize>, Order)> {
    let shape = array.shape().iter().map(|&size| usize::try_from(size)).collect::<Result<_, _>>()?;
    Ok((shape, array.order()))
}

/// Elements in row-major order, whichever order the file has.
fn in_rows<T: Copy>(values: Vec<T>, shape: &[usize], order: Order) -> Vec<T> {
    if order == Order::C || shape.len() < 2 || values.is_empty() {
        return values;
    }
    let mut strides = vec![1; shape.len()];
    for axis in 1..shape.len() {
        strides[axis] = strides[axis - 1] * shape[axis - 1];
    }
    let source = |mut row_major: usize| {
        let mut offset = 0;
        for (&size, stride) in shape.iter().zip(&strides).rev() {
            offset += row_major % size * stride;
            row_major /= size;
        }
        offset
    };
    (0..values.len()).map(|index| values[source(index)]).collect()
}

fn numpy_name(datatype: Datatype) -> &'static str {
    match datatype {
        Datatype::Bool => "bool",
        Datatype::Uint8 => "uint8",
        Datatype::Uint16 => "uint16",
        Datatype::Uint32 => "uint32",
        Datatype::Uint64 => "uint64",
        Datatype::Int8 => "int8",
        Datatype::Int16 => "int16",
        Datatype::Int32 => "int32",
        Datatype::Int64 => "int64",
        Datatype::Fp16 => "float16",
        Datatype::Fp32 => "float32",
        Datatype::Fp64 => "float64",
        Datatype::Bf16 | Datatype::Bytes => "object",
    }
}

fn list(files: &[String]) -> String {
    let names: Vec<String> =
        files.iter().map(|file| format!("`{}`", file.strip_suffix(".npy").unwrap_or(file))).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use npyz::WriterBuilder;

    use super::*;

    fn npy<T: npyz::AutoSerialize + Copy>(shape: &[u64], order: Order, values: &[T]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(shape)
            .order(order)
            .writer(&mut bytes)
            .begin_nd()
            .unwrap();
        writer.extend(values.iter().copied()).unwrap();
        writer.finish().unwrap();
        bytes
    }

    fn parsed(bytes: &[u8]) -> Result<Tensor> {
        parse(bytes, bytes.len() as u64)
    }

    #[test]
    fn both_orders_give_the_same_tensor() {
        let rows = parsed(&npy(&[2, 3], Order::C, &[1i64, 2, 3, 4, 5, 6])).unwrap();
        let columns = parsed(&npy(&[2, 3], Order::Fortran, &[1i64, 4, 2, 5, 3, 6])).unwrap();
        assert_eq!(rows, columns);
        assert_eq!(rows.shape(), [2, 3]);
        let cube: Vec<u8> = (0..24).collect();
        let reordered = in_rows(cube, &[2, 3, 4], Order::Fortran);
        assert_eq!(reordered[..6], [0, 6, 12, 18, 2, 8]);
    }

    #[test]
    fn big_endian_arrays_are_read() {
        let mut bytes = npy(&[2], Order::C, &[1u16, 515]);
        let at = bytes.windows(3).position(|window| window == b"<u2").unwrap();
        bytes[at] = b'>';
        assert_eq!(parsed(&bytes).unwrap().elements::<u16>().unwrap().as_ref(), [256, 770]);
    }

    #[test]
    fn damaged_files_are_refused_before_memory_is_taken() {
        let bytes = npy(&[4], Order::C, &[1f32, 2.0, 3.0, 4.0]);
        assert!(parsed(&bytes[..bytes.len() - 2]).is_err());
        assert_eq!(parsed(b"no array").unwrap_err().to_string(), "it is no .npy file");
        // The header is padded with spaces, nine of which make room.
        let size = bytes.windows(2).position(|window| window == b"(4").unwrap() + 1;
        let end = bytes.iter().position(|&byte| byte == b'}').unwrap() + 1;
        let absurd = [&bytes[..size], b"9999999999", &bytes[size + 1..end], &bytes[end + 9..]].concat();
        let message = parsed(&absurd).unwrap_err().to_string();
        assert!(
            message.starts_with("the file is damaged: its header tells of 9999999999 elements"),
            "{message}"
        );
    }

    #[test]
    fn datatypes_are_not_converted() {
        let tensor = parsed(&npy(&[2], Order::C, &[1f64, 2.0])).unwrap();
        let error = fit(tensor, &TensorSpec::new("x", Datatype::Fp32, [2])).unwrap_err().to_string();
        assert_eq!(
            error,
            "the array holds FP64, and the input asks for FP32\nhint: convert it first, e.g. `array.astype(\"float32\")` in Python"
        );
    }
}
