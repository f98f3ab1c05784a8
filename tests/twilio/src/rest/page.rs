//! Paging of the 2010 API (TWILIO.md "API pages").

use serde_json::{Value, json};

use super::RestError;
use crate::form::{decode, encode};

/// TWILIO.md "API pages": page_size (default 50, max 1000, over -> 20007).
const DEFAULT: usize = 50;
const MAX: usize = 1000;

/// One page of `records` under `key`; `path` and `query` are those of the request.
pub fn page(path: &str, query: &str, key: &str, records: &[Value]) -> Result<Value, RestError> {
    let pairs = decode(query);
    let number = |name: &str| pairs.iter().find(|(n, _)| n == name).and_then(|(_, v)| v.parse::<usize>().ok());
    let size = number("PageSize").unwrap_or(DEFAULT);
    if size > MAX {
        return Err(RestError::bad(20007, "Page size must be between 1 and 1000"));
    }
    let size = size.max(1);
    let page = number("Page").unwrap_or(0);
    let start = page.saturating_mul(size);
    let slice: Vec<&Value> = records.iter().skip(start).take(size).collect();
    let uri = |page: usize, first: bool| {
        let kept = pairs.iter().filter(|(n, _)| !["Page", "PageSize", "PageToken"].contains(&n.as_str()));
        let mut all: Vec<(String, String)> = kept.cloned().collect();
        all.push(("PageSize".to_owned(), size.to_string()));
        all.push(("Page".to_owned(), page.to_string()));
        if !first && page > 0 {
            // TWILIO.md "API pages": Follow next_page_uri verbatim; it carries PageToken.
            all.push(("PageToken".to_owned(), format!("PA{page}")));
        }
        format!("{path}?{}", encode(&all))
    };
    // A page other than the first needs its token, so that a client that builds the link itself is found out.
    if page > 0 && !pairs.iter().any(|(n, v)| n == "PageToken" && *v == format!("PA{page}")) {
        return Err(RestError::bad(20001, "Page token is missing; follow next_page_uri"));
    }
    let more = start + slice.len() < records.len();
    let mut body = json!({
        "page": page,
        "page_size": size,
        "start": start,
        "end": (start + slice.len()).saturating_sub(1),
        "uri": uri(page, false),
        "first_page_uri": uri(0, true),
        "next_page_uri": more.then(|| uri(page + 1, false)),
        "previous_page_uri": (page > 0).then(|| uri(page - 1, false)),
    });
    body[key] = json!(slice);
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_walked_by_next_page_uri() {
        let records: Vec<Value> = (0..5).map(|n| json!({ "n": n })).collect();
        let first = page("/x.json", "PageSize=2", "things", &records).unwrap();
        assert_eq!(first["things"].as_array().unwrap().len(), 2);
        assert_eq!(first["previous_page_uri"], Value::Null);
        let next = first["next_page_uri"].as_str().unwrap().split_once('?').unwrap().1.to_owned();
        let second = page("/x.json", &next, "things", &records).unwrap();
        assert_eq!(second["things"][0]["n"], 2);
        assert!(page("/x.json", "PageSize=2&Page=1", "things", &records).is_err());
        assert!(page("/x.json", "PageSize=2000", "things", &records).is_err());
    }
}
