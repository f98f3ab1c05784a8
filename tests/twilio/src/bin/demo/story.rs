//! The story of the first call, step by step.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use twilio_simulator::handset::{Config, Handset, Transport};
use twilio_simulator::journal::Event;
use twilio_simulator::leg::{Cause, Command, Leg};
use twilio_simulator::media::meter::Heard;
use twilio_simulator::pstn::{self, Party};
use twilio_simulator::switches::Switches;
use twilio_simulator::twilio::{Options, Twilio};

use crate::gateway::{Gateway, Workplace};
use crate::narrator::narrate;
use crate::sshd::Sshd;
use crate::table::Table;

const NUMBER: &str = "+15035550100";
const CALLER_101: &str = "+15035550101";
const CALLER_102: &str = "+15035550102";
pub const FAR_END: &str = "+15035551212";
const STRANGER: &str = "+15035550199";
/// The tones: what the handsets send, and what the far ends send.
pub const HANDSET_HZ: f64 = 700.0;
pub const FAR_HZ: f64 = 1004.0;
const LEVEL: f64 = -10.0;
/// A tone may lose or gain so much on the way.
const LEVEL_TOLERANCE: f64 = 1.0;
/// Any one thing that is waited for.
pub const LIMIT: Duration = Duration::from_secs(15);
/// "A clear refusal at once".
const AT_ONCE: Duration = Duration::from_secs(2);
/// How often a state is asked for while waiting for it.
pub const POLL: Duration = Duration::from_millis(100);
/// The gateway may lose so much of a call's packets on loopback.
const MAX_LOSS: f64 = 1.0;

/// Figures, or what went wrong.
pub type Step = Result<String, String>;

/// Everybody in the story.
pub struct Story {
    pub(crate) twilio: Arc<Twilio>,
    pub(crate) gateway: Gateway,
    workplace: Workplace,
    narrator: JoinHandle<()>,
    pub(crate) phones: Vec<Handset>,
    access: Value,
    /// With it, webhooks come in through a tunnel.
    sshd: Option<Sshd>,
}

impl Story {
    /// Step 1 is part of the beginning: without a simulator there is no configuration to write.
    pub async fn begin(
        binary: PathBuf,
        workplace: Workplace,
        switches: &[String],
        with_tunnel: bool,
    ) -> Result<Self, String> {
        let sshd = match with_tunnel {
            true => Some(Sshd::start(&workplace.path).await?),
            false => None,
        };
        let mut own = Switches::default();
        for assignment in switches {
            own.set(assignment)?;
        }
        let options = Options {
            numbers: [NUMBER, CALLER_101, CALLER_102].map(str::to_owned).to_vec(),
            switches: own,
            ca_file: workplace.path.join("ca.pem"),
            ..Options::default()
        };
        let twilio = Twilio::start(options).await.map_err(|e| format!("simulator: {e}"))?;
        let gateway = Gateway::configure(binary, &workplace.path, &twilio, sshd.as_ref()).map_err(|e| e.to_string())?;
        let narrator = tokio::spawn(narrate(twilio.clone()));
        Ok(Self { twilio, gateway, workplace, narrator, phones: Vec::new(), access: Value::Null, sshd })
    }

    /// Tells all steps; later ones are told also when an earlier one failed, as long as they make sense.
    pub async fn tell(&mut self, table: &mut Table) {
        println!("1. The Twilio simulator starts on loopback.");
        let figures = format!("REST {}, SIP over TLS {}", self.twilio.rest_address, self.twilio.sip_address);
        table.take("1", "simulator", Ok(figures));

        println!("2. `gateway setup`, unattended, twice.");
        let outcome = self.set_up().await;
        if !table.take("2", "gateway setup, twice", outcome) {
            return;
        }
        println!("3. `gateway run` registers every extension.");
        let outcome = self.run().await;
        if !table.take("3", "gateway run registers at Twilio", outcome) {
            return;
        }
        if self.sshd.is_some() {
            println!("3b. The ssh tunnel comes up.");
            let outcome = self.tunnel_comes_up().await;
            if !table.take("3b", "tunnel through sshd", outcome) {
                return;
            }
        }
        println!("4. Two handsets register on the LAN.");
        let outcome = self.plug_in().await;
        if !table.take("4", "handsets 101 and 102 register", outcome) {
            return;
        }
        println!("5. 101 dials 5035551212; the far end hangs up, then 101 does.");
        let outcome = self.call_out(Some(2500), None).await;
        table.take("5a", "call out, far end hangs up", outcome);
        let outcome = self.call_out(None, Some(2000)).await;
        table.take("5b", "call out, 101 hangs up", outcome);

        println!("6. {STRANGER} calls {NUMBER}; both ring, 102 answers.");
        let outcome = self.call_in().await;
        table.take("6", "call in, fork, 102 answers", outcome);

        match self.sshd {
            Some(_) => self.tell_tunnel(table).await,
            None => self.tell_outage(table).await,
        }
        println!("9. What is left, and whether every rule was kept.");
        let outcome = self.afterwards().await;
        table.take("9", "rules kept, nothing left over", outcome);
    }

    /// Calls inside go on without Twilio, which comes back; an emergency call.
    async fn tell_outage(&mut self, table: &mut Table) {
        println!("7. 101 calls 102, then the same with Twilio gone.");
        let outcome = self.call_inside().await;
        table.take("7a", "101 calls 102", outcome);
        self.twilio.stop_network().await;
        let outcome = self.call_inside().await;
        table.take("7b", "101 calls 102, Twilio gone", outcome);
        let outcome = self.refused_outside().await;
        table.take("7c", "a call out is refused at once", outcome);

        println!("8. Twilio is back; 101 dials 933.");
        let outcome = self.come_back().await;
        if table.take("7d", "the trunk comes back", outcome) {
            let outcome = self.emergency().await;
            table.take("8", "933 leaves with 101's number", outcome);
        }
    }

    /// The tunnel's server.
    pub fn sshd(&self) -> Result<&Sshd, String> {
        self.sshd.as_ref().ok_or_else(|| "there is no tunnel in this story".to_owned())
    }

    async fn set_up(&mut self) -> Step {
        let mut counts = Vec::new();
        for (turn, ending) in ["applied", "nothing to change"].into_iter().enumerate() {
            let mark = self.twilio.store().log(0).len();
            let said = self.gateway.run(&["setup", "--yes"]).await?;
            for line in &said.lines {
                println!("   setup   {line}");
            }
            if !said.success {
                return Err(format!("gateway setup failed: {}", said.errors));
            }
            let last = said.lines.last().map_or("", String::as_str);
            if !last.starts_with(ending) {
                return Err(format!("run {}: the last line is {last:?}, not \"{ending} ...\"", turn + 1));
            }
            counts.push(self.twilio.store().counts(mark));
        }
        let (first, second) = (counts[0], counts[1]);
        if first.1 == 0 || second.1 != 0 {
            return Err(format!("first run made {} writes, second {}", first.1, second.1));
        }
        let unknown = self.twilio.store().unknown_parameters.clone();
        if !unknown.is_empty() {
            return Err(format!("parameters that Twilio does not know: {unknown:?}"));
        }
        Ok(format!("first {} reads, {} writes; again {} reads, {} writes", first.0, first.1, second.0, second.1))
    }

    async fn run(&mut self) -> Step {
        let start = Instant::now();
        let mark = self.twilio.journal.mark();
        self.gateway.start()?;
        self.registered(mark).await?;
        let took = start.elapsed().as_millis();
        self.status_says_registered().await?;
        let flows = self.twilio.flow_count();
        if flows != 1 {
            return Err(format!("{flows} TLS connections instead of one"));
        }
        let registrations = self.twilio.journal.entries(mark);
        let challenged = registrations.iter().filter(|e| match &e.event {
            Event::Sip { arrow: "->", line, .. } => line.starts_with("407 ") && line.contains("REGISTER"),
            _ => false,
        });
        let (challenged, memory) = (challenged.count(), self.memory());
        Ok(format!("both in {took} ms after start, {challenged} challenges, one TLS connection, {memory}"))
    }

    /// Waits until the simulator has a live binding of both extensions that was made after `mark`.
    async fn registered(&mut self, mark: usize) -> Result<(), String> {
        for extension in ["101", "102"] {
            let wanted = format!("{extension}@");
            let waiting = self.twilio.journal.wait(mark, LIMIT, |entry| match &entry.event {
                Event::Registered { aor, .. } if aor.starts_with(&wanted) => Some(()),
                _ => None,
            });
            if waiting.await.is_none() {
                let alive = if self.gateway.is_alive() { "runs" } else { "has ended" };
                return Err(format!("{extension} did not register within {LIMIT:?}; the gateway {alive}"));
            }
        }
        Ok(())
    }

    async fn status_says_registered(&self) -> Result<(), String> {
        let state = |status: &Value, name: &str| {
            let extensions = status["extensions"].as_array().cloned().unwrap_or_default();
            let own = extensions.into_iter().find(|e| e["name"] == name).unwrap_or_default();
            own["registration"]["state"].as_str().unwrap_or("missing").to_owned()
        };
        let mut last = Value::Null;
        let polling = async {
            loop {
                if let Ok(status) = self.gateway.json(&["status", "--json"]).await {
                    if ["101", "102"].iter().all(|name| state(&status, name) == "registered") {
                        return;
                    }
                    last = status;
                }
                tokio::time::sleep(POLL).await;
            }
        };
        match timeout(LIMIT, polling).await {
            Ok(()) => Ok(()),
            Err(_) => Err(format!("gateway status never said that both are registered: {last}")),
        }
    }

    async fn plug_in(&mut self) -> Step {
        let mut granted = Vec::new();
        for name in ["101", "102"] {
            let access = self.gateway.json(&["handset", name, "--json"]).await?;
            let text = |field: &str| access[field].as_str().map(str::to_owned);
            let port = access["port"].as_u64().and_then(|p| u16::try_from(p).ok()).ok_or("handset JSON: port")?;
            let server = text("server").and_then(|s| s.parse().ok()).ok_or("handset JSON: server")?;
            let config = Config {
                server: std::net::SocketAddr::new(server, port),
                transport: Transport::Udp,
                username: text("username").ok_or("handset JSON: username")?,
                password: text("password").ok_or("handset JSON: password")?,
            };
            let wrong = Config { password: "not the password".to_owned(), ..config.clone() };
            let stranger = Handset::start(wrong).await.map_err(|e| e.to_string())?;
            if stranger.register(600).await.is_ok() {
                return Err(format!("{name} could register with a wrong password"));
            }
            let phone = Handset::start(config).await.map_err(|e| e.to_string())?;
            granted.push(phone.register(600).await.map_err(|e| format!("{name}: {e}"))?);
            println!("   handset {name} at {} registered for {} s", phone.address(), granted[granted.len() - 1]);
            self.phones.push(phone);
            if name == "101" {
                self.access = access;
            }
        }
        Ok(format!("UDP, digest, {} s and {} s; a wrong password is refused", granted[0], granted[1]))
    }

    /// 101 calls the far end; one of the two hangs up after so many milliseconds.
    async fn call_out(&mut self, far_hangs_up: Option<u64>, we_hang_up: Option<u64>) -> Step {
        let journal = &self.twilio.journal;
        let far = Party { answer_after_ms: 400, hang_up_after_ms: far_hangs_up, tone_hz: FAR_HZ, ..Party::default() };
        self.twilio.pstn().connect(FAR_END, far);
        let (mark, start) = (journal.mark(), journal.now_ms());
        let mut leg = self.phones[0].call("5035551212").await.map_err(|e| e.to_string())?;
        leg.answered(LIMIT).await.map_err(|end| format!("not answered: {:?} {:?}", end.cause, end.sip_code))?;
        let heard = talk(&mut leg, we_hang_up).await?;
        let rang = journal.wait(mark, LIMIT, |entry| match &entry.event {
            Event::PstnRinging { caller_id, .. } => Some((entry.at_ms, caller_id.clone())),
            _ => None,
        });
        let (rang, caller_id) = rang.await.ok_or("the far end did not ring")?;
        let ended = journal.wait(mark, LIMIT, |entry| match &entry.event {
            Event::PstnEnded { heard, .. } => Some(heard.clone()),
            _ => None,
        });
        let far_heard = ended.await.ok_or("the far end's call did not end")?;
        if caller_id != CALLER_101 {
            return Err(format!("the far end saw {caller_id} instead of {CALLER_101}"));
        }
        let asked = webhooks(&self.twilio, mark);
        if asked.is_empty() || asked.iter().any(|status| *status != 200) {
            return Err(format!("webhooks answered {asked:?}"));
        }
        self.secure(mark).await?;
        check_tone("101", &heard, FAR_HZ)?;
        check_tone("far end", &far_heard, HANDSET_HZ)?;
        Ok(format!("post-dial delay {} ms, 101 {}, far end {}", rang - start, figures(&heard), figures(&far_heard)))
    }

    /// A stranger calls; both handsets ring, one answers.
    pub async fn call_in(&mut self) -> Step {
        let mark = self.twilio.journal.mark();
        let far = Party { hang_up_after_ms: Some(2500), tone_hz: FAR_HZ, ..Party::default() };
        let (from, to) = (STRANGER.to_owned(), NUMBER.to_owned());
        let calling = tokio::spawn(pstn::call(self.twilio.clone(), from, to, far, LIMIT));
        let (one, two) = tokio::join!(self.phones[0].incoming(LIMIT), self.phones[1].incoming(LIMIT));
        let (mut one, mut two) = (one.ok_or("101 did not ring")?, two.ok_or("102 did not ring")?);
        one.leg.tell(Command::Ring { early_media: false }).await;
        two.leg.tell(Command::Ring { early_media: false }).await;
        println!("   handset 101 and 102 ring, both show {}", two.caller_id);
        if !two.caller_id.contains(STRANGER.trim_start_matches("+1")) {
            return Err(format!("102 shows {} instead of {STRANGER}", two.caller_id));
        }
        two.leg.tell(Command::Answer).await;
        let (heard, loser) = tokio::join!(talk(&mut two.leg, None), one.leg.ended(LIMIT));
        let heard = heard?;
        let loser = loser.ok_or("101 did not stop ringing")?;
        if loser.cause != Cause::Canceled {
            return Err(format!("101 got no CANCEL but {:?}", loser.cause));
        }
        let outcome = calling.await.map_err(|e| e.to_string())?;
        if !outcome.answered {
            return Err(format!("the caller was not answered: {}", outcome.cause));
        }
        self.secure(mark).await?;
        check_tone("102", &heard, FAR_HZ)?;
        check_tone("caller", &outcome.heard, HANDSET_HZ)?;
        Ok(format!("101 cancelled, 102 {}, caller {}", figures(&heard), figures(&outcome.heard)))
    }

    async fn call_inside(&mut self) -> Step {
        let mark = self.twilio.journal.mark();
        let start = Instant::now();
        let mut caller = self.phones[0].call("102").await.map_err(|e| e.to_string())?;
        let mut called = self.phones[1].incoming(LIMIT).await.ok_or("102 did not ring")?;
        let delay = start.elapsed().as_millis();
        called.leg.tell(Command::Ring { early_media: false }).await;
        called.leg.tell(Command::Answer).await;
        caller.answered(LIMIT).await.map_err(|end| format!("not answered: {:?} {:?}", end.cause, end.sip_code))?;
        let (near, far) = tokio::join!(talk(&mut caller, Some(1500)), talk(&mut called.leg, None));
        let (near, far) = (near?, far?);
        check_tone("101", &near, HANDSET_HZ)?;
        check_tone("102", &far, HANDSET_HZ)?;
        let trunk = self.twilio.journal.entries(mark).into_iter().filter(|e| match &e.event {
            Event::Sip { line, .. } => line.starts_with("INVITE"),
            _ => false,
        });
        if trunk.count() > 0 {
            return Err("a call inside went to Twilio".to_owned());
        }
        Ok(format!("102 rings after {delay} ms, 101 {}, 102 {}", figures(&near), figures(&far)))
    }

    async fn refused_outside(&mut self) -> Step {
        let start = Instant::now();
        let mut leg = self.phones[0].call("5035551212").await.map_err(|e| e.to_string())?;
        let end = match leg.answered(LIMIT).await {
            Err(end) => end,
            Ok(_) => return Err("it was answered, with Twilio gone".to_owned()),
        };
        let (took, code) = (start.elapsed(), end.sip_code.ok_or("no answer at all")?);
        if took > AT_ONCE {
            return Err(format!("{code} only after {} ms", took.as_millis()));
        }
        Ok(format!("{code} after {} ms", took.as_millis()))
    }

    async fn come_back(&mut self) -> Step {
        let (mark, start) = (self.twilio.journal.mark(), Instant::now());
        self.twilio.start_network().await.map_err(|e| e.to_string())?;
        self.registered(mark).await?;
        let took = start.elapsed().as_millis();
        self.status_says_registered().await?;
        Ok(format!("both registered again {took} ms after Twilio was back"))
    }

    async fn emergency(&mut self) -> Step {
        let mark = self.twilio.journal.mark();
        let start = Instant::now();
        let mut leg = self.phones[0].call("933").await.map_err(|e| e.to_string())?;
        leg.answered(LIMIT).await.map_err(|end| format!("not answered: {:?} {:?}", end.cause, end.sip_code))?;
        let took = start.elapsed().as_millis();
        let heard = talk(&mut leg, Some(1500)).await?;
        let left = self.twilio.journal.wait(mark, LIMIT, |entry| match &entry.event {
            Event::Emergency { number, caller_id, from_user, .. } => {
                Some((number.clone(), caller_id.clone(), from_user.clone()))
            }
            _ => None,
        });
        let (number, caller_id, from_user) = left.await.ok_or("no emergency call left")?;
        if number != "933" || caller_id != CALLER_101 || from_user != CALLER_101 {
            return Err(format!("{number} left as {caller_id}, From {from_user}, instead of {CALLER_101}"));
        }
        let asked = webhooks(&self.twilio, mark);
        if !asked.is_empty() {
            return Err(format!("{} webhooks were asked", asked.len()));
        }
        Ok(format!("From {from_user}, no webhook, answered after {took} ms, {:.0} Hz heard", heard.hertz))
    }

    async fn afterwards(&mut self) -> Step {
        let quiet = async {
            loop {
                let calls = self.gateway.json(&["status", "--json"]).await.map(|s| s["calls"].clone());
                let none = calls.as_ref().ok().and_then(Value::as_array).is_some_and(Vec::is_empty);
                if none && self.twilio.dialog_count() == 0 {
                    return;
                }
                tokio::time::sleep(POLL).await;
            }
        };
        if timeout(LIMIT, quiet).await.is_err() {
            return Err("calls are left over in the gateway or at Twilio".to_owned());
        }
        let violations = self.twilio.journal.violations();
        if !violations.is_empty() {
            return Err(format!("{} rules broken: {}", violations.len(), violations.join(" | ")));
        }
        let schema = self.twilio.journal.entries(0).into_iter().filter_map(|e| match e.event {
            Event::Alert { code: code @ (12100..=12300 | 13200..=13260), text } => Some(format!("{code} {text}")),
            _ => None,
        });
        let schema: Vec<String> = schema.collect();
        if !schema.is_empty() {
            return Err(format!("Twilio warns about the TwiML: {}", schema.join(" | ")));
        }
        if !self.gateway.is_alive() {
            return Err("the gateway has ended".to_owned());
        }
        Ok(format!("no rule broken, no call left, {}", self.memory()))
    }

    fn memory(&self) -> String {
        match self.gateway.memory() {
            Some((now, peak)) => format!("RSS {:.1} MB (peak {:.1})", now as f64 / 1024.0, peak as f64 / 1024.0),
            None => "RSS unknown".to_owned(),
        }
    }

    /// Every trunk leg since `mark` is over and refused no packet: all of it was SRTP with the agreed keys, none came twice.
    async fn secure(&self, mark: usize) -> Result<(), String> {
        let counters = self.twilio.journal.wait(mark, LIMIT, |entry| match &entry.event {
            Event::CallEnded { counters: Some(counters), .. } => Some(*counters),
            _ => None,
        });
        let counters = counters.await.ok_or("the trunk leg did not end")?;
        match counters.refused + counters.foreign {
            0 => Ok(()),
            n => Err(format!("{n} packets on the trunk were not the agreed SRTP")),
        }
    }

    /// Shows the end of the gateway's log.
    pub fn print_log_tail(&self) {
        println!("\nThe gateway's log ends so:\n{}", self.gateway.log_tail());
    }

    /// Tells how a softphone joins.
    pub fn invite_softphone(&self) {
        let (binary, config) = (self.gateway.binary().display(), self.gateway.config().display());
        println!("\nEverything stays up. Point a softphone at it:");
        let text = |field: &str| self.access[field].as_str().unwrap_or("").to_owned();
        println!("   server   {}   port {}   (UDP or TCP)", text("server"), self.access["port"]);
        println!("   user     {}", text("username"));
        println!("   password {binary} handset 101 --config {config}");
        println!("   then dial 5035551212 (a tone answers), 102, or 933. To be called:");
        println!(
            "   curl -d '{{\"from\":\"{STRANGER}\",\"to\":\"{NUMBER}\"}}' http://{}/control/pstn/call",
            self.twilio.control_address
        );
        println!("Files are in {}. Ctrl-C ends it.", self.workplace.path.display());
    }

    /// Stops everything.
    pub async fn end(mut self) {
        self.gateway.stop().await;
        self.narrator.abort();
    }
}

/// A handset talks: sends its tone, hangs up after so long or waits for the far end.
pub async fn talk(leg: &mut Leg, hang_up_after_ms: Option<u64>) -> Result<Heard, String> {
    let party = Party { tone_hz: HANDSET_HZ, level_dbm0: LEVEL, hang_up_after_ms, ..Party::default() };
    let (_, heard) = timeout(LIMIT, pstn::talk(leg, &party)).await.map_err(|_| "the call did not end".to_owned())?;
    Ok(heard)
}

/// What was answered to Twilio's questions; status callbacks ask nothing.
fn webhooks(twilio: &Twilio, mark: usize) -> Vec<u16> {
    let entries = twilio.journal.entries(mark).into_iter();
    let asked = entries.filter_map(|entry| match entry.event {
        Event::Webhook { status, url, .. } if !url.ends_with("/status") => Some(status),
        _ => None,
    });
    asked.collect()
}

/// The tone is heard with its level and hardly any loss.
pub fn check_tone(who: &str, heard: &Heard, hertz: f64) -> Result<(), String> {
    if !heard.is_tone(hertz) || (heard.dbm0 - LEVEL).abs() > LEVEL_TOLERANCE {
        return Err(format!("{who} heard {} instead of {hertz:.0} Hz at {LEVEL:.0} dBm0", figures(heard)));
    }
    if heard.loss_percent() > MAX_LOSS {
        return Err(format!("{who} lost {:.1} %", heard.loss_percent()));
    }
    Ok(())
}

/// What was heard, in a few words.
pub fn figures(heard: &Heard) -> String {
    let (hertz, level, packets, loss) = (heard.hertz, heard.dbm0, heard.packets, heard.loss_percent());
    format!("{hertz:.0} Hz {level:.1} dBm0 {packets} packets {loss:.1} % lost")
}
