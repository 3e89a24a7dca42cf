//! Rebuilds the text of `ss -taniHO` from JSON alone, which proves that JSON loses nothing.
//!
//! Runs of blanks count as one, because the width of columns is not a property of a socket.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "small, known numbers; each cast is meant"
)]

use std::fmt::Write as _;

use serde_json::Value;

/// The line of a TCP socket, with the tokens of `-i` if `info`.
pub(crate) fn line(socket: &Value, info: bool) -> String {
    let s = &socket["socket"];
    let mut text = format!(
        "{} {} {} {} {}",
        word(&s["state"]),
        queue(&s["recv_q"]),
        queue(&s["send_q"]),
        end(socket, "local"),
        end(socket, "remote")
    );
    if info {
        memory(&mut text, socket);
        internals(&mut text, &socket["tcp"], socket);
    }
    squeeze(&text)
}

/// Replaces runs of blanks by one.
pub(crate) fn squeeze(line: &str) -> String {
    line.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// A queue as ss prints it.
fn queue(value: &Value) -> String {
    value.as_u64().map_or_else(|| "none".to_owned(), |queue| queue.to_string())
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn end(socket: &Value, which: &str) -> String {
    let end = &socket[which];
    // For an IPv4-mapped address, the text shows the IPv6 form that the socket has.
    let addr = if end["mapped_addr"].is_null() { &end["addr"] } else { &end["mapped_addr"] };
    let mut text = match word(addr) {
        "::" if number(&socket["socket"]["v6only"]) == 0 => "*".to_owned(),
        addr if addr.contains(':') => format!("[{addr}]"),
        addr => addr.to_owned(),
    };
    if !end["interface"].is_null() {
        let _ = write!(text, "%{}", word(&end["interface_name"]));
    }
    match number(&end["port"]) {
        0 => text.push_str(":*"),
        port => _ = write!(text, ":{port}"),
    }
    text
}

fn memory(text: &mut String, socket: &Value) {
    let mem = &socket["mem"];
    if mem["rmem_alloc"].is_null() {
        return;
    }
    let mut lead = " skmem:(";
    for (letter, key) in [
        ("r", "rmem_alloc"),
        ("rb", "rcvbuf"),
        ("t", "wmem_alloc"),
        ("tb", "sndbuf"),
        ("f", "fwd_alloc"),
        ("w", "wmem_queued"),
        ("o", "optmem"),
        ("bl", "backlog"),
        ("d", "drops"),
    ] {
        if !mem[key].is_null() {
            let _ = write!(text, "{lead}{letter}{}", mem[key]);
            lead = ",";
        }
    }
    text.push(')');
}

/// `%g` of microseconds as milliseconds; times here have at most six digits.
fn millis(us: u64) -> String {
    if us < 1_000_000 { format!("{}", us as f64 / 1000.0) } else { general(us as f64 / 1000.0) }
}

/// `%g` of a number of at least 1.
fn general(value: f64) -> String {
    let digits = value.log10().floor() as i32 + 1;
    if digits > 6 {
        let text = format!("{value:.5e}");
        let (mantissa, exponent) = text.split_once('e').expect("it has one");
        let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
        return format!("{mantissa}e+{exponent:0>2}");
    }
    let text = format!("{value:.*}", (6 - digits) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn rate(bytes: f64) -> String {
    format!("{:.0}bps", bytes * 8.0)
}

fn internals(text: &mut String, tcp: &Value, socket: &Value) {
    if !tcp["congestion"].is_null() && !tcp["rto_us"].is_null() {
        let _ = write!(text, " {}", word(&tcp["congestion"]));
    }
    let get = |key: &str| number(&tcp[key]);
    let nonzero = |name: &str, key: &str| match get(key) {
        0 => String::new(),
        value => format!(" {name}:{value}"),
    };
    if tcp["wscale"] == true {
        let _ = write!(text, " wscale:{},{}", tcp["snd_wscale"], tcp["rcv_wscale"]);
    }
    if !matches!(get("rto_us"), 0 | 3_000_000) {
        let _ = write!(text, " rto:{}", millis(get("rto_us")));
    }
    *text += &nonzero("backoff", "backoff");
    if get("rtt_us") != 0 {
        let _ = write!(text, " rtt:{}/{}", millis(get("rtt_us")), millis(get("rttvar_us")));
    }
    if get("ato_us") != 0 {
        let _ = write!(text, " ato:{}", millis(get("ato_us")));
    }
    for (name, key) in [
        ("mss", "snd_mss"),
        ("pmtu", "pmtu"),
        ("rcvmss", "rcv_mss"),
        ("advmss", "advmss"),
        ("cwnd", "snd_cwnd"),
    ] {
        *text += &nonzero(name, key);
    }
    if (1..0xffff).contains(&get("snd_ssthresh")) {
        *text += &nonzero("ssthresh", "snd_ssthresh");
    }
    for key in [
        "bytes_sent",
        "bytes_retrans",
        "bytes_acked",
        "bytes_received",
        "segs_out",
        "segs_in",
        "data_segs_out",
        "data_segs_in",
    ] {
        *text += &nonzero(key, key);
    }
    algorithms(text, socket);
    if let Some(bytes) = tcp["send_rate_bytes_per_s"].as_f64() {
        let _ = write!(text, " send {}", rate(bytes));
    }
    for (name, key) in
        [("lastsnd", "last_data_sent_ms"), ("lastrcv", "last_data_recv_ms"), ("lastack", "last_ack_recv_ms")]
    {
        *text += &nonzero(name, key);
    }
    let limited = |key: &str| Some(get(key)).filter(|rate| !matches!(*rate, 0 | u64::MAX));
    if let Some(pacing) = limited("pacing_rate_bytes_per_s") {
        let _ = write!(text, " pacing_rate {}", rate(pacing as f64));
        if let Some(most) = limited("max_pacing_rate_bytes_per_s") {
            let _ = write!(text, "/{}", rate(most as f64));
        }
    }
    if get("delivery_rate_bytes_per_s") != 0 {
        let _ = write!(text, " delivery_rate {}", rate(get("delivery_rate_bytes_per_s") as f64));
    }
    *text += &nonzero("delivered", "delivered");
    *text += &nonzero("delivered_ce", "delivered_ce");
    if tcp["app_limited"] == true {
        *text += " app_limited";
    }
    let busy = get("busy_time_us");
    if busy != 0 {
        let _ = write!(text, " busy:{}ms", busy / 1000);
        for (name, key) in [("rwnd_limited", "rwnd_limited_us"), ("sndbuf_limited", "sndbuf_limited_us")] {
            if get(key) != 0 {
                let share = 100.0 * get(key) as f64 / busy as f64;
                let _ = write!(text, " {name}:{}ms({share:.1}%)", get(key) / 1000);
            }
        }
    }
    *text += &nonzero("unacked", "unacked");
    if get("retrans") != 0 || get("total_retrans") != 0 {
        let _ = write!(text, " retrans:{}/{}", get("retrans"), get("total_retrans"));
    }
    *text += &nonzero("lost", "lost");
    if socket["socket"]["state"] != "LISTEN" {
        *text += &nonzero("sacked", "sacked");
    }
    *text += &nonzero("dsack_dups", "dsack_dups");
    *text += &nonzero("fackets", "fackets");
    if !tcp["rto_us"].is_null() && get("reordering") != 3 {
        let _ = write!(text, " reordering:{}", get("reordering"));
    }
    *text += &nonzero("reord_seen", "reord_seen");
    if get("rcv_rtt_us") != 0 {
        let _ = write!(text, " rcv_rtt:{}", millis(get("rcv_rtt_us")));
    }
    *text += &nonzero("rcv_space", "rcv_space");
    *text += &nonzero("rcv_ssthresh", "rcv_ssthresh");
    *text += &nonzero("notsent", "notsent_bytes");
    if !matches!(get("min_rtt_us"), 0 | 0xffff_ffff) {
        let _ = write!(text, " minrtt:{}", millis(get("min_rtt_us")));
    }
    for key in ["rcv_ooopack", "snd_wnd", "rcv_wnd", "rehash"] {
        *text += &nonzero(key, key);
    }
    above(text, socket);
}

/// Congestion-control algorithms that report details.
fn algorithms(text: &mut String, socket: &Value) {
    let dctcp = &socket["dctcp"];
    if number(&dctcp["enabled"]) != 0 {
        let _ = write!(
            text,
            " dctcp:(ce_state:{},alpha:{},ab_ecn:{},ab_tot:{})",
            dctcp["ce_state"], dctcp["alpha"], dctcp["ab_ecn"], dctcp["ab_tot"]
        );
    } else if !dctcp["enabled"].is_null() {
        *text += " dctcp:fallback_mode";
    }
    let bbr = &socket["bbr"];
    if !bbr["bw_bytes_per_s"].is_null() {
        let _ = write!(
            text,
            " bbr:(bw:{},mrtt:{}",
            rate(number(&bbr["bw_bytes_per_s"]) as f64),
            millis(number(&bbr["min_rtt_us"]))
        );
        for key in ["pacing_gain", "cwnd_gain"] {
            if number(&bbr[key]) != 0 {
                let gain = number(&bbr[key]) as f64 / 256.0;
                let gain = if gain < 1.0 { format!("{gain:.6}") } else { general(gain) };
                let gain =
                    if gain.contains('.') { gain.trim_end_matches('0').trim_end_matches('.') } else { &gain };
                let _ = write!(text, ",{key}:{gain}");
            }
        }
        text.push(')');
    }
}

/// A key as ss prints it: octal escapes for ambiguous bytes.
fn secret(key: &Value) -> String {
    let bytes: Vec<u8> = match key["key_hex"].as_str() {
        Some(hex) => (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hexadecimal"))
            .collect(),
        None => word(&key["key"]).bytes().collect(),
    };
    let escaped = bytes.iter().map(|byte| match byte {
        b'\\' | b',' => format!("\\{byte:03o}"),
        0x21..0x7f => char::from(*byte).to_string(),
        _ => format!("\\{byte:03o}"),
    });
    escaped.collect()
}

/// MD5 keys and upper-layer protocols (ULP).
fn above(text: &mut String, socket: &Value) {
    for (at, key) in socket["tcp"]["md5_keys"].as_array().into_iter().flatten().enumerate() {
        let lead = if at == 0 { " md5keys:" } else { "," };
        let _ = write!(text, "{lead}{}/{}={}", word(&key["addr"]), key["prefixlen"], secret(key));
    }
    if let Some(name) = socket["ulp"]["name"].as_str() {
        let _ = write!(text, " tcp-ulp-{name}");
    }
    let tls = &socket["tls"];
    match tls["version"].as_u64() {
        Some(0x303) => *text += " version: 1.2",
        Some(0x304) => *text += " version: 1.3",
        other => assert_eq!(other, None),
    }
    match tls["cipher"].as_u64() {
        Some(51) => *text += " cipher: aes-gcm-128",
        Some(52) => *text += " cipher: aes-gcm-256",
        _ => {}
    }
    for key in ["rxconf", "txconf"] {
        if let Some(conf) = tls[key].as_u64() {
            let _ = write!(text, " {key}: {}", ["none", "sw", "hw", "hw-record"][conf as usize - 1]);
        }
    }
    if tls["zc_ro_tx"] == true {
        *text += " zc_ro_tx";
    }
    if tls["rx_no_pad"] == true {
        *text += " no_pad_rx";
    }
    let subflow = &socket["subflow"];
    if let Some(flags) = subflow["flags"].as_u64().filter(|flags| *flags != 0) {
        *text += " flags:";
        text.extend("MmJjBbecv".chars().enumerate().filter(|(bit, _)| flags >> bit & 1 != 0).map(|(_, c)| c));
    }
    if !subflow["token_rem"].is_null() {
        let hex = |key: &str| format!("{:04x}", number(&subflow[key]));
        let _ = write!(
            text,
            " token:{}(id:{})/{}(id:{})",
            hex("token_rem"),
            subflow["id_rem"],
            hex("token_loc"),
            subflow["id_loc"]
        );
    }
    for (name, key) in
        [("seq", "map_seq"), ("sfseq", "map_sfseq"), ("ssnoff", "ssn_offset"), ("maplen", "map_datalen")]
    {
        let value = &subflow[key];
        if !value.is_null() {
            let _ =
                write!(text, " {name}:{}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
    }
}
