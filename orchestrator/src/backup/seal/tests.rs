use super::*;
use proptest::prelude::*;

fn key(letter: u8) -> Key {
    Key::new(&[letter; SHORTEST]).unwrap()
}

/// A finished backup of these bytes.
fn sealed(content: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut sealer = Sealer::new(file.reopen().unwrap(), &key(b'k')).unwrap();
    sealer.write_all(content).unwrap();
    let length = sealer.finish().unwrap();
    assert_eq!(length, file.path().metadata().unwrap().len());
    file
}

fn opened(path: &Path) -> std::result::Result<Vec<u8>, Problem> {
    let mut opener = Opener::new(path, &key(b'k'))?;
    let why = Arc::clone(&opener.why);
    let mut content = Vec::new();
    match opener.read_to_end(&mut content) {
        Ok(_) => Ok(content),
        Err(_) => Err(why.get().unwrap().clone()),
    }
}

fn code(path: &Path) -> ErrorCode {
    opened(path).unwrap_err().code.known().unwrap()
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

#[test]
fn what_is_written_is_read_and_is_not_in_the_file() {
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 7] {
        let file = sealed(&content(length));
        assert!(opened(file.path()).unwrap() == content(length), "{length}");
    }
    let file = sealed(&b"a secret that nobody sees".repeat(100));
    let bytes = std::fs::read(file.path()).unwrap();
    assert!(!bytes.windows(8).any(|part| part == b"a secret"));
}

#[test]
fn two_backups_of_the_same_have_nothing_in_common() {
    let [one, other] = [(), ()].map(|()| std::fs::read(sealed(&content(1000)).path()).unwrap());
    assert_ne!(one[SALT_AT..CHECK_AT], other[SALT_AT..CHECK_AT]);
    assert_ne!(one[HEAD..], other[HEAD..]);
}

#[test]
fn another_key_is_told_from_damage() {
    let file = sealed(b"x");
    let problem = Opener::new(file.path(), &key(b'j')).err().unwrap();
    assert_eq!(problem.code, ErrorCode::BackupKeyRejected);
    assert!(problem.detail.contains("another key"), "{problem}");
}

#[test]
fn a_key_that_can_be_guessed_or_is_not_there_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hunter2\n").unwrap();
    let short = Key::read(file.path()).err().unwrap();
    assert!(short.detail.contains("fewer than 32"), "{short}");
    let missing = Key::read(Path::new("/nonexistent/key")).err().unwrap();
    assert_eq!((&short.code, &missing.code), (&ErrorCode::BackupKeyRejected.into(), &missing.code));
    std::fs::write(file.path(), "k".repeat(SHORTEST) + "\n").unwrap();
    let sealed = sealed(b"x");
    assert!(
        Opener::new(sealed.path(), &Key::read(file.path()).unwrap()).is_ok(),
        "the end of the line is no part"
    );
}

#[test]
fn a_backup_of_a_newer_format_says_so_whatever_it_holds() {
    let file = sealed(b"x");
    let mut bytes = std::fs::read(file.path()).unwrap();
    bytes[FORMAT_AT..LENGTH_AT].copy_from_slice(&(FORMAT + 1).to_be_bytes());
    let sum = digest(&SHA256, &bytes[..DIGEST_AT]);
    bytes[DIGEST_AT..HEAD].copy_from_slice(sum.as_ref());
    std::fs::write(file.path(), bytes).unwrap();
    assert_eq!(code(file.path()), ErrorCode::BackupNewer);
}

#[test]
fn a_file_that_was_never_finished_is_no_backup() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut sealer = Sealer::new(file.reopen().unwrap(), &key(b'k')).unwrap();
    sealer.write_all(&content(3 * CHUNK)).unwrap();
    drop(sealer);
    assert_eq!(code(file.path()), ErrorCode::BackupIncomplete);
}

#[test]
fn what_was_never_a_backup_is_told_as_that() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for text in ["hello".to_owned(), "x".repeat(1000)] {
        std::fs::write(file.path(), text).unwrap();
        assert_eq!(code(file.path()), ErrorCode::BackupDamaged);
    }
}

#[test]
fn chunks_that_change_their_places_are_seen() {
    let file = sealed(&content(4 * CHUNK));
    let mut bytes = std::fs::read(file.path()).unwrap();
    let chunk = CHUNK + TAG;
    let (first, second) = bytes[HEAD..HEAD + 2 * chunk].split_at_mut(chunk);
    first.swap_with_slice(second);
    std::fs::write(file.path(), bytes).unwrap();
    assert_eq!(code(file.path()), ErrorCode::BackupDamaged);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_byte_that_was_changed_anywhere_is_seen(length in 0usize..150_000, at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let file = sealed(&content(length));
        let mut bytes = std::fs::read(file.path()).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        std::fs::write(file.path(), bytes).unwrap();
        prop_assert_eq!(code(file.path()), ErrorCode::BackupDamaged, "byte {}", at);
    }

    #[test]
    fn a_file_that_was_cut_anywhere_is_seen(length in 0usize..150_000, at in any::<prop::sample::Index>()) {
        let file = sealed(&content(length));
        let whole = file.path().metadata().unwrap().len() as usize;
        file.as_file().set_len(at.index(whole) as u64).unwrap();
        prop_assert_eq!(code(file.path()), ErrorCode::BackupIncomplete);
    }
}
