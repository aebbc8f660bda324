//! What a policy is judged on: configuration, bundle, the plant's own terms, and a moment. Nothing on disk is changed.

use std::path::{Path, PathBuf};

use lingate_config::Plan;
use lingate_model::UtcMicros;
use lingate_seal::suite::suite;
use lingate_seal::{Bundle, BundleRefused, PlantTerms, RootSet, SignatureAlgorithm, VerifiedBundle};

use crate::accepted::{Accepted, bundle_path};
use crate::bilingual::{Words, words};
use crate::cli::exit::{Code, Failed};
use crate::inbox::{Bundles, valid_from};
use crate::keys::{self, Pinned};
use crate::prepare::load;
use crate::software::hex;
use crate::{files, veto};

/// Where the parts come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    pub(crate) config: PathBuf,
    /// Instead of the one in force.
    pub(crate) bundle: Option<PathBuf>,
    /// Instead of `root.json` in the state directory; it has the configured fingerprint too.
    pub(crate) root: Option<PathBuf>,
}

pub(crate) struct Basis {
    pub(crate) plan: Plan,
    pub(crate) bundle: Option<FoundBundle>,
    pub(crate) terms: PlantTerms,
    pub(crate) utc: UtcMicros,
    /// What a reader of the result has to know.
    pub(crate) notes: Vec<Words>,
}

pub(crate) struct FoundBundle {
    pub(crate) file: String,
    pub(crate) bundle: VerifiedBundle,
}

impl Basis {
    /// As things are `now`, judged as at `utc`.
    pub(crate) fn find(sources: &Sources, now: UtcMicros, utc: UtcMicros) -> Result<Basis, Failed> {
        let plan = load(&sources.config).map_err(|refused| Failed::refused(&sources.config, &refused))?;
        let mut notes = Vec::new();
        let bundle = match &sources.bundle {
            Some(file) => Some(given(&plan, sources, file, now)?),
            None => in_force(&plan, sources, now, &mut notes),
        };
        let said = veto::read(&plan.state_dir);
        notes.extend(said.misunderstood.iter().map(|why| misunderstood(why)));
        let signature = signature(&plan, &mut notes);
        let terms = PlantTerms { suites: plan.sandbox.suites.clone(), signature, veto: said.veto };
        Ok(Basis { plan, bundle, terms, utc, notes })
    }

    /// As the plant's file alone has it.
    pub(crate) fn without_bundle(self) -> Basis {
        Basis { bundle: None, ..self }
    }
}

/// Of the signing key. Into a token nobody logs in for a look: a wrong PIN counts, and it may be away.
fn signature(plan: &Plan, notes: &mut Vec<Words>) -> SignatureAlgorithm {
    let preferred = plan.sandbox.suites.first().and_then(|id| suite(*id)).map(|suite| suite.signature);
    let assumed = preferred.unwrap_or(SignatureAlgorithm::Ed25519);
    let why = match &plan.sandbox.signing_key {
        Some(_) => words("it is in a token, which was not asked", "密钥在令牌中，未予查询"),
        None => match keys::signing_key(&plan.state_dir, None) {
            Ok(key) => return key.algorithm(),
            Err(fault) => words(fault.what.clone(), fault.what),
        },
    };
    notes.push(words(
        format!(
            "The kind of the signing key is not known ({}): the suites below assume {}, as `lingate enroll` makes it.",
            why.en,
            assumed.name()
        ),
        format!("签名密钥的类型未知（{}）：以下加密套件按 lingate enroll 生成的 {} 计算。", why.zh, assumed.name()),
    ));
    assumed
}

/// A file that is not in force (yet): judged by the roots that would judge it.
fn given(plan: &Plan, sources: &Sources, file: &Path, utc: UtcMicros) -> Result<FoundBundle, Failed> {
    let bytes = files::read(file).map_err(|error| Failed::io("read the bundle", file, &error))?;
    let pinned = root(plan, sources).map_err(|why| {
        let what = format!("the bundle {} cannot be verified: {why}; --root FILE names another one", file.display());
        Failed::new(Code::Configuration, what)
    })?;
    let accepted = Accepted::load(&plan.state_dir, &pinned).ok().flatten();
    let known = accepted.iter().flat_map(|accepted| [&accepted.roots, &accepted.judged_by]).chain([&pinned.roots]);
    let mut refused = None;
    for roots in known {
        match verify(&bytes, roots, plan, utc) {
            Ok(bundle) => return Ok(FoundBundle { file: file.display().to_string(), bundle }),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    let why = refused.map_or_else(String::new, |refused| refused.to_string());
    Err(Failed::new(Code::Data, format!("the bundle {} is refused: {why}", file.display())))
}

/// Out of its time it still says what it grants: nothing, at this moment.
fn verify(bytes: &[u8], roots: &RootSet, plan: &Plan, utc: UtcMicros) -> Result<VerifiedBundle, BundleRefused> {
    match Bundle::verify(bytes, roots, None, &plan.gateway, utc) {
        Err(BundleRefused::Expired { .. } | BundleRefused::NotYetValid { .. }) => {
            Bundle::verify(bytes, roots, None, &plan.gateway, valid_from(bytes))
        }
        verified => verified,
    }
}

fn root(plan: &Plan, sources: &Sources) -> Result<Pinned, String> {
    let Some(file) = &sources.root else {
        return keys::pinned(&plan.state_dir, &plan.sandbox.root_sha256).map_err(|fault| fault.what);
    };
    let bytes = files::read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let roots = RootSet::from_file(&bytes, &plan.sandbox.root_sha256)
        .map_err(|refused| format!("root file {} is refused: {refused}", file.display()))?;
    Ok(Pinned { roots, sha256: hex(&files::sha256(&bytes)) })
}

/// What `run` would seal with if it started at this moment: a bundle in the inbox counts.
fn in_force(plan: &Plan, sources: &Sources, utc: UtcMicros, notes: &mut Vec<Words>) -> Option<FoundBundle> {
    let pinned = root(plan, sources).map_err(|why| notes.push(no_bundle(&why))).ok()?;
    let opened = Bundles::open(&plan.state_dir, pinned, &plan.gateway, utc);
    let (mut bundles, fault) = opened.map_err(|fault| notes.push(no_bundle(&fault.what))).ok()?;
    let stored = bundles.current().map(VerifiedBundle::version);
    bundles.look(utc);
    let Some(bundle) = bundles.current().cloned() else {
        notes.extend(fault.map(|fault| no_bundle(&fault.what)));
        return None;
    };
    let is_stored = stored == Some(bundle.version());
    let file = if is_stored { bundle_path(&plan.state_dir) } else { plan.state_dir.join("inbox") };
    if !is_stored {
        notes.push(words(
            format!(
                "The bundle lies in the inbox and comes into force when `lingate run` takes it (version {}).",
                bundle.version()
            ),
            format!("该授权包位于收件目录，lingate run 接收后生效（版本 {}）。", bundle.version()),
        ));
    }
    Some(FoundBundle { file: file.display().to_string(), bundle })
}

fn no_bundle(why: &str) -> Words {
    words(
        format!("No bundle is in force: {why}. What is marked as waiting leaves as soon as a bundle grants it."),
        format!("当前没有生效的授权包（{why}）。标为“待授权”的数据一经授权即会出厂。"),
    )
}

fn misunderstood(why: &str) -> Words {
    words(
        format!("{why}, so everything is forbidden until it is mended."),
        format!("{why}：修正之前禁止一切数据出厂。"),
    )
}
