//! Removes an autoscaler's `tolerance` from what passes, as an API server that does not know the field would.

use anyhow::{Context, Result};
use axum::body::Bytes;
use futures::stream::{self, Stream, StreamExt as _};
use serde_json::Value;

/// True for paths that carry autoscalers.
pub(super) fn concerns(path: &str) -> bool {
    path.starts_with("/apis/autoscaling/") && path.contains("/horizontalpodautoscalers")
}

/// The same document without the field. Server-side apply may send YAML; the answer to it is JSON all the same.
pub(super) fn without(document: &[u8]) -> Result<Vec<u8>> {
    let mut value: Value = match serde_json::from_slice(document) {
        Ok(value) => value,
        Err(_) => serde_yaml_ng::from_slice(document).context("an autoscaler that is neither JSON nor YAML")?,
    };
    forget(&mut value);
    Ok(serde_json::to_vec(&value)?)
}

/// A watch: one document per line, passed on line by line.
pub(super) fn lines<S>(input: S) -> impl Stream<Item = std::io::Result<Bytes>>
where
    S: Stream<Item = std::io::Result<Bytes>> + Send + 'static,
{
    stream::unfold((Box::pin(input), Vec::new()), |(mut input, mut rest)| async move {
        loop {
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                let changed = without(&line).map(|mut document| {
                    document.push(b'\n');
                    Bytes::from(document)
                });
                return Some((changed.map_err(std::io::Error::other), (input, rest)));
            }
            match input.next().await? {
                Ok(chunk) => rest.extend_from_slice(&chunk),
                Err(error) => return Some((Err(error), (input, rest))),
            }
        }
    })
}

/// Also in `managedFields`, where a field's name is `f:tolerance`.
fn forget(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("tolerance");
            fields.remove("f:tolerance");
            fields.values_mut().for_each(forget);
        }
        Value::Array(items) => items.iter_mut().for_each(forget),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_yaml_lose_the_field_and_nothing_else() {
        let json =
            br#"{"spec":{"behavior":{"scaleUp":{"tolerance":"0","policies":[1]},"scaleDown":{"tolerance":"572m"}}}}"#;
        let left = |text: &[u8]| serde_json::from_slice::<Value>(&without(text).unwrap()).unwrap();
        let expected = serde_json::json!({"spec": {"behavior": {"scaleDown": {}, "scaleUp": {"policies": [1]}}}});
        assert_eq!(left(json), expected);
        let expected = serde_json::json!({"spec": {"behavior": {"scaleUp": {}}}});
        assert_eq!(left(b"spec: {behavior: {scaleUp: {tolerance: 0}}}"), expected);
    }

    #[tokio::test]
    async fn a_watch_that_arrives_in_pieces_leaves_in_whole_lines() {
        let pieces = [&b"{\"object\":{\"tol"[..], b"erance\":1,\"a\":2}}\n{\"b\"", b":3}\n"];
        let input = stream::iter(pieces.map(|piece| Ok(Bytes::from_static(piece))));
        let lines: Vec<Bytes> = lines(input).map(Result::unwrap).collect().await;
        assert_eq!(lines, [&b"{\"object\":{\"a\":2}}\n"[..], b"{\"b\":3}\n"]);
    }

    #[test]
    fn only_autoscalers_are_concerned() {
        assert!(concerns("/apis/autoscaling/v2/namespaces/a/horizontalpodautoscalers/b"));
        assert!(!concerns("/api/v1/namespaces/a/pods/horizontalpodautoscalers"));
    }
}
