use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    a: Inner,
    #[serde(default)]
    flag: bool,
    #[serde(default = "seven")]
    count: u32,
    share: Option<f64>,
    seed: Option<i64>,
    #[serde(default)]
    kind: Kind,
    #[serde(default)]
    list: Vec<Inner>,
    #[serde(default)]
    map: BTreeMap<String, Option<u8>>,
    either: Option<Either>,
    anything: Option<serde_json::Value>,
}

fn seven() -> u32 {
    7
}

#[derive(Debug, PartialEq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Plain,
    Other,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Either {
    Number(u8),
    Text(String),
}

#[derive(Debug, Default, PartialEq, Deserialize)]
struct Inner {
    b: u8,
    #[serde(default)]
    text: String,
}

fn sample(text: &str) -> Result<Sample, Unread> {
    read(&mut text.as_bytes().to_vec())
}

fn plain() -> Sample {
    let a = Inner { b: 1, ..Inner::default() };
    let (share, seed, either, anything) = (None, None, None, None);
    let (list, map) = (Vec::new(), BTreeMap::new());
    Sample { a, flag: false, count: 7, share, seed, kind: Kind::Plain, list, map, either, anything }
}

#[test]
fn a_member_that_is_null_is_absent_at_every_depth() {
    assert_eq!(sample(r#"{"a": {"b": 1}}"#), Ok(plain()));
    let nulls = r#"{"flag": null, "a": {"text":null,"b":1}, "count" : null , "share": null, "seed": null,
        "kind": null, "list": null, "map": null, "either": null, "anything": null}"#;
    assert_eq!(sample(nulls), Ok(plain()));
    let list = sample(r#"{"a": {"b": 1}, "list": [{"b": 2, "text": null}]}"#).unwrap().list;
    assert_eq!(list, [Inner { b: 2, ..Inner::default() }]);
    let missing = sample(r#"{"a": {"b": null}}"#).unwrap_err();
    assert_eq!(Problem::from(missing).detail, "a: missing field `b`");
}

#[test]
fn null_is_a_value_where_the_keys_are_the_callers_own() {
    let map = sample(r#"{"a": {"b": 1}, "map": {"k": null, "l": 2.0}}"#).unwrap().map;
    assert_eq!(map, BTreeMap::from([("k".to_owned(), None), ("l".to_owned(), Some(2))]));
}

#[test]
fn a_whole_number_is_an_integer_however_it_is_written() {
    let given = r#"{"a": {"b": 3.0}, "count": 1e2, "share": 1.0, "seed": -1.0, "either": 4.0, "anything": 5.0}"#;
    let expected = Sample {
        a: Inner { b: 3, ..Inner::default() },
        count: 100,
        share: Some(1.0),
        seed: Some(-1),
        either: Some(Either::Number(4)),
        anything: Some(5.into()),
        ..plain()
    };
    assert_eq!(sample(given), Ok(expected));
    assert_eq!(sample(r#"{"a": {"b": 1}, "seed": -9223372036854775808}"#).unwrap().seed, Some(i64::MIN));
    for (wrong, told) in [
        (r#"{"a": {"b": 3.5}}"#, "a.b: invalid type: floating point `3.5`, expected u8"),
        (r#"{"a": {"b": 300.0}}"#, "a.b: invalid value: integer `300`, expected u8"),
        (r#"{"a": {"b": -1.0}}"#, "a.b: invalid value: integer `-1`, expected u8"),
        (r#"{"a": {"b": 1}, "count": 1e300}"#, "count: invalid type: floating point `1e+300`, expected u32"),
    ] {
        assert_eq!(Problem::from(sample(wrong).unwrap_err()).detail, told);
    }
}

#[test]
fn a_byte_order_mark_and_halves_of_characters_are_no_obstacle() {
    let text = |json: &str| sample(json).map(|sample| sample.a.text);
    assert_eq!(text("\u{feff}{\"a\": {\"b\": 1, \"text\": \"t\"}}"), Ok("t".to_owned()));
    assert_eq!(text(r#"{"a": {"b": 1, "text": "snap \ud83d shots"}}"#), Ok("snap \u{fffd} shots".to_owned()));
    assert_eq!(text(r#"{"a": {"b": 1, "text": "\ud83d\ude00"}}"#), Ok("😀".to_owned()));
    // A name may be cut as well.
    assert!(text(r#"{"a": {"b": 1, "\ud83d": "t"}}"#).is_ok());
}

#[test]
fn a_wrong_type_is_named_by_its_field_and_is_never_called_no_json() {
    for (wrong, told) in [
        (r#"{"a": {"b": "x"}}"#, "a.b: invalid type: string \"x\", expected u8"),
        (r#"{"a": {"b": 1}, "kind": "none"}"#, "kind: unknown variant `none`, expected `plain` or `other`"),
        (r#"{"a": [1]}"#, "a: invalid type: sequence, expected a JSON object"),
        (r#"{"a": {"b": 1}, "list": [{"b": 1}, {"b": {}}]}"#, "list[1].b: invalid type: map, expected u8"),
        (r#"[{"b": 1}]"#, "the body: invalid type: sequence, expected a JSON object"),
        ("3", "the body: invalid type: integer `3`, expected a JSON object"),
        ("null", "the body: invalid type: null, expected a JSON object"),
    ] {
        let problem = Problem::from(sample(wrong).unwrap_err());
        assert_eq!((problem.code, &*problem.detail), (Code::InvalidValue, told));
    }
    let unknown = Problem::from(sample(r#"{"c": 1}"#).unwrap_err());
    assert_eq!(unknown.code, Code::InvalidValue);
    assert!(unknown.detail.contains("unknown field `c`"), "{}", unknown.detail);
}

#[test]
fn what_is_not_json_is_told_by_its_place() {
    for broken in ["{\"a\"", "{\"a\": {\"b\": 1}} x", "nonsense", "{\"a\": {\"b\": 1,}}", "{\"a\": {\"b\": \"\\x\"}}"] {
        let problem = Problem::from(sample(broken).unwrap_err());
        assert_eq!(problem.code, Code::BadRequest, "{broken}");
        assert!(problem.detail.starts_with("the body is not JSON: "), "{}", problem.detail);
    }
    let no_text = read::<Sample>(&mut b"\xff\xfe".to_vec()).unwrap_err();
    assert_eq!(Problem::from(no_text).code, Code::BadRequest);
    for empty in ["", " \n", "\u{feff}"] {
        assert_eq!(sample(empty), Err(Unread::Empty));
    }
}

#[test]
fn what_is_nested_deeply_costs_an_error_and_no_stack() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let told = |member: &str, levels| sample(&format!(r#"{{"a": {{"b": 1}}, "{member}": {}}}"#, deep(levels)));
    assert!(told("anything", 100).is_ok());
    let refused = Problem::from(told("anything", 1_000_000).unwrap_err());
    let detail = refused.detail;
    assert!(detail.starts_with("anything[0]") && detail.ends_with(": recursion limit exceeded"), "{detail}");
}
