//! DNS as SIP uses it (RFC 3263): what the core asks, and what the driver answers.

use std::net::IpAddr;

/// A DNS question (RFC 3263).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsQuestion {
    Naptr(String),
    Srv(String),
    /// A and AAAA.
    Address(String),
}

/// Its answer. An empty list means: no such records. TTL is for the asker to honour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsAnswer {
    Naptr(Vec<Naptr>),
    Srv(Vec<Srv>),
    Address(Vec<IpAddr>),
    /// No answer: timeout, SERVFAIL, no resolver.
    Failed(String),
}

impl DnsAnswer {
    /// No records, which is not the same as no answer.
    pub fn is_empty(&self) -> bool {
        match self {
            DnsAnswer::Naptr(records) => records.is_empty(),
            DnsAnswer::Srv(records) => records.is_empty(),
            DnsAnswer::Address(addresses) => addresses.is_empty(),
            DnsAnswer::Failed(_) => false,
        }
    }
}

/// NAPTR (RFC 3403) as far as SIP uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    pub order: u16,
    pub preference: u16,
    /// `SIPS+D2T` and so on.
    pub service: String,
    pub replacement: String,
}

/// SRV (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    pub priority: u16,
    pub weight: u16,
    pub port: u16,
    pub target: String,
}
