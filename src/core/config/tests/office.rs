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
fn srtp_of_an_extension_is_one_of_three_words() {
    says(
        "[[extension]]",
        "name = \"101\"\nemergency = false\nsrtp = \"always\"",
        &[
            "gateway.toml:12: extension 101: srtp \"always\" is none of the three; write \"auto\", \"required\" or \"off\"",
        ],
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
        ["gateway.toml:9: 5001 [[extension]] tables are too many; at most 5000 can be had"]
    );
}

#[test]
fn a_number_rings_a_hundred_extensions_at_most() {
    let extensions = |count: usize| -> String {
        (0..count).map(|n| format!("[[extension]]\nname = \"e{n}\"\nemergency = false\n")).collect()
    };
    let ring = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("\"e{n}\"")).collect();
        format!("{MINIMAL}{}[[number]]\nnumber = \"+15035550100\"\nring = [{}]\n", extensions(count), names.join(", "))
    };
    let config = parse(&ring(MAX_RING), "gateway.toml", &Host::default()).unwrap();
    assert_eq!(config.numbers[0].ring.len(), MAX_RING);
    let errors = errors(&ring(MAX_RING + 1));
    assert_eq!(errors.len(), 1);
    assert!(errors[0].ends_with("ring has 101 extensions; at most 100 ring at once, remove some"), "{errors:?}");
}

#[test]
fn the_switch_of_the_console_is_off_unless_the_file_says_so() {
    let config = with("");
    assert!(!config.twilio.enhanced_programmable_sip_features);
    assert_eq!(config.site.user, format!("box-{}", config.site.name));
    let text = MINIMAL.replace("[twilio]\n", "[twilio]\nenhanced_programmable_sip_features = true\n");
    assert!(parse(&text, "gateway.toml", &Host::default()).unwrap().twilio.enhanced_programmable_sip_features);
}

#[test]
fn emergency_numbers_are_those_of_the_country_that_the_site_is_in() {
    let list = |tables: &str| with(tables).emergency.numbers.list().join(" ");
    assert_eq!(list(""), "911 933");
    assert_eq!(list("[emergency]\ncaller_id = \"+442071838750\"\n"), "999 112");
    assert_eq!(list("[emergency]\ncountry = \"AU\"\ncaller_id = \"+15035550100\"\n"), "000");
    assert_eq!(list("[[number]]\nnumber = \"+493012345678\"\nring = []\n"), "112");
    assert_eq!(list("[emergency]\nnumbers = [\"911\", \"555\"]\n"), "911 555");
    says(
        "[emergency]",
        "country = \"GB\"\ncaller_id = \"+442071838750\"\n[[extension]]\nname = \"999\"",
        &["gateway.toml:13: extension 999: is an emergency number; give it another name"],
    );
    says(
        "[emergency]",
        "country = \"gb\"",
        &["gateway.toml:10: emergency: country \"gb\" is not in capitals; write \"GB\""],
    );
}

#[test]
fn those_who_hear_of_an_emergency_call_are_extensions() {
    let office = "[[extension]]\nname = \"101\"\nemergency = false\n";
    let config = with(&format!("[emergency]\nnotify = [\"101\"]\n{office}"));
    assert_eq!(config.emergency.notify, ["101"]);
    let text = format!("{MINIMAL}[emergency]\nnotify = [\"110\"]\n{office}");
    assert_eq!(
        errors(&text),
        [
            "gateway.toml:10: emergency: notify \"110\" is no extension; write \"101\", or add an [[extension]] with name = \"110\""
        ]
    );
}

#[test]
fn phones_at_different_addresses_and_phones_that_cannot_call_for_help_are_warned_of() {
    let place = |name: &str| {
        format!(
            "[[address]]\nname = \"{name}\"\ncustomer = \"A\"\nstreet = \"1 Main St\"\ncity = \"Portland\"\n\
             region = \"OR\"\npostal_code = \"97201\"\ncountry = \"US\"\n"
        )
    };
    let number = |digit: u8, address: &str| {
        format!("[[number]]\nnumber = \"+1503555010{digit}\"\nring = []\naddress = \"{address}\"\n")
    };
    let phone =
        |name: &str, digit: u8| format!("[[extension]]\nname = \"{name}\"\ncaller_id = \"+1503555010{digit}\"\n");
    let both = format!("{}{}{}{}", place("shop"), place("barn"), number(1, "shop"), number(2, "barn"));
    let warned = |tables: &str| with(tables).warnings().join("\n");
    let apart = warned(&format!("{both}{}{}", phone("101", 1), phone("102", 2)));
    assert!(apart.contains("102 at \"barn\"; 101 at \"shop\""), "{apart}");
    assert_eq!(warned(&format!("{both}{}{}", phone("101", 1), phone("102", 1))), "");
    let silent = format!("{}emergency = false\n", phone("103", 1));
    assert!(warned(&format!("{both}{silent}")).contains("no phone of 103 can call 911"));
    assert_eq!(warned(&format!("[emergency]\ncountry = \"DE\"\n{both}{silent}")), "", "US law ends at the border");
}
