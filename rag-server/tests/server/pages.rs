//! Every command of the pages about the server alone works as it is written there.

use std::{path::Path, process::Command};

use crate::process::{Home, model};

/// The pages name port 8080, which may be taken on this machine: the commands run in a network of their own.
const OWN_NETWORK: &str = "ip link set lo up && exec bash \"$0\" \"$1\"";

#[test]
fn every_command_of_the_page_about_one_machine_works() {
    every_command_works("docs/laptop.md");
}

#[test]
fn every_command_of_the_page_about_documents_works() {
    every_command_works("docs/documents.md");
}

#[test]
fn every_command_of_the_page_about_evaluation_works() {
    every_command_works("docs/evaluate.md");
}

#[test]
fn every_command_of_the_page_about_generation_works() {
    every_command_works("docs/generation.md");
}

#[test]
fn every_command_of_the_page_about_clients_works() {
    every_command_works("docs/clients.md");
}

#[test]
fn every_command_of_the_page_about_snapshots_works() {
    every_command_works("docs/snapshots.md");
}

#[test]
fn every_command_of_the_page_about_disasters_works() {
    every_command_works("docs/disaster-recovery.md");
}

fn every_command_works(page: &str) {
    if let Err(reason) = own_network() {
        eprintln!("skipped, because {reason}: every command of {page} works");
        return;
    }
    let home = Home::new();
    let programs = Path::new(env!("CARGO_BIN_EXE_rag-server")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/docs/run.sh");
    let mut command = unshare();
    command.args(["sh", "-c", OWN_NETWORK]).arg(script).arg(page);
    command.env_clear().env("PATH", path).env("HOME", home.dir.path()).env("RAG_MODEL_DIR", model());
    let output = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(said.contains(&format!("{page}: ")), "no command was run: {said}");
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--net", "--map-root-user"]);
    command
}

fn own_network() -> Result<(), String> {
    match unshare().args(["ip", "link", "set", "lo", "up"]).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!(
            "a network of one's own is not to be had: {}",
            String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ")
        )),
        Err(error) => Err(format!("unshare cannot be run: {error}")),
    }
}
