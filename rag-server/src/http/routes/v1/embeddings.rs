//! `POST /v1/embeddings`: texts to vectors of length 1, by the model that embeds the documents.

use std::{fmt, sync::Arc};

use axum::{Json, extract::State, routing::post};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{SeqAccess, Visitor},
};
use utoipa::{ToSchema, openapi::HttpMethod};

use super::{
    super::super::{
        endpoint::Endpoint,
        error::{Code, Problem},
        extract::{Client, FromBody, JsonBody},
        state::{Api, Flows},
    },
    expect_model, invalid,
};
use crate::{ports::Embedder, resilience::Bodies};

/// Texts of one request; as many as OpenAI takes.
const MAX_INPUTS: usize = 2048;

/// Bytes of one text. No model here reads so much, and counting the tokens of more would cost more than saying so.
const MAX_INPUT_BYTES: usize = 64 * 1024;

/// Texts to embed.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct EmbeddingsRequest {
    /// The embedding model, by its name in `/v1/models`.
    model: Option<String>,
    /// A text, or up to 2048 of them; each up to the model's limit of tokens.
    #[schema(value_type = Vec<String>)]
    input: Input,
    /// How vectors are written.
    #[serde(default)]
    encoding_format: Encoding,
    /// Numbers of a vector; only the model's own number is possible.
    dimensions: Option<usize>,
    /// Cut texts that are longer than the model reads, instead of refusing them. Not in OpenAI's API.
    #[serde(default)]
    truncate: bool,
}

impl FromBody for EmbeddingsRequest {
    const MAX_BYTES: Option<usize> = None;
    const KIND: Bodies = Bodies::Texts;
}

/// How vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Encoding {
    /// As a list of numbers.
    #[default]
    Float,
    /// As base64 of little-endian 32-bit floats.
    Base64,
}

/// One text, or several.
#[derive(Debug)]
pub(super) enum Input {
    One(String),
    Many(Vec<String>),
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;

        impl<'de> Visitor<'de> for Texts {
            type Value = Input;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts (the numbers of another model's tokens mean nothing here)")
            }

            fn visit_str<E>(self, text: &str) -> Result<Input, E> {
                Ok(Input::One(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Input, E> {
                Ok(Input::One(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Input, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element::<Text>()? {
                    texts.push(text.0);
                }
                Ok(Input::Many(texts))
            }
        }

        deserializer.deserialize_any(Texts)
    }
}

/// A text of a list; its message says what a list of tokens would need.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;

        impl Visitor<'_> for One {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a text (the numbers of another model's tokens mean nothing here; have the client send text)",
                )
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Text, E> {
                Ok(Text(text))
            }
        }

        deserializer.deserialize_any(One)
    }
}

/// The vectors, in the order of the texts.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EmbeddingsResponse {
    /// `list`.
    object: &'static str,
    /// The vectors.
    data: Vec<Embedding>,
    /// The model.
    model: String,
    /// What was read.
    usage: EmbeddingUsage,
}

/// One vector.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Embedding {
    /// `embedding`.
    object: &'static str,
    /// The place of its text in the request.
    index: usize,
    /// The vector.
    #[schema(value_type = Vec<f32>)]
    embedding: Written,
}

/// A vector as it is sent.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Written {
    Float(Vec<f32>),
    Base64(String),
}

/// What was read.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(super) struct EmbeddingUsage {
    /// Tokens of all texts.
    prompt_tokens: usize,
    /// The same: nothing is written.
    total_tokens: usize,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(HttpMethod::Post, "/v1/embeddings", post(embeddings), "Embed texts; OpenAI's shape")
            .keyed()
            .body::<EmbeddingsRequest>()
            .answers::<EmbeddingsResponse>(200, "the vectors, each of length 1")
            .problem(404, "no such model")
            .problem(503, "too many texts wait for the model")
            .problem(504, "not done in time; send fewer texts at once"),
    ]
}

async fn embeddings(
    _client: Client,
    State(api): State<Api>,
    body: JsonBody<EmbeddingsRequest>,
) -> Result<Json<EmbeddingsResponse>, Problem> {
    let flows = api.flows()?;
    let (request, _room) = body.into_parts();
    let EmbeddingsRequest { model, input, encoding_format, dimensions, truncate } = request;
    let identity = flows.embedder.model();
    expect_model(&flows, model.as_deref(), &identity.name)?;
    if let Some(given) = dimensions.filter(|given| *given != identity.dimension) {
        let expected = identity.dimension;
        return Err(invalid("dimensions", format_args!("{given}; vectors of {} have {expected}", identity.name)));
    }
    let is_one = matches!(input, Input::One(_));
    let (texts, tokens) = checked(&flows, input, truncate).await?;
    let vectors = match <[String; 1]>::try_from(texts) {
        // Most likely a question: it goes before passages.
        Ok([text]) if is_one => vec![flows.embedder.embed_query(&text).await?],
        Ok(one) => flows.embedder.embed_texts(one.into()).await?,
        Err(texts) => flows.embedder.embed_texts(texts).await?,
    };
    let written = |vector: Vec<f32>| match encoding_format {
        Encoding::Float => Written::Float(vector),
        Encoding::Base64 => Written::Base64(encoded(&vector)),
    };
    let embedding = |(index, vector)| Embedding { object: "embedding", index, embedding: written(vector) };
    Ok(Json(EmbeddingsResponse {
        object: "list",
        data: vectors.into_iter().enumerate().map(embedding).collect(),
        model: identity.name.clone(),
        usage: EmbeddingUsage { prompt_tokens: tokens, total_tokens: tokens },
    }))
}

/// A vector as the official Python client asks for it: little-endian 32-bit floats.
fn encoded(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
    BASE64_STANDARD.encode(bytes)
}

/// The texts and how many tokens they have, or what is wrong with them.
async fn checked(flows: &Flows, input: Input, truncate: bool) -> Result<(Vec<String>, usize), Problem> {
    let (texts, field): (_, fn(usize) -> String) = match input {
        Input::One(text) => (vec![text], |_| "input".to_owned()),
        Input::Many(texts) => (texts, |at| format!("input[{at}]")),
    };
    if !(1..=MAX_INPUTS).contains(&texts.len()) {
        return Err(invalid("input", format_args!("{} texts; send 1 to {MAX_INPUTS}", texts.len())));
    }
    let embedder = Arc::clone(&flows.embedder);
    let counted = tokio::task::spawn_blocking(move || {
        let counts = texts.iter().enumerate().map(|(at, text)| tokens(&*embedder, text, truncate, || field(at)));
        let total = counts.sum::<Result<usize, Problem>>()?;
        Ok((texts, total))
    });
    counted.await.unwrap_or_else(|_| Err(Problem::new(Code::Internal, "the tokens could not be counted")))
}

/// Tokens of a text that the model reads.
fn tokens(embedder: &dyn Embedder, text: &str, truncate: bool, field: impl Fn() -> String) -> Result<usize, Problem> {
    let most = embedder.max_tokens();
    if text.is_empty() {
        return Err(invalid(field(), "it is empty"));
    }
    if text.len() > MAX_INPUT_BYTES {
        return match truncate {
            true => Ok(most),
            false => Err(invalid(field(), format_args!("{} bytes; {}", text.len(), remedy(most)))),
        };
    }
    match embedder.count_tokens(text) {
        count if count <= most => Ok(count),
        _ if truncate => Ok(most),
        count => Err(invalid(field(), format_args!("{count} tokens; {}", remedy(most)))),
    }
}

fn remedy(most: usize) -> String {
    format!("the model reads {most} tokens, so split the text, or send \"truncate\": true to have it cut")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_encoded_with_its_low_bytes_first_and_padded() {
        assert_eq!(encoded(&[1.0, -2.0]), "AACAPwAAAMA=");
    }
}
