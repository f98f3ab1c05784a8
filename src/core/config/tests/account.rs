//! What is wanted of the account: addresses, access, dialing, spending, webhooks.

use std::path::Path;

use super::*;

const ADDRESS: &str = r#"[[address]]
name = "shop"
customer = "Example Ltd"
street = "1 Main St"
city = "Portland"
region = "OR"
postal_code = "97201"
country = "US"
"#;

#[test]
fn a_number_has_a_name_and_an_address() {
    let number = "[[number]]\nnumber = \"+15035551212\"\nname = \"Shop, front\"\naddress = \"shop\"\n";
    let config = with(&format!("{number}{ADDRESS}"));
    let number = config.number("+15035551212").unwrap();
    assert_eq!(number.friendly_name.as_deref(), Some("Shop, front"));
    let address = config.address(number.address.as_deref().unwrap()).unwrap();
    assert_eq!((address.street.as_str(), address.street_secondary.as_deref()), ("1 Main St", None));
}

#[test]
fn a_number_names_an_address_that_is_there_and_can_be_registered() {
    let number = |address: &str| format!("[[number]]\nnumber = \"+15035551212\"\naddress = \"{address}\"\n");
    assert_eq!(
        errors(&format!("{MINIMAL}{ADDRESS}{}", number("shp"))),
        [
            "gateway.toml:19: number +15035551212: address \"shp\" is not there; write \"shop\", or add an [[address]] with \
          name = \"shp\""
        ]
    );
    assert_eq!(
        errors(&format!("{MINIMAL}{}{}", ADDRESS.replace("US", "DE"), number("shop"))),
        [
            "gateway.toml:19: number +15035551212: address \"shop\" is in DE, where Twilio registers none; it does in US, CA, \
          GB; remove the line"
        ]
    );
}

#[test]
fn an_address_is_complete_and_its_name_unique() {
    says(
        "[[address]]",
        "name = \"shop\"\ncustomer = \"\"\nstreet = \"1 Main St\"\ncity = \"Portland\"\nregion = \"OR\"\ncountry = \"us\"",
        &[
            "gateway.toml:9: address shop: postal_code is missing; write postal_code = \"97201\"",
            "gateway.toml:11: address shop: customer \"\" is not 1 to 100 characters",
            "gateway.toml:15: address shop: country \"us\" is not in capitals; write \"US\"",
        ],
    );
    says(
        "[[address]]",
        &ADDRESS.replace("[[address]]\n", "").replace("US", "USA"),
        &[
            "gateway.toml:16: address shop: country \"USA\" is not a country code; write the two letters of ISO 3166, \"US\"",
        ],
    );
    assert_eq!(
        errors(&format!("{MINIMAL}{ADDRESS}{ADDRESS}")),
        ["gateway.toml:18: address shop: is there twice, first on line 10; give it another name"]
    );
}

#[test]
fn access_is_limited_to_networks_written_as_such() {
    let config = with("[access]\nnetworks = [\"203.0.113.7\", \"198.51.100.0/24\"]\n");
    let network = |address: &str, prefix| Ipv4Network { address: address.parse().unwrap(), prefix };
    assert_eq!(config.access.networks, [network("203.0.113.7", 32), network("198.51.100.0", 24)]);
    for (written, wrong) in [
        ("203.0.113.7/24", "is an address inside a network; write \"203.0.113.0/24\" or \"203.0.113.7\""),
        ("0.0.0.0/0", "is the whole internet; remove it"),
        ("203.0.113.0/33", "is not an IPv4 network; write \"203.0.113.0/24\" or \"203.0.113.7\""),
        ("2001:db8::1", "is not an IPv4 network; write \"203.0.113.0/24\" or \"203.0.113.7\""),
        ("", "is not an IPv4 network; write \"203.0.113.0/24\" or \"203.0.113.7\""),
    ] {
        let told = format!("gateway.toml:10: access: networks {written:?} {wrong}");
        says("[access]", &format!("networks = [{written:?}]"), &[&told]);
    }
    says(
        "[access]",
        "networks = [\"203.0.113.7\",\n\"203.0.113.7/32\"]",
        &["gateway.toml:11: access: networks \"203.0.113.7\" is there twice; keep one of them"],
    );
    let many: Vec<String> = (0..=MAX_NETWORKS).map(|n| format!("\"203.0.113.{n}\"")).collect();
    says(
        "[access]",
        &format!("networks = [{}]", many.join(", ")),
        &["gateway.toml:10: access: networks has 101 entries; at most 100 can be had"],
    );
}

#[test]
fn dialing_is_checked_for_north_america_unless_the_file_says_otherwise() {
    assert_eq!(read(MINIMAL).dialing, Dialing::default());
    let dialing = with("[dialing]\ncountries = [\"US\", \"GB\"]\nprefixes = [\"+4420\"]\nmanage = true\n").dialing;
    let countries = vec!["US".to_owned(), "GB".to_owned()];
    assert_eq!(dialing, Dialing { countries, prefixes: vec!["+4420".to_owned()], manage: true });
    says(
        "[dialing]",
        "prefixes = [\"0044\"]",
        &[
            "gateway.toml:10: dialing: prefixes \"0044\" is not the beginning of a number; write + and its first digits, \
           \"+4420\"",
        ],
    );
    says(
        "[dialing]",
        "countries = [\"US\", \"mx\", \"US\"]",
        &[
            "gateway.toml:10: dialing: countries \"mx\" is not in capitals; write \"MX\"",
            "gateway.toml:10: dialing: countries \"US\" is there twice; keep one of them",
        ],
    );
}

#[test]
fn a_spend_limit_is_an_amount_with_at_most_two_decimals() {
    for (written, cents) in
        [("\"12.50\"", 1250), ("12.5", 1250), ("12", 1200), ("0.01", 1), ("\"1000000\"", 100_000_000)]
    {
        assert_eq!(with(&format!("[spend]\nmonthly = {written}\n")).spend, Spend { daily: None, monthly: Some(cents) });
    }
    for (written, wrong) in [
        ("\"12.505\"", "is not an amount; write \"12.50\""),
        ("\"$12\"", "is not an amount; write \"12.50\""),
        ("-1", "is not an amount; write \"12.50\""),
        ("1e3", "is not an amount; write \"12.50\""),
        ("true", "is not an amount; write \"12.50\""),
        ("0", "is out of range; write 0.01 to 1000000"),
        ("\"1000000.01\"", "is out of range; write 0.01 to 1000000"),
        ("\"99999999999999999999\"", "is not an amount; write \"12.50\""),
        ("\"999999999999999999\"", "is out of range; write 0.01 to 1000000"),
    ] {
        says("[spend]", &format!("daily = {written}"), &[&format!("gateway.toml:10: spend: daily {written} {wrong}")]);
    }
}

#[test]
fn regions_and_edges_name_the_host_of_the_api() {
    let api = |lines: &str| read(&MINIMAL.replace("[twilio]", &format!("[twilio]\n{lines}"))).twilio.api;
    assert_eq!(api("region = \"us1\""), "https://api.ashburn.us1.twilio.com");
    assert_eq!(api("region = \"ie1\""), "https://api.dublin.ie1.twilio.com");
    assert_eq!(api("region = \"au1\""), "https://api.sydney.au1.twilio.com");
    assert_eq!(api("edge = \"umatilla\""), "https://api.umatilla.us1.twilio.com");
    assert_eq!(api("region = \"de1\"\nedge = \"frankfurt\""), "https://api.frankfurt.de1.twilio.com");
    says(
        "[twilio]",
        "region = \"de1\"",
        &[
            "gateway.toml:4: twilio: region \"de1\" has no edge that is known; write the edge, too, or one of us1, ie1, au1",
        ],
    );
    says(
        "[twilio]",
        "api = \"https://api.twilio.com\"\nregion = \"ie1\"",
        &["gateway.toml:5: twilio: api and region say the same thing twice; keep one of them"],
    );
}

#[test]
fn drift_is_looked_for_once_a_day_unless_the_file_says_otherwise() {
    assert_eq!(read(MINIMAL).twilio.drift_check, Duration::from_secs(86_400));
    says(
        "[twilio]",
        "drift_check = 60",
        &[
            "gateway.toml:4: twilio: drift_check 60 is out of range; write a whole number from 600 to 604800 (it means seconds)",
        ],
    );
}

#[test]
fn webhooks_are_protected_by_signature_or_credentials() {
    assert_eq!(read(MINIMAL).webhook.protect, Protection::Signature);
    let text = MINIMAL.replace("[webhook]", "[webhook]\nprotect = \"credentials\"");
    assert_eq!(read(&text).webhook.protect, Protection::Credentials);
    says(
        "[webhook]",
        "protect = \"none\"",
        &[
            "gateway.toml:8: webhook: protect \"none\" is no way to protect webhooks; write \"signature\" or \"credentials\"",
        ],
    );
    says(
        "[webhook]",
        "fallback_url = \"https://u:p@example.com/\"",
        &[
            "gateway.toml:8: webhook: fallback_url \"https://u:p@example.com/\" has a query, a fragment, a user or a blank; \
           write \"https://host/path\" alone",
        ],
    );
}

#[test]
fn the_folder_of_assets_is_meant_from_the_folder_of_the_file() {
    let text = format!("{MINIMAL}[hosted]\nassets = \"assets\"\n");
    let config = parse(&text, "/tmp/demo/gateway.toml", &host()).unwrap();
    assert_eq!(config.hosted.assets.as_deref(), Some(Path::new("/tmp/demo/assets")));
    assert_eq!(read(MINIMAL).hosted.assets, None);
}
