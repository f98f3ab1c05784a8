//! What set-up was told: by flags, by an answers file, by a person, now or in a run that was stopped.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use gateway_core::config::DEFAULT_ENVIRONMENT;
use gateway_core::secret::Secret;

/// `.sip.twilio.com`: what the names of SIP domains end in (TWILIO.md "Domain names").
pub(super) const DOMAIN_SUFFIX: &str = ".sip.twilio.com";

/// The shape of an answers file. What is absent was not answered yet; an empty text is the answer "none".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Answers {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_sid: Option<String>,
    /// Read from a file that a person wrote; never written by us.
    #[serde(skip_serializing)]
    pub auth_token: Option<Secret<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Numbers of the account that ring here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Vec<String>>,
    /// Numbers among them that may be bought.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub buy: Vec<String>,
    /// One more is to be found and bought with this area code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buy_area_code: Option<String>,
    /// Names; the first one is what this box runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environments: Option<Vec<String>>,
    /// Whether emergency numbers may be called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emergency: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protect: Option<Protect>,
    /// `[tunnel]` of `gateway.toml`, key by key.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub tunnel: toml::Table,
    #[serde(rename = "environment", skip_serializing_if = "BTreeMap::is_empty")]
    pub of_environment: BTreeMap<String, OfEnvironment>,
    #[serde(rename = "extension", skip_serializing_if = "Option::is_none")]
    pub extensions: Option<Vec<OfExtension>>,
    #[serde(skip_serializing_if = "OfAddress::is_empty")]
    pub address: OfAddress,
    /// Anything else of `gateway.toml`, by `SECTION.KEY`.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub set: toml::Table,
}

/// One environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct OfEnvironment {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The domain is in the account already, and set-up may take it over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adopt: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
}

/// One extension.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfExtension {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller_id: Option<String>,
}

/// Where an emergency service goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct OfAddress {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub street: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub street_secondary: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

/// How webhooks are protected ([`gateway_core::config::Protection`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Protect {
    /// Twilio signs each request; the auth token stays on this box
    Signature,
    /// A name and a password in the URLs; the auth token is not kept
    Credentials,
}

impl OfAddress {
    fn is_empty(&self) -> bool {
        *self == OfAddress::default()
    }

    /// The field of a part.
    pub fn part(&self, part: Part) -> &Option<String> {
        match part {
            Part::Customer => &self.customer,
            Part::Street => &self.street,
            Part::StreetSecondary => &self.street_secondary,
            Part::City => &self.city,
            Part::Region => &self.region,
            Part::PostalCode => &self.postal_code,
            Part::Country => &self.country,
        }
    }

    /// The field of a part, to be answered.
    pub fn part_mut(&mut self, part: Part) -> &mut Option<String> {
        match part {
            Part::Customer => &mut self.customer,
            Part::Street => &mut self.street,
            Part::StreetSecondary => &mut self.street_secondary,
            Part::City => &mut self.city,
            Part::Region => &mut self.region,
            Part::PostalCode => &mut self.postal_code,
            Part::Country => &mut self.country,
        }
    }
}

/// One line of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Customer,
    Street,
    StreetSecondary,
    City,
    Region,
    PostalCode,
    Country,
}

impl Part {
    /// In the order in which they are asked.
    pub const ALL: [Part; 7] = [
        Part::Customer,
        Part::Street,
        Part::StreetSecondary,
        Part::City,
        Part::Region,
        Part::PostalCode,
        Part::Country,
    ];

    /// Its key in `[address]`.
    pub fn key(self) -> &'static str {
        match self {
            Part::Customer => "customer",
            Part::Street => "street",
            Part::StreetSecondary => "street_secondary",
            Part::City => "city",
            Part::Region => "region",
            Part::PostalCode => "postal_code",
            Part::Country => "country",
        }
    }
}

impl Answers {
    /// The environments, as far as they are known.
    pub fn environment_names(&self) -> Vec<String> {
        match &self.environments {
            Some(names) => names.clone(),
            None => vec![DEFAULT_ENVIRONMENT.to_owned()],
        }
    }

    /// What was said of one environment.
    pub fn environment(&mut self, name: &str) -> &mut OfEnvironment {
        self.of_environment.entry(name.to_owned()).or_default()
    }

    /// Whether emergency calls are wanted; an address says yes.
    pub fn wants_emergency(&self) -> Option<bool> {
        self.emergency.or((!self.address.is_empty()).then_some(true))
    }

    /// These answers, and where they have none, those.
    pub fn or(mut self, other: Answers) -> Answers {
        self.account_sid = self.account_sid.or(other.account_sid);
        self.auth_token = self.auth_token.or(other.auth_token);
        self.site = self.site.or(other.site);
        // What may be bought belongs to the numbers that were chosen.
        if self.numbers.is_none() && self.buy.is_empty() && self.buy_area_code.is_none() {
            self.numbers = other.numbers;
            self.buy = other.buy;
            self.buy_area_code = other.buy_area_code;
        }
        self.environments = self.environments.or(other.environments);
        self.emergency = self.emergency.or(other.emergency);
        self.protect = self.protect.or(other.protect);
        // What belongs to another driver is of no use to ours.
        let is_other = |driver: &toml::Value| other.tunnel.get("driver").is_some_and(|theirs| theirs != driver);
        if !self.tunnel.get("driver").is_some_and(is_other) {
            for (key, value) in other.tunnel {
                self.tunnel.entry(key).or_insert(value);
            }
        }
        for (name, theirs) in other.of_environment {
            let ours = self.environment(&name);
            // Leave to adopt is for the domain that it was given for.
            if ours.domain.is_none() || ours.domain == theirs.domain {
                ours.adopt = ours.adopt.or(theirs.adopt);
            }
            ours.domain = ours.domain.take().or(theirs.domain);
            ours.public_url = ours.public_url.take().or(theirs.public_url);
        }
        self.extensions = match (self.extensions, other.extensions) {
            (Some(mut ours), theirs) => {
                for extension in &mut ours {
                    let known = theirs.iter().flatten().find(|known| known.name == extension.name);
                    extension.display_name =
                        extension.display_name.take().or_else(|| known.and_then(|known| known.display_name.clone()));
                    extension.caller_id =
                        extension.caller_id.take().or_else(|| known.and_then(|known| known.caller_id.clone()));
                }
                Some(ours)
            }
            (None, theirs) => theirs,
        };
        for part in Part::ALL {
            let ours = self.address.part_mut(part);
            *ours = ours.take().or_else(|| other.address.part(part).clone());
        }
        for (key, value) in other.set {
            self.set.entry(key).or_insert(value);
        }
        self
    }

    /// Reads an answers file. The error says where and what, and repeats no content: a token may be in it.
    pub fn read(text: &str) -> Result<Answers, String> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            // serde's own words repeat the value, and that may be the token.
            let message = match (error.message(), error.message().find("expected ")) {
                (message, _) if message.starts_with("unknown field") => message,
                (message, Some(at)) => &message[at..],
                (message, None) => message,
            };
            format!("line {line}: {message}; \"gateway setup --print-answers\" shows how it is written")
        })
    }

    /// As a file: without the token.
    pub fn write(&self) -> Result<String, String> {
        toml::to_string(self).map_err(|error| error.to_string())
    }
}

/// What `--print-answers` prints.
pub(super) const EXAMPLE: &str = r#"# Answers for `gateway setup --answers FILE --unattended`. Every key has a flag that says the same.
# Keep the file to yourself (chmod 600) when the auth token is in it.

# From console.twilio.com.                                             --account-sid
account_sid = "AC00000000000000000000000000000000"
# Or TWILIO_AUTH_TOKEN in the environment; there is no flag for it.
#auth_token = "00000000000000000000000000000000"
# Names what belongs to this box at Twilio. a-z 0-9 -                   --site
site = "office"
# Numbers of the account that ring here; [] for none.                  --number (may be repeated), --no-number
numbers = ["+15035551212"]
# Numbers of that list that are bought when the account does not have them (about 1.15 USD a month each). --buy
#buy = []
# Buy one more: the first that is offered with this area code.         --buy-area-code
#buy_area_code = "503"
# The first one is what this box runs.                                 --environments prod,stage
#environments = ["prod"]
# Whether the phones may call 911 and 933; needs a number and [address].  --no-emergency
emergency = true
# "signature": the auth token stays on this box to check Twilio's signatures. "credentials": a password in the URLs
# at Twilio instead, and the token is forgotten.                        --protect
#protect = "signature"

# One table per environment.
[environment.prod]
# Unique among all customers of Twilio.                                --domain [ENVIRONMENT=]NAME
domain = "office-7f3k.sip.twilio.com"
# Where Twilio reaches this box. Leave it out where the tunnel tells it. --public-url [ENVIRONMENT=]URL
public_url = "https://gateway.example.com"
# Take the domain over when it is in the account already.              --adopt-domain [ENVIRONMENT]
#adopt = false

# How Twilio's requests get from there to 127.0.0.1:8080, with the keys of [tunnel] in gateway.toml. Nothing here:
# something of yours brings them.
[tunnel]
# By a forward of an SSH server of yours.                              --tunnel-server USER@HOST
#driver = "ssh"
#server = "tunnel@gateway.example.com"
# Or by a program; its URL is found in what it prints.                 --tunnel-command "cloudflared ..."
# driver = "command"
# command = ["cloudflared", "tunnel", "--url", "http://{address}"]
# Or by TLS on a public address of this box.                           --tunnel-certificate FILE --tunnel-key FILE
# driver = "direct"
# listen = "0.0.0.0:443"
# certificate = "/etc/gateway/fullchain.pem"
# key = "/etc/gateway/privkey.pem"

# One table per extension.                                             --extension NAME[=DISPLAY]
[[extension]]
name = "101"
#display_name = "Front desk"
# The number it shows outside; needed when there are several.          --caller-id [EXTENSION=]NUMBER
#caller_id = "+15035551212"

# Where an emergency service goes when a phone here calls.             --address-customer, --address-street, ...
[address]
customer = "Example Inc."
street = "1 Main St"
#street_secondary = "Floor 2"
city = "Portland"
region = "OR"
postal_code = "97201"
country = "US"

# Anything else of gateway.toml, by section and key.                    --set SECTION.KEY=VALUE
[set]
#"lan.listen" = ["192.168.1.1"]
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_a_valid_answers_file() {
        let answers = Answers::read(EXAMPLE).unwrap();
        assert_eq!(answers.site.as_deref(), Some("office"));
        assert_eq!(answers.wants_emergency(), Some(true));
        // With every commented key, too.
        let all: String = EXAMPLE
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let answers = Answers::read(&all).unwrap();
        assert_eq!(answers.buy_area_code.as_deref(), Some("503"));
        assert_eq!(answers.protect, Some(Protect::Signature));
        assert!(answers.auth_token.is_some());
        assert_eq!(answers.tunnel["server"].as_str(), Some("tunnel@gateway.example.com"));
        assert!(answers.set.contains_key("lan.listen"));
    }

    #[test]
    fn answers_written_and_read_again_are_the_same_but_for_the_token() {
        let mut answers = Answers::read(EXAMPLE).unwrap();
        answers.auth_token = Some(Secret::new("sesame".to_owned()));
        let written = answers.write().unwrap();
        assert!(!written.contains("sesame") && !written.contains("auth_token"));
        answers.auth_token = None;
        assert_eq!(Answers::read(&written).unwrap(), answers);
    }

    #[test]
    fn a_mistake_names_its_line_and_never_what_stands_there() {
        let error = Answers::read("site = \"office\"\nauth_tokn = \"sesame\"\n").unwrap_err();
        assert!(error.starts_with("line 2: unknown field `auth_tokn`"), "{error}");
        for broken in ["auth_token = 5005\n", "site = \"x\"\nauth_token = [\"sesame\"]\n", "auth_token = sesame\n"] {
            let error = Answers::read(broken).unwrap_err();
            assert!(!error.contains("sesame") && !error.contains("5005"), "{error}");
        }
    }

    #[test]
    fn another_driver_takes_nothing_over_from_the_one_before() {
        let of = |text: &str| Answers { tunnel: text.parse().unwrap(), ..Answers::default() };
        let before = of("driver = \"ssh\"\nserver = \"a@b\"\nprove_every = 30");
        assert_eq!(of("driver = \"command\"").or(before.clone()).tunnel.len(), 1);
        assert_eq!(of("server = \"c@d\"").or(before).tunnel["prove_every"].as_integer(), Some(30));
    }

    #[test]
    fn flags_win_over_what_was_answered_before_and_the_rest_is_kept() {
        let before = Answers::read(EXAMPLE).unwrap();
        let flags = Answers {
            site: Some("shop".to_owned()),
            extensions: Some(vec![OfExtension { name: "102".to_owned(), ..Default::default() }]),
            ..Default::default()
        };
        let both = flags.or(before.clone());
        assert_eq!(both.site.as_deref(), Some("shop"));
        assert_eq!(both.account_sid, before.account_sid);
        assert_eq!(both.extensions.unwrap().len(), 1);
        assert_eq!(both.address, before.address);
    }
}
