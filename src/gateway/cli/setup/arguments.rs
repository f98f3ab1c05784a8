//! The flags of `gateway setup`. Each question has one; `--print-answers` shows the file that says the same.

use std::path::PathBuf;

use clap::Args;

use super::answers::{Answers, OfExtension, Protect};
use super::tunnel::Need;
use crate::cli::arguments::Trace;
use gateway_core::config::DEFAULT_ENVIRONMENT;

const MORE: &str = "\
Without a config file, and with --wizard, it asks for what it must know, writes the file and goes on as always: it shows \
what would change at Twilio, asks, does it, and proves that it works. What was answered is kept until then, so it may be \
stopped at any point and run again.

Unattended: gateway setup --print-answers >answers.toml, edit, chmod 600, gateway setup --answers answers.toml --unattended

Exit codes: 0 done, 1 failed (run it again, it goes on from there), 3 the account is done but the proof failed.";

#[derive(Clone, Debug, Args)]
#[command(after_help = MORE)]
pub(in crate::cli) struct SetupArguments {
    /// Ask nothing; the auth token comes from TWILIO_AUTH_TOKEN, the answers file or the last set-up
    #[arg(long, visible_alias = "unattended")]
    pub yes: bool,
    /// Forget what a run that was stopped had been told, and ask for it again
    #[arg(long)]
    pub anew: bool,
    /// Ask for everything also when there is a config file, and write it anew
    #[arg(long)]
    pub wizard: bool,
    /// Answers to the questions, as TOML
    #[arg(long, value_name = "FILE")]
    pub answers: Option<PathBuf>,
    /// Print an answers file with comments, and do nothing
    #[arg(long)]
    pub print_answers: bool,
    #[command(flatten)]
    pub trace: Trace,
    /// Go on with the auth token instead of an API key of our own
    #[arg(long)]
    pub no_api_key: bool,
    /// Do not prove that it works
    #[arg(long)]
    pub no_prove: bool,
    /// Ring the phone of this extension in the end
    #[arg(long, value_name = "EXTENSION", conflicts_with_all = ["no_ring", "no_prove"])]
    pub ring: Option<String>,
    /// Do not offer to ring a phone
    #[arg(long)]
    pub no_ring: bool,
    /// A number that may be bought; may be given more than once
    #[arg(long, value_name = "NUMBER")]
    pub buy: Vec<String>,
    #[command(flatten)]
    pub told: Told,
}

/// Answers by flags.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Answers")]
pub(in crate::cli) struct Told {
    /// AC and 32 hex digits, from console.twilio.com
    #[arg(long, value_name = "AC...")]
    account_sid: Option<String>,
    /// Names what belongs to this box at Twilio
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// A number of the account that rings here; may be given more than once
    #[arg(long, value_name = "NUMBER", conflicts_with = "no_number")]
    number: Vec<String>,
    /// No number rings here
    #[arg(long)]
    no_number: bool,
    /// Buy the first number that is offered with this area code
    #[arg(long, value_name = "503")]
    buy_area_code: Option<String>,
    /// Environments; this box runs the first one. Default: prod
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    environments: Vec<String>,
    /// SIP domain, of an environment other than prod with its name before it
    #[arg(long, value_name = "[ENVIRONMENT=]NAME")]
    domain: Vec<String>,
    /// Take over the SIP domain when it is in the account already
    #[arg(long, value_name = "ENVIRONMENT", num_args = 0..=1, default_missing_value = DEFAULT_ENVIRONMENT)]
    adopt_domain: Vec<String>,
    /// Where Twilio reaches this box
    #[arg(long, value_name = "[ENVIRONMENT=]URL")]
    public_url: Vec<String>,
    /// An SSH server of yours that Twilio's requests come through
    #[arg(long, value_name = "USER@HOST", conflicts_with_all = ["tunnel_command", "tunnel_certificate"])]
    tunnel_server: Option<String>,
    /// A program that brings them, with its arguments: 'cloudflared tunnel --url http://{address}'
    #[arg(long, value_name = "COMMAND", conflicts_with = "tunnel_certificate")]
    tunnel_command: Option<String>,
    /// They come to this box itself, with this certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tunnel_key")]
    tunnel_certificate: Option<String>,
    /// The private key of that certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tunnel_certificate")]
    tunnel_key: Option<String>,
    /// An extension, perhaps with the name that is shown when it calls; may be given more than once
    #[arg(long, value_name = "NAME[=DISPLAY]")]
    extension: Vec<String>,
    /// The number that an extension, or all, show outside
    #[arg(long, value_name = "[EXTENSION=]NUMBER")]
    caller_id: Vec<String>,
    /// No phone here may call emergency numbers
    #[arg(long)]
    no_emergency: bool,
    /// Emergency address: who is there
    #[arg(long, value_name = "NAME")]
    address_customer: Option<String>,
    /// Emergency address: street and number
    #[arg(long, value_name = "STREET")]
    address_street: Option<String>,
    /// Emergency address: floor, room
    #[arg(long, value_name = "TEXT")]
    address_street_secondary: Option<String>,
    /// Emergency address: city
    #[arg(long, value_name = "CITY")]
    address_city: Option<String>,
    /// Emergency address: state or province
    #[arg(long, value_name = "STATE")]
    address_region: Option<String>,
    /// Emergency address: postal code
    #[arg(long, value_name = "CODE")]
    address_postal_code: Option<String>,
    /// Emergency address: country, ISO 3166
    #[arg(long, value_name = "US")]
    address_country: Option<String>,
    /// How this box knows that a request is from Twilio
    #[arg(long)]
    protect: Option<Protect>,
    /// Any other key of gateway.toml, as TOML: --set 'lan.listen=["192.168.1.1"]'
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

impl Told {
    /// Whether any answer was given.
    pub(super) fn is_empty(&self) -> bool {
        self.answers(&[]).is_ok_and(|answers| answers == Answers::default())
    }

    /// As answers. The error names the flag.
    pub(super) fn answers(&self, buy: &[String]) -> Result<Answers, Vec<String>> {
        let mut answers = Answers {
            account_sid: self.account_sid.clone(),
            site: self.site.clone(),
            buy_area_code: self.buy_area_code.clone(),
            emergency: self.no_emergency.then_some(false),
            protect: self.protect,
            buy: buy.to_vec(),
            ..Answers::default()
        };
        let is_numbers_given = self.no_number || !self.number.is_empty() || !buy.is_empty();
        if is_numbers_given || self.buy_area_code.is_some() {
            let mut numbers = self.number.clone();
            numbers.extend(buy.iter().filter(|number| !self.number.contains(number)).cloned());
            answers.numbers = Some(numbers);
        }
        if !self.environments.is_empty() {
            answers.environments = Some(self.environments.clone());
        }
        for given in &self.domain {
            let (name, domain) = of_environment(given);
            answers.environment(name).domain = Some(domain.to_owned());
        }
        for given in &self.public_url {
            let (name, url) = of_environment(given);
            answers.environment(name).public_url = Some(url.to_owned());
        }
        for name in &self.adopt_domain {
            answers.environment(name).adopt = Some(true);
        }
        if !self.extension.is_empty() {
            answers.extensions = Some(self.extension.iter().map(|given| extension(given)).collect());
        }
        let address = &mut answers.address;
        address.customer.clone_from(&self.address_customer);
        address.street.clone_from(&self.address_street);
        address.street_secondary.clone_from(&self.address_street_secondary);
        address.city.clone_from(&self.address_city);
        address.region.clone_from(&self.address_region);
        address.postal_code.clone_from(&self.address_postal_code);
        address.country.clone_from(&self.address_country);

        let mut mistakes = Vec::new();
        for (way, key, given) in [
            ("ssh", Need::Server, &self.tunnel_server),
            ("command", Need::Command, &self.tunnel_command),
            ("direct", Need::Certificate, &self.tunnel_certificate),
            ("direct", Need::PrivateKey, &self.tunnel_key),
        ] {
            let Some(given) = given else { continue };
            answers.tunnel.insert("driver".to_owned(), way.into());
            if let Err(wrong) = key.put(given, &mut answers) {
                mistakes.push(format!("--tunnel-{} {given}: {wrong}", key.key()));
            }
        }
        for given in &self.caller_id {
            let (name, number) = given.split_once('=').map_or((None, given.as_str()), |(name, it)| (Some(name), it));
            let mut taken = false;
            for extension in answers.extensions.iter_mut().flatten() {
                // One that is for all does not replace one that is for this extension.
                if name == Some(&extension.name) || (name.is_none() && extension.caller_id.is_none()) {
                    extension.caller_id = Some(number.to_owned());
                    taken = true;
                }
            }
            if !taken {
                mistakes.push(format!("--caller-id {given}: there is no --extension that it could be for; add it"));
            }
        }
        for given in &self.set {
            match setting(given) {
                Ok((key, value)) => drop(answers.set.insert(key, value)),
                Err(wrong) => mistakes.push(format!("--set {given}: {wrong}")),
            }
        }
        if mistakes.is_empty() { Ok(answers) } else { Err(mistakes) }
    }
}

/// `stage=…` or `…`, which is prod's. No domain and no URL begins with an environment's name and `=`.
fn of_environment(given: &str) -> (&str, &str) {
    match given.split_once('=') {
        Some((name, value)) if name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) => {
            (name, value)
        }
        _ => (DEFAULT_ENVIRONMENT, given),
    }
}

fn extension(given: &str) -> OfExtension {
    // A flag without a name to show says that there is none.
    let (name, display) = given.split_once('=').unwrap_or((given, ""));
    OfExtension { name: name.to_owned(), display_name: Some(display.to_owned()), caller_id: None }
}

/// A key of the config file and its value.
fn setting(given: &str) -> Result<(String, toml::Value), String> {
    let way = "write SECTION.KEY=VALUE, the value as in gateway.toml: lan.listen=[\"192.168.1.1\"]";
    let (key, value) = given.split_once('=').ok_or_else(|| format!("has no value; {way}"))?;
    let key = key.trim();
    if key.is_empty() || !key.contains('.') {
        return Err(format!("names no section; {way}"));
    }
    let table: toml::Table = format!("value = {value}").parse().map_err(|_| format!("is no TOML; {way}"))?;
    match table.into_iter().next() {
        Some((_, value)) if table_of_one(given) => Ok((key.to_owned(), value)),
        _ => Err(format!("is no TOML; {way}")),
    }
}

/// A value must not bring lines of its own.
fn table_of_one(given: &str) -> bool {
    !given.contains(['\n', '\r'])
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        setup: SetupArguments,
    }

    fn told(line: &[&str]) -> Result<Answers, Vec<String>> {
        let line = Line::try_parse_from([&["setup"], line].concat()).unwrap_or_else(|error| panic!("{error}"));
        line.setup.told.answers(&line.setup.buy)
    }

    #[test]
    fn flags_say_what_an_answers_file_says() {
        let answers = told(&[
            "--account-sid",
            "AC1",
            "--site",
            "office",
            "--number",
            "+15035551212",
            "--environments",
            "prod,stage",
            "--domain",
            "a.sip.twilio.com",
            "--domain",
            "stage=b.sip.twilio.com",
            "--public-url",
            "https://h/?",
            "--public-url",
            "stage=https://s/a=b",
            "--extension",
            "101=Front desk",
            "--extension",
            "102",
            "--caller-id",
            "102=+15035551213",
            "--caller-id",
            "+15035551212",
            "--no-emergency",
            "--adopt-domain",
            "--adopt-domain",
            "stage",
            "--set",
            "lan.listen=[\"192.168.1.1\"]",
        ])
        .unwrap();
        assert_eq!(answers.environments.as_deref().unwrap(), ["prod", "stage"]);
        assert_eq!(answers.of_environment["stage"].domain.as_deref(), Some("b.sip.twilio.com"));
        assert_eq!(answers.of_environment["stage"].public_url.as_deref(), Some("https://s/a=b"));
        assert_eq!(answers.of_environment["prod"].adopt, Some(true));
        let extensions = answers.extensions.unwrap();
        assert_eq!(extensions[0].display_name.as_deref(), Some("Front desk"));
        assert_eq!(extensions[0].caller_id.as_deref(), Some("+15035551212"));
        assert_eq!(extensions[1].display_name.as_deref(), Some(""));
        assert_eq!(extensions[1].caller_id.as_deref(), Some("+15035551213"));
        assert_eq!(answers.emergency, Some(false));
        assert_eq!(answers.set["lan.listen"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_number_to_buy_is_a_number_of_the_site() {
        let answers = told(&["--buy", "+15035551212"]).unwrap();
        assert_eq!(
            (answers.numbers.unwrap(), answers.buy),
            (vec!["+15035551212".to_owned()], vec!["+15035551212".to_owned()])
        );
        assert_eq!(told(&[]).unwrap().numbers, None);
        assert_eq!(told(&["--no-number"]).unwrap().numbers, Some(vec![]));
    }

    #[test]
    fn a_wrong_setting_says_how_to_write_it() {
        for wrong in ["lan.listen", "listen=1", "lan.listen=[", "a.b=1\nc=2"] {
            let error = told(&["--set", wrong]).unwrap_err();
            assert!(error[0].contains("SECTION.KEY=VALUE"), "{error:?}");
        }
    }

    #[test]
    fn a_tunnel_is_told_by_what_it_needs() {
        let told_tunnel = |line: &[&str]| told(line).unwrap().tunnel;
        let table = told_tunnel(&["--tunnel-server", "tunnel@server.example.com"]);
        assert_eq!((table["driver"].as_str(), table.len()), (Some("ssh"), 2));
        let table = told_tunnel(&["--tunnel-command", "cloudflared tunnel --url http://{address}"]);
        assert_eq!((table["driver"].as_str(), table["command"].as_array().unwrap().len()), (Some("command"), 4));
        let table = told_tunnel(&["--tunnel-certificate", "/c.pem", "--tunnel-key", "/k.pem"]);
        assert_eq!((table["driver"].as_str(), table["listen"].as_str()), (Some("direct"), Some("0.0.0.0:443")));
        assert!(told(&["--tunnel-server", "server"]).unwrap_err()[0].contains("write \"user@host\""));
    }

    #[test]
    fn unattended_is_another_name_of_yes() {
        let line = Line::try_parse_from(["setup", "--unattended"]).unwrap();
        assert!(line.setup.yes);
    }
}
