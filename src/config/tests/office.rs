//! Extensions, numbers, and what handsets are granted.

use super::*;

#[test]
fn numbers_are_mended_as_their_writer_meant_them() {
    for (written, meant) in [
        ("5035551212", "+15035551212"),
        ("503-555-1212", "+15035551212"),
        ("(503) 555 1212", "+15035551212"),
        ("15035551212", "+15035551212"),
        ("+1 503 555 1212", "+15035551212"),
        ("011525555536266", "+525555536266"),
    ] {
        says(
            "[emergency]",
            &format!("caller_id = {written:?}"),
            &[&format!("gateway.toml:10: emergency: caller_id {written:?} is not E.164; write {meant:?}")],
        );
    }
    says(
        "[emergency]",
        "caller_id = \"front desk\"",
        &["gateway.toml:10: emergency: caller_id \"front desk\" is not E.164; write + and the country code before \
           the number, \"+15035551212\""],
    );
}

#[test]
fn an_extension_name_fits_twilio_and_is_unique_and_no_emergency_number() {
    says(
        "[[extension]]",
        "name = \"front desk\"\nemergency = false",
        &[
            "gateway.toml:10: extension: name \"front desk\" is not 1 to 32 of a-z A-Z 0-9 - _ .; write \"101\" for example",
        ],
    );
    says(
        "[[extension]]",
        "name = \"101\"\nemergency = false\n[[extension]]\nname = \"101\"\nemergency = false",
        &["gateway.toml:13: extension 101: is there twice, first on line 10; give it another name"],
    );
    says(
        "[[extension]]",
        "name = \"911\"\nemergency = false",
        &["gateway.toml:10: extension 911: is an emergency number; give it another name"],
    );
}

#[test]
fn an_extension_that_may_call_911_needs_a_number_to_call_from() {
    says(
        "[[extension]]",
        "name = \"101\"",
        &["gateway.toml:9: extension 101: may call emergency numbers and has no number of its own; write caller_id, \
           or [emergency] caller_id for all, or emergency = false"],
    );
}

#[test]
fn a_number_rings_each_extension_once_and_is_there_once() {
    says(
        "[[number]]",
        "number = \"+15035551212\"\nring = [\"101\",\n\"101\"]\n[[extension]]\nname = \"101\"\nemergency = false",
        &["gateway.toml:12: number +15035551212: ring \"101\" is there twice; keep one of them"],
    );
    says(
        "[[number]]",
        "number = \"+15035551212\"\n[[number]]\nnumber = \"+15035551212\"",
        &["gateway.toml:12: number +15035551212: is there twice, first on line 10; keep one of them"],
    );
}

#[test]
fn expirations_of_handsets_are_in_order() {
    says(
        "[lan]",
        "min_expires = 600\nmax_expires = 60",
        &["gateway.toml:11: lan: max_expires is below min_expires; write 600 or more"],
    );
}

#[test]
fn too_many_extensions_are_told_and_not_read() {
    let many: String =
        (0..=MAX_EXTENSIONS).map(|n| format!("[[extension]]\nname = \"e{n}\"\nemergency = false\n")).collect();
    assert_eq!(
        errors(&format!("{MINIMAL}{many}")),
        ["gateway.toml:9: 1001 [[extension]] tables are too many; at most 1000 can be had"]
    );
}
