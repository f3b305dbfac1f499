//! Tar layers as they lie in the store, and those that another tool
//! compressed: each is decompressed once into the store under its own digest.

use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

use super::documents::layer_blob;
use super::{Error, Limits, Result};
use crate::digest::Digest;
use crate::media_types;
use crate::spec::Descriptor;
use crate::store::{Session, Store};

/// How a tar layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// `None` where the media type is no tar's.
    pub(crate) fn of(media_type: &str) -> Option<Self> {
        match media_type {
            media_types::TAR | media_types::DOCKER_TAR => Some(Self::None),
            media_types::TAR_GZIP | media_types::DOCKER_TAR_GZIP => Some(Self::Gzip),
            media_types::TAR_ZSTD | media_types::DOCKER_TAR_ZSTD => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// The uncompressed tar of a layer, which must be `diff_id`. What is
/// decompressed counts against `budget`.
pub(crate) fn unpacked(
    store: &Store,
    layer: &Descriptor,
    compression: Compression,
    diff_id: &Digest,
    budget: &mut Limits,
) -> Result<Bytes> {
    if compression == Compression::None {
        if layer.digest != *diff_id {
            return Err(wrong_diff_id(layer, diff_id, &layer.digest));
        }
        return layer_blob(store, layer);
    }
    if store.contains(diff_id) {
        return Ok(store.blob(diff_id)?.bytes);
    }
    let session = store.session()?; // until it is mapped, nobody collects it
    decompress(&session, layer, compression, diff_id, budget)?;
    Ok(store.blob(diff_id)?.bytes)
}

fn decompress(
    session: &Session,
    layer: &Descriptor,
    compression: Compression,
    diff_id: &Digest,
    budget: &mut Limits,
) -> Result<()> {
    let compressed = layer_blob(session.store(), layer)?;
    let mut writer = session.writer()?;
    let mut reader = reader(compression, &compressed);
    copy_bounded(&mut *reader, &mut writer, layer, budget)?;
    match writer.commit(Some(diff_id)) {
        Ok(_) => Ok(()),
        Err(crate::store::Error::WrongDigest { found, .. }) => Err(wrong_diff_id(layer, diff_id, &found)),
        Err(error) => Err(error.into()),
    }
}

/// The bytes of a layer as they are uncompressed.
pub(super) fn reader(compression: Compression, layer: &[u8]) -> Box<dyn Read + '_> {
    match compression {
        Compression::None => Box::new(layer),
        Compression::Gzip => Box::new(MultiGzDecoder::new(layer)),
        Compression::Zstd => Box::new(ZstdFrames::of(layer)),
    }
}

fn copy_bounded(
    reader: &mut dyn Read,
    writer: &mut dyn Write,
    layer: &Descriptor,
    budget: &mut Limits,
) -> Result<()> {
    let mut piece = vec![0; 256 << 10];
    let limit = budget.unpacked;
    loop {
        let count = match reader.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let reason = format!("cannot be decompressed: {error}");
                return Err(Error::Layer { layer: layer.digest, reason });
            }
        };
        budget.unpacked = budget.unpacked.checked_sub(count as u64).ok_or(Error::TooLarge {
            layer: layer.digest,
            limit,
            files: budget.files,
        })?;
        writer.write_all(&piece[..count]).map_err(|source| Error::Write { source })?;
    }
}

fn wrong_diff_id(layer: &Descriptor, expected: &Digest, found: &Digest) -> Error {
    let reason = format!("its content is {found}, but the image's configuration says {expected}");
    Error::Layer { layer: layer.digest, reason }
}

/// What all Zstandard frames of some bytes decompress to, one after the other;
/// frames that hold no data are skipped.
struct ZstdFrames<'a> {
    rest: &'a [u8],
    frame: Option<StreamingDecoder<&'a [u8], ruzstd::decoding::FrameDecoder>>,
}

impl<'a> ZstdFrames<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, frame: None }
    }

    fn next_frame(&mut self) -> io::Result<()> {
        match StreamingDecoder::new(self.rest) {
            Ok(frame) => self.frame = Some(frame),
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                // The magic number and the length are four bytes each.
                let end = (length as usize).checked_add(8).filter(|end| *end <= self.rest.len());
                self.rest = &self.rest[end.ok_or(io::ErrorKind::UnexpectedEof)?..];
            }
            Err(error) => return Err(io::Error::other(error)),
        }
        Ok(())
    }
}

impl Read for ZstdFrames<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(mut frame) = self.frame.take() {
                let count = frame.read(buffer)?;
                if count > 0 {
                    self.frame = Some(frame);
                    return Ok(count);
                }
                check_frame(&frame.decoder)?;
                self.rest = frame.into_inner();
            }
            if self.rest.is_empty() {
                return Ok(0);
            }
            self.next_frame()?;
        }
    }
}

fn check_frame(decoder: &ruzstd::decoding::FrameDecoder) -> io::Result<()> {
    match (decoder.get_checksum_from_data(), decoder.get_calculated_checksum()) {
        (Some(expected), Some(found)) if expected != found => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "the checksum of a frame is wrong"))
        }
        _ => Ok(()),
    }
}
