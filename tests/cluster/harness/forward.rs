//! Carries connections between a network namespace and the machine: a socket file is reachable from both, a port is not.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// Accepts on a port, connects to the socket file. Never ends.
pub(crate) async fn tcp_to_socket(listener: TcpListener, socket: PathBuf) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let socket = socket.clone();
        tokio::spawn(async move {
            if let Ok(server) = UnixStream::connect(&socket).await {
                carry(client, server).await;
            }
        });
    }
}

/// Accepts on a socket file, connects to the port. Never ends.
pub(crate) async fn socket_to_tcp(listener: UnixListener, address: SocketAddr) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        tokio::spawn(async move {
            if let Ok(server) = TcpStream::connect(address).await {
                carry(client, server).await;
            }
        });
    }
}

/// Either side may close first; what is in flight is delivered.
async fn carry(mut client: impl AsyncRead + AsyncWrite + Unpin, mut server: impl AsyncRead + AsyncWrite + Unpin) {
    let _ = copy_bidirectional(&mut client, &mut server).await;
}
