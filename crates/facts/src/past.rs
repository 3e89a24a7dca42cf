//! Values from earlier observations of a socket, as far as some field reads them.
//!
//! A socket that is observed repeatedly has a row each time, with a [`Past`]: when the socket
//! was first seen, and the [`Earlier`] counters of the previous observation.  The fields that
//! are read determine the [`CounterSet`] to keep; [`Slots`] assigns each counter its place
//! among the words kept for a socket, so that a lookup is an index.
//!
//! Invariant: a gain is never invented.  If a counter restarted, was not reported or may have
//! wrapped twice, its gain is unknown.
//!
//! Source: `struct tcp_info` (linux/tcp.h) for the widths; RFC 1982.

#![allow(clippy::cast_possible_truncation, reason = "a counter is kept in as many words as its width has")]

use sockdiag_wire::tcp_info::TcpInfo;

use crate::ending::LastSeen;
use crate::model::{Socket, Window};
use crate::rate::{Estimate, Span, gain};

/// A counter that is kept from one observation to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Counter {
    /// `tcpi_bytes_sent`.
    BytesSent,
    /// `tcpi_bytes_received`.
    BytesReceived,
    /// `tcpi_bytes_acked`.
    BytesAcked,
    /// `tcpi_bytes_retrans`.
    BytesRetrans,
    /// `tcpi_segs_out`.
    SegsOut,
    /// `tcpi_segs_in`.
    SegsIn,
    /// `tcpi_data_segs_out`.
    DataSegsOut,
    /// `tcpi_total_retrans`.
    TotalRetrans,
    /// `tcpi_dsack_dups`.
    DsackDups,
    /// `tcpi_busy_time`, in microseconds.
    BusyTime,
    /// `tcpi_rwnd_limited`, in microseconds.
    RwndLimited,
    /// `tcpi_sndbuf_limited`, in microseconds.
    SndbufLimited,
    /// `SK_MEMINFO_DROPS`.
    Drops,
    /// `tcpi_delivered_ce`.
    DeliveredCe,
    /// `tcpi_reord_seen`.
    ReordSeen,
    /// `tcpi_rcv_ooopack`.
    RcvOoopack,
    /// `tcpi_total_rto_time`, in milliseconds.
    TotalRtoTime,
    /// `idiag_rqueue`, a level that rises and falls rather than a counter.
    RecvQ,
}

bit_set! {
    /// The counters that are kept.
    CounterSet(u32) of Counter
}

impl CounterSet {
    /// The set with this mask.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

/// The properties of a counter.
struct Facts {
    counter: Counter,
    /// The number of bits that are kept.  The kernel's times have 64; 32 bits of microseconds
    /// suffice for an hour between two observations.
    bits: u8,
    /// The maximum gain per second.
    most_per_s: u64,
    read: Reads,
}

/// Where the counter is read from.
enum Reads {
    Info(for<'a> fn(TcpInfo<'a>) -> Option<u64>),
    Socket(for<'a> fn(&Socket<'a>) -> Option<u64>),
}

/// Eight terabits per second: more than any link that a socket uses.
const MOST_BYTES: u64 = 1_000_000_000_000;
/// The number of segments of 500 bytes that such a link carries per second.
const MOST_SEGMENTS: u64 = 250_000_000;
/// A second has no more microseconds.
const MOST_MICROSECONDS: u64 = 1_000_000;
/// A second has no more milliseconds.
const MOST_MILLISECONDS: u64 = 1000;

macro_rules! counters {
    ($($counter:ident $bits:literal $most:ident $method:ident $(as $wider:ident)?,)*
     ; $($late:ident $most_late:ident $method_late:ident,)*) => {
        /// Every counter, by number.
        const COUNTERS: &[Facts] = &[$(Facts {
            counter: Counter::$counter,
            bits: $bits,
            most_per_s: $most,
            read: Reads::Info(|info| info.$method()$(.map($wider::from))?),
        },)* Facts {
            counter: Counter::Drops,
            bits: 32,
            most_per_s: MOST_SEGMENTS,
            read: Reads::Socket(|socket| Some(socket.sk_mem_info()?.drops()?.into())),
        }, $(Facts {
            counter: Counter::$late,
            bits: 32,
            most_per_s: $most_late,
            read: Reads::Info(|info| info.$method_late().map(u64::from)),
        },)* Facts {
            counter: Counter::RecvQ,
            bits: 32,
            most_per_s: MOST_BYTES,
            read: Reads::Socket(|socket| socket.told_recv_q().map(u64::from)),
        }];
    };
}

counters! {
    BytesSent 64 MOST_BYTES bytes_sent,
    BytesReceived 64 MOST_BYTES bytes_received,
    BytesAcked 64 MOST_BYTES bytes_acked,
    BytesRetrans 64 MOST_BYTES bytes_retrans,
    SegsOut 32 MOST_SEGMENTS segs_out as u64,
    SegsIn 32 MOST_SEGMENTS segs_in as u64,
    DataSegsOut 32 MOST_SEGMENTS data_segs_out as u64,
    TotalRetrans 32 MOST_SEGMENTS total_retrans as u64,
    DsackDups 32 MOST_SEGMENTS dsack_dups as u64,
    BusyTime 32 MOST_MICROSECONDS busy_time_us,
    RwndLimited 32 MOST_MICROSECONDS rwnd_limited_us,
    SndbufLimited 32 MOST_MICROSECONDS sndbuf_limited_us,
    ;
    DeliveredCe MOST_SEGMENTS delivered_ce,
    ReordSeen MOST_SEGMENTS reord_seen,
    RcvOoopack MOST_SEGMENTS rcv_ooopack,
    TotalRtoTime MOST_MILLISECONDS total_rto_time_ms,
}

const _: () = {
    let mut at = 0;
    while at < COUNTERS.len() {
        assert!(COUNTERS[at].counter as usize == at, "counters are listed by number");
        at += 1;
    }
};

/// The number of counters.
const MOST_COUNTERS: usize = COUNTERS.len();

/// The number of 32-bit words for all counters together, plus one word that records which of
/// the later counters a socket had.
pub const MOST_WORDS: usize = 23;

/// The counters whose presence is recorded outside these words; a word records that of the
/// later ones.
pub const EARLY: CounterSet = CounterSet::from_bits(0x0fff);

/// 64-bit counters that never decrease while the socket has the same connection.
const NEVER_FALL: [Counter; 4] =
    [Counter::BytesSent, Counter::BytesReceived, Counter::BytesAcked, Counter::BytesRetrans];

/// The assumed minimum average size of data segments: the default of RFC 9293, section 3.7.1.
const SMALL_SEGMENT: u64 = 536;

impl Counter {
    fn facts(self) -> &'static Facts {
        // In range: there is one entry for each counter, as checked above.
        &COUNTERS[self as usize]
    }

    /// Reads the counter from `tcp_info`; `None` if it is not stored there.
    pub fn read(self, info: TcpInfo<'_>) -> Option<u64> {
        match self.facts().read {
            Reads::Info(read) => read(info),
            Reads::Socket(_) => None,
        }
    }

    /// Reads the counter from `tcp_info` or from the socket.
    pub fn read_of(self, socket: &Socket<'_>) -> Option<u64> {
        match self.facts().read {
            Reads::Info(read) => read(socket.tcp_info()?),
            Reads::Socket(read) => read(socket),
        }
    }

    /// The number of bits that are kept.
    pub fn bits(self) -> u32 {
        self.facts().bits.into()
    }

    fn words(self) -> usize {
        usize::from(self.facts().bits / 32)
    }
}

/// The places of the kept counters among the words of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    wanted: CounterSet,
    at: [u8; MOST_COUNTERS],
    words: u8,
    /// The word that records which of the later counters a socket had.
    mask_at: Option<u8>,
}

impl Slots {
    /// Assigns consecutive places to these counters.
    pub fn of(wanted: CounterSet) -> Self {
        let (mut at, mut words) = ([0; MOST_COUNTERS], 0);
        for (facts, at) in COUNTERS.iter().zip(&mut at).filter(|(facts, _)| wanted.contains(facts.counter)) {
            *at = words;
            words += facts.counter.words() as u8;
        }
        let is_late = !wanted.minus(EARLY).is_empty();
        let mask_at = is_late.then_some(words);
        Self { wanted, at, words: words + u8::from(is_late), mask_at }
    }

    /// The counters that have a place.
    pub const fn wanted(&self) -> CounterSet {
        self.wanted
    }

    /// The number of words kept for each socket.
    pub fn words(&self) -> usize {
        self.words.into()
    }

    /// Stores the counters of `tcp_info` in the socket's words; returns which were reported.
    pub fn keep(&self, info: TcpInfo<'_>, words: &mut [u32]) -> CounterSet {
        self.keep_read(words, |counter| counter.read(info))
    }

    /// Like [`Self::keep`], for all counters that the socket reports.
    pub fn keep_of(&self, socket: &Socket<'_>, words: &mut [u32]) -> CounterSet {
        let info = socket.tcp_info();
        self.keep_read(words, |counter| match (&counter.facts().read, info) {
            (Reads::Info(read), Some(info)) => read(info),
            (Reads::Info(_), None) => None,
            (Reads::Socket(read), _) => read(socket),
        })
    }

    fn keep_read(&self, words: &mut [u32], read: impl Fn(Counter) -> Option<u64>) -> CounterSet {
        let mut had = CounterSet::EMPTY;
        for facts in COUNTERS.iter().filter(|facts| self.wanted.contains(facts.counter)) {
            let Some(number) = read(facts.counter) else { continue };
            let at = usize::from(self.at[facts.counter as usize]);
            match words.get_mut(at..at + facts.counter.words()) {
                Some([low]) => *low = number as u32,
                Some([low, high]) => (*low, *high) = (number as u32, (number >> 32) as u32),
                _ => continue,
            }
            had = had.union(CounterSet::only(facts.counter));
        }
        if let Some(place) = self.mask_at.and_then(|at| words.get_mut(usize::from(at))) {
            *place = had.minus(EARLY).bits();
        }
        had
    }

    /// Copies counters from words with another layout, if the socket `had` them; returns those
    /// that have a place here.
    pub fn take_over(&self, words: &mut [u32], from: &Self, kept: &[u32], had: CounterSet) -> CounterSet {
        self.keep_read(words, |counter| from.had(counter, kept, had))
    }

    /// The later counters that a socket had, according to its words.
    pub fn late(&self, words: &[u32]) -> CounterSet {
        let mask = self.mask_at.and_then(|at| words.get(usize::from(at))).copied().unwrap_or(0);
        CounterSet::from_bits(mask).minus(EARLY)
    }

    /// The kept value of a counter, if the socket had it.
    fn had(&self, counter: Counter, words: &[u32], had: CounterSet) -> Option<u64> {
        had.contains(counter).then(|| self.get(counter, words)).flatten()
    }

    fn get(&self, counter: Counter, words: &[u32]) -> Option<u64> {
        let at = usize::from(self.at[counter as usize]);
        match words.get(at..at + counter.words())? {
            [low] => Some((*low).into()),
            [low, high] => Some(u64::from(*high) << 32 | u64::from(*low)),
            _ => None,
        }
    }
}

/// The previous observation of a socket.
#[derive(Clone, Copy, Debug)]
pub struct Earlier<'a> {
    /// When it was read.
    pub window: Window,
    /// The places of the counters in `words`.
    pub slots: &'a Slots,
    /// The counters.
    pub words: &'a [u32],
    /// The counters that the socket had.
    pub had: CounterSet,
}

impl Earlier<'_> {
    fn counter(&self, counter: Counter) -> Option<u64> {
        self.slots.had(counter, self.words, self.had)
    }
}

/// Earlier observations of the socket of a row.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    /// When the row's numbers were read.
    pub window: Window,
    /// When the socket was first seen, in nanoseconds since boot.
    pub first_seen_ns: u64,
    /// Whether the socket did not exist at the observation before it was first seen.
    pub opening_seen: bool,
    /// The previous observation; `None` if this is the first.
    pub earlier: Option<Earlier<'a>>,
    /// What was known before the socket ended, if this is its last row.
    pub ended: Option<LastSeen>,
}

impl Past<'_> {
    /// The time since the previous observation.
    pub fn span(&self) -> Option<Span> {
        Span::between(self.earlier?.window, self.window)
    }

    /// The gain of a counter since the previous observation.
    pub fn gain(&self, counter: Counter, info: TcpInfo<'_>) -> Option<u64> {
        let (earlier, span) = (self.earlier?, self.span()?);
        let (before, now) = (earlier.counter(counter)?, counter.read(info)?);
        let gained = gain(counter.bits(), before, now, span.most_gain(counter.facts().most_per_s))?;
        let mut moved = 0_u64;
        for of in NEVER_FALL {
            if let (Some(before), Some(now)) = (earlier.counter(of), of.read(info)) {
                // Another connection has used the socket since: every counter restarted.
                moved = moved.saturating_add(now.checked_sub(before)?);
            }
        }
        let may_wrap_twice = match counter.facts().most_per_s {
            MOST_SEGMENTS => moved / SMALL_SEGMENT > 1 << counter.bits(),
            MOST_MICROSECONDS => span.most_ns() / 1000 > 1 << counter.bits(),
            _ => false,
        };
        (!may_wrap_twice).then_some(gained)
    }

    /// The gain of a counter from any source since the previous observation.
    pub fn gain_of(&self, counter: Counter, socket: &Socket<'_>) -> Option<u64> {
        let (earlier, span) = (self.earlier?, self.span()?);
        let (before, now) = (earlier.counter(counter)?, counter.read_of(socket)?);
        gain(counter.bits(), before, now, span.most_gain(counter.facts().most_per_s))
    }

    /// The previous value of a level that rises and falls.
    pub fn was(&self, counter: Counter) -> Option<u64> {
        self.earlier?.counter(counter)
    }

    /// The gain of a counter per second since the previous observation.
    pub fn rate(&self, counter: Counter, info: TcpInfo<'_>) -> Option<Estimate> {
        Some(Estimate::per_second(self.gain(counter, info)?, self.span()?))
    }

    /// The time since the socket was first seen, in milliseconds; `None` if it was seen only
    /// when it ended.
    pub fn age_ms(&self) -> Option<u64> {
        let seen_ns = self.window.end_ns().saturating_sub(self.first_seen_ns);
        (seen_ns > 0 || self.ended.is_none()).then_some(seen_ns / 1_000_000)
    }
}

/// A past that owns its data and outlives the observation.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnedPast {
    window: Window,
    first_seen_ns: u64,
    opening_seen: bool,
    earlier: Option<(Window, Slots, Box<[u32]>, CounterSet)>,
    ended: Option<LastSeen>,
}

impl OwnedPast {
    /// Copies a borrowed past.
    pub fn of(past: &Past<'_>) -> Self {
        let Past { window, first_seen_ns, opening_seen, earlier, ended } = *past;
        let earlier = earlier.map(|earlier| {
            let Earlier { window, slots, words, had } = earlier;
            (window, *slots, words.into(), had)
        });
        Self { window, first_seen_ns, opening_seen, earlier, ended }
    }

    /// Borrows it.
    pub fn lend(&self) -> Past<'_> {
        let earlier = self.earlier.as_ref();
        Past {
            window: self.window,
            first_seen_ns: self.first_seen_ns,
            opening_seen: self.opening_seen,
            earlier: earlier.map(|(window, slots, words, had)| Earlier {
                window: *window,
                slots,
                words,
                had: *had,
            }),
            ended: self.ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: CounterSet = CounterSet::of(&[
        Counter::BytesSent,
        Counter::BytesReceived,
        Counter::BytesAcked,
        Counter::BytesRetrans,
        Counter::SegsOut,
        Counter::SegsIn,
        Counter::DataSegsOut,
        Counter::TotalRetrans,
        Counter::DsackDups,
        Counter::BusyTime,
        Counter::RwndLimited,
        Counter::SndbufLimited,
    ]);

    /// A `tcp_info` with these counters, given as offsets and values.
    fn info(numbers: &[(usize, u64)]) -> [u8; 280] {
        let mut bytes = [0; 280];
        for (at, number) in numbers {
            // Narrow counters are written as eight bytes, too, so one has to be given before the
            // counter that lies behind it.
            bytes[*at..at + 8].copy_from_slice(&number.to_ne_bytes());
        }
        bytes
    }

    const ACKED: usize = 120;
    const SEGS_OUT: usize = 136;
    const BUSY: usize = 168;

    fn gained(counter: Counter, before: &[u8], now: &[u8], seconds: u64) -> Option<u64> {
        let slots = Slots::of(ALL);
        let mut words = [0; MOST_WORDS];
        let had = slots.keep(TcpInfo::new(before), &mut words);
        let then = Window::new(1_000_000_000, 1_000_000_100);
        let at = 1_000_000_000 + seconds * 1_000_000_000;
        let earlier = Some(Earlier { window: then, slots: &slots, words: &words, had });
        let past = Past {
            window: Window::new(at, at + 50),
            first_seen_ns: 1,
            opening_seen: false,
            earlier,
            ended: None,
        };
        past.gain(counter, TcpInfo::new(now))
    }

    #[test]
    fn every_counter_has_its_own_place() {
        let slots = Slots::of(ALL);
        assert_eq!(slots.words() + 7, MOST_WORDS);
        let bytes: Vec<u8> = (0..280_u32).map(|at| (at * 7 % 251) as u8).collect();
        let info = TcpInfo::new(&bytes);
        let mut words = [0; MOST_WORDS];
        assert_eq!(slots.keep(info, &mut words), ALL);
        for facts in COUNTERS.iter().filter(|facts| EARLY.contains(facts.counter)) {
            let mask = if facts.bits == 64 { u64::MAX } else { u32::MAX.into() };
            let want = facts.counter.read(info).map(|number| number & mask);
            assert_eq!(slots.get(facts.counter, &words), want, "{:?}", facts.counter);
        }
        let late = Slots::of(CounterSet::only(Counter::Drops).union(CounterSet::only(Counter::ReordSeen)));
        assert_eq!(late.words(), 3, "two, and which of them there are");
        let few = Slots::of(CounterSet::of(&[Counter::SegsOut, Counter::BytesAcked]));
        assert_eq!(few.words(), 3);
        let had = few.keep(TcpInfo::new(&bytes[..130]), &mut words);
        assert_eq!(had, CounterSet::only(Counter::BytesAcked), "an old kernel's is shorter");
        assert_eq!(few.keep(info, &mut [0; 2]), CounterSet::only(Counter::BytesAcked), "no room is no panic");
    }

    #[test]
    fn narrow_counters_wrap_and_wide_ones_say_when_not() {
        let before = info(&[(ACKED, 1 << 40), (SEGS_OUT, u32::MAX.into())]);
        let wrapped = info(&[(ACKED, (1 << 40) + 5000), (SEGS_OUT, 9)]);
        assert_eq!(gained(Counter::SegsOut, &before, &wrapped, 1), Some(10));
        assert_eq!(gained(Counter::BytesAcked, &before, &wrapped, 1), Some(5000));
        let anew = info(&[(ACKED, 5000), (SEGS_OUT, 9)]);
        for counter in [Counter::SegsOut, Counter::BytesAcked, Counter::SegsIn, Counter::BusyTime] {
            assert_eq!(gained(counter, &before, &anew, 1), None, "{counter:?} started anew");
        }
    }

    #[test]
    fn what_may_have_wrapped_twice_is_not_known() {
        let before = info(&[(ACKED, 0), (SEGS_OUT, 5)]);
        let now = info(&[(ACKED, 600 << 32), (SEGS_OUT, 9)]);
        assert_eq!(gained(Counter::SegsOut, &before, &now, 3600), None);
        assert_eq!(gained(Counter::BytesAcked, &before, &now, 3600), Some(600 << 32));
        let now = info(&[(ACKED, 500 << 32), (SEGS_OUT, 9)]);
        assert_eq!(gained(Counter::SegsOut, &before, &now, 3600), Some(4));
        let busy = |us| info(&[(BUSY, us)]);
        assert_eq!(gained(Counter::BusyTime, &busy(u64::from(u32::MAX)), &busy(1 << 32), 1), Some(1));
        assert_eq!(gained(Counter::BusyTime, &busy(1), &busy(1 << 32 | 2), 5000), None, "more than an hour");
        assert_eq!(gained(Counter::BusyTime, &busy(0), &busy(2_000_000), 1), None, "more than passed");
    }

    #[test]
    fn a_first_look_has_no_rate() {
        let bytes = info(&[]);
        let window = Window::new(5_000_000, 7_000_000);
        let past = Past { window, first_seen_ns: 2_000_000, opening_seen: false, earlier: None, ended: None };
        assert_eq!(past.gain(Counter::BytesSent, TcpInfo::new(&bytes)), None);
        assert_eq!(past.age_ms(), Some(5));
        // A socket that opened and ended between two observations has no known age, not even
        // 0.
        let ended = Some(LastSeen::default());
        assert_eq!(Past { first_seen_ns: 7_000_000, ended, ..past }.age_ms(), None);
        assert_eq!(Past { first_seen_ns: 7_000_000, ..past }.age_ms(), Some(0));
    }
}
