use std::net::{TcpListener, TcpStream};

use sockdiag_wire::bpf::Lookup;
use sockdiag_wire::btf::Btf;

use super::super::program::Group;
use super::*;
use crate::sys::kernel_types::KernelTypes;

#[test]
fn it_loads() {
    let types = KernelTypes::open().expect("types");
    let lookup = Lookup::new(Btf::new(types.bytes()).expect("types"), &Members::wanted());
    let members = Members::find(&lookup).unwrap_or_else(|why| panic!("{why}"));
    let own = Group {
        through: vec![],
        words: [0, 8, 16, 48, 56, 64, 72, 80, 88]
            .iter()
            .zip(2_u16..)
            .map(|(from, to)| (*from, to * 8))
            .collect(),
    };
    let recipe = Recipe { bytes: 88 + 16, groups: [vec![own.clone()], vec![own.clone()], vec![own]] };
    let begin = std::time::Instant::now();
    let mut walk = Walk::load(members, recipe).unwrap_or_else(|why| match why {
        Refused::Load(error) => panic!("{error}"),
        why => panic!("{why:?}"),
    });
    println!("loaded in {:?}", begin.elapsed());
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let hold: Vec<_> = (0..100)
        .map(|_| (TcpStream::connect(listener.local_addr().unwrap()).unwrap(), listener.accept().unwrap()))
        .collect();
    for table in [Table::Established, Table::Listening] {
        let begin = std::time::Instant::now();
        let mut count = 0;
        let done = walk
            .each(Asked { table, states: !0, family: 0, own: true }, &mut |_| {
                count += 1;
                ControlFlow::Continue(())
            })
            .expect("walk");
        println!("{table:?} {done:?} {count} in {:?}", begin.elapsed());
    }
    drop(hold);
}
