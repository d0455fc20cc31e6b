use serde_json::json;

use super::*;
use crate::http::{error::Code, json};

fn checked(mut request: Value) -> Result<Conversation, Problem> {
    if request.get("messages").is_none() {
        request["messages"] = json!([{"role": "user", "content": "how long?"}]);
    }
    read(&request.to_string())
}

/// As the route reads it.
fn read(body: &str) -> Result<Conversation, Problem> {
    json::read::<ChatRequest>(&mut body.as_bytes().to_vec())?.checked()
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

#[test]
fn what_a_front_end_puts_behind_the_question_is_no_question() {
    let question = |messages: Value| checked(json!({"messages": messages})).map(|conversation| conversation.question);
    let user = |text: &str| json!({"role": "user", "content": text});
    let says = |role: &str| json!({"role": role, "content": "be brief"});
    assert_eq!(question(json!([user("first?"), user("how long?"), says("system")])), Ok("how long?".to_owned()));
    let both = checked(json!({"messages": [user("how long?"), says("developer"), says("system")]})).unwrap();
    assert_eq!((&*both.question, both.instructions.as_deref()), ("how long?", Some("be brief\nbe brief")));
    // What an assistant said last is no question.
    assert!(question(json!([user("how long?"), says("assistant"), says("system")])).is_err());
    assert!(question(json!([says("system")])).is_err());
}

#[test]
fn what_an_assistant_refused_to_say_is_part_of_the_history() {
    let refusal =
        json!([{"type": "refusal", "refusal": "I cannot say."}, {"type": "text", "text": "Sorry.", "refusal": null}]);
    let messages = json!([
        {"role": "user", "content": "what?"},
        {"role": "assistant", "content": refusal, "refusal": null},
        {"role": "user", "content": "how long?"},
    ]);
    let conversation = checked(json!({"messages": messages})).unwrap();
    let said = Turn { speaker: Speaker::Assistant, text: "I cannot say.\nSorry.".to_owned() };
    assert_eq!(conversation.history[1], said);
}

#[test]
fn members_that_are_null_are_absent() {
    let members = [
        "stream",
        "stream_options",
        "n",
        "temperature",
        "top_p",
        "max_completion_tokens",
        "max_tokens",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "stop",
    ];
    let refused = not_done().into_iter().map(|(field, _)| field);
    for field in members.into_iter().chain(refused).chain(["user", "metadata"]) {
        assert_eq!(checked(json!({field: null})), checked(json!({})), "{field}");
    }
}

#[test]
fn numbers_are_taken_as_openai_defines_them() {
    let sampling = |members: &str| {
        read(&format!(r#"{{"messages": [{{"role": "user", "content": "how long?"}}], {members}}}"#))
            .map(|conversation| conversation.sampling)
    };
    let seed = |seed| Ok(Sampling { seed: Some(seed), ..Sampling::default() });
    assert_eq!(sampling(r#""seed": -1"#), seed(-1));
    assert_eq!(sampling(r#""seed": -9223372036854775808"#), seed(i64::MIN));
    assert_eq!(sampling(r#""seed": 7.0"#), seed(7));
    assert_eq!(sampling(r#""n": 1.0"#), Ok(Sampling::default()));
    assert_eq!(sampling(r#""max_tokens": 100.0"#), Ok(Sampling { max_tokens: Some(100), ..Sampling::default() }));
    for (members, expected) in [
        (r#""top_p": 0"#, Sampling { top_p: Some(0.0), ..Sampling::default() }),
        (
            r#""temperature": 2.0, "top_p": 1.0"#,
            Sampling { temperature: Some(2.0), top_p: Some(1.0), ..Sampling::default() },
        ),
        (
            r#""presence_penalty": -2.0, "frequency_penalty": 2"#,
            Sampling { presence_penalty: Some(-2.0), frequency_penalty: Some(2.0), ..Sampling::default() },
        ),
    ] {
        assert_eq!(sampling(members), Ok(expected), "{members}");
    }
    let unlimited = Sampling { max_tokens: Some(u32::MAX), ..Sampling::default() };
    assert_eq!(sampling(r#""max_completion_tokens": 1e15"#), Ok(unlimited));
    for (members, param) in [
        (r#""n": 2.0"#, "n"),
        (r#""max_tokens": 1.5"#, "max_tokens"),
        (r#""max_tokens": -1"#, "max_tokens"),
        (r#""seed": 9223372036854775808"#, "seed"),
    ] {
        assert_eq!(sampling(members).unwrap_err().param.as_deref(), Some(param), "{members}");
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
        ("top_p", json!(1.1)),
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
