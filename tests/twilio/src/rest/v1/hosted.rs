//! What is deployed, served: `https://{domain_name}/{path}` at Twilio, `/hosted/{domain_name}/{path}` here.

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;

use super::serverless::{Family, File, Serverless};
use crate::form::unescape;
use crate::rest::serve::RestRequest;
use crate::twilio::Twilio;

/// The answer when the path is one of a hosted domain; nobody logs in there.
pub fn hosted(twilio: &Twilio, request: &RestRequest) -> Option<Response<Full<Bytes>>> {
    let (domain, path) = request.path.strip_prefix("/hosted/")?.split_once('/')?;
    // A plus in a path is a plus, unlike in a form.
    let path = format!("/{}", unescape(&path.replace('+', "%2B")));
    let file = file(&twilio.store().v1.serverless, domain, &path);
    let response = match (request.method.as_str(), file) {
        ("GET" | "HEAD", Some(file)) => match file.visibility.as_str() {
            "public" => Response::builder().header("Content-Type", file.content_type).body(Full::new(file.bytes)),
            // A protected file needs a signature, which only Twilio itself can make (TWILIO.md "Assets").
            "protected" => Response::builder().status(403).body(Full::default()),
            _ => Response::builder().status(404).body(Full::default()),
        },
        ("GET" | "HEAD", None) => Response::builder().status(404).body(Full::default()),
        _ => Response::builder().status(405).body(Full::default()),
    };
    // A content type that is no header value came with the upload.
    Some(response.unwrap_or_else(|_| Response::new(Full::default())))
}

fn file(all: &Serverless, domain: &str, path: &str) -> Option<File> {
    let mut environments = all.items.iter().filter(|item| item.family == Family::Environment);
    let environment = environments.find(|item| item.text("domain_name").eq_ignore_ascii_case(domain))?;
    let build = environment.text("build_sid");
    let build = all.items.iter().find(|item| item.family == Family::Build && item.sid == build)?;
    build.files.iter().find(|file| file.path == path).cloned()
}
