//! Every state of the tables × every limit × one fault × every kind of phone: an emergency call leaves in each of them.

use std::sync::Arc;
use std::time::Duration;

use gateway_core::config::Config;
use gateway_core::emergency::bound::MAX_STRANGERS;
use gateway_core::engine::{Input, MAX_STREAMS};
use gateway_core::media::{MediaLeg, Notice};
use gateway_core::sip::flow::Flow;
use gateway_core::sip::header;
use rsip::{Method, Request};

use crate::office::{Ask, Far, Office, codes, sdp, source, tcp, udp};

/// What was before the call.
type State = (&'static str, fn(&mut Office));
/// What the file allows.
type Limit = (&'static str, fn(&mut Config));
/// What happens while the call is set up.
type Fault = (&'static str, fn(&mut Office, &Call));

/// The emergency call that must leave.
struct Call {
    flow: Flow,
    ask: Ask,
}

/// How the phone stands to this box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phone {
    /// Registered, calls from where it registered.
    Registered,
    /// Registered over TCP.
    Connected,
    /// Never set up; answers a challenge with a name that nobody has.
    Stranger,
    /// Never set up, over TCP.
    StrangerConnected,
}

const PHONES: [Phone; 4] = [Phone::Registered, Phone::Connected, Phone::Stranger, Phone::StrangerConnected];

const STATES: [State; 9] = [
    ("nothing", |_| {}),
    ("a house full of calls", |office| {
        office.far = Far::Rings;
        for _ in 0..office.config.limits.calls + 2 {
            office.dial("102", "5035551212");
            office.pass(Duration::from_micros(10));
        }
        office.far = Far::Answers;
    }),
    ("one phone's requests without end", |office| {
        for _ in 0..250 {
            office.dial("102", "5035551212");
            office.pass(Duration::from_micros(10));
        }
    }),
    ("everybody's requests without end", |office| {
        for number in 0..300 {
            let flow = udp(&source(number).to_string());
            let ask = Ask::new("REGISTER", "sip:192.168.1.1", "x", "x", 100_000 + u64::from(number));
            office.input(Input::Received { flow, bytes: ask.text(flow).into_bytes() });
        }
    }),
    ("connections of strangers", |office| {
        for number in 0..MAX_STREAMS as u64 + 50 {
            let flow = tcp(&format!("192.168.3.{}:{}", number % 200, 1000 + number), 1000 + number);
            office.input(Input::Accepted { flow });
            office.input(Input::Received { flow, bytes: b"INVITE sip:911@192.168.1.1 SIP/2.0\r\n".to_vec() });
        }
    }),
    ("forged emergency calls from everywhere", |office| {
        for number in 0..200 {
            forge(office, &source(number).to_string());
        }
    }),
    ("forged emergency calls from that phone's address", |office| {
        for port in 0..100 {
            forge(office, &format!("192.168.1.101:{}", 7000 + port));
        }
    }),
    ("emergency calls from which nothing is heard any more", |office| {
        for number in 0..MAX_STRANGERS + 10 {
            forge(office, &source(u32::try_from(number).expect("small")).to_string());
            if number % 8 == 7 {
                let legs: Vec<MediaLeg> = office.media.keys().copied().collect();
                legs.into_iter().for_each(|leg| office.input(Input::Media(Notice::Silent { leg })));
                office.seconds(61);
            }
        }
    }),
    ("a stop that waits for another emergency call", |office| {
        forge(office, "192.168.1.77:5060");
        office.input(Input::Stop);
    }),
];

const LIMITS: [Limit; 4] = [
    ("what the file says by default", |_| {}),
    ("one call", |config| config.limits.calls = 1),
    ("the shortest calls", |config| {
        config.limits.call_duration = Duration::from_secs(60);
        config.limits.ring = Duration::from_secs(5);
    }),
    ("one phone per extension", |config| config.limits.bindings_per_extension = 1),
];

const FAULTS: [Fault; 6] = [
    ("none", |_, _| {}),
    ("the phone repeats itself", |office, call| {
        for _ in 0..3 {
            office.give(call.flow, call.ask.text(call.flow));
        }
    }),
    ("the trunk's flow ends", |office, _| {
        if let Some(flow) = office.trunk {
            office.input(Input::Disconnected { flow, reason: "reset".into() });
        }
        office.seconds(10);
    }),
    ("a reload with another trunk", |office, _| {
        let mut config = Config::clone(&office.config);
        config.trunk.domain = "other.sip.twilio.com".into();
        let secrets = Arc::clone(&office.secrets);
        office.input(Input::Reload { config: Arc::new(config), secrets });
        office.seconds(10);
    }),
    ("a stop", |office, _| {
        office.input(Input::Stop);
        office.seconds(10);
    }),
    ("an hour passes", |office, _| office.seconds(3700)),
];

fn forge(office: &mut Office, at: &str) {
    let ask = help(office, "nobody", at);
    let flow = udp(at);
    office.input(Input::Received { flow, bytes: ask.text(flow).into_bytes() });
}

fn help(office: &mut Office, from: &str, at: &str) -> Ask {
    let number = office.unique();
    let media = format!("{}:4000", at.rsplit_once(':').expect("a port").0);
    Ask::new("INVITE", "sip:911@192.168.1.1", from, "911", number)
        .header(&format!("Contact: <sip:x@{at}>"))
        .sdp(&sdp(&media))
}

/// The phone comes first, the trouble after it.
fn set_up(office: &mut Office, phone: Phone) -> Flow {
    match phone {
        Phone::Registered => {
            let flow = udp("192.168.1.101:5060");
            office.register(flow, "101");
            flow
        }
        Phone::Connected => {
            let flow = tcp("192.168.1.101:40000", 900);
            office.input(Input::Accepted { flow });
            office.register(flow, "101");
            flow
        }
        Phone::Stranger => udp("192.168.1.60:5060"),
        Phone::StrangerConnected => tcp("192.168.1.60:40000", 901),
    }
}

fn leaves(state: &State, limit: &Limit, fault: &Fault, phone: Phone) -> Result<(), String> {
    let mut office = Office::new(99);
    office.register(udp("192.168.1.102:5060"), "102");
    let flow = set_up(&mut office, phone);
    let mut config = Config::clone(&office.config);
    (limit.1)(&mut config);
    office.config = Arc::new(config);
    let (config, secrets) = (Arc::clone(&office.config), Arc::clone(&office.secrets));
    office.input(Input::Reload { config, secrets });
    office.seconds(2);
    (state.1)(&mut office);
    if phone == Phone::StrangerConnected {
        office.input(Input::Accepted { flow });
    }
    office.sent.clear();
    office.far_forgets();
    let at = flow.remote.to_string();
    let ask = help(&mut office, "101", &at);
    let (name, password) = match phone {
        Phone::Registered | Phone::Connected => ("101", "lan-secret-101"),
        Phone::Stranger | Phone::StrangerConnected => ("nobody", "none"),
    };
    let answers = office.with_password(flow, name, password, &ask);
    let call = Call { flow, ask };
    (fault.1)(&mut office, &call);
    let refused: Vec<u16> = codes(&answers).into_iter().filter(|code| *code >= 300 && *code != 401).collect();
    // Other calls may end meanwhile.
    let call_id = |request: &Request| header::value(&request.headers, "Call-ID").map(str::to_owned);
    let is_help = |invite: &&Request| invite.uri.to_string().contains("911");
    let invites = office.trunk_requests(Method::Invite);
    let own: Vec<_> = invites.iter().filter(is_help).map(call_id).collect();
    let ended = office.trunk_requests(Method::Bye).iter().any(|bye| own.contains(&call_id(bye)));
    let left = !own.is_empty();
    match (refused.is_empty(), left, ended) {
        (true, true, false) => Ok(()),
        (refused_none, ..) => {
            Err(format!("refused: {} {refused:?}, left: {left}, ended by us: {ended}", !refused_none))
        }
    }
}

/// All of it for one state: the states are tests of their own, so that they run side by side.
fn in_state(at: usize) {
    let state = &STATES[at];
    let mut faults = Vec::new();
    for limit in &LIMITS {
        for fault in &FAULTS {
            for phone in PHONES {
                if let Err(what) = leaves(state, limit, fault, phone) {
                    faults.push(format!("{} × {} × {} × {phone:?}: {what}", state.0, limit.0, fault.0));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}:\n{}", faults.len(), faults.join("\n"));
}

macro_rules! an_emergency_call_leaves {
    ($($name:ident: $at:literal,)*) => {
        $(
            #[test]
            fn $name() {
                in_state($at);
            }
        )*
        /// No state is left out.
        const _: () = assert!([$($at),*].len() == STATES.len());
    };
}

an_emergency_call_leaves! {
    an_emergency_call_leaves_when_nothing_is_wrong: 0,
    an_emergency_call_leaves_a_full_house: 1,
    an_emergency_call_leaves_beside_one_phone_s_flood: 2,
    an_emergency_call_leaves_beside_everybody_s_flood: 3,
    an_emergency_call_leaves_among_connections_of_strangers: 4,
    an_emergency_call_leaves_among_forged_ones: 5,
    an_emergency_call_leaves_among_forged_ones_of_its_own_address: 6,
    an_emergency_call_leaves_among_silent_ones: 7,
    an_emergency_call_leaves_during_a_stop: 8,
}
