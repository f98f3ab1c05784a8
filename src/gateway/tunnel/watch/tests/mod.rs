use super::proofs::*;
use super::publish::WRITES;
use super::*;
use gateway_core::config::tunnel::{Driver, Program, UrlFrom};

mod publish;

const URL: &str = "https://gateway.example.com";
const SEEDS: u64 = 300;

fn settings() -> Settings {
    let program = Program { argv: vec!["tunnel".into()], environment: None };
    Settings { driver: Driver::Command(program), url_from: UrlFrom::Output, ..Settings::default() }
}

/// A watch, its clock, and what it put out.
struct Scene {
    watch: Watch,
    now: Instant,
    outputs: Vec<Output>,
}

impl Scene {
    fn new(settings: &Settings) -> Scene {
        let now = Instant::from_secs(1000);
        let watch = Watch::new(now, settings, URL, Random::from_number(7));
        let mut scene = Scene { watch, now, outputs: Vec::new() };
        scene.input(Input::Start);
        scene
    }

    fn drain(&mut self) {
        while let Some(output) = self.watch.poll_output() {
            self.outputs.push(output);
        }
    }

    fn input(&mut self, input: Input) {
        self.watch.handle(self.now, input);
        self.drain();
    }

    fn report(&mut self, report: Report) {
        self.input(Input::Report(report));
    }

    /// Lets time pass, with all timers on the way.
    fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while let Some(at) = self.watch.poll_timeout().filter(|at| *at <= end) {
            self.now = at;
            self.watch.handle_timeout(at);
            self.drain();
        }
        self.now = end;
    }

    /// The proof asked for last, answered after a while.
    fn answer(&mut self, after: u64, result: Result<(), String>) {
        self.pass(after);
        let nonce = self.outputs.iter().rev().find_map(|output| match output {
            Output::Prove { nonce, .. } => Some(nonce.clone()),
            _ => None,
        });
        let nonce = nonce.expect("a proof was asked for");
        self.input(Input::Proof { nonce, result });
    }

    fn up(&mut self, url: &str) {
        self.report(Report::Up { public_url: Some(url.into()) });
        self.pass(0);
    }

    /// Lets time pass until a state is reached.
    fn reach(&mut self, state: State) {
        for _ in 0..1000 {
            if self.watch.state() == state {
                return;
            }
            self.pass(1);
        }
        panic!("{state:?} is not reached: {:?}", self.watch.status(self.now));
    }

    /// Lets time pass until the next proof is asked for.
    fn reach_proof(&mut self) {
        let proofs =
            |scene: &Scene| scene.outputs.iter().filter(|output| matches!(output, Output::Prove { .. })).count();
        let before = proofs(self);
        for _ in 0..1000 {
            if proofs(self) > before {
                return;
            }
            self.pass(1);
        }
        panic!("no proof is asked for: {:?}", self.watch.status(self.now));
    }

    fn proved() -> Scene {
        let mut scene = Scene::new(&settings());
        scene.up(URL);
        scene.answer(0, Ok(()));
        assert_eq!(scene.watch.state(), State::Proved);
        scene.outputs.clear();
        scene
    }

    fn codes(&self) -> Vec<&str> {
        let event = |output: &Output| match output {
            // Each change of state has one beside what people are told.
            Output::Event(event) if event.code != Code::TunnelState => Some(event.code.word()),
            _ => None,
        };
        self.outputs.iter().filter_map(event).collect()
    }

    fn count(&self, wanted: &Output) -> usize {
        self.outputs.iter().filter(|output| *output == wanted).count()
    }
}

fn no() -> Result<(), String> {
    Err("refused".into())
}

fn down(culprit: Culprit) -> Report {
    Report::Down(Down::new(culprit, "it broke", "mend it"))
}

#[test]
fn up_is_not_proved_until_our_own_url_answered_through_the_tunnel() {
    let mut scene = Scene::new(&settings());
    assert_eq!(scene.count(&Output::StartDriver), 1);
    assert_eq!(scene.watch.state(), State::Connecting);
    scene.up(URL);
    assert_eq!(scene.watch.state(), State::Connected);
    scene.answer(1, Ok(()));
    assert_eq!(scene.watch.state(), State::Proved);
    let status = scene.watch.status(scene.now);
    assert_eq!((status.latency, status.last_proof, status.failures), (Some(1000), Some(0), 0));
    assert!(scene.codes().contains(&"tunnel.proved"));
}

#[test]
fn a_proof_with_another_nonce_proves_nothing() {
    let mut scene = Scene::new(&settings());
    scene.up(URL);
    scene.input(Input::Proof { nonce: "00".into(), result: Ok(()) });
    assert_eq!(scene.watch.state(), State::Connected);
}

#[test]
fn a_driver_that_dies_is_started_again_within_a_second_or_so() {
    let mut scene = Scene::proved();
    scene.report(down(Culprit::Program));
    scene.input(Input::Stopped);
    assert_eq!(scene.watch.state(), State::Waiting);
    assert_eq!(scene.watch.status(scene.now).reason.as_deref(), Some("it broke; mend it"));
    scene.pass(1);
    assert_eq!(scene.count(&Output::StartDriver), 1);
}

#[test]
fn a_driver_that_vanishes_without_a_word_is_started_again() {
    let mut scene = Scene::proved();
    scene.input(Input::Stopped);
    scene.pass(1);
    assert_eq!(scene.count(&Output::StartDriver), 1);
}

#[test]
fn a_connected_tunnel_that_answers_nothing_is_doubted_then_restarted_and_the_time_until_then_is_bounded() {
    let mut scene = Scene::proved();
    let began = scene.now;
    while scene.count(&Output::StopDriver) == 0 {
        scene.pass(1);
        // The next usual proof after 30 s, and two that nobody answers.
        assert!(scene.now.since(began) <= Duration::from_secs(30) + PROOF_LIMIT * 2 + DOUBTFUL_EVERY);
    }
    assert_eq!(scene.codes(), ["tunnel.doubtful", "tunnel.down"]);
    let status = scene.watch.status(scene.now);
    assert!(status.reason.is_some_and(|reason| reason.contains("connected but dead")));
    // Nothing is started before the old one is gone.
    scene.pass(60);
    assert_eq!(scene.count(&Output::StartDriver), 0);
    scene.input(Input::Stopped);
    scene.pass(2);
    assert_eq!(scene.count(&Output::StartDriver), 1);
}

#[test]
fn a_front_that_answers_in_our_place_has_four_chances_in_twelve_seconds() {
    let mut scene = Scene::proved();
    scene.reach_proof();
    let began = scene.now;
    for _ in 0..3 {
        scene.answer(0, no());
        assert_eq!(scene.watch.state(), State::Doubtful);
        scene.reach_proof();
    }
    scene.answer(0, no());
    assert_eq!(scene.watch.state(), State::Waiting);
    assert_eq!(scene.now.since(began), DEAD_AFTER);
}

#[test]
fn a_tunnel_that_never_worked_gets_more_time_after_each_restart() {
    let mut scene = Scene::new(&settings());
    let mut lives = Vec::new();
    for _ in 0..8 {
        scene.outputs.clear();
        scene.report(Report::Up { public_url: Some(URL.into()) });
        let began = scene.now;
        while scene.count(&Output::StopDriver) == 0 {
            scene.pass(1);
        }
        lives.push(scene.now.since(began));
        scene.input(Input::Stopped);
        scene.reach(State::Connecting);
    }
    assert!(lives.windows(2).all(|pair| pair[0] <= pair[1]), "{lives:?}");
    assert!(lives[3] >= PATIENCE * 4 && lives[7] <= MAX_PATIENCE + Duration::from_secs(30), "{lives:?}");
}

#[test]
fn one_lost_proof_is_a_doubt_and_the_next_good_one_ends_it() {
    let mut scene = Scene::proved();
    scene.pass(30);
    scene.answer(0, no());
    assert_eq!(scene.watch.state(), State::Doubtful);
    scene.pass(5);
    scene.answer(0, Ok(()));
    assert_eq!(scene.watch.state(), State::Proved);
    assert_eq!(scene.codes(), ["tunnel.doubtful", "tunnel.proved"]);
    assert_eq!(scene.watch.status(scene.now).failures, 1);
}

#[test]
fn a_request_that_twilio_signed_ends_a_doubt_too() {
    let mut scene = Scene::proved();
    scene.pass(30);
    scene.answer(0, no());
    scene.input(Input::Request { by: "https://former.example.com".into() });
    assert_eq!(scene.watch.state(), State::Doubtful, "what came by another URL says nothing of this one");
    scene.input(Input::Request { by: URL.into() });
    assert_eq!(scene.watch.state(), State::Proved);
}

#[test]
fn slowness_is_told_once_counted_always_and_its_end_is_told() {
    let mut scene = Scene::proved();
    for after in [6, 7, 6, 0] {
        scene.reach_proof();
        scene.answer(after, Ok(()));
    }
    assert_eq!(scene.codes(), ["tunnel.slow", "tunnel.fast"]);
    let status = scene.watch.status(scene.now);
    assert_eq!((status.slow, status.state), (3, State::Proved));
}

#[test]
fn a_changed_host_key_keeps_the_tunnel_down_however_often_it_is_tried() {
    let mut scene = Scene::new(&settings());
    for _ in 0..20 {
        scene.report(down(Culprit::HostKey));
        scene.input(Input::Stopped);
        let status = scene.watch.status(scene.now);
        assert!(status.retry_in.is_some_and(|wait| (14..=600).contains(&wait)), "{status:?}");
        scene.reach(State::Connecting);
    }
    assert!(!scene.codes().contains(&"tunnel.proved"));
    // And a person who mended it need not wait.
    scene.report(down(Culprit::HostKey));
    scene.input(Input::Stopped);
    scene.input(Input::Retry);
    scene.pass(0);
    assert_eq!(scene.watch.state(), State::Connecting);
}

#[test]
fn many_failures_of_one_kind_do_not_make_the_first_of_another_wait_longer() {
    let mut scene = Scene::new(&settings());
    for _ in 0..10 {
        scene.report(down(Culprit::Network));
        scene.input(Input::Stopped);
        scene.reach(State::Connecting);
    }
    scene.report(down(Culprit::Refused));
    assert!(scene.watch.status(scene.now).retry_in.is_some_and(|wait| wait <= 30));
}

/// The settings of a tunnel whose URL stays.
fn steady_url() -> Settings {
    Settings { url_from: UrlFrom::Config, ..settings() }
}

/// Lets a tunnel come up, be proved, live for a while and be lost by the line; how long it is waited then.
fn life(scene: &mut Scene, seconds: u64) -> Duration {
    scene.reach(State::Connecting);
    scene.report(Report::Up { public_url: None });
    scene.pass(0);
    scene.answer(0, Ok(()));
    scene.pass(seconds);
    scene.report(down(Culprit::Network));
    scene.input(Input::Stopped);
    wait(scene)
}

fn wait(scene: &Scene) -> Duration {
    assert_eq!(scene.watch.state(), State::Waiting);
    scene.watch.timers.get(Timer::Retry).expect("it waits for a try").since(scene.now)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_tunnel_that_flaps_is_tried_again_soon_each_time() {
    let mut scene = Scene::new(&steady_url());
    let waits: Vec<Duration> = (0..500).map(|_| life(&mut scene, 2)).collect();
    assert!(waits[..9].iter().all(|wait| *wait <= Duration::from_millis(500)), "{waits:?}");
    // And the server has a login every few seconds at most, however long it goes on.
    assert!(waits[40..].iter().all(|wait| (seconds(2)..=seconds(4)).contains(wait)), "{waits:?}");
    // A life that is not short ends that.
    assert!(life(&mut scene, 40) <= Duration::from_millis(500));
}

#[test]
fn a_line_that_was_cut_is_tried_every_four_seconds_for_two_minutes_and_then_rarer_up_to_two_minutes() {
    let mut scene = Scene::new(&steady_url());
    life(&mut scene, 40);
    let lost = scene.now;
    let (mut tries, mut last) = (0, Duration::ZERO);
    while scene.now.since(lost) < seconds(1800) {
        scene.reach(State::Connecting);
        scene.report(down(Culprit::Network));
        scene.input(Input::Stopped);
        last = wait(&scene);
        if scene.now.since(lost) < SOON {
            tries += 1;
            assert!(last <= seconds(4), "{last:?}");
        }
    }
    assert!((30..60).contains(&tries), "{tries}");
    assert!(last >= seconds(60), "{last:?}");
}

#[test]
fn a_server_that_refuses_is_asked_rarely_even_if_the_tunnel_was_proved_just_now() {
    for culprit in [Culprit::Refused, Culprit::HostKey, Culprit::Config] {
        let mut scene = Scene::new(&steady_url());
        life(&mut scene, 40);
        scene.reach(State::Connecting);
        scene.report(down(culprit));
        scene.input(Input::Stopped);
        assert!(wait(&scene) >= seconds(15), "{culprit:?}");
    }
}

#[test]
fn a_tunnel_that_has_another_url_with_each_start_and_does_not_last_is_started_rarer_and_rarer() {
    let mut scene = Scene::new(&settings());
    let waits: Vec<Duration> = (0..12).map(|_| life(&mut scene, 2)).collect();
    assert!(waits[11] >= seconds(60), "{waits:?}");
    life(&mut scene, 40);
    assert!(life(&mut scene, 2) <= seconds(2));
}

#[test]
fn another_configured_url_is_proved_at_once_and_the_former_stays_good_for_a_while() {
    let mut scene = Scene::proved();
    let new = "https://new.example.com";
    scene.input(Input::Configured(new.into()));
    scene.pass(0);
    let asked = |output: &Output| matches!(output, Output::Prove { url, .. } if url == new);
    assert!(scene.outputs.iter().any(asked), "{:?}", scene.outputs);
    assert_eq!(scene.watch.urls(), [new, URL]);
    let told = |output: &Output| matches!(output, Output::UrlChanged { .. });
    assert!(!scene.outputs.iter().any(told), "whoever changed it tells Twilio");
    scene.answer(0, Ok(()));
    assert_eq!(scene.watch.state(), State::Proved);
}

#[test]
fn a_fault_that_repeats_is_a_warning_once() {
    let mut scene = Scene::new(&settings());
    for _ in 0..5 {
        scene.report(down(Culprit::Network));
        scene.input(Input::Stopped);
        scene.reach(State::Connecting);
    }
    let loud = |output: &&Output| matches!(output, Output::Event(event) if event.level <= Level::Warning);
    assert_eq!(scene.outputs.iter().filter(loud).count(), 1);
}

#[test]
fn without_a_driver_of_ours_the_url_is_proved_all_the_same_and_nothing_is_started() {
    let mut scene = Scene::new(&Settings::default());
    scene.pass(0);
    scene.answer(0, Ok(()));
    assert_eq!(scene.watch.state(), State::Proved);
    for _ in 0..20 {
        scene.pass(60);
        scene.answer(0, no());
    }
    assert_eq!(scene.watch.state(), State::Doubtful);
    assert_eq!(scene.codes().iter().filter(|code| **code == "tunnel.dead").count(), 1);
    assert_eq!(scene.count(&Output::StartDriver) + scene.count(&Output::StopDriver), 0);
}

#[test]
fn what_a_driver_says_while_it_is_being_stopped_does_not_count() {
    let mut scene = Scene::proved();
    scene.input(Input::Stop);
    assert_eq!(scene.count(&Output::StopDriver), 1);
    scene.report(Report::Up { public_url: Some("https://late.ts.net".into()) });
    scene.input(Input::Stopped);
    scene.pass(10_000);
    assert_eq!(scene.watch.state(), State::Off);
    assert_eq!(scene.watch.urls(), [URL]);
    assert_eq!(scene.count(&Output::StartDriver), 0);
}

/// What may happen, drawn from a seed.
fn something(random: &mut Random, nonce: &Option<String>, url: &Option<String>) -> Option<Input> {
    let culprits = [Culprit::Network, Culprit::Program, Culprit::Refused, Culprit::HostKey, Culprit::Config];
    let result = |random: &mut Random| if random.below(3) == 0 { Ok(()) } else { Err("x".to_owned()) };
    Some(match random.below(12) {
        0 => Input::Report(Report::Up { public_url: None }),
        1 | 2 => Input::Report(Report::Up { public_url: Some(format!("https://n{}.ts.net", random.below(12))) }),
        3 => Input::Report(down(culprits[random.below(5) as usize])),
        4 => Input::Report(Report::Said("line".into())),
        5..=7 => Input::Proof { nonce: nonce.clone()?, result: result(random) },
        8 => Input::Request { by: url.clone().unwrap_or(URL.into()) },
        9 => Input::UrlWritten { url: url.clone()?, result: result(random) },
        10 => Input::Retry,
        _ => Input::Report(Report::Connecting),
    })
}

#[test]
fn whatever_happens_there_is_never_a_second_driver_and_never_a_state_that_nothing_leads_out_of() {
    for seed in 0..SEEDS {
        let mut random = Random::from_number(seed);
        let mut now = Instant::from_secs(1);
        let mut watch = Watch::new(now, &settings(), URL, Random::from_number(seed));
        watch.handle(now, Input::Start);
        let (mut running, mut stopping) = (false, false);
        let (mut nonce, mut url, mut started) = (None, None, 0_u32);
        let (mut asked_of, mut proved) = (std::collections::HashMap::new(), std::collections::HashSet::new());
        for step in 0..400 {
            // Time goes on to the next timer, or stands still.
            if let Some(at) = watch.poll_timeout().filter(|_| random.below(2) == 0) {
                now = at.max(now);
                watch.handle_timeout(now);
            }
            while let Some(output) = watch.poll_output() {
                match output {
                    Output::StartDriver => {
                        assert!(!running, "seed {seed}, step {step}: a second driver");
                        (running, stopping) = (true, false);
                        started += 1;
                    }
                    Output::StopDriver => {
                        assert!(running && !stopping, "seed {seed}, step {step}: nothing to stop");
                        stopping = true;
                    }
                    Output::Prove { nonce: asked, url } => {
                        asked_of.insert(asked.clone(), url);
                        nonce = Some(asked);
                    }
                    Output::UrlChanged { new, .. } => {
                        let status = watch.status(now);
                        assert!(proved.contains(&new), "seed {seed}, step {step}: {new} is not proved: {status:?}");
                        url = Some(new);
                    }
                    Output::Urls(urls) => assert!(urls.len() <= 9, "seed {seed}: {urls:?}"),
                    Output::Announced(_) | Output::Event(_) => {}
                }
            }
            let status = watch.status(now);
            assert_ne!(status.state, State::Off);
            let next = watch.poll_timeout();
            assert!(next.is_some(), "seed {seed}, step {step}: {:?} without a timer", status.state);
            assert!(status.retry_in.is_none_or(|wait| wait <= 600), "seed {seed}: {status:?}");
            if status.state == State::Waiting {
                assert!(status.retry_in.is_some() && status.reason.is_some(), "seed {seed}: {status:?}");
            }
            let input = match () {
                () if running && random.below(6) == 0 => Some(Input::Stopped),
                () => something(&mut random, &nonce, &url),
            };
            // A driver that is gone says nothing.
            let input = input.filter(|input| running || !matches!(input, Input::Report(_)));
            if let Some(input) = input {
                if input == Input::Stopped {
                    (running, stopping) = (false, false);
                }
                if let Input::Proof { nonce, result: Ok(()) } = &input {
                    proved.extend(asked_of.get(nonce).cloned());
                }
                watch.handle(now, input);
            }
        }
        assert!(started > 3, "seed {seed}: {started}");
        // Quiescence: stopped, and then nothing more but what was written down to expire.
        watch.handle(now, Input::Stop);
        watch.handle(now, Input::Stopped);
        while let Some(at) = watch.poll_timeout() {
            watch.handle_timeout(at);
            assert!(!watch.urls().is_empty());
            if at > now + Duration::from_secs(100 * 3600) {
                break;
            }
        }
        while let Some(output) = watch.poll_output() {
            assert!(!matches!(output, Output::StartDriver | Output::Prove { .. }), "seed {seed}: {output:?}");
        }
        assert_eq!(watch.state(), State::Off);
    }
}

#[test]
fn the_same_seed_and_inputs_give_the_same_outputs() {
    let run = || {
        let mut scene = Scene::new(&settings());
        scene.up(URL);
        for _ in 0..50 {
            scene.pass(7);
            scene.report(down(Culprit::Network));
            scene.input(Input::Stopped);
            scene.pass(40);
            scene.report(Report::Up { public_url: None });
        }
        scene.outputs
    };
    assert_eq!(run(), run());
}

#[test]
fn each_change_of_state_is_an_event_with_the_time_in_the_state_before_and_the_cause() {
    let mut scene = Scene::new(&settings());
    scene.now += Duration::from_secs(2);
    scene.up(URL);
    scene.answer(0, Ok(()));
    scene.now += Duration::from_secs(70);
    scene.report(Report::Down(Down::new(Culprit::Network, "the line is cut", "look at it")));
    let told: Vec<&str> = scene
        .outputs
        .iter()
        .filter_map(|output| match output {
            Output::Event(event) if event.code == Code::TunnelState => Some(event.text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(
        told,
        [
            "connecting after 0 s off",
            "connected, not proved after 2 s connecting",
            "proved after 0 s connected, not proved",
            "down after 70 s proved: the line is cut; look at it"
        ]
    );
}
