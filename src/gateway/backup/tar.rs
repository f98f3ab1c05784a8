//! Just enough of tar (POSIX ustar) for a list of small files, read strictly: no links, no devices, no paths upwards.
//!
//! The crate `tar` would replace the places of the fields alone (26 KB): all that is refused here would stay.

use std::str;

/// Most files in one archive.
pub const MAX_ENTRIES: usize = 1200;

/// Longest name, in bytes: so much fits the two fields of a ustar header.
pub const MAX_NAME: usize = 255;

const BLOCK: usize = 512;
const NAME: usize = 100;
const PREFIX: usize = 155;

/// Where the fields of a header are, and how the two dialects that people's tar writes mark it.
const MODE_AT: usize = 100;
const SIZE_AT: usize = 124;
const TIME_AT: usize = 136;
const SUM_AT: usize = 148;
const KIND_AT: usize = 156;
const MAGIC_AT: usize = 257;
const PREFIX_AT: usize = 345;
const USTAR: &[u8; 8] = b"ustar\x0000";
const GNU: &[u8; 8] = b"ustar  \0";

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative, its parts separated by `/`, none of them empty, `.` or `..`.
    pub name: String,
    /// Permission bits.
    pub mode: u32,
    pub content: Vec<u8>,
}

/// Why an archive cannot be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TarError {
    #[error("the name {0:?} is too long, or none that can be kept; rename the file")]
    Name(String),
    #[error("there are more than {MAX_ENTRIES} files")]
    Many,
    #[error("the list of its files is broken at byte {0}")]
    Broken(usize),
    #[error("{0:?} is neither a file nor a folder")]
    Kind(String),
    #[error("{0:?} is there twice")]
    Twice(String),
}

/// An archive of these files. `time` is theirs, in seconds since 1970.
pub fn write(entries: &[Entry], time: u64) -> Result<Vec<u8>, TarError> {
    if entries.len() > MAX_ENTRIES {
        return Err(TarError::Many);
    }
    let mut archive = Vec::new();
    for entry in entries {
        let too_long = || TarError::Name(entry.name.clone());
        let (prefix, name) = split(&entry.name).filter(|_| is_name(&entry.name)).ok_or_else(too_long)?;
        let mut header = [0; BLOCK];
        let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
        put(0, name.as_bytes());
        put(MODE_AT, format!("{:07o}", entry.mode & 0o777).as_bytes());
        // Owner and group: root, as whoever unpacks it sees fit.
        put(MODE_AT + 8, b"0000000\x000000000");
        put(SIZE_AT, format!("{:011o}", entry.content.len()).as_bytes());
        put(TIME_AT, format!("{:011o}", time.min(0o77_777_777_777)).as_bytes());
        put(KIND_AT, b"0");
        put(MAGIC_AT, USTAR);
        put(PREFIX_AT, prefix.as_bytes());
        let sum = format!("{:06o}\0 ", checksum(&header));
        header[SUM_AT..SUM_AT + 8].copy_from_slice(sum.as_bytes());
        archive.extend(header);
        archive.extend(&entry.content);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    Ok(archive)
}

/// The files of an archive, ours or one that `tar` made of them; folders are left out.
pub fn read(archive: &[u8]) -> Result<Vec<Entry>, TarError> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut at = 0;
    loop {
        let broken = || TarError::Broken(at);
        let header = archive.get(at..at + BLOCK).ok_or_else(broken)?;
        if header.iter().all(|byte| *byte == 0) {
            // Behind the end there is nothing but padding.
            return match archive[at..].iter().all(|byte| *byte == 0) {
                true => Ok(entries),
                false => Err(broken()),
            };
        }
        let magic = &header[MAGIC_AT..MAGIC_AT + 8];
        let number = |at: usize, length: usize| octal(&header[at..at + length]);
        if (magic != USTAR && magic != GNU) || number(SUM_AT, 8) != Some(checksum(header)) {
            return Err(broken());
        }
        let field = |at: usize, length: usize| text(&header[at..at + length]).ok_or_else(broken);
        let (name, prefix) = (field(0, NAME)?, field(PREFIX_AT, PREFIX)?);
        let name = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        let size = number(SIZE_AT, 12).and_then(|size| usize::try_from(size).ok()).ok_or_else(broken)?;
        let mode = number(MODE_AT, 8).and_then(|mode| u32::try_from(mode).ok()).ok_or_else(broken)? & 0o777;
        let begin = at + BLOCK;
        let content = begin.checked_add(size).and_then(|end| archive.get(begin..end)).ok_or_else(broken)?;
        // Within the archive, which is in memory: no overflow.
        let next = begin + size.next_multiple_of(BLOCK);
        let name = name.strip_prefix("./").unwrap_or(&name);
        match header[KIND_AT] {
            b'0' | 0 if !is_name(name) => return Err(TarError::Name(name.to_owned())),
            b'0' | 0 => {
                if entries.iter().any(|entry| entry.name == name) {
                    return Err(TarError::Twice(name.to_owned()));
                }
                if entries.len() == MAX_ENTRIES {
                    return Err(TarError::Many);
                }
                entries.push(Entry { name: name.to_owned(), mode, content: content.to_vec() });
            }
            b'5' if size == 0 => {}
            _ => return Err(TarError::Kind(name.to_owned())),
        }
        at = next;
    }
}

/// Whether a name leads downwards and nowhere else.
fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !name.contains(|c: char| c.is_control())
}

/// The two fields of a name.
fn split(name: &str) -> Option<(&str, &str)> {
    if name.len() <= NAME {
        return Some(("", name));
    }
    let mut splits = name.match_indices('/').map(|(at, _)| (&name[..at], &name[at + 1..]));
    splits.find(|(prefix, rest)| prefix.len() <= PREFIX && rest.len() <= NAME)
}

/// All bytes of a header added up, those of the sum itself as blanks.
fn checksum(header: &[u8]) -> u64 {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    sum(&header[..SUM_AT]) + 8 * u64::from(b' ') + sum(&header[SUM_AT + 8..])
}

/// What stands before the first NUL.
fn text(field: &[u8]) -> Option<&str> {
    str::from_utf8(field.split(|byte| *byte == 0).next()?).ok()
}

fn octal(field: &[u8]) -> Option<u64> {
    u64::from_str_radix(text(field)?.trim(), 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, content: &[u8]) -> Entry {
        Entry { name: name.to_owned(), mode: 0o600, content: content.to_vec() }
    }

    fn some() -> Vec<Entry> {
        let long = format!("config/{}/{}", "a".repeat(90), "b".repeat(90));
        vec![entry("backup.json", b"{}"), entry("state/empty", b""), entry(&long, &[7; 1000])]
    }

    #[test]
    fn files_that_are_written_are_read() {
        assert_eq!(read(&write(&some(), 1_800_000_000).unwrap()).unwrap(), some());
        assert_eq!(read(&write(&[], 0).unwrap()).unwrap(), []);
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused_on_both_ways() {
        for name in ["/etc/passwd", "../up", "a/../../up", "a//b", "", ".", "a/", "a\nb"] {
            assert_eq!(write(&[entry(name, b"")], 0), Err(TarError::Name(name.to_owned())), "{name:?}");
        }
        let mut archive = write(&[entry("a/bb/c", b"")], 0).unwrap();
        archive[..6].copy_from_slice(b"a/../c");
        let sum = format!("{:06o}", checksum(&archive[..BLOCK]));
        archive[SUM_AT..SUM_AT + 6].copy_from_slice(sum.as_bytes());
        assert_eq!(read(&archive), Err(TarError::Name("a/../c".to_owned())));
    }

    #[test]
    fn links_and_devices_are_refused() {
        for kind in b"123467LKgx" {
            let mut archive = write(&[entry("state/secrets.json", b"")], 0).unwrap();
            archive[KIND_AT] = *kind;
            let sum = format!("{:06o}", checksum(&archive[..BLOCK]));
            archive[SUM_AT..SUM_AT + 6].copy_from_slice(sum.as_bytes());
            assert_eq!(read(&archive), Err(TarError::Kind("state/secrets.json".to_owned())));
        }
    }

    #[test]
    fn an_archive_cut_or_changed_at_any_byte_is_never_a_panic() {
        let archive = write(&some(), 0).unwrap();
        for at in 0..archive.len() - 2 * BLOCK {
            assert!(read(&archive[..at]).is_err(), "cut at {at}");
        }
        for at in 0..archive.len() {
            for bit in [1, 0x80] {
                let mut changed = archive.clone();
                changed[at] ^= bit;
                let _ = read(&changed);
            }
        }
        let twice = write(&[entry("a", b"1"), entry("a", b"2")], 0).unwrap();
        assert_eq!(read(&twice), Err(TarError::Twice("a".to_owned())));
    }
}
