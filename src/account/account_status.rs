//! How an account stands with Twilio: whether it may do anything, and how much money it has.

use serde_json::Value;

use crate::api::{Api, ApiError, Collection, Product};

/// What an account says about itself (TWILIO.md "Account standing").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountStatus {
    /// `active`, `suspended` or `closed`.
    pub status: String,
    pub kind: AccountKind,
    pub friendly_name: String,
    /// Amount and currency as Twilio writes them; absent where it does not tell.
    pub balance: Option<(String, String)>,
}

/// Whether it is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountKind {
    /// Calls verified numbers only (32100).
    Trial,
    Full,
}

impl AccountStatus {
    /// Asks for the account and its balance. `api` must be authenticated with the auth token: a standard key is refused
    /// here as if its secret were wrong (see [`check_key`]).
    pub fn read(api: &mut dyn Api) -> Result<AccountStatus, ApiError> {
        let account = api.account()?;
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let balance = match api.get(&Collection::new(Product::Core, "Balance"), "") {
            Ok(balance) => text(&balance, "balance").zip(text(&balance, "currency")),
            // Subaccounts have none of their own.
            Err(ApiError::Refused { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(AccountStatus {
            status: text(&account, "status").unwrap_or_default(),
            kind: match text(&account, "type").as_deref() {
                Some("Trial") => AccountKind::Trial,
                _ => AccountKind::Full,
            },
            friendly_name: text(&account, "friendly_name").unwrap_or_default(),
            balance,
        })
    }

    /// Whether Twilio takes changes and calls.
    pub fn is_active(&self) -> bool {
        self.status == "active"
    }
}

/// Whether an API key works, by one request that it may make (TWILIO.md "Account standing"). `api` must be
/// authenticated with it.
pub fn check_key(api: &mut dyn Api) -> Result<(), ApiError> {
    let numbers = Collection::new(Product::Core, "IncomingPhoneNumbers").filtered("PageSize", "1");
    api.get(&numbers, "").map(drop)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::{Form, Upload};

    /// Answers reads by their path.
    struct Reads(Vec<(&'static str, Result<Value, ApiError>)>);

    impl Reads {
        fn answer(&mut self, path: &str) -> Result<Value, ApiError> {
            let (expected, answer) = self.0.remove(0);
            assert_eq!(path, expected);
            answer
        }
    }

    impl Api for Reads {
        fn account(&mut self) -> Result<Value, ApiError> {
            self.answer("")
        }

        fn get(&mut self, collection: &Collection, sid: &str) -> Result<Value, ApiError> {
            let query: String = collection.query.iter().map(|(name, value)| format!("?{name}={value}")).collect();
            self.answer(&format!("{}{query}{sid}", collection.path))
        }

        fn list(&mut self, _: &Collection, _: &str) -> Result<Vec<Value>, ApiError> {
            unreachable!()
        }

        fn create(&mut self, _: &Collection, _: &Form) -> Result<Value, ApiError> {
            unreachable!()
        }

        fn update(&mut self, _: &Collection, _: &str, _: &Form) -> Result<Value, ApiError> {
            unreachable!()
        }

        fn delete(&mut self, _: &Collection, _: &str) -> Result<(), ApiError> {
            unreachable!()
        }

        fn upload(&mut self, _: &str, _: &str, _: &Upload<'_>) -> Result<Value, ApiError> {
            unreachable!()
        }
    }

    fn refused(status: u16) -> ApiError {
        let (request, message) = ("GET".to_owned(), "no".to_owned());
        ApiError::Refused { request, status, code: None, message }
    }

    #[test]
    fn an_account_tells_its_status_its_kind_and_its_money() {
        let mut api = Reads(vec![
            ("", Ok(json!({"status": "active", "type": "Trial", "friendly_name": "Futel"}))),
            ("Balance", Ok(json!({"balance": "-0.10", "currency": "USD"}))),
        ]);
        let standing = AccountStatus::read(&mut api).unwrap();
        assert!(standing.is_active());
        assert_eq!(standing.kind, AccountKind::Trial);
        assert_eq!(standing.friendly_name, "Futel");
        assert_eq!(standing.balance, Some(("-0.10".to_owned(), "USD".to_owned())));
    }

    #[test]
    fn an_account_without_a_balance_of_its_own_stands_all_the_same() {
        let account = json!({"status": "suspended", "type": "Full", "friendly_name": "Futel"});
        let mut api = Reads(vec![("", Ok(account)), ("Balance", Err(refused(404)))]);
        let standing = AccountStatus::read(&mut api).unwrap();
        assert!(!standing.is_active());
        assert_eq!((standing.kind, standing.balance), (AccountKind::Full, None));
    }

    #[test]
    fn a_wrong_token_and_a_lost_answer_are_errors() {
        assert_eq!(AccountStatus::read(&mut Reads(vec![("", Err(refused(401)))])), Err(refused(401)));
        let lost = ApiError::NoAnswer { request: "GET".to_owned(), reason: "lost".to_owned() };
        let mut api = Reads(vec![("", Ok(json!({}))), ("Balance", Err(lost.clone()))]);
        assert_eq!(AccountStatus::read(&mut api), Err(lost));
    }

    #[test]
    fn a_key_is_checked_by_what_a_key_may_do() {
        let path = "IncomingPhoneNumbers?PageSize=1";
        assert_eq!(check_key(&mut Reads(vec![(path, Ok(json!({})))])), Ok(()));
        assert_eq!(check_key(&mut Reads(vec![(path, Err(refused(401)))])), Err(refused(401)));
    }
}
