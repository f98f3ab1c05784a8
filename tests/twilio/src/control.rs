//! A small HTTP API to steer the simulator from other programs.
//!
//! ```text
//! GET  /control/journal?from=N      entries from the Nth on, as JSON
//! GET  /control/violations          broken rules
//! GET  /control/requests            REST request log, counts, unknown parameters
//! GET  /control/bindings            registered contacts
//! GET  /control/switches            the switches;  POST with a JSON object changes some
//! POST /control/pstn/party          {"number": "+1...", "party": {...}}
//! POST /control/pstn/call           {"from": "+1...", "to": "+1...", "party": {...}}; answers when the call is over
//! POST /control/sip/drop            cut all TLS connections
//! POST /control/network             {"up": false} or {"up": true}
//! POST /control/rest/fault          {"status": 429, "code": 20429, "count": 2}; `rest::Fault` has all its fields
//! POST /control/rest/seed           {"number": "+1..."}: the account owns it from now on
//! POST /control/rest/litter         {"seed": N}: strangers' resources of every family, the same for the same seed
//! POST /control/rest/taken          {"domain": "x.sip.twilio.com"}: that name belongs to another account
//! POST /control/rest/account        {"type": "Trial", "status": "suspended", "balance_cents": 5}; answers as GET does
//! GET  /control/rest/account        type, status, balance, how many numbers were bought
//! POST /control/rest/verify         {"number": "+1..."}: the validation call was answered with its code
//! POST /control/rest/fire           {"sid": "UT...", "value": 31.5}: the trigger's callback is sent
//! GET  /control/rest/records        every resource: family, SID, parent, what the API shows, HA1 of a password
//! ```

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::form::decode;
use crate::pstn::{self, Party};
use crate::rest::{self, Fault};
use crate::twilio::Twilio;

const MAX_BODY: usize = 64 * 1024;
/// How long a PSTN caller lets it ring.
const RING_LIMIT: Duration = Duration::from_secs(60);

/// Serves until the task is aborted.
pub async fn serve(twilio: Arc<Twilio>, listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let twilio = twilio.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| handle(twilio.clone(), request));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn handle(twilio: Arc<Twilio>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let method = request.method().as_str().to_owned();
    let path = request.uri().path().to_owned();
    let query = decode(request.uri().query().unwrap_or(""));
    let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
    let body = body.map(|b| b.to_bytes().to_vec()).unwrap_or_default();
    let (status, value) = match answer(&twilio, &method, &path, &query, &body).await {
        Ok(value) => (200, value),
        Err((status, text)) => (status, json!({ "error": text })),
    };
    let response = Response::builder().status(status).header("Content-Type", "application/json");
    let response = response.body(Full::new(Bytes::from(value.to_string())));
    Ok(response.unwrap_or_else(|_| Response::new(Full::default())))
}

#[derive(Deserialize)]
struct PartyAt {
    number: String,
    #[serde(default)]
    party: Party,
}

#[derive(Deserialize)]
struct PartyCall {
    from: String,
    to: String,
    #[serde(default)]
    party: Party,
}

#[derive(Deserialize)]
struct Seed {
    number: String,
}

#[derive(Deserialize)]
struct Litter {
    seed: u64,
}

#[derive(Deserialize)]
struct Taken {
    domain: String,
}

#[derive(Deserialize)]
struct Fire {
    sid: String,
    value: Option<f64>,
}

#[derive(Deserialize)]
struct Network {
    up: bool,
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, (u16, String)> {
    serde_json::from_slice(body).map_err(|e| (400, e.to_string()))
}

async fn answer(
    twilio: &Arc<Twilio>,
    method: &str,
    path: &str,
    query: &[(String, String)],
    body: &[u8],
) -> Result<Value, (u16, String)> {
    match (method, path) {
        ("GET", "/control/journal") => {
            let from = query.iter().find(|(n, _)| n == "from").and_then(|(_, v)| v.parse().ok()).unwrap_or(0);
            Ok(json!(twilio.journal.entries(from)))
        }
        ("GET", "/control/violations") => Ok(json!(twilio.journal.violations())),
        ("GET", "/control/requests") => {
            let store = twilio.store();
            let (reads, writes) = store.counts(0);
            let (unknown, log) = (&store.unknown_parameters, store.log(0));
            Ok(json!({ "reads": reads, "writes": writes, "unknown_parameters": unknown, "log": log }))
        }
        ("GET", "/control/bindings") => {
            let each = twilio.registrar().snapshot().into_iter().map(|(aor, contact, expires, flow)| {
                json!({ "aor": aor, "contact": contact, "expires": expires, "flow": flow })
            });
            Ok(Value::Array(each.collect()))
        }
        ("GET", "/control/switches") => Ok(json!(twilio.switches())),
        ("POST", "/control/switches") => {
            let changes: serde_json::Map<String, Value> = read(body)?;
            let mut switches = twilio.switches();
            for (name, value) in changes {
                switches.set(&format!("{name}={value}")).map_err(|e| (400, e))?;
            }
            twilio.set_switches(|own| *own = switches);
            Ok(json!(twilio.switches()))
        }
        ("POST", "/control/pstn/party") => {
            let at: PartyAt = read(body)?;
            twilio.pstn().connect(&at.number, at.party);
            Ok(json!({}))
        }
        ("POST", "/control/pstn/call") => {
            let call: PartyCall = read(body)?;
            let outcome = pstn::call(twilio.clone(), call.from, call.to, call.party, RING_LIMIT).await;
            Ok(json!(outcome))
        }
        ("POST", "/control/sip/drop") => Ok(json!({ "dropped": twilio.drop_flows() })),
        ("POST", "/control/network") => {
            let network: Network = read(body)?;
            twilio.stop_network().await;
            if network.up {
                twilio.start_network().await.map_err(|e| (500, e.to_string()))?;
            }
            Ok(json!({ "up": network.up }))
        }
        ("POST", "/control/rest/fault") => {
            let fault: Fault = read(body)?;
            twilio.store().faults.push(fault);
            Ok(json!({}))
        }
        ("POST", "/control/rest/seed") => {
            let seed: Seed = read(body)?;
            twilio.store().seed_number(&seed.number);
            Ok(json!({}))
        }
        ("POST", "/control/rest/litter") => {
            let litter: Litter = read(body)?;
            let mut store = twilio.store();
            rest::litter::scatter(&mut store, litter.seed).map_err(|e| (409, e.message))?;
            Ok(json!({ "records": store.records.len() }))
        }
        ("POST", "/control/rest/taken") => {
            let taken: Taken = read(body)?;
            twilio.store().foreign_domains.push(taken.domain);
            Ok(json!({}))
        }
        ("POST", "/control/rest/account") => {
            let changes: serde_json::Map<String, Value> = read(body)?;
            let mut store = twilio.store();
            let mut all = json!(store.account);
            changes.into_iter().for_each(|(name, value)| all[name] = value);
            store.account = serde_json::from_value(all).map_err(|e| (400, e.to_string()))?;
            Ok(json!(store.account))
        }
        ("GET", "/control/rest/account") => Ok(json!(twilio.store().account)),
        ("POST", "/control/rest/verify") => {
            let seed: Seed = read(body)?;
            match rest::caller_ids::confirm(&mut twilio.store(), &seed.number) {
                true => Ok(json!({})),
                false => Err((404, format!("nobody asked to verify {}", seed.number))),
            }
        }
        ("POST", "/control/rest/fire") => {
            let fire: Fire = read(body)?;
            let status = rest::usage::fire(twilio, &fire.sid, fire.value).await;
            status.map(|status| json!({ "status": status })).map_err(|e| (e.status, e.message))
        }
        ("GET", "/control/rest/records") => {
            let store = twilio.store();
            let mut all: Vec<Value> = store.records.iter().map(|record| json!(record)).collect();
            all.extend(store.v1.records());
            Ok(Value::Array(all))
        }
        _ => Err((404, format!("{method} {path} is unknown"))),
    }
}
