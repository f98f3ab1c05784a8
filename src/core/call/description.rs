//! What a message offers or answers: its body read, the description in it understood.
//!
//! One rule for INVITE, re-INVITE, UPDATE, PRACK, ACK and their responses, from a handset or the SIP domain.

use rsip::Response;

use super::negotiation::NegotiationError;
use crate::sip::body::{self, BodyError};
use crate::sip::header::{self, Headers};
use crate::sip::sdp::{self, Remote, SdpError};

/// What else an offer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// RTP or SRTP, as they like.
    Any,
    /// `trunk.secure` promises that no RTP leaves the house in the clear, and `srtp = "required"` that none of that
    /// extension crosses the LAN so, whatever the other end proposes.
    Srtp,
}

/// Why an offer is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Sdp(#[from] SdpError),
}

impl OfferError {
    /// The SIP status.
    pub fn code(&self) -> u16 {
        match self {
            OfferError::Body(_) => BodyError::CODE,
            OfferError::Sdp(error) => error.code(),
        }
    }

    /// Says in a refusal what is wrong, and what would be taken.
    pub fn explain(&self, response: &mut Response) {
        match self {
            OfferError::Body(error) => error.explain(response),
            OfferError::Sdp(error) => header::push_warning(&mut response.headers, "gateway", &error.to_string()),
        }
    }
}

/// The offer in a message; `None` when it makes none.
pub fn offer(headers: &Headers, body: &[u8], demand: Demand) -> Result<Option<Remote>, OfferError> {
    let Some(text) = body::description(headers, body)? else { return Ok(None) };
    let offer = sdp::read(&text)?;
    match demand {
        Demand::Any => Ok(Some(offer)),
        Demand::Srtp => {
            let offer = offer.with_keys_beside();
            if offer.crypto.is_some() { Ok(Some(offer)) } else { Err(SdpError::NoCrypto.into()) }
        }
    }
}

/// The answer in a message.
pub fn answer(headers: &Headers, body: &[u8]) -> Result<Remote, NegotiationError> {
    let text = body::description(headers, body)?.ok_or(NegotiationError::Missing)?;
    Ok(sdp::read(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(kind: &str) -> Headers {
        vec![header::make("Content-Type", kind)].into()
    }

    fn sdp(m: &str) -> String {
        format!("v=0\r\no=- 1 1 IN IP4 10.0.0.5\r\ns=-\r\nc=IN IP4 10.0.0.5\r\nt=0 0\r\nm={m}\r\n")
    }

    #[test]
    fn an_offer_is_read_from_any_body_and_refused_with_its_own_code() {
        let plain = sdp("audio 5004 RTP/AVP 0");
        let mixed = format!("--b\r\nContent-Type: application/sdp\r\n\r\n{plain}\r\n--b--\r\n");
        let found = offer(&typed("multipart/mixed;boundary=b"), mixed.as_bytes(), Demand::Any).unwrap();
        assert_eq!(found.map(|offer| offer.codecs.len()), Some(1));
        for (kind, text, demand, code) in [
            ("text/plain", plain.as_str(), Demand::Any, 415),
            ("application/sdp", &plain, Demand::Srtp, 488),
            ("application/sdp", &sdp("audio 5004 RTP/AVP 18"), Demand::Any, 488),
            ("application/sdp", "hello", Demand::Any, 400),
        ] {
            let error = offer(&typed(kind), text.as_bytes(), demand).unwrap_err();
            assert_eq!(error.code(), code, "{error}");
        }
        assert_eq!(offer(&typed("application/sdp"), b"", Demand::Srtp), Ok(None));
        assert_eq!(answer(&typed("application/sdp"), b""), Err(NegotiationError::Missing));
    }
}
