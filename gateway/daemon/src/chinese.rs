//! The gateway's own sentences in Chinese, for the page. They are made once, in English, where something happens, and go
//! into log, audit log and status; here they are known by their shape again. What matches no shape (a library's words, a
//! device's) stays as it came.

/// English with `{}` for what varies, and the same in Chinese with what varies in the same order.
const SHAPES: [(&str, &str); 67] = [
    // Readiness.
    ("the daemon is stopping", "守护进程正在停止"),
    ("the engine does not answer; is the disk stuck?", "引擎没有响应；磁盘是否卡住？"),
    ("the disk refuses: {}", "磁盘拒绝写入：{}"),
    ("there is no sandbox bundle, so nothing may be sealed", "没有沙箱授权包，因此不能加密任何数据"),
    // What the bundle does not grant.
    ("dataset {}: {}", "数据集 {}：{}"),
    ("the sandbox bundle does not list dataset {}", "沙箱授权包没有列出数据集 {}"),
    ("the sandbox bundle does not list purpose {} for dataset {}", "沙箱授权包没有列出用途 {}（数据集 {}）"),
    ("purpose {} is not valid at this time", "用途 {} 目前无效"),
    ("dataset {} has no recipient with a valid key", "数据集 {} 没有持有效密钥的接收方"),
    (
        "dataset {} is of class important and the bundle has no approval reference for it",
        "数据集 {} 属于重要数据，授权包中没有相应的批准文号",
    ),
    ("the sandbox bundle has expired", "沙箱授权包已过期"),
    (
        "the plant's veto forbids every recipient of dataset {}; `lingate veto list` shows it",
        "工厂否决了数据集 {} 的所有接收方；见 `lingate veto list`",
    ),
    (
        "the plant's veto forbids dataset {}; `lingate veto list` shows it",
        "工厂否决了数据集 {}；见 `lingate veto list`",
    ),
    // The plant's orders.
    ("nothing is forbidden", "没有任何禁止"),
    ("forbidden: {}", "已禁止：{}"),
    // The longer shape first: the shorter one would take its end as well.
    ("the last key of {} ends in {} days", "{} 的最后一个密钥将在 {} 天后到期"),
    ("the last key of {}", "{} 的最后一个密钥"),
    ("{} ends in {} days", "{} 将在 {} 天后到期"),
    ("{} records await a receipt", "{} 条记录等待回执"),
    // The audit log.
    (
        "the history that the sandbox cosigned (line {}) {} than this log: it was restored, changed, or copied",
        "沙箱会签过的历史（第 {} 行）{}：状态目录被恢复、更改或复制过",
    ),
    ("has another root", "与本日志的根不同"),
    ("is longer", "比本日志长"),
    ("cannot be compared, because its lines were pruned,", "无法与本日志比较，因为相应的行已清理"),
    // The link.
    ("the gateway is stopping", "网关正在停止"),
    (
        "the broker {} does not answer: {}; is it running, and does a firewall let port {} out? It is tried again every few \
         seconds",
        "消息代理 {} 没有响应：{}；它是否在运行？防火墙是否放行端口 {}？每隔几秒会自动重试",
    ),
    ("connection refused", "连接被拒绝"),
    ("Connection refused (os error 111)", "连接被拒绝"),
    ("No route to host (os error 113)", "没有到主机的路由"),
    ("Network is unreachable (os error 101)", "网络不可达"),
    ("Connection reset by peer (os error 104)", "连接被对端重置"),
    ("no connection within {}", "在 {} 内未能建立连接"),
    (
        "the broker's name {} cannot be looked up ({}); check sandbox.broker, and this computer's name server",
        "无法解析消息代理的名称 {}（{}）；请检查 sandbox.broker 和本机的域名服务器",
    ),
    ("the broker refused the connection: {}", "消息代理拒绝了连接：{}"),
    (
        "{}; ask the sandbox whether this gateway's certificate and id are allowed",
        "{}；请向沙箱确认本网关的证书和标识是否被允许",
    ),
    (
        "another client connected with this gateway's id; if no second gateway runs by mistake, its key was copied: have \
         the sandbox revoke it",
        "另一个客户端使用了本网关的标识；如果没有误启动第二个网关，则密钥已被复制：请让沙箱吊销它",
    ),
    ("the broker closed the connection", "消息代理关闭了连接"),
    (
        "the broker closed the connection {} times in a row, soon after it let this gateway in: does another client use \
         this gateway's id? Look for a second box with the same keys, and into the broker's log",
        "消息代理接受本网关后不久就关闭了连接，已连续 {} 次：是否有另一个客户端使用本网关的标识？请查找使用相同密钥的另一台机器，并查看消息代理的日志",
    ),
    ("the broker ended the connection: {}", "消息代理结束了连接：{}"),
    ("the broker was silent for {}", "消息代理沉默了 {}"),
    ("the broker does not answer pings", "消息代理不响应心跳"),
    (
        "the broker closed the connection before it answered ({}); if this stays, it may not accept this gateway's \
         certificate: compare its log",
        "消息代理在应答之前关闭了连接（{}）；如果一直如此，它可能不接受本网关的证书：请对照其日志",
    ),
    (
        "the broker rejected this gateway's client certificate (TLS alert {}); check sandbox.certificate: expired, revoked, \
         or of another CA than the broker trusts?",
        "消息代理拒绝了本网关的客户端证书（TLS 警报 {}）；请检查 sandbox.certificate：是否过期、被吊销，或由消息代理不信任的 CA 签发？",
    ),
    (
        "the broker does not speak TLS 1.3, and lingate speaks nothing older; enable it at the broker",
        "消息代理不支持 TLS 1.3，而 lingate 不使用更旧的版本；请在消息代理上启用",
    ),
    ("the broker's certificate is refused: {}", "消息代理的证书被拒绝：{}"),
    (
        "it is for another host name; check sandbox.broker, or whether this is the right broker",
        "它属于另一个主机名；请检查 sandbox.broker，或确认这是不是正确的消息代理",
    ),
    (
        "it was not issued by the CA of sandbox.ca; check sandbox.ca, or whether this is the right broker",
        "它不是由 sandbox.ca 的 CA 签发的；请检查 sandbox.ca，或确认这是不是正确的消息代理",
    ),
    (
        "it has expired; tell the sandbox operator, and compare this computer's clock",
        "它已过期；请通知沙箱运营方，并核对本机时钟",
    ),
    (
        "it was revoked: somebody else may hold its key; tell the sandbox operator, and do not take sandbox.crl out",
        "它已被吊销：别人可能持有其密钥；请通知沙箱运营方，不要去掉 sandbox.crl",
    ),
    (
        "sandbox.crl has no revocation list of its issuer; ask the sandbox operator for a file with a list of each issuer \
         in the chain",
        "sandbox.crl 中没有其签发者的吊销列表；请向沙箱运营方索取包含证书链中每个签发者列表的文件",
    ),
    (
        "the revocation list of sandbox.crl is overdue; put a newer one in its place, and compare this computer's clock",
        "sandbox.crl 的吊销列表已过期；请换上更新的列表，并核对本机时钟",
    ),
    (
        "the revocation list of sandbox.crl was not signed by the CA of sandbox.ca; take one of the sandbox operator",
        "sandbox.crl 的吊销列表不是由 sandbox.ca 的 CA 签发的；请使用沙箱运营方提供的列表",
    ),
    (
        "it is not valid yet; compare this computer's clock, and tell the sandbox operator",
        "它尚未生效；请核对本机时钟，并通知沙箱运营方",
    ),
    ("the certificate files were replaced; connecting with the new ones", "证书文件已更换；正在用新证书连接"),
    // Why a device is away.
    ("cannot connect to {}: {}", "无法连接 {}：{}"),
    ("no complete answer within {} while {}", "在 {} 内没有收到完整的应答（{}）"),
    ("the device broke its protocol: {}", "设备违反了协议：{}"),
    ("the device closed the connection", "设备关闭了连接"),
    ("the driver panicked, which is a defect of lingate: {}", "驱动程序崩溃，这是 lingate 的缺陷：{}"),
    // What a driver knows of a device.
    ("NOT PROTECTED: everybody on its network can read along", "未加保护：其网络上的任何人都能读到"),
    ("security: {}", "安全：{}"),
    ("endpoint: {}", "端点：{}"),
    ("its clock is {} s behind the gateway's", "其时钟比网关慢 {} 秒"),
    ("its clock is {} s ahead of the gateway's", "其时钟比网关快 {} 秒"),
    ("asked {} s late, at worst {} s", "采集延迟 {} 秒，最长 {} 秒"),
    ("set aside: {}: {}, since {}, {}", "已搁置：{}：{}，自 {} 起，{}"),
    ("asked again {}", "将于 {} 重试"),
    ("not asked again", "不再重试"),
];

/// `text` in Chinese, as far as its shape is known.
pub(crate) fn told(text: &str) -> String {
    SHAPES.iter().find_map(|(english, chinese)| filled(text, english, chinese)).unwrap_or_else(|| text.to_owned())
}

/// The Chinese with what varies in `text`, each part of it told in turn.
fn filled(text: &str, english: &str, chinese: &str) -> Option<String> {
    let mut pieces = english.split("{}");
    let mut rest = text.strip_prefix(pieces.next()?)?;
    let mut found = Vec::new();
    let pieces: Vec<&str> = pieces.collect();
    for (at, piece) in pieces.iter().enumerate() {
        let is_last = at + 1 == pieces.len();
        let end = if is_last && piece.is_empty() { rest.len() } else { rest.find(piece)? };
        if end == 0 {
            return None;
        }
        found.push(told(&rest[..end]));
        rest = &rest[end + piece.len()..];
    }
    if !rest.is_empty() {
        return None;
    }
    let mut found = found.into_iter();
    let parts: Vec<&str> = chinese.split("{}").collect();
    let last = parts.len() - 1;
    let filled = parts.iter().enumerate().map(|(at, part)| match at < last {
        true => format!("{part}{}", found.next().unwrap_or_default()),
        false => (*part).to_owned(),
    });
    Some(filled.collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn both_languages_have_as_many_places_for_what_varies() {
        for (english, chinese) in SHAPES {
            assert_eq!(english.matches("{}").count(), chinese.matches("{}").count(), "{english}");
            assert!(!english.contains("{}{}"), "{english}");
        }
    }

    #[test]
    fn a_sentence_within_a_sentence_is_told_as_well() {
        let dataset = lingate_seal::NotGranted::UnknownDataset("ds-1".parse().unwrap()).to_string();
        assert_eq!(told(&format!("dataset ds-1: {dataset}")), "数据集 ds-1：沙箱授权包没有列出数据集 ds-1");
        assert_eq!(told(&lingate_seal::NotGranted::BundleExpired.to_string()), "沙箱授权包已过期");
        assert_eq!(told(&crate::veto::in_words(&lingate_seal::Veto::default())), "没有任何禁止");
        assert_eq!(told("the last key of role:a ends in 6 days"), "role:a 的最后一个密钥将在 6 天后到期");
        assert_eq!(told("asked 0.003 s late, at worst 2.000 s"), "采集延迟 0.003 秒，最长 2.000 秒");
    }

    #[test]
    fn a_link_that_is_down_says_why_in_chinese() {
        let why = "the broker host:8883 does not answer: Connection refused (os error 111); is it running, and does a \
                   firewall let port 8883 out? It is tried again every few seconds";
        let told = told(why);
        assert!(told.starts_with("消息代理 host:8883 没有响应：连接被拒绝；") && told.contains("端口 8883"), "{told}");
    }

    #[test]
    fn a_device_that_is_away_says_why_in_chinese() {
        let why = "cannot connect to 10.0.4.17:502: Connection refused (os error 111)";
        assert_eq!(told(why), "无法连接 10.0.4.17:502：连接被拒绝");
        assert_eq!(told("no complete answer within 1s while reading"), "在 1s 内没有收到完整的应答（reading）");
    }

    #[test]
    fn a_dispute_over_the_history_is_told_in_chinese() {
        for how in ["has another root", "is longer", "cannot be compared, because its lines were pruned,"] {
            let english = format!(
                "the history that the sandbox cosigned (line 121) {how} than this log: it was restored, changed, or copied"
            );
            assert!(
                told(&english).contains("第 121 行") && told(&english).is_ascii() == told(how).is_ascii(),
                "{english}"
            );
            assert!(!told(&english).contains("log"), "{}", told(&english));
        }
    }

    #[test]
    fn strange_words_stay_as_they_came() {
        for text in ["", "{}", "Siemens S7-1500", "dataset", "BadSensorFailure", "dataset : "] {
            assert_eq!(told(text), text);
        }
    }
}
