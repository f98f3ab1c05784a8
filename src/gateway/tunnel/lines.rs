//! Lines in a stream of bytes, with a bound, and without what is meant for a terminal.

/// A line that is longer is cut into several, in bytes.
const MAX: usize = 4096;

/// A line of what a program prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub text: String,
    /// It began where the program began it, and ends where the program ended it. A part of a longer line, or what
    /// stands behind a carriage return, is not whole: a stranger's text may begin there.
    pub is_whole: bool,
}

/// Cuts at line feeds and carriage returns (progress bars).
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
    /// A part of the present line has been given out.
    is_torn: bool,
}

impl Lines {
    /// The lines that end in these bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        for &byte in bytes {
            match byte {
                b'\n' => {
                    lines.extend(self.rest());
                    self.is_torn = false;
                }
                // A line feed may follow it and end the line; if none does, what follows is no line of its own.
                b'\r' => {
                    let part = self.rest();
                    self.is_torn |= part.is_some();
                    lines.extend(part);
                }
                _ => {
                    if self.begun.len() == MAX {
                        self.is_torn = true;
                        lines.extend(self.rest());
                    }
                    self.begun.push(byte);
                }
            }
        }
        lines
    }

    /// What has no end yet, when there will be none.
    pub fn rest(&mut self) -> Option<Line> {
        let line = std::mem::take(&mut self.begun);
        let text = || String::from_utf8_lossy(&line).into_owned();
        (!line.is_empty()).then(|| Line { text: text(), is_whole: !self.is_torn })
    }
}

/// A line without terminal escapes (ECMA-48 sections 5.4 and 8.3.89) and control characters.
pub fn plain(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\x1b' if characters.next_if_eq(&'[').is_some() => {
                // Parameters and intermediates, then one final character.
                while characters.next_if(|c| ('\x20'..='\x3f').contains(c)).is_some() {}
                characters.next_if(|c| ('\x40'..='\x7e').contains(c));
            }
            // A command for the terminal, such as the target of a link, up to BEL or ST.
            '\x1b' if characters.next_if_eq(&']').is_some() => {
                while let Some(part) = characters.next() {
                    if part == '\x07' || (part == '\x1b' && characters.next_if_eq(&'\\').is_some()) {
                        break;
                    }
                }
            }
            '\t' => shown.push(' '),
            c if c.is_control() => {}
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: Vec<Line>) -> Vec<String> {
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_come_and_have_a_bound() {
        let text = b"one\r\ntwo\n\n\xff\rlast";
        for size in 1..text.len() {
            let mut lines = Lines::default();
            let mut found = texts(text.chunks(size).flat_map(|chunk| lines.push(chunk)).collect());
            found.extend(lines.rest().map(|line| line.text));
            assert_eq!(found, ["one", "two", "\u{fffd}", "last"], "{size}");
        }
        let found = texts(Lines::default().push(&[b'x'; 3 * MAX]));
        assert_eq!(found.iter().map(String::len).collect::<Vec<_>>(), [MAX, MAX]);
    }

    #[test]
    fn a_part_of_a_line_is_not_whole_and_the_next_line_is() {
        let mut lines = Lines::default();
        let long = [&[b'x'; MAX], b"https://a.example.com\nnext\n".as_slice()].concat();
        let whole = |lines: Vec<Line>| lines.iter().map(|line| line.is_whole).collect::<Vec<_>>();
        assert_eq!(whole(lines.push(&long)), [false, false, true]);
        // As many bytes as a line may have, and its end.
        assert_eq!(whole(lines.push(&[&[b'x'; MAX], b"\n".as_slice()].concat())), [true]);
        // A carriage return within a line, at its end, and at its beginning.
        assert_eq!(whole(lines.push(b"GET /\rhttps://a.example.com\nnext\n")), [true, false, true]);
        assert_eq!(whole(lines.push(b"one\r\ntwo\r\n\rthree\n")), [true, true, true]);
        lines.push(b"progress\rlast");
        assert!(lines.rest().is_some_and(|line| !line.is_whole));
    }

    #[test]
    fn what_is_for_the_terminal_is_not_text() {
        for (line, text) in [
            ("\x1b[32mINF\x1b[0m |\thttps://a.example.com", "INF | https://a.example.com"),
            ("\x1b]8;;https://evil.example\x1b\\here\x1b]8;;\x1b\\", "here"),
            ("\x1b]0;https://evil.example\x07title", "title"),
            ("\x1b]8;;https://evil.example", ""),
            ("a\x00b\x7f", "ab"),
        ] {
            assert_eq!(plain(line), text, "{line:?}");
        }
    }
}
