use super::filter::Filter;
use super::*;

/// A wall clock that has been set.
const NOON: WallClock = WallClock(WallClock::RELEASED.0 + 43_200);

/// A notice, whatever the level of its code is.
fn event(code: &str, subject: &str, text: &str) -> Event {
    of_level(Level::Notice, code, subject, text)
}

fn of_level(level: Level, code: &str, subject: &str, text: &str) -> Event {
    Event { level, code: Code::from_word(code).unwrap(), subject: subject.to_owned(), text: text.to_owned() }
}

fn empty() -> History {
    History::load(b"", Instant::ZERO).0
}

/// The history as the next run finds it.
fn again(history: &mut History, now: Instant, wall: WallClock) -> History {
    let (next, broken) = History::load(history.lines(now, wall).as_bytes(), Instant::ZERO);
    assert_eq!(broken, 0);
    next
}

fn texts(history: &History) -> Vec<&str> {
    history.entries().map(|entry| entry.text.as_str()).collect()
}

#[test]
fn notices_and_worse_are_kept_and_of_the_rest_the_ends_of_calls_and_the_states_of_the_tunnel() {
    let mut history = empty();
    let told = [
        (Level::Error, "store.failed"),
        (Level::Warning, "trunk.lost"),
        (Level::Notice, "tunnel.proved"),
        (Level::Info, "call.ended"),
        (Level::Debug, "tunnel.state"),
        (Level::Info, "call.begun"),
        (Level::Debug, "sip.bad-message"),
    ];
    for (level, code) in told {
        history.record(Instant::ZERO, NOON, &of_level(level, code, "x", "y"));
    }
    let kept: Vec<_> = history.entries().map(|entry| entry.code.word()).collect();
    assert_eq!(kept, ["store.failed", "trunk.lost", "tunnel.proved", "call.ended", "tunnel.state"]);
}

#[test]
fn a_line_of_the_file_is_json_with_the_time_in_utc() {
    let mut history = empty();
    let text = "5 \"bad\"\r\nlines\u{202e}";
    history.record(Instant::from_secs(2), WallClock(1_793_534_400), &event("call.ended", "call 7", text));
    assert_eq!(
        history.lines(Instant::ZERO, NOON),
        "{\"run\":1,\"up\":2000,\"at\":\"2026-11-01T12:00:00Z\",\"level\":\"notice\",\"code\":\"call.ended\",\
         \"subject\":\"call 7\",\"text\":\"5 \\\"bad\\\"\\\\r\\\\nlines\\\\u{202e}\"}\n"
    );
}

#[test]
fn what_was_written_is_read_again_and_the_next_run_has_the_next_number() {
    let mut history = empty();
    history.record(Instant::from_secs(1), NOON, &event("tunnel.proved", "ssh", "one"));
    let mut next = again(&mut history, Instant::from_secs(1), NOON);
    next.record(Instant::from_secs(3), NOON, &event("tunnel.down", "ssh", "two"));
    let order: Vec<_> = next.entries().map(|entry| (entry.run, entry.up, entry.text.as_str())).collect();
    assert_eq!(order, [(1, 1000, "one"), (2, 3000, "two")]);
}

#[test]
fn a_code_of_another_version_stays_as_it_is_and_is_found_by_its_word() {
    let line = "{\"run\":1,\"up\":5,\"at\":null,\"level\":\"notice\",\"code\":\"tunnel.former\",\
                \"subject\":\"ssh\",\"text\":\"y\"}\n";
    let (mut history, broken) = History::load(line.as_bytes(), Instant::ZERO);
    assert_eq!((history.lines(Instant::ZERO, NOON).as_str(), broken), (line, 0));
    let entries: Vec<Entry> = history.entries().cloned().collect();
    assert_eq!(entries[0].code, KeptCode::Other("tunnel.former".to_owned()));
    for code in ["tunnel", "tunnel.former"] {
        let filter = Filter { code: Some(code.to_owned()), ..Filter::default() };
        assert_eq!(filter.of(entries.clone()).len(), 1, "{code}");
    }
    let filter = Filter { code: Some("tunnel.down".to_owned()), ..Filter::default() };
    assert_eq!(filter.of(entries), []);
}

#[test]
fn a_file_cut_at_any_byte_loses_its_torn_line_alone() {
    let mut history = empty();
    for text in ["one", "two", "three"] {
        history.record(Instant::ZERO, NOON, &event("store.saved", "x", text));
    }
    let file = history.lines(Instant::ZERO, NOON).into_bytes();
    for end in 0..file.len() {
        let whole = file[..end].iter().filter(|byte| **byte == b'\n').count();
        let (loaded, broken) = History::load(&file[..end], Instant::ZERO);
        let is_torn = end > 0 && file[end - 1] != b'\n';
        // A line that lacks only its end is whole.
        let complete = usize::from(is_torn && file[end] == b'\n');
        assert_eq!(loaded.entries().count(), whole + complete, "{end}");
        assert_eq!(broken, usize::from(is_torn) - complete, "{end}");
    }
}

#[test]
fn a_file_of_garbage_is_an_empty_history_that_says_how_much_was_lost() {
    let garbage = "{}\nnull\n\u{fffd}\n{\"run\":1}\n\n[1,2\n{\"run\":1,\"up\":1,\"at\":\"99999999999-01-01T00:00:00Z\",\
                   \"level\":\"notice\",\"code\":\"a\",\"subject\":\"\",\"text\":\"\"}\n";
    let (history, broken) = History::load(garbage.as_bytes(), Instant::ZERO);
    assert_eq!((history.entries().count(), broken), (0, 6));
    let (history, broken) = History::load(&[b'x'; 3 * MAX_FILE], Instant::ZERO);
    assert_eq!((history.entries().count(), broken), (0, 1));
}

#[test]
fn order_stays_when_the_clock_jumps_and_before_it_was_set_there_is_no_time() {
    let mut history = empty();
    let ticks = [(1, 12, "a"), (2, NOON.0 + 500, "b"), (3, NOON.0, "c"), (4, NOON.0 + 900, "d")];
    for (up, wall, text) in ticks {
        history.record(Instant::from_secs(up), WallClock(wall), &event("store.saved", "x", text));
    }
    assert_eq!(texts(&history), ["a", "b", "c", "d"]);
    let mut never_set = empty();
    never_set.record(Instant::from_secs(1), WallClock(12), &event("store.saved", "x", "a"));
    let kept = again(&mut never_set, Instant::from_secs(9), WallClock(20));
    assert_eq!(kept.entries().next().unwrap().at, None);
}

#[test]
fn once_the_clock_is_set_the_time_of_what_came_before_in_this_run_is_known() {
    let mut first = empty();
    first.record(Instant::from_secs(5), WallClock(5), &event("store.saved", "x", "of a run without a clock"));
    let mut history = again(&mut first, Instant::from_secs(5), WallClock(5));
    history.record(Instant::from_secs(10), WallClock(10), &event("store.saved", "x", "before"));
    history.record(Instant::from_secs(40), NOON, &event("store.saved", "x", "after"));
    let times: Vec<_> = history.entries().map(|entry| entry.at).collect();
    assert_eq!(times, [None, Some(WallClock(NOON.0 - 30)), Some(NOON)]);
}

#[test]
fn who_fills_the_ring_pushes_out_its_own_and_the_bounds_hold() {
    let mut history = empty();
    history.record(Instant::ZERO, NOON, &event("config.reload", "x", "kept"));
    for i in 0..5 * MAX_ENTRIES {
        let text = format!("{i} {}", "y".repeat(i % 600));
        history.record(Instant::ZERO, NOON, &event("handset.wrong-password", "\u{1}", &text));
        if i % 10 == 0 {
            history.record(Instant::ZERO, NOON, &event("tunnel.down", "ssh", &text));
        }
    }
    assert_eq!(texts(&history)[0], "kept");
    assert!(history.entries.len() <= MAX_ENTRIES && history.bytes <= MAX_BYTES, "{}", history.bytes);
    assert_eq!(history.by_code.values().sum::<usize>(), history.entries.len());
    assert_eq!(history.entries.iter().map(Entry::weight).sum::<usize>(), history.bytes);
    let tunnel = history.by_code[&KeptCode::Known(Code::TunnelDown)];
    assert!(tunnel >= history.entries.len() / 3, "{tunnel} of {}", history.entries.len());
    assert!(history.entries().all(|entry| entry.text.len() <= MAX_TEXT));
    let size = history.lines(Instant::ZERO, NOON).len();
    assert!(size < MAX_BYTES + MAX_BYTES / 8, "{size}");
}

#[test]
fn the_file_is_written_a_dozen_times_a_day_at_most_and_not_at_all_when_nothing_happened() {
    let mut history = empty();
    assert_eq!(history.save_at(), None);
    let day = 24 * 3600;
    let mut writes = Vec::new();
    for second in (0..day).step_by(10) {
        let now = Instant::from_secs(second);
        if history.save_at().is_some_and(|at| at <= now) {
            history.set_saved(now);
            writes.push(second);
        }
        history.record(now, NOON, &event("tunnel.down", "ssh", "flaps"));
    }
    assert!(writes.len() <= 12 && writes.len() >= 10, "{writes:?}");
    let mut quiet = empty();
    quiet.record(Instant::from_secs(3 * 3600), NOON, &event("store.saved", "x", "y"));
    // Long after the last write, an event is in the file a minute later.
    assert_eq!(quiet.save_at(), Some(Instant::from_secs(3 * 3600 + 60)));
}

fn entries() -> Vec<Entry> {
    let mut history = empty();
    history.record(Instant::from_secs(1), WallClock(0), &event("tunnel.proved", "https://a.example.com", "up"));
    let mut history = again(&mut history, Instant::from_secs(1), WallClock(0));
    let calls = [
        ("call.ended", "call 7", "outbound call from 101 to +15035551212, answered, 12 s: a party hung up"),
        ("call.ended", "call 8", "local call from 12 to 102, not answered, 0 s: the caller gave up"),
        ("handset.lost", "101", "no REGISTER any more"),
        ("tunnel.down", "ssh", "sshd refuses; tried again in 101 s"),
    ];
    for (i, (code, subject, text)) in calls.into_iter().enumerate() {
        history.record(Instant::from_secs(2), WallClock(NOON.0 + i as u64 * 60), &event(code, subject, text));
    }
    history.entries().cloned().collect()
}

#[test]
fn a_word_finds_codes_extensions_and_numbers_and_no_seconds() {
    let found = |word: &str| -> Vec<String> {
        let filter = Filter { word: Some(word.to_owned()), ..Filter::default() };
        filter.of(entries()).into_iter().map(|entry| format!("{} {}", entry.code, entry.subject)).collect()
    };
    assert_eq!(found("tunnel"), ["tunnel.proved https://a.example.com", "tunnel.down ssh"]);
    assert_eq!(found("101"), ["call.ended call 7", "handset.lost 101"]);
    assert_eq!(found("12"), ["call.ended call 8"]);
    assert_eq!(found("+15035551212"), ["call.ended call 7"]);
    assert_eq!(found("5035551212"), Vec::<String>::new());
    assert_eq!(found("tun"), Vec::<String>::new());
}

#[test]
fn a_time_leaves_out_what_is_older_and_keeps_what_may_be_young() {
    let since = |since: u64| {
        let filter = Filter { since: Some(WallClock(since)), ..Filter::default() };
        filter.of(entries()).len()
    };
    assert_eq!(since(NOON.0 + 120), 2);
    // The entry without a time came before one at noon, and may be as young.
    assert_eq!(since(NOON.0), 5);
    assert_eq!(since(NOON.0 + 1), 3);
    let code = Filter { code: Some("call".to_owned()), since: Some(WallClock(NOON.0 + 60)), ..Filter::default() };
    assert_eq!(code.of(entries()).len(), 1);
}
