//! What a person can do about it, the most urgent first.

use crate::language::Language;
use crate::report::Report;

/// A warning comes as early as those of the log: 30 days before the end.
const SOON_DAYS: f64 = 30.0;
const SOON_HOURS: f64 = 24.0;
const FULL_PERCENT: u64 = 90;

pub(super) fn advice(report: &Report, language: Language) -> Vec<String> {
    let all = [
        disk(report, language),
        room(report, language),
        link(report, language),
        denied(report, language),
        audit(report, language),
        device(report, language),
        bundle(report, language),
        refused_bundle(report, language),
        certificate(report, language),
        clock(report, language),
        lost(report, language),
    ];
    all.into_iter().flatten().collect()
}

fn disk(report: &Report, language: Language) -> Option<String> {
    report.disk_fault.as_ref()?;
    let advice = language.of(
        "Make room on the disk of the state directory, or replace it. What is being read now is lost and counted.",
        "请清理状态目录所在的磁盘，或更换磁盘。此刻读到的数据会丢失，并被计数。",
    );
    Some(advice.to_owned())
}

fn room(report: &Report, language: Language) -> Option<String> {
    if report.lost.contains_key("overflow") && report.buffer.percent() >= FULL_PERCENT {
        let advice = language.of(
            "The buffer is full: the oldest data of the lowest priority is being lost and declared. Bring the broker back, \
             or raise buffer.max_size.",
            "缓冲区已写满：优先级最低的最旧数据正在丢失，并被声明。请恢复消息代理，或增大 buffer.max_size。",
        );
        return Some(advice.to_owned());
    }
    let hours = report.buffer.autonomy_hours.filter(|hours| !report.link.up && *hours < SOON_HOURS)?;
    Some(match language {
        Language::English => format!(
            "The buffer is full in about {hours:.1} h; then the oldest data of the lowest priority is lost and declared."
        ),
        Language::Chinese => format!("缓冲区大约 {hours:.1} 小时后写满；此后优先级最低的最旧数据会丢失，并被声明。"),
    })
}

fn link(report: &Report, language: Language) -> Option<String> {
    if report.link.up {
        return None;
    }
    let advice = language.of(
        "Nothing has to be restarted: data is kept on disk and sent when the broker is back.",
        "不需要重启任何东西：数据保存在磁盘上，消息代理恢复后会自动发送。",
    );
    Some(advice.to_owned())
}

fn denied(report: &Report, language: Language) -> Option<String> {
    let why = report.datasets.iter().find_map(|dataset| dataset.denied.as_deref())?;
    let advice = match why {
        why if why.contains("veto") => language.of(
            "Somebody at the plant forbade it: `lingate veto list` shows what, `lingate veto remove` allows it again.",
            "这是工厂自己的否决：`lingate veto list` 显示内容，`lingate veto remove` 重新允许。",
        ),
        why if why.contains("quota") => language.of(
            "The quota of the day is used up: sealing begins again at midnight UTC, or with a larger quota of the dataset.",
            "当日配额已用完：UTC 零点后，或增大该数据集的 quota 后，继续封装。",
        ),
        _ => language.of(
            "Ask the sandbox's operator for a bundle that grants it, and put the file into inbox/ of the state directory.",
            "请向沙箱运营方索取授予该数据集的授权包，并把文件放入状态目录的 inbox/ 中。",
        ),
    };
    Some(advice.to_owned())
}

fn audit(report: &Report, language: Language) -> Option<String> {
    report.audit.dispute.as_ref()?;
    let advice = language.of(
        "Find out whether a second box runs with a copy of the state directory, or whether an older copy was put back; \
         tell the sandbox's operator.",
        "请查明是否有另一台机器使用状态目录的副本，或是否恢复了旧的副本，并通知沙箱运营方。",
    );
    Some(advice.to_owned())
}

fn device(report: &Report, language: Language) -> Option<String> {
    let device = report.devices.iter().find(|device| device.state != "connected")?;
    let name = &device.name;
    Some(match language {
        Language::English => {
            format!(
                "Device {name}: is it on, and does `lingate probe` reach it from this computer? Its slots are declared as missed."
            )
        }
        Language::Chinese => {
            format!("设备 {name}：是否已开机？在本机用 `lingate probe` 能否访问？其间的采集时隙会声明为缺失。")
        }
    })
}

fn bundle(report: &Report, language: Language) -> Option<String> {
    let days = report.bundle.as_ref()?.days_left;
    let (english, chinese) = match days {
        days if days <= 0.0 => ("The sandbox bundle has expired", "沙箱授权包已过期"),
        days if days < SOON_DAYS => ("The sandbox bundle ends soon", "沙箱授权包即将到期"),
        _ => return None,
    };
    Some(match language {
        Language::English => format!("{english} ({days:.1} days left): ask the sandbox's operator for the next one."),
        Language::Chinese => format!("{chinese}（剩余 {days:.1} 天）：请向沙箱运营方索取新的授权包。"),
    })
}

fn refused_bundle(report: &Report, language: Language) -> Option<String> {
    let file = &report.bundle_refused.as_ref()?.file;
    Some(match language {
        Language::English => format!(
            "The bundle {file} was refused, and the one in force stays: ask the sandbox's operator for another. It lies in \
             inbox/rejected of the state directory; this ends when another is accepted, or when it is deleted there."
        ),
        Language::Chinese => format!(
            "授权包 {file} 被拒绝，原授权包继续有效：请向沙箱运营方索取新的授权包。被拒绝的文件在状态目录的 inbox/rejected 中；接受新的授权包或删除该文件后，本提示消失。"
        ),
    })
}

fn certificate(report: &Report, language: Language) -> Option<String> {
    let days = report.certificate_days_left.filter(|days| *days < SOON_DAYS)?;
    Some(match language {
        Language::English => format!(
            "The gateway's certificate ends in {days:.1} days: ask for a new one; it is taken up without a restart."
        ),
        Language::Chinese => format!("网关证书还剩 {days:.1} 天：请申请新证书；更换后无需重启。"),
    })
}

fn clock(report: &Report, language: Language) -> Option<String> {
    let advice = language.of(
        "The computer's clock is not synchronised: times in the data say so. Check its time server.",
        "本机时钟未同步：数据中的时间会注明这一点。请检查时间服务器。",
    );
    (report.clock != "synced").then(|| advice.to_owned())
}

/// The causes of the status, in words of the reader.
fn cause_in(language: Language, cause: &str) -> &str {
    match (language, cause) {
        (Language::Chinese, "overflow") => "缓冲区溢出",
        (Language::Chinese, "undeclared") => "数据集已不再配置",
        (Language::Chinese, "policy") => "不允许离开",
        (Language::Chinese, "overload") => "过载",
        (Language::Chinese, "withheld") => "被工厂扣留",
        (Language::Chinese, "seal") => "无法加密",
        (Language::Chinese, "unclean_stop") => "异常停止",
        (Language::Chinese, "buffer_refused") => "缓冲区拒绝",
        (Language::Chinese, "corruption") => "磁盘上的记录损坏",
        (Language::Chinese, "purge") => "按指令销毁",
        (Language::Chinese, "quarantine") => "被消息代理拒绝",
        (_, cause) => cause,
    }
}

fn lost(report: &Report, language: Language) -> Option<String> {
    let lost: Vec<String> =
        report.lost.iter().map(|(cause, count)| format!("{} {count}", cause_in(language, cause))).collect();
    let readings =
        language.of("Lost since the start, and declared to the sandbox: ", "启动以来丢失并已向沙箱声明的读数：");
    (!lost.is_empty()).then(|| format!("{readings}{}", lost.join(", ")))
}
