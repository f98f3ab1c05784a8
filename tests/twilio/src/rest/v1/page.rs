//! Paging of the newer APIs: `meta` with absolute URLs (TWILIO.md "API pages").

use serde_json::{Value, json};

use crate::form::{decode, encode};
use crate::rest::RestError;

/// Records of a page: 50 by default, 1000 at most (TWILIO.md "API pages").
const DEFAULT: usize = 50;
const MAX: usize = 1000;

/// One page of `records` under `key`; `path` and `query` are those of the request, `base` is its scheme and host.
pub fn page(base: &str, path: &str, query: &str, key: &str, records: &[Value]) -> Result<Value, RestError> {
    let pairs = decode(query);
    let number = |name: &str| pairs.iter().find(|(n, _)| n == name).and_then(|(_, v)| v.parse::<usize>().ok());
    let size = number("PageSize").unwrap_or(DEFAULT);
    if !(1..=MAX).contains(&size) {
        return Err(RestError::bad(20007, "Page size must be between 1 and 1000"));
    }
    let page = number("Page").unwrap_or(0);
    // A page other than the first needs its token, so that a client that builds the link itself is found out.
    if page > 0 && !pairs.iter().any(|(n, v)| n == "PageToken" && *v == format!("PT{page}")) {
        return Err(RestError::bad(20001, "Page token is missing; follow next_page_url"));
    }
    let start = page.saturating_mul(size);
    let slice: Vec<&Value> = records.iter().skip(start).take(size).collect();
    let url = |page: usize| {
        let kept = pairs.iter().filter(|(n, _)| !["Page", "PageSize", "PageToken"].contains(&n.as_str()));
        let mut all: Vec<(String, String)> = kept.cloned().collect();
        all.push(("PageSize".to_owned(), size.to_string()));
        all.push(("Page".to_owned(), page.to_string()));
        if page > 0 {
            all.push(("PageToken".to_owned(), format!("PT{page}")));
        }
        format!("{base}{path}?{}", encode(&all))
    };
    let more = start.saturating_add(slice.len()) < records.len();
    let meta = json!({
        "key": key,
        "page": page,
        "page_size": size,
        "url": url(page),
        "first_page_url": url(0),
        "next_page_url": more.then(|| url(page + 1)),
        "previous_page_url": (page > 0).then(|| url(page - 1)),
    });
    Ok(json!({ key: slice, "meta": meta }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_walked_by_absolute_urls_on_the_address_that_the_client_sees() {
        let records: Vec<Value> = (0..5).map(|n| json!({ "n": n })).collect();
        let first = page("http://here:1", "/v1/Things", "Filter=a&PageSize=2", "things", &records).unwrap();
        assert_eq!(first["things"].as_array().unwrap().len(), 2);
        assert_eq!(first["meta"]["key"], "things");
        assert_eq!(first["meta"]["previous_page_url"], Value::Null);
        let next = first["meta"]["next_page_url"].as_str().unwrap();
        let query = next.strip_prefix("http://here:1/v1/Things?").unwrap();
        assert!(query.starts_with("Filter=a&"), "{query}");
        let second = page("http://here:1", "/v1/Things", query, "things", &records).unwrap();
        assert_eq!(second["things"][0]["n"], 2);
        let third = second["meta"]["next_page_url"].as_str().unwrap().split_once('?').unwrap().1;
        let third = page("http://here:1", "/v1/Things", third, "things", &records).unwrap();
        assert_eq!(third["things"].as_array().unwrap().len(), 1);
        assert_eq!(third["meta"]["next_page_url"], Value::Null);
    }

    #[test]
    fn a_page_without_its_token_and_a_page_of_no_or_too_many_records_are_refused() {
        for query in ["PageSize=2&Page=1", "PageSize=0", "PageSize=1001"] {
            assert!(page("http://here", "/v1/Things", query, "things", &[]).is_err(), "{query}");
        }
    }
}
