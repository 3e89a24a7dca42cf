//! Keys, and the help text of each.

/// A key, whichever bytes the terminal sends for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named as it is printed on the key")]
pub enum Key {
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Escape,
    Tab,
    Backspace,
    Delete,
    Char(char),
    /// A letter with the control key.
    Control(char),
    /// A mouse click on this column and line, counted from 0.
    Click(u16, u16),
    WheelUp,
    WheelDown,
}

/// A line of help about keys.
#[derive(Clone, Copy, Debug)]
pub struct KeyHelp {
    /// The keys.
    pub keys: &'static str,
    /// Their effect.
    pub doc: &'static str,
}

const fn key(keys: &'static str, doc: &'static str) -> KeyHelp {
    KeyHelp { keys, doc }
}

/// Every key of the list, in the order of help.
pub const KEYS: &[KeyHelp] = &[
    key("Up Down PgUp PgDn Home End", "move"),
    key("Click Wheel", "select a line, scroll (needs --mouse)"),
    key("/", "edit the filter (ss filter language); Tab completes, an empty line removes the filter"),
    key("< >", "sort by the next column to the left or right"),
    key("r", "reverse the sort order"),
    key("o", "sort by any field, chosen from a list"),
    key("c", "choose columns from a list of all fields"),
    key("1-9", "preset columns: traffic, latency, loss, queues, memory, limits, endings, findings"),
    key("g G", "next grouping, previous grouping"),
    key("b", "group by any field, chosen from a list"),
    key("Enter", "details of a socket; unfold or fold a group"),
    key("Space", "pause, resume"),
    key("Left Right", "step back and forth through the stored snapshots"),
    key("n", "numbers, port names, or host and port names"),
    key("y Y", "copy as an ss filter (y) or as JSON (Y), by OSC 52"),
    key("s", "save the listed sockets as JSONL"),
    key("k", "kill the socket, after confirmation"),
    key("? h", "this help"),
    key("Esc", "back"),
    key("q", "quit"),
];
