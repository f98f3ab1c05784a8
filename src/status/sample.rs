//! One office at work, for the tests of those who show it.

use super::{
    CallStatus, ClockStatus, DriftStatus, ExtensionStatus, HandsetStatus, LanStatus, RegistrationStatus, Status,
    StoreStatus, TrunkStatus,
};
use crate::tunnel::watch::{State, TunnelStatus};

/// Two extensions, a handset too many, a refused registration, a call, and a tunnel that is not proved.
pub fn status() -> Status {
    Status {
        version: "0.1.0".to_owned(),
        uptime: 11_100,
        environment: "prod".to_owned(),
        domain: "office.sip.twilio.com".to_owned(),
        public_url: "https://gateway.example.com".to_owned(),
        trunk: TrunkStatus {
            state: "up".to_owned(),
            flow: Some("office.sip.ashburn.twilio.com 192.0.2.9:5061".to_owned()),
            reason: None,
            retry_in: None,
            standby: None,
        },
        extensions: vec![
            ExtensionStatus {
                name: "101".to_owned(),
                handsets: vec![
                    handset("192.168.1.20:5060", Some("Grandstream\x1b[2J")),
                    handset("192.168.1.21:5060", None),
                ],
                registration: registration("registered", None),
            },
            ExtensionStatus {
                name: "102".to_owned(),
                handsets: vec![],
                registration: registration("refused", Some("403 (32202): wrong password")),
            },
        ],
        calls: vec![CallStatus {
            id: 7,
            from: "101".to_owned(),
            to: "+15035551212".to_owned(),
            state: "answered".to_owned(),
            kind: "outbound".to_owned(),
            since: 61,
        }],
        troubles: vec![],
        drift: DriftStatus { checked_ago: Some(90), changes: Some(0), ..DriftStatus::default() },
        lan: LanStatus { listening: vec!["192.168.1.1:5060".to_owned()], waiting: vec![] },
        tunnel: Some(tunnel()),
        store: StoreStatus::default(),
        clock: ClockStatus::default(),
        upgrade: None,
        stopping: None,
    }
}

/// It was proved half a minute ago, and is down.
pub fn tunnel() -> TunnelStatus {
    TunnelStatus {
        state: State::Waiting,
        driver: "ssh".to_owned(),
        public_url: "https://gateway.example.com".to_owned(),
        written: true,
        since: 12,
        last_proof: Some(30),
        latency: Some(80),
        failures: 2,
        slow: 1,
        restarts: 3,
        proofs: 9,
        reason: Some("the server refuses the key of this box; add this line".to_owned()),
        retry_in: Some(60),
    }
}

fn handset(address: &str, user_agent: Option<&str>) -> HandsetStatus {
    HandsetStatus {
        contact: format!("sip:101@{address}"),
        address: address.to_owned(),
        transport: "udp".to_owned(),
        expires_in: 240,
        user_agent: user_agent.map(str::to_owned),
    }
}

fn registration(state: &str, reason: Option<&str>) -> RegistrationStatus {
    RegistrationStatus {
        state: state.to_owned(),
        next_in: Some(290),
        expires_in: Some(590),
        reason: reason.map(str::to_owned),
    }
}
