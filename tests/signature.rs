//! The signature vectors, computed with Twilio's own libraries: `tests/twilio-signature-vectors.json`.

use base64::Engine;
use gateway_core::secret::Secret;
use gateway_core::twiml::form::Form;
use gateway_core::twiml::signature::{Content, Covered, Key, SignatureError, SignedRequest, Verifier};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha1::Sha1;

const VECTORS: &str = include_str!("twilio-signature-vectors.json");
const BASE: &str = "https://gw.example.net";

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

/// `https://host/path?query#fragment` → what we configure, and what comes in.
fn split(url: &str) -> (&str, &str) {
    let authority = url.find("://").unwrap() + 3;
    let path = authority + url[authority..].find('/').unwrap();
    (&url[..path], url[path..].split('#').next().unwrap())
}

fn settings(vector: &Value) -> Option<&str> {
    vector["extra_headers"]["X-Twilio-Webhooks-Signature-Settings"].as_str()
}

fn key(vector: &Value) -> Key {
    let token = secret(vector["token"].as_str().unwrap());
    match settings(vector) {
        Some(_) => Key::shared("webhooks_sharedkey_example", &token),
        None => Key::auth_token(&token),
    }
}

/// A vector, as it would come in at the endpoint.
fn verify(vector: &Value, body: &[u8], path_and_query: &str, public_url: &str) -> Result<Covered, SignatureError> {
    let form = Form::decode(body).unwrap();
    let content = match (vector["method"].as_str(), vector["content_type"].as_str()) {
        (Some("GET"), _) => Content::Nothing,
        (_, Some("application/json")) => Content::Raw(body),
        _ => Content::Form(&form),
    };
    let signature = vector["signature"].as_str();
    let request = SignedRequest { path_and_query, content, signature, settings: settings(vector) };
    Verifier::new(public_url, vec![key(vector)]).verify(&request)
}

fn vectors(list: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(VECTORS).unwrap();
    all[list].as_array().unwrap().clone()
}

#[test]
fn every_vector_that_twilio_would_send_is_accepted() {
    let vectors = vectors("vectors");
    assert_eq!(vectors.len(), 13);
    for vector in &vectors {
        let (public_url, path) = split(vector["url_configured_or_received"].as_str().unwrap());
        let body = vector["raw_body"].as_str().unwrap_or_default().as_bytes();
        assert_eq!(verify(vector, body, path, public_url), Ok(Covered::All), "{}", vector["name"]);
    }
}

#[test]
fn every_vector_that_was_tampered_with_is_refused() {
    let vectors = vectors("must_reject");
    assert_eq!(vectors.len(), 7);
    for vector in &vectors {
        let (public_url, path) = split(vector["url"].as_str().unwrap());
        let params = vector["params"].as_object().unwrap();
        let form = Form::of(params.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())));
        let request = SignedRequest {
            path_and_query: path,
            content: Content::Form(&form),
            signature: vector["signature"].as_str(),
            settings: None,
        };
        let verdict = Verifier::new(public_url, vec![key(vector)]).verify(&request);
        assert_eq!(verdict, Err(SignatureError::Mismatch), "{}", vector["name"]);
    }
}

#[test]
fn a_change_of_any_byte_of_the_body_breaks_every_form_vector() {
    for vector in &vectors("vectors") {
        if !vector["raw_body"].is_string() {
            continue;
        }
        let (public_url, path) = split(vector["url_configured_or_received"].as_str().unwrap());
        let body = vector["raw_body"].as_str().unwrap();
        for at in 0..body.len() {
            let mut changed = body.as_bytes().to_vec();
            changed[at] ^= 1;
            // Another spelling of the same fields, as `%2b` is of `%2B`, is no change.
            let Ok(form) = Form::decode(&changed) else { continue };
            if sorted(&form) == sorted(&Form::decode(body.as_bytes()).unwrap()) {
                continue;
            }
            assert!(verify(vector, &changed, path, public_url).is_err(), "{} at {at}", vector["name"]);
        }
    }
}

fn sorted<'a>(form: &'a Form<'_>) -> Vec<(&'a str, &'a str)> {
    let mut fields: Vec<_> = form.fields().collect();
    fields.sort();
    fields.dedup();
    fields
}

fn sign(token: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

fn verify_form(
    public_url: &str,
    keys: Vec<Key>,
    body: &str,
    signature: Option<&str>,
) -> Result<Covered, SignatureError> {
    let form = Form::decode(body.as_bytes()).unwrap();
    let content = Content::Form(&form);
    Verifier::new(public_url, keys).verify(&SignedRequest { path_and_query: "/v", content, signature, settings: None })
}

#[test]
fn a_signature_without_call_token_and_stir_verstat_is_accepted_and_said_so() {
    let body = "StirVerstat=TN-Validation-Passed-A&CallSid=CA1&CallToken=%7B%7D";
    let keys = || vec![Key::auth_token(&secret("12345"))];
    let check = |text: &str| verify_form(BASE, keys(), body, Some(&sign("12345", text)));
    let all = "https://gw.example.net/vCallSidCA1CallToken{}StirVerstatTN-Validation-Passed-A";
    assert_eq!(check(all), Ok(Covered::All));
    assert_eq!(check("https://gw.example.net/vCallSidCA1"), Ok(Covered::WithoutCallTokenAndStirVerstat));
    // Exactly these two: neither one of them alone nor another field may be left out.
    assert_eq!(check("https://gw.example.net/vCallSidCA1CallToken{}"), Err(SignatureError::Mismatch));
    assert_eq!(check("https://gw.example.net/v"), Err(SignatureError::Mismatch));
}

#[test]
fn a_second_token_is_accepted_while_tokens_change() {
    let signature = sign("new", "https://gw.example.net/vCallSidCA1");
    let check = |keys| verify_form(BASE, keys, "CallSid=CA1", Some(&signature));
    assert_eq!(check(vec![Key::auth_token(&secret("old")), Key::auth_token(&secret("new"))]), Ok(Covered::All));
    assert_eq!(check(vec![Key::auth_token(&secret("old"))]), Err(SignatureError::Mismatch));
    assert_eq!(check(vec![Key::shared("new", &secret("new"))]), Err(SignatureError::UnknownKey));
}

#[test]
fn the_port_may_be_signed_or_not() {
    for (public_url, signed) in [
        ("https://gw.example.net", "https://gw.example.net:443/v"),
        ("https://gw.example.net:8443", "https://gw.example.net:8443/v"),
        ("https://gw.example.net:8443", "https://gw.example.net/v"),
        ("http://gw.example.net:8080", "http://gw.example.net/v"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]/v"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]:443/v"),
        ("https://gw.example.net:8443/office", "https://gw.example.net/office/v"),
    ] {
        let verdict = verify_form(public_url, vec![Key::auth_token(&secret("t"))], "", Some(&sign("t", signed)));
        assert_eq!(verdict, Ok(Covered::All), "{public_url} {signed}");
    }
}

#[test]
fn a_signature_that_is_missing_or_garbage_is_refused() {
    let check = |signature| verify_form(BASE, vec![Key::auth_token(&secret("t"))], "a=b", signature);
    let long = "A".repeat(10_000);
    assert_eq!(check(None), Err(SignatureError::Missing));
    assert_eq!(check(Some("%%%")), Err(SignatureError::Malformed));
    assert_eq!(check(Some(&long)), Err(SignatureError::Malformed));
    assert_eq!(check(Some("")), Err(SignatureError::Mismatch));
    assert_eq!(check(Some("AAAA")), Err(SignatureError::Mismatch));
}

#[test]
fn a_body_that_is_no_form_needs_its_hash_in_the_signed_url() {
    let body = br#"{"CallSid":"CA1"}"#;
    let signed = |path: &str| sign("t", &format!("{BASE}{path}"));
    let check = |path: &str| {
        let signature = signed(path);
        let request = SignedRequest {
            path_and_query: path,
            content: Content::Raw(body),
            signature: Some(&signature),
            settings: None,
        };
        Verifier::new(BASE, vec![Key::auth_token(&secret("t"))]).verify(&request)
    };
    assert_eq!(check("/v"), Err(SignatureError::BodyHash));
    assert_eq!(check("/v?bodySHA256="), Err(SignatureError::BodyHash));
    let hash = "0".repeat(64);
    assert_eq!(check(&format!("/v?bodySHA256={hash}")), Err(SignatureError::BodyHash));
}

#[test]
fn no_key_shows_in_debug() {
    let verifier = Verifier::new(BASE, vec![Key::auth_token(&secret("0123456789abcdef"))]);
    assert!(!format!("{verifier:?}").contains("0123456789abcdef"));
}
