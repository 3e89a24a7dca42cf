//! Computes `struct tcp_info` from a record, as the kernel's `tcp_get_info` does.
//!
//! Most members are copies, listed in [`copied`]; the rest is computed here.  A kernel with
//! a longer `tcp_info` than is known here would report values that are not computed, so it
//! is refused.
//!
//! Source: linux/tcp.h, Linux 7.3; the kernel's own dumps of the same sockets.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "kernel integers are narrow; each cast is meant"
)]

use rustix::time::{ClockId, clock_gettime};
use sockdiag_wire::bpf::{Lookup, NotFound, Wanted};
use sockdiag_wire::socket::TCP_LISTEN;
use sockdiag_wire::tcp_info::{
    TCPI_ECN_MODE_ACCECN, TCPI_ECN_MODE_DISABLED, TCPI_ECN_MODE_PENDING, TCPI_ECN_MODE_RFC3168, TCPI_OPT_ECN,
    TCPI_OPT_ECN_SEEN, TCPI_OPT_SACK, TCPI_OPT_SYN_DATA, TCPI_OPT_TFO_CHILD, TCPI_OPT_TIMESTAMPS,
    TCPI_OPT_USEC_TS, TCPI_OPT_WSCALE, TcpInfo,
};

use super::jiffies::Hz;
use super::members::Member;
use super::record::Held;

/// The length of the longest known `tcp_info`, in bytes.
const LONGEST: usize = TcpInfo::LAYOUT.end();

/// The offset of a member of `tcp_info`, computed by the compiler.
macro_rules! at {
    ($name:literal) => {
        const { TcpInfo::LAYOUT.offset($name) }
    };
}

/// `RTAX_RTO_MIN` (linux/rtnetlink.h), as a bit of `RTAX_LOCK`.
const RTO_MIN_LOCKED: u32 = 1 << 13;

/// Bits of `ecn_flags`: ECN of RFC 3168, a mark was seen, accurate ECN.
const ECN_RFC3168: u64 = 1;
const ECN_SEEN: u64 = 1 << 3;
const ECN_ACCURATE: u64 = 1 << 4;

/// Values of `chrono_type`: bytes wait for an acknowledgement, the peer's window is full,
/// the send buffer is full.
const CHRONO_BUSY: u64 = 1;
const CHRONO_WINDOW: u64 = 2;
const CHRONO_BUFFER: u64 = 3;

/// The layout of the word about accurate ECN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EcnWord {
    /// There is none: before Linux 6.18.
    None,
    /// Two numbers of 16 bits: Linux 6.18 and 6.19.
    Pair,
    /// Bits: since Linux 7.0.
    Bits,
}

/// The form in which the running kernel reports `tcp_info`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// Its length in bytes.
    bytes: usize,
    ecn: EcnWord,
    /// Whether the delayed-acknowledgement timeout is limited: since Linux 6.6.
    ato_is_limited: bool,
}

impl Form {
    /// The types that [`Self::find`] needs.
    pub(super) const WANTED: [Wanted; 2] =
        [Wanted::structure("tcp_info"), Wanted::function("tcp_delack_max")];

    /// Finds out the form of the running kernel.
    ///
    /// # Errors
    /// `Err(None)` if the kernel reports more than is known here.
    pub(super) fn find(types: &Lookup<'_>) -> Result<Self, Option<NotFound>> {
        let has = |name| types.member("tcp_info", name).is_ok();
        let ecn = match (has("tcpi_ecn_mode"), has("tcpi_accecn_fail_mode")) {
            (true, _) => EcnWord::Bits,
            (false, true) => EcnWord::Pair,
            (false, false) => EcnWord::None,
        };
        let bytes = types.bytes("tcp_info").map_err(Some)? as usize;
        if bytes > LONGEST {
            return Err(None);
        }
        Ok(Self { bytes, ecn, ato_is_limited: types.function("tcp_delack_max").is_ok() })
    }
}

/// The struct that is being filled.
struct Info([u8; LONGEST]);

impl Info {
    fn put8(&mut self, at: usize, value: u64) {
        self.put(at, [value as u8]);
    }

    fn put16(&mut self, at: usize, value: u64) {
        self.put(at, (value as u16).to_ne_bytes());
    }

    fn put32(&mut self, at: usize, value: u32) {
        self.put(at, value.to_ne_bytes());
    }

    fn put64(&mut self, at: usize, value: u64) {
        self.put(at, value.to_ne_bytes());
    }

    #[inline]
    fn put<const N: usize>(&mut self, at: usize, value: [u8; N]) {
        if let Some(place) = self.0.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
            *place = value;
        }
    }
}

/// Passes the `tcp_info` of a full socket to `take`, in the kernel's length.
pub(super) fn write<T>(record: &Held<'_>, hz: Hz, form: Form, take: impl FnOnce(&[u8]) -> T) -> T {
    let mut info = Info([0; LONGEST]);
    let state = record.get(Member::State);
    info.put8(at!("tcpi_state"), state);
    info.put64(at!("tcpi_pacing_rate"), record.get(Member::PacingRate));
    info.put64(at!("tcpi_max_pacing_rate"), record.get(Member::MaxPacingRate));
    info.put32(at!("tcpi_reordering"), record.get32(Member::Reordering));
    info.put32(at!("tcpi_snd_cwnd"), record.get32(Member::SndCwnd));
    if state == u64::from(TCP_LISTEN) {
        info.put32(at!("tcpi_unacked"), record.get32(Member::AckBacklog));
        info.put32(at!("tcpi_sacked"), record.get32(Member::MaxAckBacklog));
    } else {
        connection(&mut info, record, hz, form);
    }
    take(info.0.get(..form.bytes).unwrap_or(&info.0))
}

/// The values that only connections have.
fn connection(info: &mut Info, record: &Held<'_>, hz: Hz, form: Form) {
    let get = |member| record.get(member);
    let get32 = |member| record.get32(member);
    info.put8(at!("tcpi_ca_state"), get(Member::CaState));
    info.put8(at!("tcpi_retransmits"), get(Member::Retransmits));
    info.put8(at!("tcpi_probes"), get(Member::ProbesOut));
    info.put8(at!("tcpi_backoff"), get(Member::Backoff));
    info.put8(at!("tcpi_options"), options(record).into());
    if get(Member::WscaleOk) != 0 {
        info.put8(at!("tcpi_snd_wscale"), get(Member::RcvWscale) << 4 | get(Member::SndWscale));
    }
    let flags = get(Member::FastopenClientFail) << 1 | u64::from(get(Member::RateAppLimited) != 0);
    info.put8(at!("tcpi_delivery_rate_app_limited"), flags);
    info.put32(at!("tcpi_rto"), hz.us(get32(Member::Rto)));
    info.put32(at!("tcpi_ato"), hz.us(ato(record, hz, form)));
    let now = record.jiffies();
    let ago = |member| hz.ms(hz.since(get32(member), now));
    info.put32(at!("tcpi_last_data_sent"), ago(Member::Lsndtime));
    info.put32(at!("tcpi_last_data_recv"), ago(Member::Lrcvtime));
    info.put32(at!("tcpi_last_ack_recv"), ago(Member::RcvTstamp));
    info.put32(at!("tcpi_rtt"), get32(Member::SrttUs) >> 3);
    info.put32(at!("tcpi_rttvar"), get32(Member::MdevUs) >> 2);
    info.put32(at!("tcpi_rcv_rtt"), get32(Member::RcvRttUs) >> 3);
    let not_sent = get32(Member::WriteSeq).wrapping_sub(get32(Member::SndNxt)) as i32;
    info.put32(at!("tcpi_notsent_bytes"), not_sent.max(0).unsigned_abs());
    copied(info, record);
    chronographs(info, record, hz);
    let (segments, interval) = (get(Member::RateDelivered), get(Member::RateIntervalUs));
    if segments != 0 && interval != 0 {
        let bytes = segments.wrapping_mul(get(Member::MssCache)).wrapping_mul(1_000_000);
        info.put64(at!("tcpi_delivery_rate"), bytes / interval);
    }
    info.put32(at!("tcpi_rehash"), get32(Member::PlbRehash).wrapping_add(get32(Member::TimeoutRehash)));
    info.put16(at!("tcpi_total_rto"), get(Member::TotalRto));
    info.put16(at!("tcpi_total_rto_recoveries"), get(Member::TotalRtoRecoveries));
    let mut rto_ms = get32(Member::TotalRtoTime);
    if get(Member::RtoStamp) != 0 {
        rto_ms = rto_ms.wrapping_add(now_ms().wrapping_sub(get32(Member::RtoStamp)));
    }
    info.put32(at!("tcpi_total_rto_time"), rto_ms);
    accurate_ecn(info, record, form.ecn);
}

/// Members that are copied unchanged.
fn copied(info: &mut Info, record: &Held<'_>) {
    macro_rules! copy {
        ($put:ident, $get:ident: $($name:literal = $member:ident;)+) => {
            $(info.$put(at!($name), record.$get(Member::$member));)+
        };
    }
    copy! { put32, get32:
        "tcpi_snd_mss" = MssCache;
        "tcpi_rcv_mss" = RcvMss;
        "tcpi_unacked" = PacketsOut;
        "tcpi_sacked" = SackedOut;
        "tcpi_lost" = LostOut;
        "tcpi_retrans" = RetransOut;
        "tcpi_pmtu" = PmtuCookie;
        "tcpi_rcv_ssthresh" = RcvSsthresh;
        "tcpi_snd_ssthresh" = SndSsthresh;
        "tcpi_advmss" = Advmss;
        "tcpi_rcv_space" = RcvqSpace;
        "tcpi_total_retrans" = TotalRetrans;
        "tcpi_segs_out" = SegsOut;
        "tcpi_segs_in" = SegsIn;
        "tcpi_min_rtt" = RttMin;
        "tcpi_data_segs_in" = DataSegsIn;
        "tcpi_data_segs_out" = DataSegsOut;
        "tcpi_delivered" = Delivered;
        "tcpi_delivered_ce" = DeliveredCe;
        "tcpi_dsack_dups" = DsackDups;
        "tcpi_reord_seen" = ReordSeen;
        "tcpi_rcv_ooopack" = RcvOoopack;
        "tcpi_snd_wnd" = SndWnd;
        "tcpi_rcv_wnd" = RcvWnd;
        "tcpi_received_ce" = ReceivedCe;
        "tcpi_delivered_e1_bytes" = DeliveredE1Bytes;
        "tcpi_delivered_e0_bytes" = DeliveredE0Bytes;
        "tcpi_delivered_ce_bytes" = DeliveredCeBytes;
        "tcpi_received_e1_bytes" = ReceivedE1Bytes;
        "tcpi_received_e0_bytes" = ReceivedE0Bytes;
        "tcpi_received_ce_bytes" = ReceivedCeBytes;
    }
    copy! { put64, get:
        "tcpi_bytes_acked" = BytesAcked;
        "tcpi_bytes_received" = BytesReceived;
        "tcpi_bytes_sent" = BytesSent;
        "tcpi_bytes_retrans" = BytesRetrans;
    }
}

/// The negotiated options, `TCPI_OPT_*`.
fn options(record: &Held<'_>) -> u8 {
    let is = |member| record.get(member) != 0;
    let ecn = record.get(Member::EcnFlags);
    [
        (is(Member::TimestampOk), TCPI_OPT_TIMESTAMPS),
        (is(Member::TimestampOk) && is(Member::UsecTs), TCPI_OPT_USEC_TS),
        (is(Member::SackOk), TCPI_OPT_SACK),
        (is(Member::WscaleOk), TCPI_OPT_WSCALE),
        (ecn & (ECN_RFC3168 | ECN_ACCURATE) != 0, TCPI_OPT_ECN),
        (ecn & ECN_SEEN != 0, TCPI_OPT_ECN_SEEN),
        (is(Member::SynDataAcked), TCPI_OPT_SYN_DATA),
        (is(Member::FastopenChild), TCPI_OPT_TFO_CHILD),
    ]
    .into_iter()
    .fold(0, |options, (is, option)| if is { options | option } else { options })
}

/// The delayed-acknowledgement timeout, in ticks.
fn ato(record: &Held<'_>, hz: Hz, form: Form) -> u32 {
    let ato = record.get32(Member::Ato);
    if !form.ato_is_limited {
        return ato;
    }
    // The route's value, if it is locked: `ip route ... rto_min lock`.
    let rto_min = if record.get32(Member::RouteLocks) & RTO_MIN_LOCKED == 0 {
        record.get32(Member::RtoMin)
    } else {
        hz.of_ms(record.get32(Member::RouteRtoMin))
    };
    let most = (rto_min.max(2) - 1).min(record.get32(Member::DelackMax));
    ato.min(most)
}

/// How long the connection was busy, and for which reasons.
fn chronographs(info: &mut Info, record: &Held<'_>, hz: Hz) {
    let running = record.get(Member::ChronoType);
    let lasted = u64::from(hz.since(record.get32(Member::ChronoStart), record.jiffies()));
    let times = [
        (CHRONO_BUSY, Member::ChronoBusy),
        (CHRONO_WINDOW, Member::ChronoWindow),
        (CHRONO_BUFFER, Member::ChronoBuffer),
    ]
    .map(|(kind, member)| (record.get(member) + if kind == running { lasted } else { 0 }) * hz.us_of_tick());
    let [_, window, buffer] = times;
    info.put64(at!("tcpi_busy_time"), times.iter().sum());
    info.put64(at!("tcpi_rwnd_limited"), window);
    info.put64(at!("tcpi_sndbuf_limited"), buffer);
}

fn accurate_ecn(info: &mut Info, record: &Held<'_>, word: EcnWord) {
    let (failed, seen) = (record.get(Member::AccecnFailMode), record.get(Member::SawAccecnOpt));
    let place = at!("tcpi_ecn_mode");
    match word {
        EcnWord::None => {}
        EcnWord::Pair => {
            info.put16(place, failed);
            info.put16(place + 2, seen);
        }
        EcnWord::Bits => {
            let ecn = record.get(Member::EcnFlags);
            let mode = match (ecn & ECN_RFC3168 != 0, ecn & ECN_ACCURATE != 0) {
                (false, false) => TCPI_ECN_MODE_DISABLED,
                (true, false) => TCPI_ECN_MODE_RFC3168,
                (false, true) => TCPI_ECN_MODE_ACCECN,
                (true, true) => TCPI_ECN_MODE_PENDING,
            };
            info.put32(place, u32::from(mode) | (seen as u32) << 2 | (failed as u32) << 4);
        }
    }
}

/// The kernel's clock for timeouts, in milliseconds.
fn now_ms() -> u32 {
    let now = clock_gettime(ClockId::Monotonic);
    (now.tv_sec.wrapping_mul(1_000).wrapping_add(now.tv_nsec / 1_000_000)).cast_unsigned() as u32
}
