//! The part of the story that is told with `--tunnel ssh`: every webhook comes in through a real sshd.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use twilio_simulator::form;
use twilio_simulator::journal::Event;
use twilio_simulator::pstn::Party;
use twilio_simulator::webhook::signature::sign;

use crate::story::{FAR_END, FAR_HZ, LIMIT, POLL, Step, Story, check_tone, figures, talk};
use crate::table::Table;

/// Requests on each way whose times are compared.
const REQUESTS: usize = 100;
/// The call during which the session is killed: longer than a tunnel takes to come back on a busy machine.
const CUT_CALL_MS: u64 = 8000;
/// A webhook that changes nothing, however often it comes.
const WEBHOOK: &str = "/twilio/status";

impl Story {
    /// The gateway tells the line for `authorized_keys`; with it there, the tunnel is proved.
    pub async fn tunnel_comes_up(&mut self) -> Step {
        let line = self.tunnel_says(|tunnel| {
            let reason = tunnel["reason"].as_str()?;
            reason.split_once("authorized_keys there: ").map(|(_, line)| line.to_owned())
        });
        let line = line.await?;
        println!("   status  the line for authorized_keys: {line}");
        let start = Instant::now();
        self.sshd()?.let_in(&line)?;
        let said = self.gateway.run(&["reload"]).await?;
        if !said.success {
            return Err(format!("gateway reload failed: {}", said.errors));
        }
        let latency = self.tunnel_says(|tunnel| match tunnel["state"].as_str() {
            Some("proved") => tunnel["latency"].as_u64(),
            _ => None,
        });
        let latency = latency.await?;
        let (took, sshd) = (start.elapsed().as_millis(), self.sshd()?);
        let (port, forwarded) = (sshd.port, sshd.forwarded);
        Ok(format!(
            "sshd on port {port} forwards {forwarded}; proved {took} ms after the key was let in, in {latency} ms"
        ))
    }

    /// What the tunnel adds, how a call outlives it, and that it comes back.
    pub async fn tell_tunnel(&mut self, table: &mut Table) {
        println!("7. The same request {REQUESTS} times through the tunnel and {REQUESTS} times past it.");
        let outcome = self.latency().await;
        table.take("7", "what the tunnel adds to a webhook", outcome);
        println!("8. 101 talks to the far end; sshd's session is killed. Then a call comes in.");
        let outcome = self.cut().await;
        table.take("8a", "session killed during a call", outcome);
        let outcome = self.call_in().await;
        table.take("8b", "call in through the new session", outcome);
        let outcome = self.all_through_the_tunnel();
        table.take("8c", "every webhook took the tunnel", outcome);
    }

    async fn latency(&self) -> Step {
        let ways = [self.sshd()?.forwarded, self.gateway.webhook_port()];
        let mut times = [Vec::new(), Vec::new()];
        // In turns, so that what else the machine does touches both alike.
        for number in 0..REQUESTS {
            for (port, times) in ways.iter().zip(&mut times) {
                let start = Instant::now();
                self.webhook(*port, number).await?;
                times.push(start.elapsed());
            }
        }
        let [through, past] = times.map(|mut times| {
            times.sort();
            (milliseconds(times[REQUESTS / 2]), milliseconds(times[REQUESTS * 95 / 100]))
        });
        Ok(format!(
            "p50 {:.1} ms (p95 {:.1}) through it, {:.1} ms (p95 {:.1}) past it: p50 +{:.1} ms, n = {REQUESTS} each",
            through.0,
            through.1,
            past.0,
            past.1,
            through.0 - past.0
        ))
    }

    /// Asks for a webhook of one more call at a port of loopback, signed as Twilio does for the public URL: what is not
    /// signed has a limit, and what came before has one, too.
    async fn webhook(&self, port: u16, number: usize) -> Result<(), String> {
        let url = format!("http://127.0.0.1:{}{WEBHOOK}", self.sshd()?.forwarded);
        let call_sid = format!("CA{port:016x}{number:016x}");
        let fields = [("CallSid", call_sid.as_str()), ("CallStatus", "completed")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let (body, signature) = (form::encode(&fields), sign(&self.twilio.auth_token(), &url, &fields));
        let request = format!(
            "POST {WEBHOOK} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nX-Twilio-Signature: {signature}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let asking = async {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = timeout(LIMIT, asking).await.map_err(|_| format!("port {port}: no answer within {LIMIT:?}"))?;
        let answer = answer.map_err(|error| format!("port {port}: {error}"))?;
        match answer.split(' ').nth(1) {
            Some("204") => Ok(()),
            _ => Err(format!("port {port}: {}", answer.lines().next().unwrap_or("nothing"))),
        }
    }

    async fn cut(&mut self) -> Step {
        let mark = self.twilio.journal.mark();
        let far = Party { hang_up_after_ms: Some(CUT_CALL_MS), tone_hz: FAR_HZ, ..Party::default() };
        self.twilio.pstn().connect(FAR_END, far);
        let mut leg = self.phones[0].call("5035551212").await.map_err(|e| e.to_string())?;
        leg.answered(LIMIT).await.map_err(|end| format!("not answered: {:?} {:?}", end.cause, end.sip_code))?;
        let (heard, back) = tokio::join!(talk(&mut leg, None), self.killed_and_back());
        let (heard, back) = (heard?, back?);
        let ended = self.twilio.journal.wait(mark, LIMIT, |entry| match &entry.event {
            Event::PstnEnded { heard, .. } => Some(heard.clone()),
            _ => None,
        });
        let far_heard = ended.await.ok_or("the far end's call did not end")?;
        check_tone("101", &heard, FAR_HZ)?;
        check_tone("far end", &far_heard, crate::story::HANDSET_HZ)?;
        // A call that had ended with the tunnel would have been heard shortly, and well.
        let whole = CUT_CALL_MS / 20 * 9 / 10;
        if heard.packets < whole {
            return Err(format!("101 heard only {} packets, less than {whole}", heard.packets));
        }
        Ok(format!("call goes on: 101 {}; tunnel back after {} ms", figures(&heard), back.as_millis()))
    }

    /// Kills the session; the time until a request comes through again.
    async fn killed_and_back(&self) -> Result<Duration, String> {
        let sshd = self.sshd()?;
        let start = Instant::now();
        sshd.kill_sessions().await?;
        let mut numbers = REQUESTS..;
        let mut number = || numbers.next().unwrap_or_default();
        let gone_and_back = async {
            while self.webhook(sshd.forwarded, number()).await.is_ok() {
                sleep(POLL).await;
            }
            println!("   tunnel  gone");
            while self.webhook(sshd.forwarded, number()).await.is_err() {
                sleep(POLL).await;
            }
        };
        timeout(LIMIT, gone_and_back).await.map_err(|_| format!("the tunnel was not back within {LIMIT:?}"))?;
        println!("   tunnel  back");
        Ok(start.elapsed())
    }

    fn all_through_the_tunnel(&self) -> Step {
        let through = format!("http://127.0.0.1:{}/", self.sshd()?.forwarded);
        let urls = self.twilio.journal.entries(0).into_iter().filter_map(|entry| match entry.event {
            Event::Webhook { url, .. } => Some(url),
            _ => None,
        });
        let (inside, outside): (Vec<String>, Vec<String>) = urls.partition(|url| url.starts_with(&through));
        match (inside.len(), outside.first()) {
            (0, _) => Err("there was no webhook at all".to_owned()),
            (_, Some(url)) => Err(format!("{url} did not take the tunnel")),
            (count, None) => Ok(format!("{count} webhooks")),
        }
    }

    /// Waits until the tunnel's part of `gateway status` has what `pick` wants.
    async fn tunnel_says<T>(&self, pick: impl Fn(&Value) -> Option<T>) -> Result<T, String> {
        let mut last = Value::Null;
        let polling = async {
            loop {
                if let Ok(status) = self.gateway.json(&["status", "--json"]).await {
                    if let Some(found) = pick(&status["tunnel"]) {
                        return found;
                    }
                    last = status["tunnel"].clone();
                }
                sleep(POLL).await;
            }
        };
        timeout(LIMIT, polling).await.map_err(|_| format!("gateway status says of the tunnel: {last}"))
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
