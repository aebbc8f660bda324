//! As much of JSON Schema draft 7 as the schema uses, and a panic for anything else. `.ci/run` asks two other validators.

use regex::Regex;
use serde_json::Value;

pub(crate) struct Validator {
    root: Value,
}

impl Validator {
    pub(crate) fn of(schema: Value) -> Validator {
        Validator { root: schema }
    }

    /// Path and keyword of everything that is wrong.
    pub(crate) fn errors(&self, instance: &Value) -> Vec<String> {
        let mut errors = Vec::new();
        self.check(&self.root, instance, "", &mut errors);
        errors
    }

    fn is_valid(&self, schema: &Value, instance: &Value) -> bool {
        let mut errors = Vec::new();
        self.check(schema, instance, "", &mut errors);
        errors.is_empty()
    }

    fn check(&self, schema: &Value, instance: &Value, path: &str, errors: &mut Vec<String>) {
        for (keyword, value) in schema.as_object().unwrap() {
            let holds = match keyword.as_str() {
                "$schema" | "title" | "description" | "definitions" | "then" => true,
                "type" => has_type(value, instance),
                "enum" => value.as_array().unwrap().contains(instance),
                "const" => value == instance,
                "pattern" => {
                    let pattern = Regex::new(value.as_str().unwrap()).unwrap();
                    instance.as_str().is_none_or(|text| pattern.is_match(text))
                }
                "minLength" => {
                    instance.as_str().is_none_or(|text| text.chars().count() as u64 >= value.as_u64().unwrap())
                }
                "minimum" => instance.as_f64().is_none_or(|number| number >= value.as_f64().unwrap()),
                "maximum" => instance.as_f64().is_none_or(|number| number <= value.as_f64().unwrap()),
                "minItems" => instance.as_array().is_none_or(|list| list.len() as u64 >= value.as_u64().unwrap()),
                "maxItems" => instance.as_array().is_none_or(|list| list.len() as u64 <= value.as_u64().unwrap()),
                "required" => {
                    let keys: Vec<&str> = value.as_array().unwrap().iter().filter_map(Value::as_str).collect();
                    instance.as_object().is_none_or(|object| keys.iter().all(|key| object.contains_key(*key)))
                }
                "additionalProperties" => {
                    assert_eq!(*value, Value::Bool(false));
                    let known = schema["properties"].as_object().unwrap();
                    instance.as_object().is_none_or(|object| object.keys().all(|key| known.contains_key(key)))
                }
                "properties" => {
                    for (key, below) in instance.as_object().into_iter().flatten() {
                        if let Some(schema) = value.get(key) {
                            self.check(schema, below, &format!("{path}/{key}"), errors);
                        }
                    }
                    true
                }
                "items" => {
                    for (index, element) in instance.as_array().into_iter().flatten().enumerate() {
                        self.check(value, element, &format!("{path}/{index}"), errors);
                    }
                    true
                }
                "anyOf" => value.as_array().unwrap().iter().any(|option| self.is_valid(option, instance)),
                "allOf" => {
                    value.as_array().unwrap().iter().for_each(|each| self.check(each, instance, path, errors));
                    true
                }
                "if" => {
                    if self.is_valid(value, instance) {
                        self.check(&schema["then"], instance, path, errors);
                    }
                    true
                }
                "$ref" => {
                    let pointer = value.as_str().unwrap().strip_prefix('#').unwrap();
                    self.check(self.root.pointer(pointer).unwrap(), instance, path, errors);
                    true
                }
                other => panic!("the schema uses {other}, which this validator does not know"),
            };
            if !holds {
                errors.push(format!("{path}: {keyword}"));
            }
        }
    }
}

fn has_type(names: &Value, instance: &Value) -> bool {
    let is = |name: &Value| match name.as_str().unwrap() {
        "object" => instance.is_object(),
        "array" => instance.is_array(),
        "string" => instance.is_string(),
        "boolean" => instance.is_boolean(),
        "integer" => instance.is_i64() || instance.is_u64(),
        "number" => instance.is_number(),
        other => panic!("{other}"),
    };
    names.as_array().map_or_else(|| is(names), |names| names.iter().any(is))
}
