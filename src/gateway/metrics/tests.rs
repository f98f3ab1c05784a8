use std::collections::BTreeMap;

use super::*;
use crate::{golden, sample};
use gateway_core::call::counts::Outcome;
use gateway_core::media::Report;
use gateway_core::status::DriftStatus;

fn snapshot() -> Snapshot {
    let mut status = sample::status();
    status.drift.changes = Some(2);
    let mut webhook = WebhookCounts { answered: 40, refused: 7, ..WebhookCounts::default() };
    webhook.reasons[Refusal::TooMany as usize] = 7;
    let mut wake_ups = WakeUps::default();
    (0..144).for_each(|_| wake_ups.add(Reason::Keepalive));
    Snapshot {
        status,
        sizes: Sizes { legs: 2, ..Sizes::default() },
        calls: CallCounts {
            ended: BTreeMap::from([(Outcome { kind: "outbound", answered: true, cause: "cleared" }, 4)]),
            answered_seconds: 600,
            media: Report { packets_received: 1000, lost: 3, ..Report::default() },
        },
        webhook,
        wake_ups,
        events: [1, 2, 3, 4, 5],
        history: 6,
        process: Process {
            resident: Some(8_192_000),
            descriptors: Some(20),
            max_descriptors: Some(1024),
            cpu: Some(1250),
        },
    }
}

#[test]
fn the_figures_stand_under_the_names_that_dashboards_know() {
    let text = exposition(&snapshot());
    for line in [
        "gateway_build_info{version=\"0.1.0\",environment=\"prod\"} 1",
        "gateway_uptime_seconds 11100",
        "gateway_events_total{level=\"warning\"} 2",
        "gateway_history_entries 6",
        "gateway_table_entries{table=\"legs\"} 2",
        "gateway_lan_datagrams_total{fate=\"lost\"} 0",
        "gateway_wakeups_total{reason=\"keepalive\"} 144",
        "gateway_wakeups_total{reason=\"call\"} 0",
        "gateway_account_drift_changes 2",
        "process_resident_memory_bytes 8192000",
        "process_cpu_seconds_total 1.25",
        "gateway_trunk_state{state=\"up\"} 1",
        "gateway_trunk_state{state=\"waiting\"} 0",
        "gateway_registrations{state=\"registered\"} 1",
        "gateway_registrations{state=\"refused\"} 1",
        "gateway_registrations{state=\"waiting\"} 0",
        "gateway_extension_registered{extension=\"102\"} 0",
        "gateway_extension_handsets{extension=\"101\"} 2",
        "gateway_calls{state=\"answered\"} 1",
        "gateway_calls{state=\"ringing\"} 0",
        "gateway_calls_ended_total{kind=\"outbound\",answered=\"yes\",cause=\"cleared\"} 4",
        "gateway_calls_answered_seconds_total 600",
        "gateway_media_packets_total{fate=\"received\"} 1000",
        "gateway_media_packets_total{fate=\"lost\"} 3",
        "gateway_tunnel_state{state=\"down\"} 1",
        "gateway_tunnel_state{state=\"connected\"} 0",
        "gateway_tunnel_state{state=\"proved\"} 0",
        "gateway_tunnel_state_seconds 12",
        "gateway_tunnel_proofs_total{result=\"ok\"} 9",
        "gateway_tunnel_proofs_total{result=\"failed\"} 2",
        "gateway_tunnel_slow_proofs_total 1",
        "gateway_tunnel_restarts_total 3",
        "gateway_tunnel_proof_latency_seconds 0.08",
        "gateway_webhook_answered_total 40",
        "gateway_webhook_refused_total{reason=\"too-many\"} 7",
        "gateway_webhook_refused_total{reason=\"unsigned\"} 0",
    ] {
        assert!(text.lines().any(|told| told == line), "{line}\nis not in\n{text}");
    }
}

#[test]
fn each_family_is_told_once_and_counters_alone_are_called_total() {
    let text = exposition(&snapshot());
    let mut families = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(!families.contains(&name), "{name} twice");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{rest}");
            families.push(name);
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            assert_eq!(Some(&name), families.last(), "{line} stands in no family");
        }
    }
    assert!(text.ends_with('\n') && !text.contains("\n\n"));
}

#[test]
fn no_number_no_address_and_no_url_is_in_it() {
    let text = exposition(&snapshot());
    for word in ["5035551212", "192.168", "gateway.example.com", "twilio.com"] {
        assert!(!text.contains(word), "{word}");
    }
}

#[test]
fn a_service_without_a_tunnel_or_a_look_at_the_account_says_nothing_of_them() {
    let mut snapshot = snapshot();
    snapshot.status.tunnel = None;
    snapshot.status.drift = DriftStatus::default();
    snapshot.process = Process::default();
    let text = exposition(&snapshot);
    assert!(!text.contains("tunnel") && !text.contains("drift") && !text.contains("process_"), "{text}");
}

/// Of the offices after the first, the lines of states alone.
#[test]
fn golden_figures_of_each_state_stay_as_they_are() {
    let mut golden = String::new();
    for (i, status) in sample::each_state().into_iter().enumerate() {
        let text = exposition(&Snapshot { status, ..snapshot() });
        let is_shown = |line: &&str| i == 0 || line.contains("state=");
        text.lines().filter(is_shown).for_each(|line| golden.extend([line, "\n"]));
    }
    golden::assert_golden("metrics.txt", &golden);
}
