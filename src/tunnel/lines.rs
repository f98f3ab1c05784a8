//! Lines in a stream of bytes, with a bound.

/// A line that is longer is cut into several, in bytes.
const MAX: usize = 4096;

/// Cuts at line feeds and carriage returns (progress bars).
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// The lines that end in these bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for &byte in bytes {
            if byte == b'\n' || byte == b'\r' || self.begun.len() == MAX {
                lines.extend(self.rest());
            }
            if byte != b'\n' && byte != b'\r' {
                self.begun.push(byte);
            }
        }
        lines
    }

    /// What has no end yet, when there will be none.
    pub fn rest(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.begun);
        (!line.is_empty()).then(|| String::from_utf8_lossy(&line).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_however_the_bytes_come_and_have_a_bound() {
        let text = b"one\r\ntwo\n\n\xff\rlast";
        for size in 1..text.len() {
            let mut lines = Lines::default();
            let mut found: Vec<String> = text.chunks(size).flat_map(|chunk| lines.push(chunk)).collect();
            found.extend(lines.rest());
            assert_eq!(found, ["one", "two", "\u{fffd}", "last"], "{size}");
        }
        let found = Lines::default().push(&[b'x'; 3 * MAX]);
        assert_eq!(found.iter().map(String::len).collect::<Vec<_>>(), [MAX, MAX]);
    }
}
