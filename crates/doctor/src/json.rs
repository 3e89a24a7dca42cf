//! Findings as one JSON document, and its schema.
//!
//! Invariant: within a version, names and meanings never change; additions are optional.

use serde::Serialize;
use serde_json::{Value, json};
use sockdiag_facts::fields::Unit;

use crate::engine::NotJudged;
use crate::finding::{Evidence, Finding};

/// The version of the document.
pub const SCHEMA_VERSION: u32 = 1;

/// What the doctor examined.
#[derive(Clone, Debug, Default, Serialize)]
pub struct About {
    /// Sockets that were judged.
    pub sockets: u64,
    /// The number of network namespaces.
    pub namespaces: u64,
    /// The number of rules.
    pub rules: u64,
}

#[derive(Serialize)]
struct Document<'d> {
    schema_version: u32,
    seconds: f64,
    looked_at: &'d About,
    findings: Vec<Found<'d>>,
    not_judged: Vec<Left<'d>>,
    could_not_see: &'d [String],
}

#[derive(Serialize)]
struct Left<'d> {
    id: &'d str,
    why: &'d str,
}

#[derive(Serialize)]
struct Found<'d> {
    id: &'d str,
    number: &'d str,
    severity: &'static str,
    title: &'d str,
    sentence: &'d str,
    subject: SubjectOf<'d>,
    sockets: u64,
    confidence: &'static str,
    quantity: Quantity<'d>,
    evidence: Vec<Item<'d>>,
    explains: Vec<Follows<'d>>,
    could_be: &'d str,
    next: &'d str,
    manual: &'d str,
}

#[derive(Serialize)]
struct SubjectOf<'d> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    netns: Option<&'d str>,
    fields: serde_json::Map<String, Value>,
    holders: &'d [String],
}

#[derive(Serialize)]
struct Quantity<'d> {
    name: &'d str,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<f64>,
    text: &'d str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    critical: Option<f64>,
}

#[derive(Serialize)]
struct Item<'d> {
    name: &'d str,
    value: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<f64>,
    text: &'d str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
}

#[derive(Serialize)]
struct Follows<'d> {
    id: &'d str,
    title: &'d str,
}

/// A number as JSON, without a decimal point if it is whole.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "whole numbers below 2^53 are exact both ways"
)]
fn number(number: f64) -> Value {
    const EXACT: f64 = (1_u64 << 53) as f64;
    if number.fract() == 0.0 && number.abs() < EXACT { json!(number as i64) } else { json!(number) }
}

fn value(evidence: &Evidence) -> Value {
    evidence.number.map_or_else(|| Value::String(evidence.text.clone()), number)
}

fn unit(unit: Unit) -> Option<&'static str> {
    unit.name()
}

fn found(finding: &Finding) -> Found<'_> {
    let fields = finding.fields.iter().map(|field| (field.name.clone(), value(field)));
    let item = |evidence: &'_ Evidence| -> (Value, Option<f64>, Option<&'static str>) {
        (value(evidence), evidence.error, unit(evidence.unit))
    };
    let evidence = finding.evidence.iter().map(|evidence| {
        let (value, error, unit) = item(evidence);
        Item { name: &evidence.name, value, error, text: &evidence.text, unit }
    });
    let quantity = &finding.quantity;
    Found {
        id: &finding.id,
        number: &finding.number,
        severity: finding.severity.word(),
        title: &finding.title,
        sentence: &finding.sentence,
        subject: SubjectOf {
            kind: finding.subject.word(),
            netns: finding.netns.as_deref(),
            fields: fields.collect(),
            holders: &finding.holders,
        },
        sockets: finding.sockets,
        confidence: finding.confidence.word(),
        quantity: Quantity {
            name: &quantity.name,
            value: quantity.value,
            error: quantity.error,
            text: &quantity.text,
            unit: unit(quantity.unit),
            warning: quantity.warning,
            critical: quantity.critical,
        },
        evidence: evidence.collect(),
        explains: finding.explains.iter().map(|(id, title)| Follows { id, title }).collect(),
        could_be: &finding.could_be,
        next: &finding.next,
        manual: &finding.manual,
    }
}

/// The document, with a final newline.
///
/// # Errors
/// None in practice: numbers are finite, and names are text.
pub fn document(
    seconds: f64,
    looked_at: &About,
    findings: &[Finding],
    not_judged: &[NotJudged],
    could_not_see: &[String],
) -> Result<String, serde_json::Error> {
    let document = Document {
        schema_version: SCHEMA_VERSION,
        seconds: (seconds * 1e3).round() / 1e3,
        looked_at,
        findings: findings.iter().map(found).collect(),
        not_judged: not_judged.iter().map(|left| Left { id: &left.id, why: &left.why }).collect(),
        could_not_see,
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// The schema of the document (JSON Schema, draft 2020-12).
pub fn schema() -> Value {
    let text = json!({ "type": "string" });
    let amount = json!({ "type": "number" });
    let count = json!({ "type": "integer", "minimum": 0 });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "sockdiag doctor",
        "type": "object",
        "required": ["schema_version", "seconds", "looked_at", "findings", "not_judged", "could_not_see"],
        "additionalProperties": false,
        "properties": {
            "schema_version": { "const": SCHEMA_VERSION },
            "seconds": { "type": "number", "minimum": 0 },
            "looked_at": {
                "type": "object",
                "required": ["sockets", "namespaces", "rules"],
                "additionalProperties": false,
                "properties": { "sockets": count, "namespaces": count, "rules": count },
            },
            "findings": { "type": "array", "items": {
                "type": "object",
                "required": ["id", "number", "severity", "title", "sentence", "subject", "sockets", "confidence",
                    "quantity", "evidence", "explains", "could_be", "next", "manual"],
                "additionalProperties": false,
                "properties": {
                    "id": { "type": "string", "pattern": "^[a-z0-9-]+$" },
                    "number": text,
                    "severity": { "enum": ["info", "warning", "critical"] },
                    "title": text,
                    "sentence": text,
                    "subject": {
                        "type": "object",
                        "required": ["kind", "fields", "holders"],
                        "additionalProperties": false,
                        "properties": {
                            "kind": { "enum": ["socket", "listener", "process", "destination", "namespace", "host"] },
                            "netns": text,
                            "fields": { "type": "object", "additionalProperties": { "type": ["string", "number"] } },
                            "holders": { "type": "array", "items": text },
                        },
                    },
                    "sockets": count,
                    "confidence": { "enum": ["low", "medium", "high"] },
                    "quantity": {
                        "type": "object",
                        "required": ["name", "value", "text"],
                        "additionalProperties": false,
                        "properties": {
                            "name": text, "value": amount, "error": amount, "text": text, "unit": text,
                            "warning": amount, "critical": amount,
                        },
                    },
                    "evidence": { "type": "array", "items": {
                        "type": "object",
                        "required": ["name", "value", "text"],
                        "additionalProperties": false,
                        "properties": {
                            "name": text, "value": { "type": ["string", "number"] }, "error": amount, "text": text,
                            "unit": text,
                        },
                    } },
                    "explains": { "type": "array", "items": {
                        "type": "object",
                        "required": ["id", "title"],
                        "additionalProperties": false,
                        "properties": { "id": text, "title": text },
                    } },
                    "could_be": text,
                    "next": text,
                    "manual": text,
                },
            } },
            "not_judged": { "type": "array", "items": {
                "type": "object",
                "required": ["id", "why"],
                "additionalProperties": false,
                "properties": { "id": text, "why": text },
            } },
            "could_not_see": { "type": "array", "items": text },
        },
    })
}
