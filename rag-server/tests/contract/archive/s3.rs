//! A bucket of a real server that speaks S3.

use std::{fs, sync::Arc};

use async_trait::async_trait;
use rag_server::{
    adapters::archive::{ObjectArchive, S3Settings},
    ports::{Archive, ArchiveError},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::{
    Storage,
    weed::{SECRET, Weed, free_port, weed},
};

/// A folder of its own in the bucket.
struct Bucket {
    weed: &'static Weed,
    prefix: String,
}

#[async_trait]
impl Storage for Bucket {
    async fn fresh() -> Result<Self, String> {
        // Not awaited: what it awaits is not `Send` for every lifetime, as this trait wants it.
        let weed = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(weed()))?;
        Ok(Self { weed, prefix: format!("tests/{}", uuid::Uuid::new_v4()) })
    }

    fn open(&self) -> Arc<dyn Archive> {
        Arc::new(self.weed.archive(&self.prefix, SECRET))
    }
}

archive_suite!(Bucket);

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_refused_and_no_key_is_said() {
    let weed = match weed().await {
        Ok(weed) => weed,
        Err(why) => return eprintln!("skipped, because {why}"),
    };
    let wrong = weed.archive("tests", "not-the-secret");
    let place = || "s3://archive/tests".to_owned();
    let refused = ArchiveError::AuthFailed { place: place() };
    assert_eq!(wrong.get("parts/a").await, Err(refused.clone()));
    assert_eq!(wrong.list("manifests/").await, Err(refused.clone()));
    assert_eq!(wrong.put_if_absent("parts/a", b"x".to_vec()).await, Err(refused.clone()));
    assert_eq!(wrong.size("parts/a").await, Err(refused.clone()));
    assert_eq!(wrong.remove("parts/a").await, Err(refused));
    assert!(!format!("{wrong:?}").contains("not-the-secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_does_not_answer_is_unreachable() {
    let archive = at(&format!("http://127.0.0.1:{}", free_port()));
    let refused = archive.size("parts/a").await.unwrap_err();
    assert!(matches!(refused, ArchiveError::Unreachable { .. }), "{refused:?}");
    assert!(!refused.to_string().contains(SECRET), "{refused}");
}

/// An archive of a service at this address.
fn at(endpoint: &str) -> ObjectArchive {
    let home = TempDir::new().unwrap();
    let key = home.path().join("key");
    fs::write(&key, SECRET).unwrap();
    ObjectArchive::s3(&S3Settings {
        bucket: "archive".to_owned(),
        prefix: String::new(),
        endpoint: Some(endpoint.to_owned()),
        region: "us-east-1".to_owned(),
        access_key_id_file: key.clone(),
        secret_access_key_file: key,
        ca_file: None,
    })
    .unwrap()
}

/// A double of a service that takes no credential any more, in the words of AWS: it says so to every call, by the status that AWS has for it.
async fn expired() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut asked = [0; 8192];
            if connection.read(&mut asked).await.unwrap_or(0) > 0 {
                let body = "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>";
                let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/xml\r\nconnection: close";
                let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                // Whoever asked may have gone, which is fine.
                let _written = connection.write_all(answer.as_bytes()).await;
            }
        }
    });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_whose_time_is_over_is_refused_like_a_wrong_one() {
    let archive = at(&expired().await);
    let refused = ArchiveError::AuthFailed { place: "s3://archive/".to_owned() };
    assert_eq!(archive.get("parts/a").await, Err(refused.clone()));
    assert_eq!(archive.list("parts/").await, Err(refused.clone()));
    assert_eq!(archive.put_if_absent("parts/a", b"x".to_vec()).await, Err(refused.clone()));
    assert_eq!(archive.remove("parts/a").await, Err(refused));
}
