//! Which parts of an output change while nothing happens.
//!
//! Only these are masked: the numbers of `lastsnd`, `lastrcv`, `lastack`, `last_data_sent`,
//! `last_data_recv`, `last_ack_recv` and `busy`; numbers and percentages of `rwnd_limited` and
//! `sndbuf_limited`; the time in `timer:(NAME,TIME,COUNT)`; blanks at the ends of lines, since
//! the last column is as wide as its longest text.

/// The text before a number that grows.
const GROWING: &[&str] =
    &["lastsnd:", "lastrcv:", "lastack:", "last_data_sent:", "last_data_recv:", "last_ack_recv:", "busy:"];
/// The text before `NUMBERms(SHARE%)`.
const SHARES: &[&str] = &["rwnd_limited:", "sndbuf_limited:"];
const TIMER: &str = "timer:(";

/// The output with `#` for each masked part.
pub fn mask(bytes: &[u8]) -> Vec<u8> {
    let mut masked = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let (line, end) = match line.strip_suffix(b"\n") {
            Some(line) => (line, &b"\n"[..]),
            None => (line, &b""[..]),
        };
        mask_line(line, &mut masked);
        let kept = masked.iter().rposition(|byte| *byte != b' ').map_or(0, |at| at + 1);
        masked.truncate(kept);
        masked.extend_from_slice(end);
    }
    masked
}

fn mask_line(mut rest: &[u8], masked: &mut Vec<u8>) {
    while let Some((first, others)) = rest.split_first() {
        let starts =
            |words: &[&'static str]| words.iter().find(|word| rest.starts_with(word.as_bytes())).copied();
        let (word, skipped): (&str, fn(u8) -> bool) = if let Some(word) = starts(GROWING) {
            (word, |byte| byte.is_ascii_digit())
        } else if let Some(word) = starts(SHARES) {
            (word, |byte| byte.is_ascii_digit() || b"ms(.%)".contains(&byte))
        } else if rest.starts_with(TIMER.as_bytes()) {
            let name = rest.iter().position(|byte| *byte == b',').map_or(rest.len(), |at| at + 1);
            let (name, after) = rest.split_at(name);
            masked.extend_from_slice(name);
            masked.push(b'#');
            rest = after
                .get(after.iter().position(|byte| *byte == b',').unwrap_or(after.len())..)
                .unwrap_or_default();
            continue;
        } else {
            masked.push(*first);
            rest = others;
            continue;
        };
        masked.extend_from_slice(word.as_bytes());
        masked.push(b'#');
        rest = rest.get(word.len()..).unwrap_or_default();
        while let Some((first, others)) = rest.split_first()
            && skipped(*first)
        {
            rest = others;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_depends_on_time_is_masked() {
        let masked = |text: &str| String::from_utf8(mask(text.as_bytes())).unwrap();
        assert_eq!(
            masked(
                "a timer:(on,2.140sec,0) ino:7  \n\t cubic lastsnd:12 lastack:3 busy:40ms(x) unacked:1\nend "
            ),
            "a timer:(on,#,0) ino:7\n\t cubic lastsnd:# lastack:# busy:#ms(x) unacked:1\nend"
        );
        assert_eq!(
            masked("rwnd_limited:8ms(99.5%) sndbuf_limited:0ms(0.0%) x"),
            "rwnd_limited:# sndbuf_limited:# x"
        );
        assert_eq!(masked("timer:(keepalive,120min,0)"), "timer:(keepalive,#,0)");
        // A timer with an empty time, one that is cut off, and a text with nothing to mask.
        assert_eq!(masked("timer:(timewait,,0)"), "timer:(timewait,#,0)");
        assert_eq!(masked("timer:(on"), "timer:(on#");
        let plain = "tcp ESTAB 0 0 127.0.0.1:80 rto:204 rtt:0.1/0.2\n\n x\n";
        assert_eq!(masked(plain), plain);
    }
}
