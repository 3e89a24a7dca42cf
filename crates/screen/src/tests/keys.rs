//! The effect of keys on the state.

use super::*;

#[test]
fn the_order_follows_the_keys() {
    let mut state = state_of(30);
    frame(&mut state, (80, 24), Theme::Dark);
    assert_eq!(state.sort, Some(("rate.bytes_sent_per_s".to_owned(), true)));
    let first = |state: &State| state.listed().next();
    let (most, column) = (first(&state), state.shot().column("rate.bytes_sent_per_s").expect("kept"));
    let number = |state: &State, row: Option<usize>| state.shot().number(row.expect("a row"), column);
    let is_gone = |row: &usize| matches!(state_of(30).shot().entries()[*row].mark, Mark::Gone(_));
    assert!(
        state
            .listed()
            .filter(|row| !is_gone(row))
            .all(|row| number(&state, Some(row)) <= number(&state, most))
    );
    // Ended sockets come after the others, in the same order.
    let (listed, count): (Vec<usize>, usize) =
        (state.listed().collect(), state.listed().filter(is_gone).count());
    assert!(count > 0 && listed[listed.len() - count..].iter().all(is_gone));
    press(&mut state, "r");
    let least = first(&state);
    assert!(
        state
            .listed()
            .filter(|row| !is_gone(row))
            .all(|row| number(&state, Some(row)) >= number(&state, least))
    );
    press(&mut state, ">");
    assert_eq!(state.sort, Some(("rate.bytes_received_per_s".to_owned(), true)));
    assert_eq!(press(&mut state, "2"), [Action::Read]);
    assert_eq!(state.sort, Some(("tcp.rtt_us".to_owned(), true)));
    for _ in 0..20 {
        press(&mut state, ">");
        assert!(state.columns().contains(&state.sort.as_ref().expect("an order").0));
    }
}

#[test]
fn many_sockets_are_put_in_order_elsewhere() {
    let mut state = state_of(30_000);
    frame(&mut state, (80, 24), Theme::Dark);
    let before: Vec<usize> = state.listed().collect();
    press(&mut state, "r");
    assert!(state.listed().eq(before.iter().copied()), "what was there stays");
    let job = state.take_job().expect("there is something to do");
    // Another key while a job runs: only one job runs at a time, and the latest wish follows.
    press(&mut state, "r");
    assert!(state.take_job().is_none());
    state.ordered(job.run());
    assert!(!state.listed().eq(before.iter().copied()));
    settle(&mut state);
    assert!(state.listed().eq(before.iter().copied()));
    // A look is not shown until it is sorted.
    let (shot, _) = look(&state, 9, made(25_000), WHO);
    state.look(Arc::new(shot), None);
    assert_eq!(state.shot().head.number, 1);
    frame(&mut state, (80, 24), Theme::Dark);
    settle(&mut state);
    assert_eq!(state.shot().head.number, 9);
}

#[test]
fn the_cursor_stays_on_its_socket() {
    let mut state = state_of(30);
    frame(&mut state, (80, 24), Theme::Dark);
    press(&mut state, "vvvvv");
    let id = state.chosen().expect("a socket").id;
    let turned = made(30).map(|made| Made { sent: 10_000_000 - made.sent, ..made });
    let (shot, _) = look(&state, 2, turned, WHO);
    state.look(Arc::new(shot), None);
    assert_eq!(state.chosen().expect("a socket").id, id);
    press(&mut state, "r<");
    assert_eq!((state.cursor, state.scroll), (0, 0), "a new order is read from its top");
    for (key, want) in
        [(Key::End, state.lines.len() - 1), (Key::Home, 0), (Key::PageDown, state.room), (Key::PageUp, 0)]
    {
        state.press(key);
        assert_eq!(state.cursor, want, "{key:?}");
    }
}

#[test]
fn what_ended_stays_some_looks() {
    let mut state = state_of(30);
    let gone = |state: &State| {
        state.shot().entries().iter().filter(|entry| matches!(entry.mark, Mark::Gone(_))).count()
    };
    assert_eq!(gone(&state), 6, "those of two samples");
    let mut had = Vec::new();
    for number in 2..8 {
        let rest = made(30).filter(|made| !matches!(made.mark, Mark::Gone(_)));
        let (shot, _) = look(&state, number, rest, WHO);
        state.look(Arc::new(shot), None);
        had.push(gone(&state));
    }
    assert_eq!(had, [6, 6, 6, 3, 0, 0]);
}

#[test]
fn groups_add_up_to_the_rows() {
    let mut state = state_of(30);
    frame(&mut state, (80, 24), Theme::Dark);
    for (keys, least) in [("g", 3), ("g", 2), ("g", 2)] {
        assert_eq!(press(&mut state, keys), [Action::Read]);
        let shot = Arc::clone(state.shot());
        let column = shot.column("rate.bytes_sent_per_s").expect("kept");
        // Sockets that ended some looks ago are listed, but their changes are not counted
        // again.
        let all = shot.entries().len();
        assert!(shot.entries().iter().any(|entry| matches!(entry.mark, Mark::Gone(1..))));
        let sum: f64 = state.groups.iter().filter_map(|group| group.numbers[column]).sum();
        assert!((sum - shot.sum(column).expect("it adds up")).abs() < 1e-3);
        assert_eq!(state.groups.iter().map(|group| group.count).sum::<usize>(), all);
        assert!(state.groups.len() >= least);
    }
    press(&mut state, "g");
    assert_eq!(state.grouped, None);
    press(&mut state, "G");
    assert_eq!(state.grouped, Some(2));
    let folded = state.lines.len();
    press(&mut state, "\n");
    assert!(state.lines.len() > folded);
    press(&mut state, "\n");
    assert_eq!(state.lines.len(), folded);
}

#[test]
fn groups_are_ordered_by_how_many_there_are() {
    let mut state = state_of(30);
    frame(&mut state, (80, 24), Theme::Dark);
    press(&mut state, "g");
    for (down, first) in [(true, 0), (false, 1)] {
        state.sort = Some(("count".to_owned(), down));
        state.arrange();
        let counts: Vec<usize> = state.groups.iter().map(|group| group.count).collect();
        let mut want = counts.clone();
        want.sort_unstable();
        if first == 0 {
            want.reverse();
        }
        assert_eq!(counts, want);
        assert!(!state.wanted().contains(&"count".to_owned()));
        let text = letters(&frame(&mut state, (80, 24), Theme::Dark));
        assert!(text.contains("sort count"), "{text}");
    }
}

#[test]
fn what_is_out_of_date_comes_after_the_rest() {
    let mut view = view();
    view.presets[1].last = Some(("tcp.rtt_us".to_owned(), 21_000));
    let mut state = State::new(view);
    let (shot, _) = look(&state, 0, made(30), WHO);
    state.look(Arc::new(shot), None);
    press(&mut state, "2");
    let column = state.shot().column("tcp.rtt_us").expect("kept");
    let trip = |row| state.shot().number(row, column).expect("measured");
    let there = |row: &usize| state.shot().entries()[*row].mark != Mark::Gone(0);
    let trips: Vec<f64> = state.listed().filter(there).map(trip).collect();
    let first_late = trips.iter().position(|trip| *trip > 21_000.0).expect("there are such");
    assert!(first_late > 0 && trips[first_late..].iter().all(|trip| *trip > 21_000.0), "{trips:?}");
    assert!(trips[0] > trips[first_late - 1], "{trips:?}");
    // In an order that the user chose, no rows come last.
    press(&mut state, "r");
    press(&mut state, "r");
    assert_eq!(state.sort, Some(("tcp.rtt_us".to_owned(), true)));
}

#[test]
fn a_larger_frame_shows_what_a_small_one_had_no_room_for() {
    let mut state = state_of(40);
    frame(&mut state, (10, 3), Theme::Dark);
    press(&mut state, "vvv");
    frame(&mut state, (10, 3), Theme::Dark);
    assert_eq!(state.scroll, 3);
    frame(&mut state, (200, 60), Theme::Dark);
    assert_eq!((state.scroll, state.cursor), (0, 3));
}

#[test]
fn the_ending_has_room_before_anything_else() {
    let mut view = view();
    view.presets.push(preset(
        "endings",
        "age_ms,tcp.bytes_sent,tcp.bytes_received,tcp.total_retrans",
        "socket.ended",
    ));
    let mut state = State::new(view);
    press(&mut state, "4");
    let (shot, _) = look(&state, 0, made(30), WHO);
    state.look(Arc::new(shot), None);
    for (size, said) in [((80, 24), &["ended", "remote", "processes"][..]), ((40, 10), &["ended"])] {
        let text = letters(&frame(&mut state, size, Theme::Dark));
        let heads = text.lines().nth(2).unwrap_or_default();
        assert!(said.iter().all(|said| heads.contains(said)), "{heads}");
    }
}

#[test]
fn a_filter_that_is_refused_leaves_the_old_one() {
    let mut state = state_of(30);
    assert_eq!(press(&mut state, "/sport = :1\n"), [Action::Filter("sport = :1".to_owned())]);
    state.filter_taken("sport = :1");
    assert_eq!(press(&mut state, "/x\n"), [Action::Filter("sport = :1x".to_owned())]);
    state.filter_refused("no");
    assert_eq!(state.filter, "sport = :1");
    assert!(press(&mut state, "\x1b").is_empty());
    assert_eq!((&state.mode, state.filter.as_str()), (&crate::state::Mode::List, "sport = :1"));
}

#[test]
fn only_the_socket_in_question_is_killed() {
    let mut state = state_of(30);
    frame(&mut state, (80, 24), Theme::Dark);
    press(&mut state, "vv");
    let entry = state.chosen().expect("a socket");
    assert!(press(&mut state, "k").is_empty());
    // Changes in the meantime do not affect which socket the question is about.
    let (shot, _) = look(&state, 2, made(30).map(|made| Made { sent: 1, ..made }), WHO);
    state.look(Arc::new(shot), None);
    assert_eq!(press(&mut state, "y"), [Action::Kill(Table::Tcp, entry.id)]);
    for other in ["kn", "k\n", "k\x1b", "kk", "kq"] {
        assert!(press(&mut state, other).is_empty(), "{other:?}");
    }
}

#[test]
fn steps_back_show_what_was() {
    let mut state = state_of(30);
    for number in 2..6 {
        let (shot, _) = look(&state, number, made(30), WHO);
        state.look(Arc::new(shot), None);
    }
    press(&mut state, "LL");
    assert_eq!(state.shot().head.number, 3);
    let (shot, _) = look(&state, 6, made(30), WHO);
    state.look(Arc::new(shot), None);
    assert_eq!(state.shot().head.number, 3, "looks wait unseen");
    press(&mut state, "R");
    assert_eq!(state.shot().head.number, 4);
    press(&mut state, " ");
    assert_eq!(state.shot().head.number, 6);
}

#[test]
fn the_past_stays_within_its_budget() {
    let mut state = State::new(view());
    state.most_bytes = 1 << 20;
    for number in 0..40 {
        let (shot, _) = look(&state, number, made(300), WHO);
        state.look(Arc::new(shot), None);
        assert!(state.past_bytes() <= 1 << 20);
        assert_eq!(state.past_bytes(), state.past.iter().map(|shot| shot.bytes()).sum::<usize>());
    }
    assert!(state.past.len() > 3);
}

#[test]
fn a_row_is_copied_as_a_filter_of_ss() {
    let mut state = state_of(30);
    frame(&mut state, (80, 24), Theme::Dark);
    let mut v4 = 0;
    for _ in 0..state.lines.len() {
        let [Action::Copy(filter)] = &press(&mut state, "y")[..] else { panic!("it is copied") };
        v4 += u32::from(filter.starts_with("src 192.0.2.1:443 and dst 198.51.100."));
        assert!(filter.contains(" and dst "), "{filter}");
        press(&mut state, "v");
    }
    assert!(v4 > 10);
}

/// Random keys, sizes and looks: nothing panics, and no unsafe character is drawn.  A test run
/// covers a few thousand; `SOCKDIAG_RANDOM_SECONDS=600` sets the duration.
#[test]
fn random_keys_do_no_harm() {
    let seconds = std::env::var("SOCKDIAG_RANDOM_SECONDS").ok().and_then(|text| text.parse().ok());
    let end = std::time::Instant::now() + std::time::Duration::from_secs(seconds.unwrap_or(2));
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |most: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % most
    };
    let keys = [Key::Up, Key::Down, Key::Left, Key::Right, Key::PageUp, Key::PageDown, Key::Home, Key::End];
    let more = [
        Key::Enter,
        Key::Escape,
        Key::Tab,
        Key::Backspace,
        Key::Delete,
        Key::Control('u'),
        Key::Control('l'),
        Key::Click(7, 5),
        Key::Click(200, 0),
        Key::WheelUp,
        Key::WheelDown,
    ];
    let letters = "/<>robcYr123456789gG \u{0}nyskh?qé日x(=:\u{202e}";
    let mut keys: Vec<Key> = keys.into_iter().chain(more).collect();
    keys.extend(letters.chars().map(Key::Char));
    let mut state = state_of(30);
    let (mut number, mut size, mut pressed) = (2, (80, 24), 0);
    while std::time::Instant::now() < end {
        let key = keys[next(keys.len() as u64) as usize];
        match state.press(key) {
            Some(Action::Filter(text)) if next(2) == 0 => state.filter_taken(&text),
            Some(Action::Filter(text)) => state.filter_refused(&text),
            _ => {}
        }
        if next(5) == 0 {
            let count = [0, 1, 7, 60, 300][next(5) as usize];
            let from = next(50) as u32;
            let some = made(count).map(|made| Made { number: made.number + from, ..made });
            let (shot, detail) = look(&state, number, some, HOSTILE);
            state.look(Arc::new(shot), detail);
            number += 1;
        }
        if next(20) == 0 {
            size = (next(120) as u16, next(50) as u16);
        }
        let buffer = frame(&mut state, size, Theme::Dark);
        let odd =
            buffer.content.iter().find(|cell| cell.symbol().chars().any(sockdiag_facts::escape::is_unsafe));
        assert!(odd.is_none(), "{odd:?} after {pressed} keys");
        pressed += 1;
    }
    assert!(pressed > 50, "{pressed}");
}

#[test]
fn any_field_can_be_a_column_an_order_a_group() {
    let mut state = state_of(30);
    frame(&mut state, (80, 24), Theme::Dark);
    let before = state.columns().to_vec();
    // The menu stays open; typed text is searched in names and descriptions.
    assert_eq!(press(&mut state, "cwindow seg\n"), [Action::Read]);
    assert_eq!(state.columns().last().map(String::as_str), Some("tcp.snd_cwnd"));
    assert_eq!(state.columns().len(), before.len() + 1);
    assert!(state.wanted().contains(&"tcp.snd_cwnd".to_owned()));
    assert_eq!(press(&mut state, "\n"), [Action::Read]);
    assert_eq!(state.columns(), before);
    press(&mut state, "\x1b");
    // The presets are unchanged, and the chosen columns come after them.
    press(&mut state, "2");
    assert_eq!(state.columns(), view().presets[1].columns);
    press(&mut state, "4");
    assert_eq!(state.columns(), before);
    press(&mut state, "9");
    assert_eq!(state.columns(), before);
    // An order: numbers start with the largest, names in alphabetical order.
    for (keys, want) in [
        ("osnd_cwnd\n", ("tcp.snd_cwnd", true)),
        ("oaddr\n", ("remote.addr", false)),
        ("ovv\n", ("tcp.rtt_us", true)),
    ] {
        assert_eq!(press(&mut state, keys), [Action::Read], "{keys}");
        let got = state.sort.clone().expect("an order");
        if keys.contains('v') {
            assert!(state.wanted().contains(&got.0));
        } else {
            assert_eq!((got.0.as_str(), got.1), want);
        }
        assert_eq!(state.mode, crate::state::Mode::List);
    }
    // Groupings: a known one, a new one, and none.
    press(&mut state, "bsocket.state\n");
    assert_eq!(state.grouped, Some(2), "that of the key");
    press(&mut state, "bremote.port\n");
    assert_eq!(state.grouped, Some(3));
    assert_eq!(state.view.groups[3].title, "remote.port");
    press(&mut state, "bremote.port\n");
    assert_eq!(state.grouped, None);
    // No field matches.
    assert!(press(&mut state, "bnonsense\n").is_empty());
    for _ in 0..20 {
        state.press(Key::Backspace);
    }
    state.press(Key::End);
    assert_eq!(state.mode, crate::state::Mode::Menu(crate::state::Menu::Group, state.view.fields.len() - 1));
    // The last column cannot be removed.
    press(&mut state, "\x1b1c");
    for _ in 0..60 {
        press(&mut state, "\n");
    }
    assert!(!state.columns().is_empty());
}

#[test]
fn numbers_names_of_ports_names_of_hosts() {
    let mut state = state_of(30);
    let wanted = |state: &State, name: &str| state.wanted().contains(&name.to_owned());
    for (service, host) in [(true, false), (true, true), (false, false)] {
        assert_eq!(press(&mut state, "n"), [Action::Read]);
        assert_eq!((wanted(&state, "remote.service"), wanted(&state, "remote.host")), (service, host));
    }
}

#[test]
fn columns_that_are_read_less_often_are_as_they_were_known() {
    let names = ["local.port", "remote.addr", "socket.processes.comm", "socket.processes.pid"];
    let choice = |name: &&str| Choice::new(Catalog::shared(), name).expect("a field");
    let choices = |names: &[&str]| -> Vec<Choice> { names.iter().map(choice).collect() };
    let rows = |builder: &mut Builder, count, who: Option<Holders>| {
        for made in made(count) {
            let bytes = reply(&made, 0);
            let record = Record { origin: Origin::of(Table::Tcp, SourceKind::Kernel), bytes: &bytes };
            let socket = Socket::decode(record).expect("a socket");
            let holders = who.as_ref().map(|who| who as &dyn HolderCache);
            let names = Names { holders, ..Names::default() };
            builder.row(made.mark, &Row { names, ..Row::bare(&socket) });
        }
    };
    let mut dear = Builder::new(choices(&names[2..]), None, 0);
    rows(&mut dear, 10, Some(Holders(&[b"web", b"web"])));
    let late = Arc::new(crate::Late::of(Arc::new(dear.end(Head::default()))));
    assert!(late.has(&choices(&names[2..])) && !late.has(&choices(&names)));
    let text = |shot: &Shot, row, name: &str| {
        let mut text = Vec::new();
        let known = shot.put(&mut text, row, shot.column(name).expect("a column"));
        known.then(|| String::from_utf8(text).expect("UTF-8"))
    };
    for late in [None, Some(late)] {
        let known = late.clone().map(|late| (2, late));
        let mut builder = Builder::new(choices(&names), None, 0).late(known);
        rows(&mut builder, 12, None);
        let shot = builder.end(Head::default());
        for row in 0..12 {
            // Sockets that opened later have no late values, but they have those of each look.
            let known = late.is_some() && row < 10;
            assert_eq!(text(&shot, row, names[2]), known.then(|| "web".to_owned()), "{row}");
            assert_eq!(text(&shot, row, names[3]), known.then(|| "100,101".to_owned()), "{row}");
            assert_eq!(text(&shot, row, "local.port").as_deref(), Some("443"));
        }
        // Text that many rows share is stored once.
        assert!(shot.bytes() < 12 * 200 + 1024 + 500, "{}", shot.bytes());
    }
}
