//! One office at work, for the tests of those who show it.

use gateway_core::status::*;

/// Two extensions, a handset too many, a refused registration, a call, and a tunnel that is not proved.
pub fn status() -> Status {
    Status {
        version: "0.1.0".to_owned(),
        uptime: 11_100,
        environment: "prod".to_owned(),
        domain: "office.sip.twilio.com".to_owned(),
        public_url: "https://gateway.example.com".to_owned(),
        trunk: TrunkStatus {
            state: TrunkState::Up,
            flow: Some("office.sip.ashburn.twilio.com 192.0.2.9:5061".to_owned()),
            reason: None,
            retry_in: None,
            standby: None,
        },
        own: Some(OwnStatus {
            name: "box-office".to_owned(),
            registration: registration(RegistrationState::Registered, None),
        }),
        extensions: vec![
            ExtensionStatus {
                name: "101".to_owned(),
                handsets: vec![
                    handset("192.168.1.20:5060", Some("Grandstream\x1b[2J")),
                    handset("192.168.1.21:5060", None),
                ],
                registration: registration(RegistrationState::Registered, None),
            },
            ExtensionStatus {
                name: "102".to_owned(),
                handsets: vec![],
                registration: registration(RegistrationState::Refused, Some("403 (32202): wrong password")),
            },
        ],
        calls: vec![CallStatus {
            id: 7,
            from: "101".to_owned(),
            to: "+15035551212".to_owned(),
            state: CallState::Answered,
            kind: CallKind::Outbound,
            since: 61,
        }],
        troubles: vec![],
        drift: DriftStatus { checked_ago: Some(90), changes: Some(0), ..DriftStatus::default() },
        lan: LanStatus { listening: vec!["192.168.1.1:5060".to_owned()], ..LanStatus::default() },
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
        state: TunnelState::Waiting,
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
        answers_at: None,
        transport: HandsetTransport::Udp,
        expires_in: 240,
        user_agent: user_agent.map(str::to_owned),
        not_responding_for: None,
    }
}

fn registration(state: RegistrationState, reason: Option<&str>) -> RegistrationStatus {
    RegistrationStatus { state, next_in: Some(290), expires_in: Some(590), reason: reason.map(str::to_owned) }
}

/// Offices that show each field and each state at least once; the first has every field.
pub fn each_state() -> Vec<Status> {
    let trunks =
        [TrunkState::Up, TrunkState::Connecting, TrunkState::Resolving, TrunkState::Waiting, TrunkState::Stopped];
    let standbys = [
        StandbyState::Up,
        StandbyState::Connecting,
        StandbyState::Resolving,
        StandbyState::Waiting,
        StandbyState::Stopped,
        StandbyState::Nowhere,
    ];
    let tunnels = [
        TunnelState::Off,
        TunnelState::Connecting,
        TunnelState::Connected,
        TunnelState::Proved,
        TunnelState::Doubtful,
        TunnelState::Waiting,
    ];
    let mut offices: Vec<Status> = (0..tunnels.len())
        .map(|i| {
            let trunk = TrunkStatus {
                state: trunks[i % trunks.len()],
                flow: Some("office.sip.ashburn.twilio.com 192.0.2.9:5061".to_owned()),
                reason: Some("connection refused".to_owned()),
                retry_in: Some(7),
                standby: Some(StandbyStatus {
                    state: standbys[i],
                    flow: Some("office.sip.umatilla.twilio.com 192.0.2.8:5061".to_owned()),
                    reason: Some("no answer within 5 s".to_owned()),
                    retry_in: Some(8),
                }),
            };
            Status { trunk, tunnel: Some(TunnelStatus { state: tunnels[i], ..tunnel() }), ..status() }
        })
        .collect();
    full(&mut offices[0]);
    offices
}

/// Every field that may be absent or empty, each state of a registration and of a call, and each kind of call.
fn full(status: &mut Status) {
    let reason = Some("503 Service Unavailable");
    let registrations = [
        RegistrationState::Registered,
        RegistrationState::Registering,
        RegistrationState::Waiting,
        RegistrationState::Refused,
    ];
    status.extensions = (101..)
        .zip(registrations)
        .map(|(name, state)| ExtensionStatus {
            name: name.to_string(),
            handsets: [HandsetTransport::Udp, HandsetTransport::Tcp, HandsetTransport::Tls]
                .map(|transport| HandsetStatus { transport, ..handset("192.168.1.20:5060", Some("Yealink")) })
                .into_iter()
                .chain([HandsetStatus {
                    answers_at: Some("192.168.1.20:5060".to_owned()),
                    not_responding_for: Some(240),
                    ..handset("192.168.1.20:50933", Some("Cisco-CP7970G/9.4.2"))
                }])
                .collect(),
            registration: registration(state, reason),
        })
        .collect();
    let states =
        [CallState::Ringing, CallState::Answered, CallState::Held, CallState::WaitingForTrunk, CallState::Announcing];
    let kinds = [
        CallKind::Local,
        CallKind::Outbound,
        CallKind::Inbound,
        CallKind::Emergency,
        CallKind::CallBack,
        CallKind::Notice,
    ];
    status.calls = (1..)
        .zip(kinds)
        .map(|(id, kind)| CallStatus {
            id,
            from: "101".to_owned(),
            to: "+15035551212".to_owned(),
            state: states[id as usize % states.len()],
            kind,
            since: 61,
        })
        .collect();
    status.troubles = vec!["port 9 is in use".to_owned()];
    status.drift = DriftStatus {
        checked_at: Some(1_793_491_200),
        checked_ago: Some(90),
        changes: Some(2),
        sentences: vec!["create 101".to_owned()],
        failed: Some("no answer".to_owned()),
        next_in: Some(300),
    };
    status.lan.waiting = vec!["192.168.2.1:5060: no interface has this address yet".to_owned()];
    status.store = StoreStatus { writes: 3, trouble: Some("No space left on device".to_owned()) };
    status.clock = ClockStatus {
        system: 7,
        trusted: Some(1_793_491_200),
        server: Some("0.pool.ntp.org".to_owned()),
        doubt: Some("1970-01-01, before 2026".to_owned()),
    };
    status.upgrade = Some("0.2.0 is on trial".to_owned());
    status.stopping = Some("1 call".to_owned());
}
