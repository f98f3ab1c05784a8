//! What the account has, as far as questions depend on it.

use serde_json::Value;

use crate::store::Owned;
use crate::twilio::api::{Api, ApiError, Collection, Product};
use crate::twilio::kind::{Id, Kind};

/// An account that answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Facts {
    pub name: String,
    pub status: String,
    pub is_trial: bool,
    /// `42.50 USD`
    pub balance: Option<String>,
    pub numbers: Vec<AccountNumber>,
    pub domains: Vec<AccountDomain>,
}

/// A number of the account.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct AccountNumber {
    pub number: String,
    pub friendly_name: String,
    /// Where its calls go now, when they go anywhere.
    pub goes_to: Option<String>,
}

/// A SIP domain of the account.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct AccountDomain {
    pub name: String,
    pub goes_to: Option<String>,
    /// Made or adopted by this box.
    pub is_ours: bool,
}

/// Asks the account. Five requests at most.
pub(super) fn read(api: &mut dyn Api, owned: &Owned) -> Result<Facts, ApiError> {
    let account = api.account()?;
    // A trial account may have none to show, and set-up does not depend on it.
    let balance = api.get(&Collection::new(Product::Core, "Balance"), "").ok();
    let list = |api: &mut dyn Api, kind: Kind| api.list(&kind.collection(None), kind.schema().records);
    let numbers = list(api, Kind::PhoneNumber)?;
    let domains = list(api, Kind::Domain)?;
    Ok(Facts {
        name: text(&account, "friendly_name"),
        status: text(&account, "status"),
        is_trial: text(&account, "type") == "Trial",
        balance: balance
            .map(|balance| format!("{} {}", text(&balance, "balance"), text(&balance, "currency")))
            .filter(|shown| shown.trim() != ""),
        numbers: numbers.iter().map(number).collect(),
        domains: domains.iter().map(|fields| domain(fields, owned)).collect(),
    })
}

fn number(fields: &Value) -> AccountNumber {
    AccountNumber {
        number: text(fields, "phone_number"),
        friendly_name: text(fields, "friendly_name"),
        goes_to: first(fields, &["voice_application_sid", "trunk_sid", "voice_url"]),
    }
}

fn domain(fields: &Value, owned: &Owned) -> AccountDomain {
    let name = text(fields, "domain_name");
    let is_ours = owned.get(&Id::new(Kind::Domain, name.clone())).is_some();
    AccountDomain { is_ours, goes_to: first(fields, &["voice_url"]), name }
}

/// What stands in the first of these fields that holds anything; credentials in a URL are masked.
fn first(fields: &Value, names: &[&str]) -> Option<String> {
    let found = names.iter().map(|name| text(fields, name)).find(|text| !text.is_empty())?;
    Some(crate::twilio::setting::masked(&found))
}

/// A field as text that a terminal may be given.
fn text(fields: &Value, name: &str) -> String {
    let text = fields.get(name).and_then(Value::as_str).unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).collect()
}

impl Facts {
    /// The domain of that name.
    pub fn domain(&self, name: &str) -> Option<&AccountDomain> {
        self.domains.iter().find(|domain| domain.name == name)
    }

    /// Whether the account has that number.
    pub fn has_number(&self, number: &str) -> bool {
        self.numbers.iter().any(|known| known.number == number)
    }

    /// What a person is told when the account answers.
    pub fn greeting(&self) -> Vec<String> {
        let kind = if self.is_trial { "trial" } else { "full" };
        let balance = self.balance.as_ref().map(|balance| format!(", balance {balance}")).unwrap_or_default();
        let mut lines = vec![format!("account \"{}\": {kind}{balance}", self.name)];
        if self.is_trial {
            lines.push(
                "a trial account calls only numbers that were verified at console.twilio.com (32100), says that it is \
                 a trial in every call, and ends when its credit is used up; upgrade it there"
                    .to_owned(),
            );
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_account_is_told_what_that_means() {
        let facts = Facts {
            name: "Box".to_owned(),
            is_trial: true,
            balance: Some("15.50 USD".to_owned()),
            ..Facts::default()
        };
        let lines = facts.greeting();
        assert_eq!(lines[0], "account \"Box\": trial, balance 15.50 USD");
        assert!(lines[1].contains("verified"));
        assert_eq!(Facts::default().greeting().len(), 1);
    }

    #[test]
    fn names_from_twilio_cannot_steer_the_terminal() {
        let fields = serde_json::json!({ "phone_number": "+15035550100", "friendly_name": "a\u{1b}[2Jb",
            "voice_url": "https://u:p@h/" });
        let number = number(&fields);
        assert_eq!(number.friendly_name, "a[2Jb");
        assert_eq!(number.goes_to.unwrap(), "https://***@h/");
    }
}
