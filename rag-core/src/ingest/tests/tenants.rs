//! Whose documents: tenants do not see each other, and what filters look at follows the metadata.

use super::world::world;
use crate::{
    ingest::{Deleted, Format, Source},
    model::{DocumentId, Outcome, Tenant},
};

fn id(text: &str) -> DocumentId {
    text.parse().unwrap()
}

#[tokio::test]
async fn tenants_have_documents_of_one_name_and_one_text_apart() {
    let (_, _, flow) = world();
    let tenants = ["", "acme", "other"].map(|name| Tenant::try_from(name.to_owned()).unwrap());
    for tenant in &tenants {
        let source = Source::text(id("plan").of(tenant), Format::Text, "Backups run nightly.");
        // Nobody learns that somebody else has the same text.
        assert_eq!(flow.ingest(source).await.result, Ok(Outcome::Created), "{tenant}");
    }
    for tenant in &tenants {
        let (documents, next) = flow.documents_below(tenant, "", None, 10).await.unwrap();
        let names: Vec<_> = documents.iter().map(|document| (document.id.as_str(), document.id.tenant())).collect();
        assert_eq!((names, next), (vec![("plan", tenant.clone())], None));
    }
    assert_eq!(flow.delete(&id("plan").of(&tenants[1])).await, Ok(Deleted::Gone));
    let mut left = Vec::new();
    for tenant in &tenants {
        left.push(flow.document(&id("plan").of(tenant)).await.unwrap().is_some());
    }
    assert_eq!(left, [true, false, true]);
}

#[tokio::test]
async fn the_text_of_many_tenants_is_found_again_by_each_of_them() {
    let (_, _, flow) = world();
    let mut tenants: Vec<Tenant> = (0..70).map(|n| format!("t{n:02}").parse().unwrap()).collect();
    // Its key sorts behind those of all others.
    tenants.push(Tenant::default());
    let text = |tenant: &Tenant, name: &str| Source::text(id(name).of(tenant), Format::Text, "Backups run nightly.");
    for tenant in &tenants {
        assert_eq!(flow.ingest(text(tenant, "u")).await.result, Ok(Outcome::Created), "{tenant}");
    }
    for tenant in [&tenants[0], &tenants[69], &tenants[70]] {
        let duplicate = Ok(Outcome::DuplicateOf(id("u").of(tenant)));
        assert_eq!(flow.ingest(text(tenant, "v")).await.result, duplicate, "{tenant}");
    }
}

#[tokio::test]
async fn pages_of_a_tenant_are_full_and_name_nothing_of_others() {
    let (_, _, flow) = world();
    let acme: Tenant = "b".parse().unwrap();
    for n in 0..5 {
        let name = format!("{}{n}", if n % 2 == 0 { "a" } else { "c" });
        for tenant in [Tenant::default(), acme.clone()] {
            let text = format!("Backups run {n} times.");
            flow.ingest(Source::text(id(&name).of(&tenant), Format::Text, &text)).await;
        }
    }
    for tenant in [Tenant::default(), acme] {
        let (mut names, mut after) = (Vec::new(), None::<String>);
        loop {
            let (page, next) = flow.documents_below(&tenant, "", after.as_deref(), 2).await.unwrap();
            assert!(page.len() == 2 || next.is_none());
            names.extend(page.into_iter().map(|document| document.id.to_string()));
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        assert_eq!(names, ["a0", "a2", "a4", "c1", "c3"], "{tenant}");
    }
}

#[tokio::test]
async fn new_metadata_alone_reaches_what_filters_look_at() {
    let (world, _, flow) = world();
    let labels = || -> std::collections::BTreeSet<Vec<String>> {
        world.points.lock().unwrap().values().map(|point| point.labels.clone()).collect()
    };
    for lang in ["en", "de"] {
        let metadata = std::collections::BTreeMap::from([("lang".to_owned(), lang.to_owned())]);
        let wanted = crate::model::Filter::labels(&metadata);
        let source = Source::text(id("plan"), Format::Text, "Backups run nightly.");
        flow.ingest(Source { metadata: Some(metadata), ..source }).await;
        assert_eq!(labels(), [wanted].into(), "{lang}");
    }
    // A new text without metadata keeps what stands.
    let before = labels();
    flow.ingest(Source::text(id("plan"), Format::Text, "Backups run hourly.")).await;
    assert_eq!(labels(), before);
}
