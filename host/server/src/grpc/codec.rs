//! How messages become bytes and back. Bytes that are no message are the
//! client's mistake, and told so.

use std::marker::PhantomData;

use bytes::Buf;
use prost::Message;
use samara_protocol::grpc::bounds;
use tonic::Status;
use tonic::codec::{DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::held;
use super::status::status;

/// Writes `T` and reads `U` as protobuf.
#[derive(Debug)]
pub(crate) struct Codec<T, U>(PhantomData<(T, U)>);

/// One direction of a [`Codec`].
#[derive(Debug)]
pub(crate) struct Way<T>(PhantomData<T>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + 'static,
    U: Message + Default + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Way<T>;
    type Decoder = Way<U>;

    fn encoder(&mut self) -> Way<T> {
        Way(PhantomData)
    }

    fn decoder(&mut self) -> Way<U> {
        Way(PhantomData)
    }
}

impl<T: Message> Encoder for Way<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        // Grown once, instead of by doubling with a copy each time.
        buffer.reserve(message.encoded_len());
        message.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

impl<T: Message + Default> Decoder for Way<T> {
    type Item = T;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<T>, Status> {
        let message = buffer.chunk();
        let lists = bounds::check(message).map_err(Status::invalid_argument)?;
        held::reading(message.len(), lists).map_err(|error| status(&error))?;
        T::decode(buffer).map(Some).map_err(|error| not_a_message(&error))
    }
}

fn not_a_message(error: &prost::DecodeError) -> Status {
    Status::invalid_argument(format!("the request is not the protobuf message of this method: {error}"))
}
