//! Compressed messages: unpacked one by one, in bounds, before anybody else
//! looks at them. Answers are never compressed: tensors of numbers gain little.

use std::io::Read;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use flate2::read::{GzDecoder, ZlibDecoder};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};
use tokio::task::JoinHandle;

use super::arrival::{PREFIX, refuse};
use super::held::Held;
use crate::body::BoxError;
use crate::error::{Error, Result};

const HEADER: &str = "grpc-encoding";

/// How messages are compressed that say that they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    /// In the zlib format.
    Deflate,
}

impl Packing {
    /// Takes the header of a compression that is known out of the headers. Any
    /// other stays there, to be refused.
    pub(super) fn take(headers: &mut HeaderMap) -> Option<Self> {
        let packing = match headers.get(HEADER)?.as_bytes() {
            b"gzip" => Packing::Gzip,
            b"deflate" => Packing::Deflate,
            _ => return None,
        };
        headers.remove(HEADER);
        Some(packing)
    }

    /// A framed message of at most `limit` bytes from a compressed one.
    fn unpack(self, packed: &[u8], limit: u64) -> Result<Bytes> {
        // One byte more shows that there is more.
        let most = limit.saturating_add(1);
        let mut message = vec![0; PREFIX];
        let read = match self {
            Packing::Gzip => GzDecoder::new(packed).take(most).read_to_end(&mut message),
            Packing::Deflate => ZlibDecoder::new(packed).take(most).read_to_end(&mut message),
        };
        read.map_err(|error| {
            Error::Malformed(format!("the message is not compressed as its header says: {error}"))
        })?;
        let length = u32::try_from(message.len() - PREFIX).ok().filter(|&length| u64::from(length) <= limit);
        let Some(length) = length else {
            return Err(Error::TooLarge { what: "the message, uncompressed,", limit });
        };
        message[1..PREFIX].copy_from_slice(&length.to_be_bytes());
        Ok(message.into())
    }
}

/// A body whose messages are unpacked on the way.
pub(super) struct Unpacking<B> {
    body: B,
    packing: Packing,
    limit: u64,
    /// What came and is no whole message yet.
    arrived: BytesMut,
    /// The message that is being unpacked, on a thread for work that blocks.
    at_work: Option<Work>,
    is_over: bool,
    /// Where the body counts, until it is passed on.
    held: Arc<Held>,
}

struct Work {
    /// Bytes of the message as it came.
    packed: usize,
    unpacked: JoinHandle<Result<Bytes>>,
}

impl<B> Unpacking<B> {
    /// Over a body that bounds its messages already, and counts in `held`;
    /// `limit` is for unpacked ones.
    pub(super) fn new(body: B, packing: Packing, limit: u64, held: Arc<Held>) -> Self {
        Self { body, packing, limit, arrived: BytesMut::new(), at_work: None, is_over: false, held }
    }

    /// The next whole message, or what is left at the end.
    fn next(&mut self) -> Option<Bytes> {
        let length = self.arrived.get(1..PREFIX)?.get_u32() as usize;
        (self.arrived.len() >= PREFIX + length).then(|| self.arrived.split_to(PREFIX + length).freeze())
    }

    fn unpack(&mut self, mut message: Bytes) {
        let (packing, limit, packed) = (self.packing, self.limit, message.len());
        message.advance(PREFIX);
        let unpacked = tokio::task::spawn_blocking(move || packing.unpack(&message, limit));
        self.at_work = Some(Work { packed, unpacked });
    }

    /// A piece of so many bytes of the body, on its way to where it counts as
    /// what it is now.
    fn pass_on(&self, bytes: usize, piece: Bytes) -> Frame<Bytes> {
        self.held.passed_on(bytes);
        Frame::data(piece)
    }
}

impl<B> HttpBody for Unpacking<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        loop {
            if let Some(work) = this.at_work.as_mut() {
                let done = ready!(pin!(&mut work.unpacked).poll(context));
                let packed = work.packed;
                this.at_work = None;
                let done = done.unwrap_or_else(|panic| Err(Error::Internal(panic.to_string())));
                let done = done.map(|message| this.pass_on(packed, message));
                return Poll::Ready(Some(done.map_err(|error| refuse(&error))));
            }
            match this.next() {
                Some(message) if message[0] == 1 => {
                    this.unpack(message);
                    continue;
                }
                Some(message) => return Poll::Ready(Some(Ok(this.pass_on(message.len(), message)))),
                None if this.is_over => {
                    let rest = this.arrived.split().freeze();
                    return Poll::Ready((!rest.is_empty()).then(|| Ok(this.pass_on(rest.len(), rest))));
                }
                None => {}
            }
            match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                None => this.is_over = true,
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.arrived.extend_from_slice(&data),
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::read::{GzEncoder, ZlibEncoder};

    use super::*;
    use crate::error::ErrorKind;

    fn packed(packing: Packing, bytes: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        match packing {
            Packing::Gzip => GzEncoder::new(bytes, Compression::best()).read_to_end(&mut packed).unwrap(),
            Packing::Deflate => {
                ZlibEncoder::new(bytes, Compression::best()).read_to_end(&mut packed).unwrap()
            }
        };
        packed
    }

    #[test]
    fn messages_come_back_within_their_bound() {
        for packing in [Packing::Gzip, Packing::Deflate] {
            let message = packing.unpack(&packed(packing, b"samara"), 6).unwrap();
            assert_eq!(message, b"\0\0\0\0\x06samara"[..]);
            let bomb = packed(packing, &vec![0; 1 << 20]);
            assert_eq!(packing.unpack(&bomb, 4096).unwrap_err().kind(), ErrorKind::TooLarge);
            assert_eq!(packing.unpack(b"junk", 4096).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    }
}
