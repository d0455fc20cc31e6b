//! What the API server refuses, before the operator sees it, and with which sentence.

use anyhow::{Context, Result};
use kube::api::{Api, Patch, PatchParams, PostParams};
use ragops_operator::api::RagCluster;
use ragops_tests::operator::Installation;
use serde_json::{Value, json};

use crate::shared::shared;

fn cluster(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "ragops.dev/v1alpha1", "kind": "RagCluster", "metadata": {"name": name}, "spec": spec})
}

/// Tries without storing: what is accepted by mistake, or too early, changes nothing for the next try.
async fn refused(clusters: &Api<RagCluster>, name: &str, spec: &Value, sentence: &str) -> Result<()> {
    let object = cluster(name, spec);
    let apply = PatchParams::apply("kubectl").force().dry_run();
    match clusters.patch(name, &apply, &Patch::Apply(&object)).await {
        Ok(_) => anyhow::bail!("accepted: {object}"),
        Err(kube::Error::Api(status)) => {
            anyhow::ensure!(status.message.contains(sentence), "not \"{sentence}\" but: {}", status.message);
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn embedder(model: &str, dimensions: u32) -> Value {
    let service = json!({"baseUrl": "https://llm.example.com/v1", "model": model, "dimensions": dimensions});
    json!({"embedding": {"openAI": service}})
}

fn reranker(field: &str, value: Value) -> Value {
    let mut service = json!({"baseUrl": "https://rerank.example.com/v1", "model": "m"});
    service[field] = value;
    json!({"retrieval": {"rerank": service}})
}

/// Specs that cannot work, each with what the refusal has to say.
fn what_cannot_work() -> Vec<(Value, &'static str)> {
    let llm = |name: &str| json!({"name": name, "baseUrl": "https://llm.example.com/v1", "model": "m"});
    vec![
        (json!({"replicas": 2}), "a Production cluster keeps at least 3 query servers"),
        (json!({"vectorStore": {"qdrant": {}, "embedded": {}}}), "exactly one"),
        (json!({"vectorStore": {"embedded": {}}}), "profile: Development, replicas: 1"),
        (
            json!({"profile": "Development", "replicas": 1, "vectorStore": {"embedded": {}}}),
            "autoscaling.enabled: false",
        ),
        (
            json!({"snapshots": {"schedules": [{"name": "a", "schedule": "0 2 * * *", "keep": 1, "destination": "b"}]}}),
            "a schedule names a destination that is none of destinations",
        ),
        (
            json!({"snapshots": {"schedules": [{"name": "drill", "schedule": "0 2 * * *", "keep": 1}]}}),
            "the names drill and full-drill belong to the trials of a restore",
        ),
        (
            json!({"snapshots": {"schedules": [{"name": "full-drill", "schedule": "0 2 * * *", "keep": 1}]}}),
            "the names drill and full-drill belong to the trials of a restore",
        ),
        (
            json!({"snapshots": {"schedules": [{"name": "a", "schedule": "0 2 * *", "keep": 1}]}}),
            "spec.snapshots.schedules[0].schedule",
        ),
        (json!({"snapshots": {"drill": {"schedule": "weekly"}}}), "spec.snapshots.drill.schedule"),
        (json!({"objectives": {"rpoSeconds": 1}}), "spec.objectives.rpoSeconds"),
        (json!({"replicas": 21}), "must not exceed autoscaling.maxReplicas"),
        (json!({"profile": "Staging"}), "Unsupported value: \"Staging\""),
        (json!({"autoscaling": {"scaleDown": {"cpuPercent": 80}}}), "must be below scaleUp.cpuPercent"),
        (json!({"generation": {"providers": [llm("a"), llm("a")]}}), "each provider needs a name of its own"),
        (json!({"generation": {"providers": [llm("embedding")]}}), "choose another name"),
        (json!({"auth": {"apiKeys": [{"name": "a", "tenant": "Acme"}]}}), "spec.auth.apiKeys[0].tenant"),
        (json!({"auth": {"apiKeys": [{"name": "a", "tenant": "a".repeat(64)}]}}), "spec.auth.apiKeys[0].tenant"),
        (
            json!({"vectorStore": {"externalQdrant": {"url": "https://q:6334", "caKey": "ca.crt"}}}),
            "caKey is a key of the Secret that apiKeySecretRef names",
        ),
        (
            json!({"vectorStore": {"externalQdrant": {
                "url": "http://q:6334", "caKey": "ca.crt", "apiKeySecretRef": {"name": "q"}}}}),
            "is for https://",
        ),
        (json!({"records": {}}), "found none: name exactly one of vectorStore and postgres"),
        (
            json!({"records": {"vectorStore": {}, "postgres": {"secretRef": {"name": "db"}}}}),
            "found both: name exactly one of vectorStore and postgres",
        ),
        (json!({"records": {"postgres": {}}}), "spec.records.postgres.secretRef: Required value"),
        (
            json!({"profile": "Development", "replicas": 1, "autoscaling": {"enabled": false}, "vectorStore": {"embedded": {}},
                "records": {"postgres": {"secretRef": {"name": "db"}}}}),
            "leave records out, or choose vectorStore.qdrant",
        ),
        (json!({"budget": {"onLimit": "Refuse"}}), "a budget needs monthlyUsd, dailyUsd or both"),
    ]
}

/// The same of how text becomes vectors and passages are found.
fn what_cannot_search() -> Vec<(Value, &'static str)> {
    let mut both = embedder("m", 8);
    both["embedding"]["local"] = json!({});
    let nowhere = json!({"embedding": {"openAI": {"model": "m", "dimensions": 8}}});
    let password = "https://me:secret@rerank.example.com/v1";
    vec![
        (json!({"retrieval": {"mode": "Sparse"}}), "Unsupported value: \"Sparse\""),
        (json!({"retrieval": {"topK": 51}}), "should be less than or equal to 50"),
        (json!({"retrieval": {"minScore": 1.5}}), "should be less than or equal to 1"),
        (reranker("topN", json!(1)), "should be greater than or equal to 2"),
        (reranker("baseUrl", json!("rerank.example.com/v1")), "spec.retrieval.rerank.baseUrl"),
        (reranker("baseUrl", json!(password)), "spec.retrieval.rerank.baseUrl"),
        (reranker("secretRef", json!({"name": ""})), "spec.retrieval.rerank.secretRef.name"),
        (json!({"embedding": {}}), "found none: name exactly one of local and openAI"),
        (both, "found both: name exactly one of local and openAI"),
        (nowhere, "spec.embedding.openAI.baseUrl: Required value"),
        (embedder("", 8), "spec.embedding.openAI.model"),
        (json!({"cache": {}}), "found none: name exactly one of memory and redis"),
        (json!({"cache": {"memory": {}, "redis": {"url": "redis://redis"}}}), "found both: name exactly one"),
        (json!({"cache": {"redis": {"url": "redis://:secret@redis"}}}), "spec.cache.redis.url"),
        (json!({"cache": {"redis": {"url": "http://redis"}}}), "spec.cache.redis.url"),
        (json!({"cache": {"redis": {"url": "redisss://redis"}}}), "spec.cache.redis.url"),
        (embedder("m", 0), "should be greater than or equal to 1"),
    ]
}

#[tokio::test]
async fn what_cannot_work_is_refused_with_the_field_and_what_is_allowed() -> Result<()> {
    let Some(shared) = shared("what_cannot_work_is_refused_with_the_field_and_what_is_allowed").await? else {
        return Ok(());
    };
    let (client, namespace) = shared.alone("refusals").await?;
    Installation::new(&shared.cluster, &namespace).await?;
    let clusters: Api<RagCluster> = Api::namespaced(client, &namespace);
    for (spec, sentence) in what_cannot_work().into_iter().chain(what_cannot_search()) {
        refused(&clusters, "refused", &spec, sentence).await.with_context(|| spec.to_string())?;
    }
    for name in ["a".repeat(41).as_str(), "a.b"] {
        refused(&clusters, name, &json!({}), "at most 40 lower-case letters, digits and dashes").await?;
    }
    the_vector_store_stays(&clusters).await?;
    a_volume_only_grows(&clusters).await?;
    the_embedder_stays(&clusters).await?;
    the_records_stay(&clusters).await?;

    // What is merely much is accepted, and everything that can be left out has a value.
    let accepted = cluster("much", &json!({"autoscaling": {"maxReplicas": 25}}));
    let stored = clusters.create(&PostParams::default(), &serde_json::from_value(accepted)?).await?;
    assert_eq!((stored.spec.replicas, stored.spec.autoscaling.scale_up.cpu_percent), (3, 70));
    let reranked = cluster("reranked", &reranker("model", json!("m")));
    let stored = clusters.create(&PostParams::default(), &serde_json::from_value(reranked)?).await?;
    assert_eq!(stored.spec.retrieval.rerank.map(|service| service.top_n), Some(30));
    // Only whoever embeds knows a good threshold, so nothing may be stored for it.
    assert_eq!(stored.spec.retrieval.min_score, None);
    Ok(())
}

/// Added or removed; the Secret may become another one.
async fn the_records_stay(clusters: &Api<RagCluster>) -> Result<()> {
    let database = |secret: &str| json!({"records": {"postgres": {"secretRef": {"name": secret}}}});
    let apply = PatchParams::apply("kubectl").force();
    for (name, spec) in [("beside", json!({})), ("database", database("db"))] {
        clusters.patch(name, &apply, &Patch::Apply(&cluster(name, &spec))).await?;
    }
    let stays = "where the records are cannot be changed, added or removed";
    refused(clusters, "beside", &database("db"), stays).await?;
    refused(clusters, "database", &json!({}), stays).await?;
    clusters.patch("database", &apply, &Patch::Apply(&cluster("database", &database("other")))).await?;
    clusters
        .patch("beside", &apply, &Patch::Apply(&cluster("beside", &json!({"records": {"vectorStore": {}}}))))
        .await?;
    Ok(())
}

/// Changed, added or removed.
async fn the_vector_store_stays(clusters: &Api<RagCluster>) -> Result<()> {
    let external = json!({"externalQdrant": {"url": "http://qdrant:6334", "collection": "handbook"}});
    let apply = PatchParams::apply("kubectl").force();
    for (name, spec) in [("managed", json!({})), ("external", json!({"vectorStore": external}))] {
        clusters.patch(name, &apply, &Patch::Apply(&cluster(name, &spec))).await?;
    }
    let kind = "the kind of vector store cannot be changed, added or removed";
    refused(clusters, "managed", &json!({"vectorStore": external}), kind).await?;
    refused(clusters, "external", &json!({}), kind).await?;
    refused(clusters, "external", &json!({"vectorStore": {"qdrant": {}}}), kind).await?;
    let other = json!({"vectorStore": {"externalQdrant": {"url": "http://qdrant:6334", "collection": "other"}}});
    refused(clusters, "external", &other, "collection").await
}

/// By what a size is worth, and not by how it is written. Absent is 10Gi of the default class.
async fn a_volume_only_grows(clusters: &Api<RagCluster>) -> Result<()> {
    let development = |storage: Value| {
        json!({
            "profile": "Development", "replicas": 1, "autoscaling": {"enabled": false},
            "vectorStore": {"embedded": {"storage": storage}},
        })
    };
    let production = |storage: Value| json!({"vectorStore": {"qdrant": {"storage": storage}}});
    let apply = PatchParams::apply("kubectl").force();
    for (name, spec) in [
        ("absent-volume", json!({})),
        ("small-volume", production(json!({"size": "5Gi"}))),
        ("large-volume", production(json!({"size": "50Gi"}))),
        ("volume", production(json!({"size": "10Gi", "className": "fast"}))),
        ("notes-volume", development(json!({"size": "10Gi"}))),
    ] {
        clusters.patch(name, &apply, &Patch::Apply(&cluster(name, &spec))).await?;
    }
    let grows = "a volume only grows";
    for (name, spec, sentence) in [
        ("volume", production(json!({"size": "9Gi", "className": "fast"})), "found 9Gi, was 10Gi: a volume only grows"),
        ("volume", production(json!({"size": "10G", "className": "fast"})), grows),
        ("volume", production(json!({"size": "20Gi", "className": "slow"})), "the storage class cannot be changed"),
        ("volume", production(json!({"size": "20Gi"})), "the storage class cannot be changed"),
        ("volume", json!({}), grows),
        ("absent-volume", production(json!({"size": "9Gi"})), "created with the defaults (10Gi"),
        ("absent-volume", production(json!({"size": "20Gi", "className": "fast"})), "its class stays"),
        ("large-volume", json!({}), grows),
        ("notes-volume", development(json!({"size": "1023Mi"})), grows),
    ] {
        refused(clusters, name, &spec, sentence).await.with_context(|| format!("{name}: {spec}"))?;
    }
    for (name, spec) in [
        ("volume", production(json!({"size": "10240Mi", "className": "fast"}))),
        ("volume", production(json!({"size": "1Ti", "className": "fast"}))),
        ("absent-volume", production(json!({"size": "20Gi"}))),
        ("small-volume", json!({})),
        ("notes-volume", development(json!({"size": "11G"}))),
    ] {
        let accepted = clusters.patch(name, &apply, &Patch::Apply(&cluster(name, &spec))).await;
        accepted.with_context(|| format!("{name}: {spec}"))?;
    }
    Ok(())
}

/// What its vectors are is for good. Where it is and which key it takes may change, and the default may be said.
async fn the_embedder_stays(clusters: &Api<RagCluster>) -> Result<()> {
    let local = json!({"embedding": {"local": {}}});
    let apply = PatchParams::apply("kubectl").force();
    for (name, spec) in [("absent", &json!({})), ("local", &local), ("service", &embedder("m", 8))] {
        clusters.patch(name, &apply, &Patch::Apply(&cluster(name, spec))).await?;
    }
    let kind = "the embedder cannot be changed (absent means all-MiniLM-L6-v2";
    let vectors = "the model and its dimensions cannot be changed";
    let service =
        [(json!({}), kind), (local.clone(), kind), (embedder("other", 8), vectors), (embedder("m", 16), vectors)];
    for (changed, sentence) in &service {
        refused(clusters, "service", changed, sentence).await.with_context(|| changed.to_string())?;
    }
    for name in ["absent", "local"] {
        refused(clusters, name, &embedder("m", 8), kind).await?;
    }
    let mut moved = embedder("m", 8);
    moved["embedding"]["openAI"]["baseUrl"] = json!("http://tei.rag.svc/v1");
    moved["embedding"]["openAI"]["secretRef"] = json!({"name": "other"});
    for (name, spec) in [("service", &moved), ("absent", &local), ("local", &json!({}))] {
        clusters.patch(name, &apply, &Patch::Apply(&cluster(name, spec))).await?;
    }
    Ok(())
}

/// Secrets that bob may read beside the first, none of which has to exist.
const MORE_KEYS: [&str; 4] = ["key-a", "key-b", "key-c", "key-d"];

/// Both may write RagClusters; bob alone may read the Secrets, by name.
fn two_writers_of_whom_bob_reads_the_key(namespace: &str) -> [Value; 4] {
    let read: Vec<&str> = ["qdrant-key"].into_iter().chain(MORE_KEYS).collect();
    [
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "qdrant-key"}, "stringData": {"key": "k"}}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "writers"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": format!("{namespace}-editor")},
            "subjects": [{"kind": "User", "name": "alice"}, {"kind": "User", "name": "bob"}],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "reads-key"},
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": read, "verbs": ["get"]}],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "reads-key"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reads-key"},
            "subjects": [{"kind": "User", "name": "bob"}],
        }),
    ]
}

#[tokio::test]
async fn nobody_newly_names_a_secret_that_they_may_not_read_yet_everybody_may_scale() -> Result<()> {
    let test = "nobody_newly_names_a_secret_that_they_may_not_read_yet_everybody_may_scale";
    let Some(shared) = shared(test).await? else { return Ok(()) };
    let (client, namespace) = shared.alone("secrets").await?;
    Installation::new(&shared.cluster, &namespace).await?;
    let objects = two_writers_of_whom_bob_reads_the_key(&namespace);
    let file = shared.cluster.folder().join(format!("{namespace}.rights.json"));
    std::fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string())?;
    let create = ["create", "--namespace", &namespace, "-f"];
    let output = tokio::process::Command::from(shared.cluster.kubectl()).args(create).arg(&file).output().await?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let names_a_secret = json!({"vectorStore": {"externalQdrant": {
        "url": "http://qdrant:6334", "collection": "handbook", "apiKeySecretRef": {"name": "qdrant-key", "key": "key"},
    }}});
    let alice: Api<RagCluster> = Api::namespaced(shared.cluster.client_as("alice", &[]).await?, &namespace);
    let bob: Api<RagCluster> = Api::namespaced(shared.cluster.client_as("bob", &[]).await?, &namespace);
    // A new policy is enforced a moment after it has been stored.
    ragops_tests::until("alice is refused", crate::scene::WITHIN, || async {
        refused(&alice, "handbook", &names_a_secret, "newly names the Secret qdrant-key, and alice may not read it")
            .await?;
        Ok(Some(()))
    })
    .await?;
    bob.patch("handbook", &PatchParams::apply("kubectl").force(), &Patch::Apply(&cluster("handbook", &names_a_secret)))
        .await?;
    // Who may not read the key may not send it elsewhere either.
    let elsewhere = json!({"vectorStore": {"externalQdrant": {
        "url": "http://elsewhere:6334", "collection": "handbook", "apiKeySecretRef": {"name": "qdrant-key", "key": "key"},
    }}});
    refused(&alice, "handbook", &elsewhere, "newly names the Secret qdrant-key, and alice may not read it").await?;
    let provider = |secret: &str, url: &str| {
        let mut spec = names_a_secret.clone();
        let provider =
            json!({"name": "llm", "baseUrl": url, "model": "m", "secretRef": {"name": secret, "key": "key"}});
        spec["generation"] = json!({"providers": [provider]});
        spec
    };
    let (before, after) = (provider("qdrant-key", "http://llm/v1"), provider("qdrant-key", "http://elsewhere/v1"));
    refused(&alice, "handbook", &before, "newly names the Secret qdrant-key, and alice may not read it").await?;
    bob.patch("handbook", &PatchParams::apply("kubectl").force(), &Patch::Apply(&cluster("handbook", &before))).await?;
    refused(&alice, "handbook", &after, "newly names the Secret qdrant-key, and alice may not read it").await?;
    let other = provider("other-key", "http://llm/v1");
    refused(&bob, "handbook", &other, "newly names the Secret other-key, and bob may not read it").await?;
    nobody_names_a_key_of_the_search(&alice, &bob).await?;
    nobody_changes_the_image_beside_a_key(&alice, &bob, &before).await?;
    whoever_may_read_many_keys_names_them_at_once(&bob).await?;
    let pulling = json!({"vectorStore": {"qdrant": {"podTemplate": {"imagePullSecrets": [{"name": "qdrant-key"}]}}}});
    refused(&alice, "pulling", &pulling, "newly names the Secret qdrant-key, and alice may not read it").await?;
    let scale = json!({"spec": {"replicas": 5}});
    alice.patch_scale("handbook", &PatchParams::default(), &Patch::Merge(&scale)).await?;
    let labels = json!({"metadata": {"labels": {"team": "a"}}});
    alice.patch("handbook", &PatchParams::default(), &Patch::Merge(&labels)).await?;
    assert_eq!(Api::<RagCluster>::namespaced(client, &namespace).get("handbook").await?.spec.replicas, 5);
    Ok(())
}

/// The services of the search hold to the same as a provider: bob names the key, and alice may not send it elsewhere.
async fn nobody_names_a_key_of_the_search(alice: &Api<RagCluster>, bob: &Api<RagCluster>) -> Result<()> {
    for (name, spec, pointer) in [
        ("embedder", embedder("m", 8), "/embedding/openAI"),
        ("reranker", reranker("model", json!("m")), "/retrieval/rerank"),
    ] {
        let at = |url: &str| -> Result<Value> {
            let mut spec = spec.clone();
            let service = spec.pointer_mut(pointer).context("a service")?;
            service["baseUrl"] = json!(url);
            service["secretRef"] = json!({"name": "qdrant-key", "key": "key"});
            Ok(spec)
        };
        let (before, after) = (at("http://near/v1")?, at("http://elsewhere/v1")?);
        let sentence = "newly names the Secret qdrant-key, and alice may not read it";
        refused(alice, name, &before, sentence).await?;
        bob.patch(name, &PatchParams::apply("kubectl").force(), &Patch::Apply(&cluster(name, &before))).await?;
        refused(alice, name, &after, sentence).await?;
    }
    Ok(())
}

/// Another image reads whatever is mounted beside it, and another key of the Secret is another key. Whoever may read the Secret
/// changes both.
async fn nobody_changes_the_image_beside_a_key(
    alice: &Api<RagCluster>,
    bob: &Api<RagCluster>,
    spec: &Value,
) -> Result<()> {
    let sentence = "newly names the Secret qdrant-key, and alice may not read it";
    let apply = PatchParams::apply("kubectl").force();
    let mut other_image = spec.clone();
    other_image["image"] = json!("elsewhere.example.com/rag-server:1");
    let mut other_key = spec.clone();
    other_key["vectorStore"]["externalQdrant"]["apiKeySecretRef"]["key"] = json!("other");
    for changed in [&other_image, &other_key] {
        refused(alice, "handbook", changed, sentence).await.with_context(|| changed.to_string())?;
        bob.patch("handbook", &apply, &Patch::Apply(&cluster("handbook", changed))).await?;
        bob.patch("handbook", &apply, &Patch::Apply(&cluster("handbook", spec))).await?;
    }

    let mut managed = embedder("m", 8);
    managed["embedding"]["openAI"]["secretRef"] = json!({"name": "qdrant-key", "key": "key"});
    managed["vectorStore"] = json!({"qdrant": {}});
    bob.patch("beside", &apply, &Patch::Apply(&cluster("beside", &managed))).await?;
    managed["vectorStore"] = json!({"qdrant": {"image": "elsewhere.example.com/qdrant:1"}});
    refused(alice, "beside", &managed, sentence).await?;
    bob.patch("beside", &apply, &Patch::Apply(&cluster("beside", &managed))).await?;

    // Beside no Secret of anybody's an image is free.
    let image = json!({"image": "example.com/rag-server:1"});
    alice.patch("keyless", &apply, &Patch::Apply(&cluster("keyless", &json!({})))).await?;
    alice.patch("keyless", &apply, &Patch::Apply(&cluster("keyless", &image))).await?;
    Ok(())
}

/// One expression of the policy asks for two Secrets at most, the policy for all of them; each is told once.
async fn whoever_may_read_many_keys_names_them_at_once(bob: &Api<RagCluster>) -> Result<()> {
    let providers = |last: &str| {
        let secrets = MORE_KEYS.into_iter().chain(["qdrant-key", last, last]).enumerate();
        let providers: Vec<Value> = secrets
            .map(|(index, secret)| {
                let secret = json!({"name": secret, "key": "key"});
                json!({"name": format!("llm-{index}"), "baseUrl": "http://llm/v1", "model": "m", "secretRef": secret})
            })
            .collect();
        json!({"generation": {"providers": providers}})
    };
    let names = "newly names the Secret key-a, key-b, key-c, key-d, qdrant-key, other-key, and bob may not read it";
    refused(bob, "many", &providers("other-key"), names).await?;
    let apply = PatchParams::apply("kubectl").force();
    bob.patch("many", &apply, &Patch::Apply(&cluster("many", &providers("key-a")))).await?;
    Ok(())
}
