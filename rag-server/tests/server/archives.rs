//! Archives from the command line: what a command reports, what is removed, copied and encrypted, and what is left when one is killed over a real S3.

use std::{fs, os::unix::process::ExitStatusExt as _, process::Child};

use rag_server::ports::Archive;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    process::{Home, eventually},
    weed::{ID, SECRET, weed},
};

/// Keys of these tests alone, as `age-keygen` makes them.
const KEYS: [(&str, &str); 2] = [
    (
        "AGE-SECRET-KEY-1LRCJVEVERXVJ2SEDVHGL4VZ4963UJFRX6AV2VC4LT4XFDQC0APFS8A8YC7",
        "age19pupnuvvjn86d0skq3k7feq6m0q55fl8k64cxumtfs6qpw78auwsd6k27s",
    ),
    (
        "AGE-SECRET-KEY-1CZ38KNCVEQD56VSEF7RAXFKWAKGT2L654J48UPHTJSG8WYPCEEVS8FNCA6",
        "age1aaxr52eg86e6wa6pxhhmsvarer8k334r658fg0l8wddhk79t0qzq93pawl",
    ),
];

/// Runs the program and gives what it reports, which is a failure exactly when the program says so by its exit code.
fn reports(home: &Home, arguments: &[&str]) -> Value {
    let output = home.run(&[arguments, &["--report", "report.json"]].concat());
    let report = fs::read(home.path("report.json")).unwrap();
    assert!(report.len() <= 4096, "{}", report.len());
    let report: Value = serde_json::from_slice(&report).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.success(), report["outcome"] == "done", "{report} {said}");
    fs::remove_file(home.path("report.json")).unwrap();
    report
}

fn fails(home: &Home, arguments: &[&str], cause: &str) -> String {
    let report = reports(home, arguments);
    assert_eq!((&report["outcome"], &report["cause"]), (&json!("failed"), &json!(cause)), "{report}");
    report["message"].as_str().unwrap().to_owned()
}

fn says(home: &Home, arguments: &[&str]) -> String {
    let output = home.run(arguments);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn furnished() -> Home {
    let home = Home::new();
    home.write("docs/backup.md", "# Backup\n\nDaily snapshots are kept for 7 days.\n");
    home.write("docs/menu.txt", "Soup is served at noon in the canteen of the plant.\n");
    says(&home, &["ingest", "docs"]);
    home
}

#[test]
fn a_command_reports_what_it_came_to() {
    let home = furnished();
    let at = ["--archive", "archive"];
    let with = |arguments: &[&'static str]| [arguments, &at].concat();
    let taken = reports(&home, &with(&["snapshot", "create", "one", "--taken-for", "uid-1", "--verify"]));
    let snapshot = &taken["snapshot"];
    assert_eq!((&snapshot["name"], &snapshot["documents"], &snapshot["format"]), (&json!("one"), &json!(2), &json!(1)));
    assert_eq!((&snapshot["encrypted"], &snapshot["signed"]), (&json!(false), &json!(false)));
    assert!(snapshot["place"].as_str().unwrap().ends_with("archive"), "{snapshot}");
    let object = fs::read(home.path("archive/manifests/one.json")).unwrap();
    assert_eq!(snapshot["sha256"], hex::encode(Sha256::digest(object)));
    assert_eq!((&taken["written_bytes"], &taken["verified"]), (&snapshot["bytes"], &json!(true)));
    let again = reports(&home, &with(&["snapshot", "create", "one", "--taken-for", "uid-1"]));
    assert_eq!((&again["snapshot"], &again["written_bytes"], &again["verified"]), (snapshot, &json!(0), &json!(false)));
    fails(&home, &with(&["snapshot", "create", "one", "--taken-for", "uid-2"]), "exists");
    fails(&home, &with(&["snapshot", "create", "one"]), "exists");
    reports(&home, &with(&["snapshot", "create", "two"]));
    let listed = reports(&home, &with(&["snapshot", "list"]));
    assert_eq!((&listed["total"], &listed["snapshots"][1]["name"]), (&json!(2), &json!("two")), "{listed}");
    assert_eq!(listed["snapshots"][0]["bytes"], snapshot["bytes"]);
    let verified = reports(&home, &with(&["snapshot", "verify", "one"]));
    assert_eq!((&verified["snapshot"], &verified["verified"]), (snapshot, &json!(true)));
    fails(&home, &with(&["snapshot", "remove", "one", "two"]), "last");
    let removed = reports(&home, &with(&["snapshot", "remove", "one", "gone"]));
    assert_eq!(removed["removed"], json!(["one", "gone"]), "what is not there any more is removed");
    fails(&home, &with(&["snapshot", "verify", "one"]), "none");
    let part = fs::read_dir(home.path("archive/parts")).unwrap().next().unwrap().unwrap().path();
    fs::write(&part, "spoiled").unwrap();
    fails(&home, &with(&["snapshot", "verify"]), "damaged");
    fs::remove_file(&part).unwrap();
    fails(&home, &with(&["snapshot", "verify"]), "incomplete");
    fs::remove_dir_all(home.path("archive")).unwrap();
    fails(&home, &with(&["snapshot", "list"]), "no_place");
}

#[test]
fn what_was_found_out_stays_in_the_archive_when_the_snapshot_is_gone() {
    let home = furnished();
    let with = |arguments: &[&'static str]| [arguments, &["--archive", "archive"]].concat();
    reports(&home, &with(&["snapshot", "create", "one"]));
    assert_eq!(reports(&home, &with(&["snapshot", "evidence"]))["total"], 0, "nobody has looked at it yet");
    let create = ["snapshot", "create", "two", "--verify", "--asked-by", "RagSnapshot team-a/two (uid s2)"];
    let taken = reports(&home, &with(&create));
    let part = fs::read_dir(home.path("archive/parts")).unwrap().next().unwrap().unwrap().path();
    fs::write(&part, "spoiled").unwrap();
    fails(&home, &with(&["snapshot", "verify", "two"]), "damaged");
    fails(&home, &with(&["snapshot", "verify", "gone"]), "none");
    reports(&home, &with(&["snapshot", "remove", "two"]));
    let found = reports(&home, &with(&["snapshot", "evidence"]));
    let [mut failed, mut passed] = [0, 1].map(|index| found["evidence"][index].clone());
    // Both may be of one second, in which their hashes order them.
    if failed["verdict"] == "passed" {
        std::mem::swap(&mut failed, &mut passed);
    }
    assert_eq!(found["total"], 2, "{found}");
    for one in [&failed, &passed] {
        let manifest = &taken["snapshot"]["sha256"];
        assert_eq!(
            (&one["act"], &one["snapshot"], &one["manifest_sha256"]),
            (&json!("verify"), &json!("two"), manifest)
        );
    }
    assert_eq!((&failed["verdict"], &failed["cause"]), (&json!("failed"), &json!("damaged")));
    assert_eq!((&passed["verdict"], &passed["cause"]), (&json!("passed"), &Value::Null));
    let said = home.run(&with(&["snapshot", "evidence"]));
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("asked by RagSnapshot team-a/two (uid s2)\n"), "{said}");
    assert!(
        said.contains("verify of two: failed, for damaged, ") && said.contains("asked by the command line"),
        "{said}"
    );
}

#[test]
fn what_fails_before_anything_is_opened_is_reported_too() {
    let home = furnished();
    let message = fails(&home, &["snapshot", "create", "one"], "configuration");
    assert!(message.starts_with("no archive is named"), "{message}");
    let message = fails(&home, &["snapshot", "list", "--set", "snapshots.colour=red"], "configuration");
    assert!(message.contains("colour"), "{message}");
    let folder = "snapshots.folder.path=archive";
    let set = ["--set", folder, "--set", "snapshots.encryption.identity_file=missing"];
    let message = fails(&home, &[&["snapshot", "create"][..], &set].concat(), "configuration");
    assert!(message.contains("snapshots.encryption.identity_file missing cannot be read"), "{message}");
    home.write("id", KEYS[0].0);
    let set = ["--set", folder, "--set", "snapshots.encryption.identity_file=id"];
    let message = fails(&home, &[&["snapshot", "create"][..], &set].concat(), "configuration");
    assert!(message.contains("recipients_file is not set"), "{message}");
    let set = ["--set", folder, "--set", "snapshots.encryption.recipients_file=id"];
    let message = fails(&home, &[&["snapshot", "create"][..], &set].concat(), "configuration");
    assert!(message.contains("holds no X25519 key of age in line 1") && !message.contains(KEYS[0].0), "{message}");
    fs::remove_dir_all(home.path("data")).unwrap();
    fails(&home, &["snapshot", "create", "one", "--archive", "archive"], "empty");
    let unwritable = home.run(&["snapshot", "list", "--archive", "archive", "--report", "gone/report"]);
    assert!(!unwritable.status.success() && String::from_utf8_lossy(&unwritable.stderr).contains("cannot be written"));
}

#[test]
fn an_encrypted_snapshot_is_listed_by_all_and_read_by_those_who_have_the_key() {
    let home = furnished();
    for (n, (secret, public)) in KEYS.iter().enumerate() {
        home.write(&format!("identity-{n}"), &format!("# created for a test\n{secret}\n"));
        home.write(&format!("recipients-{n}"), &format!("{public}\n"));
    }
    home.write("attached/rag.yaml", "kind: RagCluster\n");
    let at = ["--set", "snapshots.folder.path=archive"];
    let recipients = ["--set", "snapshots.encryption.recipients_file=recipients-0"];
    let identity = ["--set", "snapshots.encryption.identity_file=identity-0"];
    let other = ["--set", "snapshots.encryption.identity_file=identity-1"];
    let files = ["--set", "snapshots.attached=attached"];
    let all = |parts: &[&[&'static str]]| parts.concat();
    let taken =
        reports(&home, &all(&[&["snapshot", "create", "one", "--verify"], &at, &recipients, &identity, &files]));
    assert_eq!((&taken["snapshot"]["encrypted"], &taken["verified"]), (&json!(true), &json!(true)));
    let again = reports(&home, &all(&[&["snapshot", "create", "two"], &at, &recipients, &identity, &files]));
    assert_eq!(again["written_bytes"], 0);
    let listed = reports(&home, &all(&[&["snapshot", "list"], &at]));
    assert_eq!((&listed["total"], &listed["snapshots"][0]["documents"]), (&json!(2), &Value::Null), "{listed}");
    assert!(says(&home, &all(&[&["snapshot", "list"], &at])).contains("encrypted, and the key is not here"));
    for keys in [&[][..], &other] {
        fails(&home, &all(&[&["snapshot", "verify"], &at, keys]), "no_key");
        fails(&home, &all(&[&["snapshot", "download", "one", "--to", "copy"], &at, keys]), "no_key");
    }
    fails(&home, &all(&[&["snapshot", "create", "three", "--verify"], &at, &recipients, &other]), "no_key");
    // Copied, removed at its place, and restored from the copy.
    let copied = reports(&home, &all(&[&["snapshot", "download", "one", "--to", "copy"], &at, &identity]));
    assert_eq!(copied["snapshot"]["sha256"], taken["snapshot"]["sha256"]);
    let again = reports(&home, &all(&[&["snapshot", "download", "one", "--to", "copy"], &at, &identity]));
    assert_eq!((&copied["written_bytes"], &again["written_bytes"]), (&copied["snapshot"]["bytes"], &json!(0)));
    reports(&home, &all(&[&["snapshot", "remove", "one", "two", "three", "--last"], &at]));
    assert_eq!(fs::read_dir(home.path("archive/parts")).unwrap().count(), 0);
    fs::remove_dir_all(home.path("data")).unwrap();
    fails(&home, &all(&[&["snapshot", "restore", "--archive", "copy"], &other]), "no_key");
    reports(&home, &all(&[&["snapshot", "restore", "--archive", "copy"], &identity]));
    assert!(says(&home, &["query", "When is soup served?"]).contains("noon"));
    let written = says(&home, &all(&[&["snapshot", "attached", "--to", "files", "--archive", "copy"], &identity]));
    assert_eq!(written.trim_end(), "written to files: rag.yaml");
    assert_eq!(fs::read_to_string(home.path("files/rag.yaml")).unwrap(), "kind: RagCluster\n");
}

/// A corpus that takes several seconds at the speed of [`SLOWLY`], and its commands over a bucket.
struct OverS3 {
    home: Home,
    archive: Box<dyn Archive>,
}

/// The least speed that there is.
const SLOWLY: &str = "snapshots.bytes_per_second=65536";

impl OverS3 {
    async fn new() -> Result<Self, String> {
        let weed = weed().await?;
        let home = Home::new();
        for n in 0..120 {
            let lines: String = (0..3).map(|line| format!("# Valve {n}.{line}\n\nIt opens at {n} bar.\n\n")).collect();
            home.write(&format!("docs/{n}.md"), &lines);
        }
        tokio::task::block_in_place(|| says(&home, &["ingest", "docs"]));
        let prefix = format!("killed/{}", uuid::Uuid::new_v4());
        home.write("id", ID);
        home.write("secret", SECRET);
        home.write("wrong", "not-the-secret");
        let config = format!(
            "[snapshots.s3]\nbucket = \"archive\"\nprefix = \"{prefix}\"\nendpoint = \"{}\"\naccess_key_id_file = \"id\"\nsecret_access_key_file = \"secret\"\n",
            weed.endpoint
        );
        home.write("s3.toml", &config);
        Ok(Self { home, archive: Box::new(weed.archive(&prefix, SECRET)) })
    }

    fn reports(&self, arguments: &[&str]) -> Value {
        tokio::task::block_in_place(|| reports(&self.home, &[arguments, &["--config", "s3.toml"]].concat()))
    }

    /// Starts a command, slowly, and waits until it has come so far, or to its end.
    async fn until(&self, arguments: &[&str], so_far: impl AsyncFn() -> bool) -> Child {
        let slowly = ["--config", "s3.toml", "--set", SLOWLY, "--report", "report.json"];
        let mut child = self.home.command(&[arguments, &slowly].concat()).command().spawn().unwrap();
        eventually("it is at work", async || so_far().await || child.try_wait().unwrap().is_some()).await;
        child
    }

    /// Removes marks, as if their time were over.
    async fn forget(&self) {
        for folder in ["taking/", "removing/"] {
            for mark in self.archive.list(folder).await.unwrap() {
                self.archive.remove(&mark.name).await.unwrap();
            }
        }
    }

    async fn count(&self, folder: &str) -> usize {
        self.archive.list(folder).await.unwrap().len()
    }
}

/// Kills a command; false where it had come to its end before.
fn kill(mut child: Child) -> bool {
    child.kill().unwrap();
    child.wait().unwrap().signal().is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_or_a_removal_that_is_killed_over_s3_leaves_nothing_that_is_listed_and_not_whole() {
    let world = match OverS3::new().await {
        Ok(world) => world,
        Err(why) => return eprintln!("skipped, because {why}"),
    };
    // Parts of the first one may be there when the second one begins, also those that the service went on to write after its death: that the second one is at work is told by its mark.
    for parts in [0, 1] {
        let so_far = async || world.count("taking/").await > 0 && world.count("parts/").await >= parts;
        let child = world.until(&["snapshot", "create", "one", "--taken-for", "uid"], so_far).await;
        assert!(kill(child), "it ended before {parts} parts were there");
        assert_eq!(world.count("manifests/").await, 0, "killed when {parts} parts were there");
        assert_eq!(world.count("taking/").await, 1, "a mark of the dead");
        world.forget().await;
    }
    let taken = world.reports(&["snapshot", "create", "one", "--taken-for", "uid", "--verify"]);
    let bytes = &taken["snapshot"]["bytes"];
    assert_eq!(taken["verified"], true, "{taken}");
    assert!(taken["written_bytes"].as_u64() < bytes.as_u64(), "what was written is not written again: {taken}");
    assert!(taken["snapshot"]["place"].as_str().unwrap().starts_with("s3://archive/killed/"), "{taken}");
    kill(world.until(&["snapshot", "verify"], async || true).await);
    // What is new is removed again, by one that is killed when it has begun, and by the next.
    world.home.write("docs/new.md", "# New\n\nIt is here since today.\n");
    tokio::task::block_in_place(|| says(&world.home, &["ingest", "docs"]));
    world.reports(&["snapshot", "create", "two"]);
    let parts = world.count("parts/").await;
    kill(world.until(&["snapshot", "remove", "two"], async || world.count("removing/").await > 0).await);
    let left = world.reports(&["snapshot", "list"])["total"].as_u64().unwrap();
    assert!((1..=2).contains(&left));
    world.reports(&["snapshot", "verify", "one"]);
    world.forget().await;
    let removed = world.reports(&["snapshot", "remove", "two"]);
    assert_eq!((&removed["removed"], &removed["left"]), (&json!(["two"]), &Value::Null));
    assert!(world.count("parts/").await < parts);
    let verified = world.reports(&["snapshot", "verify"]);
    assert_eq!((&verified["snapshot"]["name"], &verified["snapshot"]["bytes"]), (&json!("one"), bytes));
    let wrong = ["snapshot", "verify", "--set", "snapshots.s3.secret_access_key_file=wrong"];
    assert_eq!(world.reports(&wrong)["cause"], "auth_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_told_to_stop_ends_cleanly_and_goes_on_when_it_is_started_again() {
    let world = match OverS3::new().await {
        Ok(world) => world,
        Err(why) => return eprintln!("skipped, because {why}"),
    };
    let mut child = world.until(&["snapshot", "create", "one"], async || world.count("parts/").await > 0).await;
    assert!(std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let mut status = None;
    eventually("it ends", async || {
        status = child.try_wait().unwrap();
        status.is_some()
    })
    .await;
    assert_eq!(status.unwrap().code(), Some(1));
    let report: Value = serde_json::from_slice(&fs::read(world.home.path("report.json")).unwrap()).unwrap();
    assert_eq!((&report["outcome"], &report["cause"]), (&json!("failed"), &json!("stopped")), "{report}");
    assert_eq!((world.count("manifests/").await, world.count("taking/").await), (0, 0), "it took its mark along");
    let taken = world.reports(&["snapshot", "create", "one", "--verify"]);
    assert!(taken["written_bytes"].as_u64() < taken["snapshot"]["bytes"].as_u64(), "{taken}");
}
