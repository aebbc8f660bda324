//! `lingate top`: the running daemon, live in the terminal. Shows what `/status` answers, and nothing else.

mod asking;
mod picture;
mod sight;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use lingate_model::Clock;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::cli::door::Door;
use crate::cli::exit::{Code, Failed};
use crate::clock::SystemClock;

use asking::Asking;
use picture::{Palette, draw};
use sight::{Sight, Table};

/// Between two looks at the keyboard.
const LOOK: Duration = Duration::from_millis(100);
const PAGE: isize = 10;

#[derive(Args)]
pub(crate) struct Top {
    /// Finds the health endpoint in this configuration; without this and --url: http://127.0.0.1:9273
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    config: Option<PathBuf>,
    /// `http://127.0.0.1:9273` or `unix:/run/lingate/health.sock`
    #[arg(long)]
    url: Option<String>,
    /// Between two questions to the daemon
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
}

impl Top {
    pub(crate) fn run(&self) -> Result<ExitCode, Failed> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            let what = "top wants a terminal; for programs there is `lingate status --json`";
            return Err(Failed::new(Code::Usage, what));
        }
        let door = Door::find(self.config.as_deref(), self.url.as_deref())?;
        let mut sight = Sight::new();
        // Whoever has no daemon learns it as one line, and not as a screen that flashes up.
        let clock = SystemClock::start();
        sight.hear(clock.now().monotonic, Ok(door.report()?.0));
        let asking = Asking::start(door, Duration::from_secs(self.every)).map_err(|error| failed(&error))?;
        // Puts the terminal back also when something panics.
        let mut terminal = ratatui::try_init().map_err(|error| failed(&error))?;
        let ended = watch(&mut terminal, &mut sight, &asking, &clock);
        ratatui::restore();
        ended.map_err(|error| failed(&error))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn failed(error: &io::Error) -> Failed {
    Failed::new(Code::Io, format!("the terminal cannot be used: {error}"))
}

fn watch(
    terminal: &mut ratatui::DefaultTerminal,
    sight: &mut Sight,
    asking: &Asking,
    clock: &SystemClock,
) -> io::Result<()> {
    let palette = Palette::of_environment();
    loop {
        while let Some(answer) = asking.answer() {
            sight.hear(clock.now().monotonic, answer);
        }
        terminal.draw(|frame| draw(frame, sight, palette))?;
        if event::poll(LOOK)?
            && let Event::Key(key) = event::read()?
            && key.kind == KeyEventKind::Press
            && obey(key, sight)
        {
            return Ok(());
        }
    }
}

/// `true`: to end.
fn obey(key: KeyEvent, sight: &mut Sight) -> bool {
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return true,
        KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => return true,
        KeyCode::Up | KeyCode::Char('k') => sight.move_by(-1),
        KeyCode::Down | KeyCode::Char('j') => sight.move_by(1),
        KeyCode::PageUp => sight.move_by(-PAGE),
        KeyCode::PageDown => sight.move_by(PAGE),
        KeyCode::Home => sight.move_by(isize::MIN),
        KeyCode::End => sight.move_by(isize::MAX),
        KeyCode::Tab | KeyCode::Right => sight.show(sight.table.next()),
        KeyCode::BackTab | KeyCode::Left => sight.show(sight.table.previous()),
        KeyCode::Char('1') => sight.show(Table::Devices),
        KeyCode::Char('2') => sight.show(Table::Datasets),
        KeyCode::Char('3') => sight.show(Table::Causes),
        _ => {}
    }
    false
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn q_escape_and_control_c_end_it_and_nothing_else_does() {
        let mut sight = Sight::new();
        let mut press = |code, modifiers| obey(KeyEvent::new(code, modifiers), &mut sight);
        assert!(press(KeyCode::Char('q'), KeyModifiers::NONE) && press(KeyCode::Esc, KeyModifiers::NONE));
        assert!(press(KeyCode::Char('c'), KeyModifiers::CONTROL));
        for code in [KeyCode::Char('c'), KeyCode::Up, KeyCode::Tab, KeyCode::End, KeyCode::Enter] {
            assert!(!press(code, KeyModifiers::NONE), "{code:?}");
        }
    }
}
