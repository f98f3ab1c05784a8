//! The driver on loopback, with real sockets; every wait is a blocking read with a limit.

use std::net::Ipv4Addr;

use super::*;
use gateway_core::media::g711::Law;
use gateway_core::media::sound::Sound;
use gateway_core::media::srtp::{SrtpReceiver, SrtpSender};
use gateway_core::media::{LegParams, MasterKey, Report, SrtpKeys, Suite};
use gateway_core::subnet::Subnet;

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LIMIT: Duration = Duration::from_secs(20);

/// The range's lowest port. No test shares its loopback address, so any port will do.
const FIRST: u16 = 10_000;

struct Running {
    handle: MediaHandle,
    notices: Receiver<Notice>,
    bind: IpAddr,
}

/// A loopback address that no other test of this or another process has.
fn own_address(test: u8) -> IpAddr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 128 | high, low, test))
}

/// A driver with some pairs of ports.
fn running(test: u8, pairs: u16) -> Running {
    let (sender, notices) = mpsc::channel();
    let ports = (FIRST, FIRST + 2 * pairs - 1);
    let config = MediaConfig { ports, dscp: 46, origin: std::time::Instant::now(), random: Random::from_number(1) };
    let handle = start(config, move |notice| drop(sender.send(notice))).unwrap();
    Running { handle, notices, bind: own_address(test) }
}

impl Running {
    fn notice(&self) -> Notice {
        self.notices.recv_timeout(LIMIT).unwrap()
    }

    fn open(&self, leg: u64) -> Result<SocketAddr, String> {
        self.handle.send(Command::Open { leg: MediaLeg(leg), bind: self.bind, last: LastPorts::Take });
        match self.notice() {
            Notice::Opened { local, .. } => Ok(local),
            Notice::Refused { error, .. } => Err(error),
            other => panic!("{other:?}"),
        }
    }

    fn close(&self, leg: u64) -> Report {
        self.handle.send(Command::Close { leg: MediaLeg(leg) });
        loop {
            if let Notice::Closed { report, .. } = self.notice() {
                return report;
            }
        }
    }

    fn set(&self, leg: u64, remote: &UdpSocket, srtp: Option<SrtpKeys>) {
        let params = Box::new(LegParams {
            remote: Some(remote.local_addr().unwrap()),
            rtcp: None,
            latch: vec![Subnet::host(HOST)],
            send: true,
            receive: true,
            payload_types: vec![0],
            dtmf_in: Some(101),
            dtmf_out: Some(101),
            srtp,
            silence: None,
        });
        self.handle.send(Command::Set { leg: MediaLeg(leg), params });
    }
}

fn endpoint() -> UdpSocket {
    let socket = UdpSocket::bind((HOST, 0)).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

fn rtp(sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&[sequence as u8; 160]);
    packet
}

#[test]
fn a_call_is_relayed_between_rtp_and_srtp_and_a_digit_is_sent() {
    let running = running(1, 5);
    let (lan, trunk) = (running.open(1).unwrap(), running.open(2).unwrap());
    let (phone, twilio) = (endpoint(), endpoint());
    let suite = Suite::AesCm128HmacSha1_80;
    let keys = SrtpKeys { suite, local: MasterKey([1; 30]), remote: MasterKey([2; 30]) };
    let mut opener = SrtpReceiver::new(suite, &keys.local);
    let mut sealer = SrtpSender::new(suite, &keys.remote);
    running.set(1, &phone, None);
    running.set(2, &twilio, Some(keys));
    running.handle.send(Command::Connect { a: MediaLeg(1), b: MediaLeg(2) });
    // An answered command behind the others: they are done now.
    running.open(3).unwrap();

    let mut buffer = [0; BUFFER];
    for sequence in 0..50 {
        phone.send_to(&rtp(sequence), lan).unwrap();
        let (len, from) = twilio.recv_from(&mut buffer).unwrap();
        assert_eq!((len, from), (182, trunk));
        let len = opener.unprotect_rtp(&mut buffer, len).unwrap();
        assert_eq!(buffer[12..len], rtp(sequence)[12..]);

        buffer[..172].copy_from_slice(&rtp(sequence));
        let len = sealer.protect_rtp(&mut buffer, 172).unwrap();
        twilio.send_to(&buffer[..len], trunk).unwrap();
        let (len, from) = phone.recv_from(&mut buffer).unwrap();
        assert_eq!((len, from), (172, lan));
    }
    let duration = Duration::from_millis(60);
    running.handle.send(Command::Dtmf { leg: MediaLeg(1), digit: '7', duration });
    for _ in 0..5 {
        let (len, _) = phone.recv_from(&mut buffer).unwrap();
        assert_eq!((len, buffer[1] & 0x7f, buffer[12]), (16, 101, 7));
    }
    let report = running.close(1);
    assert_eq!((report.packets_received, report.packets_sent, report.lost), (50, 55, 0));
    running.handle.stop();
}

#[test]
fn a_sound_is_sent_at_the_pace_of_speech_and_its_end_is_told() {
    let running = running(9, 1);
    let lan = running.open(1).unwrap();
    let phone = endpoint();
    running.set(1, &phone, None);
    let octets: Vec<u8> = (0..10).flat_map(|frame| [frame; 160]).collect();
    let sound = Sound::new(Law::Mu, &octets).unwrap();
    let (began, duration) = (std::time::Instant::now(), sound.duration());
    running.handle.send(Command::Play { leg: MediaLeg(1), sound });
    let mut buffer = [0; BUFFER];
    for frame in 0..10 {
        assert_eq!(phone.recv_from(&mut buffer).unwrap(), (172, lan));
        assert_eq!(buffer[12..172], [frame; 160]);
    }
    assert!(matches!(running.notice(), Notice::Played { leg: MediaLeg(1) }));
    // Never sooner; how much later is the machine's business.
    assert!(began.elapsed() >= duration);
    running.handle.stop();
}

#[test]
fn ports_are_even_and_distinct_and_end_with_a_clear_refusal() {
    let running = running(2, 3);
    let mut ports: Vec<_> = (0..3).map(|leg| running.open(leg).unwrap().port()).collect();
    assert!(ports.iter().all(|port| port % 2 == 0 && (FIRST..FIRST + 6).contains(port)));
    ports.sort();
    ports.dedup();
    assert_eq!(ports.len(), 3);
    assert!(running.open(9).unwrap_err().contains("no media port is free"));
    running.close(0);
    assert!(running.open(9).is_err(), "a port that was just closed rests");
}

#[test]
fn a_pair_that_somebody_else_uses_is_passed_over() {
    let taken = UdpSocket::bind((own_address(3), FIRST + 1)).unwrap();
    let running = running(3, 2);
    assert_eq!(running.open(1).unwrap().port(), FIRST + 2);
    assert!(running.open(2).is_err());
    drop(taken);
    assert_eq!(running.open(3).unwrap().port(), FIRST);
}

#[test]
fn an_address_that_is_not_ours_is_refused_by_name() {
    let running = running(4, 2);
    running.handle.send(Command::Open { leg: MediaLeg(1), bind: "192.0.2.1".parse().unwrap(), last: LastPorts::Take });
    assert!(matches!(running.notice(), Notice::Refused { error, .. } if error.contains("192.0.2.1")));
}

#[test]
fn stopping_closes_every_leg_with_its_report() {
    let running = running(5, 3);
    running.open(1).unwrap();
    running.open(2).unwrap();
    running.handle.stop();
    let closed: Vec<_> = running.notices.iter().map(|notice| format!("{notice:?}")).collect();
    assert_eq!(closed.len(), 2);
    assert!(closed.iter().all(|notice| notice.starts_with("Closed")), "{closed:?}");
}

#[test]
fn a_closed_port_rests_before_it_is_used_again() {
    let mut ports = Ports::new((FIRST, FIRST + 1), 0, &mut Random::from_number(1));
    let opened = ports.bind(Instant::from_secs(1), own_address(6), LastPorts::Take);
    let port = opened.map(|sockets| sockets.port).unwrap();
    ports.give_back(Instant::from_secs(10), port);
    assert!(ports.bind(Instant::from_secs(11), own_address(6), LastPorts::Take).is_err());
    assert!(ports.bind(Instant::from_secs(12), own_address(6), LastPorts::Take).is_ok());
}

#[test]
fn a_leg_moves_to_another_address_with_its_port_and_everything_else() {
    let running = running(9, 4);
    let (a, b) = (endpoint(), endpoint());
    let from = running.open(1).unwrap();
    let other = running.open(2).unwrap();
    running.set(1, &a, None);
    running.set(2, &b, None);
    running.handle.send(Command::Connect { a: MediaLeg(1), b: MediaLeg(2) });
    let bind = own_address(10);
    running.handle.send(Command::Move { leg: MediaLeg(1), bind });
    let Notice::Moved { leg: MediaLeg(1), to: Ok(to) } = running.notice() else { panic!() };
    assert_eq!((to.ip(), to.port()), (bind, from.port()));
    let mut packet = [0; 172];
    (packet[0], packet[3], packet[11]) = (0x80, 1, 7);
    let mut buffer = [0; 1500];
    // The first packets of a source are on trial (RFC 3550 A.1).
    for sequence in 1..=3 {
        packet[3] = sequence;
        a.send_to(&packet, to).unwrap();
    }
    assert_eq!(b.recv_from(&mut buffer).unwrap().1, other);
    for sequence in 1..=3 {
        packet[3] = sequence;
        b.send_to(&packet, other).unwrap();
    }
    assert_eq!(a.recv_from(&mut buffer).unwrap().1, to);
    // Nobody listens at the former address any more.
    let probe = UdpSocket::bind(from);
    assert!(probe.is_ok(), "{probe:?}");
    running.handle.send(Command::Move { leg: MediaLeg(1), bind: "192.0.2.1".parse().unwrap() });
    let error = loop {
        match running.notice() {
            Notice::Moved { to, .. } => break to.unwrap_err(),
            Notice::Started { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(error.contains("192.0.2.1"), "{error}");
}

#[test]
fn the_last_ports_are_an_emergency_call_s() {
    let now = Instant::from_secs(1);
    // How many pairs of a range ordinary calls may have, and how many are left after that.
    let taken = |pairs: u16| {
        let mut ports = Ports::new((FIRST, FIRST + 2 * pairs - 1), 0, &mut Random::from_number(1));
        let mut take = |last| -> Vec<_> { std::iter::from_fn(|| ports.bind(now, own_address(7), last).ok()).collect() };
        let ordinary = take(LastPorts::Leave);
        let emergency = take(LastPorts::Take);
        (ordinary.len(), emergency.len())
    };
    assert_eq!(taken(80), (72, KEPT_PAIRS));
    assert_eq!(taken(16), (14, 2));
    assert_eq!(taken(2), (2, 0), "a range as small as can be is all in use");
}

#[test]
fn sound_and_its_reports_have_the_class_of_rtp() {
    for (class, octet) in [(46, 0xb8), (24, 0x60), (0, 0)] {
        let mut ports = Ports::new((FIRST, FIRST + 99), class, &mut Random::from_number(1));
        let sockets = ports.bind(Instant::from_secs(1), own_address(8), LastPorts::Take).unwrap();
        for socket in [&sockets.rtp, &sockets.rtcp] {
            assert_eq!(nix::sys::socket::getsockopt(socket, nix::sys::socket::sockopt::Ipv4Tos), Ok(octet));
        }
    }
}
