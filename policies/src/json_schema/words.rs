//! From shapes to JSON Schema: the form of each word, a sentence for each key; and the test that keeps the files true.

use serde_json::{Map, Value, json};

use crate::json_schema::traced::Shape;
use crate::scalar::Word;
use crate::{
    ActionName, ActionPattern, Cores, HostPattern, Hostname, NamePattern, Narrowing, PathPattern, PathTemplate, Port,
    ProfileName, Rate, Size, StoreName, TimeSpan,
};

/// What a word looks like: what the reader expects, an example, and its JSON Schema.
fn forms() -> Vec<(&'static str, &'static str, Value)> {
    let text = |pattern: &str| json!({"type": "string", "pattern": pattern});
    // Such words are often written without quotes, and YAML then takes some of them for numbers.
    let any = || json!({"type": ["string", "number", "boolean"]});
    let path = r"^(/|\$\{(workspace|home)\}(/|$))";
    let layers: Vec<&str> = Narrowing::built_in_names().collect();
    vec![
        (Size::EXPECTED, "4GiB", text("^[0-9]+(B|KiB|MiB|GiB|TiB)$")),
        (TimeSpan::EXPECTED, "2h", text("^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$")),
        (Cores::EXPECTED, "2.0", json!({"type": "number", "exclusiveMinimum": 0})),
        (crate::schema::Count::EXPECTED, "512", json!({"type": "integer", "minimum": 1, "maximum": u32::MAX})),
        (crate::schema::Flag::EXPECTED, "true", json!({"type": "boolean"})),
        (ProfileName::EXPECTED, "base", text("^[a-z][a-z0-9-]{0,63}$")),
        (Hostname::EXPECTED, "agent", text("^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$")),
        (StoreName::EXPECTED, "team", text("^[a-z][a-z0-9-]{0,62}$")),
        (crate::env::EnvEntry::EXPECTED, "LANG", text("^[A-Za-z_][A-Za-z0-9_]*(=[\\s\\S]*)?$")),
        (PathTemplate::EXPECTED, "/usr", text(path)),
        (PathPattern::EXPECTED, "/data/**", text(path)),
        (NamePattern::EXPECTED, "sales_*", any()),
        (ActionName::EXPECTED, "file_read", text("^[a-z][a-z0-9_]{0,63}$")),
        (ActionPattern::EXPECTED, "file_read", text("^(\\*|[a-z][a-z0-9_]{0,63})$")),
        (crate::mediation::CommandWord::EXPECTED, "x", any()),
        (crate::mediation::ArgvWord::EXPECTED, "x", any()),
        (HostPattern::EXPECTED, "a.example", text("^(\\*\\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$")),
        (Port::EXPECTED, "443", json!({"type": "integer", "minimum": 1, "maximum": u16::MAX})),
        (Rate::EXPECTED, "60/min", text("^[1-9][0-9]*/(s|min|h|d)$")),
        (crate::mediation::Version::EXPECTED, "1.0", json!({"const": "1.0"})),
        (crate::cases::PathWord::EXPECTED, "/x", text(path)),
        (crate::cases::HostWord::EXPECTED, "a.example", text("^[A-Za-z0-9._:-]+$")),
        (crate::cases::TextWord::EXPECTED, "x", any()),
        (crate::cases::LayerName::EXPECTED, "strict", json!({"enum": layers})),
    ]
}

/// A word that the reader takes where it expects this.
pub(super) fn example(expected: &str) -> Option<&'static str> {
    forms().into_iter().find(|(known, ..)| *known == expected).map(|(_, example, _)| example)
}

/// The JSON Schema of a shape. `described` gives a key's sentence.
fn schema(shape: &Shape, described: &dyn Fn(&str, &str) -> String) -> Value {
    match shape {
        Shape::Struct(name, fields) => {
            let property = |(key, shape, _): &(&'static str, Shape, bool)| {
                let mut property = schema(shape, described);
                property["description"] = described(name, key).into();
                ((*key).to_owned(), property)
            };
            let properties: Map<String, Value> = fields.iter().map(property).collect();
            let required: Vec<&str> = fields.iter().filter(|(.., required)| *required).map(|(key, ..)| *key).collect();
            let mut object = json!({"type": "object", "properties": properties, "additionalProperties": false});
            if !required.is_empty() {
                object["required"] = json!(required);
            }
            object
        }
        Shape::List(inner) => json!({"type": "array", "items": schema(inner, described)}),
        Shape::Map(inner) => json!({"type": "object", "additionalProperties": schema(inner, described)}),
        Shape::Enum(words) => json!({"enum": words}),
        Shape::Word(expected) => {
            let form = forms().into_iter().find(|(known, ..)| known == expected);
            form.map(|(.., form)| form).unwrap_or_else(|| panic!("no form of {expected}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use super::*;
    use crate::json_schema::Written;
    use crate::json_schema::traced::shape_of;

    /// Sentences for keys: `Type key sentence`, a line each.
    const DESCRIPTIONS: &str = include_str!("../../schema/descriptions.txt");

    fn generated(written: Written, used: &RefCell<BTreeSet<String>>) -> Value {
        let (title, shape) = match written {
            Written::Policy => ("A policy of Agent OS", shape_of::<crate::schema::File>()),
            Written::AgentFile => ("An agent's own .agents/security.md", shape_of::<crate::agent_file::AgentFile>()),
            Written::Cases => ("Cases of a policy of Agent OS", shape_of::<crate::cases::CaseFile>()),
        };
        let described = |name: &str, key: &str| {
            // The keys that an agent's file shares with a policy mean the same there.
            let name = if name == "AgentFile" { "File" } else { name };
            let line = DESCRIPTIONS.lines().find_map(|line| line.strip_prefix(&format!("{name} {key} ")));
            used.borrow_mut().insert(format!("{name} {key}"));
            line.unwrap_or_else(|| panic!("schema/descriptions.txt has no line for `{name} {key}`")).to_owned()
        };
        let mut document = schema(&shape, &described);
        document["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
        document["title"] = title.into();
        document
    }

    /// `AGENTOS_WRITE=1 cargo test -p policies json_schema` writes the files anew.
    #[test]
    fn the_shipped_schemas_are_those_of_the_types_and_every_key_has_a_sentence() {
        let used = RefCell::default();
        for (word, written) in Written::ALL {
            let text = format!("{:#}\n", generated(written, &used));
            if std::env::var_os("AGENTOS_WRITE").is_some() {
                let path = format!("{}/schema/{word}.schema.json", env!("CARGO_MANIFEST_DIR"));
                std::fs::write(&path, &text).unwrap_or_else(|error| panic!("{path}: {error}"));
            } else {
                assert_eq!(
                    written.json_schema(),
                    text,
                    "{word}: run this test with AGENTOS_WRITE=1 and look at the difference"
                );
            }
        }
        for line in DESCRIPTIONS.lines() {
            let key = line.splitn(3, ' ').take(2).collect::<Vec<_>>().join(" ");
            assert!(used.borrow().contains(&key), "schema/descriptions.txt describes `{key}`, which is no key");
        }
    }

    #[test]
    fn what_must_be_there_is_what_the_reader_misses() {
        let policy = generated(Written::Policy, &RefCell::default());
        assert_eq!(policy.get("required"), None);
        let rule = &policy["properties"]["policies"]["items"];
        assert_eq!(rule["required"], json!(["action"]));
        assert_eq!(policy["properties"]["filesystem"]["items"]["required"], json!(["path", "access"]));
        assert_eq!(policy["properties"]["kernel"]["required"], json!(["version"]));
        let entries = rule["properties"].as_object().expect("keys").len();
        assert_eq!(entries, 16, "a key of rules came or went");
    }

    #[test]
    fn no_two_sorts_of_word_are_told_apart_by_the_same_sentence() {
        let forms = forms();
        let distinct: BTreeSet<&str> = forms.iter().map(|(expected, ..)| *expected).collect();
        assert_eq!(distinct.len(), forms.len());
    }

    /// The few words of JSON Schema that the files use, apart from `pattern`.
    fn accepts(schema: &Value, value: &Value) -> bool {
        let kind = |name: &str| match name {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_u64() || value.is_i64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            other => panic!("{other}"),
        };
        let of_type = match &schema["type"] {
            Value::Null => true,
            Value::String(name) => kind(name),
            Value::Array(names) => names.iter().filter_map(Value::as_str).any(kind),
            other => panic!("{other}"),
        };
        let in_enum = schema["enum"].as_array().is_none_or(|words| words.contains(value));
        let items = value.as_array().is_none_or(|items| items.iter().all(|item| accepts(&schema["items"], item)));
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let properties = value.as_object().is_none_or(|object| {
            required.clone().all(|key| object.contains_key(key))
                && object.iter().all(|(key, value)| match schema["properties"].get(key) {
                    Some(schema) => accepts(schema, value),
                    None => {
                        schema["additionalProperties"] != json!(false)
                            && accepts(&schema["additionalProperties"], value)
                    }
                })
        });
        of_type && in_enum && items && properties
    }

    #[test]
    fn shipped_profiles_and_cases_are_what_the_schemas_describe_and_mistakes_are_not() {
        let schema = |written: Written| -> Value { serde_json::from_str(written.json_schema()).expect("JSON") };
        let (policy, cases) = (schema(Written::Policy), schema(Written::Cases));
        let value = |text: &str| -> Value { serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}")) };
        for name in crate::shipped_names() {
            let name: ProfileName = name.parse().expect("legal");
            let text = crate::shipped(&name).expect("shipped").text;
            assert!(accepts(&policy, &value(&text)), "{name}");
            assert!(accepts(&cases, &value(crate::shipped_cases(&name).expect("shipped").1)), "{name}.cases");
        }
        for name in Narrowing::built_in_names() {
            let text = Narrowing::built_in_text(name).expect("built in");
            assert!(accepts(&schema(Written::AgentFile), &value(text)), "{name}");
        }
        for text in [
            "filesytem: []",
            "filesystem: [{path: /x}]",
            "filesystem: [{path: /x, access: reed}]",
            "policies: [{action: file_read, requires_approval: maybe}]",
            "process: {limits: {pids: many}}",
            "kernel: {mode: strict}",
        ] {
            assert!(!accepts(&policy, &value(text)), "{text} was taken");
        }
    }
}
