//! What is wrong with a message, in JSON-RPC's codes: one that is not JSON, one that is no request, and one whose parameters are not those of its method.

use std::fmt;

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use rmcp::{
    ErrorData,
    model::{CompleteRequestParams, CustomRequest, ErrorCode, InitializeRequestParams, PaginatedRequestParams},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Value, json, value::RawValue};

/// The members of a message, not looked into.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// Why no method can be called.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    code: ErrorCode,
    id: Value,
    message: String,
}

impl Refused {
    fn request(id: Value, message: impl Into<String>) -> Self {
        Self { code: ErrorCode::INVALID_REQUEST, id, message: message.into() }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self { code, id, message } = self;
        let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": code.0, "message": message}});
        (StatusCode::BAD_REQUEST, Json(error)).into_response()
    }
}

/// Whether the bytes are a message of JSON-RPC.
pub(super) fn check(bytes: &[u8]) -> Result<(), Refused> {
    let json = serde_json::from_slice::<&RawValue>(bytes).map_err(|error| Refused {
        code: ErrorCode::PARSE_ERROR,
        id: Value::Null,
        message: format!("the body is not JSON: {error}"),
    })?;
    if json.get().starts_with('[') {
        return Err(Refused::request(Value::Null, "batches are not taken; send one message at a time"));
    }
    let message: Envelope<'_> = serde_json::from_str(json.get())
        .map_err(|error| Refused::request(Value::Null, format!("the body is no message of JSON-RPC: {error}")))?;
    let id = match message.id.map(|id| serde_json::from_str(id.get())) {
        None => Value::Null,
        Some(Ok(id @ (Value::String(_) | Value::Number(_)))) => id,
        Some(_) => return Err(Refused::request(Value::Null, "id: send a text or a number")),
    };
    let is_text = |value: &RawValue| value.get().starts_with('"');
    match message {
        Envelope { jsonrpc, .. } if jsonrpc.map(RawValue::get) != Some("\"2.0\"") => {
            Err(Refused::request(id, "jsonrpc: send \"2.0\""))
        }
        Envelope { method: Some(method), .. } if !is_text(method) => {
            Err(Refused::request(id, "method: send the name of a method"))
        }
        Envelope { method: None, result: None, error: None, .. } => {
            Err(Refused::request(id, "method: it is missing; send the name of a method"))
        }
        Envelope { .. } => Ok(()),
    }
}

/// What is said of a request that could not be read: its method is unknown, or its parameters are not those of the method.
pub(super) fn misread(CustomRequest { method, params, .. }: CustomRequest) -> ErrorData {
    let wrong = match method.as_str() {
        "initialize" => wrong::<InitializeRequestParams>,
        "tools/call" => wrong::<Call>,
        "tools/list" | "resources/list" | "resources/templates/list" | "prompts/list" => {
            wrong::<PaginatedRequestParams>
        }
        "completion/complete" => wrong::<CompleteRequestParams>,
        "ping" => wrong::<Object>,
        _ => return ErrorData::new(ErrorCode::METHOD_NOT_FOUND, method, None),
    };
    ErrorData::invalid_params(wrong(params.unwrap_or_else(|| json!({}))), None)
}

/// What is wrong with parameters, and where.
fn wrong<P: DeserializeOwned>(params: Value) -> String {
    match serde_path_to_error::deserialize::<_, P>(params) {
        Err(error) if error.path().iter().next().is_some() => format!("params.{}: {}", error.path(), error.inner()),
        Err(error) => format!("params: {}", error.inner()),
        Ok(_) => "params: they are not as the protocol has them".to_owned(),
    }
}

/// The parameters of `tools/call`; what is in the arguments is the tool's to say.
#[derive(Deserialize)]
struct Call {
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "arguments")]
    _arguments: Option<Object>,
}

/// Any object.
struct Object;

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Object)
            }

            fn visit_str<E: Error>(self, _text: &str) -> Result<Object, E> {
                Err(E::custom("it is a text; send the object itself"))
            }
        }

        deserializer.deserialize_any(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_message_has_json_rpcs_code_and_the_id_where_it_can_be_told() {
        let refused = |body: &str| {
            let Refused { code, id, message } = check(body.as_bytes()).unwrap_err();
            assert!(!message.is_empty(), "{body}");
            (code.0, id)
        };
        for body in ["", "{\"jsonrpc\":", "nonsense", "{} {}"] {
            assert_eq!(refused(body), (-32700, Value::Null), "{body}");
        }
        for body in ["3", "\"x\"", "null", "[]", "[{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"ping\"}]"] {
            assert_eq!(refused(body), (-32600, Value::Null), "{body}");
        }
        for body in [
            r#"{"id": 7, "method": "ping"}"#,
            r#"{"jsonrpc": "1.0", "id": 7, "method": "ping"}"#,
            r#"{"jsonrpc": "2.0", "id": 7}"#,
            r#"{"jsonrpc": "2.0", "id": 7, "method": 3}"#,
        ] {
            assert_eq!(refused(body), (-32600, json!(7)), "{body}");
        }
        assert_eq!(refused(r#"{"jsonrpc": "2.0", "id": {}, "method": "ping"}"#), (-32600, Value::Null));
        for fine in [
            r#"{"jsonrpc": "2.0", "id": "a", "method": "ping"}"#,
            r#"{"jsonrpc": "2.0", "method": "notifications/initialized"}"#,
            r#" {"jsonrpc": "2.0", "id": 1, "method": "nonsense", "params": []}"#,
        ] {
            assert_eq!(check(fine.as_bytes()), Ok(()), "{fine}");
        }
    }

    #[test]
    fn only_an_unknown_method_is_not_found_and_wrong_parameters_are_named() {
        let told = |method: &str, params: Value| {
            let error = misread(CustomRequest::new(method, Some(params)));
            (error.code.0, error.message.into_owned())
        };
        for (method, params, expected) in [
            ("tools/call", json!({"name": "ask", "arguments": "{\"query\": \"a\"}"}), "params.arguments: it is a text"),
            ("tools/call", json!({"name": "ask", "arguments": [1]}), "params.arguments: invalid type: sequence"),
            ("tools/call", json!({"arguments": {}}), "params: missing field `name`"),
            ("tools/call", json!({"name": 3}), "params.name: invalid type: integer `3`"),
            ("tools/call", json!("ask"), "params: invalid type: string \"ask\""),
            ("tools/list", json!({"cursor": 3}), "params.cursor: invalid type: integer `3`"),
            ("initialize", json!({"protocolVersion": "2025-06-18"}), "params: missing field `capabilities`"),
        ] {
            let (code, message) = told(method, params);
            assert_eq!(code, -32602, "{message}");
            assert!(message.starts_with(expected), "{message}");
        }
        assert_eq!(told("tools/cal", json!({})), (-32601, "tools/cal".to_owned()));
    }
}
