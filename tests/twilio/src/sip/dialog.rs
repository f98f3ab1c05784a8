//! A dialog as RFC 3261 12 has it, for both sides; used by the simulator's legs and by the scripted handsets.

use super::message::{Message, uri_of};

/// What in-dialog requests are made of.
#[derive(Clone, Debug)]
pub struct Dialog {
    /// Call-ID.
    pub call_id: String,
    /// Our address with our tag, as it goes into From.
    pub local: String,
    /// The far end's address with its tag, as it goes into To.
    pub remote: String,
    /// The far end's Contact.
    pub target: String,
    /// Route headers in order.
    pub routes: Vec<String>,
    /// Our last CSeq.
    pub local_cseq: u32,
    /// The far end's last CSeq, once it sent one.
    pub remote_cseq: Option<u32>,
}

impl Dialog {
    /// The caller's side, from the INVITE sent and a response with a To tag (RFC 3261 12.1.2).
    pub fn caller(invite: &Message, response: &Message) -> Self {
        let mut routes: Vec<String> = response.list("Record-Route").into_iter().map(str::to_owned).collect();
        routes.reverse();
        Self {
            call_id: invite.call_id().to_owned(),
            local: invite.get("From").unwrap_or("").to_owned(),
            remote: response.get("To").unwrap_or("").to_owned(),
            target: response.list("Contact").first().map_or("", |c| uri_of(c)).to_owned(),
            routes,
            local_cseq: invite.cseq().map_or(1, |(n, _)| n),
            remote_cseq: None,
        }
    }

    /// The callee's side, from the INVITE received and our response (RFC 3261 12.1.1).
    pub fn callee(invite: &Message, response: &Message, first_cseq: u32) -> Self {
        Self {
            call_id: invite.call_id().to_owned(),
            local: response.get("To").unwrap_or("").to_owned(),
            remote: invite.get("From").unwrap_or("").to_owned(),
            target: invite.list("Contact").first().map_or("", |c| uri_of(c)).to_owned(),
            routes: response.list("Record-Route").into_iter().map(str::to_owned).collect(),
            local_cseq: first_cseq,
            remote_cseq: invite.cseq().map(|(n, _)| n),
        }
    }

    /// A new request in the dialog, with the next CSeq and without Via and Contact. All routes here are loose.
    pub fn request(&mut self, method: &str) -> Message {
        self.local_cseq += 1;
        self.with_cseq(method, self.local_cseq)
    }

    /// The ACK of the 2xx to the INVITE with that CSeq (RFC 3261 13.2.2.4).
    pub fn ack(&self, cseq: u32) -> Message {
        self.with_cseq("ACK", cseq)
    }

    fn with_cseq(&self, method: &str, cseq: u32) -> Message {
        let mut message = Message::request(method, &self.target);
        for route in &self.routes {
            message = message.with("Route", route.clone());
        }
        message
            .with("From", self.local.clone())
            .with("To", self.remote.clone())
            .with("Call-ID", self.call_id.clone())
            .with("CSeq", format!("{cseq} {method}"))
            .with("Max-Forwards", "70")
    }

    /// Takes a new Contact from a re-INVITE or its answer (target refresh, RFC 3261 12.2).
    pub fn refresh_target(&mut self, message: &Message) {
        if let Some(contact) = message.list("Contact").first() {
            self.target = uri_of(contact).to_owned();
        }
    }

    /// Is this request newer than all before? A higher CSeq is (RFC 3261 12.2.2).
    pub fn is_newer(&mut self, message: &Message) -> bool {
        let Some((number, _)) = message.cseq() else { return false };
        let newer = self.remote_cseq.is_none_or(|last| number > last);
        if newer {
            self.remote_cseq = Some(number);
        }
        newer
    }
}
