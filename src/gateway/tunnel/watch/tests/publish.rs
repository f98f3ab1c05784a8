//! What is announced, what proves it, and what Twilio is told.

use super::*;

const NEW: &str = "https://new.trycloudflare.com";

/// The next process of a tunnel that was proved says that it is up at this URL.
fn restarted(scene: &mut Scene, url: &str) {
    scene.report(down(Culprit::Program));
    scene.input(Input::Stopped);
    scene.reach(State::Connecting);
    scene.outputs.clear();
    scene.report(Report::Up { public_url: Some(url.into()) });
}

/// How often Twilio was to be told of a URL.
fn writes(scene: &Scene) -> usize {
    scene.outputs.iter().filter(|output| matches!(output, Output::UrlChanged { .. })).count()
}

#[test]
fn an_announced_url_is_written_and_taken_for_signatures_when_it_is_proved_and_not_before() {
    let mut scene = Scene::proved();
    restarted(&mut scene, NEW);
    let change = Output::UrlChanged { old: URL.into(), new: NEW.into() };
    let status = scene.watch.status(scene.now);
    assert_eq!((status.public_url.as_str(), status.written), (NEW, false));
    scene.reach_proof();
    scene.answer(0, no());
    scene.reach_proof();
    assert_eq!(scene.count(&change), 0);
    assert_eq!(scene.watch.urls(), [URL], "nothing is told of it yet");
    scene.answer(0, Ok(()));
    assert_eq!(scene.count(&change), 1);
    assert_eq!(scene.watch.urls(), [NEW, URL]);
    let urls = Output::Urls(vec![NEW.into(), URL.into()]);
    let at = |wanted: &Output| scene.outputs.iter().position(|output| output == wanted);
    assert!(at(&urls) < at(&change), "what Twilio calls is known before it is told");
    scene.input(Input::UrlWritten { url: NEW.into(), result: Err("HTTP 500".into()) });
    assert!(!scene.watch.status(scene.now).written);
    scene.pass(5);
    assert_eq!(scene.count(&change), 2);
    scene.input(Input::UrlWritten { url: NEW.into(), result: Ok(()) });
    assert!(scene.watch.status(scene.now).written);
    // Its proofs go on, and it is written no more; the former stays valid for an hour.
    for _ in 0..40 {
        scene.reach_proof();
        scene.answer(0, Ok(()));
    }
    assert_eq!(writes(&scene), 2);
    assert_eq!(scene.watch.urls(), [NEW, URL]);
    while scene.watch.urls().len() > 1 {
        scene.reach_proof();
        scene.answer(0, Ok(()));
    }
    assert_eq!(scene.count(&Output::Urls(vec![NEW.into()])), 1);
}

#[test]
fn a_later_url_of_the_same_process_never_replaces_its_first() {
    for announced in [URL, NEW] {
        let mut scene = Scene::proved();
        restarted(&mut scene, announced);
        scene.pass(3);
        scene.answer(0, Ok(()));
        scene.outputs.clear();
        for number in 0..60 {
            let later = format!("https://good-shop.trycloudflare.com/flood{number}");
            scene.report(Report::Up { public_url: Some(later) });
            scene.pass(0);
        }
        scene.pass(30);
        assert_eq!(writes(&scene), 0, "{announced}");
        assert_eq!(scene.watch.status(scene.now).public_url, announced);
        assert_eq!(scene.watch.urls()[0], announced);
        let asked =
            scene.outputs.iter().filter(|output| matches!(output, Output::Prove { url, .. } if url != announced));
        assert_eq!(asked.count(), 0, "{announced}");
    }
}

#[test]
fn a_request_by_a_former_url_proves_nothing_of_an_announced_one() {
    let mut scene = Scene::proved();
    restarted(&mut scene, NEW);
    for by in [URL, "https://other.example.com"] {
        scene.input(Input::Request { by: by.into() });
        assert_eq!((scene.watch.state(), writes(&scene)), (State::Connected, 0), "{by}");
    }
    scene.pass(3);
    scene.answer(0, Ok(()));
    assert_eq!((scene.watch.state(), writes(&scene)), (State::Proved, 1));
    // Now it is Twilio's word for the URL, and for that alone.
    scene.pass(30);
    scene.answer(0, no());
    scene.input(Input::Request { by: URL.into() });
    assert_eq!(scene.watch.state(), State::Doubtful);
    scene.input(Input::Request { by: NEW.into() });
    assert_eq!(scene.watch.state(), State::Proved);
}

#[test]
fn a_request_that_twilio_signed_over_an_announced_url_proves_it() {
    let mut scene = Scene::proved();
    restarted(&mut scene, NEW);
    assert_eq!(scene.count(&Output::Announced(vec![NEW.into()])), 1);
    scene.input(Input::Request { by: NEW.into() });
    assert_eq!((scene.watch.state(), writes(&scene)), (State::Proved, 1));
    assert_eq!(scene.watch.urls(), [NEW, URL]);
    assert_eq!(scene.count(&Output::Announced(Vec::new())), 1);
}

#[test]
fn a_later_url_of_the_same_process_is_proved_by_a_request_of_twilios_alone() {
    const LATER: &str = "https://later.trycloudflare.com";
    let mut scene = Scene::proved();
    restarted(&mut scene, NEW);
    scene.pass(3);
    scene.answer(0, Ok(()));
    for number in 0..9 {
        scene.report(Report::Up { public_url: Some(format!("https://flood{number}.trycloudflare.com")) });
    }
    scene.report(Report::Up { public_url: Some(LATER.into()) });
    scene.pass(30);
    scene.answer(0, Ok(()));
    assert_eq!(scene.watch.urls()[0], NEW);
    scene.input(Input::Request { by: "https://flood0.trycloudflare.com".into() });
    assert_eq!(scene.watch.urls()[0], NEW, "few are remembered, the oldest goes first");
    scene.input(Input::Request { by: LATER.into() });
    assert_eq!(scene.watch.urls(), [LATER, URL, NEW]);
}

#[test]
fn a_nonce_that_was_asked_of_one_url_proves_no_other() {
    let mut scene = Scene::proved();
    restarted(&mut scene, NEW);
    scene.reach_proof();
    let asked = scene.outputs.iter().rev().find_map(|output| match output {
        Output::Prove { url, nonce } => Some((url.clone(), nonce.clone())),
        _ => None,
    });
    let (url, nonce) = asked.unwrap();
    assert_eq!(url, NEW);
    // The process ends; the next one has another URL, and the answer comes late.
    restarted(&mut scene, "https://third.trycloudflare.com");
    scene.input(Input::Proof { nonce, result: Ok(()) });
    assert_eq!((scene.watch.state(), writes(&scene)), (State::Connected, 0));
    assert_eq!(scene.watch.urls(), [URL]);
}

#[test]
fn a_url_that_is_never_proved_is_never_written_however_often_the_program_is_started() {
    let mut scene = Scene::proved();
    let mut starts = 0;
    for number in 0..10 {
        restarted(&mut scene, &format!("https://n{number}.trycloudflare.com"));
        while scene.count(&Output::StopDriver) == 0 {
            scene.pass(1);
        }
        starts += 1;
        assert_eq!((writes(&scene), scene.watch.urls()), (0, vec![URL.to_owned()]));
        scene.input(Input::Stopped);
        scene.reach(State::Connecting);
    }
    assert_eq!(starts, 10);
}

#[test]
fn writes_about_the_url_are_bounded_whatever_changes_and_whatever_fails() {
    for result in [Ok(()), Err("HTTP 500".to_owned())] {
        let mut scene = Scene::proved();
        let (began, mut count, mut last) = (scene.now, 0, String::new());
        for number in 0..60 {
            last = format!("https://n{number}.trycloudflare.com");
            // Each time the program is gone and back at once, and proved at once.
            scene.report(down(Culprit::Program));
            scene.input(Input::Stopped);
            scene.input(Input::Retry);
            scene.pass(0);
            scene.report(Report::Up { public_url: Some(last.clone()) });
            scene.pass(3);
            scene.answer(0, Ok(()));
            let told: Vec<String> = scene
                .outputs
                .drain(..)
                .filter_map(|output| match output {
                    Output::UrlChanged { new, .. } => Some(new),
                    _ => None,
                })
                .collect();
            count += told.len();
            for url in told {
                scene.input(Input::UrlWritten { url, result: result.clone() });
            }
            let minutes = scene.now.since(began).as_secs() / 60;
            assert!(count as u64 <= u64::from(WRITES.burst) + minutes * u64::from(WRITES.per_minute), "{count}");
        }
        assert!(count >= WRITES.burst as usize, "{count}");
        // In the end Twilio is told of the last one.
        let is_last = |output: &Output| matches!(output, Output::UrlChanged { new, .. } if *new == last);
        while !scene.outputs.iter().any(is_last) {
            assert!(scene.now.since(began) < seconds(3600), "{:?}", scene.watch.status(scene.now));
            scene.reach_proof();
            scene.answer(0, Ok(()));
        }
        scene.input(Input::UrlWritten { url: last.clone(), result: Ok(()) });
        assert!(scene.watch.status(scene.now).written, "{:?}", scene.watch.status(scene.now));
    }
}

#[test]
fn a_url_whose_process_is_gone_is_not_written_any_more() {
    let mut scene = Scene::proved();
    restarted(&mut scene, NEW);
    scene.pass(3);
    scene.answer(0, Ok(()));
    scene.input(Input::UrlWritten { url: NEW.into(), result: Err("HTTP 500".into()) });
    restarted(&mut scene, "https://third.trycloudflare.com");
    scene.pass(20);
    let told = |output: &Output| matches!(output, Output::UrlChanged { .. });
    assert!(!scene.outputs.iter().any(told), "{:?}", scene.outputs);
    // It comes back with the next process, as a reserved name does, and is written when it is proved again.
    restarted(&mut scene, NEW);
    assert_eq!(writes(&scene), 0);
    scene.pass(3);
    scene.answer(0, Ok(()));
    assert_eq!(scene.count(&Output::UrlChanged { old: URL.into(), new: NEW.into() }), 1);
}

#[test]
fn a_former_url_that_twilio_still_calls_stays_valid() {
    let mut scene = Scene::proved();
    for number in 0..20 {
        restarted(&mut scene, &format!("https://n{number}.ts.net"));
        scene.pass(3);
        scene.answer(0, Ok(()));
    }
    for _ in 0..200 {
        scene.reach_proof();
        scene.answer(0, Ok(()));
    }
    let (hours, urls) = (scene.now.as_micros() / 3_600_000_000, scene.watch.urls());
    assert_eq!(urls, ["https://n19.ts.net", URL], "after {hours} h");
}
