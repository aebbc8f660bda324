use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Gauge, Paragraph, Row, TableState, Wrap};

use super::sight::{Rates, Sight, Table};
use crate::headline::{Light, headline};
use crate::language::Language;
use crate::report::{DatasetReport, DeviceReport, Report};
use crate::words::bytes;

/// Texts come from devices and brokers: what a terminal would obey is not shown.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Colours, or without them (no-color.org) weight and inversion alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Palette {
    pub(super) has_colour: bool,
}

impl Palette {
    pub(super) fn of_environment() -> Palette {
        Palette { has_colour: std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()) }
    }

    fn of(self, colour: Color, without: Modifier) -> Style {
        match self.has_colour {
            true => Style::new().fg(colour),
            false => Style::new().add_modifier(without),
        }
    }

    fn good(self) -> Style {
        self.of(Color::Green, Modifier::empty())
    }

    fn wait(self) -> Style {
        self.of(Color::Yellow, Modifier::BOLD)
    }

    fn bad(self) -> Style {
        self.of(Color::Red, Modifier::BOLD)
    }

    fn soft(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }
}

pub(super) fn draw(frame: &mut Frame<'_>, sight: &Sight, palette: Palette) {
    let Some(report) = &sight.report else { return };
    let rows = [
        Constraint::Length(1),
        Constraint::Length(3),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(4),
        Constraint::Length(4),
        Constraint::Length(1),
    ];
    let [head, answer, flow, buffer, link, keys, table, notes, help] = Layout::vertical(rows).areas(frame.area());
    frame.render_widget(title(report, palette), head);
    frame.render_widget(in_short(sight, report, palette), answer);
    frame.render_widget(line_of(sight.rates.as_ref()), flow);
    frame.render_widget(gauge(report, palette), buffer);
    frame.render_widget(link_line(report, palette), link);
    frame.render_widget(key_line(report, palette), keys);
    draw_table(frame, table, sight, report, palette);
    frame.render_widget(chosen_notes(sight, report), notes);
    let words = Span::styled(" q end   ↑ ↓ choose   Tab: devices, datasets, causes   ", palette.soft());
    let lost: u64 = report.lost.values().fold(0, |sum, lost| sum.saturating_add(*lost));
    let lost = if lost > 0 { format!("lost: {lost}") } else { String::new() };
    frame.render_widget(Paragraph::new(Line::from(vec![words, Span::styled(lost, palette.bad())])), help);
}

fn title<'a>(report: &Report, palette: Palette) -> Paragraph<'a> {
    let up = super::super::status::duration(report.uptime_seconds);
    let said = format!("{}   {}   up {up}   {}", report.gateway, report.version, report.time);
    Paragraph::new(Line::from(vec![Span::styled(" lingate top  ", Modifier::BOLD), Span::styled(said, palette.soft())]))
}

fn in_short<'a>(sight: &Sight, report: &Report, palette: Palette) -> Paragraph<'a> {
    let (style, words) = match &sight.silence {
        Some(why) => (palette.bad(), format!("What follows is old. {why}")),
        None => {
            let (light, words) = headline(report, Language::English);
            let style = match light {
                Light::Green => palette.good(),
                Light::Amber => palette.wait(),
                Light::Red => palette.bad(),
            };
            (style, words)
        }
    };
    let block = Block::new().borders(Borders::LEFT).border_style(style);
    Paragraph::new(printable(&words)).style(style).wrap(Wrap { trim: true }).block(block)
}

/// Read, kept, durable and acknowledged, in readings per second.
fn line_of<'a>(rates: Option<&Rates>) -> Paragraph<'a> {
    let Some(rates) = rates else {
        return Paragraph::new(" line     rates come with the next answer");
    };
    Paragraph::new(format!(
        " line     read {}/s → kept {}/s → on disk {}/s → acknowledged {}/s",
        shown(rates.read),
        shown(rates.kept),
        shown(rates.durable),
        shown(rates.acknowledged)
    ))
}

fn shown(rate: f64) -> String {
    match rate {
        rate if rate < 10.0 => format!("{rate:.1}"),
        rate => format!("{rate:.0}"),
    }
}

#[allow(clippy::cast_precision_loss, reason = "a bar of some dozen columns")]
fn gauge<'a>(report: &Report, palette: Palette) -> Gauge<'a> {
    let buffer = &report.buffer;
    let share = (buffer.bytes as f64 / buffer.max_bytes.max(1) as f64).clamp(0.0, 1.0);
    let style = match share {
        share if share > 0.9 => palette.bad(),
        share if share > 0.5 => palette.wait(),
        _ => palette.good(),
    };
    let room = buffer.autonomy_hours.map_or_else(String::new, |hours| format!(", room for {hours:.0} h"));
    let label = format!(
        "buffer {} of {}, {} waiting{room}",
        bytes(buffer.bytes),
        bytes(buffer.max_bytes),
        crate::words::plural(buffer.records_waiting, "record")
    );
    Gauge::default().gauge_style(style).ratio(share).label(label)
}

fn link_line<'a>(report: &Report, palette: Palette) -> Paragraph<'a> {
    let style = if report.link.up { palette.good() } else { palette.bad() };
    labelled(" link     ", &super::super::status::link(report), style)
}

fn key_line<'a>(report: &Report, palette: Palette) -> Paragraph<'a> {
    let ends = report.bundle.as_ref().map(|bundle| bundle.days_left).into_iter().chain(report.certificate_days_left);
    let style = match ends.fold(f64::INFINITY, f64::min) {
        days if days <= 0.0 => palette.bad(),
        days if days < 30.0 => palette.wait(),
        _ => Style::new(),
    };
    labelled(" keys     ", &super::super::status::keys(report), style)
}

fn labelled<'a>(label: &'static str, said: &str, style: Style) -> Paragraph<'a> {
    Paragraph::new(Line::from(vec![Span::raw(label), Span::styled(printable(said), style)]))
}

fn draw_table(frame: &mut Frame<'_>, area: Rect, sight: &Sight, report: &Report, palette: Palette) {
    let (heads, widths, rows): (Vec<&str>, Vec<Constraint>, Vec<Row<'_>>) = match sight.table {
        Table::Devices => (
            vec!["DEVICE", "STATE", "PER SECOND", "BAD", "MISSED", "NEWEST"],
            [20, 14, 10, 8, 8, 8].map(Constraint::Min).to_vec(),
            report.devices.iter().map(|device| device_row(device, sight.rates.as_ref(), palette)).collect(),
        ),
        Table::Datasets => (
            vec!["DATASET", "STATE", "KEPT", "ON DISK", "ACKNOWLEDGED", "GAPS"],
            [20, 12, 10, 10, 12, 6].map(Constraint::Min).to_vec(),
            report.datasets.iter().map(|dataset| dataset_row(dataset, palette)).collect(),
        ),
        Table::Causes => {
            (vec!["CAUSE", "READINGS LOST"], vec![Constraint::Min(50), Constraint::Length(14)], causes(report))
        }
    };
    let chosen = Style::new().add_modifier(Modifier::REVERSED);
    let table = ratatui::widgets::Table::new(rows, widths)
        .header(Row::new(heads).style(Modifier::BOLD))
        .row_highlight_style(chosen)
        .block(Block::new().borders(Borders::TOP));
    let mut state = TableState::new().with_selected(Some(sight.chosen));
    frame.render_stateful_widget(table, area, &mut state);
}

fn device_row<'a>(device: &DeviceReport, rates: Option<&Rates>, palette: Palette) -> Row<'a> {
    let is_bad = device.bad_point_count > 0 || device.newest_readings_are_bad;
    let (style, state) = match device.state.as_str() {
        "connected" if is_bad => (palette.wait(), "bad readings"),
        "connected" => (palette.good(), "connected"),
        "connecting" => (palette.wait(), "connecting"),
        _ => (palette.bad(), "away"),
    };
    let rate = rates.and_then(|rates| rates.devices.get(&device.name)).map_or("–".to_owned(), |rate| shown(*rate));
    Row::new([
        Cell::new(printable(&device.name)),
        Cell::new(state).style(style),
        Cell::new(rate),
        Cell::new(device.bad_readings.to_string()),
        Cell::new(device.missed_slots.to_string()),
        Cell::new(age(device.newest_age_seconds)),
    ])
}

fn dataset_row<'a>(dataset: &DatasetReport, palette: Palette) -> Row<'a> {
    let (style, state) = match dataset.denied {
        Some(_) => (palette.bad(), "denied"),
        None => (palette.good(), "granted"),
    };
    Row::new([
        Cell::new(printable(&dataset.id)),
        Cell::new(state).style(style),
        Cell::new(dataset.kept.to_string()),
        Cell::new(dataset.accepted_readings.to_string()),
        Cell::new(dataset.acknowledged_readings.to_string()),
        Cell::new(dataset.gaps.to_string()),
    ])
}

/// What stands in the way now, and what was lost since the start.
fn causes<'a>(report: &Report) -> Vec<Row<'a>> {
    let now =
        report.reasons.iter().map(|reason| Row::new([format!("not ready: {}", printable(reason)), String::new()]));
    let lost = report.lost.iter().map(|(cause, readings)| Row::new([printable(cause), readings.to_string()]));
    now.chain(lost).collect()
}

/// What is known of the row that is chosen.
fn chosen_notes<'a>(sight: &Sight, report: &Report) -> Paragraph<'a> {
    let said: Vec<String> = match sight.table {
        Table::Devices => report.devices.get(sight.chosen).map_or_else(Vec::new, |device| {
            device.reason.iter().cloned().chain(device.notes(Language::English)).collect()
        }),
        Table::Datasets => report.datasets.get(sight.chosen).map_or_else(Vec::new, |dataset| {
            let whom = format!("{} for {}", dataset.recipient_roles.join(", "), dataset.purpose);
            dataset.denied.iter().cloned().chain([whom]).collect()
        }),
        Table::Causes if report.reasons.is_empty() && report.lost.is_empty() => {
            vec!["Nothing stands in the way, and nothing was lost since the start.".to_owned()]
        }
        Table::Causes => Vec::new(),
    };
    let said = printable(&said.join("; "));
    Paragraph::new(said).wrap(Wrap { trim: true }).block(Block::new().borders(Borders::TOP))
}

fn age(seconds: Option<f64>) -> String {
    match seconds {
        None => "never".to_owned(),
        Some(seconds) if seconds < 600.0 => format!("{seconds:.1} s"),
        Some(seconds) => format!("{:.0} min", seconds / 60.0),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use std::time::Duration;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    const RECORDED: &str = include_str!("recorded.json");

    fn sight() -> Sight {
        let mut sight = Sight::new();
        let before: Report = serde_json::from_str(RECORDED).unwrap();
        let mut after = before.clone();
        after.uptime_seconds += 2;
        after.devices[0].readings += 240;
        after.datasets[0].kept += 220;
        after.datasets[0].accepted_readings += 200;
        sight.hear(Duration::from_secs(10), Ok(before));
        sight.hear(Duration::from_secs(12), Ok(after));
        sight
    }

    fn drawn(sight: &Sight, size: (u16, u16)) -> Terminal<TestBackend> {
        let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
        terminal.draw(|frame| draw(frame, sight, Palette { has_colour: false })).unwrap();
        terminal
    }

    fn lines(sight: &Sight, size: (u16, u16)) -> String {
        let terminal = drawn(sight, size);
        let buffer = terminal.backend().buffer();
        let line = |row: &[ratatui::buffer::Cell]| {
            row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned() + "\n"
        };
        buffer.content.chunks(size.0.into()).map(line).collect()
    }

    #[test]
    fn a_recorded_status_fills_a_terminal_of_80_by_24() {
        let found = lines(&sight(), (80, 24));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write("src/cli/top/80x24.txt", &found).unwrap();
        }
        assert_eq!(found, include_str!("80x24.txt"));
    }

    #[test]
    fn the_answer_comes_first_and_rates_are_those_between_two_answers() {
        let found = lines(&sight(), (80, 24));
        assert!(found.lines().nth(1).unwrap().contains("No data is arriving at the sandbox"), "{found}");
        assert!(found.contains("read 120/s → kept 110/s → on disk 100/s → acknowledged 0.0/s"), "{found}");
        let mut silent = sight();
        silent.hear(Duration::from_secs(13), Err("no lingate answers".to_owned()));
        let found = lines(&silent, (80, 24));
        assert!(found.contains("What follows is old. no lingate answers") && found.contains("rates come"), "{found}");
    }

    #[test]
    fn each_table_can_be_seen_and_the_chosen_row_says_why() {
        let mut sight = sight();
        sight.move_by(1);
        let found = lines(&sight, (80, 24));
        assert!(found.contains("connection refused"), "{found}");
        sight.show(Table::Datasets);
        assert!(lines(&sight, (80, 24)).contains("role:oem-quality for urn:"), "{}", lines(&sight, (80, 24)));
        sight.show(Table::Causes);
        assert!(lines(&sight, (80, 24)).contains("overflow"), "{}", lines(&sight, (80, 24)));
        sight.move_by(isize::MAX);
        sight.move_by(isize::MIN);
        assert_eq!(sight.chosen, 0);
    }

    #[test]
    fn no_size_of_terminal_is_too_small_and_no_text_is_obeyed() {
        let mut sight = sight();
        sight.report.as_mut().unwrap().devices[0].name = "evil\u{1b}[2J\u{7}".to_owned();
        for size in [(1, 1), (10, 3), (40, 12), (80, 24), (300, 100)] {
            let found = lines(&sight, size);
            assert!(!found.contains('\u{1b}') && !found.contains('\u{7}'), "{size:?}");
        }
    }

    #[test]
    fn without_colours_nothing_is_coloured() {
        let terminal = drawn(&sight(), (80, 24));
        let colours = terminal.backend().buffer().content.iter().map(|cell| (cell.fg, cell.bg));
        assert!(colours.into_iter().all(|(fg, bg)| fg == Color::Reset && bg == Color::Reset));
    }
}
