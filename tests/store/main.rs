//! What the service costs the flash, over a day in virtual time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use gateway::store::Store;
use gateway::store::pace::{MOST_A_DAY, Pace};
use gateway_core::random::Random;
use gateway_core::sip::flow::Flow;
use gateway_core::time::{Instant, WallClock};

#[allow(dead_code, reason = "it serves tests/hostile, too")]
#[path = "../hostile/office.rs"]
mod office;

use office::{Ask, Far, Office, codes, udp};

/// The promise: files replaced in the state folder a day, in steady state.
const BUDGET: u64 = 50;

/// What the other writers may take of it: the history 12, the last time 1. `twilio.json`, `secrets.json` and the
/// tunnel's files change when a person or Twilio changes something, the steady state does not.
const OTHERS: u64 = 13;

const DAY: u64 = 86_400;

/// A phone with its habit.
struct Phone {
    name: String,
    address: String,
    /// Seconds that it asks for; it refreshes at half of them.
    expires: u64,
    call_id: u64,
    next: u64,
    is_on: bool,
}

/// The office, its phones, and the state folder that is written as `gateway run` writes it.
struct Day {
    office: Office,
    phones: Vec<Phone>,
    pace: Pace,
    store: Store,
    folder: PathBuf,
    /// Whether the bindings are to be written, and what was seen of `Office::persists`.
    is_dirty: bool,
    seen: u64,
    began: Instant,
    registrations: u64,
}

impl Day {
    fn new(name: &str, expires: &[u64]) -> Day {
        let names: Vec<String> = (0..20).map(|number| (101 + number).to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut office = Office::with_extensions(7, &names);
        office.far = Far::Rings;
        office.keeps = true;
        let phones = names.iter().enumerate().map(|(number, name)| Phone {
            name: (*name).to_owned(),
            address: format!("192.168.1.{name}:5060"),
            expires: expires[number % expires.len()],
            call_id: office.unique(),
            next: number as u64,
            is_on: true,
        });
        let phones = phones.collect();
        let folder = std::env::temp_dir().join(format!("gateway-day-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let store = Store::open(&folder).expect("a folder for the test");
        let began = office.now;
        Day { office, phones, pace: Pace::default(), store, folder, is_dirty: false, seen: 0, began, registrations: 0 }
    }

    fn now(&self) -> u64 {
        self.office.now.since(self.began).as_secs()
    }

    /// As `service::persist` does it.
    fn keep(&mut self) {
        if self.office.persists != self.seen {
            (self.seen, self.is_dirty) = (self.office.persists, true);
        }
        if self.is_dirty && self.pace.wait(self.office.now).is_zero() {
            let bindings = self.office.engine.bindings(WallClock(1_800_000_000 + self.now()));
            self.store.save_bindings(&bindings).expect("there is space");
            self.pace.written(self.office.now);
            self.is_dirty = false;
        }
    }

    /// Lets time pass: phones refresh, the trunk does, the timers of both.
    fn until(&mut self, end: u64) {
        loop {
            self.keep();
            let wait = self.pace.wait(self.office.now).as_secs_f64().ceil() as u64;
            let write = self.is_dirty.then(|| self.now() + wait.max(1));
            let phone = self.phones.iter().filter(|phone| phone.is_on).map(|phone| phone.next).min();
            let next = write.into_iter().chain(phone).min().unwrap_or(end).min(end);
            if next > self.now() {
                self.office.pass(Duration::from_secs(next - self.now()));
            }
            if self.now() >= end {
                self.keep();
                return;
            }
            for number in 0..self.phones.len() {
                if self.phones[number].is_on && self.phones[number].next <= self.now() {
                    self.register(number);
                }
            }
            self.office.sent.clear();
            self.office.events.clear();
        }
    }

    fn register(&mut self, number: usize) {
        let now = self.now();
        let phone = &mut self.phones[number];
        let flow: Flow = udp(&phone.address);
        let unique = self.office.unique();
        let mut ask = Ask::new("REGISTER", "sip:192.168.1.1", &phone.name, &phone.name, unique)
            .header(&format!("Contact: <sip:{}@{}>\r\nExpires: {}", phone.name, phone.address, phone.expires));
        ask.call_id = format!("{}@{}", phone.call_id, phone.name);
        ask.cseq = u32::try_from(unique).expect("a day is short") * 2;
        let answers = self.office.with_password(flow, &phone.name, &format!("lan-secret-{}", phone.name), &ask);
        assert_eq!(codes(&answers), [200], "{} at {now}", phone.name);
        phone.next = now + phone.expires / 2;
        self.registrations += 1;
    }

    /// Power away and back: the same phone with a new Call-ID.
    fn reboot(&mut self, number: usize) {
        self.phones[number].call_id = self.office.unique();
        self.phones[number].next = self.now() + 30;
    }

    /// DHCP gives another address.
    fn move_to(&mut self, number: usize, address: String) {
        self.phones[number].address = address;
        self.reboot(number);
    }

    fn end(self) -> u64 {
        let _ = std::fs::remove_dir_all(&self.folder);
        self.store.writes()
    }
}

#[test]
fn a_day_of_twenty_phones_with_reboots_and_moves_costs_less_than_fifty_writes() {
    let mut day = Day::new("usual", &[60, 600, 1800, 3600, 3600, 3600, 3600, 3600, 3600, 3600]);
    day.until(600);
    let first = day.store.writes();
    let mut random = Random::from_number(5);
    // What happens, by its second: mornings and nights of phones, a power cut, addresses that change, a lively phone.
    let mut plan: BTreeMap<u64, (usize, u64)> = BTreeMap::new();
    for _ in 0..12 {
        plan.insert(600 + random.below(DAY), (random.below(20) as usize, 0));
    }
    for number in 0..6 {
        plan.insert(600 + random.below(DAY), (number, 1));
    }
    for number in 15..18 {
        plan.insert(600 + 18 * 3600 + number, (number as usize, 2));
        plan.insert(600 + 23 * 3600 + number, (number as usize, 3));
    }
    plan.insert(600 + 12 * 3600, (0, 4));
    for (at, (phone, what)) in plan {
        day.until(at);
        match what {
            0 => day.reboot(phone),
            1 => day.move_to(phone, format!("192.168.2.{phone}:5060")),
            2 => day.phones[phone].is_on = false,
            3 => (day.phones[phone].is_on, day.phones[phone].next) = (true, at),
            _ => (0..20).for_each(|phone| day.reboot(phone)),
        }
    }
    day.until(600 + DAY);
    let (registrations, wanted) = (day.registrations, day.office.persists);
    let writes = day.end() - first;
    println!(
        "flash writes over a simulated day: {writes} of bindings after {first} in the first ten minutes (20 phones, \
         {registrations} registrations, {wanted} changes); with history and time at most {}",
        writes + OTHERS
    );
    assert!(registrations > 5000 && wanted > 20, "{registrations} {wanted}");
    assert!(writes + OTHERS <= BUDGET, "{writes}");
}

#[test]
fn a_day_without_events_costs_nothing() {
    let mut day = Day::new("quiet", &[60, 600, 3600]);
    day.until(600);
    let first = day.store.writes();
    day.until(600 + DAY / 8);
    assert_eq!(day.end() - first, 0);
}

#[test]
fn phones_that_move_by_the_minute_keep_within_the_budget_and_the_newest_place_is_written() {
    let mut day = Day::new("restless", &[600]);
    for minute in 0..DAY / 60 {
        day.until(minute * 60);
        for phone in 0..3 {
            day.move_to(phone, format!("192.168.3.{phone}:{}", 10_000 + minute));
        }
    }
    day.until(DAY);
    assert!(day.office.persists > 1000, "{}", day.office.persists);
    let bindings = day.store.bindings().expect("it is there").value.expect("it was written");
    let newest = (DAY / 60 - 90..DAY / 60).any(|minute| bindings.contains(&format!("192.168.3.0:{}", 10_000 + minute)));
    assert!(newest, "not of the last one and a half hours: {bindings}");
    let writes = day.end();
    println!("flash writes over a day of phones that move by the minute: {writes}");
    assert!(writes <= u64::from(MOST_A_DAY) && writes + OTHERS <= BUDGET, "{writes}");
}
