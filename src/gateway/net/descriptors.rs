//! File descriptors: how many there are, and who may have them.
//!
//! The rule: strangers' connections get what is left after everything else and after [`RESERVE`], so that the trunk, an
//! emergency call's media and `gateway status` always find theirs. The limit is read anew for each connection, since it
//! can be lowered while we run.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::http::MAX_CONNECTIONS;
use crate::memory;
use gateway_core::event::{Code, Event};
use gateway_core::streams::MAX_STREAMS;

/// What the service asks the system for: media of 2000 calls, connections of handsets and webhooks beside them. With so
/// many nothing has to be counted.
pub const WANTED: u64 = 16_384;

/// Kept for what must not fail: two flows of the trunk and one that is being made, two questions to DNS, the media of an
/// emergency call ([`OF_CALL`]), two conversations by the control socket, a state file with its folder, the list of
/// interfaces, and two to spare.
pub const RESERVE: u64 = 16;

/// What the service itself has open: streams, epoll, signals, log, listeners, the tunnel.
const OWN: u64 = 32;

/// RTP and RTCP of two legs.
const OF_CALL: u64 = 4;

/// Places of strangers that ordinary calls leave, where descriptors are few: phones that connect by TCP, and Twilio.
const STRANGERS: u64 = 16;

/// Where the few places are shared, one of so many is the webhooks'.
const WEBHOOK_SHARE: usize = 3;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A handset's, by TCP.
    Lan,
    /// Twilio's, or a stranger's who found the public URL.
    Webhook,
}

/// The connections that came in; all clones count the same ones.
#[derive(Clone, Debug)]
pub struct Descriptors(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    held: [AtomicUsize; 2],
    /// The part of all places that there is memory for, percent.
    share: AtomicU64,
}

impl Default for Descriptors {
    fn default() -> Descriptors {
        Descriptors(Arc::new(Counts { held: Default::default(), share: AtomicU64::new(100) }))
    }
}

/// A connection that is counted until this is dropped.
#[derive(Debug)]
pub struct Held(Descriptors, Kind);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.of(self.1).fetch_sub(1, Ordering::Relaxed);
    }
}

impl Descriptors {
    /// Counts a connection.
    pub fn hold(&self, kind: Kind) -> Held {
        self.of(kind).fetch_add(1, Ordering::Relaxed);
        Held(self.clone(), kind)
    }

    fn of(&self, kind: Kind) -> &AtomicUsize {
        &self.0.held[kind as usize]
    }

    /// From now on there is memory for so many percent of all places ([`memory::Fit::share`]).
    pub fn set_share(&self, share: u64) {
        self.0.share.store(share, Ordering::Relaxed);
    }

    /// How many connections of a kind there may be now.
    pub fn places(&self, kind: Kind) -> usize {
        let (limit, most) = (limit(), memory::part(most(kind), self.0.share.load(Ordering::Relaxed)));
        if limit >= WANTED {
            return most;
        }
        let held = self.0.held.iter().map(|held| held.load(Ordering::Relaxed)).sum();
        places(limit, used(limit), held, kind).min(most)
    }
}

fn most(kind: Kind) -> usize {
    match kind {
        Kind::Lan => MAX_STREAMS,
        Kind::Webhook => MAX_CONNECTIONS,
    }
}

/// Places of a kind, with `used` descriptors open, of which `held` are connections of both kinds.
fn places(limit: u64, used: u64, held: usize, kind: Kind) -> usize {
    let others = used.saturating_sub(held as u64);
    let left = limit.saturating_sub(others).saturating_sub(RESERVE);
    let left = usize::try_from(left).unwrap_or(usize::MAX);
    let of_webhooks = (left / WEBHOOK_SHARE).min(most(Kind::Webhook));
    match kind {
        Kind::Webhook => of_webhooks,
        Kind::Lan => (left - of_webhooks).min(most(Kind::Lan)),
    }
}

/// How many descriptors there may be now.
pub fn limit() -> u64 {
    // It fails for no process and resource that there are; then nothing is known, and nothing is held back.
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft)
}

/// How many of the numbers below the limit are in use.
fn used(limit: u64) -> u64 {
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        let numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u64>().ok());
        // One of them reads this list.
        return (numbers.filter(|number| *number < limit).count() as u64).saturating_sub(1);
    }
    // The lowest number that is free: all below it are in use. None is where even this fails.
    File::open("/dev/null").ok().and_then(|file| u64::try_from(file.as_raw_fd()).ok()).unwrap_or(limit)
}

/// Asks the system for [`WANTED`]. 1024 is the usual limit outside systemd.
pub fn raise_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Where it fails the service runs with what it has, and tells of it ([`shortage`]).
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard.min(WANTED)), hard);
    }
}

/// What so many calls need, with all connections that may come in.
fn needed(calls: usize) -> u64 {
    OWN + RESERVE + (MAX_STREAMS + MAX_CONNECTIONS) as u64 + OF_CALL * calls as u64
}

/// How many calls there are descriptors for: at most `wanted`, at least one. Emergency calls have the reserve beside them.
pub fn calls(limit: u64, wanted: usize) -> usize {
    let left = limit.saturating_sub(OWN + RESERVE + STRANGERS) / OF_CALL;
    usize::try_from(left).unwrap_or(usize::MAX).clamp(1, wanted.max(1))
}

/// What to tell where there are too few for `limits.calls`.
pub fn shortage(limit: u64, wanted: usize) -> Option<String> {
    let needed = needed(wanted);
    if limit >= needed {
        return None;
    }
    let calls = calls(limit, wanted);
    Some(format!(
        "{needed} file descriptors are needed for {wanted} calls and all connections, the system allows {limit}: at most \
         {calls} calls at a time, and fewer connections of phones and of Twilio; emergency calls keep their own. Run \
         \"ulimit -n {WANTED}\" before \"gateway run\", or write LimitNOFILE={WANTED} by \"systemctl edit gateway\""
    ))
}

/// [`shortage`] as an event.
pub fn event(text: &str) -> Event {
    Event::new(Code::SystemDescriptors, "gateway", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_leave_the_reserve_whatever_the_limit() {
        for limit in 0..2000 {
            for used in [3, 22, 40, 100] {
                let both = places(limit, used, 0, Kind::Lan) + places(limit, used, 0, Kind::Webhook);
                assert!(both == 0 || used + both as u64 + RESERVE <= limit, "{limit} {used}: {both}");
            }
        }
    }

    #[test]
    fn each_kind_keeps_its_share_while_the_other_is_full() {
        // 64 files, 22 are our own.
        let (lan, webhook) = (places(64, 22, 0, Kind::Lan), places(64, 22, 0, Kind::Webhook));
        assert_eq!((lan, webhook), (18, 8));
        assert_eq!(places(64, 22 + 18, 18, Kind::Webhook), webhook);
        assert_eq!(places(64, 22 + 8, 8, Kind::Lan), lan);
        // Calls take from strangers.
        assert!(places(64, 22 + 8, 0, Kind::Lan) < lan);
        assert_eq!((places(64, 60, 0, Kind::Lan), places(64, 60, 0, Kind::Webhook)), (0, 0));
    }

    #[test]
    fn with_enough_there_is_a_place_for_each() {
        let limit = needed(100);
        assert_eq!(places(limit, OWN, 0, Kind::Lan), MAX_STREAMS);
        assert_eq!(places(limit, OWN, 0, Kind::Webhook), MAX_CONNECTIONS);
        assert_eq!(shortage(limit, 100), None);
        assert_eq!(calls(limit, 100), 100);
    }

    #[test]
    fn a_shortage_names_what_is_needed_what_there_is_and_the_command() {
        for (limit, wanted, fits) in [(64, 100, 1), (256, 100, 48), (1024, 2000, 240)] {
            let told = shortage(limit, wanted).unwrap_or_default();
            assert_eq!(calls(limit, wanted), fits);
            let needed = needed(wanted).to_string();
            for part in [needed.as_str(), &format!("allows {limit}"), &format!("{fits} calls"), "ulimit -n 16384"] {
                assert!(told.contains(part), "{part}: {told}");
            }
        }
        assert_eq!(calls(0, 0), 1);
    }

    #[test]
    fn a_connection_counts_until_it_is_gone() {
        let descriptors = Descriptors::default();
        let held = (descriptors.hold(Kind::Lan), descriptors.hold(Kind::Webhook));
        assert_eq!(descriptors.of(Kind::Lan).load(Ordering::Relaxed), 1);
        drop(held);
        assert_eq!(descriptors.of(Kind::Lan).load(Ordering::Relaxed), 0);
        let open = File::open("/dev/null").expect("every system has it");
        let number = u64::try_from(open.as_raw_fd()).expect("it is open");
        assert!(used(limit()) >= 4, "streams and this file");
        assert!(used(number) <= number);
    }
}
