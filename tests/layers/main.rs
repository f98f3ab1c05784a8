//! The modules of the pure crates stand in layers: each refers to modules of lower layers alone. The head of the crate's
//! `lib.rs` draws them. `cargo test --test layers -- --nocapture` prints the layers that the code has.

use std::collections::BTreeSet;
use std::fs;

use graph::{Edges, circle, layers, shown};
use references::{File, edges};
use source::{SOURCE, product, root};
use toml::{Table, Value};

mod drawing;
mod graph;
mod references;
#[path = "../source/mod.rs"]
mod source;

/// The pure crates: folder, and name in Rust.
const CRATES: [(&str, &str); 2] = [("core", "gateway_core"), ("account", "gateway_account")];
/// What the core may use. Nothing in it reads a clock, a file, the network or the system's random numbers.
const USED_BY_CORE: [&str; 19] = [
    "aes",
    "base64",
    "ctr",
    "hmac",
    "http",
    "httpdate",
    "jiff-core",
    "md-5",
    "percent-encoding",
    "quick-xml",
    "rsip",
    "serde",
    "serde_json",
    "sha1",
    "sha2",
    "strsim",
    "subtle",
    "thiserror",
    "toml",
];

#[test]
fn the_modules_of_a_pure_crate_form_no_circle() {
    for (folder, edges) in graphs() {
        if let Some(circle) = circle(&edges) {
            panic!("modules of {SOURCE}/{folder} refer to each other in a circle:\n{}", shown(&circle));
        }
        println!("{SOURCE}/{folder}, lowest layer first:");
        for (number, layer) in layers(&edges).iter().enumerate() {
            println!("{:3}  {}", number + 1, layer.join(", "));
        }
    }
}

#[test]
fn the_layers_that_lib_rs_draws_are_those_of_the_code() {
    for (folder, edges) in graphs() {
        let text = fs::read_to_string(root().join(SOURCE).join(folder).join("lib.rs")).unwrap();
        let faults = drawing::faults(&drawing::read(&text), &edges);
        assert!(faults.is_empty(), "the drawing in {SOURCE}/{folder}/lib.rs is wrong:\n{}", faults.join("\n"));
    }
}

#[test]
fn the_core_uses_no_crate_that_reads_the_world() {
    let manifest = fs::read_to_string(root().join(SOURCE).join("core/Cargo.toml")).unwrap();
    let mut new = dependencies(&manifest);
    new.retain(|name| !USED_BY_CORE.contains(&name.as_str()));
    assert!(new.is_empty(), "a crate that is pure may join USED_BY_CORE, any other stays in the driver: {new:?}");
}

#[test]
fn a_dependency_is_found_however_it_is_written() {
    let manifest = r#"
        [dependencies]
        rsip.workspace = true # SIP
        # tokio = "1"
        nix = { version = "0.31" }
        "ring" = "0.17"
        [dependencies.getrandom]
        version = "0.4"
        [target.'cfg(unix)'.dependencies]
        libc = "0.2"
        [build-dependencies]
        cc = "1"
        [dev-dependencies]
        rtp = "0.17"
    "#;
    let expected = ["rsip", "nix", "ring", "getrandom", "libc", "cc"].map(str::to_owned);
    assert_eq!(dependencies(manifest), BTreeSet::from(expected));
}

/// The references of each pure crate, by its folder.
fn graphs() -> Vec<(&'static str, Edges)> {
    let product = product();
    let graph = |(folder, name): (&'static str, &str)| {
        let at = root().join(SOURCE).join(folder);
        let files: Vec<File> = product
            .iter()
            .filter_map(|(path, tokens)| Some(File::new(path.strip_prefix(&at).ok()?, tokens.clone())))
            .collect();
        assert!(files.len() > 20, "{SOURCE}/{folder} is not where it was");
        (folder, edges(name, &files))
    };
    CRATES.into_iter().map(graph).collect()
}

/// What a manifest lists outside of `[dev-dependencies]`, for every target.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let manifest: Table = manifest.parse().expect("cargo reads it, too");
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let tables = [&manifest].into_iter().chain(targets.filter_map(Value::as_table));
    let lists = tables.flat_map(|table| ["dependencies", "build-dependencies"].map(|list| table.get(list)));
    lists.flatten().filter_map(Value::as_table).flat_map(Table::keys).cloned().collect()
}
