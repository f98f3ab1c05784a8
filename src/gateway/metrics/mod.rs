//! Figures for Prometheus: from the status and from counters that live where the fact is known. Pure.
//!
//! Names are stable. Labels have few values: states, causes, reasons and the extensions of the config; never a caller's
//! number, an address or a URL.

pub mod text;

use gateway_core::call::Counts as CallCounts;
use gateway_core::event::Level;
use gateway_core::status::Sizes;
use gateway_core::status::{CallState, RegistrationState, Status, TrunkState, TunnelState};
use gateway_core::twiml::refusal::{Counts as WebhookCounts, Refusal};
use gateway_core::wake::{Counts as WakeUps, Reason};
use text::{Kind, Text};

/// All that is told.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub status: Status,
    pub sizes: Sizes,
    pub calls: CallCounts,
    pub webhook: WebhookCounts,
    pub wake_ups: WakeUps,
    /// Events told since the start, by [`Level::ALL`].
    pub events: [u64; Level::ALL.len()],
    /// What is kept in the history.
    pub history: usize,
    pub process: Process,
}

/// What the system says of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Bytes of memory that are resident.
    pub resident: Option<u64>,
    /// Open descriptors, and how many may be open.
    pub descriptors: Option<u64>,
    pub max_descriptors: Option<u64>,
    /// CPU time used, in milliseconds.
    pub cpu: Option<u64>,
}

/// Where the flow, a registration, a call and the tunnel may stand ([`gateway_core::status`]).
const TRUNK_STATES: [TrunkState; 5] =
    [TrunkState::Up, TrunkState::Connecting, TrunkState::Resolving, TrunkState::Waiting, TrunkState::Stopped];
const REGISTRATION_STATES: [RegistrationState; 4] = [
    RegistrationState::Registered,
    RegistrationState::Registering,
    RegistrationState::Waiting,
    RegistrationState::Refused,
];
const CALL_STATES: [CallState; 4] =
    [CallState::Ringing, CallState::Answered, CallState::Held, CallState::WaitingForTrunk];
const TUNNEL_STATES: [TunnelState; 6] = [
    TunnelState::Off,
    TunnelState::Connecting,
    TunnelState::Connected,
    TunnelState::Proved,
    TunnelState::Doubtful,
    TunnelState::Waiting,
];

/// The exposition.
pub fn exposition(snapshot: &Snapshot) -> String {
    let mut text = Text::default();
    service(&mut text, snapshot);
    trunk(&mut text, &snapshot.status);
    extensions(&mut text, &snapshot.status);
    calls(&mut text, snapshot);
    tunnel(&mut text, &snapshot.status);
    webhook(&mut text, &snapshot.webhook);
    text.finish()
}

fn service(text: &mut Text, snapshot: &Snapshot) {
    let Snapshot { status, sizes, process, .. } = snapshot;
    text.family("gateway_build_info", Kind::Gauge, "Version of the service and the environment that it runs.", |is| {
        is.add(&[("version", &status.version), ("environment", &status.environment)], 1.0);
    });
    text.one("gateway_uptime_seconds", Kind::Gauge, "Since the service started.", number(status.uptime));
    text.family("gateway_events_total", Kind::Counter, "Events told, by how much they matter.", |events| {
        for (level, count) in Level::ALL.into_iter().zip(snapshot.events) {
            events.add(&[("level", level.word())], number(count));
        }
    });
    text.one("gateway_history_entries", Kind::Gauge, "Events that the history holds.", count(snapshot.history));
    text.family("gateway_table_entries", Kind::Gauge, "How full the bounded tables of the engine are.", |tables| {
        let sizes = [
            ("transactions", sizes.transactions),
            ("streams", sizes.streams),
            ("bindings", sizes.bindings),
            ("gate", sizes.gate),
            ("calls", sizes.calls),
            ("legs", sizes.legs),
            ("dialogs", sizes.dialogs),
            ("media", sizes.media),
            ("emergency", sizes.emergency),
        ];
        for (table, size) in sizes {
            tables.add(&[("table", table)], count(size));
        }
    });
    let datagrams = &status.lan.datagrams;
    let help =
        "Datagrams of the LAN: \"received\"; of these \"dropped\" unread in a flood; \"lost\" in the kernel's buffer.";
    text.family("gateway_lan_datagrams_total", Kind::Counter, help, |fates| {
        for (fate, how_many) in
            [("received", datagrams.received), ("dropped", datagrams.dropped), ("lost", datagrams.lost)]
        {
            fates.add(&[("fate", fate)], number(how_many));
        }
    });
    let help = "Times that a timer woke the service, by reason.";
    text.family("gateway_wakeups_total", Kind::Counter, help, |wake_ups| {
        for reason in Reason::ALL {
            wake_ups.add(&[("reason", reason.word())], number(snapshot.wake_ups.of(reason)));
        }
    });
    if let Some(changes) = status.drift.changes {
        let help = "Changes that would make the account what the config says, at the last comparison.";
        text.one("gateway_account_drift_changes", Kind::Gauge, help, count(changes));
    }
    if let Some(ago) = status.drift.checked_ago {
        let help = "Since the account was last compared with the config.";
        text.one("gateway_account_drift_age_seconds", Kind::Gauge, help, number(ago));
    }
    // The names that Prometheus' own clients use.
    if let Some(resident) = process.resident {
        text.one("process_resident_memory_bytes", Kind::Gauge, "Resident memory.", number(resident));
    }
    if let Some(cpu) = process.cpu {
        let help = "User and system CPU time spent.";
        text.one("process_cpu_seconds_total", Kind::Counter, help, number(cpu) / 1000.0);
    }
    if let Some(open) = process.descriptors {
        text.one("process_open_fds", Kind::Gauge, "Open file descriptors.", number(open));
    }
    if let Some(max) = process.max_descriptors {
        text.one("process_max_fds", Kind::Gauge, "Most open file descriptors.", number(max));
    }
}

fn trunk(text: &mut Text, status: &Status) {
    text.family("gateway_trunk_state", Kind::Gauge, "State of the flow to the SIP domain.", |states| {
        states.states(&TRUNK_STATES.map(TrunkState::word), status.trunk.state.word());
    });
}

fn extensions(text: &mut Text, status: &Status) {
    let extensions = &status.extensions;
    text.family("gateway_registrations", Kind::Gauge, "Extensions by their registration at Twilio.", |states| {
        for state in REGISTRATION_STATES {
            let those = extensions.iter().filter(|extension| extension.registration.state == state);
            states.add(&[("state", state.word())], count(those.count()));
        }
    });
    let help = "Whether an extension is registered at Twilio.";
    text.family("gateway_extension_registered", Kind::Gauge, help, |samples| {
        for extension in extensions {
            let is = extension.registration.state == RegistrationState::Registered;
            samples.add(&[("extension", &extension.name)], f64::from(u8::from(is)));
        }
    });
    text.family("gateway_extension_handsets", Kind::Gauge, "Handsets registered for an extension.", |samples| {
        for extension in extensions {
            samples.add(&[("extension", &extension.name)], count(extension.handsets.len()));
        }
    });
}

fn calls(text: &mut Text, snapshot: &Snapshot) {
    text.family("gateway_calls", Kind::Gauge, "Calls in progress.", |states| {
        for state in CALL_STATES {
            let those = snapshot.status.calls.iter().filter(|call| call.state == state);
            states.add(&[("state", state.word())], count(those.count()));
        }
    });
    let help = "Calls that ended, by kind, whether they had been answered, and cause.";
    text.family("gateway_calls_ended_total", Kind::Counter, help, |ended| {
        for (outcome, ended_so) in &snapshot.calls.ended {
            let answered = if outcome.answered { "yes" } else { "no" };
            let labels = [("kind", outcome.kind), ("answered", answered), ("cause", outcome.cause)];
            ended.add(&labels, number(*ended_so));
        }
    });
    let help = "Time that answered calls lasted, of those that ended.";
    text.one("gateway_calls_answered_seconds_total", Kind::Counter, help, number(snapshot.calls.answered_seconds));
    let media = &snapshot.calls.media;
    let help = "RTP packets of legs that ended, by what became of them; \"lost\" never reached this box.";
    text.family("gateway_media_packets_total", Kind::Counter, help, |packets| {
        for (fate, how_many) in [
            ("received", media.packets_received),
            ("sent", media.packets_sent),
            ("lost", media.lost),
            ("rejected", media.rejected),
            ("foreign", media.foreign),
        ] {
            packets.add(&[("fate", fate)], number(how_many));
        }
    });
}

fn tunnel(text: &mut Text, status: &Status) {
    let Some(tunnel) = &status.tunnel else { return };
    text.family("gateway_tunnel_state", Kind::Gauge, "State of the tunnel; proved: Twilio can reach us.", |states| {
        states.states(&TUNNEL_STATES.map(TunnelState::label), tunnel.state.label());
    });
    text.one("gateway_tunnel_state_seconds", Kind::Gauge, "How long it has been so.", number(tunnel.since));
    text.family("gateway_tunnel_proofs_total", Kind::Counter, "Fetches of our own public URL, by result.", |proofs| {
        proofs.add(&[("result", "ok")], number(tunnel.proofs));
        proofs.add(&[("result", "failed")], number(tunnel.failures));
    });
    let help = "Proofs that took longer than 5 s.";
    text.one("gateway_tunnel_slow_proofs_total", Kind::Counter, help, number(tunnel.slow));
    let help = "Starts of the tunnel's driver after the first.";
    text.one("gateway_tunnel_restarts_total", Kind::Counter, help, number(tunnel.restarts));
    if let Some(latency) = tunnel.latency {
        let help = "What the last proof took.";
        text.one("gateway_tunnel_proof_latency_seconds", Kind::Gauge, help, number(latency) / 1000.0);
    }
    if let Some(ago) = tunnel.last_proof {
        let help = "Since something last came through the tunnel.";
        text.one("gateway_tunnel_proof_age_seconds", Kind::Gauge, help, number(ago));
    }
    let help = "Whether Twilio has been told the present public URL.";
    text.one("gateway_tunnel_url_written", Kind::Gauge, help, f64::from(u8::from(tunnel.written)));
}

fn webhook(text: &mut Text, counts: &WebhookCounts) {
    let help = "Webhook requests that were Twilio's and were answered.";
    text.one("gateway_webhook_answered_total", Kind::Counter, help, number(counts.answered));
    let help = "Of these, requests that came before: repeated by Twilio, or by somebody who captured them.";
    text.one("gateway_webhook_replayed_total", Kind::Counter, help, number(counts.replayed));
    let help = "Webhook requests and connections that were refused, by reason.";
    text.family("gateway_webhook_refused_total", Kind::Counter, help, |refused| {
        for reason in Refusal::ALL {
            refused.add(&[("reason", reason.word())], number(counts.of(reason)));
        }
    });
}

/// Counters pass 2^53 no sooner than a box passes its life.
fn number(value: u64) -> f64 {
    value as f64
}

fn count(value: usize) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests;
