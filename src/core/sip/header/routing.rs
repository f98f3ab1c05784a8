//! The way of a message: Via, Route and Record-Route.

use rsip::Headers;

use super::untyped::push;
use super::{HeaderError, Via, remove, value, values};

/// The top Via, which every message has.
pub fn via(headers: &Headers) -> Result<Via, HeaderError> {
    Via::parse(value(headers, "Via").ok_or(HeaderError("Via"))?)
}

/// The Record-Route values as they stand, in order.
pub fn record_routes(headers: &Headers) -> impl Iterator<Item = &str> {
    values(headers, "Record-Route")
}

/// Appends a Record-Route value.
pub fn push_record_route(headers: &mut Headers, value: impl Into<String>) {
    push(headers, "Record-Route", value);
}

/// Removes every Record-Route.
pub fn remove_record_routes(headers: &mut Headers) {
    remove(headers, "Record-Route");
}

/// Appends a Route value.
pub fn push_route(headers: &mut Headers, value: impl Into<String>) {
    push(headers, "Route", value);
}
