//! Where a handset's call goes.

use gateway_core::config::Config;
use gateway_core::route::{Caller, Route, route};

use super::office;

fn from_101(dialled: &str) -> Route {
    route(&office::config(), Caller::Extension("101"), dialled)
}

fn emergency(number: &str, caller_id: &str) -> Route {
    Route::Emergency { number: number.into(), caller_id: Some(caller_id.into()) }
}

fn local(extensions: &[&str]) -> Route {
    Route::Local { extensions: extensions.iter().map(|e| (*e).to_owned()).collect() }
}

fn code(route: Route) -> u16 {
    match route {
        Route::Refuse { code, .. } => code,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn an_emergency_call_carries_the_number_of_the_extension_or_of_the_site() {
    let config = office::config();
    assert_eq!(from_101("911"), emergency("911", "+15035550101"));
    assert_eq!(from_101("933"), emergency("933", "+15035550101"));
    assert_eq!(route(&config, Caller::Extension("102"), "911"), emergency("911", "+15035550100"));
}

#[test]
fn a_handset_that_nobody_knows_can_make_an_emergency_call_and_no_other() {
    let config = office::config();
    for caller in [Caller::Unknown, Caller::Extension("nobody")] {
        assert_eq!(route(&config, caller, "911"), emergency("911", "+15035550100"));
        for other in ["5035551212", "101", "411", "+15035550100"] {
            assert_eq!(code(route(&config, caller, other)), 403);
        }
    }
}

#[test]
fn an_emergency_number_is_known_in_every_way_that_people_dial_it() {
    for dialled in [
        "+911",
        "9911",
        "1911",
        "+1911",
        "9-1-1",
        "9%311",
        "911;phone-context=+1",
        "sip:911@gw:5060;user=phone",
        "tel:911",
    ] {
        assert_eq!(from_101(dialled), emergency("911", "+15035550101"), "{dialled}");
    }
    let long = format!("sip:911@gw;x={}", "a".repeat(10_000));
    assert_eq!(from_101(&long), emergency("911", "+15035550101"));
    for dialled in ["9110", "91", "11", "99911", "911911"] {
        assert!(!matches!(from_101(dialled), Route::Emergency { .. }), "{dialled}");
    }
}

#[test]
fn an_extension_named_like_a_prefixed_emergency_number_is_meant_itself() {
    let mut config = office::config();
    config.extensions[3].name = "9911".into();
    assert_eq!(route(&config, Caller::Extension("101"), "9911"), local(&["9911"]));
    assert_eq!(route(&config, Caller::Extension("101"), "911"), emergency("911", "+15035550101"));
}

#[test]
fn an_extension_without_the_emergency_right_is_refused() {
    assert_eq!(code(route(&office::config(), Caller::Extension("103"), "911")), 403);
}

#[test]
fn an_emergency_call_leaves_even_when_no_caller_id_was_configured() {
    let mut config = office::config();
    config.emergency.caller_id = None;
    // 102's number, that rings it.
    assert_eq!(route(&config, Caller::Extension("102"), "911"), emergency("911", "+15035550100"));
    config.numbers.clear();
    assert_eq!(route(&config, Caller::Unknown, "911"), Route::Emergency { number: "911".into(), caller_id: None });
}

#[test]
fn an_extension_is_dialled_by_its_name() {
    assert_eq!(from_101("102"), local(&["102"]));
    assert_eq!(from_101("sip:desk-one@192.0.2.1"), local(&["desk-one"]));
    assert_eq!(from_101("desk%2Done"), local(&["desk-one"]));
}

#[test]
fn a_number_of_ours_rings_its_extensions_here() {
    for dialled in ["5035550100", "15035550100", "+15035550100", "(503) 555-0100"] {
        assert_eq!(from_101(dialled), local(&["101", "102"]), "{dialled}");
    }
    // Ours, though its country may not be called.
    assert_eq!(from_101("+442071838750"), local(&["desk-one"]));
    // It serves as caller ID only.
    assert_eq!(code(from_101("+15035550199")), 486);
}

#[test]
fn another_number_goes_outside_with_the_right_caller_id() {
    let config = office::config();
    let outside = |number: &str, caller_id: &str| Route::Outside { number: number.into(), caller_id: caller_id.into() };
    assert_eq!(from_101("5035551212"), outside("+15035551212", "+15035550101"));
    assert_eq!(from_101("411"), outside("+1411", "+15035550101"));
    // A number that rings it, then one that rings nobody.
    assert_eq!(route(&config, Caller::Extension("102"), "5035551212"), outside("+15035551212", "+15035550100"));
    assert_eq!(route(&config, Caller::Extension("103"), "5035551212"), outside("+15035551212", "+15035550199"));
    let none = Config { numbers: Vec::new(), ..config };
    assert_eq!(code(route(&none, Caller::Extension("102"), "5035551212")), 403);
}

#[test]
fn what_may_not_or_cannot_be_called_is_refused_with_a_fitting_code() {
    for (dialled, expected) in [
        ("9005551212", 403),
        ("+442071838751", 403),
        ("5551212", 484),
        ("", 484),
        ("#", 404),
        ("0", 404),
        ("*21%23", 404),
        ("nobody", 404),
        ("1234", 484),
        (&"1".repeat(65), 414),
    ] {
        assert_eq!(code(from_101(dialled)), expected, "{dialled}");
    }
}

#[test]
fn a_code_before_a_number_and_a_dial_key_behind_it_are_no_part_of_it() {
    let outside =
        |dialled: &str| matches!(from_101(dialled), Route::Outside { number, .. } if number == "+15035551212");
    assert_eq!(from_101("+15035550100#"), local(&["101", "102"]));
    for dialled in ["5035551212#", "*675035551212", "*82 (503) 555-1212", "#31#+15035551212", "*31#5035551212#"] {
        assert!(outside(dialled), "{dialled}: {:?}", from_101(dialled));
    }
    for dialled in ["*67102", "#31#102", "*31#102"] {
        assert_eq!(from_101(dialled), local(&["102"]), "{dialled}");
    }
    for dialled in ["911#", "*67911", "#31#9-1-1#"] {
        assert_eq!(from_101(dialled), emergency("911", "+15035550101"), "{dialled}");
    }
    for dialled in ["*21#", "**21*5035551212#", "*67", "#", "*67*21#", "5035551212##", "102#"] {
        assert!(matches!(code(from_101(dialled)), 404 | 484), "{dialled}");
    }
}

#[test]
fn a_context_abroad_makes_a_number_abroad() {
    for dialled in [
        "tel:2079460123;phone-context=+44",
        "sip:020-7946-0123;phone-context=+44@host;user=phone",
        "sip:5035551212@host;user=phone;phone-context=+49",
        "<tel:5035551212;phone-context=+1-876>",
    ] {
        assert!(
            !matches!(from_101(dialled), Route::Outside { number, .. } if number.starts_with("+1207")),
            "{dialled}"
        );
    }
    assert_eq!(code(from_101("tel:2075551234;phone-context=+49")), 403);
    assert_eq!(code(from_101("tel:5551212;phone-context=+1876")), 403);
    for (dialled, number) in [
        ("tel:5551212;phone-context=+1-503", "+15035551212"),
        ("tel:5035551212;phone-context=+1", "+15035551212"),
        ("tel:5555536266;phone-context=+52", "+525555536266"),
        ("tel:+15035551212;phone-context=+44", "+15035551212"),
        ("tel:5035551212;phone-context=pbx.example", "+15035551212"),
    ] {
        assert!(matches!(from_101(dialled), Route::Outside { number: called, .. } if called == number), "{dialled}");
    }
    assert_eq!(from_101("tel:102;phone-context=+1"), local(&["102"]));
    for dialled in
        ["tel:911;phone-context=+44", "sip:911;phone-context=+49@host;user=phone", "tel:9-1-1;phone-context=+1503"]
    {
        assert_eq!(from_101(dialled), emergency("911", "+15035550101"), "{dialled}");
    }
}
