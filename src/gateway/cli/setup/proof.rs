//! Shows that it works: the service registers at Twilio, the public URL leads here, a phone rings.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::arguments::SetupArguments;
use super::ask;
use super::question::Prompt;
use super::wizard::interrupted;
use crate::cli::account::Opened;
use crate::cli::{check, failed, print, reload};
use gateway_account::api::{Api, ApiError, Collection, Form, Product};
use gateway_core::config::Config;
use gateway_core::config::tunnel::Driver;
use gateway_core::plain::{plain, plain_lines};
use gateway_core::route::target::Called;
use gateway_core::status::{RegistrationState, Status, TunnelState};

/// How long the extensions may take to register: some tries of the trunk.
const REGISTER_LIMIT: Duration = Duration::from_secs(45);

/// How long the tunnel may take: names of quick tunnels must get around in DNS.
const TUNNEL_LIMIT: Duration = Duration::from_secs(90);

/// Between two looks at the service.
const LOOK: Duration = Duration::from_millis(250);

/// How long a phone is rung.
const RING_LIMIT: Duration = Duration::from_secs(45);

/// Between two looks at the call.
const LOOK_AT_CALL: Duration = Duration::from_millis(500);

/// What the called person hears.
const SAID: &str = "<Response><Say>This is your gateway. The phone works.</Say></Response>";

/// Proves what can be proved. `false`: something did not work, and was told.
pub(super) fn prove(opened: &mut Opened, arguments: &SetupArguments, is_asking: bool) -> Result<bool, Vec<String>> {
    if let Some(name) = &arguments.ring
        && opened.config.extension(name).is_none()
    {
        return Err(failed(format!("--ring {name}: there is no such extension; write one of those in the config")));
    }
    match reload::if_running(&opened.config) {
        None => {
            print(
                "the service is not running yet: start it with \"systemctl start gateway\", then run \"gateway setup\" \
                   again for the proof\n",
            );
            // Nothing to be proved is no failure, unless it was asked for.
            return Ok(arguments.ring.is_none());
        }
        Some(Ok(text)) => {
            print(&format!("the running service: {text}\n"));
            run_environment(&mut opened.config);
        }
        Some(Err(error)) => {
            print(&format!("proof failed: the running service did not reload: {error}\n"));
            return Ok(false);
        }
    }
    let registered = registered(&opened.config);
    let reached = match opened.config.tunnel.driver {
        Driver::None => reached(opened),
        // The service makes the proof; it would be no better by our own.
        _ => tunnelled(&opened.config),
    };
    let rung = match whom_to_ring(opened, arguments, is_asking)? {
        Some(extension) => ring(opened, &extension),
        None => true,
    };
    Ok(registered && reached && rung)
}

/// What can be proved is what the service runs, which its command line may have chosen.
fn run_environment(config: &mut Config) {
    let Ok(status) = asked(config) else { return };
    if let Some(selected) = config.clone().select(&status.environment) {
        *config = selected;
        // The tunnel may have told another URL since the config was read.
        config.set_public_url(&status.environment, &status.public_url);
    }
}

/// Waits until all extensions are registered at the SIP domain.
fn registered(config: &Config) -> bool {
    let began = Instant::now();
    let mut told = None;
    loop {
        let open = match asked(config) {
            Ok(status) => unregistered(config, &status),
            Err(error) => vec![error],
        };
        let done = config.extensions.len().saturating_sub(open.len());
        if told.replace(done) != Some(done) {
            print(&format!("registered at {}: {done} of {}\n", config.trunk.domain, config.extensions.len()));
        }
        if open.is_empty() {
            return true;
        }
        if began.elapsed() > REGISTER_LIMIT {
            for line in open {
                print(&format!("proof failed: {line}\n"));
            }
            print("  \"gateway status\" shows more; a firewall that lets no TLS out to port 5061 is the usual cause\n");
            return false;
        }
        std::thread::sleep(LOOK);
    }
}

/// The extensions that are not registered, each with the reason.
fn unregistered(config: &Config, status: &Status) -> Vec<String> {
    let state = |name: &str| status.extensions.iter().find(|extension| extension.name == name);
    let trunk = status.trunk.reason.as_ref();
    let open = |name: &String| match state(name) {
        None => Some(format!("{name}: the service does not know it yet")),
        Some(extension) if extension.registration.state == RegistrationState::Registered => None,
        Some(extension) => {
            let reason = extension.registration.reason.as_ref().or(trunk);
            let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            let text = format!("{name} is {} at Twilio{reason}", extension.registration.state);
            Some(plain(&text))
        }
    };
    config.extensions.iter().filter_map(|extension| open(&extension.name)).collect()
}

/// Fetches our own public URL as Twilio would.
fn reached(opened: &mut Opened) -> bool {
    let Some(environment) = opened.config.environment(&opened.config.site.environment).cloned() else { return true };
    let url = match environment.public_url.as_str() {
        "" => "the public URL",
        url => url,
    };
    match check::reach(opened, &environment) {
        None => true,
        Some(Ok(())) => {
            print(&format!("{url} leads to this box\n"));
            true
        }
        Some(Err(error)) => {
            let listen = opened.config.webhook.listen;
            print(&format!("proof failed: {url}: {error}; the tunnel must end at {listen} of this box\n"));
            false
        }
    }
}

/// Waits until the service has proved its tunnel, and Twilio has been told where it begins.
fn tunnelled(config: &Config) -> bool {
    let began = Instant::now();
    let mut told = None;
    loop {
        let tunnel = asked(config).ok().and_then(|status| status.tunnel);
        let driver = config.tunnel.driver.name();
        if let Some(tunnel) = tunnel.as_ref().filter(|tunnel| tunnel.driver != driver) {
            print(&format!(
                "proof failed: the service runs tunnel {:?}, the config says {driver:?}: \"systemctl restart gateway\", then run \
                 \"gateway setup\" again\n",
                tunnel.driver
            ));
            return false;
        }
        let state = tunnel.as_ref().map(|tunnel| tunnel.state);
        if let Some(tunnel) = &tunnel
            && told.replace(tunnel.state) != state
        {
            print(&format!("tunnel: {}\n", tunnel.state.name()));
        }
        match &tunnel {
            Some(tunnel) if tunnel.state == TunnelState::Proved && tunnel.written => {
                print(&format!("{} leads to this box\n", plain_lines(&tunnel.public_url)));
                return true;
            }
            Some(_) | None if began.elapsed() < TUNNEL_LIMIT => std::thread::sleep(LOOK),
            tunnel => {
                let reason = tunnel.as_ref().and_then(|tunnel| tunnel.reason.as_deref());
                print(&format!(
                    "proof failed: the tunnel is not proved: {}\n  \"gateway tunnel status\" shows more\n",
                    plain_lines(reason.unwrap_or("the service says no more"))
                ));
                return false;
            }
        }
    }
}

/// What the running service says.
fn asked(config: &Config) -> Result<Status, String> {
    let status = crate::cli::ask::ask(config, "status").map_err(|error| error.to_string())?;
    serde_json::from_str(&status).map_err(|error| format!("the service answers something else: {error}"))
}

/// The extension to ring, by flag or by a person's word.
fn whom_to_ring(opened: &Opened, arguments: &SetupArguments, is_asking: bool) -> Result<Option<String>, Vec<String>> {
    if arguments.ring.is_some() || arguments.no_ring || !is_asking {
        return Ok(arguments.ring.clone());
    }
    let names: Vec<&str> = opened.config.extensions.iter().map(|extension| extension.name.as_str()).collect();
    let prompt = Prompt {
        text: format!("Ring a phone now? Write its extension ({}), or nothing", names.join(", ")),
        default: Some(String::new()),
        ..Prompt::default()
    };
    loop {
        let answer = ask::text(&prompt).map_err(interrupted)?;
        match answer.trim() {
            "" => return Ok(None),
            name if names.contains(&name) => return Ok(Some(name.to_owned())),
            name => super::wizard::println_error(&format!("  {name:?} is no extension")),
        }
    }
}

/// Calls a phone from Twilio's side, and tells how that goes.
fn ring(opened: &mut Opened, extension: &str) -> bool {
    match call(opened, extension) {
        Ok(true) => true,
        Ok(false) => {
            print(&format!(
                "proof failed: {extension} was not answered; \"gateway status\" shows whether a phone is there\n"
            ));
            false
        }
        Err(error) => {
            print(&format!("proof failed: {extension} cannot be rung: {error}\n"));
            false
        }
    }
}

/// Whether somebody answered.
fn call(opened: &mut Opened, extension: &str) -> Result<bool, ApiError> {
    let config = &opened.config;
    let numbers = || config.numbers.first().map(|number| number.number.clone());
    let shown = config.extension(extension).and_then(|extension| extension.caller_id.clone()).or_else(numbers);
    let calls = Collection::new(Product::Core, "Calls");
    let mut form = Form::default();
    form.plain("To", Called::Extension(extension).uri(config, extension, &config.trunk.domain));
    // To a SIP address, any name may call (TWILIO.md "Calls by the API").
    form.plain("From", shown.unwrap_or_else(|| config.site.name.clone()));
    form.plain("Twiml", SAID);
    let answer = opened.client.create(&calls, &form)?;
    let text = |answer: &Value, name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let sid = text(&answer, "sid");
    let (began, mut told) = (Instant::now(), String::new());
    let mut status = text(&answer, "status");
    loop {
        if told != status {
            let shown = plain(&status);
            print(&format!("{extension}: {}\n", if shown == "in-progress" { "answered" } else { &shown }));
            told.clone_from(&status);
        }
        match status.as_str() {
            "in-progress" | "completed" => return Ok(true),
            "busy" | "failed" | "no-answer" | "canceled" => return Ok(false),
            _ if began.elapsed() > RING_LIMIT => {
                let mut form = Form::default();
                form.plain("Status", "canceled");
                // It may have ended meanwhile.
                let _ = opened.client.update(&calls, &sid, &form);
                return Ok(false);
            }
            _ => {}
        }
        std::thread::sleep(LOOK_AT_CALL);
        status = text(&opened.client.get(&calls, &sid)?, "status");
    }
}
