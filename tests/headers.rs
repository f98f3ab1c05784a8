//! Headers are read and written by the typed functions of `sip::header` alone, so that how they are held can change
//! without a look at the rest of the program. [`source::SOURCE`] says where that is.

use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use source::{SOURCE, product, root, strings, without_tests};

mod source;

/// The folder that knows names of headers, wherever it lies.
const SIP: &str = "sip";
/// Functions of `sip::header` that take or give a name.
const BY_NAME: [&str; 8] = ["has_token", "long_name", "make", "parts", "remove", "set", "value", "values"];
/// rsip's own headers.
const OF_RSIP: [&str; 3] = ["Header", "Headers", "headers"];
/// What rsip's list of them does.
const OF_THE_LIST: [&str; 7] = ["extend", "into_iter", "iter", "iter_mut", "push", "retain", "unique_push"];

#[test]
fn no_code_outside_sip_names_a_header() {
    let root = root().join(SOURCE);
    let is_sip = |file: &Path| {
        file.strip_prefix(&root).unwrap().iter().any(|part| Path::new(part).file_stem() == Some(SIP.as_ref()))
    };
    let files: Vec<_> = product().into_iter().filter(|(file, _)| !is_sip(file)).collect();
    assert!(files.len() > 100, "all of it is in {SIP}/");
    let found: Vec<String> = files
        .into_iter()
        .flat_map(|(file, tokens)| faults(tokens).into_iter().map(move |fault| format!("{}: {fault}", file.display())))
        .collect();
    assert!(found.is_empty(), "give `sip::header` a typed function for it:\n{}", found.join("\n"));
}

#[test]
fn a_name_is_found_in_each_way_to_give_one() {
    let source = r#"
        use rsip::{Request, Headers};
        use crate::sip::header::{self, NameAddr, value};
        fn product(headers: &rsip::Headers) {
            header::set(headers, NAME, "1");
            if let rsip::Header::Via(_) = first {}
            header::later(headers, "Retry-After", 5);
            header::push_warning(headers, "gateway", "No codec");
            header::requires(headers, "100rel") && header::push_cseq(headers, 1, "INVITE");
            hyper_headers.insert(header::ALLOW, "GET");
            other::set(headers, "Contact");
            request.headers.push(first);
        }
        #[cfg(test)]
        mod tests { fn a_phone() { header::set(headers, "Via", ""); } }
    "#;
    let found = faults(without_tests(source.parse().unwrap()));
    let expected = [
        "rsip::Headers",
        "header::value",
        "rsip::Headers",
        "header::set",
        "rsip::Header",
        "\"Retry-After\"",
        "headers.push",
    ];
    assert_eq!(found, expected);
}

/// How these tokens name headers, in order.
fn faults(tokens: TokenStream) -> Vec<String> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut faults = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            faults.extend(self::faults(group.stream()));
        }
        let (sign, banned): (&[char], &[&str]) = match token.to_string().as_str() {
            "header" => (&[':', ':'], &BY_NAME),
            "rsip" => (&[':', ':'], &OF_RSIP),
            "headers" => (&['.'], &OF_THE_LIST),
            _ => continue,
        };
        let is_sign =
            |(token, sign): (&TokenTree, &char)| matches!(token, TokenTree::Punct(punct) if punct.as_char() == *sign);
        let Some((signs, [item, rest @ ..])) = tokens[at + 1..].split_at_checked(sign.len()) else { continue };
        if !signs.iter().zip(sign).all(is_sign) {
            continue;
        }
        let items = match item {
            TokenTree::Group(group) => group.stream().into_iter().collect(),
            item => vec![item.clone()],
        };
        let names = items.iter().map(TokenTree::to_string).filter(|name| banned.contains(&name.as_str()));
        faults.extend(names.map(|name| format!("{token}{}{name}", String::from_iter(sign))));
        if let Some(TokenTree::Group(arguments)) = rest.first()
            && arguments.delimiter() == Delimiter::Parenthesis
        {
            let names = strings(arguments.stream()).into_iter().filter(|text| is_like_a_name(text));
            faults.extend(names.map(|name| format!("{name:?}")));
        }
    }
    faults
}

/// `Contact`, `Call-ID`: methods have no small letters, options no capital one, and texts have spaces.
fn is_like_a_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.contains(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
