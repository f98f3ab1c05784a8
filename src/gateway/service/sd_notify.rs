//! `sd_notify`: tells systemd that the service is up (Type=notify), and then that it is alive (WatchdogSec=).

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::rc::Rc;
use std::time::Duration;

use crate::net::driver::Driver;
use gateway_core::engine::Input;

/// How often the watchdog is fed in the time after which it bites.
const FED: u32 = 3;

/// Sends `READY=1` where `$NOTIFY_SOCKET` says, if systemd started us. Failing to tell is not failing to run.
pub fn ready() {
    send(b"READY=1");
}

/// How long a stop may go on from now, where it waits for an emergency call; to be asked for again before that.
pub const MORE_TIME: Duration = Duration::from_secs(30);

/// Asks systemd not to kill us yet, with a sentence for `systemctl status` (sd_notify(3)).
pub fn ask_for_time() {
    let micros = MORE_TIME.as_micros();
    send(format!("EXTEND_TIMEOUT_USEC={micros}\nSTATUS=waits for an emergency call to end").as_bytes());
}

/// Feeds systemd's watchdog for ever, if it wants to be fed: each time after a turn of the engine, on the engine's own
/// thread, so that an engine that is stuck is not reported as alive.
pub async fn feed_watchdog(driver: Rc<Driver>) {
    let variable = |name| std::env::var(name).ok();
    let Some(period) = period(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"), std::process::id()) else { return };
    loop {
        tokio::time::sleep(period).await;
        driver.input(Input::Tick);
        send(b"WATCHDOG=1");
    }
}

/// sd_watchdog_enabled(3): microseconds, and for which process they are meant.
fn period(micros: Option<String>, meant: Option<String>, own: u32) -> Option<Duration> {
    let micros: u64 = micros?.parse().ok().filter(|micros| *micros > 0)?;
    let is_ours = meant.is_none_or(|meant| meant.parse() == Ok(own));
    is_ours.then(|| Duration::from_micros(micros) / FED)
}

fn send(state: &[u8]) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match name.as_bytes() {
        // sd_notify(3): a leading @ is the abstract namespace.
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
        _ => SocketAddr::from_pathname(&name),
    };
    if let (Ok(address), Ok(socket)) = (address, UnixDatagram::unbound()) {
        let _ = socket.send_to_addr(state, &address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(micros: Option<&str>, meant: Option<&str>) -> Option<Duration> {
        period(micros.map(str::to_owned), meant.map(str::to_owned), 7)
    }

    #[test]
    fn a_watchdog_is_fed_three_times_before_it_bites() {
        assert_eq!(asked(Some("30000000"), Some("7")), Some(Duration::from_secs(10)));
        assert_eq!(asked(Some("30000000"), None), Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_watchdog_that_is_not_ours_or_not_set_is_not_fed() {
        for (micros, meant) in [(None, None), (Some("30000000"), Some("8")), (Some("0"), None), (Some("soon"), None)] {
            assert_eq!(asked(micros, meant), None);
        }
    }
}
