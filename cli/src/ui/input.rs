//! Whether something waits at an input that nobody has read. It is only looked at: nothing is taken from it, and nobody waits.

use std::os::fd::AsFd;

use rustix::fs::{FileType, SeekFrom, fstat, seek};
use rustix::io::ioctl_fionread;

/// In a pipe or a socket, or in a file behind where it would be read. Of a terminal nobody knows before a line is typed.
pub fn waits(input: impl AsFd) -> bool {
    let Ok(found) = fstat(&input) else { return false };
    match FileType::from_raw_mode(found.st_mode) {
        FileType::Fifo | FileType::Socket => ioctl_fionread(&input).is_ok_and(|bytes| bytes > 0),
        FileType::RegularFile => seek(&input, SeekFrom::Current(0))
            .is_ok_and(|at| u64::try_from(found.st_size).is_ok_and(|end| at < end)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _, pipe};

    use super::*;

    #[test]
    fn what_is_in_a_pipe_or_behind_a_files_place_waits_and_nothing_else_does() {
        let (mut reader, mut writer) = pipe().unwrap();
        assert!(!waits(&reader), "nobody has written");
        writer.write_all(b"x").unwrap();
        assert!(waits(&reader) && waits(&reader), "nothing is taken");
        reader.read_exact(&mut [0]).unwrap();
        drop(writer);
        assert!(!waits(&reader), "its end is nothing");

        let mut file = tempfile::tempfile().unwrap();
        assert!(!waits(&file));
        file.write_all(b"ab").unwrap();
        assert!(!waits(&file), "it was read to its end");
        seek(&file, SeekFrom::Start(1)).unwrap();
        assert!(waits(&file));
        assert!(!waits(File::open("/dev/null").unwrap()) && !waits(File::open("/dev/zero").unwrap()));
    }
}
