//! The examples of the repository are accepted by the API server as they stand, and each of them comes to serve.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ragops_tests::metrics::Cpu;

use crate::scene::Scene;

fn examples() -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    Ok(files)
}

#[tokio::test]
async fn every_example_is_accepted_and_serves() -> Result<()> {
    let Some(scene) = Scene::new("every_example_is_accepted_and_serves", "examples").await? else { return Ok(()) };
    scene.shared.metrics.set(&scene.namespace, Cpu::Percent(50.0));
    let _operator = scene.operator(&[]).await?;
    let examples = examples()?;
    assert!(examples.len() >= 3, "{examples:?}");
    for example in &examples {
        let output = tokio::process::Command::from(scene.shared.cluster.kubectl())
            .args([
                "apply",
                "--server-side",
                "--force-conflicts",
                "--validate=strict",
                "--namespace",
                &scene.namespace,
                "-f",
            ])
            .arg(example)
            .output()
            .await?;
        assert!(output.status.success(), "{}: {}", example.display(), String::from_utf8_lossy(&output.stderr));
    }
    let clusters = scene.clusters.list(&kube::api::ListParams::default()).await?;
    assert!(!clusters.items.is_empty());
    for cluster in clusters.items {
        scene.serving(&kube::ResourceExt::name_any(&cluster)).await?;
    }
    Ok(())
}
