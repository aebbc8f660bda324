//! The broker's configuration for Eclipse mosquitto 2.0: TLS 1.3, client certificates, per-gateway rights.

use std::net::IpAddr;
use std::path::Path;

/// The receiver's common name. The colon keeps it apart from every gateway id.
pub(crate) const RECEIVER: &str = "sandbox:receiver";

/// `folder` must be absolute: mosquitto resolves relative paths against its own working directory. Without `listen` it
/// listens on every address.
pub(crate) fn configuration(folder: &Path, port: u16, listen: Option<IpAddr>) -> String {
    let folder = folder.display();
    let listen = listen.map_or_else(String::new, |address| format!(" {address}"));
    format!(
        "\
# Start with: mosquitto -c {folder}/mosquitto.conf
# The broker reads broker.key itself: run it as the owner of this folder. Started by root it would
# change to the user below first; for a service, give broker.key and broker-data/ to that service's user.
user root

per_listener_settings false
listener {port}{listen}
protocol mqtt
cafile {folder}/ca.pem
certfile {folder}/broker.pem
keyfile {folder}/broker.key
tls_version tlsv1.3

# Who connects is who the certificate says, and nobody else may.
require_certificate true
use_identity_as_username true
allow_anonymous false
# Certificates of revoked gateways; `lingate-sandbox revoke` writes it anew. Read when the broker starts.
crlfile {folder}/revoked.crl
acl_file {folder}/acl

# Sessions outlive a restart, and nothing is dropped while the receiver is away. A broker that is killed
# loses what it acknowledged since the last save: receipts are the answer to that.
persistence true
persistence_location {folder}/broker-data/
autosave_interval 5
persistent_client_expiration 90d
# (A limit of 0 should mean none, but makes 2.0 drop messages for a connected client.)
max_queued_messages 100000000
queue_qos0_messages false
max_inflight_messages 64
max_packet_size 4194304
max_keepalive 300
log_type error
log_type warning
log_type notice
"
    )
}

/// `%u` is the certificate's common name: a gateway reaches only what is below its own name. `shut_out` are gateways
/// that were revoked: one that is connected may publish nothing from the next SIGHUP on, and still read the bundle that
/// grants it nothing; with the revocation list it cannot come back.
pub(crate) fn access_list(shut_out: &[&str]) -> String {
    let deny = |gateway: &&str| {
        let topics = ["k/#", "d/#", "a"].map(|channel| format!("topic deny lingate/1/+/{gateway}/{channel}\n"));
        format!("\nuser {gateway}\n{}", topics.concat())
    };
    let denied: String = shut_out.iter().map(deny).collect();
    format!(
        "\
pattern write lingate/1/+/%u/k/#
pattern write lingate/1/+/%u/d/#
pattern write lingate/1/+/%u/a
pattern read lingate/1/+/%u/r
pattern read lingate/1/+/%u/b

user {RECEIVER}
topic read lingate/1/#
topic write lingate/1/+/+/r
topic write lingate/1/+/+/b
{denied}"
    )
}
