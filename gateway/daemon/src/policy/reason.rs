//! Why a point stays in the plant.

use lingate_model::Class;
use lingate_seal::NotGranted;
use serde::Serialize;

use crate::bilingual::{Words, words};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Reason {
    /// For programs.
    pub(crate) code: &'static str,
    #[serde(flatten)]
    pub(crate) words: Words,
}

fn reason(code: &'static str, en: impl Into<String>, zh: impl Into<String>) -> Reason {
    Reason { code, words: words(en, zh) }
}

/// `gated`: the points that leave only while this one says so.
pub(crate) fn no_dataset(gated: &[&str]) -> Reason {
    match gated {
        [] => reason("no-dataset", "no dataset names it: it is read and stays", "未归入任何数据集：仅在厂内读取"),
        _ => reason(
            "no-dataset",
            format!("no dataset names it: it only decides when others leave ({})", listed(gated)),
            format!("未归入任何数据集：仅用于决定其他测点何时出厂（{}）", listed(gated)),
        ),
    }
}

fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(8).copied().collect::<Vec<_>>().join(", ");
    if names.len() > 8 { format!("{shown}, ...") } else { shown }
}

pub(crate) fn no_class() -> Reason {
    reason("no-class", "it has no class, and what is not classified is denied", "未分级，未分级的数据一律禁止出厂")
}

pub(crate) fn above_ceiling(class: Class, ceiling: Class) -> Reason {
    reason(
        "class-above-ceiling",
        format!("its class {class} is above the ceiling {ceiling} of plant and bundle"),
        format!("其级别“{}”高于工厂与授权包共同允许的上限“{}”", class_zh(class), class_zh(ceiling)),
    )
}

pub(crate) fn no_bundle() -> Reason {
    reason(
        "no-bundle",
        "there is no sandbox bundle yet: the plant's file would allow it, and nobody has granted it",
        "尚无沙箱授权包：工厂配置允许，但沙箱尚未授权",
    )
}

pub(crate) fn policy_not_approved(sha256: &str) -> Reason {
    reason(
        "policy-not-approved",
        format!("the bundle approves other minimization policies than this one, sha256:{sha256}"),
        format!("授权包未批准此最小化策略 sha256:{sha256}"),
    )
}

/// A class of GB/T 43697-2024 in its own words.
pub(crate) fn class_zh(class: Class) -> &'static str {
    match class {
        Class::General => "一般数据",
        Class::Important => "重要数据",
    }
}

pub(crate) fn of(refused: &NotGranted) -> Reason {
    let (code, zh) = match refused {
        NotGranted::UnknownDataset(id) => ("not-granted", format!("沙箱授权包未列出数据集 {id}")),
        NotGranted::PurposeNotGranted { dataset, purpose } => {
            ("purpose-not-granted", format!("沙箱授权包未授权数据集 {dataset} 用于目的 {purpose}"))
        }
        NotGranted::PurposeNotBegun(purpose) => ("purpose-not-begun", format!("目的 {purpose} 尚未生效")),
        NotGranted::PurposeExpired(purpose) => ("purpose-expired", format!("目的 {purpose} 当前不在有效期内")),
        NotGranted::NoRecipient(id) => ("no-recipient", format!("数据集 {id} 没有持有效密钥的接收方")),
        NotGranted::ApprovalMissing(id) => {
            ("approval-missing", format!("数据集 {id} 属重要数据，而授权包中没有其审批文号"))
        }
        NotGranted::BundleExpired => ("bundle-expired", "沙箱授权包已过期".to_owned()),
        NotGranted::Vetoed(id) => ("vetoed", format!("工厂已否决数据集 {id}（见 lingate veto list）")),
        NotGranted::RecipientsVetoed(id) => {
            ("recipients-vetoed", format!("工厂已否决数据集 {id} 的全部接收方（见 lingate veto list）"))
        }
        NotGranted::NoSuite { dataset, .. } => {
            ("no-suite", format!("数据集 {dataset} 没有工厂、签名密钥、授权包与各接收方共同支持的密码套件"))
        }
        NotGranted::TooManyRecipients { dataset, found, limit, .. } => {
            ("too-many-recipients", format!("数据集 {dataset} 的接收方密钥有 {found} 个，上限为 {limit} 个"))
        }
    };
    reason(code, refused.to_string(), zh)
}
