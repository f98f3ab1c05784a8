//! In which credential list each user of a SIP domain stands.
//!
//! The rule: **a list holds a thousand users** (TWILIO.md "Credential lists"), so that an environment has as many lists as
//! it needs: `gateway-SITE-ENVIRONMENT`, then the same with `.2`, `.3` and so on. A user stays where it is recorded; a new
//! one goes where there is room. All lists are mapped to the domain.

use std::collections::BTreeMap;

use crate::kind::{Id, Kind};
use crate::owned::{Owned, Record};
use gateway_core::config::Config;

/// Users in one list.
const ROOM: usize = 1000;

/// Twilio's limit of lists for an account (TWILIO.md "Credential lists").
const MAX_LISTS: usize = 100;

/// The name of an environment's resources at Twilio, and of its first list.
pub fn resource_name(config: &Config, environment: &str) -> String {
    format!("gateway-{}-{environment}", config.site.name)
}

/// The list of that place, from 0, where `name` is the first.
fn list(name: &str, place: usize) -> String {
    match place {
        0 => name.to_owned(),
        _ => format!("{name}.{}", place + 1),
    }
}

/// The place of a list among those of which `name` is the first; `None` where it is none of them.
pub fn place(name: &str, list: &str) -> Option<usize> {
    match list.strip_prefix(name)? {
        "" => Some(0),
        rest => rest.strip_prefix('.')?.parse().ok().filter(|number: &usize| *number > 1).map(|number| number - 1),
    }
}

/// The lists of an environment, each with those of `users` that stand in it. The first one is there without any.
pub fn lists<'u>(name: &str, users: impl Iterator<Item = &'u str>, owned: &Owned) -> Vec<(String, Vec<&'u str>)> {
    let mut recorded: BTreeMap<&str, usize> = BTreeMap::new();
    // What goes with the same plan still takes its room.
    let mut taken = [0_usize; MAX_LISTS];
    for record in owned.iter().filter(|record| record.id.kind == Kind::Credential) {
        let place = record.id.parent().and_then(|list| place(name, &list.key));
        if let Some(place) = place.filter(|place| *place < MAX_LISTS) {
            recorded.insert(record.id.own_key(), place);
            taken[place] += 1;
        }
    }
    let mut lists: Vec<(String, Vec<&str>)> = vec![(list(name, 0), Vec::new())];
    for user in users {
        let place = recorded.get(user).copied().unwrap_or_else(|| {
            // A config holds far fewer users than that.
            let place = taken.iter().position(|taken| *taken < ROOM).unwrap_or(MAX_LISTS - 1);
            taken[place] += 1;
            place
        });
        while lists.len() <= place {
            lists.push((list(name, lists.len()), Vec::new()));
        }
        lists[place].1.push(user);
    }
    lists.retain(|(list, users)| list == name || !users.is_empty());
    lists
}

/// What is recorded of a user's credential in an environment.
pub fn credential<'o>(owned: &'o Owned, environment: &str, user: &str) -> Option<&'o Record> {
    let is_it = |record: &&Record| {
        record.id.kind == Kind::Credential && record.environment == environment && record.id.own_key() == user
    };
    owned.iter().find(is_it)
}

/// The id of a user's credential in a list.
pub fn id(list: &str, user: &str) -> Id {
    Id::child(Kind::Credential, list, user)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(list: &str, user: &str) -> Record {
        Record {
            id: id(list, user),
            environment: "prod".to_owned(),
            sid: Some("CR1".to_owned()),
            parent_sid: Some("CL1".to_owned()),
            made: true,
            changed: BTreeMap::new(),
            fingerprint: None,
        }
    }

    fn sizes(lists: &[(String, Vec<&str>)]) -> Vec<(String, usize)> {
        lists.iter().map(|(name, users)| (name.clone(), users.len())).collect()
    }

    #[test]
    fn a_thousand_users_fill_a_list_and_the_next_begins_another() {
        let users: Vec<String> = (0..2001).map(|n| format!("e{n}")).collect();
        let of = |count: usize| sizes(&lists("g", users[..count].iter().map(String::as_str), &Owned::default()));
        assert_eq!(of(0), [("g".to_owned(), 0)]);
        assert_eq!(of(1000), [("g".to_owned(), 1000)]);
        assert_eq!(of(1001), [("g".to_owned(), 1000), ("g.2".to_owned(), 1)]);
        assert_eq!(of(2001), [("g".to_owned(), 1000), ("g.2".to_owned(), 1000), ("g.3".to_owned(), 1)]);
    }

    #[test]
    fn a_user_stays_where_it_is_recorded_and_what_goes_takes_room_until_it_is_gone() {
        let mut owned = Owned::default();
        for n in 0..1000 {
            owned.put(record("g", &format!("e{n}")));
        }
        owned.put(record("g.3", "late"));
        owned.put(record("g-stage", "101"));
        // The first one that was recorded is wanted no more, and the box is new.
        let users = ["box", "late"].into_iter().chain(["e1", "e2"]);
        let lists = lists("g", users, &owned);
        assert_eq!(
            lists,
            [("g".to_owned(), vec!["e1", "e2"]), ("g.2".to_owned(), vec!["box"]), ("g.3".to_owned(), vec!["late"])]
        );
    }

    #[test]
    fn the_lists_of_another_environment_or_site_are_none_of_ours() {
        for (list, is) in [
            ("gateway-a-prod", Some(0)),
            ("gateway-a-prod.2", Some(1)),
            ("gateway-a-prod.1", None),
            ("gateway-a-prod.x", None),
            ("gateway-a-prod2", None),
            ("gateway-a-prod-2", None),
            ("gateway-a-stage", None),
        ] {
            assert_eq!(place("gateway-a-prod", list), is, "{list}");
        }
    }
}
