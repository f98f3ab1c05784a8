//! Words that help, errors and events do without, see `.github/CONTRIBUTING.md`.
//!
//! `tests/golden/words.txt` lists the texts that are older than this rule, one a line. It only shrinks:
//! `GATEWAY_BLESS=1 cargo test --test words` takes out what is gone, and adds nothing.

use std::collections::BTreeMap;
use std::fs;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use source::{attribute, name_of, plain, product, root, strings, text, without_tests};

mod source;

/// Whole words, in any case. `os error` is Rust's own word for an errno: the error names what failed instead.
const WORDS: [&str; 9] =
    ["told", "wants", "mend", "mends", "way out", "whoever", "who ever", "that is there", "os error"];
/// Attributes whose strings only a programmer sees.
const SILENT: [&str; 9] = ["allow", "cfg", "cfg_attr", "deny", "deprecated", "doc", "expect", "must_use", "path"];
/// clap prints the doc comments of what derives one of these.
const HELP: [&str; 4] = ["Args", "Parser", "Subcommand", "ValueEnum"];

/// Texts, and how often each occurs.
type Texts = BTreeMap<String, usize>;

#[test]
fn new_texts_do_without_the_words() {
    let root = root();
    let list = root.join("tests/golden/words.txt");
    let old = counted(fs::read_to_string(&list).unwrap().lines().map(str::to_owned));
    let now = counted(product().into_iter().flat_map(|(_, tokens)| texts(tokens)).filter(|text| has_a_word(text)));
    let new = missing(&now, &old);
    assert!(new.is_empty(), "say it without the words {WORDS:?}:\n{}", new.join("\n"));
    let gone = missing(&old, &now);
    if std::env::var_os("GATEWAY_BLESS").is_some() {
        let lines: String = now.iter().map(|(text, count)| format!("{text}\n").repeat(*count)).collect();
        fs::write(&list, lines).unwrap();
    } else {
        assert!(
            gone.is_empty(),
            "GATEWAY_BLESS=1 cargo test --test words takes out what is gone:\n{}",
            gone.join("\n")
        );
    }
}

#[test]
fn a_word_is_found_where_a_user_reads_it_and_nowhere_else() {
    let source = r##"
        //! A module that was told.
        /// Whoever calls it.
        #[expect(dead_code, reason = "nobody was told")]
        #[derive(Debug)]
        struct Plain { /** told */ field: u8 }
        /// The phone that is
        /// there
        #[derive(Debug, clap::Args)]
        struct Arguments { /// Mend it
            file: String }
        #[error("{0} WANTS it")]
        struct Error;
        fn product() { say(format!("the\n way \
            out of {x}")); say("recommended, as foretold: {told}"); }
        #[test]
        fn a_test() { say("told"); }
        #[cfg(test)]
        mod tests { fn told() { say("told"); } }
        #[cfg(not(test))]
        fn later() { say(r#"an "os error" 2"#); }
    "##;
    let found: Vec<String> =
        texts(without_tests(source.parse().unwrap())).into_iter().filter(|text| has_a_word(text)).collect();
    assert_eq!(
        found,
        ["The phone that is there", "Mend it", "{0} WANTS it", "the way out of {x}", "an \"os error\" 2"]
    );
}

#[test]
fn a_second_use_of_an_old_text_is_new_and_an_old_text_that_is_not_used_is_gone() {
    let old = counted(["he was told".to_owned(), "she wants".to_owned()]);
    let now = counted(["he was told".to_owned(), "he was told".to_owned()]);
    assert_eq!(missing(&now, &old), ["he was told"]);
    assert_eq!(missing(&old, &now), ["she wants"]);
}

fn counted(texts: impl IntoIterator<Item = String>) -> Texts {
    let mut counts = Texts::new();
    for text in texts {
        *counts.entry(text).or_default() += 1;
    }
    counts
}

/// What `these` has more often than `those`.
fn missing<'a>(these: &'a Texts, those: &Texts) -> Vec<&'a str> {
    let more = |(text, count): &(&String, &usize)| **count > those.get(*text).copied().unwrap_or(0);
    these.iter().filter(more).map(|(text, _)| text.as_str()).collect()
}

fn has_a_word(text: &str) -> bool {
    let words = without_names(text).to_lowercase();
    let words: Vec<&str> = words.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    WORDS.iter().any(|word| {
        let word: Vec<&str> = word.split(' ').collect();
        words.windows(word.len()).any(|window| window == word)
    })
}

/// A format without its `{name}`s, which no user reads.
fn without_names(text: &str) -> String {
    let mut parts = text.split('{');
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push('{');
        match part.split_once('}') {
            Some((name, rest)) if !name.contains([' ', '"']) => kept.push_str(rest),
            _ => kept.push_str(part),
        }
    }
    kept
}

/// Strings in the order of a file; the doc comments of one item are one text.
fn texts(tokens: TokenStream) -> Vec<String> {
    let mut found = Vec::new();
    walk(tokens, Docs::Silent, &mut found);
    found
}

/// What doc comments are.
#[derive(Clone, Copy, PartialEq)]
enum Docs {
    Silent,
    Help,
}

fn walk(tokens: TokenStream, docs: Docs, found: &mut Vec<String>) {
    let mut tokens = tokens.into_iter().peekable();
    let mut item = docs;
    let mut attributes: Vec<TokenStream> = Vec::new();
    while let Some(token) = tokens.next() {
        // `//!` is `#![doc = ...]`, of which no help is made.
        if token.to_string() == "#" && tokens.peek().is_some_and(|next| next.to_string() == "!") {
            tokens.nth(1);
            continue;
        }
        if let Some(attribute) = attribute(&token, tokens.peek()) {
            attributes.push(attribute);
            tokens.next();
            continue;
        }
        if !attributes.is_empty() {
            let of_item = std::mem::take(&mut attributes);
            item = if docs == Docs::Help || of_item.iter().any(is_help) { Docs::Help } else { Docs::Silent };
            if item == Docs::Help {
                let doc = of_item.iter().filter(|one| name_of(one) == "doc").flat_map(|one| strings(one.clone()));
                found.push(plain(&doc.collect::<Vec<_>>().join(" ")));
            }
            for attribute in of_item.into_iter().filter(|one| !SILENT.contains(&name_of(one).as_str())) {
                walk(attribute, Docs::Silent, found);
            }
        }
        match token {
            TokenTree::Group(group) => {
                let inner =
                    if group.delimiter() == Delimiter::Brace { std::mem::replace(&mut item, docs) } else { docs };
                walk(group.stream(), inner, found);
            }
            TokenTree::Literal(literal) => found.extend(text(&literal)),
            TokenTree::Punct(punct) if punct.as_char() == ';' => item = docs,
            _ => {}
        }
    }
}

fn is_help(attribute: &TokenStream) -> bool {
    let text = attribute.to_string();
    name_of(attribute) == "derive" && text.split(|c: char| !c.is_alphanumeric()).any(|word| HELP.contains(&word))
}
