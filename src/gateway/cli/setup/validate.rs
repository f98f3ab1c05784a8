//! What is wrong with answers that were given by flags and files. Pure.

use super::answers::{Answers, Part};
use super::question::{address_line, area_code, domain, extension_name};
use gateway_core::config::{MAX_ENVIRONMENTS, rules};

/// Every answer that was given by a flag or a file and is wrong, with its key and the way out.
pub(super) fn mistakes(answers: &mut Answers) -> Vec<String> {
    let mut mistakes = Vec::new();
    let mut check = |key: String, value: &mut String, rule: &dyn Fn(&str) -> Result<String, String>| match rule(value) {
        Ok(checked) => *value = checked,
        Err(wrong) => mistakes.push(format!("{key} {value:?} {wrong}")),
    };
    let unchanged = answers.clone();
    for (key, value, rule) in [
        ("account_sid", &mut answers.account_sid, &rules::account_sid as &dyn Fn(&str) -> _),
        ("site", &mut answers.site, &rules::site_name),
        ("buy_area_code", &mut answers.buy_area_code, &area_code),
    ] {
        if let Some(value) = value {
            check(key.to_owned(), value, rule);
        }
    }
    for number in answers.numbers.iter_mut().flatten().chain(&mut answers.buy) {
        check("number".to_owned(), number, &rules::e164);
    }
    for name in answers.environments.iter_mut().flatten() {
        check("environment".to_owned(), name, &rules::environment);
    }
    for (name, of) in &mut answers.of_environment {
        if let Some(value) = &mut of.domain {
            check(format!("domain of {name}"), value, &|text| domain(text, &unchanged));
        }
        if let Some(value) = of.public_url.as_mut().filter(|url| !url.is_empty()) {
            check(format!("public_url of {name}"), value, &|text| rules::public_url(text.trim_end_matches('/')));
        }
    }
    for extension in answers.extensions.iter_mut().flatten() {
        let name = extension.name.clone();
        check("extension".to_owned(), &mut extension.name, &extension_name);
        if let Some(value) = extension.display_name.as_mut().filter(|shown| !shown.is_empty()) {
            check(format!("display_name of extension {name}"), value, &rules::display);
        }
        if let Some(value) = &mut extension.caller_id {
            check(format!("caller_id of extension {name}"), value, &rules::e164);
        }
    }
    for part in Part::ALL {
        if let Some(value) = answers.address.part_mut(part) {
            check(format!("{} in [address]", part.key()), value, &|text| address_line(part, text));
        }
    }
    mistakes.extend(misfits(answers));
    mistakes
}

/// Answers that do not go together.
fn misfits(answers: &Answers) -> Vec<String> {
    let mut misfits = Vec::new();
    let environments = answers.environment_names();
    if environments.is_empty() || environments.len() > MAX_ENVIRONMENTS {
        misfits.push(format!("environments has {} names; write 1 to {MAX_ENVIRONMENTS}", environments.len()));
    }
    for (at, name) in environments.iter().enumerate() {
        if environments[..at].contains(name) {
            misfits.push(format!("environment {name} is there twice; write it once"));
        }
    }
    if answers.environments.is_some() {
        for name in answers.of_environment.keys().filter(|name| !environments.contains(name)) {
            misfits.push(format!(
                "there is something about environment {name}, and no such environment; add it to environments"
            ));
        }
    }
    for number in answers.buy.iter().filter(|number| !answers.numbers.iter().flatten().any(|known| known == *number)) {
        misfits.push(format!("{number} is to be bought and is not in numbers; add it"));
    }
    if let Some(extensions) = &answers.extensions {
        if extensions.is_empty() {
            misfits.push("there is no extension; name one at least".to_owned());
        }
        for (at, extension) in extensions.iter().enumerate() {
            if extensions[..at].iter().any(|known| known.name == extension.name) {
                misfits.push(format!("extension {} is there twice; write it once", extension.name));
            }
            if let (Some(shown), Some(numbers)) = (&extension.caller_id, &answers.numbers)
                && !numbers.contains(shown)
                && answers.buy_area_code.is_none()
            {
                misfits.push(format!("extension {} shows {shown}, which is not in numbers; add it", extension.name));
            }
        }
    }
    if answers.numbers.as_deref() == Some(&[])
        && answers.buy_area_code.is_none()
        && answers.wants_emergency() == Some(true)
    {
        misfits.push(
            "emergency calls need a number of the account to come from; name one, or say --no-emergency".to_owned(),
        );
    }
    misfits
}
