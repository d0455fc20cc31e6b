//! Every command of the pages for users works as it is written there.

use std::ffi::OsString;

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::shared::{NAMESPACE, Node, QDRANT_DOUBLE, node, output, program, root};

/// The pages that need a cluster, in the order in which a reader comes to them.
const PAGES: [&str; 2] = ["docs/cluster.md", "docs/scaling.md"];

#[tokio::test]
async fn every_command_of_the_pages_about_the_cluster_works() -> Result<()> {
    let Some(node) = node("every_command_of_the_pages_about_the_cluster_works").await? else { return Ok(()) };
    for page in PAGES {
        // A reader of any page has a handbook that serves; the first page removes it at its end.
        if let Err(error) = serve(&node).await {
            return Err(error.context(node.told().await));
        }
        let said = output(&mut commands(&node, page)?).await.context(page)?;
        assert!(said.starts_with(&format!("== {page}: ")), "{said}");
    }
    Ok(())
}

async fn serve(node: &Node) -> Result<()> {
    let example = root().join("examples/01-minimal.yaml");
    output(program(node.cluster, "kubectl").args(["apply", "-n", NAMESPACE, "-f"]).arg(example)).await?;
    let ready = ["wait", "-n", NAMESPACE, "--for=condition=Ready", "rag/handbook", "--timeout=5m"];
    output(program(node.cluster, "kubectl").args(ready)).await.map(drop)
}

/// The shell of somebody who has installed what the pages ask for.
fn commands(node: &Node, page: &str) -> Result<Command> {
    let me = std::env::current_exe()?;
    let programs = me.parent().and_then(|deps| deps.parent()).context("this test lies in no folder")?;
    let mut path = OsString::from(node.cluster.parts().folder());
    for folder in [programs.as_os_str(), &std::env::var_os("PATH").unwrap_or_default()] {
        path.push(":");
        path.push(folder);
    }
    let mut command = Command::new("bash");
    command.arg(root().join("tests/docs/run.sh")).arg(page).kill_on_drop(true);
    command.env("KUBECONFIG", node.cluster.kubeconfig()).env("PATH", path).env("HOME", node.cluster.folder());
    command.env("QDRANT_IMAGE", QDRANT_DOUBLE).env("RAG_MODEL_DIR", root().join("model"));
    Ok(command)
}
