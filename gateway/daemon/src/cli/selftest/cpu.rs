use std::env::consts::ARCH;

use super::Finding;

/// Which instructions the cryptography may use: `ring` chooses by the same question.
pub(super) fn look() -> Finding {
    let features = features();
    let said =
        format!("{ARCH}: {}", if features.is_empty() { "no instructions of note".into() } else { features.join(", ") });
    match has_aes(&features) {
        true => Finding::good("cpu", said),
        false => Finding::warning(
            "cpu",
            said,
            "no AES instructions are seen: sealing takes about ten times the work, which is still far above what a plant sends",
        ),
    }
}

fn has_aes(features: &[&str]) -> bool {
    features.contains(&"aes")
}

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<&'static str> {
    use std::arch::is_x86_feature_detected as has;
    let all =
        [("aes", has!("aes")), ("pclmulqdq", has!("pclmulqdq")), ("sse4.2", has!("sse4.2")), ("avx2", has!("avx2"))];
    all.into_iter().filter_map(|(name, has)| has.then_some(name)).collect()
}

#[cfg(target_arch = "aarch64")]
fn features() -> Vec<&'static str> {
    use std::arch::is_aarch64_feature_detected as has;
    let all = [("aes", has!("aes")), ("pmull", has!("pmull")), ("sha2", has!("sha2")), ("crc", has!("crc"))];
    all.into_iter().filter_map(|(name, has)| has.then_some(name)).collect()
}

/// The kernel's word, which a program under an emulator does not have.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn features() -> Vec<&'static str> {
    let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let words: Vec<&str> =
        told.lines().filter(|line| line.starts_with("Features")).flat_map(str::split_whitespace).collect();
    ["neon", "aes", "pmull", "sha2", "crc32"].into_iter().filter(|name| words.contains(name)).collect()
}
