//! REGISTER of a handset.

use gateway_core::sip::{header, uri};
use rsip::{Headers, Method, Request, Response, Version};

use super::transaction::Purpose;
use super::{Agent, Wake, code_of, ms};

#[derive(Debug, Default)]
pub struct Registration {
    pub wanted: u32,
    /// The last final code.
    pub code: Option<u16>,
    pub registered: bool,
    pub successes: usize,
    call_id: String,
    cseq: u32,
}

impl Agent {
    /// Registers for so many seconds, and again at half of it; 0 unregisters.
    pub fn register(&mut self, seconds: u32) {
        self.registration.wanted = seconds;
        if self.registration.call_id.is_empty() {
            self.registration.call_id = self.random.hex(8);
        }
        self.registration.cseq += 1;
        let aor = format!("<sip:{}@192.168.1.1>", self.name);
        let mut headers = Headers::default();
        headers.push(header::make("Max-Forwards", "70"));
        headers.push(header::make("From", format!("{aor};tag={}", self.random.hex(4))));
        headers.push(header::make("To", aor));
        headers.push(header::make("Call-ID", self.registration.call_id.as_str()));
        headers.push(header::make("CSeq", format!("{} REGISTER", self.registration.cseq)));
        headers.push(header::make("Contact", self.contact(&self.name)));
        headers.push(header::make("Expires", seconds.to_string()));
        let target = uri::sip(None, "192.168.1.1", None);
        let request =
            Request { method: Method::Register, uri: target, version: Version::V2, headers, body: Vec::new() };
        self.send(request, Purpose::Register, 0);
    }

    pub(super) fn on_registered(&mut self, client: usize, response: &Response) {
        let code = code_of(response);
        if code < 200 || self.authorize_and_repeat(client, response) {
            return;
        }
        self.registration.code = Some(code);
        self.registration.registered = code == 200 && self.registration.wanted > 0;
        let wanted = u64::from(self.registration.wanted);
        match code {
            200 if wanted > 0 => {
                self.registration.successes += 1;
                self.wake(Wake::Register, ms(wanted * 500));
            }
            200 => {}
            _ => self.wake(Wake::Register, ms(30_000)),
        }
    }

    pub(super) fn register_again(&mut self) {
        if !self.resting && self.flow.is_some() && self.registration.wanted > 0 {
            self.register(self.registration.wanted);
        }
    }

    pub(super) fn registration_failed(&mut self) {
        self.registration.code = Some(408);
        self.registration.registered = false;
        self.wake(Wake::Register, ms(5_000));
    }

    /// Keeps CSeq in step after a repetition with credentials.
    pub(super) fn set_register_cseq(&mut self, cseq: u32) {
        self.registration.cseq = cseq;
    }
}
