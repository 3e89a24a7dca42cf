use std::net::{TcpListener, TcpStream};

use super::*;

fn opened(wants: Wants) -> Walk {
    Walk::open(wants).unwrap_or_else(|why| match why {
        Refused::Load(error) => panic!("{error}"),
        Refused::Types(error) => panic!("{error}"),
        why => panic!("{why:?}"),
    })
}

/// Prints counts and times of this machine: `SOCKDIAG_WALK=1 ... --ignored`.
#[test]
#[ignore = "it measures, and holds no socket by itself"]
fn measure() {
    let all = Wants::QUEUES | Wants::TIMERS | Wants::OWNER | Wants::UNASKED | Wants::INFO | Wants::CONGESTION;
    for (name, wants) in [
        ("identity", Wants::IDENTITY),
        ("queues", Wants::QUEUES | Wants::OWNER),
        ("tan", Wants::QUEUES | Wants::OWNER | Wants::TIMERS | Wants::UNASKED),
        ("tani", all),
    ] {
        let begin = std::time::Instant::now();
        let mut walk = opened(wants);
        println!("{name}: loaded in {:?}, {} bytes", begin.elapsed(), walk.recipe.bytes);
        for table in [Table::Established, Table::Listening, Table::Bound] {
            let asked = Asked { table, states: !0, family: 0, scope: Scope::Own };
            let mut times: Vec<(u64, Done)> = (0..15)
                .map(|_| {
                    let begin = clock::cpu_ns();
                    let done = walk.each(asked, &mut |_| ControlFlow::Continue(())).expect("a walk");
                    (clock::cpu_ns() - begin, done)
                })
                .collect();
            times.sort_unstable_by_key(|(time, _)| *time);
            let (least, done) = times[0];
            println!(
                "  {table:?}: {done:?}: {} us at least, {} us in the middle",
                least / 1000,
                times[7].0 / 1000
            );
        }
    }
}

#[test]
fn it_finds_what_we_hold() {
    if !rustix::process::geteuid().is_root() {
        sockdiag_testkit::skip!("only root runs a program in the kernel");
    }
    let mut walk = opened(Wants::IDENTITY);
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let hold: Vec<_> = (0..100)
        .map(|_| (TcpStream::connect(listener.local_addr().unwrap()).unwrap(), listener.accept().unwrap()))
        .collect();
    let asked = Asked { table: Table::Established, states: !0, family: 0, scope: Scope::Own };
    let done = walk.each(asked, &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(done.records >= 200, "{done:?}");
    drop(hold);
}
