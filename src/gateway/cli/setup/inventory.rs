//! What the account has, as far as questions depend on it.

use serde_json::Value;

use gateway_account::account_status::{AccountKind, AccountStatus};
use gateway_account::api::{Api, ApiError};
use gateway_account::kind::{Id, Kind};
use gateway_account::owned::Owned;
use gateway_core::plain::plain;

/// An account that answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Inventory {
    pub standing: AccountStatus,
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

/// Asks the account, with the auth token.
pub(super) fn read(api: &mut dyn Api, owned: &Owned) -> Result<Inventory, ApiError> {
    let standing = AccountStatus::read(api)?;
    let mut list = |kind: Kind| api.list(&kind.collection(None), kind.schema().records);
    let numbers = list(Kind::PhoneNumber)?.iter().map(number).collect();
    let domains = list(Kind::Domain)?.iter().map(|fields| domain(fields, owned)).collect();
    Ok(Inventory { standing, numbers, domains })
}

/// What a person is told when the account answers.
pub(super) fn greeting(standing: &AccountStatus) -> Vec<String> {
    let AccountStatus { friendly_name, kind, balance, .. } = standing;
    let balance = balance.as_ref().map(|(amount, currency)| format!(", balance {amount} {currency}"));
    let kind_name = if *kind == AccountKind::Trial { "trial" } else { "full" };
    let mut lines = vec![format!("account \"{friendly_name}\": {kind_name}{}", balance.unwrap_or_default())];
    if *kind == AccountKind::Trial {
        lines.push(
            "note: a trial account calls only numbers that were verified at console.twilio.com (32100), and every call \
             says that it is a trial; upgrade it there"
                .to_owned(),
        );
    }
    lines.iter().map(|line| plain(line)).collect()
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
    Some(gateway_core::url::masked(&found))
}

/// A field as text that a terminal may be given.
fn text(fields: &Value, name: &str) -> String {
    let text = fields.get(name).and_then(Value::as_str).unwrap_or_default();
    plain(text)
}

impl Inventory {
    /// The domain of that name.
    pub fn domain(&self, name: &str) -> Option<&AccountDomain> {
        self.domains.iter().find(|domain| domain.name == name)
    }

    /// Whether the account has that number.
    pub fn has_number(&self, number: &str) -> bool {
        self.numbers.iter().any(|known| known.number == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_account_is_told_what_that_means() {
        let mut standing = AccountStatus {
            status: "active".to_owned(),
            kind: AccountKind::Trial,
            friendly_name: "B\u{7}ox".to_owned(),
            balance: Some(("15.50".to_owned(), "USD".to_owned())),
        };
        let lines = greeting(&standing);
        assert_eq!(lines[0], "account \"Box\": trial, balance 15.50 USD");
        assert!(lines[1].contains("verified"));
        standing.kind = AccountKind::Full;
        assert_eq!(greeting(&standing).len(), 1);
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
