//! A small SIP text reader and writer, tolerant in reading; `check` is where strictness lives.

/// A request or a response.
#[derive(Clone, Debug)]
pub struct Message {
    /// The first line.
    pub start: Start,
    /// Header fields in the order of arrival, names in long form, folded lines joined.
    pub headers: Vec<(String, String)>,
    /// The bytes after the blank line.
    pub body: Vec<u8>,
}

/// The first line of a message.
#[derive(Clone, Debug)]
pub enum Start {
    /// `METHOD uri SIP/2.0`
    Request { method: String, uri: String },
    /// `SIP/2.0 code reason`
    Response { code: u16, reason: String },
}

/// Why some bytes are not a SIP message.
#[derive(Debug)]
pub enum ParseError {
    /// Not `METHOD uri SIP/2.0` nor `SIP/2.0 code reason`.
    FirstLine(String),
    /// A header line without a colon.
    HeaderLine(String),
    /// Head that is not UTF-8.
    NotText,
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::FirstLine(line) => write!(f, "{line:?} is no first line of SIP"),
            Self::HeaderLine(line) => write!(f, "{line:?} is no header line"),
            Self::NotText => write!(f, "the head is not UTF-8"),
        }
    }
}

impl std::error::Error for ParseError {}

impl Message {
    /// A request without headers.
    pub fn request(method: &str, uri: &str) -> Self {
        let start = Start::Request { method: method.to_owned(), uri: uri.to_owned() };
        Self { start, headers: Vec::new(), body: Vec::new() }
    }

    /// A response to `request` with Via, From, To, Call-ID and CSeq copied (RFC 3261 8.2.6.2), and Record-Route (12.1.1).
    pub fn response(request: &Message, code: u16, reason: &str) -> Self {
        let start = Start::Response { code, reason: reason.to_owned() };
        let copied = ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"];
        let mut headers = Vec::new();
        for name in copied {
            if name == "Record-Route" && !(101..300).contains(&code) {
                continue;
            }
            let own = request.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
            headers.extend(own.map(|(_, value)| (name.to_owned(), value.clone())));
        }
        Self { start, headers, body: Vec::new() }
    }

    /// Adds a header at the end.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a body with its type.
    pub fn with_body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.headers.push(("Content-Type".to_owned(), content_type.to_owned()));
        self.body = body.into();
        self
    }

    /// Puts a tag on To unless it has one.
    pub fn with_to_tag(mut self, tag: &str) -> Self {
        if let Some((_, to)) = self.headers.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case("To"))
            && param(to, "tag").is_none()
        {
            to.push_str(";tag=");
            to.push_str(tag);
        }
        self
    }

    /// The first header of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All values of a header, comma lists taken apart.
    pub fn list(&self, name: &str) -> Vec<&str> {
        let own = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        own.flat_map(|(_, value)| split_top(value, ',')).collect()
    }

    /// Replaces (or adds) the one header of that name.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.into()));
    }

    /// The method of a request, or that of the CSeq of a response.
    pub fn method(&self) -> &str {
        match &self.start {
            Start::Request { method, .. } => method,
            Start::Response { .. } => self.cseq().map_or("", |(_, method)| method),
        }
    }

    /// The Request-URI; empty for a response.
    pub fn uri(&self) -> &str {
        match &self.start {
            Start::Request { uri, .. } => uri,
            Start::Response { .. } => "",
        }
    }

    /// The status code; 0 for a request.
    pub fn code(&self) -> u16 {
        match self.start {
            Start::Request { .. } => 0,
            Start::Response { code, .. } => code,
        }
    }

    /// CSeq as number and method.
    pub fn cseq(&self) -> Option<(u32, &str)> {
        let (number, method) = self.get("CSeq")?.split_once(char::is_whitespace)?;
        Some((number.trim().parse().ok()?, method.trim()))
    }

    /// Call-ID, or an empty text.
    pub fn call_id(&self) -> &str {
        self.get("Call-ID").unwrap_or("")
    }

    /// The branch of the topmost Via, or an empty text.
    pub fn branch(&self) -> &str {
        self.list("Via").first().and_then(|via| param(via, "branch")).unwrap_or("")
    }

    /// The tag of From.
    pub fn from_tag(&self) -> Option<&str> {
        self.get("From").and_then(|v| param(v, "tag"))
    }

    /// The tag of To.
    pub fn to_tag(&self) -> Option<&str> {
        self.get("To").and_then(|v| param(v, "tag"))
    }

    /// The message as bytes; Content-Length is always written anew.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = match &self.start {
            Start::Request { method, uri } => format!("{method} {uri} SIP/2.0\r\n"),
            Start::Response { code, reason } => format!("SIP/2.0 {code} {reason}\r\n"),
        };
        for (name, value) in self.headers.iter().filter(|(n, _)| !n.eq_ignore_ascii_case("Content-Length")) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Reads head and body; `bytes` is one whole message.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let end = find(bytes, b"\r\n\r\n").unwrap_or(bytes.len());
        let head = std::str::from_utf8(&bytes[..end]).map_err(|_| ParseError::NotText)?;
        let mut lines = head.split("\r\n");
        let start = first_line(lines.next().unwrap_or(""))?;
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = headers.last_mut() {
                    value.push(' ');
                    value.push_str(line.trim());
                }
                continue;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| ParseError::HeaderLine(line.to_owned()))?;
            headers.push((long_name(name.trim()).to_owned(), value.trim().to_owned()));
        }
        let body = bytes.get(end + 4..).unwrap_or(&[]).to_vec();
        Ok(Self { start, headers, body })
    }

    /// The first line and what matters to a reader of a journal.
    pub fn summary(&self) -> String {
        match &self.start {
            Start::Request { method, uri } => format!("{method} {uri}"),
            Start::Response { code, reason } => format!("{code} {reason} ({})", self.method()),
        }
    }
}

fn first_line(line: &str) -> Result<Start, ParseError> {
    let bad = || ParseError::FirstLine(line.to_owned());
    if let Some(rest) = line.strip_prefix("SIP/2.0 ") {
        let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let code: u16 = code.parse().map_err(|_| bad())?;
        return Ok(Start::Response { code, reason: reason.to_owned() });
    }
    let mut parts = line.split(' ');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(method), Some(uri), Some("SIP/2.0"), None) if !method.is_empty() && !uri.is_empty() => {
            Ok(Start::Request { method: method.to_owned(), uri: uri.to_owned() })
        }
        _ => Err(bad()),
    }
}

fn long_name(name: &str) -> &str {
    match name {
        "v" => "Via",
        "f" => "From",
        "t" => "To",
        "i" => "Call-ID",
        "m" => "Contact",
        "l" => "Content-Length",
        "c" => "Content-Type",
        "s" => "Subject",
        "k" => "Supported",
        "x" => "Session-Expires",
        "r" => "Refer-To",
        "b" => "Referred-By",
        other => other,
    }
}

/// The position of `needle` in `hay`.
pub fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|w| w == needle)
}

/// Splits at `separator` outside of quotes and angle brackets.
pub fn split_top(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut angle, mut escaped) = (Vec::new(), 0, false, false, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => angle = true,
            '>' if !quoted => angle = false,
            c if c == separator && !quoted && !angle => {
                parts.push(text[start..i].trim());
                start = i + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

/// A parameter after the address of a header value (`;tag=`, `;branch=`, `;expires=`); quotes are taken off.
pub fn param<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    split_top(value, ';').into_iter().skip(1).find_map(|part| {
        let (key, text) = part.split_once('=').unwrap_or((part, ""));
        key.trim().eq_ignore_ascii_case(name).then(|| text.trim().trim_matches('"'))
    })
}

/// The URI inside a `"name" <uri>;params` value, or the bare `uri` before its header parameters.
pub fn uri_of(value: &str) -> &str {
    match (value.find('<'), value.find('>')) {
        (Some(open), Some(close)) if open < close => &value[open + 1..close],
        _ => value.split(';').next().unwrap_or("").trim(),
    }
}

/// The user part of a SIP URI.
pub fn user_of(uri: &str) -> &str {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    rest.split_once('@').map_or("", |(user, _)| user.split([':', ';']).next().unwrap_or(""))
}

/// Host (and port) of a SIP URI, without parameters.
pub fn hostport_of(uri: &str) -> &str {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    let rest = rest.split_once('@').map_or(rest, |(_, host)| host);
    rest.split([';', '?']).next().unwrap_or("")
}

/// Host of a SIP URI, without port.
pub fn host_of(uri: &str) -> &str {
    let hostport = hostport_of(uri);
    if hostport.starts_with('[') {
        return hostport.split_inclusive(']').next().unwrap_or(hostport);
    }
    hostport.split(':').next().unwrap_or(hostport)
}

/// A parameter inside a URI (`;transport=tls`, `;secure=true`, `;lr`).
pub fn uri_param<'a>(uri: &'a str, name: &str) -> Option<&'a str> {
    let uri = uri.split('?').next().unwrap_or(uri);
    let rest = uri.rsplit_once('@').map_or(uri, |(_, host)| host);
    rest.split(';').skip(1).find_map(|part| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        key.eq_ignore_ascii_case(name).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_and_compact_headers_are_read() {
        let text = "INVITE sip:a@b SIP/2.0\r\nv: SIP/2.0/TLS h;branch=z9hG4bKx,\r\n SIP/2.0/UDP i\r\nf: \"A, B\" <sip:a@b>;tag=1\r\nl: 2\r\n\r\nhi";
        let message = Message::parse(text.as_bytes()).unwrap();
        assert_eq!(message.list("Via").len(), 2);
        assert_eq!(message.branch(), "z9hG4bKx");
        assert_eq!(message.from_tag(), Some("1"));
        assert_eq!(message.body, b"hi");
    }

    #[test]
    fn the_parts_of_a_uri_are_told_apart() {
        let uri = "sip:+1503@demo.sip.twilio.com:5061;transport=tls;secure=true?x-a=b";
        assert_eq!(user_of(uri), "+1503");
        assert_eq!(host_of(uri), "demo.sip.twilio.com");
        assert_eq!(uri_param(uri, "secure"), Some("true"));
        assert_eq!(host_of("sip:a@[::1]:5060"), "[::1]");
    }
}
