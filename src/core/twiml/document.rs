//! TwiML as types, and written (TWILIO.md "Documents").

use std::time::Duration;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use crate::setting::Setting;

/// Most nouns that ring at once in one `<Dial>` (TWILIO.md "Dial").
pub const MAX_NOUNS: usize = 10;

/// `<Response>` and its verbs, which run in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    pub verbs: Vec<Verb>,
}

/// What Twilio is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    Dial(Dial),
    /// Must be the first verb; a SIP caller gets 404 or 486 (TWILIO.md "Reject, Hangup and Pause").
    Reject(Reason),
    Hangup,
    /// Read aloud in the account's voice.
    Say(String),
    /// A sound at a URL.
    Play(String),
    /// Silence, in whole seconds. As the first verb it delays the answer.
    Pause(Duration),
}

/// The reason of a `<Reject>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A SIP caller gets 404.
    Rejected,
    /// A SIP caller gets 486.
    Busy,
}

/// `<Dial>`. Attributes that are `None` are not written, and Twilio's default holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dial {
    /// Answer the caller only when the called party does, so that a call that fails costs nothing.
    pub answer_on_bridge: bool,
    pub caller_id: Option<String>,
    /// Longest ringing, 5–600 s.
    pub timeout: Option<Duration>,
    /// Longest call.
    pub time_limit: Option<Duration>,
    /// Where Twilio reports the end, and gets the next document; credentials may be in it.
    pub action: Option<Setting>,
    /// At most [`MAX_NOUNS`]; the first to answer wins, more are not written.
    pub nouns: Vec<Noun>,
}

/// Who is dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Noun {
    /// A phone number.
    Number(String),
    /// A SIP URI.
    Sip(String),
}

impl Document {
    /// A document of one verb.
    pub fn of(verb: Verb) -> Self {
        Document { verbs: vec![verb] }
    }

    /// The document as `text/xml`.
    pub fn to_xml(&self) -> String {
        let mut writer = Writer::new(Vec::with_capacity(512));
        self.write(&mut writer).expect("a Vec takes all that is written to it");
        String::from_utf8(writer.into_inner()).expect("quick-xml writes the strings that it was given")
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>) -> std::io::Result<()> {
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let response = writer.create_element("Response");
        if self.verbs.is_empty() {
            return response.write_empty().map(|_| ());
        }
        response.write_inner_content(|writer| self.verbs.iter().try_for_each(|verb| verb.write(writer)))?;
        Ok(())
    }
}

impl Verb {
    fn write(&self, writer: &mut Writer<Vec<u8>>) -> std::io::Result<()> {
        match self {
            Verb::Dial(dial) => return dial.write(writer),
            Verb::Reject(Reason::Rejected) => writer.create_element("Reject").write_empty()?,
            Verb::Reject(Reason::Busy) => {
                writer.create_element("Reject").with_attribute(("reason", "busy")).write_empty()?
            }
            Verb::Hangup => writer.create_element("Hangup").write_empty()?,
            Verb::Say(text) => writer.create_element("Say").write_text_content(BytesText::new(&legal(text)))?,
            Verb::Play(url) => writer.create_element("Play").write_text_content(BytesText::new(&legal(url)))?,
            Verb::Pause(length) => {
                let seconds = length.as_secs().to_string();
                writer.create_element("Pause").with_attribute(("length", seconds.as_str())).write_empty()?
            }
        };
        Ok(())
    }
}

impl Dial {
    fn write(&self, writer: &mut Writer<Vec<u8>>) -> std::io::Result<()> {
        let seconds = |duration: Option<Duration>| duration.map(|d| d.as_secs().to_string());
        let attributes = [
            ("answerOnBridge", self.answer_on_bridge.then(|| "true".to_owned())),
            ("callerId", self.caller_id.as_deref().map(legal)),
            ("timeout", seconds(self.timeout)),
            ("timeLimit", seconds(self.time_limit)),
            ("action", self.action.as_ref().map(|url| legal(url.expose()))),
        ];
        let mut dial = writer.create_element("Dial");
        for (name, value) in &attributes {
            if let Some(value) = value {
                dial = dial.with_attribute((*name, value.as_str()));
            }
        }
        dial.write_inner_content(|writer| {
            self.nouns.iter().take(MAX_NOUNS).try_for_each(|noun| {
                let (name, text) = match noun {
                    Noun::Number(number) => ("Number", number),
                    Noun::Sip(uri) => ("Sip", uri),
                };
                writer.create_element(name).write_text_content(BytesText::new(&legal(text))).map(|_| ())
            })
        })?;
        Ok(())
    }
}

/// Without the characters that XML 1.0 cannot hold even escaped (section 2.2); quick-xml escapes, but does not look.
fn legal(text: &str) -> String {
    text.chars()
        .filter(|c| !matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(verbs: Vec<Verb>) -> String {
        let xml = Document { verbs }.to_xml();
        let body = xml.strip_prefix(r#"<?xml version="1.0" encoding="UTF-8"?>"#).unwrap();
        body.to_owned()
    }

    #[test]
    fn each_verb_is_written_as_twilio_spells_it() {
        assert_eq!(body(vec![]), "<Response/>");
        let verbs = vec![
            Verb::Say("Hello".into()),
            Verb::Play("https://gw.example.net/a.wav".into()),
            Verb::Pause(Duration::from_secs(2)),
            Verb::Hangup,
        ];
        assert_eq!(
            body(verbs),
            "<Response><Say>Hello</Say><Play>https://gw.example.net/a.wav</Play><Pause length=\"2\"/><Hangup/></Response>"
        );
        assert_eq!(body(vec![Verb::Reject(Reason::Rejected)]), "<Response><Reject/></Response>");
        assert_eq!(body(vec![Verb::Reject(Reason::Busy)]), r#"<Response><Reject reason="busy"/></Response>"#);
    }

    #[test]
    fn text_and_attributes_are_escaped_and_illegal_characters_dropped() {
        let dial = Dial {
            caller_id: Some("a\"b<c>&'\u{1}\u{ffff}".into()),
            nouns: vec![Noun::Sip("sip:a@b?x-a=1&x-b=<2>\0".into())],
            ..Dial::default()
        };
        assert_eq!(
            body(vec![Verb::Dial(dial)]),
            "<Response><Dial callerId=\"a&quot;b&lt;c&gt;&amp;&apos;\">\
             <Sip>sip:a@b?x-a=1&amp;x-b=&lt;2&gt;</Sip></Dial></Response>"
        );
    }

    #[test]
    fn no_more_nouns_are_written_than_twilio_takes() {
        let nouns = (0..MAX_NOUNS + 5).map(|i| Noun::Number(format!("+1503555{i:04}"))).collect();
        let xml = body(vec![Verb::Dial(Dial { nouns, ..Dial::default() })]);
        assert_eq!(xml.matches("<Number>").count(), MAX_NOUNS);
    }
}
