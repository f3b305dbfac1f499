//! Rewrites a component: one more data segment in the core module that is marked, in
//! pages behind those that it had, so that neither its linker nor its allocator knows
//! of them.

use std::ops::Range;

use wasmparser::{BinaryReader, DataKind, DataSectionReader, MemorySectionReader, MemoryType};

use super::StandaloneError;

/// Where the address and the length of the payload belong.
const MARK: &[u8; 24] = b"samara-standalone-slot-1";
const PAGE: usize = 64 << 10;
/// All that 32 bits address.
const MOST_PAGES: u64 = 1 << 16;
/// What is left for the runner to compute in.
const LEFT_PAGES: u64 = 1 << 14;

const COMPONENT: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];
const MODULE: [u8; 8] = [0, b'a', b's', b'm', 1, 0, 0, 0];
/// Of a core module in a component.
const CORE_MODULE: u8 = 1;
const MEMORIES: u8 = 5;
const DATA: u8 = 11;
const DATA_COUNT: u8 = 12;

type Result<T> = std::result::Result<T, StandaloneError>;

/// Puts the payload into the runner's memory.
pub(super) fn splice(runner: &[u8], payload: &[u8]) -> Result<Vec<u8>> {
    let mut found = None;
    for section in sections(runner, COMPONENT)? {
        let module = &runner[section.content.clone()];
        if section.id == CORE_MODULE && occurs(module) {
            if found.is_some() {
                return Err(unusable("two of its modules have a place for a model"));
            }
            found = Some((section, rewrite(module, payload)?));
        }
    }
    let Some((section, module)) = found else {
        return Err(unusable("it has no place for a model"));
    };
    let mut component = Vec::with_capacity(runner.len() + payload.len() + 64);
    component.extend_from_slice(&runner[..section.whole.start]);
    push_section(&mut component, CORE_MODULE, &module);
    component.extend_from_slice(&runner[section.whole.end..]);
    Ok(component)
}

fn rewrite(module: &[u8], payload: &[u8]) -> Result<Vec<u8>> {
    let sections = sections(module, MODULE)?;
    let content = |id: u8| {
        let section = sections.iter().find(|section| section.id == id);
        section.map(|section| &module[section.content.clone()])
    };
    let memories = content(MEMORIES).ok_or_else(|| unusable("its memory is not its own"))?;
    let data = content(DATA).ok_or_else(|| unusable("it has no data"))?;
    let memory = read_memory(memories)?;
    let (address, pages) = place(&memory, payload.len())?;
    let mut rewritten = MODULE.to_vec();
    for section in &sections {
        match section.id {
            MEMORIES => push_section(&mut rewritten, MEMORIES, &memory_section(&memory, pages)),
            DATA => push_section(&mut rewritten, DATA, &data_section(data, address, payload)?),
            DATA_COUNT => {
                let count = DataSectionReader::new(BinaryReader::new(data, 0)).map_err(broken)?.count();
                push_section(&mut rewritten, DATA_COUNT, &unsigned(u64::from(count) + 1));
            }
            _ => rewritten.extend_from_slice(&module[section.whole.clone()]),
        }
    }
    Ok(rewritten)
}

fn read_memory(content: &[u8]) -> Result<MemoryType> {
    let memories = MemorySectionReader::new(BinaryReader::new(content, 0)).map_err(broken)?;
    let memories: Vec<MemoryType> =
        memories.into_iter().collect::<std::result::Result<_, _>>().map_err(broken)?;
    match memories[..] {
        [memory] if !memory.memory64 && !memory.shared && memory.page_size_log2.is_none() => Ok(memory),
        _ => Err(unusable("it has not exactly one memory of 32 bits that is its own")),
    }
}

/// The address that the payload gets, and the pages that the memory begins with then.
fn place(memory: &MemoryType, length: usize) -> Result<(u32, u64)> {
    let most = memory.maximum.unwrap_or(MOST_PAGES).min(MOST_PAGES - LEFT_PAGES);
    let pages = memory.initial.saturating_add(length.div_ceil(PAGE) as u64);
    let address = u32::try_from(memory.initial.saturating_mul(PAGE as u64));
    match address {
        Ok(address) if pages <= most => Ok((address, pages)),
        _ => {
            let room = most.saturating_sub(memory.initial) as usize;
            Err(StandaloneError::TooLarge { bytes: length, most: room.saturating_mul(PAGE) })
        }
    }
}

fn memory_section(memory: &MemoryType, pages: u64) -> Vec<u8> {
    let mut content = vec![1, u8::from(memory.maximum.is_some())];
    content.extend(unsigned(pages));
    memory.maximum.into_iter().for_each(|most| content.extend(unsigned(most)));
    content
}

fn data_section(content: &[u8], address: u32, payload: &[u8]) -> Result<Vec<u8>> {
    let mark = find_slot(content)?;
    let reader = DataSectionReader::new(BinaryReader::new(content, 0)).map_err(broken)?;
    let (count, first) = (reader.count(), reader.original_position());
    let mut section = unsigned(u64::from(count) + 1);
    let moved = section.len();
    section.reserve(content.len() + payload.len() + 32);
    section.extend_from_slice(&content[first..]);
    let slot = mark + MARK.len() - first + moved;
    for (offset, word) in [(0, address), (4, payload.len() as u32)] {
        let place = slot + offset..slot + offset + 4;
        if section[place.clone()] != [0; 4] {
            return Err(unusable("it has a model already"));
        }
        section[place].copy_from_slice(&word.to_le_bytes());
    }
    // Into memory 0, at a constant address.
    section.extend([0, 0x41]);
    section.extend(signed(address.cast_signed()));
    section.push(0x0b);
    section.extend(unsigned(payload.len() as u64));
    section.extend_from_slice(payload);
    Ok(section)
}

/// Where the mark stands in the data section, with the eight bytes behind it in the same
/// segment.
fn find_slot(content: &[u8]) -> Result<usize> {
    let mut found = Vec::new();
    for segment in DataSectionReader::new(BinaryReader::new(content, 0)).map_err(broken)? {
        let segment = segment.map_err(broken)?;
        let start = segment.range.end - segment.data.len();
        let has_slot = |place: &usize| place + MARK.len() + 8 <= segment.data.len();
        let active = matches!(segment.kind, DataKind::Active { memory_index: 0, .. });
        found.extend(places(segment.data).filter(has_slot).filter(|_| active).map(|place| start + place));
    }
    match found[..] {
        [place] => Ok(place),
        [] => Err(unusable("it has no place for a model in its data")),
        _ => Err(unusable("it has two places for a model")),
    }
}

fn occurs(bytes: &[u8]) -> bool {
    places(bytes).next().is_some()
}

/// Where the mark stands in bytes.
fn places(bytes: &[u8]) -> impl Iterator<Item = usize> {
    bytes.windows(MARK.len()).enumerate().filter(|(_, window)| window == MARK).map(|(place, _)| place)
}

/// A section of a component or a module.
struct Section {
    id: u8,
    /// Its id and length too.
    whole: Range<usize>,
    content: Range<usize>,
}

/// Splits what comes behind the header.
fn sections(bytes: &[u8], header: [u8; 8]) -> Result<Vec<Section>> {
    if !bytes.starts_with(&header) {
        return Err(unusable("it does not begin as a runner does"));
    }
    let mut reader = BinaryReader::new(bytes, 0);
    reader.read_bytes(header.len()).map_err(broken)?;
    let mut sections = Vec::new();
    while !reader.eof() {
        let start = reader.original_position();
        let id = reader.read_u8().map_err(broken)?;
        let length = reader.read_var_u32().map_err(broken)? as usize;
        let first = reader.original_position();
        reader.read_bytes(length).map_err(broken)?;
        let end = reader.original_position();
        sections.push(Section { id, whole: start..end, content: first..end });
    }
    Ok(sections)
}

fn push_section(bytes: &mut Vec<u8>, id: u8, content: &[u8]) {
    bytes.push(id);
    bytes.extend(unsigned(content.len() as u64));
    bytes.extend_from_slice(content);
}

/// A number as LEB128.
fn unsigned(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn signed(mut value: i32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = value as u8 & 0x7f;
        value >>= 7;
        // The last byte's second bit from the top is the sign.
        if value == 0 && byte & 0x40 == 0 || value == -1 && byte & 0x40 != 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

fn unusable(reason: &str) -> StandaloneError {
    StandaloneError::Runner(reason.to_owned())
}

fn broken(error: wasmparser::BinaryReaderError) -> StandaloneError {
    StandaloneError::Runner(error.to_string())
}

#[cfg(test)]
#[path = "splice_tests.rs"]
mod tests;
