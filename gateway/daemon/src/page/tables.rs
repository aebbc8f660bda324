use super::Sight;
use crate::about::About;
use crate::language::Language;
use crate::report::{DatasetReport, DeviceReport};
use crate::sheet::escape;

pub(super) fn devices(sight: &Sight) -> String {
    let language = sight.language;
    let columns = match language {
        Language::English => ["Device", "State", "Newest", "Readings", "Bad", "Missed slots", "Notes"],
        Language::Chinese => ["设备", "状态", "最新", "读数", "坏值", "缺失时隙", "说明"],
    };
    let rows = sight.report.devices.iter().map(|device| device_row(device, language));
    table(language.of("Devices", "设备"), columns, rows)
}

pub(super) fn datasets(sight: &Sight) -> String {
    let language = sight.language;
    let columns = match language {
        Language::English => ["Dataset", "For whom and what", "Read", "Kept", "On disk", "Acknowledged", "Gaps"],
        Language::Chinese => ["数据集", "接收方与用途", "读取", "保留", "已存盘", "已确认", "缺口"],
    };
    let rows = sight.report.datasets.iter().map(|dataset| dataset_row(dataset, language));
    table(language.of("Datasets", "数据集"), columns, rows)
}

enum Cell {
    Html(String),
    Number(u64),
}

/// Each cell knows its column's name, because a phone shows a row as a card.
fn table<const N: usize>(name: &str, columns: [&str; N], rows: impl Iterator<Item = [Cell; N]>) -> String {
    let mut rows = rows.peekable();
    let class = |at: usize, row: Option<&[Cell; N]>| match row.map(|row| &row[at]) {
        Some(Cell::Number(_)) => " class=n",
        _ => "",
    };
    let first = rows.peek();
    let heads = columns.iter().enumerate().map(|(at, column)| format!("<th scope=col{}>{column}", class(at, first)));
    let heads: String = heads.collect();
    let row = |cells: [Cell; N]| {
        let cells = columns.iter().zip(cells).enumerate().map(|(at, (column, cell))| match cell {
            Cell::Html(html) if at == 0 => format!("<th scope=row>{html}"),
            Cell::Html(html) => format!("<td data-name=\"{column}\"><div>{html}</div>"),
            Cell::Number(number) => format!("<td class=n data-name=\"{column}\">{number}"),
        });
        cells.fold("<tr>".to_owned(), |row, cell| row + &cell)
    };
    let rows: String = rows.map(row).collect();
    format!(
        "<h2>{name}</h2><div class=scroll tabindex=0 role=region aria-label=\"{name}\"><table class=cards><thead><tr>{heads}\
         <tbody>{rows}</table></div>"
    )
}

fn device_row(device: &DeviceReport, language: Language) -> [Cell; 7] {
    let (class, state) = match device.state.as_str() {
        "connected" if device.bad_point_count > 0 || device.newest_readings_are_bad => {
            ("wait", language.of("connected, bad readings", "已连接，有坏值"))
        }
        "connected" => ("good", language.of("connected", "已连接")),
        "connecting" => ("wait", language.of("connecting", "正在连接")),
        _ => ("bad", language.of("not connected", "未连接")),
    };
    [
        Cell::Html(escape(&device.name)),
        Cell::Html(format!("<span class=\"tag {class}\">{state}</span>")),
        Cell::Html(
            device.newest_age_seconds.map_or("–".to_owned(), |age| format!("{age:.0}{}", language.of(" s", " 秒"))),
        ),
        Cell::Number(device.readings),
        Cell::Number(device.bad_readings),
        Cell::Number(device.missed_slots),
        Cell::Html(notes(device, language)),
    ]
}

/// One line each: why it is away, what is bad, and what the driver knows. A connection without protection cannot be
/// overlooked.
fn notes(device: &DeviceReport, language: Language) -> String {
    let shown = device.reason.iter().cloned().chain(device.notes(language)).map(|note| match note.as_str() {
        About::UNPROTECTED => format!("<b class=bad>{}</b>", escape(&language.told(&note))),
        note => escape(&language.told(note)),
    });
    shown.collect::<Vec<_>>().join("<br>")
}

fn dataset_row(dataset: &DatasetReport, language: Language) -> [Cell; 7] {
    let roles = match dataset.recipient_roles.is_empty() {
        true => language.of("nobody", "无").to_owned(),
        false => dataset.recipient_roles.join(", "),
    };
    let denied = dataset.denied.as_ref();
    let denied = denied.map(|why| format!("<br><b class=bad>{}</b>", escape(&language.told(why))));
    let purpose = format!("{}<br>{}{}", escape(&roles), escape(&dataset.purpose), denied.unwrap_or_default());
    [
        Cell::Html(escape(&dataset.id)),
        Cell::Html(purpose),
        Cell::Number(dataset.read),
        Cell::Number(dataset.kept),
        Cell::Number(dataset.accepted_readings),
        Cell::Number(dataset.acknowledged_readings),
        Cell::Number(dataset.gaps),
    ]
}
