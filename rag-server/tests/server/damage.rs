//! Data that is damaged at the start: said, moved aside by name, made anew where that can be; and nothing is served over a loss that nobody accepted.

use std::{
    fs,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::process::{FREE_PORTS, Home, Server, eventually, problem};

const DOCUMENTS: usize = 40;

/// Data with documents of one chunk or a few each.
fn filled() -> Home {
    let home = Home::new();
    for number in 0..DOCUMENTS {
        let text = format!("# Valve {number}\n\n{}", format!("The valve {number} is opened by hand. ").repeat(40));
        home.write(&format!("docs/{number:02}.md"), &text);
    }
    let ingested = home.run(&["ingest", "docs"]);
    assert!(ingested.status.success(), "{}", String::from_utf8_lossy(&ingested.stderr));
    home
}

fn data(home: &Home, name: &str) -> PathBuf {
    home.path("data").join(name)
}

/// Names in the folder of the data that tell of something that was moved aside.
fn moved_aside(home: &Home) -> Vec<String> {
    let names = fs::read_dir(home.path("data")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.contains(".damaged-")).collect();
    names.sort();
    names
}

async fn documents(server: &Server) -> usize {
    let page: Value = server.get("/documents?limit=1000").send().await.unwrap().json().await.unwrap();
    page["documents"].as_array().unwrap().len()
}

async fn finds(server: &Server, number: usize) -> bool {
    let body = json!({"query": format!("How is the valve {number} opened?")});
    let found: Value = server.post("/search").json(&body).send().await.unwrap().json().await.unwrap();
    !found["passages"].as_array().unwrap().is_empty()
}

/// Starts a server that says that something was lost, and serves nothing.
async fn refuses(home: &Home) -> Value {
    let mut server = home.serve(FREE_PORTS);
    server.await_log("waiting for the corpus");
    let told = problem(server.get("/health/ready").send().await.unwrap(), 503, "not-ready").await;
    assert!(told["waiting_for"].to_string().contains("the corpus (damaged)"), "{told}");
    problem(server.post("/query").json(&json!({"query": "valve?"})).send().await.unwrap(), 503, "not-ready").await;
    let health: Value = server.get("/health?detailed=true").send().await.unwrap().json().await.unwrap();
    assert!(health["parts"].as_array().unwrap().iter().any(|part| part["status"] == "damaged"), "{health}");
    let damage: Value = serde_json::from_slice(&fs::read(data(home, "damage.json")).unwrap()).unwrap();
    assert_eq!(damage["complete"], true, "{damage}");
    // A command says the same and fails.
    drop(server);
    let asked = home.run(&["query", "How is the valve 1 opened?"]);
    let said = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert!(asked.status.code() == Some(1) && said.contains("accept_loss") && said.contains("damage.json"), "{said}");
    damage
}

/// Starts the server again with the loss accepted.
async fn accepts(home: &Home, damage: &Value) -> Server {
    let at = damage["at"].as_str().unwrap();
    let server = home.serve(&format!("accept_loss = {at:?}\n{FREE_PORTS}"));
    server.await_ready().await;
    assert!(!data(home, "damage.json").exists() && data(home, &format!("damage-{at}.json")).exists());
    server
}

fn overwrite(path: &Path, at: u64, bytes: usize) {
    let mut file = fs::File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&vec![0xa5; bytes]).unwrap();
}

#[tokio::test]
async fn a_pointer_that_is_gone_or_makes_no_sense_is_found_again_and_nothing_is_lost() {
    for damage in [None, Some("seven")] {
        let home = filled();
        match damage {
            None => fs::remove_file(data(&home, "active")).unwrap(),
            Some(text) => fs::write(data(&home, "active"), text).unwrap(),
        }
        let server = home.serve(FREE_PORTS);
        server.await_ready().await;
        assert_eq!((documents(&server).await, finds(&server, 7).await), (DOCUMENTS, true));
        assert_eq!(moved_aside(&home).len(), usize::from(damage.is_some()));
        assert!(!data(&home, "damage.json").exists());
    }
}

#[tokio::test]
async fn records_that_are_no_database_are_made_anew_from_the_index_once_somebody_accepts_the_loss() {
    let home = filled();
    fs::write(data(&home, "records.sqlite"), "this is not a database, however long it may be".repeat(100)).unwrap();
    let damage = refuses(&home).await;
    assert_eq!((&damage["recorded_anew"], &damage["lost"]), (&json!(DOCUMENTS), &json!([])), "{damage}");
    let aside = moved_aside(&home);
    assert!(aside.iter().any(|name| name.starts_with("records.sqlite.damaged-")), "{aside:?}");
    let mut kept = String::new();
    fs::File::open(data(&home, &aside[0])).unwrap().read_to_string(&mut kept).unwrap();
    assert!(kept.starts_with("this is not a database"), "the old file is what it was");
    let server = accepts(&home, &damage).await;
    assert_eq!((documents(&server).await, finds(&server, 7).await), (DOCUMENTS, true));
    server.ingest("new.md", "The pump is started at noon.", "").await;
}

#[tokio::test]
async fn records_that_are_gone_or_empty_are_not_taken_for_a_first_start() {
    for empty in [true, false] {
        let home = filled();
        let file = data(&home, "records.sqlite");
        if empty {
            fs::write(&file, "").unwrap()
        } else {
            fs::remove_file(&file).unwrap()
        }
        let damage = refuses(&home).await;
        assert_eq!(damage["recorded_anew"], DOCUMENTS, "{damage}");
        let server = accepts(&home, &damage).await;
        assert_eq!((documents(&server).await, finds(&server, 7).await), (DOCUMENTS, true));
    }
}

#[tokio::test]
async fn what_can_be_read_of_damaged_records_is_taken_over() {
    for truncated in [false, true] {
        let home = filled();
        let file = data(&home, "records.sqlite");
        let bytes = fs::metadata(&file).unwrap().len();
        assert!(bytes > 8 * 4096, "{bytes}: there are several pages");
        if truncated {
            fs::File::options().write(true).open(&file).unwrap().set_len(bytes / 2 / 4096 * 4096).unwrap();
        } else {
            overwrite(&file, bytes / 2 / 4096 * 4096, 4096);
        }
        let damage = refuses(&home).await;
        let taken_over = damage["records_taken_over"].as_u64().unwrap();
        assert!(taken_over > 0 || truncated, "{damage}");
        assert_eq!(damage["documents"], DOCUMENTS, "{damage}");
        let server = accepts(&home, &damage).await;
        assert_eq!((documents(&server).await, finds(&server, 7).await), (DOCUMENTS, true));
    }
}

/// Folders of segments that hold something.
fn segments(home: &Home) -> Vec<PathBuf> {
    let entries = fs::read_dir(data(home, "e1").join("segments")).unwrap();
    let folders = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    folders.collect()
}

#[tokio::test]
async fn documents_whose_text_is_lost_are_named_and_forgotten_once_somebody_accepts_it() {
    for gone in ["damaged", "missing", "epoch"] {
        let home = filled();
        match gone {
            "damaged" => {
                for segment in segments(&home) {
                    fs::write(segment.join("segment.json"), "{").unwrap();
                }
            }
            "missing" => segments(&home).into_iter().for_each(|segment| fs::remove_dir_all(segment).unwrap()),
            _ => fs::remove_dir_all(data(&home, "e1")).unwrap(),
        }
        let damage = refuses(&home).await;
        assert_eq!(damage["lost"].as_array().unwrap().len(), DOCUMENTS, "{gone}: {damage}");
        assert_eq!(damage["lost"][7], "07.md", "{gone}");
        assert_eq!(moved_aside(&home).is_empty(), gone == "missing", "{gone}: {:?}", moved_aside(&home));
        let server = accepts(&home, &damage).await;
        assert_eq!(documents(&server).await, 0, "{gone}: nothing is listed that nobody can find");
        server.ingest("07.md", "The valve 7 is opened by hand.", "").await;
        assert!(finds(&server, 7).await, "{gone}");
    }
}

#[tokio::test]
async fn a_server_that_waits_goes_on_by_itself_when_the_data_is_put_back() {
    let home = filled();
    let copy = home.path("copy");
    let copied = std::process::Command::new("cp").arg("-a").arg(home.path("data")).arg(&copy).status().unwrap();
    assert!(copied.success());
    for segment in segments(&home) {
        fs::write(segment.join("segment.json"), "{").unwrap();
    }
    let mut server = home.serve(FREE_PORTS);
    server.await_log("waiting for the corpus");
    // Whoever has a copy puts it in the place of the damaged data.
    fs::rename(home.path("data"), home.path("damaged")).unwrap();
    fs::rename(&copy, home.path("data")).unwrap();
    server.await_ready().await;
    eventually("it finds what it found", async || finds(&server, 7).await).await;
    assert_eq!(documents(&server).await, DOCUMENTS);
}
