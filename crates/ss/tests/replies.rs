//! Rows of families that few machines have, from crafted kernel replies: the expected output
//! comes from the specification, without needing the reference.  If it is available,
//! `tests/differential` compares more.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use sockdiag_testkit::compare::{Case, Ended, run};
use sockdiag_testkit::replies::{self, ANY, Talk, attr, done, words};
use sockdiag_testkit::skip;

#[path = "json/schema.rs"]
mod schema;

const OURS: &str = env!("CARGO_BIN_EXE_ss");

/// What ours prints for rows of a family; `None` after reporting a skip.
fn printed(family: u8, rows: &[Vec<u8>], args: &str) -> Option<String> {
    // Tests run at the same time, so each needs its own file.
    static FILES: AtomicUsize = AtomicUsize::new(0);
    let name = format!("golden-replies-{}", FILES.fetch_add(1, Ordering::Relaxed));
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let links = [(1, "lo")];
    let talk = Talk::new().links(&links).sockets(family, &[rows.concat(), done(0)]);
    talk.write(&path).unwrap_or_else(|why| panic!("{why}"));
    answered(&path, args)
}

#[test]
fn xdp_rows() {
    let attrs = [
        attr(1, &words(&[1, 5])),
        attr(2, &words(&[1000])),
        attr(3, &words(&[2048])),
        attr(5, &words(&[4096, 0, 1, 2, 3, 4, 5, 6, 1, 8])),
        attr(6, &words(&[512])),
        attr(8, &words(&[1, 2, 3, 4, 5, 6, 7, 8, 9])),
        attr(9, &words(&[1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0])),
    ];
    let rows = [replies::xdp(4_000_000_004, 7, &attrs)];
    let Some(text) = printed(44, &rows, "--xdp -He") else { return };
    assert_eq!(
        text,
        "1      0      lo:q5 * uid:1000 ino:4000000004 sk:7\n\
         \trx(entries:2048)\n\
         \tumem(id:1,size:4096,num_pages:2,chunk_size:3,headroom:4,ifindex:5,qid:6,zc:1,refs:8)\n\
         \tfr(entries:512)\n\
         \tstats(rx dropped:1,rx invalid:2,rx queue full:3,rx fill ring empty:4,tx invalid:5,tx ring empty:6)\n"
    );
    let Some(text) = printed(44, &rows, "--xdp -HmO") else { return };
    assert_eq!(text, "1      0      lo:q5 * skmem:(r1,rb2,t3,tb4,f5,w6,o7,bl8,d9)\n");
    let Some(text) = printed(44, &rows, "--xdp -HeO") else { return };
    assert!(text.contains(" rx(entries:2048) tumem(id:1,") && text.lines().count() == 1, "{text}");
}

#[test]
fn tipc_rows() {
    let con =
        [(1, vec![]), (2, words(&[0x0100_1001])), (3, words(&[4242])), (4, words(&[18])), (5, words(&[19]))];
    let con: Vec<u8> = con.iter().flat_map(|(kind, payload)| attr(*kind, payload)).collect();
    let queues = [attr(0, &words(&[5])), attr(1, &words(&[6])), attr(4, &words(&[9]))].concat();
    let rows = [
        replies::tipc(1, 1, 1000, &[attr(3, &con), attr(4, &[]), attr(5, &queues)]),
        replies::tipc(2, 7, 1000, &[attr(5, &[attr(2, &[]), queues].concat())]),
    ];
    let Some(text) = printed(30, &rows, "--tipc -H --tipcinfo") else { return };
    assert_eq!(
        text,
        "ESTAB  5      6      16781314:1234 16781313:4242\n \
         type:STREAM cong:none  drop:9  publ via {18,19} \n\
         UNCONN 5      6      16781314:1234         -\n \
         type:DGRAM cong:link  drop:9                    \n"
    );
    let Some(text) = printed(30, &rows, "--tipc -Hpe --tipcinfo") else { return };
    assert_eq!(
        text,
        "ESTAB  5      6      16781314:1234 16781313:4242 uid:1000 ino:4000000007 sk:99\n \
         type:STREAM cong:none  drop:9  publ via {18,19} \n\
         UNCONN 5      6      16781314:1234         -     uid:1000 ino:4000000007 sk:99\n \
         type:DGRAM cong:link  drop:9                    \n"
    );
}

#[test]
fn vsock_rows() {
    let rows = [
        replies::vsock(1, 1, 0, (3, 1024), (2, 22)),
        replies::vsock(5, 10, 0, (ANY, 80), (ANY, ANY)),
        replies::vsock(2, 7, 0, (3, ANY), (ANY, 0)),
    ];
    let Some(text) = printed(40, &rows, "--vsock -aH") else { return };
    assert_eq!(
        text,
        "v_str ESTAB  0      0      3:1024 2:22\n\
         ???   LISTEN 0      0      *:80   *:*\n\
         v_dgr UNCONN 0      0      3:*    *:0\n"
    );
    // A socket type without a table of its own is shown by every vsock table.
    let Some(text) = printed(40, &rows, "-A v_str -aH") else { return };
    assert_eq!(text, "ESTAB  0      0      3:1024 2:22\nLISTEN 0      0      *:80   *:*\n");
}

#[test]
fn smc_rows() {
    let rows = [replies::smcs()];
    let Some(text) = printed(43, &rows, "--smc -naHeiO") else { return };
    // The padding of columns does not matter here.
    let lines: Vec<String> =
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(lines.len(), 38, "{text}");
    let (begin, end) = ("ESTAB 0 0 10.0.0.1:7201 10.0.0.2:40000", "uid:1000 ino:4000000009 sk:");
    assert_eq!(
        lines[0],
        format!(
            "{begin} {end}5 mode:smc-r <-> token:0x1234 sndbuf:65536 rmbe:131072 peer_rmbe:16384 rx_prod:1/2 rx_cons:3/4 \
             tx_prod:5/6 tx_cons:7/8 tx_prep:9/10 tx_sent:11/12 tx_fin:13/14 flags:0x81/0x2/0x40/0x20 role:server \
             link:3 ib:mlx5_0/1 gid:fe80::1 peer_gid:fe80::2"
        )
    );
    assert!(
        lines[1].ends_with(
            " mode:smc-d --> token:0x1234 sndbuf:65536 rmbe:131072 peer_rmbe:16384 rx_prod:1/2 rx_cons:3/4 \
             tx_prod:5/6 tx_cons:7/8 tx_prep:9/10 tx_sent:11/12 tx_fin:13/14 flags:0x81/0x2/0x40/0x20 \
             smcd:(linkid:9,gid:400000003,peer_gid:200000001,token:600000005,peer_token:800000007)"
        ),
        "{}",
        lines[1]
    );
    assert_eq!(lines[2], format!("{begin} {end}5 mode:tcp fallback:0x3030000(no-device) <--"));
    assert_eq!(
        lines[3],
        format!(
            "ESTAB 0 0 [2001:db8::7]:1 [2001:db8::7]:2 {end}6 mode:tcp \
             fallback:0x5000000(peer-declined) peer_diagnosis:0x3030000 ---"
        )
    );
    // A reason without a name; a listener on any address, and an unused socket; a mode without
    // a name.
    assert!(lines[4].ends_with(" mode:tcp fallback:0x77770000"), "{}", lines[4]);
    assert_eq!(lines[5], format!("LISTEN 0 0 *:7201 *:* {end}7 <->"));
    assert_eq!(lines[6], "INIT 0 0 *:* *:* uid:1000 ino:4000000009 sk:0");
    assert!(lines[7].ends_with(" sk:5"), "{}", lines[7]);
    // Details are on a separate line.
    let Some(text) = printed(43, &rows, "--smc -aHi") else { return };
    assert_eq!(text.lines().filter(|line| line.starts_with("\t token:0x1234 ")).count(), 2, "{text}");
    assert_eq!(text.lines().count(), 40);
    // JSON contains everything, as the schema requires.
    let Some(text) = printed(43, &rows, "--smc -anei --jsonl") else { return };
    let sockets = schema::lines(&schema::of_lines(), text.as_bytes(), "smc");
    let first = sockets.iter().find(|row| row["smc"]["mode"] == "smc-r").expect("a connection");
    assert_eq!((&first["smc"]["tx_fin_bytes"], &first["smc"]["tx_fin_wrap"]), (&14.into(), &13.into()));
    assert_eq!((&first["smc"]["ib_name"], &first["smc"]["role"]), (&"mlx5_0".into(), &"server".into()));
    let second = sockets.iter().find(|row| row["smc"]["mode"] == "smc-d").expect("a connection");
    assert_eq!(
        (&second["smcd"]["linkid"], &second["smcd"]["peer_dmb_token"]),
        (&9.into(), &"34359738375".into())
    );
    // SMC's own states are selected by the words for the corresponding TCP states.
    for (words, expect) in [
        ("--smc -aH", 38),
        ("--smc -lH", 5),
        ("--smc -H", 35),
        ("--smc -H state established", 7),
        ("--smc -H state fin-wait-1", 1),
        ("--smc -H state close-wait", 3),
        ("--smc -H state syn-sent", 2),
        ("--smc -H state unknown", 18),
    ] {
        let Some(text) = printed(43, &rows, words) else { return };
        assert_eq!(text.lines().count(), expect, "{words}\n{text}");
    }
}

#[test]
fn packet_sockets_tell_what_they_listen_to() {
    let rows = [replies::netpkt::packets()];
    let words = "-0anH --jsonl packet.mclist = 2";
    let Some(text) = printed(17, &rows, words) else { return };
    let sockets = schema::lines(&schema::of_lines(), text.as_bytes(), words);
    assert_eq!(sockets.iter().filter(|row| row["socket"].is_object()).count(), 1, "{text}");
    let Some(text) = printed(17, &rows, "-0aneH --jsonl packet.mclist = 2") else { return };
    let sockets = schema::lines(&schema::of_lines(), text.as_bytes(), words);
    let socket = sockets.iter().find(|row| row["socket"].is_object()).expect("a socket");
    let group = serde_json::json!({"interface": 1, "type": 0, "addr": "01:00:5e:00:00:fb", "count": 2});
    let all = serde_json::json!({"interface": 77, "type": 1, "addr": "", "count": 1});
    assert_eq!(socket["packet"]["mclist"], serde_json::json!([group, all]));
}

/// Replays what the matrix's kernels replied for the zoo's SMC and UDP-Lite sockets
/// (tools/kernels/gen/zoo.c), recorded by nltap.so.
#[test]
fn smc_and_udp_lite_of_real_kernels() {
    for kernel in ["5.10", "6.1", "6.12"] {
        // 5.10 has no SMC sockets of an inet family.
        let inet = usize::from(kernel != "5.10");
        for (table, args, expect) in [
            ("smc", "--smc -anH", 13 + inet),
            ("smc", "--smc -nH state established", 8),
            ("smc", "--smc -lnH", 5 + inet),
            ("smc", "-A smc -anH fallback_reason_name = no-device", 4),
            ("smc", "-A smc -anH smc.mode = tcp and fallback_peer_diagnosis = 0x3030000", 4),
            ("smc", "--smc -anH smc.family = 43", 13),
            ("smc", "--smc -anH smc.family = 2", inet),
            ("smc", "--smc -anH socket.state = INIT", 1),
            ("smc", "-f smc -anH src 127.0.0.1", 7),
            ("smc", "-f smc -anH dst [::1]", 2),
            ("smc", "-f smc -anH src [::ffff:127.0.0.1]", 2),
            ("smc", "-f smc -anH sport = :7203 or dport = :7203", 3),
            ("smc", "--smc -anH socket.uid = 0 and socket.inode > 0", 13 + inet),
            ("udplite", "--udplite -anH", 2),
            ("udplite", "-A udplite -anH src [::1]", 1),
            ("udplite", "--udplite -anH socket.protocol = 136 and socket.netid = udplite", 2),
        ] {
            let file = recording(kernel, table);
            let Some(text) = answered(&file, args) else { return };
            assert_eq!(text.lines().count(), expect, "{kernel}: {args}\n{text}");
        }
        let lines = schema::of_lines();
        for (table, args, expect) in
            [("smc", "--smc -anei --jsonl", 13 + inet), ("udplite", "--udplite -anei --jsonl", 2)]
        {
            let Some(text) = answered(&recording(kernel, table), args) else { return };
            let rows = schema::lines(&lines, text.as_bytes(), args);
            let netids = rows.iter().filter(|row| row["socket"]["netid"] == table).count();
            assert_eq!(netids, expect, "{kernel}: {args}\n{text}");
            let told = rows.iter().filter(|row| row["smc"]["fallback_reason_name"] == "no-device").count();
            assert_eq!(told, if table == "smc" { 4 } else { 0 }, "{text}");
        }
        let file = recording(kernel, "smc");
        let Some(text) = answered(&file, "--smc -anHe dst 127.0.0.1 and dport = :7201") else { return };
        let row: Vec<&str> = text.split_whitespace().collect();
        assert_eq!((row[0], row[4], row.len()), ("ESTAB", "127.0.0.1:7201", 10), "{text}");
        assert_eq!(row[7..], ["mode:tcp", "fallback:0x3030000(no-device)", "<->"], "{text}");
    }
}

fn recording(kernel: &str, table: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let file = folder.join(format!("{table}-{kernel}.nl"));
    assert!(fs::metadata(&file).is_ok_and(|meta| meta.len() > 500), "{}", file.display());
    file
}

/// What ours prints for recorded traffic; `None` after reporting a skip.
fn answered(file: &Path, args: &str) -> Option<String> {
    let case = match replies::with(Case::new(&args.split(' ').collect::<Vec<_>>()), file) {
        Ok(case) => case,
        Err(why) => {
            skip::report(why);
            return None;
        }
    };
    let outcome = run(Command::new(OURS), &case).unwrap_or_else(|why| panic!("{args}: {why}"));
    assert_eq!(outcome.ended, Ended::Exit(0), "{args}: {}", String::from_utf8_lossy(&outcome.stderr));
    Some(String::from_utf8_lossy(&outcome.stdout).into_owned())
}

#[test]
fn fields_are_tested_by_name() {
    for (family, rows, filter, expect) in [
        (40, replies::vsocks(), "--vsock -aHO vsock.src_cid = 9", 1),
        (40, replies::vsocks(), "--vsock -aHO vsock.type = 5", 1),
        (40, replies::vsocks(), "--vsock -aHO socket.shutdown = 3", 1),
        (44, replies::xdps(), "--xdp -HO xdp.queue_id > 5", 2),
        (44, replies::xdps(), "--xdp -HO xdp.umem_zerocopy = 1", 2),
        (44, replies::xdps(), "--xdp -HO mem.rmem_alloc = 5", 1),
        (44, replies::xdps(), "--xdp -HO local.interface = 77", 1),
        // The reference does not evaluate some conditions for TIPC sockets.  Ours does as soon
        // as the filter contains a condition that the reference lacks.
        (30, replies::tipcs(), "--tipc -HO sport = 1", 19),
        (30, replies::tipcs(), "--tipc -HO tipc.type = RDM", 2),
        (30, replies::tipcs(), "--tipc -HO tipc.in_group = 1", 1),
        (30, replies::tipcs(), "--tipc -HO tipc.in_group = 1 and sport = 1", 0),
        (30, replies::tipcs(), "--tipc -HO socket.uid = 1000", 2),
    ] {
        let Some(text) = printed(family, &[rows], filter) else { return };
        assert_eq!(text.lines().count(), expect, "{filter}\n{text}");
    }
}
