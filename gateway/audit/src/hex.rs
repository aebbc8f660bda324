pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 64 lower-case digits, and nothing else.
pub fn from_hex(digits: &str) -> Option<[u8; 32]> {
    let byte = |at: usize| u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok();
    let bytes: [u8; 32] = (0..32).map(byte).collect::<Option<Vec<u8>>>()?.try_into().ok()?;
    (hex(&bytes) == digits).then_some(bytes)
}
