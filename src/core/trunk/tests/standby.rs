//! The second flow: where it leads, what keeps it, what it costs.

use super::*;

const FIRST: &str = "192.0.2.1:5061";
const SECOND: &str = "192.0.2.2:5061";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A world whose trunk has a standby, a minute after its start.
fn world(servers: &[&str]) -> World {
    let mut world = World::new(servers, 2, twilio);
    world.trunk.standby = Standby::new(world.now);
    world.pass(60);
    world
}

fn flows(world: &World) -> [Option<SocketAddr>; 2] {
    world.trunk.flows().map(|flow| flow.map(|flow| flow.remote))
}

fn standby(world: &World) -> (StandbyState, String) {
    let status = world.trunk.status(world.now).standby.unwrap();
    (status.state, status.reason.unwrap_or_default())
}

fn answer_dns(world: &mut World, addresses: &[&str]) {
    let last = world.seen.iter().rev().find_map(|output| match output {
        Output::Resolve { query, .. } => Some(*query),
        _ => None,
    });
    let answer = DnsAnswer::Address(addresses.iter().map(|text| text.parse().unwrap()).collect());
    world.with(|trunk, context| trunk.handle_resolved(context, last.unwrap(), answer));
    world.settle();
}

#[test]
fn it_leads_to_the_server_after_the_trunks_and_only_options_go_there() {
    let mut world = world(SERVERS);
    assert_eq!(flows(&world), [Some(at(FIRST)), Some(at(SECOND))]);
    world.pass(1000);
    let to = |remote: &str, method| world.heard.iter().filter(|one| **one == (at(remote), method)).count();
    assert_eq!(to(SECOND, Method::Register), 0);
    assert!((40..=55).contains(&to(SECOND, Method::Options)), "{}", to(SECOND, Method::Options));
    assert_eq!(world.connections, 2);
}

#[test]
fn a_name_with_two_addresses_has_one_for_the_standby() {
    let mut world = World::new(&["edge.example:5061"], 1, twilio);
    world.trunk.standby = Standby::new(world.now);
    world.pass(0);
    answer_dns(&mut world, &["192.0.2.1", "192.0.2.2"]);
    world.pass(1);
    assert_eq!(flows(&world), [Some(at(FIRST)), Some(at(SECOND))]);
    assert_eq!(world.dialled(), ["192.0.2.1:5061 as edge.example", "192.0.2.2:5061 as edge.example"]);
}

#[test]
fn one_server_with_one_address_has_none_and_status_says_what_to_do() {
    let mut world = world(&["192.0.2.1:5061"]);
    world.pass(3600);
    let (state, reason) = standby(&world);
    assert!(state == StandbyState::Nowhere && reason.contains("name two edges"), "{state}: {reason}");
    assert_eq!(world.dialled().len(), 1);
    assert_eq!(world.codes().iter().filter(|code| **code == "standby.down").count(), 1);
}

#[test]
fn a_second_edge_that_is_down_is_asked_ever_more_seldom_and_told_of_once() {
    let mut world = world(&["192.0.2.1:5061", "192.0.2.101:5061"]);
    world.pass(3600);
    let tries = world.dialled().len() - 1;
    assert!((30..75).contains(&tries), "{tries}");
    assert_eq!(world.codes().iter().filter(|code| code.starts_with("standby")).count(), 1);
    assert!(standby(&world).1.contains("192.0.2.101:5061): connection refused"));
    assert!(world.trunk.is_sought());
}

#[test]
fn a_second_edge_that_ends_or_is_silent_is_connected_again() {
    let mut world = world(SERVERS);
    let flow = world.trunk.flows()[1].unwrap();
    world.with(|trunk, context| trunk.handle_disconnected(context, flow, "reset"));
    assert_eq!(flows(&world), [Some(at(FIRST)), None]);
    world.pass(3);
    assert_eq!(flows(&world), [Some(at(FIRST)), Some(at(SECOND))]);
    let silent = world.trunk.flows()[1];
    world.answers_options = false;
    world.pass(40);
    assert_ne!(world.trunk.flows()[1], silent);
    assert!(world.trunk.flow().is_ok(), "the trunk's own flow is not touched");
    let before = world.connections;
    world.pass(3600);
    assert!(world.connections - before < 90, "{}", world.connections - before);
}

#[test]
fn the_trunks_search_takes_the_flow_that_stands_at_its_next_server() {
    let mut world = world(&["192.0.2.1:5061", "192.0.2.2:5061", "192.0.2.3:5061"]);
    let standby = world.trunk.flows()[1].unwrap();
    world.down = Some(at(FIRST));
    let flow = world.trunk.flow().unwrap();
    world.with(|trunk, context| trunk.handle_disconnected(context, flow, "reset"));
    world.pass(10);
    assert_eq!(world.trunk.flow(), Ok(standby));
    assert_eq!(
        [world.state("101"), world.state("102")],
        [RegistrationState::Registered, RegistrationState::Registered]
    );
    assert_eq!(flows(&world)[1], Some(at("192.0.2.3:5061")));
}

#[test]
fn both_flows_never_lead_to_one_address() {
    let mut world = World::new(&["192.0.2.101:5061", "192.0.2.2:5061"], 1, twilio);
    world.trunk.standby = Standby::new(world.now);
    for _ in 0..600 {
        world.pass(1);
        let [own, standby] = flows(&world);
        assert!(own.is_none() || own != standby);
    }
    assert_eq!(flows(&world)[0], Some(at(SECOND)));
}

#[test]
fn an_emergency_call_cuts_the_waiting_short_on_both() {
    let mut world = world(&["192.0.2.1:5061", "192.0.2.102:5061"]);
    world.pass(3600);
    world.down = Some(at("192.0.2.1:5061"));
    let flow = world.trunk.flow().unwrap();
    world.with(|trunk, context| trunk.handle_disconnected(context, flow, "reset"));
    world.pass(3600);
    world.seen.clear();
    world.with(|trunk, context| trunk.hurry(context));
    world.pass(1);
    let dialled = world.dialled();
    for server in ["192.0.2.1:", "192.0.2.102:"] {
        assert!(dialled.iter().any(|one| one.starts_with(server)), "{dialled:?}");
    }
}

#[test]
fn a_reload_with_other_servers_moves_it_and_a_stop_looks_for_nothing_more() {
    let mut world = world(SERVERS);
    world.config = config(&["192.0.2.8:5061", "192.0.2.9:5061"], 2);
    world.with(|trunk, context| trunk.handle_reload(context));
    world.pass(10);
    assert_eq!(flows(&world), [Some(at("192.0.2.8:5061")), Some(at("192.0.2.9:5061"))]);
    world.with(|trunk, context| trunk.stop(context));
    let standby = world.trunk.flows()[1].unwrap();
    world.with(|trunk, context| trunk.handle_disconnected(context, standby, "reset"));
    let before = world.connections;
    world.pass(600);
    assert_eq!(world.connections, before);
}

#[test]
fn it_leaves_an_address_that_this_box_no_longer_has() {
    let mut world = world(SERVERS);
    let link = |ip: &str| Link { addresses: vec![ip.parse().unwrap()], towards: Some(ip.parse().unwrap()) };
    world.with(|trunk, context| trunk.handle_link(context, &link("203.0.113.7")));
    let before = world.trunk.flows();
    world.with(|trunk, context| trunk.handle_link(context, &link("203.0.113.9")));
    assert_eq!(world.trunk.flows(), [None; 2]);
    world.pass(1);
    assert!(world.trunk.flows().iter().all(|flow| flow.is_some() && !before.contains(flow)));
}

#[test]
fn without_a_time_it_waits_and_with_one_it_goes_on_at_once() {
    let mut world = World::new(SERVERS, 1, twilio);
    world.trunk.standby = Standby::new(world.now);
    world.with(|trunk, context| trunk.handle_time(context, TimeState::Doubted("the clock says 1970".to_owned())));
    world.pass(3600);
    assert!(world.dialled().is_empty());
    world.with(|trunk, context| trunk.handle_time(context, TimeState::Trusted));
    world.pass(1);
    assert_eq!(flows(&world), [Some(at(FIRST)), Some(at(SECOND))]);
}

#[test]
fn it_has_nonces_of_its_own() {
    let mut world = world(SERVERS);
    let [own, standby] = world.trunk.flows().map(Option::unwrap);
    let challenge = |nonce: &str| Challenge::parse(&CHALLENGE.replace("abc", nonce)).unwrap();
    let mut answers = |flow, challenge: Option<&Challenge>| {
        let challenge = challenge.map(|challenge| (challenge, AuthHeader::ProxyAuthorization));
        let header = world.with(|trunk, context| {
            trunk.authorization(
                context,
                flow,
                "101",
                "INVITE",
                "sip:911@office.sip.twilio.com",
                challenge,
                Choice::First,
            )
        });
        header.map(|(_, text)| Credentials::parse(&text).unwrap())
    };
    assert_eq!(answers(standby, None), None, "nothing is known of that edge");
    assert_eq!(answers(standby, Some(&challenge("second"))).unwrap().nonce, "second");
    assert_eq!(answers(standby, None).unwrap().nonce, "second");
    assert_eq!(answers(own, None).unwrap().nonce, "abc");
}

#[test]
fn a_new_flow_is_as_patient_as_the_one_before_until_it_was_measured() {
    let mut world = world(SERVERS);
    let flow = world.trunk.flow().unwrap();
    let patience = world.trunk.patience(flow);
    assert!(patience < Duration::from_secs(1), "an unmeasured line has a second");
    world.with(|trunk, context| trunk.handle_disconnected(context, flow, "reset"));
    world.domain = silent;
    world.pass(3);
    let next = world.trunk.flow().unwrap();
    assert_ne!(next, flow);
    assert_eq!(world.trunk.patience(next), patience);
}

#[test]
fn check_warns_of_one_server_and_not_of_two() {
    let warning = |servers: &[&str]| second_edge_warning(&config(servers, 1).trunk);
    assert_eq!(warning(SERVERS), None);
    assert!(warning(&["192.0.2.1:5061"]).unwrap().contains("no second edge"));
    assert!(warning(&["office.sip.dublin.twilio.com"]).unwrap().contains("only where that name has two addresses"));
}
