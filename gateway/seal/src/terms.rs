use std::sync::Arc;
use std::time::Duration;

use lingate_model::{Class, GatewayId, Now};
use lingate_refine::{DatasetPlan, PointPlan};

use crate::suite::{self, SignatureAlgorithm};
use crate::{CATALOGUE_TAGS_MAX, Claims, DescribedDevice, Grant, SealError, lineage, policy_sha256};

/// Everything that an epoch is for. Any difference means another epoch.
#[derive(Clone, Debug)]
pub struct EpochTerms {
    pub gateway: GatewayId,
    /// `name version sha256:...` of the running software, for lineage.
    pub software: String,
    pub dataset: DatasetPlan,
    /// The points of the dataset by alias, dense from 0.
    pub points: Vec<Arc<PointPlan>>,
    /// Of these points, as far as they are known.
    pub devices: Vec<DescribedDevice>,
    /// What the bundle grants for it: recipients, alias in topics, purpose statement, approval, rotation.
    pub grant: Grant,
}

/// What must hold before a key is drawn. Gives the policy's hash.
pub(crate) fn admit(terms: &EpochTerms, signature: SignatureAlgorithm, now: Now) -> Result<[u8; 32], SealError> {
    let grant = &terms.grant;
    let suite = suite::built(grant.suite).filter(|suite| suite.signature == signature);
    let suite = suite.ok_or(SealError::Suite(grant.suite))?;
    if grant.ceiling == Class::Important && grant.approval.is_none() {
        return Err(SealError::ApprovalMissing);
    }
    if now.utc >= grant.not_after {
        return Err(SealError::Expired);
    }
    let is_ascending = grant.recipients.windows(2).all(|pair| pair[0].kid < pair[1].kid);
    if !(1..=suite.recipients_max).contains(&grant.recipients.len()) || !is_ascending {
        return Err(SealError::Recipients(grant.recipients.len()));
    }
    if terms.points.len() > CATALOGUE_TAGS_MAX {
        return Err(SealError::TooLarge { points: terms.points.len(), limit: CATALOGUE_TAGS_MAX });
    }
    let policy = policy_sha256(&terms.dataset, &terms.points);
    if !grant.policies.is_empty() && !grant.policies.contains(&policy) {
        return Err(SealError::PolicyNotApproved(lineage::hex(&policy)));
    }
    Ok(policy)
}

/// The claims that come from the terms; the hashes are the caller's.
pub(crate) fn claims(terms: &EpochTerms, now: Now) -> Claims {
    let grant = &terms.grant;
    let issued_at = now.utc.seconds();
    Claims {
        issuer: terms.gateway.to_string(),
        subject: terms.dataset.id.to_string(),
        audience: grant.sandbox.clone(),
        expires: expires(grant, now).min(issued_at.saturating_add(i64::from(grant.epoch_seconds))),
        issued_at,
        cti: [0; 16],
        suite: grant.suite,
        purpose: grant.purpose.to_string(),
        purpose_statement_sha256: grant.purpose_statement_sha256,
        policy_sha256: [0; 32],
        bundle_version: grant.bundle_version,
        bundle_sha256: grant.bundle_sha256,
        class: grant.ceiling,
        catalogue_sha256: [0; 32],
        previous: None,
        lineage_sha256: [0; 32],
        approval: grant.approval.clone(),
    }
}

/// The bundle's rotation, cut at the end of the right; the wall clock only says how long that is from here.
/// The end of the epoch in whole seconds, rounded up: the last record is sealed before it.
fn expires(grant: &Grant, now: Now) -> i64 {
    let lifetime = i64::try_from(lifetime(grant, now).as_micros()).unwrap_or(i64::MAX);
    now.utc.0.saturating_add(lifetime).saturating_add(999_999).div_euclid(1_000_000)
}

pub(crate) fn lifetime(grant: &Grant, now: Now) -> Duration {
    let left = u64::try_from(grant.not_after.0.saturating_sub(now.utc.0)).unwrap_or(0);
    Duration::from_secs(grant.epoch_seconds.into()).min(Duration::from_micros(left))
}
