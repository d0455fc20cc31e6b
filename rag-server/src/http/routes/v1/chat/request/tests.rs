use serde_json::json;

use super::*;
use crate::http::error::Code;

fn checked(mut request: Value) -> Result<Conversation, Problem> {
    if request.get("messages").is_none() {
        request["messages"] = json!([{"role": "user", "content": "how long?"}]);
    }
    serde_json::from_value::<ChatRequest>(request).unwrap().checked()
}

#[test]
fn the_last_message_of_the_user_is_the_question() {
    let conversation = checked(json!({"messages": [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "what?"},
        {"role": "assistant", "content": null},
        {"role": "user", "content": [{"type": "text", "text": "how"}, {"type": "text", "text": "long?"}]},
    ], "max_tokens": 9, "stop": "\n"}));
    let turn = |speaker, text: &str| Turn { speaker, text: text.to_owned() };
    let expected = Conversation {
        question: "how\nlong?".to_owned(),
        history: vec![turn(Speaker::User, "what?"), turn(Speaker::Assistant, "")],
        instructions: Some("be kind".to_owned()),
        sampling: Sampling { max_tokens: Some(9), stop: vec!["\n".to_owned()], ..Sampling::default() },
        stream: false,
        include_usage: false,
    };
    assert_eq!(conversation, Ok(expected));
}

#[test]
fn a_conversation_without_a_question_is_refused() {
    let assistant = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]);
    for messages in [json!([]), assistant, json!([{"role": "user", "content": " "}]), json!([{"role": "user"}])] {
        let problem = checked(json!({"messages": messages})).unwrap_err();
        assert_eq!(problem.code, Code::InvalidValue, "{messages}");
        assert!(problem.param.is_some_and(|field| field.starts_with("messages")), "{messages}");
    }
}

/// What is refused, each asking for something.
fn not_done() -> Vec<(&'static str, Value)> {
    vec![
        ("tools", json!([{"type": "function"}])),
        ("tool_choice", json!("auto")),
        ("functions", json!([{}])),
        ("function_call", json!({"name": "f"})),
        ("n", json!(2)),
        ("logprobs", json!(true)),
        ("top_logprobs", json!(3)),
        ("logit_bias", json!({"50256": -100})),
        ("audio", json!({"voice": "alloy"})),
        ("prediction", json!({"type": "content"})),
        ("reasoning_effort", json!("low")),
        ("verbosity", json!("low")),
        ("web_search_options", json!({"search_context_size": "low"})),
        ("modalities", json!(["text", "audio"])),
        ("response_format", json!({"type": "json_object"})),
    ]
}

#[test]
fn what_is_not_done_is_refused_by_its_name() {
    let not_allowed = [
        ("temperature", json!(3)),
        ("top_p", json!(0)),
        ("presence_penalty", json!(2.1)),
        ("frequency_penalty", json!(-2.1)),
        ("max_tokens", json!(0)),
        ("stop", json!(["a", "b", "c", "d", "e"])),
    ];
    for (field, value) in not_done().into_iter().chain(not_allowed) {
        let problem = checked(json!({field: value})).unwrap_err();
        assert_eq!(problem.param.as_deref(), Some(field));
    }
    let image = json!([{"role": "user", "content": [{"type": "image_url"}]}]);
    assert_eq!(checked(json!({"messages": image})).unwrap_err().param.as_deref(), Some("messages[0].content[0]"));
    let tool = json!([{"role": "tool", "content": "x"}, {"role": "user", "content": "a"}]);
    assert_eq!(checked(json!({"messages": tool})).unwrap_err().param.as_deref(), Some("messages[0].role"));
}

/// The names in an item of the manual.
fn documented(item: &str) -> Vec<String> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/clients.md")).unwrap();
    let line = page.lines().find(|line| line.starts_with(item)).unwrap();
    line.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn what_is_refused_and_what_is_ignored_is_what_the_manual_says() {
    let mut refused: Vec<_> = not_done().into_iter().map(|(field, _)| field.to_owned()).collect();
    let mut told = documented("- Refused with 400");
    refused.sort_unstable();
    told.sort_unstable();
    assert_eq!(refused, told);
    let ignored = documented("- Ignored");
    assert!(ignored.contains(&"user".to_owned()));
    for field in ignored.iter().map(String::as_str).chain(["num_ctx"]) {
        assert_eq!(checked(json!({field: {"a": 1}})), checked(json!({})), "{field}");
    }
}

#[test]
fn what_asks_for_nothing_is_no_obstacle() {
    let harmless = json!({
        "tools": [], "tool_choice": "none", "n": 1, "logprobs": false, "functions": null, "temperature": 0.1,
        "response_format": {"type": "text"}, "modalities": ["text"], "logit_bias": {}, "reasoning_effort": null,
        "presence_penalty": 0, "stream": true, "stream_options": {"include_usage": true},
    });
    let conversation = checked(harmless).unwrap();
    assert!(conversation.stream && conversation.include_usage);
}
