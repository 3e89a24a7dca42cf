//! Any bytes are valid input: messages, attributes and nested attributes, intact or damaged,
//! are read to the end without a panic or a read outside the buffer.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

use sockdiag_wire::attr::{Attr, attrs, put};
use sockdiag_wire::bytecode::Op;
use sockdiag_wire::inet_diag::{INET_DIAG_MD5SIG, INET_DIAG_ULP_INFO, InetAttrs, InetDiagMsg, MSG_LEN};
use sockdiag_wire::netlink::{
    HEADER_LEN, Header, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLMSG_DONE, NLMSG_ERROR, SOCK_DIAG_BY_FAMILY,
    error_code, ext_ack, messages,
};
use sockdiag_wire::tipc_diag::TipcDiagMsg;
use sockdiag_wire::ulp::Ulp;
use sockdiag_wire::vsock_diag::VsockDiagMsg;
use sockdiag_wire::xdp_diag::XdpDiagMsg;

/// The number of rounds; reduced under Miri, which is a thousand times slower.
const fn rounds(all: usize) -> usize {
    if cfg!(miri) { all / 500 + 1 } else { all }
}

/// xorshift64: the same numbers on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 16) as usize % limit.max(1)
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 24) as u8).collect()
    }

    /// Generates an intact list of attributes; nested ones contain lists themselves.
    fn attrs(&mut self, depth: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for _ in 0..self.below(8) {
            let kind = self.below(26) as u16 | (self.next() as u16 & 0x8000);
            let payload = match self.below(4) {
                0 if depth > 0 => self.attrs(depth - 1),
                1 => vec![0; self.below(12)],
                // The sizes of the numbers and structures in real attributes.
                2 => {
                    let len = [1, 2, 4, 8, 16, 20, 36, 96, 100, 200, 256, 280, 368][self.below(13)];
                    self.bytes(len)
                }
                _ => {
                    let len = self.below(300);
                    self.bytes(len)
                }
            };
            put(&mut out, kind, &payload);
        }
        out
    }

    /// Generates an intact datagram.
    fn datagram(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        for _ in 0..self.below(4) {
            let kind = [SOCK_DIAG_BY_FAMILY, NLMSG_ERROR, NLMSG_DONE][self.below(3)];
            let flags = self.next() as u16 & (NLM_F_CAPPED | NLM_F_ACK_TLVS | 0x2);
            let fixed = if kind == SOCK_DIAG_BY_FAMILY { MSG_LEN } else { 4 + HEADER_LEN };
            let mut payload = self.bytes(fixed);
            payload.extend(self.attrs(3));
            let len = (HEADER_LEN + payload.len()) as u32;
            Header { len, kind, flags, seq: 1, pid: 2 }.encode(&mut out);
            out.extend(payload);
            out.resize(out.len().next_multiple_of(4), 0);
        }
        out
    }

    /// Flips, cuts or appends bytes, preferably where length fields are likely.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..self.below(6) {
            let at = self.below(bytes.len()) & !(self.below(4));
            let value = match self.below(3) {
                0 => 0xff,
                1 => self.below(8) as u8,
                _ => self.next() as u8,
            };
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        if self.below(2) == 0 {
            bytes.truncate(self.below(bytes.len() + 1));
        }
    }
}

/// Reads everything and returns the number of facts found.
fn read_all(bytes: &[u8]) -> usize {
    let mut found = 0;
    let mut rest = messages(bytes);
    for message in rest.by_ref() {
        assert!(within(bytes, message.payload));
        let ack = ext_ack(&message);
        assert!(ack.msg.is_none_or(|text| within(message.payload, text) && !text.contains(&0)));
        found += usize::from(error_code(message.payload).is_some()) + usize::from(ack.offset.is_some());
        if let Some(msg) = InetDiagMsg::new(message.payload) {
            assert_eq!(msg.id_bytes().len(), 48);
            found += usize::from(msg.cookie() != 0) + read_attrs(&msg.attrs());
        }
        found += read_others(message.payload);
        let fixed = message.payload.len().min(MSG_LEN);
        found += nested(&message.payload[fixed..], 4) + nested(message.payload, 4);
    }
    assert!(rest.remnant() <= bytes.len());
    assert!(rest.next().is_none(), "what ended goes on");
    found
}

/// Reads messages of the families that do not use inet_diag's layout.
fn read_others(payload: &[u8]) -> usize {
    let mut found = usize::from(VsockDiagMsg::new(payload).is_some_and(|msg| msg.cookie() != 0));
    if let Some(msg) = XdpDiagMsg::new(payload) {
        let rings = [msg.rx_ring(), msg.tx_ring(), msg.fill_ring(), msg.completion_ring()];
        found += rings.iter().flatten().filter(|ring| ring.entries().is_some()).count();
        found += usize::from(msg.umem().is_some_and(|umem| umem.refs().is_some()));
        found += usize::from(msg.stats().is_some_and(|stats| stats.tx_ring_empty().is_some()));
        found += usize::from(msg.info().is_some_and(|info| info.queue_id().is_some()));
        found += usize::from(msg.mem_info().is_some_and(|mem| mem.drops().is_some()));
        found += usize::from(msg.uid().is_some());
    }
    if let Some(msg) = TipcDiagMsg::new(payload) {
        let words = [msg.addr(), msg.reference(), msg.kind(), msg.ino(), msg.uid(), msg.tipc_state()];
        found += words.iter().flatten().count() + usize::from(msg.cookie().is_some());
        let con = msg.con().map(|con| [con.node(), con.sock(), con.service_type(), con.service_instance()]);
        let stat = msg.stat().map(|stat| [stat.rcvq(), stat.sendq(), stat.drop(), None]);
        found += con.into_iter().chain(stat).flatten().flatten().count();
        assert!(msg.group().is_none_or(|group| within(payload, group)));
    }
    found
}

/// Calls every accessor of a socket's attributes.
fn read_attrs(attrs: &InetAttrs<'_>) -> usize {
    let numbers = [
        attrs.tos().is_some(),
        attrs.tclass().is_some(),
        attrs.class_id().is_some(),
        attrs.shutdown().is_some(),
        attrs.protocol().is_some(),
        attrs.v6only().is_some(),
        attrs.mark().is_some(),
        attrs.cgroup_id().is_some(),
        attrs.bpf_storages().is_some_and(|items| items.clone().count() + items.deficits().count() > 0),
        attrs.congestion().is_some_and(|name| !name.contains(&0)),
        attrs
            .sockopt()
            .is_some_and(|options| options.names().count() == (options.bits() & 0x7ff).count_ones() as usize),
        attrs.tcp_info().is_some_and(|info| info.rtt_us().is_some() | info.options2().is_some()),
        attrs.mptcp_info().is_some_and(|info| info.last_ack_recv_ms().is_some()),
        attrs.sctp_info().is_some_and(|info| info.p_sockaddr().is_some()),
        attrs.vegas().is_some_and(|info| info.minrtt_us().is_some()),
        attrs.dctcp().is_some_and(|info| info.ab_tot().is_some()),
        attrs.bbr().is_some_and(|info| info.bw().is_some()),
        attrs.mem_info().is_some_and(|info| info.tmem().is_some()),
        attrs.sk_mem_info().is_some_and(|info| info.drops().is_some() == (info.len() >= 36)),
    ];
    let mut found = numbers.iter().filter(|read| **read).count();
    if let Some(payload) = attrs.get(INET_DIAG_MD5SIG) {
        for key in attrs.md5sigs().into_iter().flatten() {
            assert!(key.key().len() <= 80 && within(payload, key.key()));
            found += usize::from(key.family() != 0 || key.prefixlen() != 0 || key.addr() != [0; 16]);
        }
    }
    for list in [attrs.locals(), attrs.peers()] {
        found += list.into_iter().flatten().count();
    }
    if let Some(payload) = attrs.get(INET_DIAG_ULP_INFO) {
        found += read_ulp(Ulp::new(payload));
    }
    found
}

fn read_ulp(ulp: Ulp<'_>) -> usize {
    let tls = ulp.tls().map_or(0, |tls| {
        let words = [tls.version(), tls.cipher(), tls.txconf(), tls.rxconf(), tls.tx_max_payload_len()];
        words.iter().flatten().count() + usize::from(tls.zc_ro_tx()) + usize::from(tls.rx_no_pad())
    });
    let mptcp = ulp.mptcp().map_or(0, |m| {
        let words = [
            m.token_rem(),
            m.token_loc(),
            m.relwrite_seq(),
            m.map_sfseq(),
            m.ssn_offset(),
            m.map_datalen(),
            m.flags(),
        ];
        words.iter().flatten().count()
            + [m.id_rem(), m.id_loc()].iter().flatten().count()
            + usize::from(m.map_seq().is_some())
    });
    tls + mptcp + usize::from(ulp.name().is_some())
}

/// Reads the attributes recursively, even those that are not nested.
fn nested(bytes: &[u8], depth: usize) -> usize {
    let mut found = 0;
    let mut rest = attrs(bytes);
    for Attr { kind, payload } in rest.by_ref() {
        assert!(kind & 0x8000 == 0 && within(bytes, payload));
        found += 1 + usize::from(Op::parse(payload).is_some());
        if depth > 0 {
            found += nested(payload, depth - 1);
        }
    }
    assert!(rest.remnant() <= bytes.len() && rest.next().is_none());
    found
}

/// Whether `part` lies within `whole`.
fn within(whole: &[u8], part: &[u8]) -> bool {
    let (whole, part) = (whole.as_ptr_range(), part.as_ptr_range());
    part.start == part.end || (whole.start <= part.start && part.end <= whole.end)
}

#[test]
fn damaged_datagrams_are_read_to_their_end() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut found = 0;
    for _ in 0..rounds(20_000) {
        let mut bytes = random.datagram();
        let whole = messages(&bytes).map(|m| m.payload.len()).sum::<usize>();
        assert!(bytes.is_empty() || whole > 0);
        found += read_all(&bytes);
        random.damage(&mut bytes);
        found += read_all(&bytes);
    }
    assert!(found > rounds(300_000), "only {found} facts: the datagrams hold too little to test anything");
}

#[test]
fn noise_is_read_to_its_end() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for len in (0..2_000).step_by(2_000 / rounds(2_000)) {
        let mut bytes = random.bytes(len);
        // Small values make plausible lengths more frequent.
        let limit = 2 + random.below(64) as u8;
        bytes.iter_mut().skip(random.below(2)).step_by(1 + random.below(3)).for_each(|byte| *byte %= limit);
        read_all(&bytes);
        nested(&bytes, 4);
        read_attrs(&InetAttrs::parse(&bytes));
        read_ulp(Ulp::new(&bytes));
    }
}

#[test]
fn a_datagram_is_cut_anywhere() {
    let mut random = Random(0x1234_5678_9abc_def1);
    for _ in 0..rounds(20) {
        let bytes = random.datagram();
        for len in 0..=bytes.len() {
            read_all(&bytes[..len]);
        }
    }
}
