//! Findings by table: an account in which all fits, and what is found when one thing does not.

use std::collections::BTreeMap;

use serde_json::json;

use super::observed::{Application, Country, Domain, Mappings, Observed};
use super::*;
use crate::account_status::{AccountKind, AccountStatus};
use crate::numbers;
use crate::office::OfficeFile;
use crate::owned::Promotion;
use crate::plan::Plan;

const NUMBER: &str = "+15035550100";

fn config() -> Config {
    OfficeFile::new()
        .table("webhook")
        .with("public_url", "https://office.example.com")
        .with("fallback_url", "https://fallback.example.com/")
        .extension("101")
        .with("caller_id", NUMBER)
        .extension("102")
        .with("caller_id", NUMBER)
        .number(NUMBER, &["101"])
        .config()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// An account in which all fits.
fn good() -> Observed {
    let country =
        |code: &str| Country { iso_code: code.to_owned(), low_risk_numbers_enabled: true, ..Country::default() };
    Observed {
        standing: Some(AccountStatus {
            status: "active".to_owned(),
            kind: AccountKind::Full,
            friendly_name: "Office".to_owned(),
            balance: Some(("20.00".to_owned(), "USD".to_owned())),
        }),
        domains: vec![Domain {
            sid: "SD1".to_owned(),
            domain_name: "office.sip.twilio.com".to_owned(),
            auth_type: some("CREDENTIAL_LIST"),
            secure: true,
            sip_registration: true,
            emergency_calling_enabled: true,
            voice_url: some("https://twilio:secret@office.example.com/twilio/voice"),
            voice_fallback_url: some("https://fallback.example.com/"),
            emergency_caller_sid: None,
        }],
        lists: [("CL1".to_owned(), "gateway-office-prod".to_owned())].into(),
        credentials: [("CL1".to_owned(), ["box-office", "101", "102"].map(str::to_owned).to_vec())].into(),
        mappings: [(
            "SD1".to_owned(),
            Mappings { calls: vec!["CL1".to_owned()], registrations: vec!["CL1".to_owned()], access: vec![] },
        )]
        .into(),
        applications: vec![Application {
            sid: "AP1".to_owned(),
            friendly_name: some("gateway-office-prod"),
            voice_url: some("https://office.example.com/twilio/incoming"),
            voice_fallback_url: some("https://fallback.example.com/"),
        }],
        numbers: vec![numbers::Owned {
            sid: "PN1".to_owned(),
            phone_number: NUMBER.to_owned(),
            voice_application_sid: some("AP1"),
            voice_receive_mode: some("voice"),
            emergency_address_status: some("registered"),
            capabilities: Some(json!({"voice": true})),
            ..numbers::Owned::default()
        }],
        verified: Vec::new(),
        countries: ["US", "CA", "PR", "MX", "DO"].map(country).to_vec(),
        usage_triggers: Some(1),
        has_key: true,
        has_token: true,
        plan: Some(Plan::default()),
        reach: [("prod".to_owned(), Ok(()))].into(),
        unread: Vec::new(),
    }
}

fn found(config: &Config, owned: &Owned, observed: &Observed) -> Vec<Finding> {
    let environments: Vec<&Environment> = config.environments.iter().collect();
    findings(config, &environments, owned, observed)
}

#[test]
fn in_an_account_where_all_fits_nothing_is_found() {
    let mut observed = good();
    // The voice URL of the domain is whatever path we have for calls out.
    observed.domains[0].voice_url =
        Some(format!("https://t:s@office.example.com{}", gateway_core::twiml::OUTGOING_PATH));
    observed.applications[0].voice_url =
        Some(format!("https://office.example.com{}", gateway_core::twiml::INCOMING_PATH));
    assert_eq!(found(&config(), &Owned::default(), &observed), []);
}

/// What is changed, and the one finding of it: severity, what, a part of what it breaks.
type Case = (fn(&mut Observed), Severity, &'static str, &'static str);

const CASES: &[Case] = &[
    (
        |s| s.standing.as_mut().unwrap().status = "suspended".to_owned(),
        Severity::Error,
        "account AC0123456789abcdef0123456789abcdef is suspended",
        "no call works",
    ),
    (
        |s| s.standing.as_mut().unwrap().kind = AccountKind::Trial,
        Severity::Warning,
        "account AC0123456789abcdef0123456789abcdef is a trial account",
        "32100",
    ),
    (
        |s| s.standing.as_mut().unwrap().balance = Some(("4.99".to_owned(), "USD".to_owned())),
        Severity::Warning,
        "the balance is 4.99 USD",
        "no call works",
    ),
    (
        |s| s.standing.as_mut().unwrap().balance = Some(("-0.01".to_owned(), "USD".to_owned())),
        Severity::Error,
        "the balance is -0.01 USD",
        "suspends",
    ),
    (|s| s.usage_triggers = Some(0), Severity::Info, "the account has no usage trigger", "expensive"),
    (|s| s.has_key = false, Severity::Info, "this box has no API key and uses the auth token", "owns the account"),
    (
        |s| (s.standing, s.has_token) = (None, false),
        Severity::Info,
        "whether the account is a trial account, and its balance, are unknown: an API key may not ask",
        "verified numbers only",
    ),
    (
        |s| s.unread.push(("the balance", "401".to_owned())),
        Severity::Info,
        "the balance could not be read: 401",
        "nothing can be said",
    ),
    (
        |s| s.countries[3].low_risk_numbers_enabled = false,
        Severity::Warning,
        "dialing permissions: closed for MX",
        "13227",
    ),
    (
        |s| s.countries[3].high_risk_tollfraud_numbers_enabled = true,
        Severity::Info,
        "dialing permissions: open for numbers of high risk in MX",
        "expensive",
    ),
    (
        |s| s.domains.clear(),
        Severity::Error,
        "SIP domain office.sip.twilio.com is not in the account",
        "environment prod",
    ),
    (
        |s| s.domains[0].auth_type = some(""),
        Severity::Error,
        "office.sip.twilio.com: its auth_type is empty",
        "refuses every call and registration",
    ),
    (
        |s| s.domains[0].auth_type = some("IP_ACL"),
        Severity::Error,
        "office.sip.twilio.com: its auth_type is IP_ACL, without CREDENTIAL_LIST",
        "passwords",
    ),
    (
        |s| s.domains[0].sip_registration = false,
        Severity::Error,
        "office.sip.twilio.com: registration is off",
        "no extension can be called",
    ),
    (
        |s| s.domains[0].secure = false,
        Severity::Warning,
        "office.sip.twilio.com: Secure is off, the config says on",
        "without encryption",
    ),
    (
        |s| s.domains[0].emergency_calling_enabled = false,
        Severity::Error,
        "office.sip.twilio.com: emergency calling is off",
        "911",
    ),
    (
        |s| s.domains[0].voice_url = some("https://u:geheim@evil.example.com/twilio/outgoing"),
        Severity::Error,
        "office.sip.twilio.com: its voice URL is https://***@evil.example.com/twilio/outgoing, not ours",
        "calls out do not ask this box",
    ),
    (
        |s| s.domains[0].voice_fallback_url = None,
        Severity::Warning,
        "office.sip.twilio.com: it has no fallback URL",
        "application error",
    ),
    (
        |s| s.mappings.get_mut("SD1").unwrap().access.push("AL1".to_owned()),
        Severity::Warning,
        "office.sip.twilio.com: an IP access list is mapped besides the credentials (AL1)",
        "both must pass",
    ),
    (
        |s| s.mappings.get_mut("SD1").unwrap().calls.clear(),
        Severity::Error,
        "office.sip.twilio.com: credential list gateway-office-prod is not mapped for calls",
        "no extension can call out",
    ),
    (
        |s| s.mappings.get_mut("SD1").unwrap().registrations.clear(),
        Severity::Error,
        "office.sip.twilio.com: credential list gateway-office-prod is not mapped for registrations",
        "no extension can register",
    ),
    (
        |s| drop(s.credentials.get_mut("CL1").unwrap().pop()),
        Severity::Error,
        "extension 102 has no credential in credential list gateway-office-prod",
        "register",
    ),
    (
        |s| drop(s.credentials.get_mut("CL1").unwrap().remove(0)),
        Severity::Warning,
        "your box has no credential of its own (box-office) in credential list gateway-office-prod",
        "come by an extension's",
    ),
    (
        |s| s.credentials.get_mut("CL1").unwrap().push("mallory".to_owned()),
        Severity::Warning,
        "credential mallory in credential list gateway-office-prod is no extension of the config",
        "at your expense",
    ),
    (
        |s| {
            s.lists.insert("CL2".to_owned(), "lobby".to_owned());
            s.credentials.insert("CL2".to_owned(), vec!["101".to_owned()]);
            s.mappings.get_mut("SD1").unwrap().calls.push("CL2".to_owned());
        },
        Severity::Warning,
        "office.sip.twilio.com: 101 in credential list lobby, too, which is mapped besides ours",
        "not defined",
    ),
    (
        |s| s.applications.push(Application { sid: "AP2".to_owned(), ..s.applications[0].clone() }),
        Severity::Warning,
        "there are 2 TwiML apps gateway-office-prod: AP1, AP2",
        "nobody keeps right",
    ),
    (
        |s| s.applications[0].voice_url = some("https://other.example.com/"),
        Severity::Error,
        "+15035550100: the voice URL of its TwiML app is https://other.example.com/, not ours",
        "do not ask this box",
    ),
    (
        |s| s.applications[0].voice_fallback_url = some(""),
        Severity::Warning,
        "+15035550100: its TwiML app has no fallback URL",
        "application error",
    ),
    (
        |s| s.numbers[0].trunk_sid = some("TK1"),
        Severity::Error,
        "+15035550100 belongs to SIP trunk TK1",
        "a trunk goes before",
    ),
    (
        |s| s.numbers[0].voice_receive_mode = some("fax"),
        Severity::Error,
        "+15035550100 is set to receive fax",
        "do not ring",
    ),
    (
        |s| s.numbers[0].capabilities = Some(json!({"voice": false, "sms": true})),
        Severity::Error,
        "+15035550100 cannot carry calls",
        "do not ring",
    ),
    (|s| s.numbers[0].voice_application_sid = None, Severity::Error, "+15035550100 has no TwiML app", "do not ring"),
    (
        |s| {
            s.applications.push(Application {
                sid: "AP9".to_owned(),
                friendly_name: some("shop"),
                ..Default::default()
            });
            s.numbers[0].voice_application_sid = some("AP9");
        },
        Severity::Error,
        "+15035550100 uses the TwiML app of somebody else (shop), the config says prod",
        "ring elsewhere",
    ),
    (
        |s| s.numbers.push(numbers::Owned { phone_number: "+15035550199".to_owned(), ..Default::default() }),
        Severity::Info,
        "+15035550199 is in the account and leads nowhere",
        "costs every month",
    ),
    (
        |s| drop(s.reach.insert("prod".to_owned(), Err("it answers 404".to_owned()))),
        Severity::Error,
        "https://office.example.com does not lead to this box: it answers 404",
        "calls in do not ring",
    ),
];

#[test]
fn each_thing_that_does_not_fit_is_one_finding_with_what_it_breaks_and_how_to_mend_it() {
    for (change, severity, what, breaks) in CASES {
        let mut observed = good();
        observed.domains[0].voice_url =
            Some(format!("https://t:s@office.example.com{}", gateway_core::twiml::OUTGOING_PATH));
        observed.applications[0].voice_url =
            Some(format!("https://office.example.com{}", gateway_core::twiml::INCOMING_PATH));
        change(&mut observed);
        let found = found(&config(), &Owned::default(), &observed);
        let [finding] = &found[..] else { panic!("{what}: {found:#?}") };
        assert_eq!((finding.severity, finding.what.as_str()), (*severity, *what));
        assert!(finding.breaks.contains(breaks), "{finding:?}");
        assert!(!finding.mend.is_empty(), "{finding:?}");
    }
}

/// Findings about emergency calls alone, as `what`.
fn emergencies(change: impl FnOnce(&mut Observed)) -> Vec<(Severity, String)> {
    let mut observed = good();
    change(&mut observed);
    let config = config();
    let mut check = Check { config: &config, owned: &Owned::default(), observed: &observed, findings: Vec::new() };
    check.emergency(&config.environments[0]);
    check.findings.into_iter().map(|finding| (finding.severity, finding.what)).collect()
}

#[test]
fn every_extension_that_may_call_911_has_a_registered_address_or_the_domain_has() {
    assert_eq!(emergencies(|_| ()), []);
    for (status, severity, text) in [
        (Some("pending-registration"), Severity::Warning, "is not registered yet"),
        (Some("registration-failure"), Severity::Error, "could not be registered"),
        (Some("pending-unregistration"), Severity::Warning, "lets go of its former emergency address"),
        (Some("unregistered"), Severity::Error, "has no registered emergency address"),
        (None, Severity::Error, "has no registered emergency address"),
    ] {
        let found = emergencies(|observed| observed.numbers[0].emergency_address_status = status.map(str::to_owned));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().all(|(s, what)| *s == severity && what.contains(text)), "{found:?}");
    }
    let by_domain = emergencies(|observed| {
        observed.numbers[0].emergency_address_status = None;
        observed.numbers.push(numbers::Owned {
            sid: "PN2".to_owned(),
            emergency_address_status: some("registered"),
            ..Default::default()
        });
        observed.domains[0].emergency_caller_sid = some("PN2");
    });
    assert_eq!(by_domain, []);
    let elsewhere = emergencies(|observed| observed.numbers.clear());
    assert!(
        elsewhere[0].1.contains("calls 911 as +15035550100, which is not a number of the account"),
        "{elsewhere:?}"
    );
}

#[test]
fn a_caller_id_is_a_number_of_the_account_or_a_verified_one() {
    let config = config();
    let caller_ids = |observed: &Observed| {
        let mut check = Check { config: &config, owned: &Owned::default(), observed, findings: Vec::new() };
        check.caller_ids();
        check.findings.len()
    };
    let mut observed = good();
    assert_eq!(caller_ids(&observed), 0);
    observed.numbers.clear();
    assert_eq!(caller_ids(&observed), 2);
    observed.verified.push(NUMBER.to_owned());
    assert_eq!(caller_ids(&observed), 0);
}

#[test]
fn a_promotion_says_where_the_webhooks_are() {
    let mut observed = good();
    observed.domains[0].voice_url = Some(format!("https://stage.example.com{}", gateway_core::twiml::OUTGOING_PATH));
    observed.applications[0].voice_url =
        Some(format!("https://stage.example.com{}", gateway_core::twiml::INCOMING_PATH));
    let mut owned = Owned::default();
    assert_eq!(found(&config(), &owned, &observed).len(), 2);
    let promotion = Promotion {
        url_of: None,
        from: "stage".to_owned(),
        public_url: "https://stage.example.com".to_owned(),
        fallback_url: None,
        build_sid: None,
    };
    owned.promotions = BTreeMap::from([("prod".to_owned(), vec![promotion])]);
    assert_eq!(found(&config(), &owned, &observed), []);
}

#[test]
fn a_problem_of_the_plan_is_an_error_and_what_matters_most_comes_first() {
    let mut observed = good();
    observed.plan = Some(Plan { problems: vec!["no".to_owned(), format!("{NUMBER} is missing")], ..Plan::default() });
    observed.numbers.clear();
    observed.usage_triggers = Some(0);
    let found = found(&config(), &Owned::default(), &observed);
    let severities: Vec<Severity> = found.iter().map(|finding| finding.severity).collect();
    assert!(severities.is_sorted(), "{severities:?}");
    assert_eq!(found.iter().filter(|finding| finding.what == "no").count(), 1);
    // The missing number is told once, by its own check.
    assert_eq!(found.iter().filter(|finding| finding.what.contains("missing")).count(), 0);
    assert_eq!(found.iter().filter(|finding| finding.what.contains("not in the account")).count(), 1);
}

#[test]
fn the_credentials_of_a_url_do_not_make_it_another_one() {
    for (set, same) in [
        (Some("https://a.example.com/x"), true),
        (Some("https://u:p@a.example.com/x"), true),
        (Some("https://A.Example.com:443/x"), true),
        (Some("https://a.example.com/X"), false),
        (Some("https://u:p@b.example.com/x"), false),
        (Some("http://a.example.com/x"), false),
        (Some("https://a.example.com/x?y"), false),
        (Some("https://b.example.com/@a.example.com/x"), false),
        (Some(""), false),
        (None, false),
    ] {
        assert_eq!(is_url(set, "https://a.example.com", "/x"), same, "{set:?}");
    }
}
