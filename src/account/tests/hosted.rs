//! The hosted Service: nothing is uploaded or built twice.

use super::*;

fn writes(fake: &mut Fake, work: impl FnOnce(&mut Fake)) -> usize {
    let before = fake.writes;
    work(fake);
    fake.writes - before
}

#[test]
fn files_that_did_not_change_are_not_uploaded_again_and_old_builds_are_used_again() {
    let mut fake = fresh();
    fake.slowness = 2;
    let mut the_box = Box::new(office(&[], &[]));
    the_box.config.hosted.assets = Some("sounds-1".into());
    the_box.set_up(&mut fake).unwrap();
    the_box.config.hosted.assets = Some("sounds-2".into());
    assert_eq!(
        the_box.sentences(&mut fake)[..4],
        [
            "create asset /more.txt in hosted Service gateway-office",
            "upload /more.txt (4 bytes)",
            "upload /sounds/busy.mp3 (18 bytes)",
            "build hosted Service gateway-office with 3 files",
        ]
    );
    let changed = writes(&mut fake, |fake| drop(the_box.set_up(fake).unwrap()));
    assert_eq!(changed, 5);
    the_box.assert_nothing_to_do(&mut fake);
    the_box.config.hosted.assets = Some("sounds-1".into());
    let sentences = the_box.sentences(&mut fake);
    assert!(sentences.last().unwrap().starts_with("delete asset /more.txt in hosted Service gateway-office"));
    assert!(!sentences.iter().any(|line| line.starts_with("build")), "{sentences:?}");
    the_box.set_up(&mut fake).unwrap();
    the_box.assert_nothing_to_do(&mut fake);
}

#[test]
fn a_service_that_somebody_deleted_is_made_anew_with_all_that_is_in_it() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&[], &[]).with_environment("stage"));
    the_box.config.hosted.assets = Some("sounds-1".into());
    the_box.set_up(&mut fake).unwrap();
    let expected = contents(&fake);
    fake.collections.retain(|path, _| !path.starts_with("Services"));
    the_box.set_up(&mut fake).unwrap();
    assert_eq!(contents(&fake), expected);
    the_box.assert_nothing_to_do(&mut fake);
}

#[test]
fn a_service_that_is_not_wanted_any_more_goes_when_no_environment_is_left_in_it() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&[], &[]).with_environment("stage"));
    the_box.set_up(&mut fake).unwrap();
    let before = contents(&fake);
    the_box.config.hosted.assets = Some("sounds-1".into());
    the_box.set_up(&mut fake).unwrap();
    the_box.config.hosted.assets = None;
    the_box.apply(&mut fake, &Scope::Environment("prod".to_owned())).unwrap();
    assert_eq!(fake.collections["Services"].len(), 1);
    the_box.set_up(&mut fake).unwrap();
    assert_eq!(contents(&fake), before);
    assert!(the_box.owned.uploads.is_empty() && the_box.owned.builds.is_empty());
}
