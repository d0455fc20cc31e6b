//! A disk without room, and one that may not be written: questions are answered, writes are refused with their cause, and it heals by itself.

use std::{
    fs::{self, File},
    io::Write as _,
    path::PathBuf,
    process::Command,
};

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::process::{FREE_PORTS, Home, Server, eventually, problem};

/// Whether this test can mount and become somebody else; says so where it cannot.
fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    let is_root = id.stdout == b"0\n";
    if !is_root {
        eprintln!("skipped: it needs root, to mount a small disk");
    }
    is_root
}

async fn answer(server: &Server) -> Value {
    let asked = server.post("/query").json(&json!({"query": "When does the canteen open?"})).send().await.unwrap();
    assert_eq!(asked.status(), StatusCode::OK);
    asked.json().await.unwrap()
}

async fn parts(server: &Server) -> String {
    let health: Value = server.get("/health?detailed=true").send().await.unwrap().json().await.unwrap();
    health["parts"].to_string()
}

#[tokio::test]
async fn on_a_full_disk_writes_are_refused_questions_are_answered_and_it_heals_when_there_is_room() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    fs::create_dir(home.path("data")).unwrap();
    let config = home.write("config.toml", FREE_PORTS);
    let mount = format!("mount -t tmpfs -o size=192m none {} && exec \"$@\"", home.path("data").display());
    let call = home.command(&["serve", "--config"]).args_of(&[&config]);
    let mut server = Server::start(&call.under(&["unshare", "--mount", "sh", "-c", &mount, "sh"]));
    server.await_ready().await;
    server.ingest("lunch.md", "The canteen opens at noon.", "").await;
    // The disk as the server sees it.
    let filler =
        PathBuf::from(format!("/proc/{}/root{}", server.child.id(), home.path("data").join("filler").display()));
    let mut file = File::create(&filler).unwrap();
    let mut block = 1 << 20;
    while block > 0 {
        match file.write(&vec![1; block]) {
            Ok(written) if written > 0 => {}
            _ => block /= 2,
        }
    }
    let document = json!({"documents": [{"id": "dinner.md", "text": "Dinner is at six. ".repeat(40_000)}]});
    let refused = server.post("/ingest").json(&document).send().await.unwrap();
    let told = problem(refused, 507, "storage-full").await;
    assert!(told["detail"].as_str().unwrap().contains("no room left"), "{told}");
    assert!(told["retry_after"].as_u64().is_some(), "{told}");
    assert!(answer(&server).await["answer"].as_str().unwrap().contains("noon"));
    assert_eq!(server.get("/health/ready").send().await.unwrap().status(), StatusCode::OK);
    server.await_log("a store failed");
    assert!(server.seen.last().unwrap().contains("disk_full"), "{:?}", server.seen.last());
    fs::remove_file(&filler).unwrap();
    drop(file);
    let ingested = async || {
        let accepted = server.post("/ingest").json(&document).send().await.unwrap();
        accepted.status() == StatusCode::ACCEPTED
    };
    eventually("there is room again", ingested).await;
    eventually("every part is well", async || !parts(&server).await.contains(r#""status":"disk_full""#)).await;
    eventually("it is found", async || {
        server.get("/documents/dinner.md").send().await.unwrap().status() == StatusCode::OK
    })
    .await;
    assert!(server.child.try_wait().unwrap().is_none(), "the process goes on");
}

#[tokio::test]
async fn a_data_folder_that_may_not_be_written_is_waited_for_by_name_and_nothing_of_it_is_moved() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    home.write("docs/lunch.md", "The canteen opens at noon.");
    assert!(home.run(&["ingest", "docs"]).status.success());
    let config = home.write("config.toml", FREE_PORTS);
    let data = home.path("data");
    let mount = format!("mount --bind {0} {0} && mount -o remount,bind,ro {0} && exec \"$@\"", data.display());
    let call = home.command(&["serve", "--config"]).args_of(&[&config]);
    let mut server = Server::start(&call.under(&["unshare", "--mount", "sh", "-c", &mount, "sh"]));
    server.await_log("waiting for the vector store");
    let told = problem(server.get("/health/ready").send().await.unwrap(), 503, "not-ready").await;
    assert!(told["waiting_for"].to_string().contains("the vector store (read only)"), "{told}");
    // It may be written again.
    let pid = server.child.id().to_string();
    let remounted = Command::new("nsenter")
        .args(["--target", &pid, "--mount", "mount", "-o", "remount,bind,rw"])
        .arg(&data)
        .status()
        .unwrap();
    assert!(remounted.success());
    server.await_ready().await;
    assert!(answer(&server).await["answer"].as_str().unwrap().contains("noon"));
    assert!(fs::read_dir(&data).unwrap().all(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        !name.contains("damage")
    }));
}
