//! Which top-level module names which, from Rust's tokens: by `use`, by a path in code, by `super`, through a name that
//! the crate's root imports, and from a macro.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{Ident, Spacing, TokenStream, TokenTree};

use crate::graph::{Edges, Place};

/// The items of `lib.rs` itself, as if they were a module.
const ROOT: &str = "lib";

/// A source file of a crate.
pub struct File {
    /// Seen from the crate's folder.
    name: String,
    /// The path of its module, from the crate's root.
    module: Vec<String>,
    tokens: TokenStream,
}

/// What a file names, in paths that are as written. The first of a pair is the module that has it.
#[derive(Default)]
struct Named {
    paths: Vec<(Vec<String>, Vec<String>)>,
    imports: Vec<Import>,
}

/// A leaf of a `use`.
struct Import {
    module: Vec<String>,
    path: Vec<String>,
    /// What the path is called there; `*` for all that is in it.
    name: String,
}

/// A crate, as far as paths in it go.
struct Crate<'a> {
    /// How other crates call it.
    name: &'a str,
    modules: BTreeSet<String>,
    /// Names that the root imports, with their paths.
    of_root: BTreeMap<String, Vec<String>>,
}

impl File {
    /// `path` is seen from the crate's folder.
    pub fn new(path: &Path, tokens: TokenStream) -> File {
        let stem = path.with_extension("");
        let module = stem.iter().map(|part| part.to_str().expect("source has plain names").to_owned());
        let module = module.filter(|part| part != "mod" && part != ROOT).collect();
        File { name: path.display().to_string(), module, tokens }
    }
}

/// The references between the top-level modules of a crate. `name` is how other crates call it.
pub fn edges(name: &str, files: &[File]) -> Edges {
    let named: Vec<Named> = files.iter().map(Named::new).collect();
    let modules = files.iter().filter_map(|file| file.module.first().cloned()).collect();
    let mut this = Crate { name, modules, of_root: BTreeMap::new() };
    let of_root = named.iter().flat_map(|named| &named.imports).filter(|import| import.module.is_empty());
    this.of_root = this.names(of_root);

    let mut edges: Edges = this.modules.iter().map(|module| (module.clone(), BTreeMap::new())).collect();
    for (file, named) in files.iter().zip(&named) {
        let names = this.names(&named.imports);
        // What the root imports belongs to the module that it comes from.
        let imports = named.imports.iter().filter(|import| !import.module.is_empty());
        let imports = imports.map(|import| (&import.module, &import.path));
        for (module, path) in imports.chain(named.paths.iter().map(|(module, path)| (module, path))) {
            let Some(path) = this.resolved(&names, module, path) else { continue };
            let Some(to) = this.owner(&path) else { continue };
            let from = module.first().map_or(ROOT, String::as_str);
            if from != to {
                let place = Place { file: file.name.clone(), path: path.join("::") };
                edges.entry(to.to_owned()).or_default();
                edges.entry(from.to_owned()).or_default().entry(to.to_owned()).or_insert(place);
            }
        }
    }
    // Constants of the root that refer to nothing are below everything.
    if edges.get(ROOT).is_some_and(BTreeMap::is_empty) {
        edges.values_mut().for_each(|to| drop(to.remove(ROOT)));
        edges.remove(ROOT);
    }
    edges
}

impl Crate<'_> {
    /// What these imports call the paths of this crate.
    fn names<'a>(&self, imports: impl IntoIterator<Item = &'a Import>) -> BTreeMap<String, Vec<String>> {
        let mut names = BTreeMap::new();
        for Import { module, path, name } in imports {
            let Some(path) = self.resolved(&BTreeMap::new(), module, path) else { continue };
            let is_clear = name != "*" || !path.is_empty() && !module.is_empty();
            assert!(is_clear, "`*` in {module:?} hides names of the crate's root: write them out");
            names.insert(name.clone(), path);
        }
        names
    }

    /// A path from the crate's root; none for one of another crate, or of a child of `module`.
    fn resolved(
        &self,
        names: &BTreeMap<String, Vec<String>>,
        module: &[String],
        path: &[String],
    ) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let start = match first.as_str() {
            "crate" => &[],
            "self" => module,
            "super" => return self.above(module, path),
            first if first == self.name => &[],
            first if names.contains_key(first) => names[first].as_slice(),
            first if module.is_empty() && self.modules.contains(first) => return Some(path.to_owned()),
            _ => return None,
        };
        match rest.first().map(String::as_str) {
            Some("super") => self.above(start, rest),
            _ => Some([start, rest].concat()),
        }
    }

    /// The path that a chain of `super` begins.
    fn above(&self, module: &[String], path: &[String]) -> Option<Vec<String>> {
        let up = path.iter().take_while(|segment| *segment == "super").count();
        Some([&module[..module.len().checked_sub(up)?], &path[up..]].concat())
    }

    /// The module that a path leads to; none for the root as a whole.
    fn owner<'a>(&'a self, path: &'a [String]) -> Option<&'a str> {
        let first = path.first()?;
        match self.of_root.get(first) {
            _ if self.modules.contains(first) => Some(first),
            Some(path) if path.first() != Some(first) => self.owner(path),
            _ => Some(ROOT),
        }
    }
}

impl Named {
    fn new(file: &File) -> Named {
        let mut named = Named::default();
        named.read(&file.module, file.tokens.clone());
        named
    }

    fn read(&mut self, module: &[String], tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let rest = &tokens[at + 1..];
            at += 1;
            match (token, rest) {
                (TokenTree::Group(group), _) => self.read(module, group.stream()),
                (TokenTree::Ident(word), _) if word == "macro_use" => {
                    panic!("a macro of {module:?} goes where nobody names it: give it a path")
                }
                // `use<'a>` of a type names no path.
                (TokenTree::Ident(word), _)
                    if word == "use" && !rest.first().is_some_and(|next| is_sign(next, '<')) =>
                {
                    let end = rest.iter().position(|token| is_sign(token, ';')).unwrap_or(rest.len());
                    self.read_use(module, &[], &rest[..end]);
                    at += end;
                }
                (TokenTree::Ident(word), [TokenTree::Ident(name), TokenTree::Group(body), ..]) if word == "mod" => {
                    self.read(&[module, &[plain(name)]].concat(), body.stream());
                    at += 2;
                }
                // Where it is exported, it stands in the crate's root.
                (TokenTree::Ident(word), [TokenTree::Punct(_), TokenTree::Ident(name), ..])
                    if word == "macro_rules" =>
                {
                    let path = [&["crate".to_owned()], module, &[plain(name)]].concat();
                    self.imports.push(Import { module: Vec::new(), path, name: plain(name) });
                }
                (TokenTree::Ident(first), _) if is_path_sign(rest) => {
                    // `<T>::Item::of` and `::http` begin elsewhere.
                    let is_start = at < 3 || !is_path_sign(&tokens[at - 3..]);
                    let mut path = vec![plain(first)];
                    while let [_, _, TokenTree::Ident(next), ..] = &tokens[at..]
                        && is_path_sign(&tokens[at..])
                    {
                        path.push(plain(next));
                        at += 3;
                    }
                    if is_start {
                        self.paths.push((module.to_owned(), path));
                    }
                }
                _ => {}
            }
        }
    }

    /// The trees of a `use` that stand behind `prefix`.
    fn read_use(&mut self, module: &[String], prefix: &[String], trees: &[TokenTree]) {
        for tree in trees.split(|token| is_sign(token, ',')) {
            // A crate's name follows.
            if prefix.is_empty() && is_path_sign(tree) {
                continue;
            }
            let mut path = prefix.to_owned();
            let mut name = None;
            let mut words = tree.iter();
            while let Some(token) = words.next() {
                match token {
                    TokenTree::Ident(word) if word == "as" => name = words.next().map(TokenTree::to_string),
                    TokenTree::Ident(word) => path.push(plain(word)),
                    token if is_sign(token, '*') => name = Some("*".to_owned()),
                    TokenTree::Group(group) => {
                        self.read_use(module, &path, &group.stream().into_iter().collect::<Vec<_>>());
                        path.clear();
                    }
                    _ => {}
                }
            }
            // `{self}` is what stands before it.
            if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
                path.pop();
            }
            if let Some(last) = path.last() {
                let name = name.unwrap_or_else(|| last.clone());
                self.imports.push(Import { module: module.to_owned(), path, name });
            }
        }
    }
}

fn is_sign(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

/// Whether they begin with `::`.
fn is_path_sign(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [TokenTree::Punct(colon), next, ..]
        if colon.as_char() == ':' && colon.spacing() == Spacing::Joint && is_sign(next, ':'))
}

/// Without the mark of a raw name.
fn plain(word: &Ident) -> String {
    word.to_string().trim_start_matches("r#").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{circle, shown};
    use crate::source::without_tests;

    /// The circle in a crate whose `call` refers to `sip`. Some of its files are others.
    fn found(changed: &[(&str, &str)]) -> Option<String> {
        let mut files = BTreeMap::from([
            (
                "lib.rs",
                "pub mod call; pub mod sip; pub mod time; pub use call::leg::{Leg as Side, NAME}; use sip::Flow; \
                 macro_rules! m { () => {} }",
            ),
            ("call/mod.rs", "use crate::sip; use crate::time; mod leg;"),
            ("call/leg.rs", "macro_rules! hang_up { () => {} }"),
            ("sip/mod.rs", "use crate::time::Instant; mod wire; pub const ROOM: usize = crate::ROOM;"),
            ("time.rs", ""),
        ]);
        files.extend(changed.iter().copied());
        let file = |(name, text): (&str, &str)| File::new(Path::new(name), without_tests(text.parse().unwrap()));
        circle(&edges("the_core", &files.into_iter().map(file).collect::<Vec<_>>())).map(|circle| shown(&circle))
    }

    /// What the circle of two says of a source that should not refer to `call`.
    fn up(file: &str, path: &str) -> Option<String> {
        Some(format!("call -> sip: sip in call/mod.rs\nsip -> call: {path} in {file}\n"))
    }

    #[test]
    fn a_reference_is_found_in_each_way_to_write_it() {
        let kinds = [
            ("use crate::call::Call;", "call::Call"),
            ("pub use crate::call;", "call"),
            ("use crate::call as talk;", "call"),
            ("use crate::call::*;", "call"),
            ("use the_core::call::Call;", "call::Call"),
            ("fn f() { use crate::{time, call::{self, leg}}; }", "call"),
            ("use {std::fmt, crate::{time::{Instant}, call::leg::{Leg as L}}};", "call::leg::Leg"),
            ("use super::super::call::Call;", "call::Call"),
            ("use super::super::{time, call};", "call"),
            ("use self::super::super::call;", "call"),
            ("mod inner { use super::super::super::call; }", "call"),
            ("fn f() -> Vec<crate::call::Call> {}", "call::Call"),
            ("fn f() { g(&[<crate::call::Call as T>::new::<u8>()]) }", "call::Call"),
            ("fn f() { super::super::call::leg::hang_up() }", "call::leg::hang_up"),
            ("fn f() { the_core::call::f() }", "call::f"),
            ("use crate as all; fn f() { all::call::f() }", "call::f"),
            ("use crate::{self as all}; fn f() { all::call::f() }", "call::f"),
            ("use super::super as up; use up::call::Call;", "call::Call"),
            ("use crate::Side;", "Side"),
            ("use crate::{time, NAME as N};", "NAME"),
            ("fn f() { crate::Side::new() }", "Side::new"),
            ("fn f() { super::super::NAME }", "NAME"),
            ("fn f() { crate::hang_up!() }", "hang_up"),
            ("macro_rules! m { ($x:expr) => { $crate::call::f($x) } }", "call::f"),
            ("macro_rules! m { () => { use $crate::{time, call::Call}; } }", "call::Call"),
            ("mod r#inner { fn f() { crate::r#call::f() } }", "call::f"),
        ];
        for (source, path) in kinds {
            assert_eq!(found(&[("sip/wire.rs", source)]), up("sip/wire.rs", path), "{source}");
        }
        assert_eq!(found(&[("sip/wire/mod.rs", "use super::super::call;")]), up("sip/wire/mod.rs", "call"));
        assert_eq!(found(&[("sip/wire/read.rs", "use super::super::super::call;")]), up("sip/wire/read.rs", "call"));
    }

    #[test]
    fn a_function_of_the_root_hides_no_circle() {
        let root = "pub mod call; pub mod sip; pub mod time; pub fn room() -> usize { call::room() }";
        let circle =
            "call -> sip: sip in call/mod.rs\nsip -> lib: ROOM in sip/mod.rs\nlib -> call: call::room in lib.rs\n";
        assert_eq!(found(&[("lib.rs", root)]).as_deref(), Some(circle));
    }

    #[test]
    fn what_only_looks_like_a_reference_is_none() {
        let clean = "
            //! [`crate::call`] gives it octets.
            use std::{fmt, time::Duration};
            use ::call::Call;
            use crate::{Flow, ROOM, m, time::{self, Instant}};
            use super::{self as sip, call, transport};
            pub(in crate::sip) struct Wire { call: ::call::Call }
            fn f(call: &impl Fn() -> Vec<u8>) -> impl Sized + use<> { call::f(); super::call::f(); self::call(); a::<u8>::crate_call::f() }
            const TEXT: &str = \"crate::call::Call\";
            #[cfg(test)]
            mod tests { use crate::call::Call; }
            #[cfg(test)]
            use crate::call;
        ";
        assert_eq!(found(&[("sip/wire.rs", clean)]), None);
    }

    #[test]
    #[should_panic(expected = "write them out")]
    fn all_of_the_root_at_once_is_refused() {
        found(&[("sip/wire.rs", "use super::super::*;")]);
    }

    #[test]
    #[should_panic(expected = "write them out")]
    fn all_of_a_module_in_the_root_is_refused() {
        found(&[("lib.rs", "pub use call::*;")]);
    }
}
