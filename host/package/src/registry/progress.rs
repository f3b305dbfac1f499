//! Who wants to know how far a transfer is.

use crate::digest::Digest;

/// Is told what is transferred. Several transfers go at once, so it is called
/// from several threads.
pub trait Progress: Sync {
    /// The transfer of `what` with `total` bytes begins, of which `already`
    /// are there from an attempt before. Called again for the same digest
    /// where a transfer starts over.
    fn begin(&self, digest: &Digest, what: &str, total: u64, already: u64);

    /// `bytes` more are there.
    fn advance(&self, digest: &Digest, bytes: u64);

    /// Nothing more comes for this digest. Not called after a failure.
    fn end(&self, digest: &Digest, outcome: Transfer);
}

/// How a transfer ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transfer {
    Done,
    /// The content was there before; nothing was transferred.
    AlreadyThere,
    /// The registry took the content from another of its repositories.
    Mounted,
}

/// Does not want to know.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &Digest, _: &str, _: u64, _: u64) {}
    fn advance(&self, _: &Digest, _: u64) {}
    fn end(&self, _: &Digest, _: Transfer) {}
}
