//! A provider of vectors that takes next to no time, for measurements of everything but the model.
//!
//! Texts that share words are near each other, and the numbers look like those of a model: none repeats, so they cannot be packed.

use axum::{Json, Router, routing::post};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// As many as the built-in model has.
const DIMENSIONS: usize = 384;

/// The provider, for as long as this program runs.
pub(super) struct Vectors {
    address: String,
}

#[derive(Deserialize)]
struct Asked {
    input: Texts,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

#[derive(Serialize)]
struct Given {
    data: Vec<Embedded>,
}

#[derive(Serialize)]
struct Embedded {
    index: usize,
    embedding: Vec<f32>,
}

impl Vectors {
    pub(super) async fn serve() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}/v1", listener.local_addr()?);
        let router = Router::new().route("/v1/embeddings", post(embed));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address })
    }

    /// The part of a configuration that names it. The threshold is a fixed one, so that none is calibrated beside what is measured.
    pub(super) fn config(&self) -> String {
        let embedding = format!("base_url = {:?}\nmodel = \"words\"\ndimensions = {DIMENSIONS}\n", self.address);
        format!("[embedding.openai]\n{embedding}[retrieval]\nmin_score = 0.05\n")
    }
}

async fn embed(Json(asked): Json<Asked>) -> Json<Given> {
    let texts = match asked.input {
        Texts::One(text) => vec![text],
        Texts::Many(texts) => texts,
    };
    let data = texts.iter().enumerate().map(|(index, text)| Embedded { index, embedding: vector(text) });
    Json(Given { data: data.collect() })
}

/// The sum of a direction for each word, of length 1.
fn vector(text: &str) -> Vec<f32> {
    let mut sum = vec![0.0_f32; DIMENSIONS];
    for word in text.split_whitespace() {
        // Numbers that follow from the word (splitmix64).
        let mut state = word.bytes().fold(7_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        for place in &mut sum {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *place += ((mixed >> 40) as f32) / ((1_u64 << 23) as f32) - 1.0;
        }
    }
    let length = sum.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    sum.iter().map(|x| x / length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_share_words_are_nearer_than_others() {
        let cosine = |a: &str, b: &str| vector(a).iter().zip(vector(b)).map(|(a, b)| a * b).sum::<f32>();
        let said = "daily snapshots are kept for seven days";
        assert!(cosine(said, "how long are daily snapshots kept") > 0.5);
        assert!(cosine(said, "a pump must be greased twice").abs() < 0.3);
        assert!((cosine(said, said) - 1.0).abs() < 1e-3);
    }
}
