//! What a terminal may be given.
//!
//! The rule: text from outside reaches a terminal without characters that it obeys, or that change how the text around
//! them is read: C0, DEL, C1, ends of lines of any kind, what turns the direction of text, and what is not seen.

/// Whether a character only shows itself.
pub fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// The text without all others, in one line.
pub fn plain(text: &str) -> String {
    text.chars().filter(|c| is_plain(*c)).collect()
}

/// The same, and it keeps its ends of lines.
pub fn plain_lines(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || is_plain(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_or_hides_goes_and_all_writing_stays() {
        for gone in [
            "\x1b\x07\u{9b}\r\t\0",
            "\u{202e}\u{2066}\u{2069}",
            "\u{2028}\u{2029}\u{85}",
            "\u{200e}\u{61c}\u{feff}\u{e0041}",
        ] {
            assert_eq!(plain(&format!("a{gone}b\n")), "ab", "{gone:?}");
            assert_eq!(plain_lines(&format!("a{gone}\nb")), "a\nb", "{gone:?}");
        }
        for stays in
            ["Müller 日本 \u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{645}\u{631}\u{62d}\u{628}\u{627} 🙂", "a\u{301} b\u{a0}c"]
        {
            assert_eq!(plain(stays), stays);
        }
    }
}
