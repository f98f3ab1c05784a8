//! Checks of the account itself: status, money, dialing permissions, drift.

use super::Check;
use crate::account_status::AccountKind;
use crate::grouping::groups;
use crate::plan::Change;
use gateway_core::config::ACCOUNT;

/// Below this, in units of the account's currency, a person should pay soon.
const LOW_BALANCE: f64 = 5.0;

/// Most sentences of a plan in one finding.
const SHOWN_CHANGES: usize = 3;

impl Check<'_> {
    pub(super) fn account(&mut self) {
        let observed = self.observed;
        let sid = &self.config.twilio.account_sid;
        if let Some(standing) = &observed.standing {
            if !standing.is_active() {
                self.error(
                    format!("account {sid} is {}", standing.status),
                    "no call works, in either direction",
                    "see console.twilio.com, or write to Twilio's support",
                );
            }
            if standing.kind == AccountKind::Trial {
                self.warning(
                    format!("account {sid} is a trial account"),
                    "only verified numbers can be called (32100), and callers hear a notice first",
                    "upgrade it at console.twilio.com",
                );
            }
            if let Some((balance, currency)) = &standing.balance
                && let Ok(left) = balance.parse::<f64>()
            {
                let what = format!("the balance is {balance} {currency}");
                let mend = "pay at console.twilio.com, and let it recharge by itself there";
                if left <= 0.0 {
                    self.error(what, "Twilio suspends the account: no call works", mend);
                } else if left < LOW_BALANCE {
                    self.warning(what, "when it is used up no call works", mend);
                }
            }
        }
        if observed.standing.is_none() && !observed.has_token {
            self.info(
                "whether the account is a trial account, and its balance, are unknown: an API key may not ask"
                    .to_owned(),
                "nothing by itself; a trial account calls verified numbers only, and one without money nobody",
                "see console.twilio.com, or run it again with the auth token in TWILIO_AUTH_TOKEN",
            );
        }
        if observed.usage_triggers == Some(0) {
            self.info(
                "the account has no usage trigger".to_owned(),
                "nobody is told when a stolen password makes expensive calls",
                "write [spend] daily = \"10.00\" into the config and run \"gateway apply\"",
            );
        }
        if !observed.has_key {
            self.info(
                "this box has no API key and uses the auth token".to_owned(),
                "nothing; whoever gets the token owns the account, a key can be taken back alone",
                "run \"gateway setup\", it makes one",
            );
        }
        for (what, reason) in &observed.unread {
            self.info(format!("{what} could not be read: {reason}"), "nothing can be said about it", "try again later");
        }
    }

    /// Which countries can be called (TWILIO.md "Dialing permissions").
    pub(super) fn dialing(&mut self) {
        let observed = self.observed;
        if observed.countries.is_empty() {
            return;
        }
        let open =
            |code: &str| observed.countries.iter().any(|one| one.iso_code == code && one.low_risk_numbers_enabled);
        let expected = &self.config.dialing.countries;
        let closed: Vec<&str> = expected.iter().map(String::as_str).filter(|code| !open(code)).collect();
        if !closed.is_empty() {
            let mend = match self.config.dialing.manage {
                true => "run \"gateway apply\"",
                false => {
                    "open them at console.twilio.com (Voice, Geo permissions), or write manage = true into [dialing] and run \
                     \"gateway apply\""
                }
            };
            let what = format!("dialing permissions: closed for {}", closed.join(", "));
            self.warning(what, "calls there fail (13227)", mend);
        }
        let risky: Vec<&str> = observed
            .countries
            .iter()
            .filter(|one| one.high_risk_special_numbers_enabled || one.high_risk_tollfraud_numbers_enabled)
            .map(|one| one.iso_code.as_str())
            .collect();
        if !risky.is_empty() {
            self.info(
                format!("dialing permissions: open for numbers of high risk in {}", risky.join(", ")),
                "a stolen password can make very expensive calls",
                "close them at console.twilio.com (Voice, Geo permissions)",
            );
        }
    }

    /// What the config wants and the account is not.
    pub(super) fn plan(&mut self) {
        let Some(plan) = &self.observed.plan else { return };
        // A number that is missing was told already.
        let missing = |problem: &&String| {
            let is_missing = |number: &str| !self.observed.numbers.iter().any(|there| there.phone_number == number);
            self.config.numbers.iter().any(|one| is_missing(&one.number) && problem.contains(&one.number))
        };
        let problems: Vec<&String> = plan.problems.iter().filter(|problem| !missing(problem)).collect();
        for problem in problems {
            self.error(problem.clone(), "\"gateway apply\" cannot give what the config wants", "see there");
        }
        let is_hosted =
            |change: &Change| matches!(change, Change::Upload(_) | Change::Build { .. } | Change::Deploy { .. });
        for (name, changes) in groups(plan) {
            let (hosted, others): (Vec<&Change>, Vec<&Change>) = changes.into_iter().partition(|one| is_hosted(one));
            let whose = match name {
                ACCOUNT => "what all environments share".to_owned(),
                name => format!("environment {name}"),
            };
            if !hosted.is_empty() {
                self.warning(
                    format!("{whose}: the files that Twilio serves are not those of hosted.assets"),
                    "callers hear old sounds, or none",
                    "run \"gateway apply\"",
                );
            }
            if !others.is_empty() {
                let mut shown: Vec<String> = others.iter().take(SHOWN_CHANGES).map(ToString::to_string).collect();
                if others.len() > SHOWN_CHANGES {
                    shown.push(format!("and {} more", others.len() - SHOWN_CHANGES));
                }
                self.warning(
                    format!("{whose} is not what the config says: {}", shown.join("; ")),
                    "it does what somebody set at Twilio, or what an older config said",
                    "see \"gateway plan\", then run \"gateway apply\"",
                );
            }
        }
    }
}
