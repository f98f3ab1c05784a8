//! The shared state of a simulator, and how it is started, stopped and started again.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use ureq::tls::RootCerts;

use crate::journal::Journal;
use crate::pstn::Pstn;
use crate::rest::account::AccountState;
use crate::rest::{self, Store, Trace};
use crate::sip::auth::Nonces;
use crate::sip::flow::{Arrived, Flow};
use crate::sip::inbound::PRIVATE;
use crate::sip::message::Message;
use crate::sip::registrar::Registrar;
use crate::switches::Switches;
use crate::tls::Certificates;
use crate::webhook::ask;
use crate::{control, random, sip};

/// Requests that wait for a dialog.
const DIALOG_QUEUE: usize = 32;

/// The credentials of the one account.
#[derive(Clone)]
pub struct Account {
    /// `AC...`
    pub sid: String,
    /// Auth token at the start: REST password, and the key of webhook signatures ([`Twilio::auth_token`] is the one now).
    pub token: String,
    /// A Standard API key and its secret.
    pub key: (String, String),
}

/// How a simulator is set up.
pub struct Options {
    /// Numbers that the account owns.
    pub numbers: Vec<String>,
    /// Where everything listens: REST, SIP, control, and the far ends of calls.
    pub address: IpAddr,
    /// The switches at the start.
    pub switches: Switches,
    /// Write every event to stderr.
    pub echo: bool,
    /// Where the CA certificate is written.
    pub ca_file: PathBuf,
    /// Where every REST request and its answer are written, as JSON lines.
    pub record: Option<PathBuf>,
    /// PEM file of whom webhooks by https trust; the known authorities if not given.
    pub webhook_ca: Option<PathBuf>,
    /// Type, status and balance of the account at the start.
    pub account: AccountState,
}

impl Default for Options {
    fn default() -> Self {
        let ca_file = PathBuf::from("twilio-simulator-ca.pem");
        Self {
            numbers: Vec::new(),
            address: Ipv4Addr::LOCALHOST.into(),
            switches: Switches::default(),
            echo: false,
            ca_file,
            record: None,
            webhook_ca: None,
            account: AccountState::default(),
        }
    }
}

/// An INVITE that was received and has no final response yet.
pub struct ServerInvite {
    /// The request.
    pub invite: Message,
    /// Where its CANCEL goes.
    pub queue: mpsc::Sender<Arrived>,
}

/// A whole Twilio.
pub struct Twilio {
    /// The account.
    pub account: Account,
    /// What happened.
    pub journal: Arc<Journal>,
    /// Challenges.
    pub nonces: Nonces,
    /// Address of the REST API (HTTP).
    pub rest_address: SocketAddr,
    /// Address of the SIP edge (TLS).
    pub sip_address: SocketAddr,
    /// Address of the control API (HTTP).
    pub control_address: SocketAddr,
    /// PEM file of the CA.
    pub ca_file: PathBuf,
    /// The certificates, for clients in tests.
    pub certificates: Certificates,
    /// The recording of the REST traffic.
    pub trace: Trace,
    /// Whom webhooks by https trust.
    pub webhook_roots: RootCerts,
    switches: Mutex<Switches>,
    store: Mutex<Store>,
    registrar: Mutex<Registrar>,
    pstn: Mutex<Pstn>,
    dialogs: Mutex<HashMap<(String, String), mpsc::Sender<Arrived>>>,
    invites: Mutex<HashMap<String, ServerInvite>>,
    unacknowledged: Mutex<HashMap<String, Message>>,
    flows: Mutex<HashMap<u64, Flow>>,
    flow_count: AtomicU64,
    network: Mutex<Vec<JoinHandle<()>>>,
}

/// Why a simulator does not start.
pub type StartError = Box<dyn std::error::Error + Send + Sync>;

impl Twilio {
    /// Starts everything on ports that are free.
    pub async fn start(options: Options) -> Result<Arc<Self>, StartError> {
        let certificates = Certificates::generate()?;
        certificates.write_ca(&options.ca_file)?;
        let bind = || TcpListener::bind((options.address, 0));
        let (rest, sip, control) = (bind().await?, bind().await?, bind().await?);
        let account = Account {
            sid: random::sid("AC"),
            token: random::hex(&random::bytes::<16>()),
            key: (random::sid("SK"), random::hex(&random::bytes::<16>())),
        };
        let mut store = Store::new(&account.sid);
        store.account = options.account;
        rest::keys::seed(&mut store, &account.key.0, &account.key.1);
        for number in &options.numbers {
            store.seed_number(number);
        }
        let twilio = Arc::new(Self {
            journal: Arc::new(Journal::new(options.echo)),
            nonces: Nonces::default(),
            rest_address: rest.local_addr()?,
            sip_address: sip.local_addr()?,
            control_address: control.local_addr()?,
            ca_file: options.ca_file,
            certificates,
            webhook_roots: ask::roots(options.webhook_ca.as_deref())?,
            trace: options.record.as_deref().map(Trace::to).transpose()?.unwrap_or_default(),
            switches: Mutex::new(options.switches),
            store: Mutex::new(store),
            registrar: Mutex::default(),
            pstn: Mutex::default(),
            dialogs: Mutex::default(),
            invites: Mutex::default(),
            unacknowledged: Mutex::default(),
            flows: Mutex::default(),
            flow_count: AtomicU64::new(1),
            network: Mutex::default(),
            account,
        });
        twilio.run(rest, sip)?;
        tokio::spawn(control::serve(twilio.clone(), control));
        Ok(twilio)
    }

    fn run(self: &Arc<Self>, rest: TcpListener, sip: TcpListener) -> Result<(), StartError> {
        let acceptor = TlsAcceptor::from(self.certificates.server()?);
        let mut network = self.network.lock().expect("no holder of this lock panics");
        network.push(tokio::spawn(rest::serve(self.clone(), rest)));
        network.push(tokio::spawn(sip::edge::listen(self.clone(), sip, acceptor)));
        Ok(())
    }

    /// Takes REST and SIP off the network and cuts all connections, as an outage does. State is kept.
    pub async fn stop_network(&self) {
        let tasks: Vec<JoinHandle<()>> =
            self.network.lock().expect("no holder of this lock panics").drain(..).collect();
        for task in tasks {
            task.abort();
            // Waiting makes sure that the port is closed when this returns.
            let _ = task.await;
        }
        self.drop_flows();
    }

    /// Puts REST and SIP back on the same ports.
    pub async fn start_network(self: &Arc<Self>) -> Result<(), StartError> {
        let rest = TcpListener::bind(self.rest_address).await?;
        let sip = TcpListener::bind(self.sip_address).await?;
        self.run(rest, sip)
    }

    /// Cuts every TLS connection.
    pub fn drop_flows(&self) -> usize {
        let flows: Vec<Flow> =
            self.flows.lock().expect("no holder of this lock panics").drain().map(|(_, f)| f).collect();
        flows.iter().for_each(Flow::close);
        flows.len()
    }

    /// A copy of the switches.
    pub fn switches(&self) -> Switches {
        self.switches.lock().expect("no holder of this lock panics").clone()
    }

    /// Changes switches while everything runs.
    pub fn set_switches(&self, change: impl FnOnce(&mut Switches)) {
        change(&mut self.switches.lock().expect("no holder of this lock panics"));
    }

    /// The REST resources.
    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().expect("no holder of this lock panics")
    }

    /// The primary auth token, after rotations.
    pub fn auth_token(&self) -> String {
        self.store().v1.tokens.primary(&self.account.token).to_owned()
    }

    /// Whether the REST API takes that token.
    pub fn accepts_token(&self, token: &str) -> bool {
        self.store().v1.tokens.accepts(&self.account.token, token)
    }

    /// The bindings.
    pub fn registrar(&self) -> MutexGuard<'_, Registrar> {
        self.registrar.lock().expect("no holder of this lock panics")
    }

    /// The PSTN parties.
    pub fn pstn(&self) -> MutexGuard<'_, Pstn> {
        self.pstn.lock().expect("no holder of this lock panics")
    }

    /// A number for a new connection.
    pub fn next_flow(&self) -> u64 {
        self.flow_count.fetch_add(1, Ordering::Relaxed)
    }

    /// Remembers a connection.
    pub fn add_flow(&self, flow: Flow) {
        self.flows.lock().expect("no holder of this lock panics").insert(flow.id, flow);
    }

    /// Forgets a connection.
    pub fn remove_flow(&self, id: u64) {
        self.flows.lock().expect("no holder of this lock panics").remove(&id);
    }

    /// How many TLS connections are up.
    pub fn flow_count(&self) -> usize {
        self.flows.lock().expect("no holder of this lock panics").len()
    }

    /// Opens the queue of a dialog that is named by Call-ID and our tag.
    pub fn open_dialog(&self, call_id: &str, tag: &str) -> mpsc::Receiver<Arrived> {
        let (sender, receiver) = mpsc::channel(DIALOG_QUEUE);
        let key = (call_id.to_owned(), tag.to_owned());
        self.dialogs.lock().expect("no holder of this lock panics").insert(key, sender);
        receiver
    }

    /// Closes it.
    pub fn close_dialog(&self, call_id: &str, tag: &str) {
        let key = (call_id.to_owned(), tag.to_owned());
        self.dialogs.lock().expect("no holder of this lock panics").remove(&key);
    }

    /// Hands a request to its dialog; `false` when there is none.
    pub fn to_dialog(&self, call_id: &str, tag: &str, arrived: Arrived) -> bool {
        let key = (call_id.to_owned(), tag.to_owned());
        let dialogs = self.dialogs.lock().expect("no holder of this lock panics");
        dialogs.get(&key).is_some_and(|queue| queue.try_send(arrived).is_ok())
    }

    /// How many calls' dialogs are open.
    pub fn dialog_count(&self) -> usize {
        self.dialogs.lock().expect("no holder of this lock panics").len()
    }

    /// Remembers an INVITE for its CANCEL.
    pub fn open_invite(&self, invite: &Message, call_id: &str, tag: &str) {
        let key = (call_id.to_owned(), tag.to_owned());
        let queue = self.dialogs.lock().expect("no holder of this lock panics").get(&key).cloned();
        if let Some(queue) = queue {
            let entry = ServerInvite { invite: invite.clone(), queue };
            self.invites.lock().expect("no holder of this lock panics").insert(invite.branch().to_owned(), entry);
        }
    }

    /// Forgets it.
    pub fn close_invite(&self, branch: &str) {
        self.invites.lock().expect("no holder of this lock panics").remove(branch);
    }

    /// The INVITE of that branch.
    pub fn server_invite(&self, branch: &str) -> Option<ServerInvite> {
        let invites = self.invites.lock().expect("no holder of this lock panics");
        invites.get(branch).map(|entry| ServerInvite { invite: entry.invite.clone(), queue: entry.queue.clone() })
    }

    /// Remembers an INVITE whose refusal waits for an ACK.
    pub fn expect_ack(&self, invite: Message) {
        self.unacknowledged.lock().expect("no holder of this lock panics").insert(invite.branch().to_owned(), invite);
    }

    /// Takes it out.
    pub fn take_unacknowledged(&self, branch: &str) -> Option<Message> {
        self.unacknowledged.lock().expect("no holder of this lock panics").remove(branch)
    }

    /// The pair of Record-Route that the edge puts into every dialog: its TLS side and its UDP side
    /// (TWILIO.md "Call to an extension").
    pub fn record_route(&self) -> [String; 2] {
        let (ip, port) = (self.sip_address.ip(), self.sip_address.port());
        [format!("<sip:{ip}:{port};transport=tls;r2=on;lr>"), format!("<sip:{ip};r2=on;lr>")]
    }

    /// Puts the two Via, User-Agent and X-Twilio-CallSid on a request of ours (TWILIO.md "Call to an extension").
    pub fn stamp(&self, message: &mut Message, call_sid: &str, agent: &str) {
        let branch = random::hex(&random::bytes::<8>());
        let edge = format!("SIP/2.0/TLS {};branch=z9hG4bK{}.{branch}.0", self.sip_address, &branch[..4]);
        let inside = format!("SIP/2.0/UDP {PRIVATE};rport=5060;branch=z9hG4bK{}", random::uuid());
        message.headers.insert(0, ("Via".to_owned(), inside));
        message.headers.insert(0, ("Via".to_owned(), edge));
        message.headers.push(("User-Agent".to_owned(), agent.to_owned()));
        message.headers.push(("X-Twilio-CallSid".to_owned(), call_sid.to_owned()));
    }
}
