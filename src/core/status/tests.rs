use super::*;
use crate::{golden, sample};

#[test]
fn golden_json_of_each_field_and_each_state_stays_as_it_is() {
    let offices: Vec<String> =
        sample::each_state().iter().map(|status| serde_json::to_string(status).unwrap()).collect();
    golden::assert_golden("status.json", &format!("[\n{}\n]\n", offices.join(",\n")));
}

/// What the service of another version says, of one office that this version knows.
fn of_another_version(status: &Status, change: impl Fn(&mut serde_json::Value)) -> Status {
    let mut said = serde_json::to_value(status).unwrap();
    change(&mut said);
    serde_json::from_value(said).unwrap()
}

#[test]
fn a_status_is_read_as_it_was_written() {
    for status in sample::each_state() {
        assert_eq!(of_another_version(&status, |_| {}), status);
    }
}

#[test]
fn a_word_of_a_newer_service_leaves_the_rest_readable() {
    let status = of_another_version(&sample::each_state()[0], |said| {
        let new = || serde_json::Value::from("levitating");
        for place in [
            "/trunk/state",
            "/trunk/standby/state",
            "/tunnel/state",
            "/extensions/0/registration/state",
            "/extensions/0/handsets/0/transport",
            "/calls/0/state",
            "/calls/0/kind",
        ] {
            *said.pointer_mut(place).unwrap() = new();
        }
    });
    assert_eq!(status.trunk.state, TrunkState::Unknown);
    assert_eq!(status.trunk.standby.unwrap().state, StandbyState::Unknown);
    assert_eq!(status.tunnel.unwrap().state, TunnelState::Unknown);
    assert_eq!(status.extensions[0].registration.state, RegistrationState::Unknown);
    assert_eq!(status.extensions[0].handsets[0].transport, HandsetTransport::Unknown);
    assert_eq!((status.calls[0].state, status.calls[0].kind), (CallState::Unknown, CallKind::Unknown));
    assert_eq!(status.calls[1].kind, CallKind::Outbound);
}

#[test]
fn a_call_of_a_service_that_tells_no_kind_is_no_emergency() {
    let status = of_another_version(&sample::status(), |said| {
        said["calls"][0].as_object_mut().unwrap().remove("kind");
    });
    assert_eq!(status.calls[0].kind, CallKind::Unknown);
    assert!(!status.calls[0].is_emergency());
}
