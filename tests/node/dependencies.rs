//! Three servers over Postgres, Redis and a Qdrant (the double), each of these killed in its turn while clients ask and send:
//! nothing that was acknowledged is lost, nothing false is said, and nobody has to help.

use std::sync::Arc;

use anyhow::Result;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use ragops_tests::{availability, until};
use serde_json::json;

use crate::documents::{id, room};
use crate::load::{Away, Count, Load, ROOMS};
use crate::packed;
use crate::service::Service;
use crate::shared::{NAMESPACE, WITHIN, node};
use crate::stores::{self, Store, is_another_and_ready};

const NAME: &str = "register";
const POSTGRES: &str = "register-db";
const REDIS: &str = "register-cache";
const PASSWORD: &str = "of-the-test-alone";

#[tokio::test(flavor = "multi_thread")]
async fn dependencies_that_are_killed_one_after_the_other_under_load_cost_nothing_that_was_acknowledged() -> Result<()>
{
    let test = "dependencies_that_are_killed_one_after_the_other_under_load_cost_nothing_that_was_acknowledged";
    let Some(node) = node(test).await? else { return Ok(()) };
    if let Some(reason) = packed::missing() {
        return availability::skipped(test, &reason);
    }
    let scene = Scene { service: Service::of(&node, NAME).await? };
    let outcome = match scene.promises().await {
        Ok(()) => Ok(()),
        Err(error) => Err(error.context(node.told().await)),
    };
    stores::remove(node.cluster).await?;
    outcome
}

struct Scene<'n> {
    service: Service<'n>,
}

impl Scene<'_> {
    async fn promises(&self) -> Result<()> {
        self.furnish().await?;
        let postgres = json!({"postgres": {"secretRef": {"name": POSTGRES}, "tls": "Off"}});
        let redis = json!({"redis": {"url": format!("redis://{REDIS}:6379"), "secretRef": {"name": REDIS}}});
        // As many as there are: another one would be one that nobody asks.
        let spec = json!({"records": postgres, "cache": redis, "autoscaling": {"enabled": false}});
        self.service.serving(&spec).await?;
        let pods = self.service.servers().await?;
        assert_eq!(pods.len(), 3);
        let mut servers = Vec::new();
        for pod in &pods {
            servers.push(self.service.connect(pod).await?);
        }
        let rooms: Vec<_> = (0..ROOMS).map(|n| (id(n), room(n))).collect();
        let job = servers[0].ingest(&rooms).await?;
        servers[0].done(&job).await?;

        let load = Arc::new(Load::new(servers));
        let mut clients = load.begin();
        let endured = self.each_is_killed(&load).await;
        load.stop();
        while let Some(client) = clients.join_next().await {
            client?;
        }
        load.heard_nothing_wrong()?;
        endured?;
        load.kept_what_it_was_promised().await?;
        self.restarted_no_server(&pods).await
    }

    async fn each_is_killed(&self, load: &Load) -> Result<()> {
        load.goes_on(Count::Answered).await?;

        load.set(Away::Redis);
        self.take_away(REDIS).await?;
        load.sees_the_cache(|status| status != "ok").await?;
        load.goes_on(Count::Answered).await?;
        self.bring_back(REDIS).await?;
        load.sees_the_cache(|status| status == "ok").await?;
        load.set(Away::Nothing);
        load.goes_on(Count::Answered).await?;

        load.set(Away::Postgres);
        self.take_away(POSTGRES).await?;
        load.goes_on(Count::Refused).await?;
        self.bring_back(POSTGRES).await?;
        load.goes_on(Count::Answered).await?;
        load.set(Away::Nothing);
        load.goes_on(Count::Answered).await?;

        // The operator's own: it comes back by itself, and may be away for too short a time to be missed.
        load.set(Away::Qdrant);
        let store = format!("{NAME}-qdrant-0");
        let killed = self.service.pods().get(&store).await?.uid();
        self.service.kill(&store).await?;
        is_another_and_ready(&self.service.client, &store, killed).await?;
        load.goes_on(Count::Answered).await?;
        load.set(Away::Nothing);
        load.goes_on(Count::Answered).await
    }

    /// The stores that a user brings.
    async fn furnish(&self) -> Result<()> {
        let database = json!({"host": POSTGRES, "database": "postgres", "username": "register", "password": PASSWORD});
        let cache = json!({"password": PASSWORD, "redis.conf": format!("bind *\nsave \"\"\nrequirepass {PASSWORD}\n")});
        let (image, port, folder) = (packed::POSTGRES, 5432, "postgres");
        let postgres = Store { name: POSTGRES, image, args: json!([]), port, folder, secret: database, is_kept: true };
        let (image, port, folder) = (packed::REDIS, 6379, "redis");
        let redis = Store { name: REDIS, image, args: json!([]), port, folder, secret: cache, is_kept: false };
        postgres.furnish(&self.service.client).await?;
        redis.furnish(&self.service.client).await
    }

    /// Kills a store's only pod, and lets no other take its place; returns when it is gone.
    async fn take_away(&self, name: &str) -> Result<()> {
        self.scale(name, 0).await?;
        let pod = format!("{name}-0");
        // Its controller may have begun to end it, gently, before.
        if self.service.pods().get_opt(&pod).await?.is_some() {
            self.service.kill(&pod).await?;
        }
        until("the pod is gone", WITHIN, || async {
            Ok(self.service.pods().get_opt(&pod).await?.is_none().then_some(()))
        })
        .await
    }

    async fn bring_back(&self, name: &str) -> Result<()> {
        self.scale(name, 1).await?;
        is_another_and_ready(&self.service.client, &format!("{name}-0"), None).await
    }

    async fn scale(&self, name: &str, replicas: i32) -> Result<()> {
        let pods: Api<StatefulSet> = Api::namespaced(self.service.client.clone(), NAMESPACE);
        let scale = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        pods.patch_scale(name, &PatchParams::default(), &scale).await?;
        Ok(())
    }

    /// What a server suffers from its dependency another one would suffer as well.
    async fn restarted_no_server(&self, before: &[Pod]) -> Result<()> {
        let uids = |pods: &[Pod]| {
            let mut uids: Vec<_> = pods.iter().map(ResourceExt::uid).collect();
            uids.sort();
            uids
        };
        let after = self.service.servers().await?;
        assert_eq!(uids(&after), uids(before), "a server was replaced, or is not ready");
        let states = after.iter().filter_map(|pod| pod.status.as_ref()?.container_statuses.as_ref()).flatten();
        for state in states {
            assert_eq!(state.restart_count, 0, "{state:?}");
        }
        Ok(())
    }
}
