//! The frames in which containerd and its shims talk: a call or an answer each.

use std::io::{Error, ErrorKind, Read, Result, Write};

use containerd_shim_protos::ttrpc::proto::{MESSAGE_HEADER_LENGTH, MESSAGE_LENGTH_MAX};

/// A call, an answer, or a part of either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// What ties an answer to its call.
    pub(crate) stream: u32,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The next one; `None` where the other side has said all.
    ///
    /// # Errors
    /// When the connection breaks, or what comes is no frame.
    pub(crate) fn read(from: &mut impl Read) -> Result<Option<Self>> {
        let mut header = [0; MESSAGE_HEADER_LENGTH];
        // Between two frames it may end, and nowhere else.
        loop {
            match from.read(&mut header[..1]) {
                Ok(0) => return Ok(None),
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        from.read_exact(&mut header[1..])?;
        let [l1, l2, l3, l4, s1, s2, s3, s4, kind, flags] = header;
        let length = u32::from_be_bytes([l1, l2, l3, l4]) as usize;
        if length > MESSAGE_LENGTH_MAX {
            return Err(Error::new(ErrorKind::InvalidData, "a frame that is longer than any may be"));
        }
        let mut payload = vec![0; length];
        from.read_exact(&mut payload)?;
        Ok(Some(Self { stream: u32::from_be_bytes([s1, s2, s3, s4]), kind, flags, payload }))
    }

    /// # Errors
    /// When the connection breaks, or the payload has become too long.
    pub(crate) fn write(&self, to: &mut impl Write) -> Result<()> {
        let fits =
            u32::try_from(self.payload.len()).ok().filter(|&length| length as usize <= MESSAGE_LENGTH_MAX);
        let length = fits.ok_or(ErrorKind::InvalidData)?;
        let mut bytes = Vec::with_capacity(MESSAGE_HEADER_LENGTH + self.payload.len());
        bytes.extend(length.to_be_bytes());
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend([self.kind, self.flags]);
        bytes.extend(&self.payload);
        to.write_all(&bytes)
    }
}

#[cfg(test)]
impl Frame {
    pub(crate) fn of(stream: u32, kind: u8, payload: Vec<u8>) -> Self {
        Self { stream, kind, flags: 0, payload }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_what_was_written() {
        let frames = [Frame::of(1, 1, b"call".to_vec()), Frame::of(0x0102_0304, 2, Vec::new())];
        let mut bytes = Vec::new();
        for frame in &frames {
            frame.write(&mut bytes).unwrap();
        }
        assert_eq!(bytes[..14], *b"\0\0\0\x04\0\0\0\x01\x01\0call");
        let mut from = bytes.as_slice();
        let mut read = Vec::new();
        while let Some(frame) = Frame::read(&mut from).unwrap() {
            read.push(frame);
        }
        assert_eq!(read, frames);
    }

    #[test]
    fn what_is_cut_off_or_too_long_is_an_error() {
        let mut bytes = Vec::new();
        Frame::of(1, 1, b"call".to_vec()).write(&mut bytes).unwrap();
        for length in 1..bytes.len() {
            Frame::read(&mut &bytes[..length]).unwrap_err();
        }
        bytes[0] = 0x7f;
        assert_eq!(Frame::read(&mut bytes.as_slice()).unwrap_err().kind(), ErrorKind::InvalidData);
        let long = Frame::of(1, 1, vec![0; MESSAGE_LENGTH_MAX + 1]);
        assert_eq!(long.write(&mut Vec::new()).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
