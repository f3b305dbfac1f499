//! One blob on its way to a registry, with its interruptions: OCI distribution
//! specification 1.1, "Pushing Blobs".

use bytes::Bytes;
use ureq::http::Method;

use super::error::{ErrorKind, Failure};
use super::parallel::Stop;
use super::progress::{Progress, Transfer};
use super::remote::Remote;
use super::transport::{Answer, Payload, Request};
use super::url::Url;
use crate::digest::Digest;

const BINARY: &str = "application/octet-stream";

/// Content to be sent, with who watches.
pub(super) struct Upload<'a> {
    pub(super) remote: &'a Remote,
    pub(super) digest: Digest,
    pub(super) title: &'a str,
    pub(super) bytes: Bytes,
    pub(super) progress: &'a dyn Progress,
    pub(super) stop: &'a Stop,
}

impl Upload<'_> {
    /// Sends the content unless the registry has it, and says whether it went.
    pub(super) fn run(&self) -> Result<bool, Failure> {
        self.stop.check()?;
        let total = self.bytes.len() as u64;
        let there = Request::new(Method::HEAD, self.remote.url(&format!("blobs/{}", self.digest))?);
        let is_there = self.remote.ask(&there, &[200, 404])?.status == 200;
        if is_there {
            self.progress.begin(&self.digest, self.title, total, total);
            self.progress.end(&self.digest, Transfer::AlreadyThere);
            return Ok(false);
        }
        self.send_all()?;
        self.progress.end(&self.digest, Transfer::Done);
        Ok(true)
    }

    /// Sends until it is whole. A broken upload is continued where the
    /// registry knows how far it came, and begun anew where it does not.
    fn send_all(&self) -> Result<(), Failure> {
        let mut tries = self.remote.host.patience.tries();
        let mut begun: Option<Url> = None;
        loop {
            self.stop.check()?;
            let sent = self.place(begun.take()).and_then(|(url, offset)| {
                begun = Some(url.clone());
                self.finish(url, offset)
            });
            match sent {
                Ok(()) => return Ok(()),
                Err(failure) => tries.wait_after(failure)?,
            }
        }
    }

    /// Where to send, and how many bytes are there already.
    fn place(&self, begun: Option<Url>) -> Result<(Url, usize), Failure> {
        if let Some(url) = begun
            && let Some(place) = self.reached(&url)?
        {
            return Ok(place);
        }
        let request =
            Request::new(Method::POST, self.remote.url("blobs/uploads/")?).payload(Payload::Bytes(&[]));
        let answer = self.remote.host.accept(self.remote.send(&request)?, &[202])?;
        Ok((location(&answer)?, 0))
    }

    /// How far a broken upload came, if the registry knows.
    fn reached(&self, url: &Url) -> Result<Option<(Url, usize)>, Failure> {
        let answer = self.remote.send(&Request::new(Method::GET, url.clone()))?;
        if answer.status != 204 {
            return Ok(None);
        }
        let last = answer.header("range").and_then(|range| range.strip_prefix("0-")?.trim().parse().ok());
        let Some(offset) = last.and_then(|last: usize| last.checked_add(1)) else { return Ok(None) };
        let url = if answer.header("location").is_some() { location(&answer)? } else { url.clone() };
        // Some say `0-0` for nothing, some for one byte: nothing is the safe reading.
        Ok((offset > 1 && offset <= self.bytes.len()).then_some((url, offset)))
    }

    fn finish(&self, url: Url, offset: usize) -> Result<(), Failure> {
        self.progress.begin(&self.digest, self.title, self.bytes.len() as u64, offset as u64);
        let told = |count| {
            self.stop.check().map_err(|_| std::io::Error::other("cancelled"))?;
            self.progress.advance(&self.digest, count);
            Ok(())
        };
        let rest = &self.bytes[offset..];
        let (url, rest) = match offset {
            0 => (url, rest),
            _ if rest.is_empty() => (url, rest),
            _ => {
                let request = Request::new(Method::PATCH, url)
                    .header("content-type", BINARY)
                    .header("content-range", format!("{offset}-{}", self.bytes.len() - 1))
                    .payload(Payload::Counted(rest, &told));
                let answer = self.remote.host.accept(self.remote.send(&request)?, &[202])?;
                (location(&answer)?, &[][..])
            }
        };
        let url = url.with_query("digest", &self.digest.to_string());
        let request = Request::new(Method::PUT, url)
            .header("content-type", BINARY)
            .payload(Payload::Counted(rest, &told));
        let answer = self.remote.host.accept(self.remote.send(&request)?, &[200, 201, 204])?;
        match answer.header("docker-content-digest").and_then(|digest| digest.parse::<Digest>().ok()) {
            Some(found) if found != self.digest => Err(Failure::new(
                ErrorKind::Corrupt,
                format!("the registry says that it has {found} in place of {}", self.digest),
            )),
            _ => Ok(()),
        }
    }
}

/// Where a registry wants the next part of an upload.
fn location(answer: &Answer) -> Result<Url, Failure> {
    let Some(location) = answer.header("location") else {
        return Err(Failure::new(ErrorKind::Protocol, "the registry does not say where to upload to"));
    };
    let url = answer.url.join(location)?;
    if answer.url.https && !url.https {
        return Err(Failure::new(
            ErrorKind::Untrusted,
            format!("the registry wants the upload sent in the open, to `{url}`"),
        ));
    }
    Ok(url)
}
