//! Notices from look-ups: during the listing, and at its end.

use super::{Cgroups, Enricher, Identities, Interfaces, NetlinkNames, Peers, Processes, Workloads};
use crate::notice::Notice;
use crate::sys::nss::take_unasked;

impl Enricher {
    /// Whether there are new notices about rows since the last call.
    pub(crate) fn has_row_notices(&self) -> bool {
        self.bpf_maps.has_notices() || self.cgroups.as_ref().is_some_and(Cgroups::has_notices)
    }

    /// The notices about rows since the last call.
    pub(crate) fn take_row_notices(&mut self) -> impl Iterator<Item = Notice> + use<> {
        let notices = self.cgroups.as_mut().map(Cgroups::take_notices).unwrap_or_default();
        let notices =
            notices.into_iter().flat_map(|(notice, times)| std::iter::repeat_n(notice, times as usize));
        notices.chain(self.bpf_maps.take_notices())
    }

    /// The notices since the last call.
    pub(crate) fn take_notices(&mut self) -> impl Iterator<Item = Notice> + use<> {
        let netlink = self.netlink.as_mut().map(NetlinkNames::take_notices).unwrap_or_default();
        let cgroups = self.take_row_notices();
        let processes = self.processes.as_mut().map(Processes::take_notices).unwrap_or_default();
        let left_out = self.peers.as_mut().map_or(0, Peers::take_left_out);
        let peers = (left_out > 0).then_some(Notice::PeersLeftOut { sockets: left_out });
        let identities = self.identities.as_mut().map(Identities::take_notices).unwrap_or_default();
        let workloads = self.workloads.as_mut().map(Workloads::take_notices).unwrap_or_default();
        let interfaces = self.scoped.interfaces_mut().map(Interfaces::take_notices).into_iter().flatten();
        let around = peers.into_iter().chain(identities).chain(workloads);
        interfaces.chain(netlink).chain(cgroups).chain(processes).chain(around)
    }

    /// The notices about values that rows lacked, at the end of a listing.
    pub(crate) fn take_missing(&mut self) -> impl Iterator<Item = Notice> + use<> {
        let processes = self.processes.as_mut().map(Processes::take_missing).unwrap_or_default();
        let elsewhere = std::mem::take(&mut self.elsewhere);
        let elsewhere = (elsewhere > 0).then_some(Notice::PeersElsewhere { sockets: elsewhere });
        let unheld = std::mem::take(&mut self.unheld);
        let unheld = (unheld > 0).then_some(Notice::PeersUnheld { sockets: unheld });
        processes.into_iter().chain(elsewhere).chain(unheld).chain(take_unasked())
    }
}
