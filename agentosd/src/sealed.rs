//! Files in memory that nobody can change any more (memfd_create(2), F_ADD_SEALS of fcntl(2)).

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;

const SEALS: SealFlags = SealFlags::WRITE.union(SealFlags::GROW).union(SealFlags::SHRINK).union(SealFlags::SEAL);

/// Makes one that holds these bytes.
pub(crate) fn write(name: &str, contents: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.write_all(contents)?;
    file.rewind()?;
    fcntl_add_seals(&file, SEALS)?;
    Ok(file.into())
}

/// Reads one, of at most `most` bytes.
///
/// # Errors
/// Also when it can still be changed, or is longer.
pub(crate) fn read(file: OwnedFd, most: u64) -> io::Result<Vec<u8>> {
    if !fcntl_get_seals(&file)?.contains(SEALS) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is not sealed"));
    }
    let (mut file, mut bytes) = (File::from(file), Vec::new());
    file.rewind()?;
    if (&mut file).take(most).read_to_end(&mut bytes)? as u64 == most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("the file has {most} bytes or more")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_read_back_and_nothing_else_is() {
        let sealed = write("test", b"abc").unwrap();
        assert!(rustix::io::write(&sealed, b"x").is_err());
        let again = sealed.try_clone().unwrap();
        assert_eq!(read(sealed, 100).unwrap(), b"abc");
        assert!(read(again, 3).is_err());
        let open = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        assert!(read(open, 100).is_err());
    }
}
