//! The configuration is checked before anything starts, and `check` says the same as `serve`.

use std::process::Output;

use crate::process::{FREE_PORTS, Home};

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn an_unknown_key_ends_the_start_with_its_line_and_the_nearest_key() {
    let home = Home::new();
    home.write("config.toml", "owner = \"a/b\"\n\n[retreival]\ntop_k = 3\n");
    for call in [&["serve", "--config", "config.toml"][..], &["check", "config.toml"]] {
        let output = home.run(call);
        assert_eq!(output.status.code(), Some(1), "{call:?}");
        assert_eq!(
            told(&output),
            "rag-server: config.toml line 3: unknown key \"retreival\"; did you mean \"retrieval\"?\n"
        );
    }
}

#[test]
fn check_prints_what_a_file_comes_to_and_its_exit_code_tells_the_rest() {
    let home = Home::new();
    home.write("config.toml", "[retrieval]\ntop_k = 3\n");
    let output = home.run(&["check", "config.toml", "--set", "retrieval.mode=Dense"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.starts_with("# config.toml: OK (sha256 "), "{printed}");
    assert!(printed.contains("top_k = 3") && printed.contains("mode = \"Dense\""), "{printed}");
    assert_eq!(home.run(&["check", "absent.toml"]).status.code(), Some(2));
    assert_eq!(home.run(&["check", "config.toml", "--nonsense"]).status.code(), Some(2));
}

#[test]
fn an_address_that_others_reach_is_not_listened_on_without_keys() {
    let home = Home::new();
    let output = home.run(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(output.status.code(), Some(1));
    let told = told(&output);
    assert!(
        told.starts_with("rag-server: flag --listen: server.listen is 0.0.0.0:0, which others can reach"),
        "{told}"
    );
    assert!(told.contains("auth.credentials_dir"), "{told}");
}

#[test]
fn a_weak_key_is_told_by_its_length_and_never_shown() {
    let home = Home::new();
    home.write("keys/api-key.a.current", "too-short");
    let config = "[auth]\ncredentials_dir = \"keys\"\n[[auth.api_keys]]\nname = \"a\"\nrole = \"Reader\"\n";
    let server = home.serve(&format!("{FREE_PORTS}{config}"));
    let told = server.seen.join("\n");
    assert!(told.contains("holds 9 bytes") && !told.contains("too-short"), "{told}");
}

#[test]
fn a_missing_model_is_one_sentence() {
    let home = Home::new();
    let listen = ["--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0"];
    let call = home.command(&[&["serve", "--set", "embedding.local.path=/nowhere"][..], &listen].concat());
    let output = call.command().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = told(&output);
    let sentence = told.lines().last().unwrap();
    assert!(sentence.starts_with("rag-server: the embedding model is missing"), "{told}");
}

#[test]
fn help_teaches_by_examples_and_survives_a_closed_pipe() {
    let home = Home::new();
    let help = home.run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8(help.stdout).unwrap().contains("rag-server ingest docs/"));
    let mut check = home.command(&["check"]).command();
    let mut child = check.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), told(&output)), (Some(0), String::new()));
}
