//! The Qdrant adapters over TLS: a relay that shows a certificate stands before the double.
//!
//! The certificates are shown by a few lines of Python: no library that the tests have does it.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use rag_server::{
    adapters::qdrant::{PeerTold, QdrantConnection, QdrantSettings},
    ports::{Kind, Records, StoreError},
};
use tempfile::TempDir;

use crate::{
    certificates,
    qdrant::{DEADLINE, OnDouble, records_of},
};

/// Shows the certificate of the folder, and passes on to the port.
const RELAY: &str = r#"
import asyncio, ssl, sys
folder, port = sys.argv[1], int(sys.argv[2])
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(folder + "/server.crt", folder + "/server.key")
tls.set_alpn_protocols(["h2"])
async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
async def serve(reader, writer):
    theirs, ours = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.gather(pump(reader, ours), pump(theirs, writer), return_exceptions=True)
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"#;

/// A CA, and a certificate of it for this machine.
fn authority() -> TempDir {
    let folder = TempDir::new().unwrap();
    certificates::authority(folder.path(), "ca", certificates::DAYS);
    certificates::signed(folder.path(), "ca", "localhost", certificates::DAYS);
    folder
}

struct Relay {
    process: Child,
    port: u16,
}

impl Relay {
    fn before(port: u16, certificates: &Path) -> Self {
        let mut python = Command::new("python3");
        python.args(["-c", RELAY]).arg(certificates).arg(port.to_string()).stdout(Stdio::piped());
        let mut process = python.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { process, port: line.trim().parse().unwrap() }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}

#[tokio::test]
async fn a_certificate_is_checked_against_the_ca_of_the_file_which_is_read_again_when_it_changes() {
    let storage = OnDouble::start().await;
    let (ours, theirs) = (authority(), authority());
    let relay = Relay::before(storage.double.grpc.port(), ours.path());
    let ca = TempDir::new().unwrap();
    let ca_file = ca.path().join("ca.crt");
    let open = |ca_file: Option<&Path>| {
        let urls = vec![format!("https://localhost:{}", relay.port)];
        let settings =
            QdrantSettings { urls, api_key_file: None, ca_file: ca_file.map(Path::to_owned), deadline: DEADLINE };
        let nobody: PeerTold = Arc::new(|_, _, _| {});
        records_of(QdrantConnection::new(settings, &nobody).unwrap())
    };
    let refused = |error: StoreError| {
        assert_eq!(error.cause(), "unreachable", "{error}");
        assert!(error.to_string().contains("certificate"), "{error}");
    };
    std::fs::copy(theirs.path().join("ca.crt"), &ca_file).unwrap();
    let records = open(Some(&ca_file));
    refused(records.get(Kind::Job, "a").await.unwrap_err());
    std::fs::copy(ours.path().join("ca.crt"), &ca_file).unwrap();
    rag_core::doubles::eventually("the other CA was read", async || records.get(Kind::Job, "a").await.is_ok()).await;
    assert!(open(None).get(Kind::Job, "a").await.is_err(), "the system does not know this CA");
}
