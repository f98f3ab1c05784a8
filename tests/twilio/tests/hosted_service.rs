//! The newer APIs (below `/v1/`) over HTTP: a hosted service from nothing to bytes and back, permissions, tokens.

mod common;

use std::sync::Arc;

use common::*;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use twilio_simulator::switches::Switches;
use twilio_simulator::twilio::Twilio;

const SOUND: &[u8] = b"RIFF\0\xff\r\n--not a boundary\r\n\r\n";

async fn http(twilio: &Twilio, head: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(twilio.rest_address).await.unwrap();
    let head = format!("{head}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    let end = reply.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(reply[..end].to_vec()).unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head, reply[end + 4..].to_vec())
}

async fn fetch(twilio: &Twilio, domain: &str, path: &str) -> (u16, String, Vec<u8>) {
    http(twilio, &format!("GET /hosted/{domain}{path} HTTP/1.1\r\nHost: {domain}"), &[]).await
}

/// An asset with one version; gives the SIDs of both.
async fn asset(twilio: &Twilio, service: &str, path: &str, visibility: &str, content: &[u8]) -> (String, String) {
    use base64::Engine;
    let (status, asset) =
        rest(twilio, "POST", &format!("/v1/Services/{service}/Assets"), &[("FriendlyName", path)]).await;
    assert_eq!(status, 201, "{asset}");
    let asset = asset["sid"].as_str().unwrap().to_owned();
    let mut body = Vec::new();
    for (name, value) in [("Path", path), ("Visibility", visibility)] {
        body.extend(format!("--x1\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").into_bytes());
    }
    let head =
        "--x1\r\nContent-Disposition: form-data; name=\"Content\"; filename=\"f\"\r\nContent-Type: audio/wav\r\n\r\n";
    body.extend([head.as_bytes(), content, b"\r\n--x1--\r\n"].concat());
    let credentials = format!("{}:{}", twilio.account.sid, twilio.account.token);
    let credentials = base64::engine::general_purpose::STANDARD.encode(credentials);
    let head = format!(
        "POST /v1/Services/{service}/Assets/{asset}/Versions HTTP/1.1\r\nHost: upload\r\n\
         Authorization: Basic {credentials}\r\nContent-Type: multipart/form-data; boundary=x1"
    );
    let (status, _, reply) = http(twilio, &head, &body).await;
    let version: Value = serde_json::from_slice(&reply).unwrap();
    assert_eq!((status, &version["path"]), (201, &Value::from(path)), "{version}");
    (asset, version["sid"].as_str().unwrap().to_owned())
}

/// A service with one environment; gives the service's SID, the environment's path and its domain name.
async fn service(twilio: &Twilio) -> (String, String, String) {
    let fields = [("UniqueName", "sounds"), ("FriendlyName", "sounds")];
    let (status, service) = rest(twilio, "POST", "/v1/Services", &fields).await;
    assert_eq!(status, 201, "{service}");
    let service = service["sid"].as_str().unwrap().to_owned();
    let fields = [("UniqueName", "stage"), ("DomainSuffix", "stage")];
    let (status, environment) = rest(twilio, "POST", &format!("/v1/Services/{service}/Environments"), &fields).await;
    assert_eq!(status, 201, "{environment}");
    let path = format!("/v1/Services/{service}/Environments/{}", environment["sid"].as_str().unwrap());
    (service, path, environment["domain_name"].as_str().unwrap().to_owned())
}

/// A build read until it is finished; gives its SID, its last status and how often it said `building`.
async fn build(twilio: &Arc<Twilio>, service: &str, versions: &[&str]) -> (String, String, usize) {
    let fields: Vec<(&str, &str)> = versions.iter().map(|sid| ("AssetVersions", *sid)).collect();
    let (status, build) = rest(twilio, "POST", &format!("/v1/Services/{service}/Builds"), &fields).await;
    assert_eq!(status, 201, "{build}");
    let sid = build["sid"].as_str().unwrap().to_owned();
    let path = format!("/v1/Services/{service}/Builds/{sid}/Status");
    for reads in 0..10 {
        let (_, status) = rest(twilio, "GET", &path, &[]).await;
        if status["status"] != "building" {
            return (sid, status["status"].as_str().unwrap().to_owned(), reads);
        }
    }
    panic!("the build never ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uploaded_asset_is_served_once_its_build_is_deployed() {
    let twilio = start(Switches::default()).await;
    let (service, environment, domain) = service(&twilio).await;
    let (_, greeting) = asset(&twilio, &service, "/greeting.wav", "public", SOUND).await;
    let (_, hidden) = asset(&twilio, &service, "/hidden.wav", "private", SOUND).await;
    let (_, signed) = asset(&twilio, &service, "/signed.wav", "protected", SOUND).await;
    let (sid, status, reads) = build(&twilio, &service, &[&greeting, &hidden, &signed]).await;
    assert_eq!((status.as_str(), reads), ("completed", 2));
    assert_eq!(fetch(&twilio, &domain, "/greeting.wav").await.0, 404, "nothing is deployed");

    let (status, _) = rest(&twilio, "POST", &format!("{environment}/Deployments"), &[("BuildSid", &sid)]).await;
    assert_eq!(status, 201);
    assert_eq!(rest(&twilio, "GET", &environment, &[]).await.1["build_sid"], sid);
    let (status, head, body) = fetch(&twilio, &domain, "/greeting.wav").await;
    assert_eq!((status, &body[..]), (200, SOUND));
    assert!(head.to_ascii_lowercase().contains("content-type: audio/wav"), "{head}");
    assert_eq!(fetch(&twilio, &domain, "/hidden.wav").await.0, 404);
    assert_eq!(fetch(&twilio, &domain, "/signed.wav").await.0, 403);
    assert_eq!(fetch(&twilio, "other-1234.twil.io", "/greeting.wav").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_not_complete_is_not_deployed_and_a_deployed_one_not_deleted() {
    let twilio = start(Switches { build_reads: 0, ..Switches::default() }).await;
    let (service, environment, _) = service(&twilio).await;
    let (_, broken) = asset(&twilio, &service, "/broken.wav", "public", SOUND).await;
    let (_, good) = asset(&twilio, &service, "/good.wav", "public", SOUND).await;
    let (failed, status, reads) = build(&twilio, &service, &[&broken]).await;
    assert_eq!((status.as_str(), reads), ("failed", 0));
    let deployments = format!("{environment}/Deployments");
    assert_eq!(rest(&twilio, "POST", &deployments, &[("BuildSid", &failed)]).await.0, 409);
    let (completed, _, _) = build(&twilio, &service, &[&good]).await;
    assert_eq!(rest(&twilio, "POST", &deployments, &[("BuildSid", &completed)]).await.0, 201);
    let path = |sid: &str| format!("/v1/Services/{service}/Builds/{sid}");
    assert_eq!(rest(&twilio, "DELETE", &path(&completed), &[]).await.0, 409);
    assert_eq!(rest(&twilio, "DELETE", &path(&failed), &[]).await.0, 204);
    assert_eq!(rest(&twilio, "GET", &path(&failed), &[]).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_found_by_its_name_refused_twice_and_deleted_with_all_below() {
    let twilio = start(Switches::default()).await;
    let (service, environment, _) = service(&twilio).await;
    asset(&twilio, "sounds", "/a.wav", "public", SOUND).await;
    let (_, found) = rest(&twilio, "GET", "/v1/Services/sounds", &[]).await;
    assert_eq!(found["sid"], service);
    let again = [("UniqueName", "sounds"), ("FriendlyName", "sounds")];
    let (status, error) = rest(&twilio, "POST", "/v1/Services", &again).await;
    assert_eq!((status, &error["code"]), (409, &Value::from(20409)));
    twilio.set_switches(|switches| switches.duplicate_service_status = 400);
    assert_eq!(rest(&twilio, "POST", "/v1/Services", &again).await.0, 400);
    let twin = [("UniqueName", "stage"), ("DomainSuffix", "other")];
    assert_eq!(rest(&twilio, "POST", &format!("/v1/Services/{service}/Environments"), &twin).await.0, 409);
    assert_eq!(rest(&twilio, "DELETE", &format!("/v1/Services/{service}"), &[]).await.0, 204);
    assert_eq!(rest(&twilio, "GET", &environment, &[]).await.0, 404);
    assert_eq!(rest(&twilio, "GET", "/v1/Services", &[]).await.1["services"].as_array().unwrap().len(), 0);
    assert_eq!(rest(&twilio, "POST", "/v1/Services", &again).await.0, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_versions_of_one_asset_and_two_files_of_one_path_do_not_fit_into_a_build() {
    let twilio = start(Switches::default()).await;
    let (service, _, _) = service(&twilio).await;
    let (_, first) = asset(&twilio, &service, "/a.wav", "public", SOUND).await;
    let (_, second) = asset(&twilio, &service, "/a.wav", "public", SOUND).await;
    let builds = format!("/v1/Services/{service}/Builds");
    let unknown = "ZN00000000000000000000000000000000";
    for wanted in [&[][..], &[first.as_str(), second.as_str()], &[first.as_str(), first.as_str()], &[unknown]] {
        let fields: Vec<(&str, &str)> = wanted.iter().map(|sid| ("AssetVersions", *sid)).collect();
        let (status, error) = rest(&twilio, "POST", &builds, &fields).await;
        assert_eq!((status, &error["code"]), (400, &Value::from(20001)), "{wanted:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_works_beside_the_old_one_until_it_is_promoted() {
    let twilio = start(Switches::default()).await;
    let (name, first) = (twilio.account.sid.clone(), twilio.account.token.clone());
    let (status, made) = rest(&twilio, "POST", "/v1/AuthTokens/Secondary", &[]).await;
    assert_eq!(status, 201, "{made}");
    let second = made["secondary_auth_token"].as_str().unwrap().to_owned();
    for token in [&first, &second] {
        assert_eq!(rest_as(&twilio, &name, token, "GET", "Balance.json", &[]).await.0, 200);
    }
    assert_eq!(twilio.auth_token(), first, "webhooks are signed with the primary one");
    assert_eq!(rest(&twilio, "POST", "/v1/AuthTokens/Promote", &[]).await.0, 200);
    assert_eq!(twilio.auth_token(), second);
    assert_eq!(rest_as(&twilio, &name, &first, "GET", "Balance.json", &[]).await.0, 401);
    assert_eq!(rest_as(&twilio, &name, &second, "DELETE", "/v1/AuthTokens/Secondary", &[]).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standard_key_opens_the_newer_apis_but_keys_and_tokens() {
    let twilio = start(Switches::default()).await;
    let (name, secret) = twilio.account.key.clone();
    let open = |path: &'static str| {
        let (twilio, name, secret) = (twilio.clone(), name.clone(), secret.clone());
        async move { rest_as(&twilio, &name, &secret, "GET", path, &[]).await.0 }
    };
    assert_eq!(open("/v1/Services").await, 200);
    assert_eq!(open("/v1/DialingPermissions/Countries").await, 200);
    assert_eq!(open("/v1/Keys").await, 401);
    assert_eq!(open("/v1/AuthTokens/Secondary").await, 401);
}
