//! Where calls go, what Twilio is told about them, and the endpoint that tells it.

mod dialplan;
mod office;
mod routes;
mod server;
