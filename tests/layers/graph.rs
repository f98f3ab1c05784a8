//! Which module refers to which: circles and layers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Each module of a crate, with the modules that it refers to and where it first does.
pub type Edges = BTreeMap<String, BTreeMap<String, Place>>;

/// Where a reference stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, seen from the crate.
    pub file: String,
    /// The path from the crate's root that it names.
    pub path: String,
}

/// From a module, to another, and where.
pub type Edge = (String, String, Place);

/// The shortest circle.
pub fn circle(edges: &Edges) -> Option<Vec<Edge>> {
    edges.keys().filter_map(|start| way_back(edges, start)).min_by_key(Vec::len)
}

/// An edge a line.
pub fn shown(circle: &[Edge]) -> String {
    circle.iter().map(|(from, to, place)| format!("{from} -> {to}: {} in {}\n", place.path, place.file)).collect()
}

/// The modules in the order that an edge never goes up: the first layer refers to none. The graph has no circle.
pub fn layers(edges: &Edges) -> Vec<Vec<&str>> {
    let mut layers = Vec::new();
    let mut below = BTreeSet::new();
    while below.len() < edges.len() {
        let is_next = |(name, to): &(&String, &BTreeMap<String, Place>)| {
            !below.contains(name.as_str()) && to.keys().all(|to| below.contains(to.as_str()))
        };
        let layer: Vec<&str> = edges.iter().filter(is_next).map(|(name, _)| name.as_str()).collect();
        assert!(!layer.is_empty(), "a circle");
        below.extend(layer.iter().copied());
        layers.push(layer);
    }
    layers
}

/// The shortest way from a module to itself.
fn way_back(edges: &Edges, start: &str) -> Option<Vec<Edge>> {
    let mut seen = BTreeSet::new();
    let mut ways = VecDeque::from([Vec::<Edge>::new()]);
    while let Some(way) = ways.pop_front() {
        let here = way.last().map_or(start, |(_, to, _)| to);
        for (to, place) in edges.get(here).into_iter().flatten() {
            let longer = [way.as_slice(), &[(here.to_owned(), to.clone(), place.clone())]].concat();
            if to == start {
                return Some(longer);
            }
            if seen.insert(to) {
                ways.push_back(longer);
            }
        }
    }
    None
}

#[test]
fn the_shortest_circle_is_found_and_shown_with_the_file_of_each_edge() {
    let edges = graph(&[("call", "trunk"), ("trunk", "sip"), ("sip", "time"), ("time", "call"), ("trunk", "call")]);
    let expected = "call -> trunk: trunk::it in call.rs\ntrunk -> call: call::it in trunk.rs\n";
    assert_eq!(circle(&edges).map(|circle| shown(&circle)).as_deref(), Some(expected));
}

#[test]
fn modules_that_do_not_refer_to_each_other_share_a_layer() {
    let edges = graph(&[("sip", "time"), ("call", "sip"), ("call", "hex"), ("media", "time"), ("media", "hex")]);
    assert_eq!(circle(&edges), None);
    assert_eq!(layers(&edges), [vec!["hex", "time"], vec!["media", "sip"], vec!["call"]]);
}

/// For tests.
pub fn graph(pairs: &[(&str, &str)]) -> Edges {
    let mut edges = Edges::new();
    for (from, to) in pairs {
        edges.entry((*to).to_owned()).or_default();
        let place = Place { file: format!("{from}.rs"), path: format!("{to}::it") };
        edges.entry((*from).to_owned()).or_default().insert((*to).to_owned(), place);
    }
    edges
}
