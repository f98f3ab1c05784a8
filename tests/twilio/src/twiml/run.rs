//! Doing what a document says, verb by verb (TWILIO.md "Reject, Hangup and Pause", TWILIO.md "Documents").

use std::time::Duration;

use super::document::Element;
use crate::call::{Call, Gone};
use crate::leg::{Cause, Command};
use crate::media::g711::linear_to_ulaw;
use crate::media::port::{Frame, Sound};
use crate::media::tone::{FRAME, Tone};
use crate::webhook::ask::{Target, document};
use crate::webhook::url::resolve;

/// Documents that may follow each other by Redirect and action.
const MAX_DOCUMENTS: usize = 50;
/// Verbs' loops: "0 = up to 1000".
const MAX_LOOPS: u32 = 1000;

/// What comes after a verb.
pub enum Next {
    /// The next verb.
    Continue,
    /// Another document.
    Document(Element, String),
    /// Nothing.
    HangUp,
}

impl Call {
    /// Runs a document and those that follow it.
    pub async fn execute(&mut self, root: Element, url: String) -> Result<(), Gone> {
        let (mut root, mut url) = (root, url);
        for _ in 0..MAX_DOCUMENTS {
            match self.document(&root, &url).await? {
                Next::Document(next, next_url) => (root, url) = (next, next_url),
                Next::Continue | Next::HangUp => return Ok(()),
            }
        }
        self.twilio.journal.alert(11215, "too many documents in one call");
        Ok(())
    }

    async fn document(&mut self, root: &Element, url: &str) -> Result<Next, Gone> {
        for (n, verb) in root.children.iter().enumerate() {
            let next = match verb.name.as_str() {
                "Dial" => self.dial(verb, url).await?,
                "Say" => {
                    self.answer().await;
                    for _ in 0..loops(verb) {
                        self.say(&verb.text).await?;
                    }
                    Next::Continue
                }
                "Play" => {
                    self.answer().await;
                    self.play(verb, url).await?;
                    Next::Continue
                }
                "Pause" => {
                    // TWILIO.md "Reject, Hangup and Pause": <Pause> first delays the answer.
                    let seconds = verb.attribute("length").and_then(|v| v.parse().ok()).unwrap_or(1);
                    self.unless_gone(tokio::time::sleep(Duration::from_secs(seconds))).await?;
                    Next::Continue
                }
                "Reject" if n == 0 && !self.answered => {
                    self.reject(verb).await;
                    Next::HangUp
                }
                "Reject" => {
                    // TWILIO.md "Reject, Hangup and Pause": must be first.
                    self.twilio.journal.alert(12200, "Reject is not the first verb");
                    Next::Continue
                }
                "Hangup" => {
                    // TWILIO.md "Reject, Hangup and Pause": Plain <Hangup/> first: call is answered then ended.
                    if n == 0 {
                        self.answer().await;
                    }
                    Next::HangUp
                }
                "Redirect" => self.follow(&verb.text, verb.attribute("method"), url, &[]).await?,
                _ => Next::Continue,
            };
            if !matches!(next, Next::Continue) {
                return Ok(next);
            }
        }
        Ok(Next::HangUp)
    }

    /// Fetches the document of an action or a Redirect.
    pub async fn follow(
        &mut self,
        reference: &str,
        method: Option<&str>,
        base: &str,
        more: &[(String, String)],
    ) -> Result<Next, Gone> {
        let method = method.unwrap_or("POST").to_owned();
        let target = Target { url: resolve(base, reference), method };
        let (twilio, params) = (self.twilio.clone(), self.params(more));
        match self.unless_gone(document(&twilio, &target, None, &params)).await? {
            Ok((root, url)) => Ok(Next::Document(root, url)),
            Err(failure) => {
                twilio.journal.alert(failure.code, failure.text);
                Ok(Next::HangUp)
            }
        }
    }

    /// TWILIO.md "Reject, Hangup and Pause": <Reject reason=busy> -> 486; <Reject> (rejected) -> 404.
    async fn reject(&mut self, verb: &Element) {
        let command = match verb.attribute("reason") {
            Some("busy") => Command::Reject { cause: Cause::Busy, code: 486, reason: "Busy Here", error: None },
            None | Some("rejected") => {
                Command::Reject { cause: Cause::Busy, code: 404, reason: "Not Found", error: None }
            }
            Some(other) => {
                self.twilio.journal.alert(13810, format!("Reject: Invalid cause {other}"));
                Command::Reject { cause: Cause::Busy, code: 404, reason: "Not Found", error: None }
            }
        };
        self.leg.tell(command).await;
        while let Some(event) = self.leg.events.recv().await {
            if let crate::leg::LegEvent::Ended(end) = event {
                self.gone = Some(end);
                return;
            }
        }
    }

    /// Speech is a tone, as long as the words would take; nobody here understands words.
    pub async fn say(&mut self, text: &str) -> Result<(), Gone> {
        let mut tone = Tone::new(300.0, -12.0);
        let frames = (text.len() * 3).clamp(10, 500);
        let frames = (0..frames).map(|_| tone.frame()).collect();
        self.sound(frames).await
    }

    async fn play(&mut self, verb: &Element, url: &str) -> Result<(), Gone> {
        if let Some(digits) = verb.attribute("digits") {
            for sound in crate::pstn::digit_frames(digits) {
                let _ = self.leg.port.out.try_send(Frame { seq: 0, sound });
                self.unless_gone(tokio::time::sleep(Duration::from_millis(20))).await?;
            }
            return Ok(());
        }
        let target = resolve(url, &verb.text);
        let fetched = self.unless_gone(fetch(target.clone())).await?;
        match fetched {
            Ok(frames) => {
                for _ in 0..loops(verb) {
                    self.sound(frames.clone()).await?;
                }
            }
            Err(text) => self.twilio.journal.alert(13420, format!("Play: {target}: {text}")),
        }
        Ok(())
    }

    async fn sound(&mut self, frames: Vec<Vec<u8>>) -> Result<(), Gone> {
        let out = self.leg.port.out.clone();
        let work = async move {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            for (n, payload) in frames.into_iter().enumerate() {
                tick.tick().await;
                let _ = out.try_send(Frame { seq: n as u16, sound: Sound::Pcmu(payload) });
            }
        };
        self.unless_gone(work).await
    }
}

fn loops(verb: &Element) -> u32 {
    match verb.attribute("loop").and_then(|v| v.parse().ok()) {
        Some(0) => MAX_LOOPS,
        Some(n) => n.min(MAX_LOOPS),
        None => 1,
    }
}

/// Fetches a sound: `audio/ulaw` as it is, WAV with 8000 Hz PCM or mu-law; other listed types become a second of tone.
async fn fetch(url: String) -> Result<Vec<Vec<u8>>, String> {
    let fetched = tokio::task::spawn_blocking(move || {
        let config = ureq::Agent::config_builder().proxy(None).timeout_global(Some(Duration::from_secs(15))).build();
        let mut response = ureq::Agent::new_with_config(config).get(&url).call().map_err(|e| e.to_string())?;
        let header = response.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or("");
        let kind = header.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        let body = response.body_mut().read_to_vec().map_err(|e| e.to_string())?;
        Ok::<_, String>((kind, body))
    });
    let (kind, body) = fetched.await.map_err(|e| e.to_string())??;
    // The types that Play takes (TWILIO.md "Play").
    let octets = match kind.as_str() {
        "audio/ulaw" | "audio/basic" => body,
        "audio/wav" | "audio/wave" | "audio/x-wav" => wav(&body).ok_or("WAV is not 8000 Hz mono")?,
        "audio/mpeg" | "audio/aiff" | "audio/x-aifc" | "audio/x-aiff" | "audio/gsm" | "audio/x-gsm" => {
            let mut tone = Tone::new(300.0, -12.0);
            (0..50).flat_map(|_| tone.frame()).collect()
        }
        other => return Err(format!("Invalid Content-Type {other:?}")),
    };
    Ok(octets.chunks(FRAME).map(<[u8]>::to_vec).collect())
}

/// The sound of a RIFF file as mu-law.
fn wav(file: &[u8]) -> Option<Vec<u8>> {
    let short = |at: usize| Some(u16::from_le_bytes([*file.get(at)?, *file.get(at + 1)?]));
    let (mut at, mut format) = (12, 0);
    while at + 8 <= file.len() {
        let length = u32::from_le_bytes(file.get(at + 4..at + 8)?.try_into().ok()?) as usize;
        match &file[at..at + 4] {
            b"fmt " => {
                let rate = u32::from_le_bytes(file.get(at + 12..at + 16)?.try_into().ok()?);
                if short(at + 10)? != 1 || rate != 8000 {
                    return None;
                }
                format = short(at + 8)?;
            }
            b"data" => {
                let data = file.get(at + 8..(at + 8 + length).min(file.len()))?;
                return match format {
                    7 => Some(data.to_vec()),
                    1 => Some(data.chunks_exact(2).map(|p| linear_to_ulaw(i16::from_le_bytes([p[0], p[1]]))).collect()),
                    _ => None,
                };
            }
            _ => {}
        }
        at += 8 + length + length % 2;
    }
    None
}
