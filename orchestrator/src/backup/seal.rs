//! The outside of a backup: its bytes in chunks, each encrypted and bound to its place, so that nobody reads, changes, cuts or
//! reorders them without the key. The construction is STREAM (Hoang, Reyhanitabar, Rogaway, Vizár) with AES-256-GCM; a salt gives each file
//! a key of its own, by HKDF.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result, Seek as _, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::{constant_time, hkdf};
use contracts::{ErrorCode, Problem};

/// So many bytes are one chunk, but the last.
const CHUNK: usize = 64 * 1024;
/// What the encryption adds to a chunk.
const TAG: usize = 16;
/// A key has at least as many characters: what is shorter can be guessed.
const SHORTEST: usize = 32;

/// The head of the file is the same in all formats, so that each version knows what it does not know.
const MAGIC: [u8; 16] = *b"pilot backup\0\0\0\0";
const FORMAT: u32 = 1;
const FORMAT_AT: usize = 16;
const LENGTH_AT: usize = 20;
const SALT_AT: usize = 28;
const CHECK_AT: usize = 60;
const DIGEST_AT: usize = 92;
const HEAD: usize = 124;

/// What the operator keeps.
pub struct Key(Vec<u8>);

impl Key {
    /// Reads it from a file: all its characters but the end of the line.
    pub fn read(path: &Path) -> std::result::Result<Self, Problem> {
        let rejected = |why: String| {
            Problem::new(ErrorCode::BackupKeyRejected, format!("The key file {} {why}.", path.display()))
                .with_action(MAKE)
        };
        let bytes = std::fs::read(path).map_err(|error| rejected(format!("cannot be read: {error}")))?;
        let key = Self::new(bytes.trim_ascii());
        key.ok_or_else(|| rejected(format!("has fewer than {SHORTEST} characters, which can be guessed")))
    }

    /// `None` for what is too short.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() >= SHORTEST).then(|| Self(bytes.to_vec()))
    }

    /// 32 bytes for one purpose in one file.
    fn derive(&self, salt: &[u8], purpose: &[u8]) -> Result<[u8; 32]> {
        let mut out = [0; 32];
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(&self.0);
        let purpose = [purpose];
        let expanded = secret.expand(&purpose, hkdf::HKDF_SHA256).and_then(|found| found.fill(&mut out));
        expanded.map(|()| out).map_err(|_| Error::other("no key could be derived"))
    }
}

const MAKE: &str =
    "A new key: `(umask 077; head -c 32 /dev/urandom | base64 > pilot.key)`. Keep it apart from the backups.";

struct Cipher {
    key: LessSafeKey,
    number: u64,
}

impl Cipher {
    fn new(key: &Key, salt: &[u8]) -> Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM, &key.derive(salt, b"pilot backup content")?);
        let key = key.map_err(|_| Error::other("the key cannot be used"))?;
        Ok(Self { key: LessSafeKey::new(key), number: 0 })
    }

    /// Its place, and whether it is the last: no two chunks of a file have the same.
    fn nonce(&mut self, is_last: bool) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[..8].copy_from_slice(&self.number.to_be_bytes());
        nonce[NONCE_LEN - 1] = is_last.into();
        self.number += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Writes a backup. Without [`Sealer::finish`] the file is none.
pub struct Sealer {
    file: File,
    head: [u8; HEAD],
    cipher: Cipher,
    chunk: Vec<u8>,
    length: u64,
}

impl Sealer {
    pub fn new(mut file: File, key: &Key) -> Result<Self> {
        let salt: [u8; 32] = rand::random();
        let mut head = [0; HEAD];
        head[..FORMAT_AT].copy_from_slice(&MAGIC);
        head[FORMAT_AT..LENGTH_AT].copy_from_slice(&FORMAT.to_be_bytes());
        head[SALT_AT..CHECK_AT].copy_from_slice(&salt);
        head[CHECK_AT..DIGEST_AT].copy_from_slice(&key.derive(&salt, b"pilot backup key")?);
        file.write_all(&[0; HEAD])?;
        let cipher = Cipher::new(key, &salt)?;
        Ok(Self { file, head, cipher, chunk: Vec::with_capacity(CHUNK + TAG), length: HEAD as u64 })
    }

    /// The last chunk, and then the head, which says how long the file is. Gives the length.
    pub fn finish(mut self) -> Result<u64> {
        self.seal(true)?;
        self.head[LENGTH_AT..SALT_AT].copy_from_slice(&self.length.to_be_bytes());
        let sum = digest(&SHA256, &self.head[..DIGEST_AT]);
        self.head[DIGEST_AT..].copy_from_slice(sum.as_ref());
        self.file.sync_all()?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&self.head)?;
        self.file.sync_all()?;
        Ok(self.length)
    }

    fn seal(&mut self, is_last: bool) -> Result<()> {
        let nonce = self.cipher.nonce(is_last);
        let sealed = self.cipher.key.seal_in_place_append_tag(nonce, Aad::from(MAGIC), &mut self.chunk);
        sealed.map_err(|_| Error::other("a chunk could not be encrypted"))?;
        self.file.write_all(&self.chunk)?;
        self.length += self.chunk.len() as u64;
        self.chunk.clear();
        Ok(())
    }
}

impl Write for Sealer {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        if self.chunk.len() == CHUNK {
            self.seal(false)?;
        }
        let taken = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Reads a backup.
pub struct Opener {
    file: File,
    cipher: Cipher,
    chunk: Vec<u8>,
    /// What of the chunk was read.
    at: usize,
    /// What of the file is still to come.
    left: u64,
    /// Why no more can be read, for whoever gets to see an error of the library in between.
    pub why: Arc<OnceLock<Problem>>,
}

impl Opener {
    pub fn new(path: &Path, key: &Key) -> std::result::Result<Self, Problem> {
        let shown = path.display();
        let unusable = |error: Error| {
            Problem::new(ErrorCode::BackupUnusable, format!("{shown} cannot be read: {error}."))
                .with_action("Name the file of a backup that you may read.")
        };
        let incomplete = |detail: String| {
            Problem::new(ErrorCode::BackupIncomplete, detail)
                .with_action("Copy it again from where it was made, or use another backup.")
        };
        let mut file = File::open(path).map_err(unusable)?;
        let length = file.metadata().map_err(unusable)?.len();
        let mut head = Vec::new();
        (&mut file).take(HEAD as u64).read_to_end(&mut head).map_err(unusable)?;
        let is_begun =
            |head: &[u8]| !head.is_empty() && (head.iter().all(|byte| *byte == 0) || MAGIC.starts_with(head));
        if head.len() < HEAD && is_begun(&head[..head.len().min(MAGIC.len())])
            || head.iter().all(|byte| *byte == 0)
        {
            return Err(incomplete(format!("{shown} ends in its head, or was never finished.")));
        }
        let Ok(head) = <[u8; HEAD]>::try_from(head) else {
            return Err(damaged(format!("{shown} is no backup of Pilot.")));
        };
        if head[..FORMAT_AT] != MAGIC {
            return Err(damaged(format!("{shown} is no backup of Pilot.")));
        }
        if digest(&SHA256, &head[..DIGEST_AT]).as_ref() != &head[DIGEST_AT..] {
            return Err(damaged(format!("The head of {shown} has been changed.")));
        }
        let format = u32::from_be_bytes([head[16], head[17], head[18], head[19]]);
        if format > FORMAT {
            let detail = format!("{shown} has the format {format}, and this version knows {FORMAT}.");
            return Err(newer(detail));
        }
        let mut said = [0; 8];
        said.copy_from_slice(&head[LENGTH_AT..SALT_AT]);
        let said = u64::from_be_bytes(said);
        if length < said {
            return Err(incomplete(format!("{shown} has {length} bytes of {said}.")));
        }
        if length > said {
            return Err(damaged(format!("{shown} has {} bytes more than were written.", length - said)));
        }
        let salt = &head[SALT_AT..CHECK_AT];
        let check = key.derive(salt, b"pilot backup key").map_err(unusable)?;
        constant_time::verify_slices_are_equal(&check, &head[CHECK_AT..DIGEST_AT]).map_err(|_| {
            Problem::new(ErrorCode::BackupKeyRejected, format!("{shown} was encrypted with another key."))
                .with_action("Name the key file that the backup was made with.")
        })?;
        let cipher = Cipher::new(key, salt).map_err(unusable)?;
        let left = said.saturating_sub(HEAD as u64);
        Ok(Self { file, cipher, chunk: Vec::new(), at: 0, left, why: Arc::default() })
    }

    fn open(&mut self) -> Result<()> {
        let size = self.left.min((CHUNK + TAG) as u64);
        self.left -= size;
        self.chunk.resize(size as usize, 0);
        self.at = 0;
        self.file.read_exact(&mut self.chunk)?;
        let number = self.cipher.number;
        let nonce = self.cipher.nonce(self.left == 0);
        let opened = self.cipher.key.open_in_place(nonce, Aad::from(MAGIC), &mut self.chunk);
        let Ok(length) = opened.map(|plain| plain.len()) else {
            let begin = HEAD as u64 + number * (CHUNK + TAG) as u64;
            let detail = format!("The bytes {begin} to {} have been changed.", begin + size);
            let _ = self.why.set(damaged(detail));
            return Err(changed());
        };
        self.chunk.truncate(length);
        Ok(())
    }
}

impl Read for Opener {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        // What could not be decrypted is nobody's to read.
        if self.why.get().is_some() {
            return Err(changed());
        }
        if self.at == self.chunk.len() && self.left > 0 {
            self.open()?;
        }
        let read = into.len().min(self.chunk.len() - self.at);
        into[..read].copy_from_slice(&self.chunk[self.at..self.at + read]);
        self.at += read;
        Ok(read)
    }
}

fn changed() -> Error {
    Error::new(ErrorKind::InvalidData, "the backup has been changed")
}

pub fn damaged(detail: String) -> Problem {
    Problem::new(ErrorCode::BackupDamaged, detail)
        .with_action("Use another copy of the file, or another backup.")
}

pub fn newer(detail: String) -> Problem {
    Problem::new(ErrorCode::BackupNewer, detail)
        .with_action("Use the version of Pilot that made it, or a later one.")
}

#[cfg(test)]
mod tests;
