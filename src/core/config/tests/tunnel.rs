//! `[tunnel]`, its drivers and the URL that it may tell.

use super::*;

#[test]
fn a_public_url_that_the_tunnel_tells_need_not_be_given() {
    let without = MINIMAL.replace("[webhook]\npublic_url = \"https://gateway.example.com\"\n", "");
    let driver = "driver = \"command\"\ncommand = [\"cloudflared\"]\n";
    let config = read(&format!("{without}[tunnel]\n{driver}"));
    assert_eq!((config.webhook.public_url.as_str(), config.environments[0].public_url.as_str()), ("", ""));
    assert!(errors(&format!("{without}[tunnel]\n{driver}url_from = \"config\"\n")).len() == 1);
}

#[test]
fn each_driver_of_the_tunnel_is_read_with_its_defaults() {
    use crate::config::tunnel::{Direct, Driver, PROVE_EVERY, Program, UrlFrom};
    let tunnel = |lines: &str| read(&format!("{MINIMAL}[tunnel]\n{lines}\n")).tunnel;
    assert_eq!(read(MINIMAL).tunnel, crate::config::tunnel::Settings::default());
    let ssh = tunnel("driver = \"ssh\"\nserver = \"tunnel@box.example.com\"");
    let Driver::Ssh(driver) = ssh.driver else { panic!("{ssh:?}") };
    assert_eq!((driver.server.to_string().as_str(), driver.host_key), ("tunnel@box.example.com:22", None));
    assert_eq!((driver.bind_address.as_str(), driver.bind_port), ("127.0.0.1", 8080));
    assert_eq!((ssh.url_from, ssh.prove_every), (UrlFrom::Config, PROVE_EVERY));
    let service = tunnel("driver = \"ssh\"\nserver = \"nokey@localhost.run\"\nremote = \"80\"\nurl_from = \"output\"");
    let Driver::Ssh(driver) = service.driver else { panic!("{service:?}") };
    assert_eq!((driver.bind_address.as_str(), driver.bind_port), ("", 80));
    assert_eq!(service.url_from, UrlFrom::Output);
    let command = tunnel("driver = \"command\"\ncommand = [\"ngrok\", \"http\", \"{port}\"]\nprove_every = 30");
    let argv = ["ngrok", "http", "{port}"].map(str::to_owned).to_vec();
    assert_eq!(command.driver, Driver::Command(Program { argv, environment: None }));
    assert_eq!((command.url_from, command.prove_every), (UrlFrom::Output, Duration::from_secs(30)));
    let direct = tunnel("driver = \"direct\"\nlisten = \"0.0.0.0:443\"\ncertificate = \"a.pem\"\nkey = \"/b.pem\"");
    let driver = Direct { listen: ([0, 0, 0, 0], 443).into(), certificate: "a.pem".into(), key: "/b.pem".into() };
    assert_eq!(direct.driver, Driver::Direct(driver));
}

#[test]
fn mistakes_of_the_tunnel_are_told_with_their_line() {
    let says = |lines: &str, expected: &[&str]| says("[tunnel]", lines, expected);
    says(
        "driver = \"shh\"",
        &["gateway.toml:10: tunnel: driver \"shh\" is no driver; write \"ssh\", \"command\", \"direct\" or \"none\""],
    );
    says(
        "server = \"tunnel@box.example.com\"",
        &["gateway.toml:10: tunnel: server is there without a driver; write driver = \"ssh\", too"],
    );
    says(
        "driver = \"ssh\"",
        &["gateway.toml:9: tunnel: server is missing; write server = \"tunnel@server.example.com\""],
    );
    says(
        "driver = \"ssh\"\nserver = \"box.example.com\"\nhost_key = \"MD5:aa\"",
        &[
            "gateway.toml:11: tunnel: server \"box.example.com\" is not an SSH server; write \"user@host\" or \
             \"user@host:22\"",
            "gateway.toml:12: tunnel: host_key \"MD5:aa\" is not a fingerprint; copy SHA256:… from ssh-keygen -lf \
             /etc/ssh/ssh_host_ed25519_key.pub there",
        ],
    );
    says(
        "driver = \"command\"",
        &["gateway.toml:9: tunnel: command is missing; write command = [\"cloudflared\", \"tunnel\", \"--url\", \
           \"http://{address}\"]"],
    );
    says(
        "driver = \"command\"\ncommand = []",
        &["gateway.toml:11: tunnel: command names no program; write the program first, command = [\"cloudflared\", …]"],
    );
    says(
        "driver = \"direct\"\nlisten = \"443\"\ncertificate = \"a.pem\"",
        &[
            "gateway.toml:9: tunnel: key is missing; write key = \"/etc/gateway/….pem\"",
            "gateway.toml:11: tunnel: listen \"443\" is not an address with a port; write \"127.0.0.1:8080\"",
        ],
    );
    says(
        "driver = \"ssh\"\nserver = \"t@box.example.com\"\nurl_from = \"http://127.0.0.1:4040/api/tunnels\"",
        &["gateway.toml:12: tunnel: url_from asks a program of this box, and ssh has none; write \"output\" for a \
           service that prints its URL, or \"config\""],
    );
    for url in
        ["http://127.0.0.1:4040@evil.example/", "http://localhost:x/", "https://localhost:4040/", "http://localhost"]
    {
        says(
            &format!("url_from = {url:?}"),
            &[&format!(
                "gateway.toml:10: tunnel: url_from {url:?} does not say where the public URL comes from; write \
                 \"output\", \"config\" or \"http://127.0.0.1:4040/api/tunnels\""
            )],
        );
    }
    says(
        "url_from = \"http://evil.example\"\nurl_pattern = \"*\"\nprove_every = 1",
        &[
            "gateway.toml:10: tunnel: url_from \"http://evil.example\" does not say where the public URL comes from; \
             write \"output\", \"config\" or \"http://127.0.0.1:4040/api/tunnels\"",
            "gateway.toml:11: tunnel: url_pattern \"*\" is not a host; write \"*.example.com\" or \"tunnel.example.com\"",
            "gateway.toml:12: tunnel: prove_every 1 is out of range; write a whole number from 10 to 3600 (it means \
             seconds)",
        ],
    );
}
