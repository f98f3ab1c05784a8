//! The tunnel of the running service: to its webhook listener, told in its log, with URLs that it writes to its account.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Options, Prove, Tunnel, prover};
use crate::net::http;
use crate::net::recorder::Recorder;
use crate::tunnel::Place;
use crate::twilio::public_url;
use gateway_core::config::Config;
use gateway_core::config::tunnel::UrlFrom;
use gateway_core::event::{Code, Event, Level};
use gateway_core::random::Random;

/// The tunnel to the webhook listener, and the proofs that Twilio can reach it.
pub fn of_service(
    config: &Config,
    config_path: &Path,
    place: Place,
    shared: &Arc<http::Shared>,
    recorder: &Recorder,
    mut random: Random,
) -> Tunnel {
    let (store, clock, settings) = (place.store.clone(), place.clock.clone(), config.tunnel.clone());
    let configured = config.webhook.public_url.clone();
    // A URL that the tunnel itself tells is remembered: it is what Twilio calls now.
    let is_told = settings.url_from != UrlFrom::Config;
    let told = is_told.then(|| public_url::last_written(&store, &config.site.environment)).flatten();
    if let Some(told) = &told {
        let urls = [told, &configured].into_iter().filter(|url| !url.is_empty());
        shared.set_public_urls(urls.cloned().collect());
    }
    let (path, environment) = (config_path.to_owned(), config.site.environment.clone());
    let seeds = Mutex::new(Random::new(random.bytes()));
    let write_url = {
        let (store, recorder, clock) = (store.clone(), recorder.clone(), clock.clone());
        move |_: &str, new: &str| {
            let seed = seeds.lock().unwrap_or_else(PoisonError::into_inner).bytes();
            let recorder = recorder.clone();
            let tell = move |reason: &str| {
                recorder.record(&Event::new(Code::TunnelUrlWaits, "Twilio", reason).at(Level::Info))
            };
            public_url::write(&path, &environment, &store, new, &clock, Random::new(seed), tell)
                .map_err(|error| error.to_string())
        }
    };
    let (shared, recorder) = (Arc::clone(shared), recorder.clone());
    let announced = Arc::clone(&shared);
    let prove: Prove = {
        let (shared, prove) = (Arc::clone(&shared), prover(store, config.twilio.ca_file.clone(), clock.clone()));
        Arc::new(move |url, nonce| {
            // What a person has configured may be called by another name behind its front.
            let by = if is_told { http::host::of_url(url) } else { None };
            shared.expect_nonce(nonce, by.as_deref());
            prove(url, nonce)
        })
    };
    Tunnel::start(Options {
        settings,
        place,
        known_url: told.unwrap_or(configured),
        seed: random.bytes(),
        prove,
        write_url: Arc::new(write_url),
        take_urls: Box::new(move |urls| shared.set_public_urls(urls)),
        take_announced: Box::new(move |urls| announced.set_announced_urls(urls)),
        events: Arc::new(move |event| recorder.record(event)),
    })
}
