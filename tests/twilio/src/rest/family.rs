//! The requests that nearly every family answers: list, create, fetch, update, delete.

use serde_json::Value;

use super::page::page;
use super::resource::{Kind, Record, snake};
use super::serve::{Reply, RestRequest};
use super::{RestError, Store};
use crate::form::decode;

/// A form or a query.
pub type Pairs = [(String, String)];

/// Parameters of every list (TWILIO.md "API pages").
const PAGING: [&str; 3] = ["Page", "PageSize", "PageToken"];

/// Makes a resource under a parent; gives what the API shows.
pub type Create = fn(&mut Store, Option<&str>, &Pairs) -> Result<Value, RestError>;
/// Changes the resource with that SID.
pub type Update = fn(&mut Store, Option<&str>, &str, &Pairs) -> Result<Value, RestError>;
/// Deletes the resource with that SID.
pub type Delete = fn(&mut Store, Option<&str>, &str) -> Result<(), RestError>;

/// What a family of resources answers; what is `None` gets 405.
pub struct Family {
    /// Its kind.
    pub kind: Kind,
    /// The array's name in a list (TWILIO.md "API pages").
    pub key: &'static str,
    /// Query parameters that a list is filtered by, compared exactly with the field of the same name.
    pub filters: &'static [&'static str],
    /// Creation, 201.
    pub create: Option<Create>,
    /// Update, 200.
    pub update: Option<Update>,
    /// Deletion, 204.
    pub delete: Option<Delete>,
}

impl Family {
    /// Answers a request; `rest` is what follows the family's name in the path.
    pub fn answer(&self, store: &mut Store, request: &RestRequest, parent: Option<&str>, rest: &[&str]) -> Reply {
        let (method, path, form) = (request.method.as_str(), request.path.as_str(), request.form.as_slice());
        match (method, rest) {
            ("GET", []) => self.list(store, request, parent, |r| Value::Object(r.fields.clone())),
            ("GET", [sid]) => {
                let record = store.get(self.kind, parent, sid).ok_or_else(|| RestError::not_found(path))?;
                Ok((200, Some(Value::Object(record.fields.clone()))))
            }
            ("POST", []) => {
                let create = self.create.ok_or_else(|| RestError::method(method))?;
                create(store, parent, form).map(|body| (201, Some(body)))
            }
            ("POST", [sid]) => {
                let update = self.update.ok_or_else(|| RestError::method(method))?;
                store.get(self.kind, parent, sid).ok_or_else(|| RestError::not_found(path))?;
                update(store, parent, sid, form).map(|body| (200, Some(body)))
            }
            ("DELETE", [sid]) => {
                let delete = self.delete.ok_or_else(|| RestError::method(method))?;
                store.get(self.kind, parent, sid).ok_or_else(|| RestError::not_found(path))?;
                delete(store, parent, sid).map(|()| (204, None))
            }
            (_, [] | [_]) => Err(RestError::method(method)),
            _ => Err(RestError::not_found(path)),
        }
    }

    /// A page of the records that the query selects, each as `show` says.
    pub fn list(
        &self,
        store: &mut Store,
        request: &RestRequest,
        parent: Option<&str>,
        show: impl Fn(&Record) -> Value,
    ) -> Reply {
        let query = decode(&request.query);
        note_unknown(store, &query, self.filters);
        let records: Vec<Value> =
            store.all(self.kind, parent).into_iter().filter(|r| selected(r, &query, self.filters)).map(show).collect();
        page(&request.path, &request.query, self.key, &records).map(|body| (200, Some(body)))
    }
}

/// Counts the query parameters of a list that nobody knows.
pub fn note_unknown(store: &mut Store, query: &Pairs, filters: &[&str]) {
    let known = |name: &str| filters.contains(&name) || PAGING.contains(&name);
    store.unknown_parameters.extend(query.iter().map(|(n, _)| n.clone()).filter(|n| !known(n)));
}

/// Does the record have what the query wants?
pub fn selected(record: &Record, query: &Pairs, filters: &[&str]) -> bool {
    let wanted = query.iter().filter(|(name, _)| filters.contains(&name.as_str()));
    wanted.into_iter().all(|(name, wanted)| match record.fields.get(&snake(name)) {
        Some(Value::String(text)) => text == wanted,
        Some(Value::Bool(flag)) => flag.to_string() == *wanted,
        _ => wanted.is_empty(),
    })
}

/// A parameter's value; empty when it is absent.
pub fn value<'a>(form: &'a Pairs, name: &str) -> &'a str {
    form.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str())
}

/// Refuses a form without one of `names`, with `code`.
pub fn require(form: &Pairs, names: &[&str], code: u32) -> Result<(), RestError> {
    match names.iter().find(|name| value(form, name).is_empty()) {
        Some(name) => Err(RestError::bad(code, format!("{name} is required"))),
        None => Ok(()),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A form for the tests of the families.
    pub fn pairs(form: &[(&str, &str)]) -> Vec<(String, String)> {
        form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_list_is_filtered_by_what_it_knows_and_counts_the_rest() {
        let mut store = Store::new("AC1");
        for name in ["a", "b"] {
            super::super::keys::create(&mut store, None, &pairs(&[("FriendlyName", name)])).unwrap();
        }
        let family = Family { filters: &["FriendlyName"], ..super::super::keys::FAMILY };
        let mut request = RestRequest::post("/Keys.json", &[]);
        request.method = "GET".to_owned();
        request.query = "FriendlyName=b&Colour=red&PageSize=5".to_owned();
        let body = family.answer(&mut store, &request, None, &[]).unwrap().1.unwrap();
        assert_eq!(body["keys"].as_array().unwrap().len(), 1);
        assert_eq!(store.unknown_parameters, ["Colour"]);
    }
}
