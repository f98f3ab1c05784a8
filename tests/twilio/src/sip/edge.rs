//! The TLS listener of the SIP domain, and where each message goes.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::flow::{Arrived, Flow};
use super::framing::{Frame, Framer};
use super::message::{Message, Start};
use super::{check, inbound, registrar};
use crate::journal::Event;
use crate::twilio::{ServerInvite, Twilio};

/// A handshake that takes longer is given up.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// An ACK of a refusal that takes longer counts as missing.
const ACK_OF_REFUSAL: Duration = Duration::from_secs(5);

/// Methods that Twilio allows (TWILIO.md "Call to an extension").
pub const ALLOW: &str = "INVITE,ACK,CANCEL,OPTIONS,BYE,REFER,NOTIFY";

/// Accepts connections until the task is aborted.
pub async fn listen(twilio: Arc<Twilio>, listener: TcpListener, acceptor: TlsAcceptor) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(connection(twilio.clone(), stream, acceptor.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(twilio: Arc<Twilio>, stream: TcpStream, acceptor: TlsAcceptor) {
    let _ = stream.set_nodelay(true);
    let Ok(source) = stream.peer_addr() else { return };
    let id = twilio.next_flow();
    let accepted = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await;
    let stream = match accepted {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            // Plain SIP on the TLS port ends here too: nothing of it is read (TWILIO.md "TLS").
            return twilio.journal.write(Event::FlowDown { flow: id, cause: format!("TLS: {error}") });
        }
        Err(_) => return twilio.journal.write(Event::FlowDown { flow: id, cause: "TLS: too slow".to_owned() }),
    };
    let sni = stream.get_ref().1.server_name().map(str::to_owned);
    if sni.is_none() && twilio.switches().require_sni {
        return twilio.journal.write(Event::FlowDown { flow: id, cause: "TLS: no SNI".to_owned() });
    }
    let (flow, mut queue) = Flow::new(id, source, twilio.journal.clone());
    twilio.journal.write(Event::FlowUp { flow: id, source: source.to_string(), sni });
    twilio.add_flow(flow.clone());
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut framer = Framer::default();
    let mut buffer = vec![0u8; 16 * 1024];
    let cause = loop {
        tokio::select! {
            () = flow.closed() => break "cut by the simulator".to_owned(),
            read = reader.read(&mut buffer) => match read {
                Ok(0) => break "closed by the client".to_owned(),
                Err(error) => break error.to_string(),
                Ok(length) => {
                    framer.push(&buffer[..length]);
                    if let Some(cause) = drain(&twilio, &flow, &mut framer) {
                        break cause;
                    }
                }
            },
            Some(bytes) = queue.recv() => {
                if let Err(error) = writer.write_all(&bytes).await {
                    break error.to_string();
                }
                let _ = writer.flush().await;
            }
        }
    };
    queue.close();
    flow.forget_waiting();
    twilio.remove_flow(id);
    twilio.journal.write(Event::FlowDown { flow: id, cause });
}

fn drain(twilio: &Arc<Twilio>, flow: &Flow, framer: &mut Framer) -> Option<String> {
    while let Some(frame) = framer.poll() {
        match frame {
            Frame::Message(message) => {
                flow.note("<-", &message);
                on_message(twilio, flow, message);
            }
            // Whether Twilio sends a pong is not known (TWILIO.md "Keepalive").
            Frame::Ping if twilio.switches().crlf_pong => {
                flow.send_bytes(b"\r\n".to_vec());
            }
            Frame::Ping | Frame::Pong => {}
            Frame::Broken(cause) => {
                twilio.journal.violation("RFC 3261 18.3 framing", cause.clone());
                return Some(cause);
            }
        }
    }
    None
}

fn on_message(twilio: &Arc<Twilio>, flow: &Flow, message: Message) {
    if matches!(message.start, Start::Response { .. }) {
        let what = message.summary();
        if !flow.on_response(message) {
            twilio.journal.violation("RFC 3261 17", format!("{what}: a response that nothing waits for"));
        }
        return;
    }
    if !check::request(&twilio.journal, &message) {
        return refuse(twilio, flow, &message, 400, "Bad Request");
    }
    if message.get("Max-Forwards") == Some("0") {
        // Max-Forwards 0 is 32006 (TWILIO.md "Max-Forwards").
        twilio.journal.alert(32006, "SIP: Too many hops");
        return refuse(twilio, flow, &message, 483, "Too many hops");
    }
    match message.method() {
        "ACK" => on_ack(twilio, flow, message),
        "CANCEL" => on_cancel(twilio, flow, message),
        _ if message.to_tag().is_some() => on_in_dialog(twilio, flow, message),
        "REGISTER" => {
            check::initial(&twilio.journal, &message);
            registrar::on_register(twilio, flow, &message);
        }
        "INVITE" => {
            check::initial(&twilio.journal, &message);
            inbound::on_invite(twilio, flow, message);
        }
        "OPTIONS" => {
            // TWILIO.md "Keepalive": Twilio answers OPTIONS with 200 OK, Server: Twilio Gateway, Content-Length 0.
            let reply = Message::response(&message, 200, "OK").with("Server", "Twilio Gateway");
            flow.send(&reply.with_to_tag(&crate::random::tag()));
        }
        _ => refuse(twilio, flow, &message, 405, "Method Not Allowed"),
    }
}

/// Refuses a request and, for an INVITE, expects the ACK.
pub fn refuse(twilio: &Arc<Twilio>, flow: &Flow, message: &Message, code: u16, reason: &str) {
    let mut reply = Message::response(message, code, reason).with("Server", "Twilio");
    if code == 405 {
        reply = reply.with("Allow", ALLOW);
    }
    send_final(twilio, flow, message, &reply.with_to_tag(&crate::random::tag()));
}

/// Sends a final response; that of an INVITE that is not 2xx must be acknowledged (RFC 3261 17.2.1).
pub fn send_final(twilio: &Arc<Twilio>, flow: &Flow, request: &Message, reply: &Message) {
    flow.send(reply);
    if request.method() != "INVITE" || reply.code() < 300 {
        return;
    }
    twilio.expect_ack(request.clone());
    let (twilio, branch, flow) = (twilio.clone(), request.branch().to_owned(), flow.clone());
    tokio::spawn(async move {
        tokio::time::sleep(ACK_OF_REFUSAL).await;
        if let Some(invite) = twilio.take_unacknowledged(&branch)
            && flow.is_up()
        {
            twilio.journal.violation("RFC 3261 17.1.1.3", format!("{}: the refusal got no ACK", invite.summary()));
        }
    });
}

fn on_ack(twilio: &Arc<Twilio>, flow: &Flow, message: Message) {
    if let Some(invite) = twilio.take_unacknowledged(message.branch()) {
        return check::ack_of_refusal(&twilio.journal, &invite, &message);
    }
    let (call_id, tag) = (message.call_id().to_owned(), message.to_tag().unwrap_or("").to_owned());
    if !twilio.to_dialog(&call_id, &tag, Arrived { flow: flow.clone(), message }) {
        // The dialog may be over already: a BYE of ours and this ACK can cross.
        twilio.journal.alert(0, "an ACK that fits no dialog");
    }
}

fn on_cancel(twilio: &Arc<Twilio>, flow: &Flow, message: Message) {
    match twilio.server_invite(message.branch()) {
        Some(ServerInvite { invite, queue }) => {
            // RFC 3261 9.1: Request-URI, Call-ID, To, From and the number of CSeq equal those of the INVITE.
            let same = message.uri() == invite.uri()
                && message.get("To") == invite.get("To")
                && message.get("From") == invite.get("From")
                && message.call_id() == invite.call_id()
                && message.cseq().map(|c| c.0) == invite.cseq().map(|c| c.0)
                && message.list("Via").len() == 1;
            if !same {
                twilio.journal.violation("RFC 3261 9.1", format!("{}: does not match its INVITE", message.summary()));
            }
            flow.send(&Message::response(&message, 200, "OK").with_to_tag(&crate::random::tag()));
            let _ = queue.try_send(Arrived { flow: flow.clone(), message });
        }
        None => refuse(twilio, flow, &message, 481, "Call/Transaction Does Not Exist"),
    }
}

fn on_in_dialog(twilio: &Arc<Twilio>, flow: &Flow, message: Message) {
    let (call_id, tag) = (message.call_id().to_owned(), message.to_tag().unwrap_or("").to_owned());
    let copy = message.clone();
    if !twilio.to_dialog(&call_id, &tag, Arrived { flow: flow.clone(), message }) {
        refuse(twilio, flow, &copy, 481, "Call/Transaction Does Not Exist");
    }
}
