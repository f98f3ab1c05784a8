use super::super::answers::{Answers, EXAMPLE};
use super::super::inventory::{AccountDomain, AccountNumber, Inventory};
use super::super::validate::mistakes;
use super::prompt::site_of;
use super::*;
use gateway_account::account_status::{AccountKind, AccountStatus};

fn inventory(numbers: &[&str]) -> Inventory {
    Inventory {
        standing: AccountStatus {
            status: "active".to_owned(),
            kind: AccountKind::Full,
            friendly_name: "Test".to_owned(),
            balance: None,
        },
        numbers: numbers
            .iter()
            .map(|number| AccountNumber { number: (*number).to_owned(), ..AccountNumber::default() })
            .collect(),
        domains: Vec::new(),
    }
}

fn context(numbers: &[&str]) -> Context {
    Context {
        inventory: Some(inventory(numbers)),
        offers: Vec::new(),
        host_name: "Router.lan".to_owned(),
        suffix: "7f3k".to_owned(),
        has_cloudflared: false,
    }
}

/// Answers every question in turn; `reply` gives the text, or nothing for the default.
fn walk(context: &mut Context, reply: impl Fn(&Question) -> Option<&'static str>) -> (Answers, Vec<Question>) {
    let (mut answers, mut asked) = (Answers::default(), Vec::new());
    while let Some(question) = open(&answers, context).into_iter().next() {
        assert!(asked.len() < 100, "it does not end: {asked:?}");
        let prompt = question.prompt(&answers, context);
        let text = reply(&question).map(str::to_owned).or(prompt.default);
        let text = text.unwrap_or_else(|| panic!("{question:?} has no default"));
        question.put(&text, &mut answers, context).unwrap_or_else(|wrong| panic!("{question:?}: {text:?} {wrong}"));
        // What was kept is what a later run begins with.
        assert_eq!(Answers::read(&answers.write().unwrap()).unwrap(), answers);
        asked.push(question);
    }
    (answers, asked)
}

fn usual(question: &Question) -> Option<&'static str> {
    match question {
        Question::AccountSid => Some("AC00000000000000000000000000000000"),
        Question::PublicUrl(_) => Some("https://gateway.example.com/"),
        Question::Address(Part::Customer) => Some("Example Inc."),
        Question::Address(Part::Street) => Some("1 Main St"),
        Question::Address(Part::City) => Some("Portland"),
        Question::Address(Part::Region) => Some("OR"),
        Question::Address(Part::PostalCode) => Some("97201"),
        _ => None,
    }
}

#[test]
fn who_takes_what_is_proposed_is_asked_twenty_things_each_once() {
    let (answers, asked) = walk(&mut context(&["+15035550100"]), usual);
    for (at, question) in asked.iter().enumerate() {
        assert!(!asked[..at].contains(question), "{question:?} twice");
    }
    assert_eq!(asked.len(), 19);
    assert_eq!(answers.site.as_deref(), Some("router"));
    assert_eq!(answers.numbers.as_deref().unwrap(), ["+15035550100"]);
    assert_eq!(answers.of_environment["prod"].domain.as_deref(), Some("router-7f3k.sip.twilio.com"));
    assert_eq!(answers.of_environment["prod"].public_url.as_deref(), Some("https://gateway.example.com"));
    assert_eq!(answers.extensions.as_ref().unwrap().len(), 2);
    assert_eq!(answers.address.country.as_deref(), Some("US"));
    assert_eq!(mistakes(&mut answers.clone()), [""; 0]);
}

#[test]
fn where_cloudflared_is_two_times_enter_make_the_tunnel_and_nobody_asks_for_a_url() {
    let mut context = Context { has_cloudflared: true, ..context(&["+15035550100"]) };
    let (mut answers, asked) = walk(&mut context, usual);
    assert!(!asked.iter().any(|question| matches!(question, Question::PublicUrl(_) | Question::OwnUrl(_))));
    assert_eq!(answers.tunnel["command"].as_array().unwrap()[0].as_str(), Some("cloudflared"));
    assert_eq!(mistakes(&mut answers), [""; 0]);
}

#[test]
fn who_has_told_a_url_is_not_asked_for_a_way() {
    let mut answers = Answers::default();
    answers.environment("prod").public_url = Some("https://gateway.example.com".to_owned());
    assert!(!open(&answers, &Context::default()).contains(&Question::Reach));
}

#[test]
fn a_second_environment_has_a_domain_and_a_url_of_its_own() {
    let reply = |question: &Question| match question {
        Question::Environments => Some("yes"),
        Question::PublicUrl(name) if name == "stage" => Some("https://stage.example.com"),
        question => usual(question),
    };
    let (answers, _) = walk(&mut context(&[]), reply);
    assert_eq!(answers.environments.as_deref().unwrap(), ["prod", "stage"]);
    assert_eq!(answers.of_environment["stage"].domain.as_deref(), Some("router-stage-7f3k.sip.twilio.com"));
    assert_eq!(answers.of_environment["stage"].public_url.as_deref(), Some("https://stage.example.com"));
}

#[test]
fn without_a_number_nobody_asks_about_emergency_calls() {
    let (answers, asked) = walk(&mut context(&[]), usual);
    assert!(!asked.iter().any(|question| matches!(question, Question::Emergency | Question::Address(_))));
    assert_eq!(answers.numbers.as_deref(), Some(&[][..]));
}

#[test]
fn who_wants_no_emergency_calls_is_asked_for_no_address() {
    let no = |question: &Question| if *question == Question::Emergency { Some("n") } else { usual(question) };
    let (answers, asked) = walk(&mut context(&["+15035550100"]), no);
    assert!(!asked.iter().any(|question| matches!(question, Question::Address(_))));
    assert_eq!(answers.wants_emergency(), Some(false));
}

#[test]
fn with_several_numbers_each_extension_says_which_one_it_shows() {
    let reply = |question: &Question| match question {
        Question::CallerId(name) if name == "102" => Some("2"),
        question => usual(question),
    };
    let (answers, _) = walk(&mut context(&["+15035550100", "+15035550101"]), reply);
    let shown: Vec<_> = answers.extensions.unwrap().into_iter().map(|extension| extension.caller_id.unwrap()).collect();
    assert_eq!(shown, ["+15035550100", "+15035550101"]);
}

#[test]
fn a_number_is_bought_by_area_code_and_place_in_the_list() {
    let mut context = context(&["+15035550100"]);
    context.offers = vec!["+15035550198".to_owned(), "+15035550199".to_owned()];
    let reply = |question: &Question| match question {
        Question::Numbers => Some("all, buy 503"),
        Question::Offer => Some("2"),
        question => usual(question),
    };
    let (answers, asked) = walk(&mut context, reply);
    assert!(asked.contains(&Question::Offer));
    assert_eq!(answers.numbers.as_deref().unwrap(), ["+15035550100", "+15035550199"]);
    assert_eq!(answers.buy, ["+15035550199"]);
    let prompt = Question::Offer.prompt(&answers, &context);
    assert!(prompt.lines.iter().any(|line| line.contains("USD a month")), "the price is told: {prompt:?}");

    let none = |question: &Question| if *question == Question::Offer { Some("none") } else { reply(question) };
    let (answers, _) = walk(&mut context, none);
    assert_eq!((answers.numbers.unwrap().len(), answers.buy.len()), (1, 0));
}

#[test]
fn a_domain_of_the_account_is_taken_over_only_after_a_word() {
    let mut context = context(&[]);
    let domain = AccountDomain {
        name: "router-7f3k.sip.twilio.com".to_owned(),
        goes_to: Some("https://other.example/voice".to_owned()),
        is_ours: false,
    };
    context.inventory.as_mut().unwrap().domains.push(domain);
    let adopt = |question: &Question| match question {
        Question::AdoptDomain(_) => Some("y"),
        question => usual(question),
    };
    let (answers, asked) = walk(&mut context, adopt);
    assert!(asked.contains(&Question::AdoptDomain("prod".to_owned())));
    assert_eq!(answers.of_environment["prod"].adopt, Some(true));

    let mut answers = Answers::default();
    Question::Domain("prod".to_owned()).put("router-7f3k", &mut answers, &context).unwrap();
    let question = Question::AdoptDomain("prod".to_owned());
    assert!(question.prompt(&answers, &context).lines[0].contains("https://other.example/voice"));
    question.put("n", &mut answers, &context).unwrap();
    assert!(open(&answers, &context).contains(&Question::Domain("prod".to_owned())), "another name is asked for");

    context.inventory.as_mut().unwrap().domains[0].is_ours = true;
    let (_, asked) = walk(&mut context, usual);
    assert!(!asked.contains(&Question::AdoptDomain("prod".to_owned())), "what is ours needs no leave");
}

#[test]
fn wrong_answers_say_what_is_wrong_and_the_way_out() {
    let context = context(&["+15035550100"]);
    let prod = || "prod".to_owned();
    for (question, text, told) in [
        (Question::AccountSid, "SK00000000000000000000000000000000", "SID of an API key"),
        (Question::Site, "My Office", "write \"office\""),
        (Question::Numbers, "7", "is not E.164"),
        (Question::Numbers, "5035550100", "write \"+15035550100\""),
        (Question::Numbers, "+15035550177", "is not in the account"),
        (Question::Numbers, "buy", "three digits"),
        (Question::Domain(prod()), "office.example.com", "write NAME.sip.twilio.com"),
        (Question::Domain(prod()), "of fice", "is not a host name"),
        (Question::PublicUrl(prod()), "gateway.example.com", "is not an http(s) URL"),
        (Question::Environments, "maybe", "write y or n"),
        (Question::Extensions, "", "name one extension"),
        (Question::Extensions, "101 101", "is there twice"),
        (Question::Extensions, "911", "is an emergency number"),
        (Question::Emergency, "", "write y or n"),
        (Question::Address(Part::City), "", "an emergency service needs it"),
        (Question::Address(Part::Country), "USA", "two letters"),
        (Question::Protect, "none", "write signature or credentials"),
    ] {
        let mut answers = Answers::default();
        let wrong = question.put(text, &mut answers, &context).unwrap_err();
        assert!(wrong.contains(told), "{question:?} {text:?}: {wrong}");
        assert_eq!(answers, Answers::default(), "{question:?} {text:?} was written down");
    }
}

#[test]
fn one_small_number_is_a_count_of_extensions() {
    let mut answers = Answers::default();
    Question::Extensions.put("3", &mut answers, &Context::default()).unwrap();
    let names: Vec<_> = answers.extensions.unwrap().into_iter().map(|extension| extension.name).collect();
    assert_eq!(names, ["101", "102", "103"]);
}

#[test]
fn all_that_is_missing_is_told_at_once_with_flag_and_key() {
    let missing: Vec<String> = open(&Answers::default(), &Context::default())
        .into_iter()
        .filter(Question::is_required)
        .map(|question| question.missing())
        .collect();
    for said in [
        "--account-sid",
        "TWILIO_AUTH_TOKEN",
        "--site",
        "--number",
        "--domain",
        "--public-url",
        "--extension",
        "--no-emergency",
    ] {
        assert!(missing.iter().any(|line| line.contains(said)), "{said}: {missing:#?}");
    }
    assert!(missing.iter().all(|line| line.contains("answers file")), "{missing:#?}");
    let mut emergency = Answers { emergency: Some(true), ..Answers::default() };
    let missing: Vec<String> = open(&emergency, &Context::default()).iter().map(Question::missing).collect();
    assert!(missing.iter().any(|line| line.contains("--address-postal-code, or postal_code in [address]")));

    // What has a default that is right for most is not missing.
    emergency = Answers::read(EXAMPLE).unwrap();
    let context = Context { inventory: Some(inventory(&[])), ..Context::default() };
    for question in open(&emergency.clone(), &context) {
        assert!(!question.is_required(), "{question:?}");
        question.take_default(&mut emergency);
    }
    assert_eq!(open(&emergency, &context), []);
}

#[test]
fn mistakes_in_given_answers_name_the_key() {
    let mut answers = Answers::read(EXAMPLE).unwrap();
    assert_eq!(mistakes(&mut answers), [""; 0]);
    answers.site = Some("My Office".to_owned());
    answers.numbers = Some(vec!["5035551212".to_owned()]);
    answers.environments = Some(vec!["prod".to_owned(), "prod".to_owned(), "account".to_owned()]);
    answers.environment("dev").domain = Some("x".to_owned());
    answers.buy = vec!["+15035550199".to_owned()];
    answers.address.country = Some("Germany".to_owned());
    let told = mistakes(&mut answers).join("\n");
    for said in [
        "site \"My Office\" is not",
        "number \"5035551212\" is not E.164; write \"+15035551212\"",
        "environment prod is there twice",
        "environment \"account\"",
        "something about environment dev",
        "+15035550199 is to be bought and is not in numbers",
        "country in [address] \"Germany\"",
    ] {
        assert!(told.contains(said), "{said}: {told}");
    }
}

#[test]
fn the_name_of_the_machine_becomes_a_site_name() {
    for (host, site) in
        [("Router.lan", "router"), ("", "office"), ("localhost", "office"), ("a_b c!", "abc"), ("-x-", "x")]
    {
        assert_eq!(site_of(host), site);
        assert!(rules::site_name(&site_of(host)).is_ok());
    }
}
