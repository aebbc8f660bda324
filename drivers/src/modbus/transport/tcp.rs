use std::io;

use tokio::net::TcpStream;

use super::Peer;

pub(super) async fn open(peer: &Peer) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((peer.host.as_str(), peer.port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
