//! What a configuration must keep beyond the type of each key: rules between keys.

use super::{
    Config,
    problem::{Origin, Problem},
    walk::Origins,
};
use crate::model::Tenant;

/// Everything that breaks a rule.
pub(super) fn problems(config: &Config, origins: &Origins) -> Vec<Problem> {
    let rules = [
        owner,
        owner_id,
        embedding,
        vector_store,
        qdrant_addresses,
        qdrant_ca,
        records,
        snapshots,
        listeners,
        keys_off_loopback,
        leaving,
        addresses,
        credentials_dir,
        redis,
    ];
    let of_keys = api_key_names(config).into_iter().chain(api_key_tenants(config)).chain(cors_origins(config));
    let broken = rules.iter().filter_map(|rule| rule(config)).chain(of_keys).chain(provider_names(config));
    broken.map(|(path, message)| Problem { origin: origin(origins, &path), message }).collect()
}

/// The key that breaks a rule, and what to do.
type Broken = (String, String);

fn broken(path: &str, message: impl Into<String>) -> Option<Broken> {
    Some((path.to_owned(), message.into()))
}

/// Where the key, or else the nearest table around it, was said.
fn origin(origins: &Origins, path: &str) -> Origin {
    let mut path = path;
    loop {
        match (origins.get(path), path.rfind(['.', '['])) {
            (Some(origin), _) => return origin.clone(),
            (None, Some(end)) => path = &path[..end],
            (None, None) => return Origin::Absent("configuration".to_owned()),
        }
    }
}

fn owner(config: &Config) -> Option<Broken> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-./".contains(c);
    if config.owner.chars().all(allowed) {
        return None;
    }
    broken("owner", format!("owner is {:?}; it must be a name such as \"team-a/handbook\"", config.owner))
}

fn owner_id(config: &Config) -> Option<Broken> {
    let id = config.owner_id.as_deref()?;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if id.chars().all(allowed) {
        return None;
    }
    broken("owner_id", format!("owner_id is {id:?}; it must be of a-z, 0-9 and -"))
}

fn embedding(config: &Config) -> Option<Broken> {
    let embedding = &config.embedding;
    if embedding.local.is_some() && embedding.openai.is_some() {
        return broken("embedding.openai", "embedding has both local and openai; keep exactly one");
    }
    let previous = embedding.previous.as_ref()?;
    if previous.local.is_some() && previous.openai.is_some() {
        return broken("embedding.previous.openai", "embedding.previous has both local and openai; keep exactly one");
    }
    if embedding.before()?.choice() == embedding.choice() {
        return broken(
            "embedding.previous",
            "embedding.previous is the model of embedding itself; name the one that the corpus was built with, or leave it out",
        );
    }
    None
}

fn vector_store(config: &Config) -> Option<Broken> {
    let store = &config.vector_store;
    if store.embedded.is_none() || store.qdrant.is_none() {
        return None;
    }
    broken("vector_store.qdrant", "vector_store has both embedded and qdrant; keep exactly one")
}

fn qdrant_addresses(config: &Config) -> Option<Broken> {
    let qdrant = config.vector_store.qdrant.as_ref()?;
    let twice =
        qdrant.urls.iter().enumerate().find(|(at, url)| qdrant.urls.iter().take(*at).any(|other| other == *url));
    match (&qdrant.url, qdrant.urls.is_empty(), twice) {
        (None, true, _) => broken(
            "vector_store.qdrant",
            "vector_store.qdrant has neither url nor urls; name the gRPC address of a server in url, or those of a cluster's peers in urls",
        ),
        (Some(_), false, _) => {
            broken("vector_store.qdrant.urls", "vector_store.qdrant has both url and urls; keep exactly one")
        }
        (None, false, Some((at, _))) => {
            let path = format!("vector_store.qdrant.urls[{at}]");
            let message = format!("{path} stands in the list already; name each peer once");
            Some((path, message))
        }
        (Some(_), true, _) | (None, false, None) => None,
    }
}

fn qdrant_ca(config: &Config) -> Option<Broken> {
    let qdrant = config.vector_store.qdrant.as_ref()?;
    let secure = qdrant.addresses().iter().all(|address| address.starts_with("https://"));
    if qdrant.ca_file.is_none() || secure {
        return None;
    }
    broken(
        "vector_store.qdrant.ca_file",
        "vector_store.qdrant.ca_file is set and not every address begins with https://; an http:// address shows no certificate",
    )
}

fn records(config: &Config) -> Option<Broken> {
    let records = &config.records;
    let members = [
        ("sqlite", records.sqlite.is_some()),
        ("vector_store", records.vector_store.is_some()),
        ("postgres", records.postgres.is_some()),
    ];
    let chosen: Vec<&str> = members.into_iter().filter_map(|(name, is_there)| is_there.then_some(name)).collect();
    if let [first, second, ..] = chosen[..] {
        let message = format!("records has both {first} and {second}; keep exactly one");
        return broken(&format!("records.{second}"), message);
    }
    if records.vector_store.is_some() && config.vector_store.qdrant.is_none() {
        return broken(
            "records.vector_store",
            "records.vector_store needs vector_store.qdrant; use records.sqlite with the embedded store",
        );
    }
    None
}

fn snapshots(config: &Config) -> Option<Broken> {
    let snapshots = &config.snapshots;
    if snapshots.folder.is_some() && snapshots.s3.is_some() {
        return broken("snapshots.s3", "snapshots has both folder and s3; keep exactly one");
    }
    if snapshots.encryption.as_ref().is_some_and(|of| of.recipients_file.is_none() && of.identity_file.is_none()) {
        return broken(
            "snapshots.encryption",
            "snapshots.encryption names no key; set recipients_file, identity_file or both, or leave it out",
        );
    }
    let prefix = snapshots.s3.as_ref()?.prefix.as_deref()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_folder = |part: &str| !part.is_empty() && part != "." && part != ".." && part.chars().all(plain);
    if prefix.split('/').all(is_folder) {
        return None;
    }
    broken(
        "snapshots.s3.prefix",
        format!(
            "snapshots.s3.prefix is {prefix:?}; it must be like a folder, such as \"teams/handbook\", of letters, digits, -, _ and ."
        ),
    )
}

fn listeners(config: &Config) -> Option<Broken> {
    let server = &config.server;
    if server.listen != server.management_listen || server.listen.port() == 0 {
        return None;
    }
    broken(
        "server.management_listen",
        format!("server.listen and server.management_listen are both {}; give them different ports", server.listen),
    )
}

fn leaving(config: &Config) -> Option<Broken> {
    let server = &config.server;
    if server.leave_seconds == 0 || server.leave_seconds < server.drain_seconds {
        return None;
    }
    broken(
        "server.leave_seconds",
        format!(
            "server.leave_seconds is {} and must be less than server.drain_seconds ({}), of which it is a part",
            server.leave_seconds, server.drain_seconds
        ),
    )
}

fn addresses(config: &Config) -> Option<Broken> {
    let server = &config.server;
    let each = server.max_connections_per_address?;
    if each <= server.max_connections {
        return None;
    }
    broken(
        "server.max_connections_per_address",
        format!(
            "server.max_connections_per_address is {each} and must not exceed server.max_connections ({})",
            server.max_connections
        ),
    )
}

fn cors_origins(config: &Config) -> Vec<Broken> {
    let problem = |(index, origin): (usize, &String)| {
        let path = format!("server.cors_origins[{index}]");
        let message = format!(
            "{path} is {origin:?}; it must be an origin as a browser sends it, such as \"https://portal.example.org\" or \"http://localhost:5173\""
        );
        (!is_origin(origin)).then_some((path, message))
    };
    config.server.cors_origins.iter().enumerate().filter_map(problem).collect()
}

/// Whether a browser may send this as a page's origin: scheme and authority, in small letters, without the scheme's own port. Not `*` and not `null`, which are anybody's.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let has_own_port = match scheme {
        "http" => authority.ends_with(":80"),
        "https" => authority.ends_with(":443"),
        _ => false,
    };
    let of_scheme = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
    let of_authority = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._:[]".contains(c);
    let is_named = |text: &str, allowed: &dyn Fn(char) -> bool| !text.is_empty() && text.chars().all(allowed);
    !has_own_port && is_named(scheme, &of_scheme) && is_named(authority, &of_authority)
}

fn keys_off_loopback(config: &Config) -> Option<Broken> {
    let listen = config.server.listen;
    if listen.ip().to_canonical().is_loopback() || !config.auth.api_keys.is_empty() {
        return None;
    }
    broken(
        "server.listen",
        format!(
            "server.listen is {listen}, which others can reach, and no API keys are set; add [[auth.api_keys]] and auth.credentials_dir, or listen on 127.0.0.1"
        ),
    )
}

fn credentials_dir(config: &Config) -> Option<Broken> {
    if config.auth.api_keys.is_empty() || config.auth.credentials_dir.is_some() {
        return None;
    }
    broken("auth.api_keys", "auth.api_keys needs auth.credentials_dir, the folder that holds the keys' files")
}

fn redis(config: &Config) -> Option<Broken> {
    let redis = config.cache.redis.as_ref()?;
    if config.cache.max_bytes == 0 {
        return broken(
            "cache.redis",
            "cache.redis stands behind the memory, and cache.max_bytes is 0, which switches every cache off; keep one of them",
        );
    }
    if redis.user_file.is_some() && redis.password_file.is_none() {
        return broken(
            "cache.redis.user_file",
            "cache.redis.user_file needs cache.redis.password_file: a user has a password",
        );
    }
    if redis.ca_file.is_some() && !redis.url.starts_with("rediss:") {
        return broken(
            "cache.redis.ca_file",
            "cache.redis.ca_file is set and the address does not begin with rediss://; a redis:// address shows no certificate",
        );
    }
    None
}

fn api_key_names(config: &Config) -> Vec<Broken> {
    let keys = &config.auth.api_keys;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let problem = |(index, key): (usize, &super::ApiKey)| {
        let path = format!("auth.api_keys[{index}].name");
        let message = if !key.name.chars().all(allowed) {
            format!("{path} is {:?}; it must be of a-z, 0-9 and -", key.name)
        } else if keys.iter().take(index).any(|earlier| earlier.name == key.name) {
            format!("{path} is {:?}, which another key has already; give it another name", key.name)
        } else {
            return None;
        };
        Some((path, message))
    };
    keys.iter().enumerate().filter_map(problem).collect()
}

fn api_key_tenants(config: &Config) -> Vec<Broken> {
    let problem = |(index, key): (usize, &super::ApiKey)| {
        let wrong = key.tenant.as_deref()?.parse::<Tenant>().err()?;
        let path = format!("auth.api_keys[{index}].tenant");
        let message = format!("{path}: {wrong}");
        Some((path, message))
    };
    config.auth.api_keys.iter().enumerate().filter_map(problem).collect()
}

fn provider_names(config: &Config) -> Vec<Broken> {
    let providers = &config.generation.providers;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let problem = |(index, provider): (usize, &super::Provider)| {
        let (path, name) = (format!("generation.providers[{index}].name"), &provider.name);
        let message = if !name.chars().all(allowed) {
            format!("{path} is {name:?}; it must be of a-z, 0-9 and -")
        } else if name == "extractive" {
            format!("{path} is \"extractive\", which names answers without a provider; give it another name")
        } else if providers.iter().take(index).any(|earlier| earlier.name == *name) {
            format!("{path} is {name:?}, which another provider has already; give it another name")
        } else {
            return None;
        };
        Some((path, message))
    };
    providers.iter().enumerate().filter_map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        match Config::from_toml(text.as_bytes(), "c") {
            Ok(_) => Vec::new(),
            Err(problems) => problems.0.iter().map(Problem::to_string).collect(),
        }
    }

    const QDRANT: &str = "[vector_store.qdrant]\nurl = \"http://q:6334\"\ncollection = \"c\"\n";

    const POSTGRES: &str = "[records.postgres]\ndir = \"/etc/ragops/postgres\"\n";

    #[test]
    fn snapshots_are_encrypted_with_some_key_and_read_at_some_speed() {
        let encryption = "[snapshots.encryption]\n";
        assert!(told(encryption)[0].contains("snapshots.encryption names no key"));
        for key in ["recipients_file", "identity_file"] {
            assert_eq!(told(&format!("{encryption}{key} = \"keys\"\n")), Vec::<String>::new());
        }
        assert_eq!(told("[snapshots]\nbytes_per_second = 0\n").len(), 1);
        assert_eq!(told("[snapshots]\nbytes_per_second = 65536\nattached = \"manifests\"\n"), Vec::<String>::new());
    }

    #[test]
    fn a_database_is_used_by_at_least_one_server_and_found_by_a_folder() {
        assert_eq!(told("[records.postgres]\nservers = 3\n").len(), 1);
        for (nonsense, said) in [
            ("servers = 0", "a whole number from 1 to 1000"),
            ("port = 0", "a whole number from 1 to 65535"),
            ("reserved_connections = -1", "a whole number from 0 to 10000"),
            ("tls = \"Prefer\"", "one of \"VerifyFull\", \"Off\""),
            ("host = \"\"", "a text of 1 to 253 bytes"),
            ("password = \"s3cret\"", "unknown key \"password\""),
        ] {
            let problems = told(&format!("{POSTGRES}{nonsense}\n"));
            assert!(problems.len() == 1 && problems[0].contains(said), "{nonsense}: {problems:?}");
            assert!(!problems[0].contains("s3cret"), "{problems:?}");
        }
        let all =
            "host = \"db\"\nport = 6543\ndatabase = \"d\"\ntls = \"Off\"\nservers = 21\nreserved_connections = 0\n";
        assert_eq!(told(&format!("{POSTGRES}{all}")), Vec::<String>::new());
    }

    #[test]
    fn a_union_holds_exactly_one_member() {
        let both = format!("[vector_store.embedded]\n{QDRANT}");
        assert_eq!(told(&both), ["c line 2: vector_store has both embedded and qdrant; keep exactly one"]);
        let both = format!("{QDRANT}[records.sqlite]\n[records.vector_store]\n");
        assert_eq!(told(&both), ["c line 5: records has both sqlite and vector_store; keep exactly one"]);
        assert_eq!(told(&format!("{QDRANT}[records.vector_store]\n")), Vec::<String>::new());
        for (other, line) in [("sqlite", 2), ("vector_store", 5)] {
            let before = if other == "sqlite" { "" } else { QDRANT };
            let both = format!("{before}[records.{other}]\n{POSTGRES}");
            assert_eq!(
                told(&both),
                [format!("c line {line}: records has both {other} and postgres; keep exactly one")]
            );
        }
        assert_eq!(told(POSTGRES), Vec::<String>::new());
        let openai = "[embedding.openai]\nbase_url = \"http://p/v1\"\nmodel = \"m\"\ndimensions = 3\n";
        assert_eq!(told(openai), Vec::<String>::new());
        let both = format!("{openai}[embedding.local]\n");
        assert_eq!(told(&both), ["c line 1: embedding has both local and openai; keep exactly one"]);
        let previous = openai.replace("embedding", "embedding.previous");
        assert_eq!(told(&previous), Vec::<String>::new());
        let both = format!("{previous}[embedding.previous.local]\n");
        assert_eq!(told(&both), ["c line 1: embedding.previous has both local and openai; keep exactly one"]);
    }

    #[test]
    fn every_example_of_the_page_is_accepted() {
        let page = include_str!("../../../docs/configuration.md");
        let examples: Vec<_> = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert_eq!(examples.len(), 3);
        for example in examples {
            assert_eq!(told(example), Vec::<String>::new(), "{example}");
        }
    }

    #[test]
    fn the_id_of_an_owner_is_a_plain_word() {
        assert_eq!(told("owner_id = \"3f0a-1\"\n"), Vec::<String>::new());
        assert_eq!(told("owner_id = \"A b\"\n"), ["c line 1: owner_id is \"A b\"; it must be of a-z, 0-9 and -"]);
        assert_eq!(told("owner_id = \"\"\n").len(), 1);
    }

    #[test]
    fn the_previous_model_is_another_one() {
        let said = told("[embedding.previous]\nleast = 0.8\n");
        assert!(said[0].starts_with("c line 1: embedding.previous is the model of embedding itself"), "{said:?}");
    }

    #[test]
    fn a_qdrant_has_one_address_or_a_list_of_different_ones() {
        let qdrant = |keys: &str| told(&format!("[vector_store.qdrant]\ncollection = \"c\"\n{keys}\n"));
        assert_eq!(qdrant("urls = [\"http://q-0:6334\", \"http://q-1:6334\"]"), Vec::<String>::new());
        for none in ["", "urls = []"] {
            let said = qdrant(none);
            assert!(said.len() == 1 && said[0].contains("neither url nor urls"), "{said:?}");
        }
        let both = qdrant("url = \"http://q:6334\"\nurls = [\"http://q-0:6334\"]");
        assert_eq!(both, ["c line 4: vector_store.qdrant has both url and urls; keep exactly one"]);
        let twice = qdrant("urls = [\"http://q-0:6334\", \"http://q-0:6334\"]");
        assert_eq!(twice, ["c line 3: vector_store.qdrant.urls[1] stands in the list already; name each peer once"]);
        let said = qdrant("urls = [\"http://user:secret@q\"]").concat();
        assert!(said.contains("urls[0] is not such a URL") && !said.contains("secret"), "{said}");
    }

    #[test]
    fn a_ca_is_for_addresses_that_show_a_certificate() {
        let qdrant = |urls: &str| {
            told(&format!("[vector_store.qdrant]\ncollection = \"c\"\nurls = [{urls}]\nca_file = \"ca\"\n"))
        };
        assert_eq!(qdrant("\"https://q-0:6334\""), Vec::<String>::new());
        let mixed = qdrant("\"https://q-0:6334\", \"http://q-1:6334\"");
        assert!(mixed.len() == 1 && mixed[0].starts_with("c line 4: vector_store.qdrant.ca_file is set"), "{mixed:?}");
    }

    #[test]
    fn records_in_the_vector_store_need_a_qdrant() {
        assert_eq!(
            told("[records.vector_store]\n"),
            ["c line 1: records.vector_store needs vector_store.qdrant; use records.sqlite with the embedded store"]
        );
    }

    #[test]
    fn a_redis_stands_behind_a_memory_and_its_address_holds_no_secret() {
        let with = |more: &str| format!("[cache.redis]\nurl = \"redis://redis:6379\"\n{more}");
        assert_eq!(told(&with("password_file = \"/p\"\nuser_file = \"/u\"\n")), Vec::<String>::new());
        let said = told(&format!("[cache]\nmax_bytes = 0\n{}", with("")));
        assert!(said.len() == 1 && said[0].starts_with("c line 3: cache.redis stands behind the memory"), "{said:?}");
        let encrypted = "[cache.redis]\nurl = \"rediss://redis:6380\"\nca_file = \"/ca\"\n";
        assert_eq!(told(encrypted), Vec::<String>::new());
        let said = told(&with("ca_file = \"/ca\"\n"));
        assert!(said.len() == 1 && said[0].starts_with("c line 3: cache.redis.ca_file is set and the"), "{said:?}");
        assert_eq!(
            told(&with("user_file = \"/u\"\n")),
            ["c line 3: cache.redis.user_file needs cache.redis.password_file: a user has a password"]
        );
        for url in [
            "redis:6379",
            "http://redis:6379",
            "rediss://u:secret@redis",
            "redis://u:secret@redis",
            "redis://redis/3",
            "redis://redis?db=secret",
        ] {
            let said = told(&format!("[cache.redis]\nurl = \"{url}\"\n")).concat();
            assert!(said.contains("cache.redis.url is not such a URL; it must be a URL such as"), "{said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn an_address_that_others_reach_needs_keys() {
        let told_open = told("[server]\nlisten = \"0.0.0.0:8080\"\n");
        assert!(
            told_open[0].starts_with("c line 2: server.listen is 0.0.0.0:8080, which others can reach"),
            "{told_open:?}"
        );
        assert_eq!(told("[server]\nlisten = \"[::1]:8080\"\n"), Vec::<String>::new());
        let keyed = "[server]\nlisten = \"0.0.0.0:8080\"\n[auth]\ncredentials_dir = \"/k\"\n[[auth.api_keys]]\nname = \"a\"\nrole = \"Reader\"\n";
        assert_eq!(told(keyed), Vec::<String>::new());
    }

    #[test]
    fn a_page_is_named_by_the_origin_that_a_browser_sends() {
        let of = |origin: &str| told(&format!("[server]\ncors_origins = [\"{origin}\"]\n"));
        for origin in [
            "https://portal.example.org",
            "http://localhost:5173",
            "http://127.0.0.1:80801",
            "https://[::1]:8443",
            "tauri://localhost",
            "chrome-extension://abcdefgh",
        ] {
            assert_eq!(of(origin), Vec::<String>::new(), "{origin}");
        }
        for origin in [
            "*",
            "null",
            "",
            "portal.example.org",
            "https://",
            "https://*.example.org",
            "https://Portal.example.org",
            "https://portal.example.org/",
            "https://portal.example.org:443",
            "http://portal.example.org:80",
            "https://user@portal.example.org",
        ] {
            let said = of(origin);
            assert!(
                said.len() == 1 && said[0].starts_with("c line 2: server.cors_origins[0] is "),
                "{origin}: {said:?}"
            );
        }
    }

    #[test]
    fn the_time_to_leave_is_a_part_of_the_time_to_stop() {
        let of =
            |leave: u64, drain: u64| told(&format!("[server]\nleave_seconds = {leave}\ndrain_seconds = {drain}\n"));
        for (leave, drain) in [(0, 0), (0, 25), (24, 25)] {
            assert_eq!(of(leave, drain), Vec::<String>::new());
        }
        assert_eq!(
            of(25, 25),
            [
                "c line 2: server.leave_seconds is 25 and must be less than server.drain_seconds (25), of which it is a part"
            ]
        );
    }

    #[test]
    fn one_address_has_no_more_connections_than_there_are() {
        let of = |each: usize| told(&format!("[server]\nmax_connections = 64\nmax_connections_per_address = {each}\n"));
        assert_eq!(of(64), Vec::<String>::new());
        assert_eq!(
            of(65),
            ["c line 3: server.max_connections_per_address is 65 and must not exceed server.max_connections (64)"]
        );
    }

    #[test]
    fn names_of_keys_are_file_names_and_differ() {
        let text = "[auth]\ncredentials_dir = \"/k\"\napi_keys = [\n{ name = \"../a\", role = \"Reader\" },\n{ name = \"b\", role = \"Reader\" },\n{ name = \"b\", role = \"Writer\", tenant = \"Acme\" },\n]\n";
        assert_eq!(
            told(text),
            [
                "c line 4: auth.api_keys[0].name is \"../a\"; it must be of a-z, 0-9 and -",
                "c line 6: auth.api_keys[2].name is \"b\", which another key has already; give it another name",
                "c line 6: auth.api_keys[2].tenant: a tenant is named by 1 to 63 of a-z, 0-9 and -, not by \"Acme\"",
            ]
        );
    }

    #[test]
    fn keys_without_a_folder_are_refused() {
        assert_eq!(
            told("[[auth.api_keys]]\nname = \"a\"\nrole = \"Reader\"\n"),
            ["c line 1: auth.api_keys needs auth.credentials_dir, the folder that holds the keys' files"]
        );
    }

    #[test]
    fn names_of_providers_differ_and_their_addresses_may_have_a_path() {
        let provider = |name: &str, url: &str| {
            format!("[[generation.providers]]\nname = \"{name}\"\nbase_url = \"{url}\"\nmodel = \"m\"\n")
        };
        let good = "https://api.example.com/v1";
        assert_eq!(told(&provider("a", good)), Vec::<String>::new());
        assert_eq!(
            told(
                &[provider("a", good), provider("a", good), provider("extractive", good), provider("B", good)].concat()
            ),
            [
                "c line 6: generation.providers[1].name is \"a\", which another provider has already; give it another name",
                "c line 10: generation.providers[2].name is \"extractive\", which names answers without a provider; give it another name",
                "c line 14: generation.providers[3].name is \"B\"; it must be of a-z, 0-9 and -",
            ]
        );
        for bad in ["api.example.com/v1", "https://user:secret@api/v1", "ftp://api", "https://api/v1?key=secret"] {
            let said = told(&provider("a", bad)).concat();
            assert!(said.contains("base_url is not such a URL") && !said.contains("secret"), "{said}");
        }
    }
}
