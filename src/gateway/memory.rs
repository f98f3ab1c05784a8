//! The memory of the service: what all tables may hold together, and what gives way where there is less.
//!
//! The rule: each table has a bound, [`sum`] adds all of them up, and the sum fits `limits.memory`. Where it does not, the
//! bounds that all share are lowered, then `limits.calls`; never what emergency calls have.
//! Not in the sum: what the kernel holds for sockets beside the buffers named here, and an answer of Twilio's REST API
//! while the account is compared.

use nix::unistd::{SysconfVar, sysconf};

use crate::history;
use crate::net::descriptors::Descriptors;
use crate::net::http::{MAX_REPLIES, MAX_SEEN};
use crate::net::{driver, http, udp};
use gateway_core::config::{Config, Limits};
use gateway_core::emergency::bound;
use gateway_core::event::{Code, Event};
use gateway_core::registrar;
use gateway_core::sip::transaction;
use gateway_core::streams;

const KB: u64 = 1024;
const MB: u64 = 1024 * KB;

/// The program at rest: code that was touched, stacks, TLS, root certificates; `cross/measure` holds it to this.
const AT_REST: u64 = 8 * MB;

/// A call: two legs with dialogs and timers, two media legs with SRTP, each with its INVITE (tests/bench/load measures less).
const OF_CALL: u64 = 24 * KB;

/// A binding: contact, path, texts.
const OF_BINDING: u64 = 2 * KB;

/// A connection of a handset: its task, and what the kernel holds of our answers ([`driver::SEND_BUFFER`], twice).
const OF_STREAM: u64 = 4 * KB + 2 * driver::SEND_BUFFER as u64;

/// A webhook connection: head and body of a request, the same again on its way through the tunnel.
const OF_WEBHOOK: u64 = 2 * (http::MAX_HEAD + http::MAX_BODY) as u64;

/// An answer to a webhook that is kept for its repetition, a request that is remembered.
const OF_REPLY: u64 = KB;
const OF_SEEN: u64 = 32;

/// Conversations by the control socket and with Prometheus, names of DNS, the sound of a failure.
const SMALL: u64 = MB;

/// The smallest part of the shared bounds that a box works with, in percent.
const MIN_SHARE: u64 = 10;
/// The fewest ordinary calls.
const MIN_CALLS: u64 = 4;

/// Most octets of each kind of table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// What is the same for every box, and what the numbers of the config ask for. Emergency calls are in it.
    pub fixed: u64,
    /// Ordinary calls.
    pub calls: u64,
    /// What strangers and phones share, in full: transactions, connections of handsets and of webhooks.
    pub shared: u64,
}

impl Sum {
    /// All of it.
    pub fn total(self) -> u64 {
        self.fixed + self.calls + self.shared
    }
}

/// The bounds of all tables, added up.
pub fn sum(config: &Config) -> Sum {
    let bindings = config.extensions.len() * config.limits.bindings_per_extension;
    let fixed = [
        AT_REST,
        udp::MOST as u64,
        streams::MAX_UNFINISHED as u64,
        driver::MAX_QUEUED as u64,
        2 * transaction::RESERVE_OCTETS as u64,
        bound::MAX_CALLS as u64 * OF_CALL,
        registrar::GATE_OCTETS as u64,
        bindings as u64 * OF_BINDING,
        // In the table and in the text that is written.
        2 * history::MAX_BYTES as u64,
        MAX_REPLIES as u64 * OF_REPLY + MAX_SEEN as u64 * OF_SEEN,
        SMALL,
    ];
    let shared = [
        2 * transaction::MAX_OCTETS as u64,
        streams::MAX_STREAMS as u64 * OF_STREAM,
        http::MAX_CONNECTIONS as u64 * OF_WEBHOOK,
    ];
    Sum {
        fixed: fixed.into_iter().sum(),
        calls: config.limits.calls as u64 * OF_CALL,
        shared: shared.into_iter().sum(),
    }
}

/// What `limits.memory` comes to, octets.
pub fn granted(limits: &Limits) -> u64 {
    limits.memory.unwrap_or_else(|| (installed() / 4).max(Limits::MIN_MEMORY))
}

/// The memory of this machine; 0 where it does not say.
fn installed() -> u64 {
    let of = |variable| sysconf(variable).ok().flatten().and_then(|value| u64::try_from(value).ok()).unwrap_or(0);
    of(SysconfVar::_PHYS_PAGES).saturating_mul(of(SysconfVar::PAGE_SIZE))
}

/// What the tables are held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Ordinary calls.
    pub calls: usize,
    /// Of each shared bound, percent.
    pub share: u64,
}

/// Fits the bounds into so many octets.
pub fn fit(config: &Config, memory: u64) -> Fit {
    let Sum { fixed, calls, shared } = sum(config);
    let left = memory.saturating_sub(fixed + calls);
    let share = (left.saturating_mul(100) / shared).clamp(MIN_SHARE, 100);
    let for_calls = memory.saturating_sub(fixed + shared * share / 100) / OF_CALL;
    let wanted = config.limits.calls as u64;
    Fit { calls: wanted.min(for_calls.max(MIN_CALLS)) as usize, share }
}

/// Holds a config and the connections to its memory; what to tell where that is less than its bounds need.
pub fn hold(config: &mut Config, descriptors: &Descriptors) -> Option<String> {
    let (memory, needed) = (granted(&config.limits), sum(config).total());
    let Fit { calls, share } = fit(config, memory);
    let wanted = std::mem::replace(&mut config.limits.calls, calls);
    config.limits.transactions = part(transaction::MAX_OCTETS, share);
    descriptors.set_share(share);
    (needed > memory).then(|| {
        let calls = if calls < wanted { format!(", and {calls} calls at a time") } else { String::new() };
        format!(
            "the bounds of this config need {} MB, and limits.memory is {} MB: {share} % of the connections and requests at \
             a time{calls}; emergency calls keep all of theirs. Write limits.memory = {}, if this box has that much",
            needed.div_ceil(MB),
            memory / MB,
            needed.div_ceil(MB)
        )
    })
}

/// So many percent of a bound.
pub fn part(bound: usize, share: u64) -> usize {
    (bound as u64 * share / 100) as usize
}

/// What [`hold`] tells, as an event.
pub fn event(text: &str) -> Event {
    Event::new(Code::SystemMemory, "gateway", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::office::OfficeFile;

    fn config(calls: usize, memory: u64) -> Config {
        OfficeFile::new().table("limits").with("calls", calls).with("memory", memory).config()
    }

    fn held_to(calls: usize, memory: u64) -> (Config, u64, Option<String>) {
        let mut wanted = config(calls, memory);
        let share = fit(&wanted, memory * MB).share;
        let told = hold(&mut wanted, &Descriptors::default());
        (wanted, share, told)
    }

    #[test]
    fn the_sum_of_all_bounds_fits_whatever_memory_there_is() {
        for calls in [1, 100, 500] {
            for memory in [24, 32, 40, 64, 128, 256] {
                let (config, share, told) = held_to(calls, memory);
                let Sum { fixed, calls: of_calls, shared } = sum(&config);
                assert!(
                    fixed + of_calls + shared * share / 100 <= memory * MB,
                    "{calls} {memory}: {fixed} {of_calls} {share}"
                );
                assert_eq!(told.is_some(), share < 100 || config.limits.calls < calls, "{calls} {memory}");
            }
        }
    }

    #[test]
    fn the_default_office_has_all_its_bounds_in_64_mb_and_emergency_calls_have_theirs_in_24() {
        let (large, share, told) = held_to(100, 64);
        assert_eq!((large.limits.calls, share, told), (100, 100, None));
        let (small, share, told) = held_to(100, 24);
        assert!(small.limits.calls >= MIN_CALLS as usize && share >= MIN_SHARE, "{} {share}", small.limits.calls);
        // What emergency calls have is the same.
        assert_eq!(sum(&small).fixed, sum(&large).fixed);
        let told = told.unwrap();
        for part in ["limits.memory is 24 MB", "emergency calls keep all of theirs", "Write limits.memory = "] {
            assert!(told.contains(part), "{told}");
        }
        assert!(sum(&large).total() <= 64 * MB, "README states it");
    }

    #[test]
    fn more_memory_never_makes_less_room() {
        let fits: Vec<Fit> = (24..400).map(|memory| fit(&config(300, memory), memory * MB)).collect();
        assert!(fits.is_sorted_by(|a, b| a.calls <= b.calls && a.share <= b.share), "{fits:?}");
        assert_eq!(fits.last(), Some(&Fit { calls: 300, share: 100 }));
    }

    #[test]
    fn without_a_key_a_quarter_of_the_machine_is_granted_and_never_less_than_the_least() {
        let config = OfficeFile::new().config();
        assert_eq!(granted(&config.limits), (installed() / 4).max(Limits::MIN_MEMORY));
        assert!(installed() > Limits::MIN_MEMORY);
    }
}
