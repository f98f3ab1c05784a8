//! Our side of what a server may ask: its key, and connections to the webhook listener. Everything else is refused.

use std::sync::{Arc, Mutex, PoisonError};

use russh::client::{ChannelOpenHandle, DisconnectReason, Handler, Msg, Session};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, ChannelOpenFailure, Error};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::known_hosts::{self, Verdict};
use super::words;
use crate::tunnel::{Down, Place, Report, Reports, carry};
use gateway_core::config::tunnel::Ssh;

/// Most connections through the tunnel at a time; the server is told that there are no more.
const MAX_CHANNELS: usize = 128;

/// Why it ended, where russh has no words for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Fault(Arc<Mutex<Option<Down>>>);

impl Fault {
    pub fn take(&self) -> Option<Down> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, down: Down) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(down);
    }
}

/// The handler of a session.
pub(super) struct Client {
    ssh: Ssh,
    place: Place,
    reports: Reports,
    fault: Fault,
    free: Arc<Semaphore>,
    /// They end with the session.
    connections: JoinSet<()>,
}

impl Client {
    pub fn new(ssh: Ssh, place: Place, reports: Reports) -> Client {
        let free = Arc::new(Semaphore::new(MAX_CHANNELS));
        Client { ssh, place, reports, fault: Fault::default(), free, connections: JoinSet::new() }
    }

    pub fn fault(&self) -> Fault {
        self.fault.clone()
    }
}

impl Handler for Client {
    type Error = Error;

    async fn auth_banner(&mut self, banner: &str, _: &mut Session) -> Result<(), Error> {
        banner.lines().for_each(|line| self.reports.said(line));
        Ok(())
    }

    async fn check_server_key(&mut self, offered: &PublicKeyOrCertificate) -> Result<bool, Error> {
        let server = self.ssh.server.name();
        let verdict =
            known_hosts::check(&self.place.store, &server, self.ssh.host_key.as_deref(), &offered.public_key());
        match verdict {
            Ok(Verdict::Good) => Ok(true),
            Ok(Verdict::Pinned { fingerprint }) => {
                self.reports.send(Report::HostKeyPinned { server, fingerprint }).await;
                Ok(true)
            }
            Ok(Verdict::Changed { expected, offered }) => {
                self.fault.set(words::host_key(&self.ssh, &expected, &offered));
                Ok(false)
            }
            Err(error) => {
                self.fault.set(words::store(&error));
                Ok(false)
            }
        }
    }

    /// A connection came in at the server's end of the forward.
    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        _address: &str,
        _port: u32,
        _from: &str,
        _from_port: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        while self.connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&self.free).try_acquire_owned() else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        };
        let local = self.place.local;
        self.connections.spawn(async move {
            match carry::connect(local).await {
                Ok(inside) => {
                    reply.accept().await;
                    carry::both_ways(channel.into_stream(), inside).await;
                }
                Err(_) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
            }
            drop(place);
        });
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        refuse(reply).await
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        refuse(reply).await
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        refuse(reply).await
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        refuse(reply).await
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        refuse(reply).await
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        refuse(reply).await
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Error>) -> Result<(), Error> {
        match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                self.fault.set(words::disconnected(&self.ssh, &info.message));
                Ok(())
            }
            DisconnectReason::Error(error) => Err(error),
        }
    }
}

async fn refuse(reply: ChannelOpenHandle) -> Result<(), Error> {
    reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
    Ok(())
}
