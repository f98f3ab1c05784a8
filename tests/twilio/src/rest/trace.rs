//! A recording of the REST traffic, one JSON line for a request and its answer, for validators that we did not write.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::serve::RestRequest;

/// Where the lines go; nowhere by default.
#[derive(Default)]
pub struct Trace {
    file: Option<Mutex<File>>,
}

impl Trace {
    /// Writes to a new file that only its owner reads: forms have passwords in them.
    pub fn to(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        Ok(Self { file: Some(Mutex::new(file)) })
    }

    /// Writes one line. `fault` says that the client did not get this answer, or not from the API.
    pub fn write(&self, request: &RestRequest, status: u16, answer: Option<&Value>, fault: bool) {
        let Some(file) = &self.file else { return };
        let line = line(request, status, answer, fault);
        let mut file = file.lock().expect("no holder of this lock panics");
        // A full disk shows in the test that reads the file.
        let _ = writeln!(file, "{line}");
    }
}

fn line(request: &RestRequest, status: u16, answer: Option<&Value>, fault: bool) -> Value {
    let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
    let mut line = json!({
        "method": request.method,
        "url": format!("http://{}{}{query}", request.host, request.path),
        "headers": { "content-type": request.content_type },
        "status": status,
        "answer": answer,
        "fault": fault,
    });
    match std::str::from_utf8(&request.body) {
        Ok(text) => line["body"] = json!(text),
        Err(_) => line["body_base64"] = json!(STANDARD.encode(&request.body)),
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_whole_request_and_the_answer() {
        let mut request = RestRequest {
            method: "POST".to_owned(),
            path: "/x.json".to_owned(),
            query: "a=b".to_owned(),
            host: "api".to_owned(),
            content_type: "text/plain".to_owned(),
            body: "é".into(),
            form: Vec::new(),
        };
        let written = line(&request, 201, Some(&json!({ "sid": 1 })), false);
        assert_eq!(written["url"], "http://api/x.json?a=b");
        assert_eq!((&written["body"], &written["answer"]["sid"]), (&json!("é"), &json!(1)));
        request.body = vec![0xff, 0x00].into();
        assert_eq!(line(&request, 201, None, false)["body_base64"], "/wA=");
    }
}
