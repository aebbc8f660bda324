use std::fmt;
use std::time::Duration;

use lingate_model::UtcMicros;
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{
    EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList, RevocationCheckDepth, RevocationOptionsBuilder,
    UnknownStatusPolicy, anchor_from_trusted_cert,
};

use super::Certificate;

/// Why an authority does not vouch for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    NoIssuer,
    Revoked,
    /// No revocation list of its issuer is there.
    Unlisted,
    /// The issuer's revocation list should have been renewed.
    ListTooOld,
    Other,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Broken::NoIssuer => "nobody in issuers/ signed it",
            Broken::Revoked => "its issuer has revoked it",
            Broken::Unlisted => "its issuer's revocation list is not in crl/",
            Broken::ListTooOld => "its issuer's revocation list is too old",
            Broken::Other => "its issuer's signature or its own form is not valid",
        })
    }
}

/// Signed by one of the issuers, directly or through others of them, and revoked by none.
pub(crate) fn verify(
    certificate: &Certificate,
    issuers: &[Certificate],
    revocations: &[Vec<u8>],
    now: UtcMicros,
) -> Result<(), Broken> {
    let ders: Vec<_> = issuers.iter().map(|issuer| CertificateDer::from(issuer.der())).collect();
    let anchors: Vec<_> = ders.iter().filter_map(|der| anchor_from_trusted_cert(der).ok()).collect();
    if anchors.is_empty() {
        return Err(Broken::NoIssuer);
    }
    let der = CertificateDer::from(certificate.der());
    let leaf = EndEntityCert::try_from(&der).map_err(|_| Broken::Other)?;
    let lists: Vec<_> =
        revocations.iter().filter_map(|der| OwnedCertRevocationList::from_der(der).ok()).map(Into::into).collect();
    let lists: Vec<_> = lists.iter().collect();
    let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
        options
            .with_depth(RevocationCheckDepth::Chain)
            .with_status_policy(UnknownStatusPolicy::Deny)
            .with_expiration_policy(ExpirationPolicy::Enforce)
            .build()
    });
    let is_listed = revocation.is_some();
    let seconds = u64::try_from(now.seconds()).unwrap_or(0);
    let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let usage = KeyUsage::server_auth();
    let path = leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &anchors, &[], time, usage, revocation, None);
    match path {
        Ok(_) if is_listed => Ok(()),
        Ok(_) | Err(webpki::Error::UnknownRevocationStatus) => Err(Broken::Unlisted),
        Err(webpki::Error::UnknownIssuer) => Err(Broken::NoIssuer),
        Err(webpki::Error::CertRevoked) => Err(Broken::Revoked),
        Err(webpki::Error::CrlExpired { .. }) => Err(Broken::ListTooOld),
        // Told with its day by the rules, and perhaps tolerated.
        Err(_) => Err(Broken::Other),
    }
}
