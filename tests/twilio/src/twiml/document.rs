//! A TwiML document as a tree, with warnings for what Twilio does not know.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// An element with its attributes, children and text.
#[derive(Clone, Debug, Default)]
pub struct Element {
    /// Name, case-sensitive (TWILIO.md "Documents").
    pub name: String,
    /// Attributes in order.
    pub attributes: Vec<(String, String)>,
    /// Child elements in order.
    pub children: Vec<Element>,
    /// Text, trimmed.
    pub text: String,
}

impl Element {
    /// An attribute's value.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

const CALLBACKS: [&str; 5] = ["url", "method", "statusCallbackEvent", "statusCallback", "statusCallbackMethod"];
const AMD: [&str; 7] = [
    "machineDetection",
    "machineDetectionTimeout",
    "machineDetectionSpeechThreshold",
    "machineDetectionSpeechEndThreshold",
    "machineDetectionSilenceTimeout",
    "amdStatusCallback",
    "amdStatusCallbackMethod",
];

/// The attributes that Twilio knows for an element inside `parent`; `None` for an unknown element
/// (TWILIO.md "Documents").
fn known(parent: &str, name: &str) -> Option<Vec<&'static str>> {
    let with = |own: &[&'static str], more: &[&[&'static str]]| Some([&[own], more].concat().concat());
    match (parent, name) {
        ("", "Response") => Some(vec![]),
        ("Response", "Dial") => Some(vec![
            "action",
            "method",
            "answerOnBridge",
            "callerId",
            "timeout",
            "timeLimit",
            "hangupOnStar",
            "record",
            "recordingStatusCallback",
            "recordingStatusCallbackMethod",
            "recordingStatusCallbackEvent",
            "recordingTrack",
            "trim",
            "ringTone",
            "referUrl",
            "referMethod",
            "sequential",
            "callReason",
            "recordingConfigurationId",
            "events",
            "passports",
        ]),
        ("Response" | "Gather", "Say") => Some(vec!["voice", "language", "loop"]),
        ("Response" | "Gather", "Play") => Some(vec!["loop", "digits"]),
        ("Response" | "Gather", "Pause") => Some(vec!["length"]),
        ("Response", "Reject") => Some(vec!["reason"]),
        ("Response", "Hangup" | "Leave") => Some(vec![]),
        ("Response", "Redirect") => Some(vec!["method"]),
        ("Dial", "Number") => with(&["sendDigits", "byoc"], &[&CALLBACKS, &AMD]),
        ("Dial", "Sip") => with(&["username", "password"], &[&CALLBACKS, &AMD]),
        _ => None,
    }
}

/// A document's root and what Twilio would warn about (12200), or Twilio's error code and words.
pub fn parse(text: &str) -> Result<(Element, Vec<String>), (u32, String)> {
    let mut reader = Reader::from_str(text);
    let mut stack = vec![Element::default()];
    loop {
        match reader.read_event().map_err(|e| (12100, e.to_string()))? {
            Event::Start(start) => stack.push(element(&start)?),
            Event::Empty(start) => {
                let child = element(&start)?;
                top(&mut stack)?.children.push(child);
            }
            Event::End(_) => {
                let mut done = stack.pop().ok_or((12100, "an end without a start".to_owned()))?;
                done.text = done.text.trim().to_owned();
                top(&mut stack)?.children.push(done);
            }
            Event::Text(text) => top(&mut stack)?.text.push_str(&text.into_inner()),
            Event::CData(text) => top(&mut stack)?.text.push_str(&text.into_inner()),
            Event::GeneralRef(reference) => {
                let text = match reference.resolve_char_ref().map_err(|e| (12100, e.to_string()))? {
                    Some(c) => c.to_string(),
                    None => match &*reference {
                        "amp" => "&".to_owned(),
                        "lt" => "<".to_owned(),
                        "gt" => ">".to_owned(),
                        "quot" => "\"".to_owned(),
                        "apos" => "'".to_owned(),
                        other => return Err((12100, format!("unknown entity &{other};"))),
                    },
                };
                top(&mut stack)?.text.push_str(&text);
            }
            Event::Eof => break,
            _ => {}
        }
    }
    let document = stack.pop().filter(|_| stack.is_empty()).ok_or((12100, "an element is not closed".to_owned()))?;
    match document.children.as_slice() {
        [root] if root.name == "Response" => {
            let mut warnings = Vec::new();
            let root = sift(root, "", &mut warnings);
            Ok((root, warnings))
        }
        [] => Err((12100, "no element".to_owned())),
        _ => Err((12102, "the root element must be Response".to_owned())),
    }
}

fn top(stack: &mut [Element]) -> Result<&mut Element, (u32, String)> {
    stack.last_mut().ok_or((12100, "an end without a start".to_owned()))
}

fn element(start: &BytesStart<'_>) -> Result<Element, (u32, String)> {
    let mut own = Element { name: start.name().as_ref().to_owned(), ..Element::default() };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|e| (12100, e.to_string()))?;
        let value =
            attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0).map_err(|e| (12100, e.to_string()))?;
        own.attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
    }
    Ok(own)
}

/// Takes out what Twilio does not know; TWILIO.md "Webhook answers": Unknown element/attribute -> warning 12200 and it
/// is ignored.
fn sift(element: &Element, parent: &str, warnings: &mut Vec<String>) -> Element {
    let mut own = element.clone();
    let attributes = known(parent, &element.name).unwrap_or_default();
    own.attributes.retain(|(name, _)| {
        let good = attributes.contains(&name.as_str());
        if !good {
            warnings.push(format!("attribute {name} of {}", element.name));
        }
        good
    });
    own.children = Vec::new();
    for child in &element.children {
        if element.name == "Say" {
            // SSML stays as it is.
            continue;
        }
        match known(&element.name, &child.name) {
            Some(_) => own.children.push(sift(child, &element.name, warnings)),
            None => warnings.push(format!("element {} in {}", child.name, element.name)),
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_a_tree_with_entities_resolved() {
        let text =
            "<?xml version=\"1.0\"?><Response><Dial callerId='+1'><Sip>sip:a@b?x=1&amp;y=2</Sip></Dial></Response>";
        let (root, warnings) = parse(text).unwrap();
        assert!(warnings.is_empty());
        assert_eq!(root.children[0].attribute("callerId"), Some("+1"));
        assert_eq!(root.children[0].children[0].text, "sip:a@b?x=1&y=2");
    }

    #[test]
    fn what_twilio_does_not_know_is_ignored_with_a_warning() {
        let (root, warnings) = parse("<Response><dial/><Dial CallerId='1'>+1</Dial></Response>").unwrap();
        assert_eq!(root.children.len(), 1);
        assert_eq!(warnings.len(), 2);
    }

    #[test]
    fn a_broken_document_has_twilios_code() {
        assert_eq!(parse("<Response><Dial></Response>").unwrap_err().0, 12100);
        assert_eq!(parse("<Answer/>").unwrap_err().0, 12102);
        assert_eq!(parse("").unwrap_err().0, 12100);
    }
}
