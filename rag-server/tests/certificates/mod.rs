//! Certificates of a test's own, made by `openssl`: an authority, and what it signed. None of the libraries that the tests have makes any.

use std::{fs, path::Path, process::Command};

/// A key on the curve that everybody speaks; making it takes no time.
const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";

/// How long they are valid unless something else is said: longer than any test.
pub(crate) const DAYS: i32 = 2;

fn openssl(folder: &Path, arguments: &str) {
    let made = Command::new("openssl").args(arguments.split_whitespace()).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{arguments}: {}", String::from_utf8_lossy(&made.stderr));
}

/// An authority `NAME.crt` for this many days, at least 1, with its key `NAME.key`.
pub(crate) fn authority(folder: &Path, name: &str, days: i32) {
    openssl(folder, &format!("req -x509 {KEY} -days {days} -subj /CN=of-a-test -keyout {name}.key -out {name}.crt"));
}

/// `server.crt` with `server.key`, which the authority of this name signed for this host and 127.0.0.1 and for this many days from now; of a negative number, it expired that long ago.
pub(crate) fn signed(folder: &Path, authority: &str, host: &str, days: i32) {
    fs::write(folder.join("names"), format!("subjectAltName=DNS:{host},IP:127.0.0.1\n")).unwrap();
    openssl(folder, &format!("req -new {KEY} -subj /CN={host} -keyout server.key -out server.csr"));
    openssl(
        folder,
        &format!(
            "x509 -req -in server.csr -CA {authority}.crt -CAkey {authority}.key -CAcreateserial -days {days} \
             -extfile names -out server.crt"
        ),
    );
}
