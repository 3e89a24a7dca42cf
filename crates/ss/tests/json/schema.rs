//! Validates lines and documents against the program's own schema.

use std::process::Command;

use jsonschema::Validator;
use serde_json::{Value, json};

/// The schema as the program prints it.
pub(crate) fn schema() -> Value {
    let out = Command::new(env!("CARGO_BIN_EXE_ss")).arg("--json-schema").output().expect("ours runs");
    assert!(out.status.success(), "{out:?}");
    serde_json::from_slice(&out.stdout).expect("JSON")
}

/// A validator for documents.
#[allow(dead_code, reason = "not every test has documents")]
pub(crate) fn of_documents() -> Validator {
    jsonschema::validator_for(&schema()).expect("a schema")
}

/// A validator for lines of `--jsonl`.
pub(crate) fn of_lines() -> Validator {
    let schema = schema();
    let line = json!({ "$schema": schema["$schema"], "$defs": schema["$defs"], "$ref": "#/$defs/line" });
    jsonschema::validator_for(&line).expect("a schema")
}

/// The lines of an output; panics if the validator rejects one.
pub(crate) fn lines(validator: &Validator, output: &[u8], what: &str) -> Vec<Value> {
    let lines = output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let text = String::from_utf8_lossy(line);
            let value: Value =
                serde_json::from_slice(line).unwrap_or_else(|error| panic!("{what}: {error}: {text}"));
            if let Some(error) = validator.iter_errors(&value).next() {
                panic!("{what}: {error} at {}: {text}", error.instance_path());
            }
            value
        })
        .collect()
}
