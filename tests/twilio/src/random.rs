//! Identifiers: the simulator is allowed to be random, the assertions never depend on a value.

/// `n` random bytes. A machine without randomness cannot run TLS either, so there is nothing to recover from.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0u8; N];
    getrandom::fill(&mut out).expect("the operating system gives random bytes");
    out
}

/// Lower-case hex of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A Twilio SID: two capital letters and 32 hex digits (TWILIO.md "API requests").
pub fn sid(prefix: &str) -> String {
    format!("{prefix}{}", hex(&bytes::<16>()))
}

/// A `8-4-4-4-12` identifier as Twilio puts into tags and idempotency tokens.
pub fn uuid() -> String {
    let h = hex(&bytes::<16>());
    format!("{}-{}-{}-{}-{}", &h[..8], &h[8..12], &h[12..16], &h[16..20], &h[20..])
}

/// A tag in Twilio's form `<8 digits>_<8 hex>_<uuid>` (TWILIO.md "Call from an extension").
pub fn tag() -> String {
    let n = u32::from_be_bytes(bytes::<4>()) % 100_000_000;
    format!("{n:08}_{}_{}", hex(&bytes::<4>()), uuid())
}
