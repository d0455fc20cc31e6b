//! What a pod mounts, read from the objects that it names: the simulated pod has no files.

use anyhow::{Context, Result};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Volume};
use kube::{Api, Client, ResourceExt as _};
use rag_server::http::ops::AcceptedCredential;
use sha2::{Digest as _, Sha256};

/// The key of the config in its ConfigMap.
const CONFIG: &str = "config.toml";
/// The key of the live settings in theirs.
const LIVE: &str = "live.toml";
/// The operator's credential, in both generations.
const OPERATOR: [&str; 2] = ["operator.current", "operator.previous"];

/// What a server in the pod would have accepted.
#[derive(Debug, Default)]
pub(super) struct Mounted {
    pub(super) config_sha256: Option<String>,
    pub(super) live_sha256: Option<String>,
    pub(super) read_only: bool,
    pub(super) credentials: Vec<AcceptedCredential>,
    operator: Vec<Vec<u8>>,
}

impl Mounted {
    pub(super) async fn read(client: &Client, pod: &Pod) -> Result<Self> {
        let namespace = pod.namespace().context("a pod without a namespace")?;
        let mut mounted = Self::default();
        for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
            for map in config_maps(volume) {
                if let Some(map) = Api::<ConfigMap>::namespaced(client.clone(), &namespace).get_opt(&map).await? {
                    mounted.add_config_map(&map);
                }
            }
            for secret in secrets(volume) {
                if let Some(secret) = Api::<Secret>::namespaced(client.clone(), &namespace).get_opt(&secret).await? {
                    mounted.add_secret(&secret);
                }
            }
        }
        Ok(mounted)
    }

    /// True for the operator's credential. A pod that mounts none accepts nobody.
    pub(super) fn accepts(&self, bearer: &str) -> bool {
        self.operator.iter().any(|key| key.trim_ascii() == bearer.as_bytes())
    }

    fn add_config_map(&mut self, map: &ConfigMap) {
        let Some(data) = &map.data else { return };
        if let Some(config) = data.get(CONFIG) {
            self.config_sha256 = Some(hex::encode(Sha256::digest(config.as_bytes())));
        }
        if let Some(live) = data.get(LIVE) {
            self.live_sha256 = Some(hex::encode(Sha256::digest(live.as_bytes())));
            let parsed: Option<toml::Table> = live.parse().ok();
            self.read_only = parsed.and_then(|table| table.get("read_only")?.as_bool()).unwrap_or(false);
        }
    }

    fn add_secret(&mut self, secret: &Secret) {
        for (file, ByteString(material)) in secret.data.iter().flatten() {
            if OPERATOR.contains(&file.as_str()) {
                self.operator.push(material.clone());
            }
            let Some((name, generation)) = file.rsplit_once('.') else { continue };
            if generation == "current" || generation == "previous" {
                let digest = hex::encode(Sha256::digest(material.trim_ascii()));
                self.credentials.push(AcceptedCredential {
                    name: name.to_owned(),
                    generation: generation.to_owned(),
                    fingerprint: digest[..12].to_owned(),
                    uses: 0,
                    last_used_at: None,
                });
            }
        }
    }
}

fn config_maps(volume: &Volume) -> Vec<String> {
    let direct = volume.config_map.iter().map(|source| source.name.clone());
    let projected = volume.projected.iter().flat_map(|source| source.sources.iter().flatten());
    direct.chain(projected.filter_map(|part| Some(part.config_map.as_ref()?.name.clone()))).collect()
}

fn secrets(volume: &Volume) -> Vec<String> {
    let direct = volume.secret.iter().filter_map(|source| source.secret_name.clone());
    let projected = volume.projected.iter().flat_map(|source| source.sources.iter().flatten());
    direct.chain(projected.filter_map(|part| Some(part.secret.as_ref()?.name.clone()))).collect()
}
