//! Where Twilio's products are: hosts, paths, links to further pages (TWILIO.md "API hosts", TWILIO.md "API requests",
//! TWILIO.md "API pages").

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use gateway_account::api::{Collection, Product};
use gateway_core::url::Url;

/// The version of the core API.
const CORE_VERSION: &str = "2010-04-01";

/// The version of the other APIs that we use.
const VERSION: &str = "v1";

/// What the hosts of Twilio's products end with.
const TWILIO: &str = ".twilio.com";

/// Records of a page: the most that Twilio gives (TWILIO.md "API pages").
const PAGE_SIZE: &str = "1000";

/// The bases of all products.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    /// Without a slash at its end.
    base: String,
    account_sid: String,
}

/// A page link leads to another host; the token must not go there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Foreign;

impl Hosts {
    pub fn new(base: &str, account_sid: &str) -> Hosts {
        Hosts { base: base.trim_end_matches('/').to_owned(), account_sid: account_sid.to_owned() }
    }

    /// The base of a product. `api.twilio.com` and `api.EDGE.REGION.twilio.com` have the product in their first label;
    /// anything else (a simulator, a proxy) stands in for all of them.
    fn base(&self, product: Product) -> String {
        let label = match product {
            Product::Core => return self.base.clone(),
            Product::Voice => "voice",
            Product::Serverless => "serverless",
            Product::Upload => "serverless-upload",
        };
        let Some(url) = Url::parse(&self.base).filter(|url| url.host().ends_with(TWILIO)) else {
            return self.base.clone();
        };
        match url.authority().strip_prefix("api.") {
            Some(after) => format!("{}://{label}.{after}{}", url.scheme(), url.path_and_query()),
            None => self.base.clone(),
        }
    }

    /// The account itself.
    pub fn account(&self) -> String {
        format!("{}.json", self.account_path())
    }

    fn account_path(&self) -> String {
        format!("{}/{CORE_VERSION}/Accounts/{}", self.base, self.account_sid)
    }

    /// A collection with its query, or one of it.
    pub fn resource(&self, collection: &Collection, sid: Option<&str>) -> String {
        let path = match sid {
            Some(sid) => format!("{}/{sid}", collection.path),
            None => collection.path.clone(),
        };
        let url = match collection.product {
            Product::Core => format!("{}/{path}.json", self.account_path()),
            product => format!("{}/{VERSION}/{path}", self.base(product)),
        };
        url + &query(&collection.query)
    }

    /// The first page of a collection.
    pub fn first_page(&self, collection: &Collection) -> String {
        let mut collection = collection.clone();
        collection.query.insert(0, ("PageSize", PAGE_SIZE.to_owned()));
        self.resource(&collection, None)
    }

    /// Where a page link of `from` leads: 2010 style, a path; v1 style, a whole URL (TWILIO.md "API pages"). Never
    /// another host.
    pub fn follow(&self, from: &str, link: &str) -> Result<String, Foreign> {
        let from = Url::parse(from).ok_or(Foreign)?;
        if link.starts_with('/') && !link.starts_with("//") {
            return Ok(format!("{}{link}", from.origin()));
        }
        let is_same = Url::parse(link)
            .is_some_and(|link| link.origin() == from.origin() && link.path_and_query().starts_with('/'));
        is_same.then(|| link.to_owned()).ok_or(Foreign)
    }

    /// A URL as errors and traces show it: below the account, or without our own host, and without its query.
    pub fn shown<'a>(&self, url: &'a str) -> &'a str {
        let path = url.split('?').next().unwrap_or_default();
        match path.strip_prefix(&self.account_path()).and_then(|path| path.strip_prefix('/')) {
            Some(below) => below,
            None => &path[Url::parse(path).map_or(0, |url| url.origin().len())..],
        }
    }
}

/// All but the unreserved characters (RFC 3986 section 2.3).
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `?a=b&c=d`, or nothing.
fn query(fields: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        text.push(if text.is_empty() { '?' } else { '&' });
        text.push_str(name);
        text.push('=');
        text.extend(utf8_percent_encode(value, IN_QUERY));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(base: &str) -> [String; 4] {
        let hosts = Hosts::new(base, "AC1");
        [Product::Core, Product::Voice, Product::Serverless, Product::Upload]
            .map(|product| hosts.resource(&Collection::new(product, "Things"), Some("TH1")))
    }

    #[test]
    fn each_product_has_its_own_host_at_twilio() {
        assert_eq!(
            urls("https://api.twilio.com/"),
            [
                "https://api.twilio.com/2010-04-01/Accounts/AC1/Things/TH1.json",
                "https://voice.twilio.com/v1/Things/TH1",
                "https://serverless.twilio.com/v1/Things/TH1",
                "https://serverless-upload.twilio.com/v1/Things/TH1",
            ]
        );
    }

    #[test]
    fn each_product_has_its_own_host_in_a_region() {
        assert_eq!(
            urls("https://api.dublin.ie1.twilio.com"),
            [
                "https://api.dublin.ie1.twilio.com/2010-04-01/Accounts/AC1/Things/TH1.json",
                "https://voice.dublin.ie1.twilio.com/v1/Things/TH1",
                "https://serverless.dublin.ie1.twilio.com/v1/Things/TH1",
                "https://serverless-upload.dublin.ie1.twilio.com/v1/Things/TH1",
            ]
        );
    }

    #[test]
    fn whatever_stands_in_for_twilio_stands_in_for_all_products() {
        for base in ["http://127.0.0.1:4010", "https://proxy.example.com/twilio", "https://api.example.com:8443"] {
            let v1 = format!("{base}/v1/Things/TH1");
            let core = format!("{base}/2010-04-01/Accounts/AC1/Things/TH1.json");
            assert_eq!(urls(base), [core, v1.clone(), v1.clone(), v1]);
        }
    }

    #[test]
    fn filters_are_percent_encoded() {
        let hosts = Hosts::new("https://api.twilio.com", "AC1");
        let collection = Collection::new(Product::Core, "IncomingPhoneNumbers")
            .filtered("PhoneNumber", "+1503*")
            .filtered("FriendlyName", "a b&c=ü");
        let path = "https://api.twilio.com/2010-04-01/Accounts/AC1/IncomingPhoneNumbers.json";
        let filters = "PhoneNumber=%2B1503%2A&FriendlyName=a%20b%26c%3D%C3%BC";
        assert_eq!(hosts.resource(&collection, None), format!("{path}?{filters}"));
        assert_eq!(hosts.first_page(&collection), format!("{path}?PageSize=1000&{filters}"));
    }

    #[test]
    fn a_page_link_stays_on_the_host_of_its_product() {
        let hosts = Hosts::new("https://api.twilio.com", "AC1");
        let from = "https://serverless.twilio.com/v1/Services?PageSize=1000";
        let next = "https://serverless.twilio.com/v1/Services?PageSize=1000&Page=1";
        assert_eq!(hosts.follow(from, next).as_deref(), Ok(next));
        assert_eq!(
            hosts.follow(from, "/v1/Services?Page=1").unwrap(),
            "https://serverless.twilio.com/v1/Services?Page=1"
        );
        for link in [
            "https://api.twilio.com/v1/Services",
            "https://serverless.twilio.com.evil.example/v1",
            "https://serverless.twilio.com@evil.example/v1",
            "http://serverless.twilio.com/v1/Services",
            "//evil.example/v1",
            "v1/Services",
            "",
        ] {
            assert_eq!(hosts.follow(from, link), Err(Foreign), "{link}");
        }
    }
}
