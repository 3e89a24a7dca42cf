//! Parses numbers, amounts and words for numbers as values of fields, and checks them against
//! the range of the field.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "amounts of any size are compared as ratios; each cast is meant"
)]

use super::{Reader, Subject, matching};
use crate::cnum;
use crate::fields::{Int, Kind, Operand, Spelling};
use crate::filter::Transport;
use crate::filter::error::{FilterError, Mismatch, Remark};
use crate::filter::expr::Comparison;
use crate::filter::field_test::Wanted;
use crate::filter::quantity::{self, Amount};
use crate::filter::typed::Element;
use crate::model::Table;
use crate::model::words::by_spelling;

impl Reader<'_, '_> {
    /// Parses a number, an amount, or a word for a number.
    pub(super) fn number(
        &mut self,
        subject: &Subject<'_>,
        element: &Element,
    ) -> Result<Vec<Wanted>, FilterError> {
        let (kind, unit, text) = (subject.kind(), subject.named.unit(), element.text.as_slice());
        let words = kind.words();
        if let Some(number) = by_spelling(words, text).and_then(|word| word.number) {
            return Ok(vec![match kind {
                Kind::Flags(..) if !subject.is_ordered() => Wanted::Bits(number.into()),
                _ => Wanted::Whole(number.into()),
            }]);
        }
        let numbers: Vec<Wanted> = matching(element, words)
            .filter_map(|word| Some(Wanted::Whole(word.number?.into())))
            .filter(|_| !subject.is_ordered() && matches!(kind, Kind::Enum(..)))
            .collect();
        if !numbers.is_empty() {
            return Ok(numbers);
        }
        if let Some(Spelling::Printed(number)) = subject.named.spelling()
            && let Some(number) = number(text)
        {
            return Ok(vec![Wanted::Whole(number.into())]);
        }
        let number = cnum::scan(text, 0).filter(|n| n.len == text.len() && !n.overflow);
        let decimal = number.map(|n| if n.negative { -i128::from(n.magnitude) } else { n.magnitude.into() });
        let hex = match subject.named.spelling() {
            Some(Spelling::Hex) => cnum::scan(text, 16)
                .filter(|n| n.len == text.len() && !n.overflow && !n.negative && text.first() != Some(&b'+'))
                .map(|n| i128::from(n.magnitude)),
            _ => None,
        };
        let fits = |number: &i128| check_range(subject, text, *number as f64, 0.0).is_ok();
        match (decimal.filter(fits), hex.filter(fits)) {
            (Some(decimal), Some(hex)) if decimal != hex => {
                self.remarks.push(Remark::DecimalOrHex { field: subject.title(), value: text.to_vec() });
                let decimal = Wanted::Whole(decimal);
                return Ok(if subject.is_ordered() {
                    vec![decimal]
                } else {
                    vec![decimal, Wanted::Whole(hex)]
                });
            }
            (None, Some(hex)) => return Ok(vec![Wanted::Whole(hex)]),
            _ => {}
        }
        if let Some(number) = decimal {
            if number != 0 {
                check_unit(subject, text)?;
            }
            check_range(subject, text, number as f64, 0.0)?;
            return Ok(vec![Wanted::Whole(number)]);
        }
        if let Some(amount) = quantity::amount(text, unit) {
            return amount_of(subject, text, amount);
        }
        if let Some(Amount { amount, step }) = quantity::ratio(text) {
            if amount != 0.0 {
                check_unit(subject, text)?;
            }
            let step = if kind == Kind::Ratio { step } else { 0.0 };
            return amount_of(subject, text, Amount { amount, step });
        }
        if let Some(found) = self.name_of_number(subject, text)? {
            return Ok(found);
        }
        Err(match kind {
            Kind::Enum(..) | Kind::Flags(..) if !words.is_empty() => {
                subject.wrong(text, Mismatch::Words(words))
            }
            _ => FilterError::NotANumber { field: subject.named.field.name, value: text.to_vec() },
        })
    }

    /// Parses a name for a number, if the number is a port or a user.
    fn name_of_number(
        &mut self,
        subject: &Subject<'_>,
        text: &[u8],
    ) -> Result<Option<Vec<Wanted>>, FilterError> {
        if matches!(subject.named.spelling(), Some(Spelling::User)) {
            let user = self.ctx.lookups.user(text);
            let user = user.ok_or_else(|| subject.wrong(text, Mismatch::User))?;
            return Ok(Some(vec![Wanted::Whole(user.into())]));
        }
        let operand = subject.named.field.operand;
        if !matches!(operand, Some(Operand::LocalPort | Operand::RemotePort)) {
            return Ok(None);
        }
        let tables = self.ctx.tables;
        let mut of = |table, transport| {
            let shown = tables.is_empty() || tables.contains(table);
            if shown { self.ctx.lookups.service(text, transport) } else { None }
        };
        let tcp = of(Table::Tcp, Transport::Tcp);
        let port = tcp.or_else(|| of(Table::Udp, Transport::Udp));
        let port = port.or_else(|| self.ctx.lookups.rpc_service(text));
        Ok(port.map(|port| vec![Wanted::Whole(port.into())]))
    }
}

/// Fails if a time is given without a unit, neither in the value nor in the field's name.
fn check_unit(subject: &Subject<'_>, text: &[u8]) -> Result<(), FilterError> {
    if !subject.named.without_unit || !subject.named.unit().is_time() {
        return Ok(());
    }
    let (name, field) = (subject.name.as_bytes().to_vec(), subject.named.field.name);
    Err(FilterError::NoUnit { name, field, value: text.to_vec() })
}

/// Converts an amount, after checking it against the range of the field.
fn amount_of(
    subject: &Subject<'_>,
    text: &[u8],
    Amount { amount, step }: Amount,
) -> Result<Vec<Wanted>, FilterError> {
    // Decimal fractions are not exact in binary.
    let slack = step / 2.0 + amount.abs() * 1e-12;
    check_range(subject, text, amount, slack)?;
    let is_whole = subject.kind() != Kind::Ratio;
    let near = amount.round();
    if is_whole && (near - amount).abs() <= 1e-9 * amount.abs().max(1.0) && step <= 1.0 && amount.abs() < 1e30
    {
        return Ok(vec![Wanted::Whole(near as i128)]);
    }
    if is_whole && !subject.is_ordered() && (near - amount).abs() > slack {
        return Err(subject.wrong(text, Mismatch::Whole));
    }
    Ok(vec![Wanted::Amount { amount, slack }])
}

/// Fails if the comparison with this amount would hold for every value of the field, or for
/// none.
fn check_range(subject: &Subject<'_>, text: &[u8], amount: f64, slack: f64) -> Result<(), FilterError> {
    let int = match (subject.kind(), subject.is_ordered()) {
        // The range of a length.
        (Kind::Texts | Kind::Addrs | Kind::Records(_), _) | (Kind::Integers(_), true) => Int::of::<u64>(),
        _ => match subject.int {
            Some(int) => int,
            None => return Ok(()),
        },
    };
    // Beyond this range the comparison would hold for every value, or for none.
    let (least, most) = (int.min() as f64, int.max() as f64);
    let decides = match subject.comparison {
        _ if amount + slack < least || amount - slack > most => false,
        Comparison::Gt => amount < most,
        Comparison::Lt => amount > least,
        _ => true,
    };
    let why = || Mismatch::Range(int.min(), int.max(), subject.named.unit());
    if decides { Ok(()) } else { Err(subject.wrong(text, why())) }
}
