use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use lingate_drivers::settings::{DeTable, SettingsError, Table};
use lingate_drivers::{Device, DeviceEvent, DeviceSettings, PointSettings, Sink, Site};
use lingate_model::{Clock, ClockState, Now, PointId, Reading, UtcMicros};
use tokio::sync::mpsc;

/// Float32 of a device, one behind the other.
pub const VALUES: usize = 500;

/// Reads a device on the loopback, one poll right behind the other; `take` gets each and says whether to go on.
pub fn poll(mut take: impl FnMut(Vec<Reading>) -> bool) -> Result<()> {
    let device = device(serve()?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut session = device.connect(&Site::bare(PathBuf::new())).await?;
        let (sender, mut events) = mpsc::channel(16);
        let sink = Sink::new(sender, Arc::new(Running(Instant::now())));
        let mut running = session.run(&sink);
        loop {
            tokio::select! {
                Some(event) = events.recv() => {
                    let DeviceEvent::Readings(readings) = event else { continue };
                    ensure!(readings.iter().all(|reading| reading.value.is_some()), "a bad reading");
                    if !take(readings) {
                        return Ok(());
                    }
                }
                loss = &mut running => bail!("{loss}"),
            }
        }
    })
}

fn device(port: u16) -> Result<Box<dyn Device>> {
    let mut text = format!("address = \"127.0.0.1:{port}\"\n");
    for value in 0..VALUES {
        writeln!(text, "[[point]]\nregister = \"holding:{}\"\ntype = \"f32\"", 2 * value)?;
    }
    let file = DeTable::parse(&text)?;
    let mut table = Table::new(file.get_ref(), file.span(), "");
    let points = table.take("point").tables(1..=10_000);
    let points = points.into_iter().map(|table| PointSettings { every: None, table }).collect();
    // Always late: one poll follows the other.
    let every = Duration::from_millis(1);
    let settings = DeviceSettings { name: "cost".parse()?, every, first_point: PointId(0), table, points };
    let driver = lingate_drivers::driver("modbus-tcp").context("the driver")?;
    (driver.parse)(settings).map_err(|SettingsError(problems)| anyhow!("{problems:?}"))
}

struct Running(Instant);

impl Clock for Running {
    fn now(&self) -> Now {
        let monotonic = self.0.elapsed();
        Now { monotonic, utc: UtcMicros(monotonic.as_micros() as i64), clock: ClockState::Synced }
    }
}

/// Answers one connection, in memory that it took before; every value is a float near 100. Ends with the connection.
fn serve() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || listener.accept().map(|(stream, _)| answer(stream)));
    Ok(port)
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut header, mut request) = ([0; 7], [0; 255]);
    let mut answer = Vec::with_capacity(260);
    loop {
        stream.read_exact(&mut header)?;
        let request = &mut request[..usize::from(header[5]).saturating_sub(1)];
        stream.read_exact(request)?;
        answer.clear();
        answer.extend_from_slice(&header);
        match *request {
            [3, _, _, _, count] => {
                answer[5] = 3 + 2 * count;
                answer.extend([3, 2 * count]);
                (0..count).for_each(|index| answer.extend(if index % 2 == 0 { [0x42, 0xC8] } else { [0, 1] }));
            }
            // Nothing else is known here.
            _ => {
                answer[5] = 3;
                answer.extend([request.first().copied().unwrap_or(0) | 0x80, 1]);
            }
        }
        stream.write_all(&answer)?;
    }
}
