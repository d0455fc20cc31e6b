//! When certificates expire: told as a metric and in `/ops/status`, said before it is too late, and looked at again when the file changes.

use rag_server::outside;
use serde_json::{Value, json};

use crate::{
    certificates,
    credentials::keyed,
    process::{Home, Server, eventually},
};

const OPERATOR: &str = "operator-key-0123456789";
const DAY: f64 = 86_400.0;

/// The days that the metric tells; none where it tells nothing.
async fn days(server: &Server) -> Option<f64> {
    let metrics = server.manage("/metrics").send().await.unwrap().text().await.unwrap();
    let mut lines = metrics.lines().filter_map(|line| line.strip_prefix("rag_certificate_expiry_seconds{certificate="));
    let (line, more) = (lines.next()?, lines.next());
    assert_eq!(more, None);
    Some(line.strip_prefix("\"redis_ca\"} ").unwrap().parse::<f64>().unwrap() / DAY)
}

async fn told(server: &Server) -> Value {
    let status = server.manage("/ops/status").bearer_auth(OPERATOR).send().await.unwrap();
    status.json::<Value>().await.unwrap()["certificates"].clone()
}

#[test]
fn a_certificate_that_never_expires_does_so_as_late_as_can_be_said() {
    let folder = tempfile::tempdir().unwrap();
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let days = jiff::civil::date(9999, 12, 31) - today;
    certificates::authority(folder.path(), "never", days.get_days());
    assert_eq!(outside::first_expiry(&folder.path().join("never.crt")), Ok(jiff::Timestamp::MAX));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_to_expire_is_told_in_time_and_a_renewed_one_without_a_restart() {
    let (home, folder) = (Home::new(), tempfile::tempdir().unwrap());
    for (name, days) in [("old", 10), ("new", 100)] {
        certificates::authority(folder.path(), name, days);
    }
    certificates::signed(folder.path(), "new", "localhost", -1);
    let file = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    // Of several in a file the first to expire counts.
    let ca_file = home.write("ca.crt", &[file("new.crt"), file("old.crt")].concat());
    // Nobody has to be there: a file is looked at, whatever becomes of its connections.
    let redis = format!("[cache.redis]\nurl = \"rediss://127.0.0.1:1\"\nca_file = {ca_file:?}\n");
    let mut server = home.serve(&[keyed(&home), redis].concat());
    let said = server.await_log("a certificate expires soon");
    assert_eq!((&said["level"], &said["certificate"]), (&"WARN".into(), &"redis_ca".into()), "{said}");
    eventually("ten days", async || days(&server).await.is_some_and(|days| (9.0..10.0).contains(&days))).await;
    let known = told(&server).await;
    assert_eq!(known, json!([{"name": "redis_ca", "expires_at": said["at"]}]));

    home.swap("ca.crt", &file("new.crt"));
    eventually("it was renewed", async || days(&server).await.is_some_and(|days| (99.0..100.0).contains(&days))).await;
    home.swap("ca.crt", &file("server.crt"));
    server.await_log("a certificate expired");
    assert!(days(&server).await.unwrap() < 0.0);
    home.swap("ca.crt", "no certificate");
    let said = server.await_log("when a certificate expires is not known");
    assert!(said["message"].as_str().unwrap().ends_with("its file holds no certificate in PEM"), "{said}");
    assert_eq!((days(&server).await, told(&server).await), (None, Value::Array(Vec::new())));
}
