//! Requests that nobody would think of, made from the description that the server serves of itself: none makes it fail, and none is answered in a way that is not described.
//!
//! schemathesis makes and judges them, bounded in number. `RAGOPS_FUZZ_EXAMPLES` is how many are made for each route and `RAGOPS_FUZZ_SEED` repeats those that a run printed.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    admission::metrics,
    clients::{installed_by, without_proxy},
    process::{FREE_PORTS, Home},
};

/// Requests for each route, beside those that the description itself suggests: a quarter of a minute in all.
const EXAMPLES: u32 = 40;

/// Which requests they are.
const SEED: u32 = 13;

const WRITER: &str = "writer-key-0123456789";

/// What is judged: everything that has to do with what is described.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,unsupported_method";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz").canonicalize().unwrap()
}

fn number(variable: &str, otherwise: u32) -> u32 {
    std::env::var(variable).map_or(otherwise, |value| value.parse().unwrap())
}

#[tokio::test]
async fn no_request_makes_the_server_fail_or_is_answered_in_a_way_that_is_not_described() {
    let Some(packages) = installed_by(&["python", folder().join("requirements.txt").to_str().unwrap()]) else { return };
    let home = Home::new();
    home.write("keys/api-key.writer.current", WRITER);
    let keys = "[auth]\ncredentials_dir = \"keys\"\napi_keys = [{ name = \"writer\", role = \"Writer\" }]\n";
    let server = home.serve(&format!("{FREE_PORTS}request_timeout_seconds = 120\n{keys}"));
    server.await_ready().await;
    server.ingest("ops/backup.md", "Daily snapshots are kept for 7 days.", WRITER).await;
    let (examples, seed) = (number("RAGOPS_FUZZ_EXAMPLES", EXAMPLES), number("RAGOPS_FUZZ_SEED", SEED));
    println!("RAGOPS_FUZZ_EXAMPLES={examples} RAGOPS_FUZZ_SEED={seed}");
    let mut fuzz = Command::new("python3");
    fuzz.args(["-m", "schemathesis.cli", "run", &format!("{}/openapi.json", server.public)])
        .args(["--seed", &seed.to_string(), "--max-examples", &examples.to_string()])
        .args([
            "--phases",
            "examples,coverage,fuzzing",
            "--checks",
            CHECKS,
            "--header",
            &format!("X-API-Key: {WRITER}"),
        ])
        .args(["--generation-database", "none", "--no-color", "--no-shrink", "--continue-on-failure"])
        .args(["--request-timeout", "180", "--warnings", "off"])
        .env("PYTHONPATH", packages.join("packages"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(home.path(""))
        .stdin(Stdio::null());
    without_proxy(&mut fuzz);
    let output = tokio::task::spawn_blocking(move || fuzz.output().unwrap()).await.unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{said}");
    // That all of it was done, and that the server counts no failure either.
    assert!(said.contains("No issues found"), "{said}");
    let counted = metrics(&server).await;
    // Until it was ready it said that it was not.
    let failed = |line: &&str| {
        line.starts_with("http_requests_total") && line.contains("status=\"5") && !line.contains("/health/ready")
    };
    let failed: Vec<_> = counted.lines().filter(failed).collect();
    assert!(failed.is_empty(), "{failed:?}");
}
