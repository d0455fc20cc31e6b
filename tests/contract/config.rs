//! The configuration that the operator renders, read by the server's real parser.

use std::path::{Path, PathBuf};

use kube::{CustomResourceExt as _, ResourceExt as _};
use rag_server::config::{
    Config, EmbeddingChoice, Live, LocalEmbedding, Postgres, RecordsChoice, Role, VectorStoreChoice,
};
use ragops_operator::{
    api::{
        RagCluster,
        cluster::{Postgres as AskedPostgres, Quota, RetrievalMode, Role as ApiRole, SecretKeyRef},
    },
    cluster::{
        build::config::{
            CONFIG_FILE, CREDENTIALS_DIR, DATA_DIR, HTTP_PORT, LIVE_DIR, LIVE_FILE, MANAGEMENT_PORT, POSTGRES_DIR,
            PROVIDER_KEY_FILE, PROVIDERS_DIR, REDIS_CA, REDIS_DIR, REDIS_PASSWORD, REDIS_USER,
        },
        observed::CORPUS_ID_KEY,
    },
};
use serde_json::{Value, json};

use crate::rendered::{children, examples, text};

fn parsed(cluster: &RagCluster) -> Config {
    let children = children(cluster.clone());
    let bytes = text(&children.config, CONFIG_FILE).to_owned();
    Config::from_toml(bytes.as_bytes(), "config.toml").unwrap_or_else(|problems| panic!("{problems}\n{bytes}"))
}

#[test]
fn the_operator_warns_by_what_a_server_lets_its_reader_take() {
    assert_eq!(ragops_operator::cluster::validate::READER_MIB, rag_server::ingest::Bounds::default().memory_mib);
}

#[test]
fn the_server_parses_the_configuration_of_every_example_to_the_values_of_its_spec() {
    let examples = examples();
    assert!(examples.len() >= 3, "only {} examples were found", examples.len());
    for (file, cluster) in examples {
        let config = parsed(&cluster);
        let (spec, name) = (&cluster.spec, cluster.metadata.name.as_deref().unwrap());
        let file = file.display();
        assert_eq!(config.owner, format!("team-a/{name}"), "{file}");
        let corpus = children(cluster.clone()).corpus;
        assert_eq!(config.owner_id.as_deref(), Some(text(&corpus, CORPUS_ID_KEY)), "{file}");
        assert_eq!(config.server.listen.to_string(), format!("[::]:{HTTP_PORT}"), "{file}");
        assert_eq!(config.server.management_listen.to_string(), format!("[::]:{MANAGEMENT_PORT}"), "{file}");
        let slow = spec.slow_query_seconds.map_or(5, |seconds| u64::try_from(seconds).unwrap());
        assert_eq!(config.server.slow_query_seconds, slow, "{file}");
        assert_eq!(config.auth.credentials_dir.as_deref(), Some(Path::new(CREDENTIALS_DIR)), "{file}");
        assert_eq!(config.live.file, Some(Path::new(LIVE_DIR).join(LIVE_FILE)), "{file}");
        // A list of the user's may change its order without a change of meaning, so it is rendered by name.
        let mut asked: Vec<_> =
            spec.auth.api_keys.iter().map(|key| (key.name.clone(), role(key.role), key.tenant.clone())).collect();
        asked.sort_by(|a, b| a.0.cmp(&b.0));
        if asked.is_empty() {
            asked.push(("default".to_owned(), Role::Writer, None));
        }
        let got: Vec<_> =
            config.auth.api_keys.iter().map(|key| (key.name.clone(), key.role, key.tenant.clone())).collect();
        assert_eq!(got, asked, "{file}");
        stores(&config, &cluster, name);
        embedding(&config, &cluster, name);
        retrieval(&config, &cluster, name);
        providers(&config, &cluster, name);
        cache(&config, &cluster, name);
        tracing(&config, &cluster, name);
        retention(&config, &cluster, name);
        budget(&cluster, name);
    }
}

#[test]
fn what_no_example_sets_reaches_the_server_as_well() {
    let (_, mut cluster) = examples().into_iter().find(|(_, cluster)| cluster.spec.budget.is_some()).unwrap();
    cluster.spec.slow_query_seconds = Some(9);
    cluster.spec.budget.as_mut().unwrap().prefer_cheaper_percent = Some(80);
    let redis = json!({"url": "rediss://redis.example.com:6380/", "secretRef": {"name": "redis"}});
    cluster.spec.cache = Some(serde_json::from_value(json!({ "redis": redis })).unwrap());
    let qdrant =
        json!({"url": "https://qdrant.example.com:6334", "apiKeySecretRef": {"name": "qdrant"}, "caKey": "ca.crt"});
    cluster.spec.vector_store = Some(serde_json::from_value(json!({ "externalQdrant": qdrant })).unwrap());
    let config = parsed(&cluster);
    stores(&config, &cluster, &cluster.name_any());
    assert_eq!(config.server.slow_query_seconds, 9);
    cache(&config, &cluster, "TLS");
    budget(&cluster, "cheaper");
}

fn embedding(config: &Config, cluster: &RagCluster, name: &str) {
    let asked = cluster.spec.embedding.clone().unwrap_or_default();
    match config.embedding.choice() {
        EmbeddingChoice::Local(LocalEmbedding { model, path }) => {
            let asked = asked.local.map(|local| local.model).unwrap_or_default();
            assert_eq!((json!(model), path), (json!(asked), None), "{name}");
        }
        EmbeddingChoice::OpenAi(service) => {
            let asked = asked.open_ai.unwrap();
            assert_eq!((service.base_url, service.model), (asked.base_url, asked.model), "{name}");
            assert_eq!(service.dimensions, usize::try_from(asked.dimensions).unwrap(), "{name}");
            assert_eq!(service.api_key_file, key_file("embedding", asked.secret_ref.as_ref()), "{name}");
            let limits = (service.requests_per_minute, service.tokens_per_minute);
            assert_eq!(limits, per_minute(asked.quota), "{name}");
            let (got, asked) = (json!(service.pricing), json!(asked.pricing));
            assert_eq!(got["input_usd_per_million_tokens"], asked["inputUsdPerMillionTokens"], "{name}");
        }
    }
}

fn retrieval(config: &Config, cluster: &RagCluster, name: &str) {
    let (got, asked) = (&config.retrieval, &cluster.spec.retrieval);
    assert_eq!(format!("{:?}", got.mode), format!("{:?}", asked.mode), "{name}");
    assert_eq!(got.top_k as i64, i64::from(asked.top_k), "{name}");
    // Left to the server, or as close to what was asked as its type allows.
    let difference = got.min_score.map(f64::from).zip(asked.min_score).map(|(got, asked)| (got - asked).abs());
    assert_eq!(
        (got.min_score.is_some(), difference.is_none_or(|by| by < 1e-6)),
        (asked.min_score.is_some(), true),
        "{name}"
    );
    assert_eq!(got.rerank.is_some(), asked.rerank.is_some(), "{name}");
    for (got, asked) in got.rerank.iter().zip(&asked.rerank) {
        assert_eq!((&got.base_url, &got.model), (&asked.base_url, &asked.model), "{name}");
        assert_eq!(got.top_n, usize::try_from(asked.top_n).unwrap(), "{name}");
        assert_eq!(got.api_key_file, key_file("rerank", asked.secret_ref.as_ref()), "{name}");
        let limits = (got.requests_per_minute, got.tokens_per_minute);
        assert_eq!(limits, per_minute(asked.quota), "{name}");
        let (got, asked) = (json!(got.pricing), json!(asked.pricing));
        assert_eq!(got["usd_per_thousand_requests"], asked["usdPerThousandRequests"], "{name}");
        assert_eq!(got["usd_per_million_tokens"], asked["usdPerMillionTokens"], "{name}");
    }
}

/// What is not asked for is left to the server.
fn retention(config: &Config, cluster: &RagCluster, name: &str) {
    let asked = cluster.spec.retention.clone().unwrap_or_default();
    let left = Config::default();
    let (days, feedback) = (asked.session_days.map(i64::from), asked.feedback_days.map(i64::from));
    let got = &config.retention;
    let left_days = i64::from(left.retention.session_days);
    assert_eq!(i64::from(got.session_days), days.unwrap_or(left_days), "{name}");
    assert_eq!(i64::from(got.feedback_days), feedback.unwrap_or(left.retention.feedback_days.into()), "{name}");
    let seconds = days.map_or(left.sessions.ttl_seconds, |days| u64::try_from(days * 86_400).unwrap());
    assert_eq!((config.sessions.ttl_seconds, got.job_days), (seconds, left.retention.job_days), "{name}");
}

#[test]
fn the_server_keeps_conversations_and_feedback_as_long_as_the_cluster_says() {
    for asked in [
        json!({}),
        json!({"sessionDays": 1}),
        json!({"sessionDays": 365, "feedbackDays": 3650}),
        json!({"feedbackDays": 1}),
    ] {
        let (_, mut cluster) = examples().remove(0);
        cluster.spec.retention = serde_json::from_value(asked.clone()).unwrap();
        retention(&parsed(&cluster), &cluster, &asked.to_string());
    }
}

/// Where the key of a service outside has to be mounted, if it has one.
fn key_file(name: &str, key: Option<&SecretKeyRef>) -> Option<PathBuf> {
    key.map(|_| Path::new(PROVIDERS_DIR).join(name).join(PROVIDER_KEY_FILE))
}

/// Limits of requests and tokens as the server counts them.
fn per_minute(quota: Quota) -> (Option<u64>, Option<u64>) {
    let count = |limit: Option<i32>| limit.map(|limit| u64::try_from(limit).unwrap());
    (count(quota.requests_per_minute), count(quota.tokens_per_minute))
}

fn providers(config: &Config, cluster: &RagCluster, name: &str) {
    let asked = cluster.spec.generation.clone().unwrap_or_default();
    let got = &config.generation;
    assert_eq!(got.providers.len(), asked.providers.len(), "{name}");
    assert_eq!(format!("{:?}", got.fallback), format!("{:?}", asked.fallback), "{name}");
    let breaker = &asked.circuit_breaker;
    assert_eq!(
        (i64::from(got.circuit_breaker.failures), i64::from(got.circuit_breaker.successes)),
        (breaker.failures.into(), breaker.successes.into()),
        "{name}"
    );
    assert_eq!(got.circuit_breaker.open_seconds, u64::try_from(breaker.open_seconds).unwrap(), "{name}");
    for (got, asked) in got.providers.iter().zip(&asked.providers) {
        assert_eq!((&got.name, &got.base_url, &got.model), (&asked.name, &asked.base_url, &asked.model));
        assert_eq!(got.api_key_file, key_file(&asked.name, asked.secret_ref.as_ref()), "{name}");
        assert_eq!(
            (i64::from(got.max_tokens), i64::from(got.context_tokens)),
            (asked.max_tokens.into(), asked.context_tokens.into())
        );
        assert_eq!(got.timeout_seconds, u64::try_from(asked.timeout_seconds).unwrap());
        let limits = (got.requests_per_minute, got.tokens_per_minute);
        assert_eq!(limits, per_minute(asked.quota), "{name}");
        let (got, asked) = (serde_json::to_value(got.pricing).unwrap(), asked.pricing.clone().unwrap_or_default());
        assert_eq!(got["input_usd_per_million_tokens"].as_f64(), Some(asked.input_usd_per_million_tokens), "{name}");
        assert_eq!(got["output_usd_per_million_tokens"].as_f64(), Some(asked.output_usd_per_million_tokens), "{name}");
    }
}

fn cache(config: &Config, cluster: &RagCluster, name: &str) {
    let asked = cluster.spec.cache.as_ref().and_then(|cache| cache.redis.as_ref());
    assert_eq!(config.cache.redis.is_some(), asked.is_some(), "{name}");
    assert!(config.cache.max_bytes > 0, "{name}: Redis stands behind a memory");
    for (got, asked) in config.cache.redis.iter().zip(asked) {
        let file = |key: &str| asked.secret_ref.as_ref().map(|_| Path::new(REDIS_DIR).join(key));
        assert_eq!(got.url, asked.url.trim_end_matches('/'), "{name}");
        assert_eq!((&got.user_file, &got.password_file), (&file(REDIS_USER), &file(REDIS_PASSWORD)), "{name}");
        let is_secured = asked.url.starts_with("rediss:");
        assert_eq!(got.ca_file, file(REDIS_CA).filter(|_| is_secured), "{name}");
    }
}

fn tracing(config: &Config, cluster: &RagCluster, name: &str) {
    let (got, asked) = (&config.tracing, cluster.spec.tracing.as_ref());
    assert_eq!(got.endpoint, asked.map(|tracing| tracing.endpoint.clone()), "{name}");
    let percent = asked.map_or(100.0, |tracing| f64::from(tracing.sample_percent));
    assert!((got.sample_ratio * 100.0 - percent).abs() < 1e-9, "{name}: {got:?}");
    let secret = asked.and_then(|tracing| tracing.secret_ref.as_ref());
    assert_eq!((&got.headers_file, &got.ca_file), (&key_file("tracing", secret), &None), "{name}");
}

fn budget(cluster: &RagCluster, name: &str) {
    let children = children(cluster.clone());
    let live = Live::from_toml(text(&children.live, LIVE_FILE).as_bytes(), LIVE_FILE).unwrap();
    let got = serde_json::to_value(&live.budget).unwrap();
    let asked = cluster.spec.budget.as_ref();
    assert_eq!(got["monthly_usd"].as_f64(), asked.and_then(|budget| budget.monthly_usd), "{name}");
    assert_eq!(got["daily_usd"].as_f64(), asked.and_then(|budget| budget.daily_usd), "{name}");
    let percents = asked.map_or(serde_json::json!([50, 80, 100]), |budget| serde_json::json!(budget.alert_percents));
    assert_eq!(got["alert_percents"], percents, "{name}");
    let cheaper = asked.and_then(|budget| budget.prefer_cheaper_percent).map(i64::from);
    assert_eq!(got["prefer_cheaper_percent"].as_i64(), cheaper, "{name}");
    assert_eq!(got["on_limit"], serde_json::json!(asked.map(|budget| budget.on_limit).unwrap_or_default()), "{name}");
}

fn role(role: ApiRole) -> Role {
    match role {
        ApiRole::Reader => Role::Reader,
        ApiRole::Writer => Role::Writer,
        ApiRole::Admin => Role::Admin,
    }
}

/// The database as it was asked for, shared by as many servers as there can be.
fn database(got: &Postgres, asked: &AskedPostgres, cluster: &RagCluster) {
    assert_eq!((got.dir.as_path(), got.host.as_ref(), got.database.as_ref()), (Path::new(POSTGRES_DIR), None, None));
    assert_eq!((got.port.map(i32::from), format!("{:?}", got.tls)), (Some(asked.port), format!("{:?}", asked.tls)));
    assert_eq!(i64::from(got.servers), i64::from(cluster.spec.autoscaling.max_replicas) + 1);
}

#[test]
fn every_way_to_a_database_is_one_that_the_server_knows() {
    let mut cluster = examples().remove(0).1;
    for tls in ["VerifyFull", "Off"] {
        let spec = json!({"records": {"postgres": {"secretRef": {"name": "db"}, "tls": tls}}});
        cluster.spec = serde_json::from_value(spec).unwrap();
        stores(&parsed(&cluster), &cluster, cluster.metadata.name.as_deref().unwrap());
    }
}

fn stores(config: &Config, cluster: &RagCluster, name: &str) {
    let asked = cluster.spec.vector_store.as_ref();
    let records = config.records.choice(&config.vector_store);
    let postgres = cluster.spec.records.as_ref().and_then(|records| records.postgres.as_ref());
    match config.vector_store.choice() {
        VectorStoreChoice::Embedded(path) => {
            assert!(asked.is_some_and(|store| store.embedded.is_some()), "{name}");
            assert_eq!(path, Path::new(DATA_DIR), "{name}");
            assert_eq!(records, RecordsChoice::Sqlite(Path::new(DATA_DIR).join("records.sqlite")), "{name}");
        }
        VectorStoreChoice::Qdrant(qdrant) => {
            match (records, postgres) {
                (RecordsChoice::Postgres(got), Some(asked)) => database(&got, asked, cluster),
                (records, asked) => assert_eq!((records, asked), (RecordsChoice::VectorStore, None), "{name}"),
            }
            match asked.and_then(|store| store.external_qdrant.as_ref()) {
                Some(external) => {
                    assert_eq!(qdrant.addresses(), std::slice::from_ref(&external.url));
                    assert_eq!(qdrant.collection, external.collection.as_deref().unwrap_or(name));
                    assert_eq!(qdrant.ca_file.is_some(), external.ca_key.is_some());
                }
                None => {
                    assert_eq!(qdrant.addresses(), [format!("http://{name}-qdrant:6334")]);
                    assert_eq!(qdrant.collection, name);
                }
            }
        }
    }
}

#[test]
fn every_role_and_mode_of_the_api_is_one_that_the_server_knows() {
    let mut cluster = examples().remove(0).1;
    for mode in [RetrievalMode::Hybrid, RetrievalMode::Dense, RetrievalMode::Lexical] {
        cluster.spec.retrieval.mode = mode;
        assert_eq!(format!("{:?}", parsed(&cluster).retrieval.mode), format!("{mode:?}"));
    }
}

/// Everything of a server's configuration that is a text or a number of the user's choice.
fn services() -> Value {
    json!({
        "auth": {"apiKeys": [{"name": "a", "tenant": "acme"}]},
        "embedding": {"openAI": {"baseUrl": "https://llm.example.com/v1", "model": "m", "dimensions": 8,
            "requestsPerMinute": 9, "tokensPerMinute": 9, "pricing": {"inputUsdPerMillionTokens": 0.5}}},
        "retrieval": {
            "topK": 5, "minScore": 0.5, "rerank": {"baseUrl": "https://llm.example.com/v1", "model": "m", "topN": 30,
                "requestsPerMinute": 9, "tokensPerMinute": 9,
                "pricing": {"usdPerThousandRequests": 0.5, "usdPerMillionTokens": 0.5}},
        },
        "generation": {
            "providers": [{
                "name": "a", "baseUrl": "https://llm.example.com/v1", "model": "m",
                "maxTokens": 512, "contextTokens": 3000, "timeoutSeconds": 30,
                "requestsPerMinute": 9, "tokensPerMinute": 9,
                "pricing": {"inputUsdPerMillionTokens": 0.5, "outputUsdPerMillionTokens": 0.5},
            }],
            "circuitBreaker": {"failures": 5, "openSeconds": 30, "successes": 3},
        },
        "records": {"postgres": {"secretRef": {"name": "db"}, "port": 5432}},
    })
}

#[test]
fn every_price_and_limit_of_a_service_outside_reaches_the_server() {
    let mut cluster = examples().remove(0).1;
    cluster.spec = serde_json::from_value(services()).unwrap();
    let (config, name) = (parsed(&cluster), "services");
    assert_eq!(config.generation.providers[0].requests_per_minute, Some(9));
    providers(&config, &cluster, name);
    embedding(&config, &cluster, name);
    retrieval(&config, &cluster, name);
}

/// The JSON pointers of all texts and numbers in a value.
fn leaves(value: &Value, path: &str) -> Vec<String> {
    match value {
        Value::Object(members) => {
            members.iter().flat_map(|(key, member)| leaves(member, &format!("{path}/{key}"))).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(index, item)| leaves(item, &format!("{path}/{index}"))).collect()
        }
        _ => vec![path.to_owned()],
    }
}

/// What the definition says of the field under a JSON pointer.
fn definition(path: &str) -> Value {
    let definition = json!(RagCluster::crd());
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    let steps = path.split('/').skip(1).map(|step| match step.parse::<usize>() {
        Ok(_) => "/items".to_owned(),
        Err(_) => format!("/properties/{step}"),
    });
    definition.pointer(&steps.fold(spec.to_owned(), |path, step| path + &step)).unwrap().clone()
}

/// The least and the most that the API accepts in a field. The form of an address is not a matter of its length.
fn extremes(path: &str) -> Vec<Value> {
    let field = definition(path);
    let of_length = |key: &str| json!("a".repeat(usize::try_from(field[key].as_u64().unwrap()).unwrap()));
    match field["type"].as_str() {
        Some("string") if path.ends_with("Url") => Vec::new(),
        Some("string") => vec![of_length("minLength"), of_length("maxLength")],
        _ => vec![field["minimum"].clone(), field["maximum"].clone()],
    }
}

#[test]
fn the_server_takes_the_least_and_the_most_that_the_api_accepts() {
    let (mut cluster, all) = (examples().remove(0).1, services());
    let paths = leaves(&all, "");
    assert!(paths.len() >= 20, "{paths:?}");
    for path in paths {
        for extreme in extremes(&path) {
            // The JSON of a definition writes every number as a float, and a count is read as an integer alone.
            let whole =
                extreme.as_f64().filter(|number| definition(&path)["type"] == "integer" && number.fract() == 0.0);
            let mut spec = all.clone();
            *spec.pointer_mut(&path).unwrap() = whole.map_or(extreme, |number| json!(number as i64));
            cluster.spec = serde_json::from_value(spec).unwrap_or_else(|error| panic!("{path}: {error}"));
            parsed(&cluster);
        }
    }
}

#[test]
fn the_server_parses_the_live_settings() {
    for read_only in [false, true] {
        let mut cluster = examples().remove(0).1;
        cluster.spec.read_only = read_only;
        let children = children(cluster);
        let live = Live::from_toml(text(&children.live, LIVE_FILE).as_bytes(), LIVE_FILE).unwrap();
        assert_eq!(live.read_only, read_only);
    }
}

#[test]
fn a_key_that_the_server_does_not_know_would_be_noticed() {
    let children = children(examples().remove(0).1);
    let bytes = format!("{}\n[retreival]\ntop_k = 5\n", text(&children.config, CONFIG_FILE));
    let problems = Config::from_toml(bytes.as_bytes(), "config.toml").unwrap_err().to_string();
    assert!(problems.contains(r#"unknown key "retreival"; did you mean "retrieval"?"#), "{problems}");
}
