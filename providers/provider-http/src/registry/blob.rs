//! What a registry is sent: content with its digest, in a temporary file.
//!
//! A registry wants to know the digest of what comes before it is there. Layers are compressed into a file, one at a time.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256, digest as hash};
use bytes::Bytes;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use futures_util::Stream;
use provider_api::Result;
use provider_kit::apart::{Waiter, apart};
use provider_kit::archive::{Archive, Layer, unusable};
use tokio_util::io::ReaderStream;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

const ALGORITHM: &str = "sha256:";

const GZIPPED: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const ZSTANDARD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// Content that is ready to be sent.
pub(super) struct Blob {
    pub digest: String,
    pub size: u64,
    file: tempfile::NamedTempFile,
}

pub(super) fn digest(content: &[u8]) -> String {
    named(hash(&SHA256, content).as_ref())
}

fn named(hash: &[u8]) -> String {
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{ALGORITHM}{hex}")
}

impl Blob {
    pub fn of(content: &[u8]) -> Result<Self> {
        let made = || {
            let mut counted = Counted::new(tempfile::NamedTempFile::new()?);
            counted.write_all(content)?;
            counted.finish()
        };
        made().map_err(|error| unusable(&error))
    }

    /// A layer as registries have it, and its media type. One that is compressed already stays as it is. `bad_request` where it is not
    /// what the archive says of it. The work ends when the future is dropped.
    pub async fn of_layer(archive: &Arc<Archive>, layer: &Layer) -> Result<(Self, &'static str)> {
        let (archive, layer) = (archive.clone(), layer.clone());
        let work =
            move |waiter: &Waiter| Self::packed(&archive, &layer, waiter).map_err(|error| unusable(&error));
        apart(work).await
    }

    fn packed(archive: &Archive, layer: &Layer, waiter: &Waiter) -> io::Result<(Self, &'static str)> {
        let mut content = waiter.reads(archive.content(layer)?);
        let mut begin = Vec::new();
        content.by_ref().take(4).read_to_end(&mut begin)?;
        // Beside the archive, where there is room for such.
        let folder = archive.path().parent().unwrap_or(Path::new("."));
        let mut counted = Counted::new(tempfile::NamedTempFile::new_in(folder)?);
        let mut whole = Hashed::new(begin.as_slice().chain(content));
        let is_zstd = begin.starts_with(ZSTD);
        let plain = if is_zstd {
            io::copy(&mut whole, &mut counted)?;
            None
        } else if begin.starts_with(GZIP) {
            let mut kept = Kept { from: &mut whole, to: &mut counted };
            let mut plain = Hashed::new(MultiGzDecoder::new(&mut kept));
            io::copy(&mut plain, &mut io::sink()).map_err(|error| damaged(layer, error))?;
            let plain = plain.digest();
            io::copy(&mut kept, &mut io::sink())?;
            Some(plain)
        } else {
            let mut packed = GzEncoder::new(&mut counted, Compression::default());
            io::copy(&mut whole, &mut packed)?;
            packed.finish()?;
            Some(whole.digest())
        };
        must_be(layer, "digest", layer.digest.as_ref(), Some(whole.digest()))?;
        must_be(layer, "diff_id", layer.diff_id.as_ref(), plain)?;
        Ok((counted.finish()?, if is_zstd { ZSTANDARD } else { GZIPPED }))
    }

    pub async fn stream(&self) -> Result<impl Stream<Item = io::Result<Bytes>> + use<>> {
        let file = tokio::fs::File::open(self.file.path()).await;
        file.map(ReaderStream::new).map_err(|error| unusable(&error))
    }
}

/// What a decoder says of content that it cannot read, without the layer.
fn damaged(layer: &Layer, error: io::Error) -> io::Error {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match error.kind() {
        InvalidData | InvalidInput | UnexpectedEof => {
            io::Error::new(InvalidData, format!("its layer {} cannot be decompressed: {error}", layer.name))
        }
        _ => error,
    }
}

/// What is not known passes.
fn must_be(layer: &Layer, what: &str, said: Option<&String>, found: Option<String>) -> io::Result<()> {
    match (said, found) {
        (Some(said), Some(found)) if *said != found && said.starts_with(ALGORITHM) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("its layer {} has the {what} {found}, and the archive says {said}", layer.name),
        )),
        _ => Ok(()),
    }
}

/// Reads, and knows what it has read.
struct Hashed<R> {
    from: R,
    hash: Context,
}

impl<R> Hashed<R> {
    fn new(from: R) -> Self {
        Self { from, hash: Context::new(&SHA256) }
    }

    /// Of what was read until now.
    fn digest(&self) -> String {
        named(self.hash.clone().finish().as_ref())
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, content: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(content)?;
        self.hash.update(&content[..read]);
        Ok(read)
    }
}

/// Reads, and writes what it has read.
struct Kept<R, W> {
    from: R,
    to: W,
}

impl<R: Read, W: Write> Read for Kept<R, W> {
    fn read(&mut self, content: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(content)?;
        self.to.write_all(&content[..read])?;
        Ok(read)
    }
}

/// Writes, and knows what it has written.
struct Counted {
    file: tempfile::NamedTempFile,
    hash: Context,
    size: u64,
}

impl Counted {
    fn new(file: tempfile::NamedTempFile) -> Self {
        Self { file, hash: Context::new(&SHA256), size: 0 }
    }

    fn finish(mut self) -> io::Result<Blob> {
        self.file.flush()?;
        Ok(Blob { digest: named(self.hash.finish().as_ref()), size: self.size, file: self.file })
    }
}

impl Write for Counted {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        let written = self.file.write(content)?;
        self.hash.update(&content[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
