//! The body of an upload: multipart/form-data (RFC 7578), which Twilio wants for contents alone (TWILIO.md "Assets").
//! (ureq has one too, but outside its promise of stability, and it brings a table of all content types.)

use std::io::{Cursor, Read};

use gateway_account::api::Upload;
use gateway_core::random::Random;

/// Random bytes of a boundary: no content has it by chance.
const BOUNDARY: usize = 16;

/// A body that is read once; the content is not copied.
pub(super) struct Multipart<'a> {
    boundary: String,
    head: String,
    content: &'a [u8],
    tail: String,
}

impl<'a> Multipart<'a> {
    /// Path, visibility and content, in the order in which Twilio's own tool sends them.
    pub fn new(upload: &Upload<'a>, random: &mut Random) -> Multipart<'a> {
        let boundary = random.hex(BOUNDARY);
        let field = |name: &str, value: &str| {
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let file_name = quoted(upload.path.rsplit('/').next().unwrap_or_default());
        let head = [
            field("Path", upload.path),
            field("Visibility", "public"),
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"Content\"; filename=\"{file_name}\"\r\n"),
            format!("Content-Type: {}\r\n\r\n", upload.content_type),
        ]
        .concat();
        let tail = format!("\r\n--{boundary}--\r\n");
        Multipart { boundary, head, content: upload.content, tail }
    }

    pub fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.boundary)
    }

    /// In bytes.
    pub fn len(&self) -> usize {
        self.head.len() + self.content.len() + self.tail.len()
    }

    pub fn reader(&self) -> impl Read {
        Cursor::new(&self.head).chain(self.content).chain(Cursor::new(&self.tail))
    }
}

/// A file name between quotes, as browsers write it (WHATWG HTML, multipart/form-data encoding algorithm).
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_has_path_visibility_and_content() {
        let upload = Upload { path: "/sounds/a\"b.mp3", content_type: "audio/mpeg", content: b"\r\n--\0" };
        let body = Multipart::new(&upload, &mut Random::from_number(1));
        let mut bytes = Vec::new();
        body.reader().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), body.len());
        let boundary = body.content_type().strip_prefix("multipart/form-data; boundary=").unwrap().to_owned();
        assert_eq!(boundary.len(), 2 * BOUNDARY);
        assert_eq!(
            String::from_utf8(bytes).unwrap().replace(&boundary, "B"),
            "--B\r\nContent-Disposition: form-data; name=\"Path\"\r\n\r\n/sounds/a\"b.mp3\r\n\
             --B\r\nContent-Disposition: form-data; name=\"Visibility\"\r\n\r\npublic\r\n\
             --B\r\nContent-Disposition: form-data; name=\"Content\"; filename=\"a%22b.mp3\"\r\n\
             Content-Type: audio/mpeg\r\n\r\n\r\n--\0\r\n--B--\r\n"
        );
    }
}
