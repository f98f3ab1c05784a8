//! The product's source as tokens, for tests that hold it to a rule. What only tests compile is left out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Literal, TokenStream, TokenTree};

/// The product's code, seen from the workspace.
pub const SOURCE: &str = "src";

/// The product's files with what a build without tests has of them.
pub fn product() -> Vec<(PathBuf, TokenStream)> {
    let mut files = Vec::new();
    collect(&root().join(SOURCE), &mut files);
    let parsed: Vec<(PathBuf, TokenStream)> = files
        .into_iter()
        .map(|file| {
            let tokens = fs::read_to_string(&file).unwrap().parse().unwrap_or_else(|e| panic!("{file:?}: {e}"));
            (file, tokens)
        })
        .collect();
    assert!(parsed.len() > 100, "{SOURCE}/ is not where it was");
    let tests: BTreeSet<PathBuf> = parsed.iter().flat_map(|(file, tokens)| modules_of_tests(file, tokens)).collect();
    parsed
        .into_iter()
        .filter(|(file, _)| !file.ancestors().any(|part| tests.contains(&part.with_extension(""))))
        .map(|(file, tokens)| (file, without_tests(tokens)))
        .collect()
}

/// Tokens without the items that only tests compile.
pub fn without_tests(tokens: TokenStream) -> TokenStream {
    let mut kept = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    // How many of the last tokens are attributes of the item that follows.
    let (mut attributes, mut of_test) = (0, false);
    while let Some(token) = tokens.next() {
        if let Some(attribute) = attribute(&token, tokens.peek()) {
            of_test |= is_test(&attribute);
            attributes += 2;
            kept.push(token);
            kept.extend(tokens.next());
            continue;
        }
        if std::mem::take(&mut of_test) {
            kept.truncate(kept.len() - attributes);
            // Up to its body, or to `;`.
            if !ends_item(&token) {
                tokens.by_ref().find(ends_item);
            }
        } else {
            kept.push(match token {
                TokenTree::Group(group) => {
                    TokenTree::Group(proc_macro2::Group::new(group.delimiter(), without_tests(group.stream())))
                }
                token => token,
            });
        }
        attributes = 0;
    }
    kept.into_iter().collect()
}

/// The workspace, whichever of its crates runs this test.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().find(|folder| folder.join("tests/golden/words.txt").exists()).expect("the workspace").to_owned()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// What `#[cfg(test)] mod name;` stands for: the file without its ending, which is also the folder of its own modules.
fn modules_of_tests(file: &Path, tokens: &TokenStream) -> Vec<PathBuf> {
    let folder = match file.file_stem().and_then(|stem| stem.to_str()) {
        Some("mod" | "lib" | "main") => file.parent().expect("a file stands in a folder").to_owned(),
        _ => file.with_extension(""),
    };
    let mut modules = Vec::new();
    let mut tokens = tokens.clone().into_iter().peekable();
    let mut attributes = Vec::new();
    while let Some(token) = tokens.next() {
        if let Some(attribute) = attribute(&token, tokens.peek()) {
            attributes.push(attribute);
            tokens.next();
            continue;
        }
        if token.to_string() == "mod" && attributes.iter().any(is_test) {
            let name = tokens.next().map(|name| name.to_string()).unwrap_or_default();
            let path =
                attributes.iter().find(|attribute| name_of(attribute) == "path").map(|path| strings(path.clone()));
            match path.as_deref() {
                Some([path, ..]) => modules.push(file.with_file_name(path).with_extension("")),
                _ => modules.push(folder.join(name)),
            }
        }
        if !matches!(token.to_string().as_str(), "pub" | "mod") && !matches!(token, TokenTree::Group(_)) {
            attributes.clear();
        }
    }
    modules
}

/// Whether it is the last token of an item: its body, or `;`.
fn ends_item(token: &TokenTree) -> bool {
    match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == ';',
        _ => false,
    }
}

/// What stands in the brackets of `#[...]`.
pub fn attribute(token: &TokenTree, next: Option<&TokenTree>) -> Option<TokenStream> {
    match (token, next) {
        (TokenTree::Punct(sign), Some(TokenTree::Group(group)))
            if sign.as_char() == '#' && group.delimiter() == Delimiter::Bracket =>
        {
            Some(group.stream())
        }
        _ => None,
    }
}

pub fn name_of(attribute: &TokenStream) -> String {
    attribute.clone().into_iter().next().map(|name| name.to_string()).unwrap_or_default()
}

fn is_test(attribute: &TokenStream) -> bool {
    let text: String = attribute.to_string().split_whitespace().collect();
    text == "test" || text.starts_with("cfg(test") || text.starts_with("cfg(all(test,") || text == "tokio::test"
}

pub fn strings(tokens: TokenStream) -> Vec<String> {
    let literal = |token| match token {
        TokenTree::Literal(literal) => text(&literal),
        _ => None,
    };
    tokens.into_iter().filter_map(literal).collect()
}

/// The text of a string literal, on one line.
pub fn text(literal: &Literal) -> Option<String> {
    let written = literal.to_string();
    let (kind, rest) = written.split_once('"')?;
    let inside = rest.trim_end_matches('#').strip_suffix('"')?;
    Some(match kind.contains('r') {
        true => plain(inside),
        false => plain(&inside.replace("\\\n", "\n").replace("\\n", "\n").replace("\\t", " ").replace("\\\"", "\"")),
    })
}

pub fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
