/// What a column means, by the names that people give it, in English, German and Chinese. Lower case, with spaces for `_`
/// and `-`, without what stands in brackets.
const COLUMNS: [(&str, &[&str]); 16] = [
    (
        "name",
        &[
            "name", "tag", "tag name", "point", "point name", "parameter", "label", "variable", "signal", "bezeichnung",
            "messstelle", "messpunkt", "variablenname", "名称", "变量", "变量名", "变量名称", "点名", "点位", "点位名称", "测点",
            "测点名称", "标签", "标签名", "参数", "参数名称", "信号名称",
        ],
    ),
    (
        "register",
        &[
            "register", "address", "addr", "modbus address", "register address", "reg", "offset address", "adresse",
            "registeradresse", "modbus adresse", "registernummer", "startadresse", "地址", "寄存器", "寄存器地址", "modbus地址",
            "modbus 地址", "变量地址", "起始地址",
        ],
    ),
    (
        "area",
        &[
            "area", "function", "function code", "fc", "register type", "table", "kind", "bereich", "funktion",
            "funktionscode", "registertyp", "registerart", "功能码", "寄存器类型", "寄存器区", "区域", "数据区",
        ],
    ),
    (
        "type",
        &["type", "data type", "datatype", "format", "typ", "datentyp", "datenformat", "数据类型", "类型", "变量类型", "数据格式"],
    ),
    (
        "scale",
        &[
            "scale", "factor", "scale factor", "multiplier", "gain", "decimal", "faktor", "skalierung", "skalierungsfaktor",
            "multiplikator", "倍率", "系数", "比例", "比例系数", "缩放", "缩放系数", "乘数",
        ],
    ),
    ("offset", &["offset", "bias", "versatz", "偏移", "偏移量", "偏置"]),
    (
        "order",
        &[
            "word order", "byte order", "order", "endian", "endianness", "wortfolge", "bytefolge", "wortreihenfolge",
            "bytereihenfolge", "字节序", "字节顺序", "字序",
        ],
    ),
    ("bit", &["bit", "bit number", "bitnummer", "位", "位号"]),
    ("count", &["count", "elements", "元素个数"]),
    (
        "length",
        &["length", "registers", "size", "quantity", "länge", "registeranzahl", "anzahl register", "长度", "寄存器数量", "寄存器个数"],
    ),
    ("digits", &["digits", "stellen"]),
    (
        "slave",
        &[
            "unit id", "slave", "slave id", "slave address", "station", "modbus unit", "slaveadresse", "slave adresse",
            "geräteadresse", "stationsadresse", "teilnehmer", "从站", "从站地址", "从机地址", "站号", "设备地址",
        ],
    ),
    ("invalid", &["invalid", "sentinel", "ungültig", "无效值"]),
    ("unit", &["unit", "units", "eu", "engineering unit", "einheit", "单位", "工程单位"]),
    (
        "comment",
        &[
            "description", "comment", "note", "beschreibung", "bemerkung", "kommentar", "描述", "说明", "备注", "注释",
            "变量描述",
        ],
    ),
    ("interval", &["interval", "every", "poll", "intervall", "abfrageintervall", "采集周期", "采样周期", "周期"]),
];

pub(super) fn column(title: &str) -> Option<&'static str> {
    let title = title.split(['(', '（', '[']).next().unwrap_or_default();
    let title = title.trim().to_lowercase().replace(['_', '-'], " ");
    COLUMNS.iter().find(|(_, names)| names.contains(&title.as_str())).map(|(column, _)| *column)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_name_means_two_columns() {
        let names: Vec<_> = COLUMNS.iter().flat_map(|(_, names)| *names).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert_eq!(column("Skalierung [1/10]"), Some("scale"));
        assert_eq!(column("单位（工程）"), Some("unit"));
        assert_eq!(column("Farbe"), None);
    }
}
