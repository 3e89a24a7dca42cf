//! Chooses the columns that fit on the screen.
//!
//! Invariant: the sort column is shown as long as any column fits; otherwise the line above
//! the columns still names it.

use sockdiag_facts::fields::without_unit;

use crate::group;
use crate::menu::CHOSEN;
use crate::shot::{Cell, Mark, Shot};
use crate::state::{COUNT, Line, State};
use crate::text::width;

/// A column as it is drawn: one field, or an address with its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Drawn {
    pub(crate) title: String,
    pub(crate) name: String,
    /// The column's index in the shot.
    pub(crate) column: Option<usize>,
    /// Indices of the port, shown after the address, and of the service name.
    pub(crate) port: Option<(Option<usize>, Option<usize>)>,
    /// The index of the host name.
    pub(crate) host: Option<usize>,
    pub(crate) is_number: bool,
    pub(crate) is_sorted: bool,
    /// The priority when room is short: the column with the largest value goes first.
    gives_way: u8,
    /// The index of the column that says how the socket ended, shown here once it did.
    ended: Option<usize>,
}

/// The field that says how a socket ended, and the field in whose column it is shown.
pub(crate) const ENDED: &str = "socket.ended";
const STATE: &str = "socket.state";

/// The header of a column: the field's name without the unit that its cells show.
fn title(name: &str) -> String {
    let short = name.rsplit('.').next().unwrap_or(name);
    let (short, per_second) = match short.strip_suffix("_per_s") {
        Some(short) => (short, "/s"),
        None => (short, ""),
    };
    let short = short.strip_prefix("bytes_").unwrap_or(short);
    let short = without_unit(short).unwrap_or(short);
    match name {
        "netns.title" => "netns".to_owned(),
        "socket.processes.comm" => "process".to_owned(),
        _ => format!("{short}{per_second}"),
    }
}

impl State {
    /// The columns of the view, in their order.
    pub(crate) fn drawn(&self, shot: &Shot) -> Vec<Drawn> {
        let mut drawn: Vec<Drawn> = Vec::new();
        let sort = self.sort.as_ref().map(|(name, _)| name.as_str());
        let mut names = self.columns().iter().peekable();
        let preset = self.view.presets.get(self.preset);
        let are_chosen = preset.is_some_and(|preset| preset.name == CHOSEN);
        let begun = |name: &str| {
            let column = shot.column(name);
            let is_number = column.and_then(|column| shot.choice(column)).is_some_and(|it| it.is_number());
            Drawn {
                title: title(name),
                name: name.to_owned(),
                column,
                port: None,
                host: None,
                is_number,
                is_sorted: sort == Some(name),
                gives_way: if is_number { 4 } else { 6 },
                ended: None,
            }
        };
        while let Some(name) = names.next() {
            // It is shown in the column of the state.
            if name == ENDED && self.columns().iter().any(|name| name == STATE) {
                continue;
            }
            let mut it = begun(name);
            match name.as_str() {
                "local.addr" | "remote.addr" => {
                    let which = name.split('.').next().unwrap_or_default();
                    which.clone_into(&mut it.title);
                    it.gives_way = if which == "remote" { 1 } else { 5 };
                    let port = format!("{which}.port");
                    if names.next_if(|next| **next == port).is_some() {
                        it.is_sorted |= sort == Some(&port);
                        let named = |what: &str| {
                            let name = format!("{which}.{what}");
                            self.names.fields().contains(&name.as_str()).then(|| shot.column(&name)).flatten()
                        };
                        it.host = named("host");
                        it.port = Some((shot.column(&port), named("service")));
                    }
                }
                STATE => {
                    it.ended = shot.column(ENDED);
                    it.gives_way = 2;
                    if sort == Some(ENDED) && self.columns().iter().any(|name| name == ENDED) {
                        it.is_sorted = true;
                        "ended".clone_into(&mut it.title);
                    }
                }
                ENDED => it.gives_way = 2,
                "socket.netid" => it.gives_way = 9,
                "netns.title" => it.gives_way = 7,
                "socket.processes" | "socket.processes.comm" => it.gives_way = 3,
                // A process id says less than the name next to it.
                "socket.processes.pid" => it.gives_way = 8,
                // The user chose this column.
                _ if are_chosen => it.gives_way = 1,
                _ => {}
            }
            if it.is_sorted {
                it.gives_way = 0;
            }
            drawn.push(it);
        }
        // The sort column is always visible.
        let of_preset = preset.filter(|_| !are_chosen).and_then(|preset| preset.sort.as_ref());
        if let Some((name, _)) = &self.sort
            && of_preset.is_none_or(|(known, _)| known != name)
            && drawn.iter().all(|it| !it.is_sorted)
            && name != COUNT
        {
            let it = Drawn { is_sorted: true, gives_way: 0, ..begun(name) };
            let before_holders = drawn.iter().position(|it| it.name.starts_with("socket.processes"));
            drawn.insert(before_holders.unwrap_or(drawn.len()), it);
        }
        if self.grouped.is_some() && self.unfolded.is_empty() {
            // Other columns are empty for groups.
            drawn.retain(|it| it.is_number || it.is_sorted);
        }
        drawn
    }

    /// The text of a column in a line; the total for a group.
    pub(crate) fn text(&self, shot: &Shot, line: Line, drawn: &Drawn) -> String {
        let row = match line {
            Line::Row(row) => row as usize,
            Line::Group(at) => {
                let group = self.groups.get(at as usize);
                let text = |column| group.and_then(|group| group::text(shot, group, column));
                return drawn.column.filter(|_| drawn.is_number).and_then(text).unwrap_or_default();
            }
        };
        let mut text = Vec::new();
        let is_gone = shot.entries().get(row).is_some_and(|entry| matches!(entry.mark, Mark::Gone(_)));
        if let Some(ended) = drawn.ended.filter(|_| is_gone || drawn.title == "ended")
            && shot.put(&mut text, row, ended)
        {
            return String::from_utf8_lossy(&text).into_owned();
        }
        let column = drawn.column.unwrap_or(usize::MAX);
        match drawn.port {
            None => _ = shot.put(&mut text, row, column),
            Some((port, service)) => {
                let named = drawn.host.is_some_and(|host| shot.put(&mut text, row, host));
                let is_v6 = !named && matches!(shot.cell(row, column), Cell::V6(_));
                if is_v6 {
                    text.push(b'[');
                }
                let known = named || shot.put(&mut text, row, column);
                if is_v6 {
                    text.push(b']');
                }
                let ports = [service, port].into_iter().flatten();
                let mut port_text = Vec::new();
                for port in ports {
                    if shot.put(&mut port_text, row, port) {
                        break;
                    }
                }
                if known || !port_text.is_empty() {
                    text.push(b':');
                    text.extend_from_slice(&port_text);
                }
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// The maximum width of a column.
fn most(drawn: &Drawn) -> u16 {
    match drawn.name.as_str() {
        "local.addr" | "remote.addr" => 47,
        "socket.processes" | "socket.processes.comm" => 60,
        _ if drawn.is_number => 14,
        _ => 24,
    }
}

impl Drawn {
    /// Its minimum width: text may be cut, numbers and most addresses may not.
    fn least(&self) -> u16 {
        match self.port {
            _ if self.is_number => u16::MAX,
            Some(_) => 21,
            // The distinguishing part of these words is at their end.
            None if self.name == STATE || self.name == ENDED => 14,
            None => 12,
        }
    }
}

/// The desired width of each column: that of its widest cell.
pub(crate) fn wishes(columns: &[Drawn], cells: &[Vec<String>]) -> Vec<u16> {
    let each = columns.iter().enumerate().map(|(at, drawn)| {
        let cells = cells.iter().filter_map(|line| line.get(at)).map(|cell| width(cell));
        // Room for the sort mark after the title.
        let widest = cells.chain([width(&drawn.title) + 1]).max().unwrap_or(0);
        u16::try_from(widest).unwrap_or(u16::MAX).min(most(drawn))
    });
    each.collect()
}

/// The columns that fit, by index, with their widths.
pub(crate) fn fit(columns: &[Drawn], wishes: &[u16], room: u16) -> Vec<(usize, u16)> {
    let mut by_weight: Vec<usize> = (0..columns.len()).collect();
    by_weight.sort_by_key(|at| columns.get(*at).map_or(u8::MAX, |drawn| drawn.gives_way));
    let mut left = room;
    let mut fits: Vec<(usize, u16)> = Vec::new();
    for at in by_weight {
        let (Some(wish), Some(drawn)) = (wishes.get(at).copied(), columns.get(at)) else { continue };
        let gap = u16::from(!fits.is_empty());
        let least = wish.min(drawn.least());
        if left < least + gap && gap > 0 {
            continue;
        }
        let width = least.min(left);
        left -= width + gap;
        fits.push((at, width));
    }
    // The remaining width goes to texts, the most important first.
    for (at, width) in &mut fits {
        let more = wishes.get(*at).map_or(0, |wish| wish.saturating_sub(*width)).min(left);
        *width += more;
        left -= more;
    }
    fits.sort_by_key(|(at, _)| *at);
    fits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(name: &str, is_number: bool, gives_way: u8) -> Drawn {
        let (title, name) = (title(name), name.to_owned());
        Drawn {
            title,
            name,
            column: None,
            port: None,
            host: None,
            is_number,
            is_sorted: gives_way == 0,
            gives_way,
            ended: None,
        }
    }

    #[test]
    fn titles_leave_out_what_cells_say() {
        for (name, want) in [
            ("rate.bytes_sent_per_s", "sent/s"),
            ("rate.retrans_per_s", "retrans/s"),
            ("goodput_bytes_per_s", "goodput/s"),
            ("tcp.rtt_us", "rtt"),
            ("tcp.bytes_sent", "sent"),
            ("netns.title", "netns"),
            ("socket.processes.comm", "process"),
            ("socket.processes.pid", "pid"),
        ] {
            assert_eq!(title(name), want);
        }
    }

    #[test]
    fn the_order_keeps_its_column() {
        let columns =
            [drawn("socket.netid", false, 8), drawn("remote.addr", false, 1), drawn("tcp.rtt_us", true, 0)];
        let wishes = [5, 20, 9];
        assert_eq!(fit(&columns, &wishes, 80), [(0, 5), (1, 20), (2, 9)]);
        assert_eq!(fit(&columns, &wishes, 30), [(0, 5), (1, 14), (2, 9)]);
        assert_eq!(fit(&columns, &wishes, 27), [(1, 17), (2, 9)]);
        assert_eq!(fit(&columns, &wishes, 24), [(1, 14), (2, 9)]);
        assert_eq!(fit(&columns, &wishes, 12), [(2, 9)]);
        assert_eq!(fit(&columns, &wishes, 4), [(2, 4)]);
    }
}
