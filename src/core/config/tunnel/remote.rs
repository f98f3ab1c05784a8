//! `user@host:port` of an SSH server.

use std::fmt;
use std::net::Ipv6Addr;

/// Where SSH servers listen (RFC 4253 section 4.1).
pub const SSH_PORT: u16 = 22;

/// An account on an SSH server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    pub user: String,
    /// Name or address, without brackets.
    pub host: String,
    pub port: u16,
}

impl Remote {
    /// Reads `user@host`, `user@host:port` or `user@[2001:db8::1]:port`. The error says what is wrong and the way out.
    pub fn parse(text: &str) -> Result<Remote, String> {
        let wrong = || "is not an SSH server; write \"user@host\" or \"user@host:22\"".to_owned();
        let (user, rest) = text.rsplit_once('@').ok_or_else(wrong)?;
        let (host, port) = match rest.strip_prefix('[') {
            Some(bracketed) => {
                let (host, port) = bracketed.split_once(']').ok_or_else(wrong)?;
                host.parse::<Ipv6Addr>().map_err(|_| wrong())?;
                (host, port.strip_prefix(':'))
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let port = match port.unwrap_or("22").parse() {
            Ok(port @ 1..) => port,
            _ => return Err(wrong()),
        };
        // OpenSSH allows nearly anything in a user's name; hosting services put options into it (`key+tcp`).
        let user_fits = (1..=255).contains(&user.len()) && user.chars().all(|c| c.is_ascii_graphic());
        let host_fits = (1..=253).contains(&host.len())
            && !host.starts_with('-')
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte));
        match user_fits && host_fits {
            true => Ok(Remote { user: user.to_owned(), host: host.to_ascii_lowercase(), port }),
            false => Err(wrong()),
        }
    }

    /// As known_hosts files name it: `host`, or `[host]:port` where the port is not 22 (sshd(8)).
    pub fn name(&self) -> String {
        match self.port {
            SSH_PORT => self.host.clone(),
            port => format!("[{}]:{port}", self.host),
        }
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let brackets = self.host.contains(':');
        let (open, close) = if brackets { ("[", "]") } else { ("", "") };
        write!(f, "{}@{open}{}{close}:{}", self.user, self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_user_a_host_and_a_port_that_is_22_when_it_is_not_told() {
        for (text, shown, name) in [
            ("tunnel@Box.example.com", "tunnel@box.example.com:22", "box.example.com"),
            ("tunnel@box.example.com:2222", "tunnel@box.example.com:2222", "[box.example.com]:2222"),
            ("nokey@localhost.run", "nokey@localhost.run:22", "localhost.run"),
            ("a+tcp@192.0.2.1:443", "a+tcp@192.0.2.1:443", "[192.0.2.1]:443"),
            ("t@[2001:db8::1]:22", "t@[2001:db8::1]:22", "2001:db8::1"),
            ("t@[2001:db8::1]", "t@[2001:db8::1]:22", "2001:db8::1"),
        ] {
            let remote = Remote::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((remote.to_string().as_str(), remote.name().as_str()), (shown, name));
            assert_eq!(Remote::parse(&remote.to_string()), Ok(remote));
        }
    }

    #[test]
    fn what_is_no_server_is_refused() {
        for text in
            ["", "host", "@host", "user@", "user@host:0", "user@host:x", "user@host:70000", "user@-oProxy", "u@[x]"]
        {
            assert!(Remote::parse(text).is_err(), "{text}");
        }
    }
}
