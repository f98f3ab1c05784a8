//! The search for a flow, its keepalives and its end.

use super::*;

#[test]
fn the_next_server_is_tried_at_once_and_then_all_again_later() {
    let mut world = World::new(&["192.0.2.101:5061", "192.0.2.102:5061"], 1, twilio);
    world.pass(0);
    assert_eq!(
        world.dialled(),
        ["192.0.2.101:5061 as office.sip.twilio.com", "192.0.2.102:5061 as office.sip.twilio.com"]
    );
    assert!(world.trunk.flow().unwrap_err().contains("192.0.2.102:5061): connection refused"));
    let status = world.trunk.status(world.now);
    assert_eq!((status.state, status.retry_in.is_some()), (TrunkState::Waiting, true));
    world.pass(3600);
    // Two servers a round, rounds between one and two minutes apart once the back-off is at its end.
    let rounds = world.dialled().len() / 2;
    assert!((30..75).contains(&rounds), "{rounds}");
}

#[test]
fn a_server_that_comes_back_is_found() {
    let mut world = World::new(&["192.0.2.101:5061", "192.0.2.2:5061"], 1, twilio);
    world.pass(1);
    assert_eq!(world.trunk.flow().map(|flow| flow.remote), Ok("192.0.2.2:5061".parse().unwrap()));
    assert_eq!(world.state("101"), RegistrationState::Registered);
}

#[test]
fn after_a_lost_connection_everybody_registers_again_and_the_dead_binding_is_removed() {
    // The domain lists every contact that was ever registered with it.
    let mut world = World::new(SERVERS, 1, |_, request| {
        let listed = if value(request, "Contact").contains(":40002") {
            format!("<sip:101@203.0.113.7:40001;transport=tls>;expires=500, {};expires=600", value(request, "Contact"))
        } else {
            format!("{};expires=600", value(request, "Contact"))
        };
        Some(twilio_with(request, "abc", &listed))
    });
    world.pass(1);
    world.codes();
    world.take_requests();
    let flow = world.trunk.flow().unwrap();
    world.with(|trunk, context| trunk.handle_disconnected(context, flow, "reset by the other end"));
    assert!(!world.trunk.is_trunk(flow));
    assert!(world.trunk.flow().unwrap_err().contains("reset by the other end"));
    assert_eq!(world.state("101"), RegistrationState::Waiting);
    world.pass(5);
    assert_eq!(world.state("101"), RegistrationState::Registered);
    let requests = world.take_requests();
    let last = requests.last().unwrap();
    assert_eq!((value(last, "Contact"), value(last, "Expires")), ("<sip:101@203.0.113.7:40001;transport=tls>", "0"));
    assert_eq!(world.codes(), ["trunk.lost", "trunk.waiting", "trunk.connected", "trunk.registered", "trunk.cleaned"]);
}

#[test]
fn a_server_that_takes_connections_but_no_registrations_is_left_for_the_next() {
    let mut world = World::new(SERVERS, 1, |world, request| {
        let first = world.trunk.flow().unwrap().remote.ip() == IpAddr::from([192, 0, 2, 1]);
        if first { None } else { twilio(world, request) }
    });
    world.pass(60);
    assert_eq!(world.trunk.flow().map(|flow| flow.remote), Ok("192.0.2.2:5061".parse().unwrap()));
    assert_eq!(world.state("101"), RegistrationState::Registered);
}

#[test]
fn silence_does_not_make_a_storm() {
    let mut world = World::new(SERVERS, 3, silent);
    world.pass(3600);
    let registers = world.take_requests().iter().filter(|request| request.method == Method::Register).count();
    assert!(registers < 3 * 3600 / 32, "{registers}");
}

#[test]
fn a_keepalive_goes_out_in_each_interval() {
    let mut world = World::new(SERVERS, 1, twilio);
    world.pass(1000);
    let pings =
        world.seen.iter().filter(|one| matches!(one, Output::Send { bytes, .. } if bytes == b"\r\n\r\n")).count();
    assert!((40..=50).contains(&pings), "{pings}");
    assert!(world.take_requests().iter().all(|request| request.method == Method::Register));
}

#[test]
fn a_pong_that_stops_coming_is_the_end_of_the_flow() {
    let mut world = World::new(SERVERS, 1, twilio);
    world.pass(30);
    world.pongs = false;
    world.codes();
    world.pass(36);
    assert!(world.codes().starts_with(&["trunk.lost", "trunk.waiting"]));
    assert_eq!(world.connections, 2);
}

#[test]
fn a_server_that_never_pongs_is_asked_with_options() {
    let mut world = World::new(SERVERS, 1, twilio);
    world.pongs = false;
    world.pass(1500);
    let requests = world.take_requests();
    let options = requests.iter().filter(|request| request.method == Method::Options).count();
    assert!((10..=25).contains(&options), "{options}");
    assert_eq!(world.connections, 1);
    world.answers_options = false;
    world.codes();
    world.pass(150);
    assert!(world.codes().contains(&"trunk.lost"));
    assert!(world.connections >= 2);
}

#[test]
fn names_are_looked_up_and_the_certificate_must_carry_the_configured_one() {
    let mut world = World::new(&["office.sip.ashburn.twilio.com"], 1, twilio);
    world.pass(0);
    let mut asked = Vec::new();
    for answer in
        [DnsAnswer::Naptr(vec![]), DnsAnswer::Srv(vec![]), DnsAnswer::Address(vec!["192.0.2.1".parse().unwrap()])]
    {
        let Some(Output::Resolve { query, question }) = world.seen.pop() else { panic!() };
        asked.push(question);
        world.with(|trunk, context| trunk.handle_resolved(context, query, answer));
        world.settle();
    }
    let name = "office.sip.ashburn.twilio.com".to_string();
    let srv = format!("_sips._tcp.{name}");
    assert_eq!(asked, [DnsQuestion::Naptr(name.clone()), DnsQuestion::Srv(srv), DnsQuestion::Address(name)]);
    assert_eq!(world.dialled(), ["192.0.2.1:5061 as office.sip.ashburn.twilio.com"]);
    assert_eq!(world.state("101"), RegistrationState::Registered);
}

#[test]
fn without_dns_the_addresses_of_before_are_tried() {
    let mut world = World::new(&["edge.example:5061"], 1, twilio);
    world.pass(0);
    let answer_dns = |world: &mut World, answer: DnsAnswer| {
        let last = world.seen.iter().rev().find_map(|output| match output {
            Output::Resolve { query, .. } => Some(*query),
            _ => None,
        });
        world.with(|trunk, context| trunk.handle_resolved(context, last.unwrap(), answer));
        world.settle();
    };
    answer_dns(&mut world, DnsAnswer::Address(vec!["192.0.2.1".parse().unwrap()]));
    let flow = world.trunk.flow().unwrap();
    world.with(|trunk, context| trunk.handle_disconnected(context, flow, "reset"));
    world.pass(3);
    answer_dns(&mut world, DnsAnswer::Failed("no DNS server answered".into()));
    assert!(world.trunk.flow().is_ok());
}

#[test]
fn a_resolver_that_never_answers_does_not_hold_up_the_next_server() {
    let mut world = World::new(&["edge.example:5061", "192.0.2.2:5061"], 1, twilio);
    world.pass(16);
    assert_eq!(world.state("101"), RegistrationState::Registered);
}

#[test]
fn a_connection_that_comes_too_late_is_closed() {
    let mut world = World::new(SERVERS, 1, twilio);
    world.pass(1);
    let late = Flow { connection: 77, ..world.trunk.flow().unwrap() };
    world.seen.clear();
    world.with(|trunk, context| trunk.handle_connected(context, 77, late, &|_| 0));
    assert!(matches!(world.outputs.pop_back(), Some(Output::Close { flow }) if flow == late));
    assert!(!world.trunk.is_trunk(late));
}

#[test]
fn a_reload_with_another_server_moves_the_flow() {
    let mut world = World::new(SERVERS, 1, twilio);
    world.pass(1);
    world.config = config(&["192.0.2.9:5061"], 1);
    world.with(|trunk, context| trunk.handle_reload(context));
    world.pass(1);
    assert_eq!(world.trunk.flow().map(|flow| flow.remote), Ok("192.0.2.9:5061".parse().unwrap()));
    assert_eq!(world.state("101"), RegistrationState::Registered);
}

#[test]
fn an_emergency_call_cuts_the_waiting_short() {
    let mut world = World::new(&["192.0.2.101:5061"], 1, twilio);
    world.pass(600);
    let before = world.dialled().len();
    for _ in 0..10 {
        world.with(|trunk, context| trunk.hurry(context));
    }
    world.pass(2);
    assert!((1..=2).contains(&(world.dialled().len() - before)));
}

#[test]
fn an_address_that_dns_gave_is_remembered_only_once_its_certificate_was_seen() {
    let mut world = World::new(&["edge.example:5061"], 1, twilio);
    let answer_dns = |world: &mut World, addresses: &[&str]| {
        let last = world.seen.iter().rev().find_map(|output| match output {
            Output::Resolve { query, .. } => Some(*query),
            _ => None,
        });
        let answer = DnsAnswer::Address(addresses.iter().map(|text| text.parse().unwrap()).collect());
        world.with(|trunk, context| trunk.handle_resolved(context, last.unwrap(), answer));
        world.settle();
    };
    world.pass(0);
    answer_dns(&mut world, &["192.0.2.166"]);
    assert!(world.trunk.remote().is_none());
    world.pass(3);
    answer_dns(&mut world, &["192.0.2.1"]);
    let flow = world.trunk.flow().unwrap();
    world.with(|trunk, context| trunk.handle_disconnected(context, flow, "reset"));
    world.pass(3);
    world.seen.retain(|output| !matches!(output, Output::Connect { .. }));
    answer_dns(&mut world, &["192.0.2.166"]);
    assert_eq!(world.dialled(), ["192.0.2.166:5061 as edge.example", "192.0.2.1:5061 as edge.example"]);
    assert!(world.trunk.flow().is_ok());
}
