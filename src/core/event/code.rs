//! The codes of all events: what each is called, how much it matters, where to look and what to do.
//!
//! A word is for ever: people filter logs and histories by it. The table is sorted by the words.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Level;
use super::culprit::Culprit;

/// Makes [`Code`] of rows: variant, word, usual level (`or` other levels), culprit, what it means, `=>` what to do.
macro_rules! codes {
    ($($name:ident $word:literal: $level:ident $(or $other:ident)*, $culprit:ident, $means:literal $(=> $next:literal)?;)*) => {
        /// What kind of event it is: short and stable, to filter by.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $means] $name,)*
        }

        impl Code {
            /// All, by their words.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];

            /// Its word in the log, the history and in JSON.
            pub const fn word(self) -> &'static str {
                match self { $(Code::$name => $word,)* }
            }

            /// How much it matters, as a rule.
            pub const fn level(self) -> Level {
                match self { $(Code::$name => Level::$level,)* }
            }

            /// Its other levels, where the same thing may matter more or less ([`super::Event::at`]).
            pub const fn other_levels(self) -> &'static [Level] {
                match self { $(Code::$name => &[$(Level::$other),*],)* }
            }

            /// What is at fault, as a rule.
            pub const fn culprit(self) -> Culprit {
                match self { $(Code::$name => Culprit::$culprit,)* }
            }

            /// What it means, in a sentence or two.
            pub const fn meaning(self) -> &'static str {
                match self { $(Code::$name => $means,)* }
            }

            /// What a person does about it, if there is anything to do.
            pub const fn next_step(self) -> Option<&'static str> {
                match self { $(Code::$name => codes!(@next $($next)?),)* }
            }
        }
    };
    (@next) => { None };
    (@next $next:literal) => { Some($next) };
}

codes! {
    AccountDrift "account.drift": Warning, Twilio,
        "Your account at Twilio is not what your config says."
        => "Run `gateway plan` to see the difference, then `gateway apply`.";
    AccountDriftFailed "account.drift-failed": Warning, Varies,
        "Your box could not compare your account at Twilio with your config."
        => "Run `gateway plan`, which shows the fault again.";
    AccountDriftNone "account.drift-none": Info, Nobody,
        "Your account at Twilio is what your config says.";
    AccountDriftWaits "account.drift-waits": Info, Twilio,
        "Twilio asks your box to wait, so the comparison of the account takes longer.";
    AccountSpend "account.spend": Warning, Twilio,
        "A spending limit that your config sets has been reached. Your box makes no calls outside until the period ends."
        => "Look at the calls with `gateway history call` and in Twilio's console; raise the limit if they are yours.";
    AccountSpendResumed "account.spend-resumed": Notice, Nobody,
        "Calls outside may be made again, after a spending limit had stopped them.";
    CallAnswered "call.answered": Info, Nobody,
        "A call was answered.";
    CallBegun "call.begun": Info, Nobody,
        "A call began.";
    CallEmergency "call.emergency": Warning or Error, Varies,
        "Somebody called an emergency number, or such a call is in trouble."
        => "Look after the people at that phone; with level error, also follow the text.";
    CallEnded "call.ended": Info or Warning or Error, Varies,
        "A call ended; the text says why. A warning means a failure, an error a failed emergency call."
        => "If it failed, look for what the text names in `gateway status`.";
    CallForwarded "call.forwarded": Info or Notice, Nobody,
        "A phone forwards a call by its own setting; a notice means that your box does not follow it."
        => "If the call should have gone there, correct the number in that phone's call-forward menu.";
    CallIncompatible "call.incompatible": Warning, Varies,
        "The far end answered a call with audio that your box cannot use."
        => "Allow PCMU or PCMA (G.711) in that phone.";
    CallNotRepaired "call.not-repaired": Warning, Line,
        "The connection changed during a call, and the far end does not take the new one."
        => "If people hear nothing, hang up and call again.";
    CallPlain "call.plain": Warning, Twilio,
        "Twilio sent a call in without encryption; its sound crosses the internet in the clear."
        => "Write `;secure=true` behind the address in each `<Sip>` of your own TwiML; `trunk.secure = \"only\"` refuses such calls.";
    CallRefused "call.refused": Notice or Warning, Varies,
        "A call was refused before it began; the text says why."
        => "If the call should have worked, correct what the text names.";
    CallRepaired "call.repaired": Info, Nobody,
        "The connection changed during a call, and the call goes on by the new one.";
    CallTransfer "call.transfer": Info or Notice, Nobody,
        "A phone transferred a call; a notice means that it failed."
        => "If it failed, dial the number of the transfer to see whether it answers.";
    CallUnusual "call.unusual": Warning, Phone,
        "An extension calls more than is usual, or has reached a limit of its own; the log says so once an hour."
        => "Look at `gateway spend`. If the calls are not yours, take that phone off and give it another password.";
    CallWaiting "call.waiting": Notice, Line,
        "A call waits because there is no connection to your SIP domain."
        => "If it takes longer, see `gateway status`.";
    ClockNoAnswer "clock.no-answer": Warning, Line,
        "No time server answers."
        => "Look whether this box has internet, and whether a firewall stops NTP (UDP port 123).";
    ClockSet "clock.set": Notice, Nobody,
        "The clock of your box was set.";
    ClockTold "clock.told": Notice, Box,
        "A time server gave the time, because the clock of your box is wrong."
        => "Set the clock, or let a time service such as chrony run.";
    ConfigBroken "config.broken": Error, Config,
        "Your config file is broken. Your box runs with the last good one."
        => "Correct the file, check it with `gateway check`, then run `gateway reload`.";
    ConfigReload "config.reload": Notice or Warning or Error, Config,
        "The config was read again. An error means that the old one stays in force."
        => "Where it is no notice, follow the text.";
    ControlFailed "control.failed": Error, Box,
        "The control socket cannot be opened, so `gateway status`, `reload` and `history` get no answer."
        => "Write a folder that the service's user may write to in `site.run_dir`.";
    EmergencySound "emergency.sound": Error, Config,
        "The sound for failed emergency calls cannot be read."
        => "Correct `emergency.failure_sound` in the config.";
    HandsetLost "handset.lost": Notice, Phone,
        "A phone is gone: it no longer registers, or another one took its place."
        => "Look whether the phone has power and network.";
    HandsetRegistered "handset.registered": Info, Nobody,
        "A phone registered.";
    HandsetResponding "handset.responding": Notice, Nobody,
        "A phone that did not respond does so again.";
    HandsetSilent "handset.silent": Warning, Phone,
        "A phone does not respond. Calls go on without it."
        => "Look whether the phone has power and network.";
    HandsetUnregistered "handset.unregistered": Info, Nobody,
        "A phone signed off.";
    HandsetWrongPassword "handset.wrong-password": Warning, Phone,
        "A phone, or a stranger, gave a wrong password or user name."
        => "Correct it in the phone; `gateway handset NAME` shows the password.";
    HandsetWrongUser "handset.wrong-user": Warning, Phone,
        "A phone logs in as one extension and registers another."
        => "Give the phone the same user name and authentication name.";
    LanAddress "lan.address": Warning or Notice, Lan,
        "An address that phones use has left this box, or is back (notice)."
        => "If it is gone, look at the cable and the DHCP server, or correct `lan.listen`.";
    LanFailed "lan.failed": Error, Box,
        "An address for phones cannot be opened."
        => "Stop the program that holds the port, or correct `lan.listen`.";
    LanListening "lan.listening": Notice, Nobody,
        "Phones can reach your box at this address.";
    LanWaiting "lan.waiting": Warning, Lan,
        "This box does not have an address for phones yet."
        => "Connect the local network, or correct `lan.listen`.";
    LinkChanged "link.changed": Notice, Line,
        "The way to the internet is another one now.";
    LinkPolling "link.polling": Notice, Box,
        "The system does not report changes of the network, so your box looks every few seconds.";
    LogLeftOut "log.left-out": Warning, Varies,
        "Too many lines came for the log. The text counts those left out, by code."
        => "Look up the most frequent code here.";
    LogLost "log.lost": Warning, Box,
        "The system log did not take some lines."
        => "Look whether the log daemon runs and its disk is not full.";
    MediaClosed "media.closed": Info, Nobody,
        "The audio of one side of a call ended; the text holds its figures.";
    MediaNoPort "media.no-port": Error, Box,
        "A call failed because no port for its audio could be opened."
        => "Widen `media.ports` in the config.";
    MediaNotMoved "media.not-moved": Error, Box,
        "The audio of a call cannot move to the new connection."
        => "If people hear nothing, hang up and call again.";
    MediaSilent "media.silent": Warning, Varies,
        "One side of a call has sent no audio for a minute. Your box asks whether it is still there."
        => "If it comes often, look at that phone's network.";
    MetricsFailed "metrics.failed": Error, Config,
        "The address for metrics cannot be opened."
        => "Stop the program that holds the port, or correct `metrics.listen`.";
    ServiceStopping "service.stopping": Notice, Nobody,
        "The service stops.";
    SipBadMessage "sip.bad-message": Debug, Stranger,
        "Bytes came in that are not SIP.";
    SipCrowded "sip.crowded": Warning, Phone,
        "One address sends far more requests than a phone does."
        => "Restart that phone, or unplug it.";
    StandbyConnected "standby.connected": Info, Nobody,
        "The second connection for emergency calls is up.";
    StandbyDown "standby.down": Warning, Line,
        "There is no second connection for emergency calls."
        => "Look at the text and at `gateway status`; ordinary calls go on.";
    StandbyLost "standby.lost": Info, Line,
        "The second connection for emergency calls is gone. Your box connects it again.";
    StoreFailed "store.failed": Error, Box,
        "A state file cannot be read or written."
        => "Look whether the disk is full or read-only, and who owns `site.state_dir`.";
    StoreSaved "store.saved": Notice, Nobody,
        "The state is saved again after a failure.";
    StoreWarning "store.warning": Warning or Error, Box,
        "A state file is damaged, or others may read it."
        => "Follow the text; a damaged one comes back with `gateway restore FILE`.";
    SystemDescriptors "system.descriptors": Error, Box,
        "The system allows too few open files for `limits.calls`."
        => "Raise the limit as the text says.";
    SystemMemory "system.memory": Warning, Box,
        "`limits.memory` is less than the bounds of the config need. Your box lowers those that all share."
        => "Raise it as the text says, if your box has the memory.";
    TrunkAddress "trunk.address": Notice or Warning, Line,
        "Twilio sees your box at another address. A warning means that the config names a wrong one."
        => "With a warning, correct or remove `media.public_address`.";
    TrunkCleaned "trunk.cleaned": Info, Nobody,
        "A registration of an earlier connection was removed at Twilio.";
    TrunkConnectFailed "trunk.connect-failed": Warning, Line,
        "One address of your SIP domain does not take a connection. Your box tries the next one."
        => "If none works, look whether a firewall stops outgoing TLS (port 5061).";
    TrunkConnected "trunk.connected": Notice, Nobody,
        "Your box is connected to your SIP domain.";
    TrunkFormerPassword "trunk.former-password": Warning, Twilio,
        "An extension registers with its former password, because Twilio did not take the new one yet."
        => "Run `gateway setup`.";
    TrunkLost "trunk.lost": Warning, Line,
        "The connection to your SIP domain is gone. Outside calls fail until it is back."
        => "Wait a minute for `trunk.connected`; if it does not come, look at the internet line.";
    TrunkNotResolved "trunk.not-resolved": Warning, Line,
        "DNS does not give the address of your SIP domain."
        => "Look whether this box has internet and DNS.";
    TrunkRefused "trunk.refused": Error, Twilio,
        "Twilio refuses to register an extension."
        => "Do what the text says, such as `gateway extension rotate 101`.";
    TrunkRefusedCall "trunk.refused-call": Warning or Info, Twilio,
        "Twilio refused a call and said why."
        => "Do what the text says; with level info, nothing.";
    TrunkRegisterFailed "trunk.register-failed": Warning, Varies,
        "An extension could not register at Twilio. Your box tries again."
        => "If it lasts, see `gateway status`.";
    TrunkRegistered "trunk.registered": Info, Nobody,
        "An extension is registered at Twilio, so that calls come in.";
    TrunkUnregistered "trunk.unregistered": Info, Nobody,
        "An extension signed off at Twilio, as your box asked.";
    TrunkWaiting "trunk.waiting": Warning, Varies,
        "There is no connection to your SIP domain. Your box tries again."
        => "Follow the text: it names the internet line, DNS or the clock.";
    TunnelConnected "tunnel.connected": Info, Nobody,
        "The tunnel is up. Your box checks next whether requests come through.";
    TunnelDead "tunnel.dead": Error, Tunnel,
        "Nothing comes through the tunnel, and your box cannot restart it."
        => "Look at what brings the public URL to this box.";
    TunnelDoubtful "tunnel.doubtful": Warning, Tunnel,
        "Your box's own request did not come back through the tunnel. It asks again.";
    TunnelDown "tunnel.down": Warning or Error or Info, Tunnel,
        "The tunnel is down. Your box starts it again."
        => "If it stays down, follow the text, then run `gateway reload`.";
    TunnelFast "tunnel.fast": Notice, Nobody,
        "Requests through the tunnel are fast again.";
    TunnelHostKey "tunnel.host-key": Error or Notice or Info, Tunnel,
        "The tunnel's server showed its key: for the first time (notice), or another one than before (error)."
        => "Compare the key with the server's own before you accept it.";
    TunnelProved "tunnel.proved": Notice, Nobody,
        "Twilio can reach your box through the tunnel.";
    TunnelSaid "tunnel.said": Info, Tunnel,
        "The tunnel's program printed this line.";
    TunnelSlow "tunnel.slow": Warning, Line,
        "Requests through the tunnel are slow, and callers wait that long."
        => "Look at the load of the internet line.";
    TunnelState "tunnel.state": Debug, Nobody,
        "The tunnel is in another state. This is for the history alone.";
    TunnelUrl "tunnel.url": Notice or Info or Debug, Nobody,
        "The tunnel has another public URL.";
    TunnelUrlNotWritten "tunnel.url-not-written": Error, Twilio,
        "Twilio did not take the new public URL and still calls the former one."
        => "Follow the text; your box tries again by itself.";
    TunnelUrlWaits "tunnel.url-waits": Warning or Info, Tunnel,
        "Twilio gets the new public URL later: it changed too often, or Twilio asks your box to wait (info)."
        => "If it comes often, use a tunnel whose URL stays.";
    TunnelUrlWritten "tunnel.url-written": Notice, Nobody,
        "Twilio calls the new public URL.";
    TunnelWarning "tunnel.warning": Warning, Tunnel,
        "The tunnel works, with a flaw that the text names."
        => "Follow the text.";
    UpgradeKept "upgrade.kept": Notice, Nobody,
        "The new version is healthy and stays.";
    UpgradeReturned "upgrade.returned": Error, Box,
        "The new version was not healthy. The old one is back."
        => "Read why in the text before you upgrade again.";
    UpgradeTrial "upgrade.trial": Notice, Nobody,
        "A new version runs on trial.";
    UpgradeUnwritten "upgrade.unwritten": Error, Box,
        "The end of an upgrade could not be written down."
        => "Look whether the disk is full or read-only.";
    WebhookAcceptFailed "webhook.accept-failed": Error, Box,
        "The webhook endpoint could not take a connection. It goes on with the next one."
        => "If it lasts, look at the limits for open files and memory.";
    WebhookBadForm "webhook.bad-form": Warning, Stranger,
        "A webhook request held a form that nobody can read."
        => "If calls fail at the same time, check the webhook URLs with `gateway plan`.";
    WebhookDialed "webhook.dialed": Info, Nobody,
        "Twilio reports how a call that it dialed ended.";
    WebhookFailed "webhook.failed": Error, Config,
        "The address for Twilio's requests cannot be opened. Only emergency calls work."
        => "Stop the program that holds the port, or correct `webhook.listen`.";
    WebhookIncoming "webhook.incoming": Info, Nobody,
        "Twilio has a call for one of your numbers.";
    WebhookListening "webhook.listening": Notice, Nobody,
        "Your box takes Twilio's requests.";
    WebhookNoAuthToken "webhook.no-auth-token": Error, Config,
        "There is no auth token to check Twilio's signatures with."
        => "Run `gateway setup`.";
    WebhookNoCredentials "webhook.no-credentials": Error, Config,
        "There are no credentials for webhooks yet."
        => "Run `gateway setup`.";
    WebhookOtherAccount "webhook.other-account": Warning, Twilio,
        "Twilio sent a request of another account, such as a subaccount. It was refused."
        => "If the account is yours, correct `twilio.account_sid`; else remove your URLs from that account.";
    WebhookOutgoing "webhook.outgoing": Info, Nobody,
        "Twilio asks what to do with a call from one of your phones.";
    WebhookRejected "webhook.rejected": Notice, Varies,
        "A call that Twilio asked about was rejected; the text says why."
        => "If the call should have worked, correct what the text names.";
    WebhookReplayed "webhook.replayed": Warning, Stranger,
        "A request of Twilio's came a second time. A few are Twilio's own repeats."
        => "If there are many, look who could read your requests, such as a proxy in front of your box.";
    WebhookSignedInPart "webhook.signed-in-part": Notice, Twilio,
        "Twilio's signature leaves out two fields that your box does not use.";
    WebhookStatus "webhook.status": Info, Nobody,
        "Twilio reports the state of a call.";
    WebhookStray "webhook.stray": Info, Stranger,
        "A request came that is not for this endpoint, and was refused.";
    WebhookTooMany "webhook.too-many": Warning, Stranger,
        "A flood of requests came that are not Twilio's. Twilio's get through.";
    WebhookTooManyConnections "webhook.too-many-connections": Warning, Stranger,
        "Too many connections were open, so one was closed.";
    WebhookUnauthorized "webhook.unauthorized": Warning, Stranger,
        "A request came without the right user and password, and was refused."
        => "If calls fail at the same time, run `gateway plan`, then `gateway apply`.";
    WebhookUnsigned "webhook.unsigned": Warning, Stranger,
        "A request came without a good signature of Twilio's, and was refused."
        => "If calls fail at the same time, compare `webhook.public_url` and the auth token with Twilio's console.";
}

impl Code {
    /// The code with that word.
    pub fn from_word(word: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.word() == word)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl<'d> Deserialize<'d> for Code {
    fn deserialize<D: Deserializer<'d>>(deserializer: D) -> Result<Code, D::Error> {
        let word = String::deserialize(deserializer)?;
        Code::from_word(&word).ok_or_else(|| de::Error::custom("no code of an event"))
    }
}
