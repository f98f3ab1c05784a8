//! The story of two environments: one command and one token make both, and in each a phone rings.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use twilio_simulator::handset::{Config, Handset, Transport};
use twilio_simulator::journal::Event;
use twilio_simulator::leg::Command;
use twilio_simulator::pstn::{self, Party};
use twilio_simulator::twilio::{Options, Twilio};

use crate::gateway::{Gateway, Said, Workplace};
use crate::table::Table;

const NUMBER: &str = "+15035550100";
const STRANGER: &str = "+15035550199";
/// Any one thing that is waited for.
const LIMIT: Duration = Duration::from_secs(20);
/// A call in the story lasts so long.
const TALK_MS: u64 = 800;

type Step = Result<String, String>;

/// Tells it with a simulator and a folder of its own; says whether every step passed.
pub async fn tell(binary: PathBuf) -> Result<bool, String> {
    let workplace = Workplace::new().map_err(|e| format!("temporary directory: {e}"))?;
    let options =
        Options { numbers: vec![NUMBER.to_owned()], ca_file: workplace.path.join("ca.pem"), ..Options::default() };
    let twilio = Twilio::start(options).await.map_err(|e| format!("simulator: {e}"))?;
    let gateway = Gateway::answered(binary, &workplace.path, &twilio, NUMBER).map_err(|e| e.to_string())?;
    let answers = workplace.path.join("answers.toml").display().to_string();
    let mut story = Story { twilio, gateway, answers };
    let mut table = Table::default();
    story.tell(&mut table).await;
    table.print();
    if !table.passed() {
        eprintln!("{}", story.gateway.log_tail());
    }
    story.gateway.stop().await;
    Ok(table.passed())
}

struct Story {
    twilio: Arc<Twilio>,
    gateway: Gateway,
    answers: String,
}

impl Story {
    async fn tell(&mut self, table: &mut Table) {
        println!("1. An account with one number, no config; one command, one token, a file of answers.");
        let outcome = self.first_run().await;
        if !table.take("1", "first run makes prod and stage", outcome) {
            return;
        }
        println!("2. The same again.");
        let outcome = self.set_up_again().await;
        table.take("2", "second run", outcome);
        println!("3. The public URL of stage changes.");
        let outcome = self.change_url().await;
        table.take("3", "change of one URL", outcome);
        println!("4. The box runs prod; {STRANGER} calls {NUMBER}.");
        let outcome = self.ring("prod").await;
        table.take("4", "a phone rings in prod", outcome);
        println!("5. The box runs stage; set-up proves it and rings the phone.");
        let outcome = self.ring("stage").await;
        table.take("5", "a phone rings in stage", outcome);
        let unknown = self.twilio.store().unknown_parameters.clone();
        let outcome = match unknown.is_empty() {
            true => Ok("every parameter is one that Twilio knows".to_owned()),
            false => Err(format!("parameters that Twilio does not know: {unknown:?}")),
        };
        table.take("6", "requests by the book", outcome);
    }

    /// Runs a command that must succeed; what it printed, and its reads and writes as the simulator counted them.
    async fn counted(&self, arguments: &[&str]) -> Result<(Said, (usize, usize)), String> {
        let mark = self.twilio.store().log(0).len();
        let said = self.gateway.run(arguments).await?;
        for line in &said.lines {
            println!("   {}   {line}", arguments[0]);
        }
        if !said.success {
            return Err(format!("gateway {} failed: {}", arguments.join(" "), said.errors));
        }
        let counts = self.twilio.store().counts(mark);
        Ok((said, counts))
    }

    async fn first_run(&self) -> Step {
        let arguments = ["setup", "--unattended", "--answers", &self.answers, "--no-prove"];
        let (_, (reads, writes)) = self.counted(&arguments).await?;
        Ok(format!("{reads} reads, {writes} writes"))
    }

    async fn set_up_again(&self) -> Step {
        let (_, (reads, writes)) = self.counted(&["setup", "--yes", "--no-prove"]).await?;
        match writes {
            0 => Ok(format!("{reads} reads, no writes")),
            _ => Err(format!("{writes} writes, with nothing to change")),
        }
    }

    async fn change_url(&self) -> Step {
        let text = std::fs::read_to_string(self.gateway.config()).map_err(|e| e.to_string())?;
        let changed = text.replace("http://localhost:", "http://127.0.0.1:");
        if changed == text {
            return Err("the config does not name the URL of stage".to_owned());
        }
        std::fs::write(self.gateway.config(), changed).map_err(|e| e.to_string())?;
        let (_, (reads, writes)) = self.counted(&["apply", "--yes"]).await?;
        match writes {
            // The voice and status URLs of the domain in one request, those of the app in another.
            2 => Ok(format!("{reads} reads, {writes} writes")),
            _ => Err(format!("{writes} writes instead of 2")),
        }
    }

    async fn ring(&mut self, environment: &str) -> Step {
        let mark = self.twilio.journal.mark();
        self.gateway.start_with(&["run", "--environment", environment])?;
        let registered = self.twilio.journal.wait(mark, LIMIT, |entry| match &entry.event {
            Event::Registered { aor, .. } => Some(aor.clone()),
            _ => None,
        });
        let aor = registered.await.ok_or("101 did not register at Twilio")?;
        let phone = self.plug_in().await?;
        let outcome = match environment {
            "prod" => self.called(&phone).await,
            _ => self.rung(&phone, environment).await,
        };
        self.gateway.stop().await;
        Ok(format!("{aor}, {}", outcome?))
    }

    async fn plug_in(&self) -> Result<Handset, String> {
        let access = self.gateway.json(&["handset", "101", "--json"]).await?;
        let text = |field: &str| access[field].as_str().unwrap_or_default().to_owned();
        let port = access["port"].as_u64().and_then(|p| u16::try_from(p).ok()).ok_or("handset JSON: port")?;
        let server = text("server").parse().map_err(|_| "handset JSON: server")?;
        let config = Config {
            server: std::net::SocketAddr::new(server, port),
            transport: Transport::Udp,
            username: text("username"),
            password: text("password"),
        };
        let phone = Handset::start(config).await.map_err(|e| e.to_string())?;
        phone.register(600).await.map_err(|e| format!("101: {e}"))?;
        Ok(phone)
    }

    /// A stranger calls the number; 101 answers.
    async fn called(&self, phone: &Handset) -> Step {
        let far = Party { hang_up_after_ms: Some(TALK_MS), ..Party::default() };
        let (from, to) = (STRANGER.to_owned(), NUMBER.to_owned());
        let calling = tokio::spawn(pstn::call(self.twilio.clone(), from, to, far, LIMIT));
        answer(phone).await?;
        let outcome = calling.await.map_err(|e| e.to_string())?;
        match outcome.answered {
            true => Ok(format!("101 rang for {STRANGER} and was answered")),
            false => Err(format!("the caller was not answered: {}", outcome.cause)),
        }
    }

    /// `gateway setup --ring 101` finds nothing to change, proves the way in and rings 101 through Twilio.
    async fn rung(&self, phone: &Handset, environment: &str) -> Step {
        let arguments = ["setup", "--yes", "--environment", environment, "--ring", "101"];
        let (said, answered) = tokio::join!(self.counted(&arguments), answer(phone));
        answered?;
        let (_, (reads, writes)) = said?;
        Ok(format!("set-up proved it and 101 rang: {reads} reads, {writes} writes"))
    }
}

/// The phone rings and is answered; the other side hangs up.
async fn answer(phone: &Handset) -> Result<(), String> {
    let mut call = phone.incoming(LIMIT).await.ok_or("101 did not ring")?;
    call.leg.tell(Command::Ring { early_media: false }).await;
    call.leg.tell(Command::Answer).await;
    call.leg.ended(LIMIT).await.map(drop).ok_or_else(|| "the call did not end".to_owned())
}
