//! What answers may cost, and what is counted when a call does not end as it should.

use serde_json::{Value, json};

use crate::{
    fake_provider::{Act, FakeProvider},
    process::{FREE_PORTS, Home, Server, eventually, problem},
};

const BACKUP: &str = "# Backup\n\nDaily snapshots are kept for 7 days.\nWeekly snapshots are kept for 5 weeks.\n";
const QUESTION: &str = "How long are daily snapshots kept?";
const SAID: &str = "Daily snapshots are kept for 7 days. [1]";

/// What a provider takes for a million tokens that it reads and that it writes.
struct Prices(u32, u32);

/// An answer costs at most 0.10, and its prompt nothing.
const FREE_PROMPTS: Prices = Prices(0, 10_000);
/// A prompt costs a thousandth for each of its tokens, and an answer nothing.
const FREE_ANSWERS: Prices = Prices(1_000, 0);

/// A server with this budget and this provider, which may write ten tokens.
async fn budgeted(home: &Home, provider: &FakeProvider, Prices(input, output): Prices, budget: &str) -> Server {
    let live = home.write("live.toml", &format!("[budget]\n{budget}\n"));
    let prices = format!(
        "max_tokens = 10\n[generation.providers.pricing]\ninput_usd_per_million_tokens = {input}\noutput_usd_per_million_tokens = {output}"
    );
    let provider = provider.configured("double", &prices);
    let live = live.display().to_string();
    // Without memory: each question is to reach the provider.
    let server = home.serve(&format!("[cache]\nmax_bytes = 0\n{FREE_PORTS}[live]\nfile = {live:?}\n{provider}"));
    server.await_ready().await;
    server.ingest("ops/backup.md", BACKUP, "").await;
    server
}

async fn asked(server: &Server) -> reqwest::Response {
    server.post("/query").json(&json!({"query": QUESTION, "explain": true})).send().await.unwrap()
}

/// What became of the provider on the way to an answer.
async fn outcome(server: &Server) -> String {
    let answer: Value = asked(server).await.json().await.unwrap();
    answer["explain"]["generation"]["path"][0]["outcome"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// A metric's value; nothing while it was not told.
async fn measured(server: &Server, name: &str) -> Option<f64> {
    let text = server.manage("/metrics").send().await.unwrap().text().await.unwrap();
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

const USED: &str = r#"rag_budget_used_ratio{period="month"}"#;
const COST: &str = r#"rag_cost_usd_total{part="generate"}"#;

#[tokio::test]
async fn a_spent_budget_is_told_as_long_as_it_is_spent_whatever_the_vendor_s_limit_leaves() {
    for left in ["2", "0"] {
        let (home, provider) = (Home::new(), FakeProvider::start(Act::Say(SAID)).await);
        let budget = "daily_usd = 0.15\non_limit = \"Refuse\"";
        let server = budgeted(&home, &provider, FREE_PROMPTS, budget).await;
        let limit = vec![("x-ratelimit-remaining-requests", left), ("x-ratelimit-reset-requests", "10m")];
        provider.script([Act::SayWith(SAID, limit)]);
        assert_eq!(outcome(&server).await, "answered");
        for _ in 0..4 {
            problem(asked(&server).await, 402, "budget-spent").await;
        }
        assert_eq!(provider.calls(), 1);
        let remaining = measured(&server, r#"rag_rate_limit_remaining{provider="double"}"#).await;
        assert_eq!(remaining, left.parse().ok(), "calls that were not made took nothing");
    }
}

#[tokio::test]
async fn a_call_that_is_not_accepted_costs_nothing() {
    let (home, provider) = (Home::new(), FakeProvider::start(Act::Fail(400, vec![])).await);
    let server = budgeted(&home, &provider, FREE_ANSWERS, "monthly_usd = 100").await;
    for (act, outcome_of_it) in [
        (Act::Fail(400, vec![]), "refused"),
        (Act::Fail(401, vec![]), "auth_failed"),
        (Act::Fail(500, vec![]), "failed"),
        (Act::Fail(429, vec![("retry-after", "0")]), "rate_limited"),
    ] {
        provider.otherwise(act);
        assert_eq!(outcome(&server).await, outcome_of_it);
    }
    eventually("what was reserved is given back", async || measured(&server, USED).await == Some(0.0)).await;
    assert_eq!(measured(&server, COST).await.unwrap_or_default(), 0.0);
}

#[tokio::test]
async fn a_call_that_is_given_up_after_it_was_sent_costs_its_prompt() {
    let (home, provider) = (Home::new(), FakeProvider::start(Act::Stall).await);
    let server = budgeted(&home, &provider, FREE_ANSWERS, "monthly_usd = 100").await;
    let mut counted = 0.0;
    for calls in 1..=2 {
        let given_up = tokio::spawn(server.post("/query").json(&json!({"query": QUESTION})).send());
        eventually("the call is under way", async || provider.calls() == calls).await;
        given_up.abort();
        eventually("its prompt is counted", async || measured(&server, USED).await > Some(counted)).await;
        counted = measured(&server, USED).await.unwrap();
        let cost = measured(&server, COST).await.unwrap();
        assert!((counted - cost / 100.0).abs() < 1e-6, "{counted} of 100 are {cost}");
    }
}

#[tokio::test]
async fn what_a_call_may_cost_is_reserved_while_it_is_under_way_and_what_it_did_not_cost_is_given_back() {
    let (home, provider) = (Home::new(), FakeProvider::start(Act::Say(SAID)).await);
    let server = budgeted(&home, &provider, FREE_PROMPTS, "monthly_usd = 0.15").await;
    provider.script([Act::Stall]);
    let given_up = tokio::spawn(server.post("/query").json(&json!({"query": QUESTION})).send());
    eventually("the call is under way", async || provider.calls() == 1).await;
    assert_eq!(outcome(&server).await, "over_budget", "its bound is reserved");
    given_up.abort();
    eventually("what it reserved is given back", async || outcome(&server).await == "answered").await;
}

#[tokio::test]
async fn the_prompt_is_a_part_of_what_is_reserved() {
    let (home, provider) = (Home::new(), FakeProvider::start(Act::Say(SAID)).await);
    // The provider says that it read 100 tokens, which is 0.10; no prompt has less than 500 bytes, which may be as many tokens.
    let server = budgeted(&home, &provider, FREE_ANSWERS, "monthly_usd = 0.5").await;
    assert_eq!((outcome(&server).await.as_str(), provider.calls()), ("over_budget", 0));
    home.swap("live.toml", "[budget]\nmonthly_usd = 50\n");
    eventually("the new limit holds", async || outcome(&server).await == "answered").await;
    assert_eq!(measured(&server, USED).await, Some(0.002), "100 tokens are counted, not the bound");
}

#[tokio::test]
async fn once_so_much_of_the_budget_is_spent_the_cheapest_provider_is_called_first() {
    let home = Home::new();
    let (dear, cheap) = (FakeProvider::start(Act::Say(SAID)).await, FakeProvider::start(Act::Say(SAID)).await);
    let priced =
        |usd: u32| format!("max_tokens = 10\n[generation.providers.pricing]\noutput_usd_per_million_tokens = {usd}");
    let live = home.write("live.toml", "[budget]\nmonthly_usd = 0.5\nprefer_cheaper_percent = 40\n");
    let providers = [dear.configured("dear", &priced(10_000)), cheap.configured("cheap", &priced(100))].concat();
    let live = live.display().to_string();
    let server = home.serve(&format!("[cache]\nmax_bytes = 0\n{FREE_PORTS}[live]\nfile = {live:?}\n{providers}"));
    server.await_ready().await;
    server.ingest("ops/backup.md", BACKUP, "").await;
    // Two answers of 0.10 are 40 % of 0.50.
    for by in ["dear", "dear", "cheap", "cheap"] {
        let answer: Value = asked(&server).await.json().await.unwrap();
        assert_eq!(answer["written_by"], by, "{answer}");
    }
    cheap.script([Act::Fail(500, vec![])]);
    let answer: Value = asked(&server).await.json().await.unwrap();
    assert_eq!(answer["written_by"], "dear", "the others are still there: {answer}");
    assert_eq!((dear.calls(), cheap.calls()), (3, 3));
    home.swap("live.toml", "[budget]\nmonthly_usd = 50\nprefer_cheaper_percent = 40\n");
    eventually("there is plenty again", async || {
        let answer: Value = asked(&server).await.json().await.unwrap();
        answer["written_by"] == "dear"
    })
    .await;
}
