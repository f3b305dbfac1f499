//! One blob on its way into the store, with its interruptions.

use std::io::Read;

use ureq::http::Method;

use super::error::{ErrorKind, Failure};
use super::manifests::too_large;
use super::parallel::Stop;
use super::progress::{Progress, Transfer};
use super::remote::Remote;
use super::transport::{Answer, Request, broken};
use crate::spec::Descriptor;
use crate::store::{Partial, Session};
use crate::text::tame;

const BUFFER: usize = 128 << 10;
/// Bytes after which a broken transfer counts as going well again.
const PROGRESS: u64 = 1 << 20;

/// Fetches a blob, unless the store has it. What came before a connection
/// broke is continued where the registry can.
pub(super) fn download(
    remote: &Remote,
    session: &Session,
    blob: &Descriptor,
    progress: &dyn Progress,
    stop: &Stop,
) -> Result<(), Failure> {
    if blob.size > remote.host.max_blob {
        return Err(too_large(&blob.digest.to_string(), blob.size, remote.host.max_blob));
    }
    let Some(mut partial) = session.partial(&blob.digest, blob.size)? else {
        progress.begin(&blob.digest, &title(blob), blob.size, blob.size);
        progress.end(&blob.digest, Transfer::AlreadyThere);
        return Ok(());
    };
    let found = partial.offset();
    let restarted = fill(remote, &mut partial, blob, progress, stop)?;
    match partial.commit() {
        Ok(_) => {}
        // What an earlier attempt left may be what is wrong.
        Err(crate::store::Error::WrongDigest { .. }) if found > 0 && !restarted => {
            // Another process may have brought it meanwhile.
            if let Some(mut partial) = session.partial(&blob.digest, blob.size)? {
                fill(remote, &mut partial, blob, progress, stop)?;
                partial.commit()?;
            }
        }
        Err(error) => return Err(error.into()),
    }
    progress.end(&blob.digest, Transfer::Done);
    Ok(())
}

/// What a blob is called. Whoever made the image chose that.
pub(super) fn title(blob: &Descriptor) -> String {
    tame(blob.annotations.get("org.opencontainers.image.title").unwrap_or(&blob.media_type))
}

/// Fetches what is missing, and says whether what was there was dropped.
fn fill(
    remote: &Remote,
    partial: &mut Partial<'_>,
    blob: &Descriptor,
    progress: &dyn Progress,
    stop: &Stop,
) -> Result<bool, Failure> {
    progress.begin(&blob.digest, &title(blob), blob.size, partial.offset());
    let mut tries = remote.host.patience.tries();
    let mut restarted = false;
    while partial.offset() < blob.size {
        stop.check()?;
        let before = partial.offset();
        let failure = match open(remote, partial, blob) {
            Ok(answer) => {
                if partial.offset() < before {
                    restarted = true;
                    progress.begin(&blob.digest, &title(blob), blob.size, 0);
                }
                match copy(answer, partial, blob, progress, stop) {
                    Ok(()) => continue,
                    Err(failure) => failure,
                }
            }
            Err(failure) => failure,
        };
        if partial.offset() >= before.saturating_add(PROGRESS) {
            tries.forget();
        }
        tries.wait_after(failure)?;
    }
    Ok(restarted)
}

/// Asks for the part of the blob that is missing. Where the registry can only
/// send all of it, what is there is dropped.
fn open(remote: &Remote, partial: &mut Partial<'_>, blob: &Descriptor) -> Result<Answer, Failure> {
    let url = remote.url(&format!("blobs/{}", blob.digest))?;
    let offset = partial.offset();
    let mut request = Request::new(Method::GET, url);
    if offset > 0 {
        request = request.header("range", format!("bytes={offset}-{}", blob.size - 1));
    }
    let mut answer = remote.host.accept(remote.send(&request)?, &[200, 206, 416])?;
    if offset > 0 && !(answer.status == 206 && continues(&answer, offset, blob.size)) {
        partial.restart()?;
        if answer.status != 200 {
            request.headers.clear();
            answer = remote.host.accept(remote.send(&request)?, &[200])?;
        }
    } else if offset == 0 && answer.status != 200 {
        return Err(Failure::new(ErrorKind::Protocol, "the registry sent a part that was not asked for"));
    }
    let missing = blob.size - partial.offset();
    answer.not_encoded()?;
    match answer.announced() {
        Some(announced) if announced != missing => Err(Failure::new(
            ErrorKind::Corrupt,
            format!("the registry has {announced} bytes where the manifest says {missing}"),
        )),
        _ => Ok(answer),
    }
}

/// Whether a partial answer begins where the blob is interrupted.
fn continues(answer: &Answer, offset: u64, size: u64) -> bool {
    let range = answer.header("content-range").and_then(|range| range.strip_prefix("bytes "));
    let Some((span, total)) = range.and_then(|range| range.split_once('/')) else { return false };
    let start = span.split_once('-').and_then(|(start, _)| start.trim().parse().ok());
    start == Some(offset) && (total == "*" || total.trim().parse() == Ok(size))
}

/// Writes the answer behind what is there. More bytes than the blob has are an
/// error, however many there are; fewer can be continued.
fn copy(
    answer: Answer,
    partial: &mut Partial<'_>,
    blob: &Descriptor,
    progress: &dyn Progress,
    stop: &Stop,
) -> Result<(), Failure> {
    let url = answer.url.clone();
    let mut reader = answer.reader();
    let mut buffer = vec![0; BUFFER];
    loop {
        stop.check()?;
        let count = match reader.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(broken(error.into(), &url)),
        };
        if count == 0 {
            break;
        }
        if count as u64 > blob.size - partial.offset() {
            partial.restart()?;
            return Err(Failure::new(
                ErrorKind::Corrupt,
                format!("the registry sent more than the {} bytes of {}", blob.size, title(blob)),
            ));
        }
        partial.append(&buffer[..count])?;
        progress.advance(&blob.digest, count as u64);
    }
    if partial.offset() < blob.size {
        let problem = format!("the registry sent {} of {} bytes and no more", partial.offset(), blob.size);
        return Err(Failure::new(ErrorKind::Unavailable, problem).again(super::error::Again::Soon));
    }
    Ok(())
}
