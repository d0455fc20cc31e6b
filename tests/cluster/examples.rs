//! The examples of the repository are accepted by the API server as they stand, and each of them comes to serve.
//!
//! Kinds of other projects (Argo CD, the Gateway API) are not installed here: of these it is only shown that they are YAML with
//! a kind and a name, and that a route leads to the Service of a RagCluster in the same file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use kube::ResourceExt as _;
use kube::api::ListParams;
use ragops_tests::metrics::Cpu;
use serde::Deserialize as _;
use serde_json::Value;

use crate::argocd_health::health;
use crate::scene::Scene;

/// Groups that this control plane does not serve.
const NOT_SERVED: [&str; 2] = ["argoproj.io/", "gateway.networking.k8s.io/"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

fn examples() -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder()).context("the examples")?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    Ok(files)
}

fn objects(file: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(file)?;
    let documents = serde_yaml_ng::Deserializer::from_str(&text).map(Value::deserialize);
    documents.collect::<Result<_, _>>().with_context(|| file.display().to_string())
}

fn is_served(object: &Value) -> bool {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    !NOT_SERVED.iter().any(|group| version.starts_with(group))
}

async fn kubectl(scene: &Scene, arguments: &[&str]) -> Result<()> {
    let mut command = tokio::process::Command::from(scene.shared.cluster.kubectl());
    let output = command.args(arguments).args(["--namespace", &scene.namespace]).output().await?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

const APPLY: [&str; 4] = ["apply", "--server-side", "--force-conflicts", "--validate=strict"];

#[tokio::test]
async fn every_example_is_accepted_and_serves() -> Result<()> {
    let Some(scene) = Scene::new("every_example_is_accepted_and_serves", "examples").await? else { return Ok(()) };
    scene.shared.metrics.set(&scene.namespace, Cpu::Percent(50.0));
    let _operator = scene.operator(&[]).await?;
    let examples = examples()?;
    ensure!(examples.len() >= 3, "{examples:?}");
    let mut expected = 1;
    for example in &examples {
        let served: Vec<Value> = objects(example)?.into_iter().filter(is_served).collect();
        if served.is_empty() {
            continue;
        }
        expected += served.iter().filter(|object| object["kind"] == "RagCluster").count();
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": served});
        let name = example.file_name().unwrap_or_default().to_string_lossy();
        let file = scene.shared.cluster.folder().join(format!("{}.{name}.json", scene.namespace));
        std::fs::write(&file, list.to_string())?;
        let file = file.display().to_string();
        kubectl(&scene, &[&APPLY[..], &["-f", &file]].concat()).await.with_context(|| name.to_string())?;
    }
    let production = folder().join("kustomize/production").display().to_string();
    kubectl(&scene, &[&APPLY[..], &["-k", &production]].concat()).await?;
    let clusters = scene.clusters.list(&ListParams::default()).await?;
    assert_eq!(clusters.items.len(), expected, "two examples share a name");
    let guides = clusters.items.iter().find(|cluster| cluster.name_any() == "guides").context("no guides")?;
    assert_eq!((guides.spec.replicas, guides.labels().get("stage").map(String::as_str)), (5, Some("production")));
    for cluster in clusters.items {
        scene.serving(&cluster.name_any()).await?;
        let served = serde_json::to_value(scene.clusters.get(&cluster.name_any()).await?)?;
        let health = health(&served)?;
        ensure!(health.status == "Healthy", "{health:?} of {served}");
    }
    Ok(())
}

#[test]
fn every_object_has_a_kind_and_a_name_and_every_route_leads_to_a_rag_cluster_of_its_file() -> Result<()> {
    let mut routes = 0;
    for file in examples()? {
        let (objects, file) = (objects(&file)?, file.display());
        let of = |kind: &str| objects.iter().filter(|object| object["kind"] == kind).collect::<Vec<_>>();
        for object in &objects {
            for field in [&object["apiVersion"], &object["kind"], &object["metadata"]["name"]] {
                ensure!(field.as_str().is_some_and(|text| !text.is_empty()), "{file}: {object}");
            }
        }
        let services: Vec<&Value> = of("RagCluster").iter().map(|cluster| &cluster["metadata"]["name"]).collect();
        let paths = |ingress: &&Value| ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"].clone();
        let backends =
            of("HTTPRoute").iter().map(|route| route["spec"]["rules"][0]["backendRefs"][0].clone()).collect::<Vec<_>>();
        for backend in of("Ingress").iter().map(paths).chain(backends) {
            let port = if backend["port"].is_object() { &backend["port"]["number"] } else { &backend["port"] };
            ensure!(services.contains(&&backend["name"]) && *port == 8080, "{file}: {backend}");
            routes += 1;
        }
    }
    ensure!(routes >= 2, "only {routes} routes were found");
    Ok(())
}
