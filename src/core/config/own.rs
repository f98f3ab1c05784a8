//! The box's own user at the SIP domain: what carries calls from outside to your box, and emergency calls of phones that
//! are no extension.

use super::Extension;

/// Twilio's limit (TWILIO.md "Credentials").
const MAX_USER: usize = 32;

/// `box-SITE`, cut to the 32 characters that Twilio takes. It is unique in its SIP domain, and each environment has one
/// of its own. Where an extension has that name, the end gives way to `-2`, `-3` and so on.
pub(super) fn user(site: &str, extensions: &[Extension]) -> String {
    let mut user = cut(site, "");
    let mut number = 2;
    while extensions.iter().any(|extension| extension.name == user) {
        user = cut(site, &format!("-{number}"));
        number += 1;
    }
    user
}

fn cut(site: &str, end: &str) -> String {
    let name: String = "box-".chars().chain(site.chars()).take(MAX_USER - end.len()).collect();
    name + end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::office::OfficeFile;

    fn extension(name: &str) -> Extension {
        OfficeFile::new().extension(name).config().extensions.remove(0)
    }

    #[test]
    fn the_box_is_called_as_its_site_within_what_twilio_takes() {
        assert_eq!(user("office", &[extension("101")]), "box-office");
        let long = "a-site-with-a-name-of-32-letters";
        assert_eq!(user(long, &[]), "box-a-site-with-a-name-of-32-let");
        assert_eq!(user(long, &[]).len(), MAX_USER);
    }

    #[test]
    fn an_extension_of_that_name_keeps_it() {
        let named = ["box-office", "box-office-2"].map(extension);
        assert_eq!(user("office", &named[..1]), "box-office-2");
        assert_eq!(user("office", &named), "box-office-3");
        let long = "a-site-with-a-name-of-32-letters";
        assert_eq!(user(long, &[extension(&user(long, &[]))]), "box-a-site-with-a-name-of-32-l-2");
    }
}
