//! Environments: one file, several domains at Twilio.

use super::*;

/// The minimal file with its domain and URL in tables of their own.
fn tables_alone(tables: &str) -> String {
    let text = MINIMAL.replace("[trunk]\ndomain = \"office.sip.twilio.com\"\n", "");
    text.replace("[webhook]\npublic_url = \"https://gateway.example.com\"\n", "") + tables
}

const STAGE: &str =
    "[environment.stage]\ndomain = \"office-stage.sip.twilio.com\"\npublic_url = \"https://stage.example.com\"\n";

const DEV: &str =
    "[environment.dev]\ndomain = \"office-dev.sip.twilio.com\"\npublic_url = \"https://dev.example.com\"\n";

#[test]
fn a_file_without_environments_describes_prod() {
    let config = read(MINIMAL);
    assert_eq!(config.site.environment, "prod");
    assert_eq!(config.environments.len(), 1);
    assert_eq!(config.clone().select("prod"), Some(config));
}

#[test]
fn each_environment_has_its_own_domain_and_urls_and_can_be_selected() {
    let config =
        with(&format!("{STAGE}fallback_url = \"https://example.com/down.xml?why=1\"\n{DEV}edges = [\"dublin\"]\n"));
    assert_eq!(config.trunk.domain, "office.sip.twilio.com");
    let names: Vec<&str> = config.environments.iter().map(|environment| environment.name.as_str()).collect();
    assert_eq!(names, ["dev", "prod", "stage"]);
    let stage = config.clone().select("stage").unwrap();
    assert_eq!(stage.trunk.domain, "office-stage.sip.twilio.com");
    assert_eq!(stage.trunk.servers[1].host, "office-stage.sip.umatilla.twilio.com");
    assert_eq!(stage.webhook.public_url, "https://stage.example.com");
    assert_eq!(stage.webhook.fallback_url.as_deref(), Some("https://example.com/down.xml?why=1"));
    assert_eq!(stage.site.environment, "stage");
    assert_eq!(stage.webhook.listen, config.webhook.listen);
    let dev = stage.select("dev").unwrap();
    assert_eq!(dev.webhook.fallback_url, None);
    let server = Server { host: "office-dev.sip.dublin.twilio.com".to_owned(), port: None };
    assert_eq!(dev.trunk.servers, [server]);
    assert_eq!(dev.clone().select("test"), None);
    assert_eq!(dev.select("prod"), Some(config));
}

#[test]
fn selecting_gives_what_a_file_that_names_the_environment_gives() {
    let named = MINIMAL.replace("[twilio]", "environment = \"stage\"\n[twilio]") + STAGE;
    assert_eq!(with(STAGE).select("stage"), Some(read(&named)));
}

#[test]
fn the_servers_of_the_trunk_are_those_of_every_environment_without_its_own() {
    let text =
        MINIMAL.replace("[webhook]", "servers = [\"127.0.0.1:5061\"]\n[webhook]") + STAGE + DEV + "servers = [\"b\"]\n";
    let config = read(&text);
    let host = |name: &str| config.environment(name).unwrap().servers[0].host.clone();
    assert_eq!([host("prod"), host("stage"), host("dev")], ["127.0.0.1", "127.0.0.1", "b"]);
}

#[test]
fn prod_may_stand_in_a_table_of_its_own_but_not_in_two_places() {
    let prod = STAGE.replace("stage", "prod");
    let config = read(&tables_alone(&prod));
    assert_eq!(
        (config.trunk.domain.as_str(), config.site.environment.as_str()),
        ("office-prod.sip.twilio.com", "prod")
    );
    assert_eq!(
        errors(&format!("{MINIMAL}{prod}")),
        [
            "gateway.toml:6: trunk: domain describes environment prod, as does [environment.prod] on line 9; keep one of them",
            "gateway.toml:8: webhook: public_url describes environment prod, as does [environment.prod] on line 9; keep one \
             of them",
        ]
    );
}

#[test]
fn the_only_environment_is_the_one_that_is_run_and_rings() {
    let number = "[[number]]\nnumber = \"+15035551212\"\n";
    let config = read(&tables_alone(&format!("{STAGE}{number}")));
    assert_eq!(config.site.environment, "stage");
    assert_eq!(config.trunk.domain, "office-stage.sip.twilio.com");
    assert_eq!(config.numbers[0].environment, "stage");
    assert_eq!(
        errors(&tables_alone(&format!("{STAGE}{DEV}{number}"))),
        [
            "gateway.toml:1: site: environment is missing, and there is no prod; write one of dev, stage",
            "gateway.toml:11: number +15035551212: environment is missing, and there is no prod; write one of dev, stage",
        ]
    );
}

#[test]
fn an_environment_that_is_not_there_is_told_with_those_that_are() {
    let text = MINIMAL.replace("[twilio]", "environment = \"stge\"\n[twilio]") + STAGE;
    assert_eq!(
        errors(&text),
        [
            "gateway.toml:3: site: environment \"stge\" is not there; write one of prod, stage, or add [environment.NAME]"
        ]
    );
    assert_eq!(
        errors(&format!("{MINIMAL}{STAGE}[[number]]\nnumber = \"+15035551212\"\nenvironment = \"test\"\n")),
        ["gateway.toml:14: number +15035551212: environment \"test\" is not there; write one of prod, stage, or add \
             [environment.NAME]"]
    );
}

#[test]
fn an_environment_that_is_half_there_says_what_is_missing() {
    says(
        "[environment.stage]",
        "domain = \"pbx.example.com\"",
        &[
            "gateway.toml:9: environment stage: public_url is missing; write public_url = \"https://…\"",
            "gateway.toml:10: environment stage: domain \"pbx.example.com\" is not at Twilio; write \
             \"NAME.sip.twilio.com\", or name the servers",
        ],
    );
    let text = MINIMAL.replace("[webhook]\npublic_url = \"https://gateway.example.com\"\n", STAGE);
    assert_eq!(errors(&text), ["gateway.toml:1: [webhook] is missing; see config/gateway.toml"]);
    assert_eq!(
        errors(&format!("{MINIMAL}[environment]\nstage = 1\n")),
        ["gateway.toml:10: environment: stage is not a table; write [environment.NAME]"]
    );
    assert_eq!(
        errors(&format!("environment = 1\n{MINIMAL}")),
        ["gateway.toml:1: environment is not a table of tables; write [environment.NAME]"]
    );
}

#[test]
fn the_name_of_an_environment_fits_where_it_is_written() {
    for (name, wrong) in [
        ("Stage", "is not 1 to 16 of a-z 0-9; write \"stage\" for example"),
        ("a2345678901234567", "is not 1 to 16 of a-z 0-9; write \"stage\" for example"),
        ("account", "stands for what all environments share; take another name"),
    ] {
        let table = STAGE.replace("[environment.stage]", &format!("[environment.{name}]"));
        let told = format!("gateway.toml:9: environment {name}: the name {wrong}");
        assert_eq!(errors(&format!("{MINIMAL}{table}")), [told]);
    }
}

#[test]
fn two_environments_never_share_a_domain() {
    let table = STAGE.replace("office-stage", "Office");
    assert_eq!(
        errors(&format!("{MINIMAL}{table}")),
        [
            "gateway.toml:10: environment stage: domain \"office.sip.twilio.com\" is that of prod on line 6; each has its \
          own, write another"
        ]
    );
}

#[test]
fn too_many_environments_are_told() {
    let many: String = (0..=MAX_ENVIRONMENTS).map(|n| STAGE.replace("stage", &format!("e{n}"))).collect();
    assert_eq!(
        errors(&format!("{MINIMAL}{many}")),
        ["gateway.toml:9: 11 [environment.NAME] tables are too many; at most 10 can be had"]
    );
}
