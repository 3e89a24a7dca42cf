//! The values in front of each row: the frame number of a repeated listing, and its time.
//!
//! CSV and TSV have them as the first columns, JSON as the first members of each object.
//! Aligned output omits them, since the line above the table shows them.

/// A name and a value that are the same for all rows of a listing.
#[derive(Clone, Debug)]
struct Item {
    name: &'static str,
    value: String,
    is_number: bool,
}

/// Names and values that precede those of the row.
#[derive(Clone, Debug, Default)]
pub struct Lead(Vec<Item>);

impl Lead {
    /// Appends a number.
    #[must_use]
    pub fn number(mut self, name: &'static str, number: u64) -> Self {
        self.0.push(Item { name, value: number.to_string(), is_number: true });
        self
    }

    /// Appends a text.
    #[must_use]
    pub fn text(mut self, name: &'static str, text: &str) -> Self {
        self.0.push(Item { name, value: text.to_owned(), is_number: false });
        self
    }

    /// The names, as cells.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&[u8], bool)> {
        self.0.iter().map(|item| (item.name.as_bytes(), false))
    }

    /// The values, as cells, and whether each is a number.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&[u8], bool)> {
        self.0.iter().map(|item| (item.value.as_bytes(), item.is_number))
    }

    /// The members for a JSON object, each followed by a comma.
    pub(crate) fn members(&self) -> Vec<u8> {
        let mut members = Vec::new();
        for Item { name, value, is_number } in &self.0 {
            let text = |text: &str| serde_json::to_string(text).unwrap_or_default();
            let value = if *is_number { value.clone() } else { text(value) };
            members.extend_from_slice(format!("{}:{value},", text(name)).as_bytes());
        }
        members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_json() {
        let lead = Lead::default().number("frame", 3).text("time", "a \"day\"");
        assert_eq!(lead.members(), br#""frame":3,"time":"a \"day\"","#);
        assert!(Lead::default().members().is_empty());
    }
}
