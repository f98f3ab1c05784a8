use super::*;

fn site(countries: &[&str]) -> Numbers {
    Numbers::of_site(None, None, countries.iter().copied(), [])
}

/// The number that Twilio is asked for.
fn dial(numbers: &Numbers, text: &str) -> Option<String> {
    let dialled = Dialled::of_text(text).ok()?;
    Some(numbers.wanted(&dialled, |name| matches!(name, "101" | "9112"))?.number(None))
}

#[test]
fn every_spelling_that_a_person_may_mean_is_an_emergency_call() {
    let us = site(&["US"]);
    for text in [
        "911",
        "+911",
        "9911",
        "1911",
        "+1911",
        "9-1-1",
        "9.1.1",
        "(911)",
        " 911 ",
        "9 1 1",
        "911#",
        "911##",
        "911%23",
        "%39%31%31",
        "911%20",
        "+9-1-1#",
        "*67911",
        "*82911",
        "#31#911",
        "*679911",
        "*67 9-1-1#",
        "112",
        "+112",
        "tel:911",
        "tel:+911",
        "tel:9-1-1",
        "tel:911;phone-context=+1",
        "sip:911@gw:5060;user=phone",
        "<sip:911@gw>",
        "\"Help\" <tel:911>;x=1",
        "911;phone-context=+1",
        "911;ext=5",
        "urn:service:sos",
        "URN:SERVICE:SOS",
        "urn:service:sos.fire",
        "urn:service:sos.police",
        "urn:service:sos.animal-control",
        "urn:service:sos.",
        "sip:sos@gw",
        "SOS",
        "sos.fire",
    ] {
        assert_eq!(dial(&us, text).as_deref(), Some("911"), "{text:?}");
    }
    for text in ["933", "9933", "1933", "933#", "tel:933", "urn:service:test.sos"] {
        assert_eq!(dial(&us, text).as_deref(), Some("933"), "{text:?}");
    }
}

#[test]
fn what_only_looks_like_one_is_none() {
    let us = site(&["US"]);
    for text in [
        "0911",
        "*911",
        "19911",
        "99911",
        "011911",
        "001911",
        "9115035551212",
        "911,5035551212",
        "911p5035551212",
        "911w1",
        "911%00",
        "91",
        "11",
        "9110",
        "911911",
        "91#1",
        "#911",
        "٩١١",
        "９１１",
        "999",
        "000",
        "111",
        "%2539%2531%2531",
        "sip:sip%3A911%40x@gw",
        "sip:%3Csip%3A911%40x%3E@gw",
        "urn:service:counseling",
        "urn:service:sosx",
        "urn:service:test.sosx",
        "urn:isbn:911",
        "sosumi",
        "so",
        "101",
        "",
    ] {
        assert_eq!(dial(&us, text), None, "{text:?}");
    }
}

#[test]
fn the_prefixes_nine_and_one_count_in_the_north_american_plan_alone() {
    for (country, number) in [("GB", "999"), ("DE", "112"), ("AU", "000"), ("NZ", "111")] {
        let numbers = site(&[country]);
        assert_eq!(dial(&numbers, number).as_deref(), Some(number));
        for code in ["*67", "#31#", "*31#"] {
            assert_eq!(dial(&numbers, &format!("{code}{number}")).as_deref(), Some(number), "{country} {code}");
        }
        for prefix in ["9", "1"] {
            assert_eq!(dial(&numbers, &format!("{prefix}{number}")), None, "{country} {prefix}");
        }
        assert_eq!(dial(&numbers, "9911"), None);
    }
}

#[test]
fn the_number_is_one_of_the_country_that_the_caller_id_belongs_to() {
    let both = site(&["US", "GB"]);
    let wanted = both.wanted(&Dialled::Text("999".into()), |_| false).expect("help");
    assert_eq!(wanted.number(Some("+15035550100")), "911");
    assert_eq!(wanted.number(Some("+442071838750")), "999");
    assert_eq!(wanted.number(None), "999");
    let sos = both.wanted(&Dialled::Service("sos".into()), |_| false).expect("help");
    assert_eq!(sos.number(Some("+442071838750")), "999");
}

#[test]
fn an_extension_of_that_name_goes_first_unless_the_country_s_own_number_is_meant() {
    let us = site(&["US"]);
    let call = |text: &str| us.wanted(&Dialled::Text(text.into()), |name| name == text).is_some();
    for name in ["112", "9911", "1911", "sos"] {
        assert!(!call(name), "{name}");
    }
    assert!(call("911"), "no extension can have this name");
    assert!(us.has("911") && us.has("933") && !us.has("112"));
}

#[test]
fn the_file_s_own_numbers_go_as_they_are_and_leave_the_country_s_in_force() {
    let own = Numbers::of_site(Some(vec!["555".into(), "911".into()]), Some("US"), [], []);
    assert_eq!(dial(&own, "555").as_deref(), Some("555"));
    assert_eq!(dial(&own, "9555").as_deref(), Some("555"));
    assert_eq!(dial(&own, "911").as_deref(), Some("911"));
    assert_eq!(dial(&own, "112").as_deref(), Some("911"));
    assert_eq!(own.list(), ["555", "911"]);
}

#[test]
fn a_site_is_where_its_addresses_and_numbers_are() {
    assert_eq!(site(&[]).list(), ["911", "933"]);
    assert_eq!(Numbers::of_site(None, None, [], ["+442071838750"]).list(), ["999", "112"]);
    assert_eq!(Numbers::of_site(None, Some("AU"), ["US"], ["+15035550100"]).list(), ["000"]);
    assert_eq!(Numbers::of_site(None, None, ["DE"], ["+15035550100"]).list(), ["112", "911", "933"]);
}
