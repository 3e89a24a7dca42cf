//! `-s`: every file with counts, complete and damaged.

use super::{Case, case, check, temporary};

const SOCKSTAT: &str = "sockets: used 100\nTCP: inuse 5 orphan 1 tw 2 alloc 10 mem 3\n\
UDP: inuse 4 mem 5\nUDPLITE: inuse 9\nRAW: inuse 6\nFRAG: inuse 7 memory 8\n";
const SOCKSTAT6: &str =
    "TCP6: inuse 3\nUDP6: inuse 2\nUDPLITE6: inuse 9\nRAW6: inuse 1\nFRAG6: inuse 9 memory 0\n";
const SNMP: &str =
    "Ip: Forwarding DefaultTTL\nIp: 1 64\nTcp: RtoAlgorithm RtoMin CurrEstab InSegs\nTcp: 1 200 77 5\n";

/// Sockstat, sockstat6, snmp.
const FILES: &[[&str; 3]] = &[
    [SOCKSTAT, SOCKSTAT6, SNMP],
    ["", "", ""],
    ["TCP: inuse 5 orphan 1\n", "", SNMP],
    ["TCP: inuse x orphan 1\nUDP:\nRAW: 5 6\nsockets: used\n", "", SNMP],
    [
        "TCP: inuse -5 orphan 99999999999 tw 4294967295 alloc 0x10 mem 3\nsockets: used 2147483648\n",
        "TCP6: a -3",
        SNMP,
    ],
    ["TCP: inuse 1 orphan 1 tw 1 alloc 1 mem 1\nTCP: inuse 99\n", "TCP6: a 1\nTCP6: b 2\nTCP6:\n", SNMP],
    ["TCP: inuse 5 orphan 1 tw 2 alloc 10", "TCP6: inuse 3", "Tcp: CurrEstab\nTcp: 9"],
    [
        " TCP: inuse 5 orphan 1 tw 2 alloc 10\nTCP:inuse 5\nTCP inuse 7\n\n:\nUDP: inuse  4\nRAW:\tinuse\t9\n",
        "UDP6: inuse 5 x 6\nRAW6: x\nFRAG6:  z    3\n",
        SNMP,
    ],
    ["UDP: inuse\t4\nsockets: \tused 9\n", "FRAG: a 1 b 2\n", SNMP],
    ["TCP6: inuse 4\nFRAG6: inuse 4\n", "TCP: inuse 4 orphan 5\nsockets: used 8\n", SNMP],
    [SOCKSTAT, "", "Tcp: CurrEstab B C\nTcp: 1\n"],
    [SOCKSTAT, "", "Tcp: B CurrEstab C\nTcp: 1\n"],
    [SOCKSTAT, "", "Tcp: B CurrEstab C\n"],
    [SOCKSTAT, "", "Tcp: B CurrEstab C\nUdp: x\nTcp: 1 2 3\n"],
    [SOCKSTAT, "", "Tcp:  B  CurrEstab C\nTcp:  1  2 3\n"],
    [SOCKSTAT, "", "Tcp: B CurrEstab C\nTcp:  1  2 3\n"],
    [SOCKSTAT, "", "Tcp:  B  CurrEstab C\nTcp: 1 2 3\n"],
    [SOCKSTAT, "", "Tcp: B CurrEstab \nTcp: 1 2 3\n"],
    [SOCKSTAT, "", "Tcp:\tB CurrEstab C\nTcp:\t1 2 3 4\n"],
    [SOCKSTAT, "", "Tcp: B CurrEstab\nTcp: 1 2x 3\n"],
    [SOCKSTAT, "", "Tcp: B CurrEstab\nTcp: 1 x2 3\n"],
    [SOCKSTAT, "", "Tcp: CurrEstab\nTcp: 4294967297\n"],
    [SOCKSTAT, "", "Tcp: CurrEstab\nTcp: -7"],
    [SOCKSTAT, "", "Tcp: CurrEstab\nTcp:5\n"],
    [SOCKSTAT, "", "TcpExt: A CurrEstab\nTcpExt: 1 2\nTcp: CurrEstab\nTcp: 7\n"],
    [SOCKSTAT, "", "Tcp: CurrEstab\nTcpX: 9\nTcp: 7\n"],
    [SOCKSTAT, "", " Tcp: CurrEstab\n Tcp: 7\n"],
];

pub(super) fn run() -> usize {
    let mut cases: Vec<Case<'_>> = Vec::new();
    for (number, files) in FILES.iter().enumerate() {
        let [four, six, snmp] = [0, 1, 2].map(|file: usize| {
            let name = format!("summary-{number}-{file}");
            temporary(&name, files.get(file).copied().unwrap_or_default().as_bytes())
        });
        let with = |line: &str| {
            case(line)
                .env("PROC_NET_SOCKSTAT", &four)
                .env("PROC_NET_SOCKSTAT6", &six)
                .env("PROC_NET_SNMP", &snmp)
        };
        cases.push(with("-s"));
        if number == 0 {
            let empty = temporary("summary-tcp", b"");
            for line in [
                "--summary",
                "-sH",
                "-sa",
                "-sl",
                "-sn",
                "-sp",
                "-spT",
                "-s -O",
                "-st",
                "-stan",
                "-sH -t",
                "-s -A tcp",
                "-s -f inet",
                "-s -4tn",
                "-s sport = 1",
                "-s state established",
                "-s state nonsense",
                "-s state",
                "-s -A !tcp",
                "-s -t nonsense :: words",
                "-s -s",
                "-s -Y",
            ] {
                cases.push(with(line).env("PROC_NET_TCP", &empty).env("PROC_NET_TCP6", &empty));
            }
            cases.push(with("-s").width(40));
        }
    }
    for missing in ["/nonexistent", "/", ""] {
        cases.push(
            case("-s")
                .env("PROC_NET_SOCKSTAT", missing)
                .env("PROC_NET_SOCKSTAT6", missing)
                .env("PROC_NET_SNMP", missing),
        );
        cases.push(case("-s").env("PROC_ROOT", missing));
        cases.push(case("-st").env("PROC_ROOT", missing));
    }
    check(cases)
}
