//! Each view and dialogue at three sizes, in each theme, with few and many sockets and odd
//! names.

use super::*;

const SIZES: [(u16, u16); 3] = [(80, 24), (200, 60), (40, 10)];

/// The name of a view, and a function that opens it.
type Way = (&'static str, fn(&mut State));

const VIEWS: &[Way] = &[
    ("list", |_| {}),
    ("latency", |state| _ = press(state, "2")),
    ("queues", |state| _ = press(state, "3")),
    ("sorted", |state| _ = press(state, "<<r")),
    ("moved", |state| _ = press(state, "vvv")),
    ("grouped", |state| _ = press(state, "g")),
    ("unfolded", |state| _ = press(state, "gv\nv")),
    ("prefix", |state| _ = press(state, "gg")),
    ("help", |state| _ = press(state, "?")),
    ("filter", |state| _ = press(state, "/dport = :443")),
    ("completed", |state| _ = press(state, "/ds\td\t")),
    ("refused", |state| {
        _ = press(state, "/nonsense\n");
        state.filter_refused(
            "the filter makes no sense\n    nonsense\n    ^^^^^^^^ expected a condition\x1b[2J",
        );
    }),
    ("details", |state| {
        _ = press(state, "v\n");
        again(state);
    }),
    ("both-ends", |state| {
        _ = press(state, "v\n");
        again(state);
        let id = state.detailed().expect("details");
        let field = |name, value: &str| (name, value.to_owned(), "");
        state.more(crate::More {
            id,
            own: vec![field("socket.state", "ESTAB"), field("unit.title", "web.service")],
            peer: vec![field("socket.recv_q", "12"), field("socket.processes", "curl/70/3")],
            said: String::new(),
            found: Some(Ok(vec![crate::Told {
                id: "zero-window".to_owned(),
                severity: "critical",
                says:
                    "10.0.0.1:443 does not read: its window is closed, 4.0 MiB wait to be sent, and nothing \
                       was for 12 s."
                        .to_owned(),
                next: "look at the program there".to_owned(),
            }])),
        });
    }),
    ("both-ends-below", |state| {
        _ = press(state, "v\n");
        again(state);
        let id = state.detailed().expect("details");
        let peer = vec![("tcp.cwnd", "10".to_owned(), "")];
        state.more(crate::More { id, peer, found: Some(Ok(Vec::new())), ..crate::More::default() });
        _ = state.press(Key::End);
    }),
    ("one-end", |state| {
        _ = press(state, "v\n");
        let id = state.detailed().expect("details");
        state.more(crate::More {
            id,
            said: "the peer is not in the selected network namespaces (--netns)".to_owned(),
            ..crate::More::default()
        });
    }),
    ("columns", |state| _ = press(state, "cwindow\n")),
    ("order", |state| _ = press(state, "ortt")),
    ("ordered-by-any", |state| {
        _ = press(state, "ortt\n");
        again(state);
    }),
    ("group-menu", |state| _ = press(state, "bvv")),
    ("grouped-by-any", |state| _ = press(state, "bstate\n")),
    ("kill", |state| _ = press(state, "vk")),
    ("paused", |state| _ = press(state, " L")),
    ("copied", |state| _ = press(state, "vy")),
    ("unseen", |state| {
        let (mut shot, _) = look(state, 2, made(30), WHO);
        shot.head.unseen = vec![
            "312 processes may not be looked into".to_owned(),
            "40 sockets closed unreported".to_owned(),
        ];
        state.look(Arc::new(shot), None);
    }),
    ("trouble", |state| {
        *state = State::new(view());
        state.trouble("the kernel refused\nwhy: \x1b[31mno\n");
    }),
];

fn again(state: &mut State) {
    let (shot, detail) = look(state, 2, made(30), WHO);
    state.look(Arc::new(shot), detail);
}

#[test]
fn every_view_is_drawn_as_it_was() {
    for (name, way) in VIEWS {
        for size in SIZES {
            let mut state = state_of(30);
            frame(&mut state, size, Theme::Dark);
            way(&mut state);
            let got = letters(&frame(&mut state, size, Theme::Dark));
            golden(&format!("{name}-{}x{}", size.0, size.1), &got);
        }
    }
}

#[test]
fn colours_are_those_of_the_theme_and_none_without() {
    for (name, theme) in [("dark", Theme::Dark), ("light", Theme::Light), ("plain", Theme::Plain)] {
        let mut got = String::new();
        for (view, way) in VIEWS {
            let mut state = state_of(30);
            frame(&mut state, (80, 24), theme);
            way(&mut state);
            let buffer = frame(&mut state, (80, 24), theme);
            let styles = styles(&buffer);
            if theme == Theme::Plain {
                assert!(styles.lines().all(|line| line.contains("Reset on Reset")), "{view}: {styles}");
            }
            // Colour never carries information alone: without it the text is the same.
            let mut state = state_of(30);
            frame(&mut state, (80, 24), Theme::Plain);
            way(&mut state);
            assert_eq!(letters(&frame(&mut state, (80, 24), Theme::Plain)), letters(&buffer), "{view}");
            _ = writeln!(got, "{view}\n{styles}");
        }
        golden(&format!("styles-{name}"), &got);
    }
}

#[test]
fn none_one_and_many() {
    for (name, count) in [("none", 0), ("one", 1), ("many", 100_000)] {
        let mut state = state_of(count);
        for size in SIZES {
            golden(&format!("{name}-{}x{}", size.0, size.1), &letters(&frame(&mut state, size, Theme::Dark)));
        }
    }
}

#[test]
fn no_byte_of_others_reaches_the_terminal() {
    for (name, way) in VIEWS {
        for size in SIZES {
            let mut state = State::new(view());
            for number in 0..2 {
                let (mut shot, detail) = look(&state, number, made(30), HOSTILE);
                shot.head.unseen = vec![crate::clean("\x1b[31m")];
                state.look(Arc::new(shot), detail);
            }
            frame(&mut state, size, Theme::Dark);
            way(&mut state);
            let buffer = frame(&mut state, size, Theme::Dark);
            for cell in &buffer.content {
                let odd = cell.symbol().chars().any(sockdiag_facts::escape::is_unsafe);
                assert!(!odd, "{name} {size:?}: {:?}", cell.symbol());
            }
        }
    }
    let mut state = State::new(view());
    let (shot, _) = look(&state, 0, made(8), HOSTILE);
    state.look(Arc::new(shot), None);
    golden("hostile-200x60", &letters(&frame(&mut state, (200, 60), Theme::Dark)));
}

#[test]
fn every_size_is_drawn() {
    for (_, way) in VIEWS {
        let mut state = state_of(30);
        way(&mut state);
        for width in (0..12).chain([20, 33, 300]) {
            for height in 0..8 {
                frame(&mut state, (width, height), Theme::Dark);
            }
        }
    }
}

#[test]
fn nothing_is_written_where_nothing_changed() {
    let mut state = State::new(view());
    let mut frames = Vec::new();
    for number in 0..3 {
        let resting = made(30).map(|made| Made { mark: Mark::Known, ..made });
        let (shot, _) = look(&state, number, resting, WHO);
        state.look(Arc::new(shot), None);
        frames.push(frame(&mut state, (80, 24), Theme::Dark));
    }
    assert!(frames.iter().all(|frame| *frame == frames[0]));
}

/// The cost of a look and a frame.  `SOCKDIAG_BENCH=1 cargo test --release -p sockdiag-screen
/// frames_cost -- --nocapture` prints it, and fails if a frame of 100,000 sockets takes more
/// than 2 ms.
#[test]
fn frames_cost_the_same_however_many_sockets_there_are() {
    if std::env::var_os("SOCKDIAG_BENCH").is_none() {
        return;
    }
    for (count, size) in [(100, (80, 24)), (100_000, (80, 24)), (100, (200, 60)), (100_000, (200, 60))] {
        let mut state = state_of(count);
        let mut best = [f64::INFINITY; 3];
        let mut times = Vec::new();
        for turn in 0..200 {
            // Each frame differs from the one before.
            press(&mut state, if turn % 2 == 0 { "v" } else { "^" });
            let mut buffer = Buffer::empty(Rect::new(0, 0, size.0, size.1));
            let begun = std::time::Instant::now();
            draw(&mut buffer, &mut state, Theme::Dark);
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        let (shot, keys) = (Arc::clone(state.shot()), [">", "r", "g", "G"]);
        for key in keys {
            let begun = std::time::Instant::now();
            press(&mut state, key);
            let took = begun.elapsed().as_secs_f64() * 1e3;
            settle(&mut state);
            best[0] = best[0].min(took);
            best[1] = if best[1].is_finite() { best[1].max(took) } else { took };
        }
        best[2] = shot.bytes() as f64 / f64::from(1 << 20);
        let (median, worst) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        println!(
            "{count:>7} sockets at {}x{}: a frame {median:.3} ms, {worst:.3} ms in 99 of 100; an answer to \
             a key that orders anew {:.1} \
             to {:.1} ms; {:.1} MiB",
            size.0, size.1, best[0], best[1], best[2]
        );
        assert!(median <= 2.0, "{median} ms");
    }
}
