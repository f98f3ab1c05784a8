//! The newer APIs, each on a host of its own at Twilio and below `/v1/` here (twilio.md 1.1).

use super::RestError;
use super::serve::{Reply, RestRequest};
use crate::twilio::Twilio;

/// Answers a request below `/v1/`.
pub fn route(_twilio: &Twilio, request: &RestRequest) -> Reply {
    Err(RestError::not_found(&request.path))
}
