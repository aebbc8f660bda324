//! What the pages that are written to a file have in common: self-contained, without script, English and Chinese behind
//! a switch, legible on white paper.

use lingate_audit::is_deceptive;

use crate::bilingual::Words;
use crate::language::{Language, Shown};

/// Up to the page's first heading. Two radio buttons before everything else are the switch of the language.
pub(crate) fn head(title: &Words, shown: Shown) -> String {
    let checked = |this: Shown| if this == shown { " checked" } else { "" };
    let [en, zh] = [Language::English, Language::Chinese].map(|language| checked(Shown::One(language)));
    let both = checked(Shown::Both);
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{} {}</title><style>{STYLE}</style>\
         <input type=radio name=l id=en{en}><label for=en>English</label>\
         <input type=radio name=l id=zh{zh}><label for=zh>中文</label>\
         <input type=radio name=l id=both{both}><label for=both>English + 中文</label><main>",
        escape(&title.en),
        escape(&title.zh),
    )
}

const STYLE: &str = "\
    body{font:15px/1.45 system-ui,'Noto Sans CJK SC','Source Han Sans SC','Microsoft YaHei','PingFang SC',sans-serif;\
    margin:1.5em auto;max-width:80em;padding:0 1em;color:#1b1b1b;background:#fff}\
    h1{font-size:1.6em;margin:.8em 0 .2em}h2{font-size:1.2em;margin:1.8em 0 .4em;border-bottom:2px solid #444}\
    h3{font-size:1.05em;margin:1.2em 0 .3em}p{margin:.4em 0}\
    table{border-collapse:collapse;width:100%;margin:.4em 0}\
    td,th{text-align:left;vertical-align:top;padding:.25em .5em;border-bottom:1px solid #bbb}\
    thead th{border-bottom:2px solid #666;background:#f2f2f2;white-space:nowrap}.c{white-space:nowrap}tfoot td{border:0;color:#555;font-size:.8em}\
    .n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.k{width:12em;color:#444;font-weight:normal}\
    code,.m{font-family:ui-monospace,'DejaVu Sans Mono',monospace;font-size:.88em;overflow-wrap:anywhere}\
    .s{color:#555;font-size:.88em}.yes{background:#e2f3e2}.no{background:#f4f4f4}.warn{background:#fdf1cf;padding:.4em .6em}\
    .new{background:#fbdcd6;font-weight:bold}\
    ul{margin:.2em 0;padding-left:1.3em}svg{max-width:100%;height:auto}\
    input[name=l]{margin-left:1em}\
    #en:checked~main [lang=zh],#zh:checked~main [lang=en]{display:none}\
    #both:checked~main [lang=en],#both:checked~main [lang=zh]{display:block}\
    .sign{break-inside:avoid}.sign td{height:3.2em;border:1px solid #666}\
    @page{size:A4 landscape;margin:12mm}\
    @media print{body{font-size:9.5pt;margin:0;max-width:none;padding:0}input,label{display:none}\
    thead{display:table-header-group}tfoot{display:table-footer-group}tr,.keep{break-inside:avoid}\
    h1,h2,h3{break-after:avoid}.yes,.no,.new,.warn,thead th{print-color-adjust:exact;-webkit-print-color-adjust:exact}}";

pub(crate) const TAIL: &str = "</main></html>\n";

pub(crate) fn heading(level: u8, text: &Words) -> String {
    format!("<h{level}>{}</h{level}>", text.html())
}

pub(crate) fn paragraph(text: &Words) -> String {
    format!("<p>{}</p>", text.html())
}

/// The head of a table; a column of numbers stands right.
pub(crate) fn columns(columns: &[(Words, bool)]) -> String {
    let cell = |(name, is_number): &(Words, bool)| {
        let class = if *is_number { " class=n" } else { "" };
        format!("<th{class}>{}", name.html())
    };
    format!("<thead><tr>{}</tr></thead>", columns.iter().map(cell).collect::<String>())
}

/// A row of a name and what there is to say of it, which is HTML already.
pub(crate) fn fact(name: &Words, html: &str) -> String {
    format!("<tr><th class=k>{}<td>{html}</tr>", name.html())
}

/// For text and for attributes in quotes.
pub(crate) fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut html, c| {
        match c {
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '&' => html.push_str("&amp;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c if is_deceptive(c) => html.push(char::REPLACEMENT_CHARACTER),
            c => html.push(c),
        }
        html
    })
}
