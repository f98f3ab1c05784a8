use super::*;

#[test]
fn the_table_is_sorted_by_words_that_are_each_there_once() {
    assert!(Code::ALL.is_sorted_by(|one, next| one < next && one.word() < next.word()));
}

#[test]
fn a_word_is_read_as_its_code_and_another_is_none() {
    for code in Code::ALL {
        assert_eq!(Code::from_word(code.word()), Some(*code));
    }
    for other in ["", "tunnel", "tunnel.", "Tunnel.Down", "tunnel.down "] {
        assert_eq!(Code::from_word(other), None, "{other:?}");
    }
}

#[test]
fn json_holds_the_word() {
    assert_eq!(serde_json::to_string(&Code::TunnelDown).unwrap(), "\"tunnel.down\"");
    assert_eq!(serde_json::from_str::<Code>("\"tunnel.down\"").unwrap(), Code::TunnelDown);
    assert!(serde_json::from_str::<Code>("\"tunnel.former\"").is_err());
}

#[test]
fn a_code_with_several_levels_has_each_once_and_a_fault_has_a_next_step_and_a_culprit() {
    for code in Code::ALL {
        let mut levels = vec![code.level()];
        levels.extend(code.other_levels());
        levels.sort_unstable();
        assert!(levels.is_sorted_by(|one, next| one < next), "{code}");
        if levels[0] == Level::Error {
            assert!(code.next_step().is_some() && code.culprit() != Culprit::Nobody, "{code}");
        }
    }
}

#[test]
fn an_event_has_the_level_of_its_code_or_another_of_its_own() {
    let event = Event::new(Code::CallEnded, "call 7", "why");
    assert_eq!((event.level, event.to_string().as_str()), (Level::Info, "call.ended call 7: why"));
    assert_eq!(event.at(Level::Error).level, Level::Error);
}
