//! `gateway.toml` from answers: one template, with the comments that its reader needs.

use std::fmt::Write;

use toml::Value;

use super::answers::{Answers, Part, Protect};
use super::tunnel;
use gateway_core::config::DEFAULT_ENVIRONMENT;

/// How the one address of a fresh config is called.
const ADDRESS: &str = "main";

/// One table of the file.
struct Section {
    /// `[site]`
    header: String,
    comment: &'static str,
    entries: Vec<(String, Value)>,
}

/// The file. All answers are there; a name or URL that is not is left out, and the parser will miss it.
pub(super) fn render(answers: &Answers) -> String {
    let mut sections = sections(answers);
    for (key, value) in &answers.set {
        let (header, key) = match key.rsplit_once('.') {
            Some((section, key)) => (format!("[{section}]"), key),
            None => (String::new(), key.as_str()),
        };
        let at = sections.iter().position(|section| section.header == header).unwrap_or_else(|| {
            sections.push(Section { header, comment: "", entries: Vec::new() });
            sections.len() - 1
        });
        let entries = &mut sections[at].entries;
        entries.retain(|(known, _)| known != key);
        entries.push((key.to_owned(), value.clone()));
    }
    let mut text = "# gateway.toml: what this box is, written by `gateway setup`. It holds no secrets and can sit in git.\n\
                    # Change it as you like: `gateway check` reads it, `gateway setup` makes the account what it says.\n\
                    # All keys with their defaults: config/gateway.toml in the source.\n"
        .to_owned();
    // A top-level key must stand before the first table.
    sections.sort_by_key(|section| !section.header.is_empty());
    for Section { header, comment, entries } in sections {
        // Writing to a String does not fail.
        let _ = write!(text, "\n{comment}");
        if !header.is_empty() {
            let _ = writeln!(text, "{header}");
        }
        for (key, value) in entries {
            let _ = writeln!(text, "{} = {value}", quoted(&key));
        }
    }
    text
}

/// A key as TOML wants it: bare where that is allowed.
fn quoted(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { key.to_owned() } else { Value::String(key.to_owned()).to_string() }
}

fn sections(answers: &Answers) -> Vec<Section> {
    let environments = answers.environment_names();
    let first = environments.first().map(String::as_str).unwrap_or(DEFAULT_ENVIRONMENT);
    let numbers = answers.numbers.as_deref().unwrap_or_default();
    let emergency = answers.wants_emergency() == Some(true) && !numbers.is_empty();
    let section = |header: &str, comment: &'static str, entries: Vec<(&str, Option<Value>)>| Section {
        header: header.to_owned(),
        comment,
        entries: entries.into_iter().filter_map(|(key, value)| value.map(|value| (key.to_owned(), value))).collect(),
    };
    let text = |value: &str| Some(Value::String(value.to_owned()));
    let given = |value: &Option<String>| value.as_deref().filter(|value| !value.is_empty()).and_then(text);
    let prod = answers.of_environment.get(DEFAULT_ENVIRONMENT).filter(|_| has(&environments, DEFAULT_ENVIRONMENT));
    let runs = if first == DEFAULT_ENVIRONMENT { None } else { text(first) };

    let mut all = vec![
        section(
            "[site]",
            "# What belongs to this box at Twilio is named after it.\n",
            vec![("name", given(&answers.site)), ("environment", runs.clone())],
        ),
        section("[twilio]", "", vec![("account_sid", given(&answers.account_sid))]),
        section(
            "[trunk]",
            "# The SIP domain: its name is unique among all customers of Twilio.\n",
            vec![("domain", prod.and_then(|prod| given(&prod.domain)))],
        ),
        section(
            "[webhook]",
            "# What Twilio calls: where the tunnel begins. It ends at `listen`, 127.0.0.1:8080 unless that says otherwise.\n",
            vec![
                ("public_url", prod.and_then(|prod| given(&prod.public_url))),
                ("protect", matches!(answers.protect, Some(Protect::Credentials)).then(|| "credentials".into())),
            ],
        ),
    ];
    let entries: Vec<(String, Value)> = tunnel::table(answers).into_iter().collect();
    if !entries.is_empty() {
        let comment =
            "# How Twilio's requests get from there to here. `gateway tunnel status` tells whether they do.\n";
        all.push(Section { header: "[tunnel]".to_owned(), comment, entries });
    }
    for name in environments.iter().filter(|name| *name != DEFAULT_ENVIRONMENT) {
        let of = answers.of_environment.get(name).cloned().unwrap_or_default();
        let header = format!("[environment.{name}]");
        let comment = "# Another environment, with all of its own at Twilio.\n";
        let entries = vec![("domain", given(&of.domain)), ("public_url", given(&of.public_url))];
        all.push(section(&header, comment, entries));
    }
    if emergency {
        let comment = "# Where an emergency service goes. 933 is the test line: it reads back number and address.\n";
        let mut entries = vec![("name", text(ADDRESS))];
        entries.extend(Part::ALL.map(|part| (part.key(), given(answers.address.part(part)))));
        all.push(section("[[address]]", comment, entries));
    }
    for (at, extension) in answers.extensions.iter().flatten().enumerate() {
        let caller_id = given(&extension.caller_id).or_else(|| numbers.first().and_then(|number| text(number)));
        let comment = match at {
            0 => "# One table per extension: what a phone registers as. `gateway handset NAME` shows the rest.\n",
            _ => "",
        };
        let entries = vec![
            ("name", text(&extension.name)),
            ("display_name", given(&extension.display_name)),
            ("caller_id", caller_id),
            ("emergency", (!emergency).then_some(Value::Boolean(false))),
        ];
        all.push(section("[[extension]]", comment, entries));
    }
    let ring: Vec<Value> =
        answers.extensions.iter().flatten().map(|extension| Value::String(extension.name.clone())).collect();
    for (at, number) in numbers.iter().enumerate() {
        let comment = match at {
            0 => "# One table per phone number of the account; all extensions of `ring` ring at once.\n",
            _ => "",
        };
        let entries = vec![
            ("number", text(number)),
            ("ring", Some(Value::Array(ring.clone()))),
            ("address", emergency.then(|| ADDRESS.into())),
            ("environment", runs.clone()),
        ];
        all.push(section("[[number]]", comment, entries));
    }
    all
}

fn has(names: &[String], name: &str) -> bool {
    names.iter().any(|known| known == name)
}

/// The file with another SIP domain: nothing else of it changes. `None` when it does not name the old one as expected.
pub(super) fn with_domain(file: &str, old: &str, new: &str) -> Option<String> {
    let mut changed = false;
    let lines: Vec<String> = file
        .lines()
        .map(|line| {
            let key = line.split('=').next().unwrap_or_default().trim();
            let (double, single) = (format!("\"{old}\""), format!("'{old}'"));
            let names_it =
                matches!(key, "domain" | "server_name") && (line.contains(&double) || line.contains(&single));
            changed |= names_it && key == "domain";
            match names_it {
                true => line.replacen(&double, &format!("\"{new}\""), 1).replacen(&single, &format!("'{new}'"), 1),
                false => line.to_owned(),
            }
        })
        .collect();
    changed.then(|| lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::super::answers::EXAMPLE;
    use super::*;
    use gateway_core::config::{self, Host};

    fn host() -> Host {
        Host { addresses: vec!["192.168.1.1".parse().unwrap()] }
    }

    fn parsed(answers: &Answers) -> config::Config {
        let text = render(answers);
        config::parse(&text, "gateway.toml", &host()).unwrap_or_else(|errors| panic!("{errors:?}\n{text}"))
    }

    #[test]
    fn the_example_gives_a_config_that_parses_and_says_the_same() {
        let answers = Answers::read(EXAMPLE).unwrap();
        let config = parsed(&answers);
        assert_eq!(config.site.name, "office");
        assert_eq!(config.trunk.domain, "office-7f3k.sip.twilio.com");
        assert_eq!(config.extensions[0].caller_id.as_deref(), Some("+15035551212"));
        assert!(config.extensions[0].emergency);
        assert_eq!(config.numbers[0].ring, ["101"]);
        assert_eq!(config.numbers[0].address.as_deref(), Some("main"));
        assert_eq!(config.addresses[0].city, "Portland");
    }

    #[test]
    fn whatever_a_person_types_is_escaped() {
        let mut answers = Answers::read(EXAMPLE).unwrap();
        let nasty = "O'Hara & \"Söhne\" \\ \u{1F4DE} ''' \"\"\" # no comment";
        answers.address.customer = Some(nasty.to_owned());
        answers.address.street = Some("[section]\\u0041 = 1".to_owned());
        let config = parsed(&answers);
        assert_eq!(config.addresses[0].customer, nasty);
        assert_eq!(config.addresses[0].street, "[section]\\u0041 = 1");
    }

    #[test]
    fn without_a_number_no_phone_may_call_emergency_numbers() {
        let mut answers = Answers::read(EXAMPLE).unwrap();
        answers.numbers = Some(Vec::new());
        let config = parsed(&answers);
        assert!(!config.extensions[0].emergency && config.extensions[0].caller_id.is_none());
        assert!(config.addresses.is_empty() && config.numbers.is_empty());
    }

    #[test]
    fn two_environments_are_two_tables_and_any_first_one_is_run() {
        let mut answers = Answers::read(EXAMPLE).unwrap();
        answers.environments = Some(vec!["prod".to_owned(), "stage".to_owned()]);
        answers.environment("stage").domain = Some("office-stage.sip.twilio.com".to_owned());
        answers.environment("stage").public_url = Some("https://stage.example.com".to_owned());
        let config = parsed(&answers);
        assert_eq!(config.environments.len(), 2);
        assert_eq!(config.site.environment, "prod");
        assert_eq!(config.environment("stage").unwrap().domain, "office-stage.sip.twilio.com");

        answers.environments = Some(vec!["stage".to_owned()]);
        let config = parsed(&answers);
        assert_eq!((config.environments.len(), config.site.environment.as_str()), (1, "stage"));
        assert_eq!(config.numbers[0].environment, "stage");
    }

    #[test]
    fn a_tunnel_is_a_table_and_one_that_tells_its_url_needs_none() {
        let mut answers = Answers::read(EXAMPLE).unwrap();
        answers.tunnel = "driver = \"ssh\"\nserver = \"tunnel@server.example.com\"".parse().unwrap();
        let config = parsed(&answers);
        assert_eq!(config.tunnel.driver.name(), "ssh");
        assert_eq!(config.webhook.public_url, "https://gateway.example.com");

        answers.tunnel = "driver = \"command\"\ncommand = [\"cloudflared\", \"--url\", \"x\"]".parse().unwrap();
        answers.environment("prod").public_url = Some(String::new());
        let config = parsed(&answers);
        assert_eq!((config.tunnel.driver.name(), config.webhook.public_url.as_str()), ("command", ""));
    }

    #[test]
    fn other_keys_go_where_they_belong() {
        let mut answers = Answers::read(EXAMPLE).unwrap();
        answers.set.insert("lan.listen".to_owned(), Value::Array(vec!["127.0.0.1:5070".into()]));
        answers.set.insert("limits.calls".to_owned(), Value::Integer(7));
        answers.set.insert("trunk.expires".to_owned(), Value::Integer(900));
        let config = parsed(&answers);
        assert_eq!(config.lan.listen, ["127.0.0.1:5070".parse().unwrap()]);
        assert_eq!(config.limits.calls, 7);
        assert_eq!(config.trunk.expires.as_secs(), 900);
    }

    #[test]
    fn another_domain_changes_its_lines_alone() {
        let file = "# a.sip.twilio.com\n[trunk]\ndomain = \"a.sip.twilio.com\" # mine\nserver_name = 'a.sip.twilio.com'\n\
                    [webhook]\npublic_url = \"https://a.sip.twilio.com\"\n";
        let changed = with_domain(file, "a.sip.twilio.com", "b.sip.twilio.com").unwrap();
        assert_eq!(
            changed,
            "# a.sip.twilio.com\n[trunk]\ndomain = \"b.sip.twilio.com\" # mine\nserver_name = 'b.sip.twilio.com'\n\
             [webhook]\npublic_url = \"https://a.sip.twilio.com\"\n"
        );
        assert_eq!(with_domain(file, "c.sip.twilio.com", "b.sip.twilio.com"), None);
    }
}
