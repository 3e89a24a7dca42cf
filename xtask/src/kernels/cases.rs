//! The command lines that are compared in a guest.
//!
//! A line is the arguments of `ss`, separated by blanks; `NAME=VALUE` words before them are
//! its environment.  Every line is a literal and none is assembled from parts, so that
//! everything that runs with `-K` can be reviewed in one place.
//!
//! Invariant: only lines of [`KILL`] close sockets, and only the zoo's victims
//! (ports 5601 to 5659, raw protocol 251).

use sockdiag_testkit::guest::{How, Line};

/// Lists every socket in one line with all its details, to count the kinds.  Each covers
/// several tables, so that rows have a Netid.
pub(crate) const CENSUS: &[(&str, &str)] = &[
    ("sid", "-anOemopib --tos --cgroup --inet-sockopt --tipcinfo"),
    ("sid", "-tunBOe"),
    ("sid", "-A tipc,xdp -anOep --tipcinfo"),
    ("forky", "-A dccp,sctp -anOempoi"),
];

/// Lines whose requests are recorded too, to see which shortcuts ours took.
pub(crate) const TAPPED: &[&str] = &[
    "-tan",
    "-tani",
    "-tanH state established",
    "-tnB",
    "-tan sport = :5001",
    "-tan sport = :8004 or dport = :8004",
    "-tan dport != :8010 and sport >= :8000",
    "-tan dev lo",
    "-tan dev = lo and sport = :5005",
    "-tln",
    "-tlne",
    "-tln sport = :8000",
    "-tln4",
    "-tln6",
    "-tan src 127.0.0.1:20000 and dst 127.0.0.1:8000",
    "-tan src 127.0.0.1:8000 and dst 127.0.0.1:20000",
    "-tan src [::1]:20004 and dst [::1]:8001",
    "-tan src 127.0.0.1:20000 dst 127.0.0.1:8001",
    "-tan src [::ffff:127.0.0.1]:8004 and dst [::ffff:127.0.0.1]:20016",
    "-tanemi src 127.0.0.1:15001 and dst 127.0.0.1:5001",
    "-uan src 127.0.0.1:16001 and dst 127.0.0.1:6001",
];

/// All other lines that only list.
pub(crate) const PLAIN: &[&str] = &[
    // TCP: details, one by one and together
    "-tan state syn-recv",
    "-taneo state syn-sent",
    "-tano state time-wait",
    "-tane state time-wait",
    "-tanemopi state time-wait",
    "-taneo",
    "-tanm",
    "-tanp",
    "-tanT",
    "-tanpT",
    "-tanemop",
    "-tanemopi",
    "-tanOemopi",
    "-tHnQ",
    "-tanHOQi",
    "-tlnemi",
    "-tlnp",
    "-tn",
    "-t",
    "-ta",
    "-4tan",
    "-6tan",
    "-4tln",
    "-6tln",
    "-tan --tos",
    "-tan --cgroup",
    "-tane --cgroup",
    "-tan --inet-sockopt",
    "-tan --tipcinfo",
    "-tanb",
    "-tanemoipb --tos --cgroup --inet-sockopt",
    "-tBn",
    "-tBne",
    "-4tBn",
    "-6tBnp",
    "-tn state bound-inactive",
    "-tn state bound-inactive sport = :8100",
    "-tn state bound-inactive state listening",
    "-tan state big",
    "-tan state connected",
    "-tan state synchronized",
    "-tan state bucket",
    "-tan state fin-wait-1",
    "-tano state fin-wait-2",
    "-tan state close-wait",
    "-tan state last-ack",
    "-tan state closing",
    "-tan state listening",
    "-tan state closed",
    "-tan state unconnected",
    "-tan exclude listening exclude time-wait",
    "-tan exclude established",
    "COLUMNS=80 -tane",
    "COLUMNS=40 -tan",
    "COLUMNS=200 -tani",
    // filters
    "-tan ( sport >= :5100 and sport <= :5110 )",
    "-tan dst 127.0.0.1",
    "-tan dst 192.0.2.0/24",
    "-tan src [::1]",
    "-tan src ::1",
    "-tan src [::ffff:127.0.0.1]",
    "-tan dst [::ffff:0:0/96]",
    "-tan src 0.0.0.0",
    "-tan src [::]",
    "-tan src 127.0.0.0/8 and dst 127.0.0.2",
    "-tan ( sport = :5001 or dport = :5002 )",
    "-tan not sport = :5001",
    "-tan not ( sport < :8000 or dport > :8000 )",
    "-tan sport ne :8000 and dport ne :8000 state established",
    "-tan sport eq 8000 or sport eq 8001 or sport eq 8002",
    "-tan dport lt 5100 and dport gt 5000",
    "-tan dst any:8004",
    "-tan src *:8004",
    "-tan dst 127.0.0.1:8004 or src 127.0.0.1:8004",
    "-tan dev veth0",
    "-uan dev lo",
    "-uan dev != lo",
    "-wan dev lo",
    "-tan not dev lo and sport = :5005",
    "-tan fwmark = 42",
    "-uan fwmark = 0x4d/0xff",
    "-tan not fwmark = 0",
    "-tan cgroup /sys/fs/cgroup/rig/zoo",
    "-tan cgroup /sys/fs/cgroup",
    "-tan not cgroup /sys/fs/cgroup/rig/zoo",
    "-uan cgroup /sys/fs/cgroup/rig/zoo",
    "-tan autobound",
    "-tan not autobound",
    "-uan sport = :6001",
    "-uan src 127.0.0.1",
    "-uan dst [::1]",
    "-tuan sport = :8200 or sport = :8000",
    "-tan inet:5001",
    "-xan src *zoo*",
    "-xan src /run/zoo-stream",
    "-an src *zoo* or sport = :5001",
    "-0an src *:dummy0",
    "-0an src ip:*",
    "-f netlink -an src netlink:genl",
    "-an src vsock:*:1234",
    "-tan sport = :nosuchservice",
    "-tan src 300.0.0.1",
    "-tan dev nosuchdevice",
    "-tan state nosuchstate",
    "-tan sport =",
    // UDP, raw
    "-uan",
    "-uanemopi",
    "-uanO --tos --inet-sockopt --cgroup",
    "-un",
    "-uln",
    "-4uan",
    "-6uane",
    "-u",
    "-wan",
    "-wa",
    "-wanemopi",
    "-4wan",
    "-6wanp",
    "-wln",
    "-wn",
    // MPTCP, SCTP
    "-Man",
    "-Mn",
    "-Mln",
    "-Manemopi",
    "-Manm",
    "-ManO --inet-sockopt --cgroup --tos",
    "-taneMi",
    "-Man sport = :5401",
    "-Man src 192.0.2.1",
    "-San",
    "-Sanemopi",
    "-SanO --inet-sockopt --tos",
    "-Sn",
    "-Sln",
    "-Sa",
    "-4San",
    "-6San",
    "-San sport = :7001",
    "-San dst 127.0.0.1",
    "-San state established",
    "-d",
    // TIPC, vsock, XDP
    "--tipc -an",
    "--tipc -a",
    "--tipc -anemopi",
    "--tipc -ane --tipcinfo",
    "--tipc -an --tipcinfo -p",
    "--tipc -ln",
    "--tipc -n",
    "--vsock -an",
    "--vsock -a",
    "--vsock -anemopi",
    "--vsock -ln",
    "--vsock -n",
    "--vsock -an sport = :1234",
    "--vsock -an state established",
    "--xdp -an",
    "--xdp -a",
    "--xdp -anemopi",
    "--xdp -n",
    "--xdp -ln",
    // packet
    "-0an",
    "-0a",
    "-0",
    "-0anemopi",
    "-0anb",
    "-0anebO",
    "-0ln",
    "-f link -an -A packet_raw",
    "-an -A packet_dgram",
    // unix
    "-xan",
    "-xa",
    "-xanemopi",
    "-xanO -e",
    "-xln",
    "-xlnp",
    "-xn",
    "-xn state connected",
    "-an -A unix_stream",
    "-an -A unix_dgram",
    "-an -A unix_seqpacket",
    "-aneA unix_seqpacket,unix_dgram",
    // netlink
    "-f netlink -an",
    "-f netlink -anemopi",
    "-f netlink -a",
    "-f netlink -n",
    "-f netlink -ane not src netlink:tcpdiag",
    // tables together
    "-an",
    "-a",
    "-l",
    "-ln",
    "-lnp",
    "-n",
    "-ane",
    "-ani",
    "-anm",
    "-ano",
    "-anpe",
    "-anb",
    "-anpT",
    "-anH",
    "-anQ",
    "-4an",
    "-6an",
    "-4",
    "-6ln",
    "-f inet -an",
    "-f inet6 -an",
    "-f unix -an",
    "-f link -an",
    "-f vsock -an",
    "-f tipc -an",
    "-f xdp -an",
    "-an -A tcp",
    "-an -A udp",
    "-an -A raw",
    "-an -A sctp",
    "-an -A mptcp",
    "-an -A tcp,sctp,raw",
    "-an -A inet",
    "-an -A all",
    "-an -A all,!unix_dgram",
    "-an -A socktcp",
    "-a -A inet,unix,packet,vsock,tipc,xdp",
    "-n -A inet,vsock,tipc state listening",
    "-tuwSMan",
    "-tuxanp",
    "COLUMNS=100 -anemi",
    // summary, and options that need no socket
    "-s",
    "-stn",
    "-stuan",
    "-sH",
    "-V",
    "-h",
];

/// Lines that only the older reference supports: DCCP.
pub(crate) const DCCP: &[&str] = &[
    "-dan",
    "-danemopi",
    "-danO -e --tos --inet-sockopt --cgroup",
    "-dln",
    "-dn",
    "-4dan",
    "-6dan",
    "-dan sport = :7101",
    "-dan dst [::1]",
    "-A dccp -an",
    "--dccp -an",
    "-tdan",
];

/// Lines that no reference supports.  The first is the census of these kinds.
pub(crate) const ALONE: &[&str] = &[
    "-A smc,udplite -anOepim",
    "--smc -n",
    "--smc -ln",
    "--smc -n state established",
    "--smc -an src 127.0.0.1 or src [::1]",
    "--smc -ane --pretty",
    "--smc -an --columns state,mode,fallback_reason_name,local.port,comm",
    "--udplite -ane --json",
];

/// Lines that close the victims.
pub(crate) const KILL: &[&str] = &[
    "-tnK sport = :5601",
    "-tnK dport = :5602",
    "-4tnKH state established sport >= :5601 and sport <= :5619",
    "-6tanK sport >= :5601 and sport <= :5619",
    "-tanKO sport = :5603 or dport = :5603",
    "-tlnK sport = :5611",
    "-uanK sport >= :5641 and sport <= :5659",
    "-unK dport = :5641",
    "-tuanKH sport >= :5601 and sport <= :5659",
    "-tnK src 127.0.0.1:15601 and dst 127.0.0.1:5601",
    "-tnK sport = :5699",
];

/// Lines that follow the victims while they are opened and closed.
pub(crate) const EVENTS: &[&str] = &[
    "-En",
    "-E",
    "-Etn",
    "-Eun",
    "-E4n",
    "-E6tn",
    "-Etnei",
    "-EtnemoipO --tos --inet-sockopt",
    "-EtnH sport = :5601",
    "-EnQ dport = :5641",
    "-Eunp",
    "-Exn",
];

/// All lines, in the order in which they run.  The census is not first: a minute after the
/// sockets were opened, retransmissions have become rare.
pub(crate) fn lines() -> Vec<Line> {
    let line = |how, judge: &str, text: &str| Line {
        how,
        judge: judge.to_owned(),
        words: text.split(' ').map(str::to_owned).collect(),
    };
    let mut lines: Vec<Line> = TAPPED.iter().map(|text| line(How::Tapped, "sid", text)).collect();
    lines.extend(PLAIN.iter().map(|text| line(How::Plain, "sid", text)));
    lines.extend(CENSUS.iter().map(|(judge, text)| line(How::Plain, judge, text)));
    lines.extend(DCCP.iter().map(|text| line(How::Plain, "forky", text)));
    lines.extend(ALONE.iter().map(|text| line(How::Alone, "ours", text)));
    lines.extend(EVENTS.iter().map(|text| line(How::Events, "sid", text)));
    lines.extend(KILL.iter().map(|text| line(How::Kill, "sid", text)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a line has the letter in a cluster, or a prefix of the long option.
    fn has(line: &Line, letter: char, long: &str) -> bool {
        line.split().1.iter().any(|word| {
            (word.starts_with('-') && !word.starts_with("--") && word.contains(letter))
                || (word.len() > 2 && long.starts_with(word.as_str()))
        })
    }

    #[test]
    fn only_lines_that_may_kill_do_and_they_name_the_victims() {
        for line in lines() {
            assert_eq!(has(&line, 'K', "--kill"), line.how == How::Kill, "{line}");
            assert_eq!(has(&line, 'E', "--events"), line.how == How::Events, "{line}");
            if line.how == How::Kill {
                assert!(line.to_string().contains(":56"), "{line}: no port of a victim");
            }
        }
    }

    #[test]
    fn no_line_is_there_twice() {
        let mut seen = std::collections::HashSet::new();
        for line in lines() {
            assert!(seen.insert(line.to_string()), "{line}");
        }
        assert!(seen.len() > 200, "{}", seen.len());
    }
}
